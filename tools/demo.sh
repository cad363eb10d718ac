#!/usr/bin/env bash
# The whole path on real code: this machine's own Python library → shards → two trained byte models, one on raw bytes
# alone and one through a BPE proxy → numbers, curves and text.
# Everything lands in demo/; a second run reuses what is there. Called by `make demo`, which sets up .venv first.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
library=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

# Print a command as one would type it, then run it.
step() {
  local word line=''
  for word in "$@"; do
    case $word in *[!A-Za-z0-9_./:=,-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
  done
  printf '\n$%s\n' "$line" >&2
  "$@"
}

step "$bin/pcdata" build "$library" -o demo/shards --include '*.py' --exclude site-packages \
  --compressor zstd --compressor bpe:vocab_size=4096
step "$bin/pcdata" stats demo/shards
step "$bin/pcdata" show demo/shards --doc 17 --bytes 0:600
step "$bin/pcdata" verify demo/shards
step "$bin/pcdata" report demo/shards -o demo/report.html
step "$bin/pctrain" fit demo/shards -o demo/raw --preset tiny --mode raw
# The published share of compressed documents, 0.9, leaves so small a model too few raw bytes.
step "$bin/pctrain" fit demo/shards -o demo/bpe --preset tiny --view bpe --set mixture.share=0.5
step "$bin/pctrain" plot demo/raw demo/bpe -o demo/curves.png
for run in raw bpe; do
  step "$bin/pctrain" eval "demo/$run"
  step "$bin/pctrain" generate "demo/$run" --prompt 'def __init__(self, ' --max-bytes 300 --temperature 0.7 --seed 1
done
"$bin/python" -m tools.demo_summary demo
