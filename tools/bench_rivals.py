"""How much faster is ``pcdata build`` than other tools for tokenizing a corpus?

All start from the same documents and the same ``tokenizer.json`` (16k, fitted on them), and end with ids on disk, on
one core:

* *build*: ``pcdata build -c bpe``, from a folder of files. It also hashes, drops duplicates, stores the raw bytes and
  their alignment, and syncs;
* *datasets*: JSONL by ``load_dataset``, then ``map`` with ``tokenizers`` in batches of 1,000;
* *Megatron*: a loop as in Megatron-LM's ``tools/preprocess_data.py``: JSONL, ``tokenizers`` one document at a time, ids
  appended to a ``.bin``, lengths and document ends to an ``.idx``;
* *datatrove*: ``JsonlReader`` and ``DocumentTokenizer``, if ``--datatrove`` names a Python that has it, in a separate
  environment (``python -m venv``, ``pip install datatrove tokenizers orjson``), since it needs other versions.

    python -m tools.bench_rivals [FOLDER] [--rounds 1] [--every 8] [--vocab-size N] [--datatrove /…/bin/python]

*MB/s* are of raw bytes; *build is faster* is computed per round. With ``--every 8``, every eighth document, the fixed
cost of a build has more weight.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import datasets
from tokenizers import Tokenizer

from tools.benching import in_turn, print_json, print_table, rate, ratio
from tools.building import clear, fitted, rebuild
from tools.corpora import corpus_parser, find_paths, raw_mb

COLUMNS = {"with one core": "{name}", "MB/s": "{mb_s:.2f}", "build is faster": "{build_is_faster:.0f} times"}

DATATROVE = """
import shutil, sys
from loguru import logger
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer

logger.remove()
source, target, tokenizer = sys.argv[1:]
print("ready", flush=True)
for line in sys.stdin:
    shutil.rmtree(target, ignore_errors=True)
    read = JsonlReader(source, doc_progress=False)
    tokenize = DocumentTokenizer(target + "/ids", tokenizer_name_or_path=tokenizer, shuffle_documents=False)
    LocalPipelineExecutor([read, tokenize], logging_dir=target + "/logs").run()
    print("done", flush=True)
"""
"""Runs for the whole benchmark, so that imports are not timed. Prints ``done`` at the end of each round."""


@contextmanager
def datatrove(python: str, source: Path, target: Path, tokenizer: Path) -> Iterator[Callable[[], None]]:
    """A process of another Python; each call of the yielded function tokenizes once."""
    command = [python, "-c", DATATROVE, str(source), str(target), str(tokenizer)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        go, said = process.stdin, process.stdout

        def wait_for(word: str) -> None:
            if not any(line.strip() == word for line in said):
                raise SystemExit("the Python that --datatrove names cannot run its pipeline; try it by hand")

        def tokenize() -> None:
            print("go", file=go, flush=True)
            wait_for("done")

        wait_for("ready")
        yield tokenize


def datasets_map(source: Path, target: Path, tokenizer: Tokenizer) -> None:
    """As in tutorials."""
    loaded = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=str(target))
    loaded.map(
        lambda batch: {"ids": [encoding.ids for encoding in tokenizer.encode_batch_fast(batch["text"])]},
        batched=True,
        remove_columns=loaded.column_names,
        load_from_cache_file=False,
    )


def megatron(source: Path, target: Path, tokenizer: Tokenizer) -> None:
    """16-bit ids in ``.bin``; in ``.idx`` a header, each document's length, then where each begins."""
    lengths = array("i")
    with source.open("rb") as lines, target.with_suffix(".bin").open("wb") as ids:
        for line in lines:
            encoded = array("H", tokenizer.encode(json.loads(line)["text"]).ids)
            ids.write(encoded.tobytes())
            lengths.append(len(encoded))
    begins, begin = array("q"), 0
    for length in lengths:
        begins.append(begin)
        begin += length * 2
    with target.with_suffix(".idx").open("wb") as index:
        index.write(b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, len(lengths), len(lengths) + 1))
        for column in (lengths, begins, array("q", range(len(lengths) + 1))):
            index.write(column.tobytes())


def write_inputs(corpus: Path, every: int, folder: Path) -> tuple[Path, Path]:
    """Every ``every``-th document, if it is UTF-8, as files and as JSONL."""
    files, jsonl = folder / "files", folder / "jsonl" / "documents.jsonl"
    jsonl.parent.mkdir()
    with jsonl.open("w", encoding="utf-8") as lines:
        for path in map(Path, find_paths(corpus)[::every]):
            raw = path.read_bytes()
            try:
                line = json.dumps({"text": raw.decode()}, ensure_ascii=False)
            except UnicodeDecodeError:
                continue
            lines.write(line + "\n")
            target = files / path.relative_to(corpus)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
    return files, jsonl


def measure(given: argparse.Namespace, scratch: Path) -> tuple[float, list[dict[str, Any]]]:
    """The corpus in MB, and one row per contestant, the fastest first."""
    files, jsonl = write_inputs(given.corpus, given.every, scratch)
    size, built, mapped = raw_mb(find_paths(files)), scratch / "built", scratch / "map"
    with fitted(files, [f"bpe:vocab_size={given.vocab_size}"]) as codecs, ExitStack() as stack:
        path = codecs.folder / "views" / "bpe" / "artifact" / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        contestants: dict[str, Callable[[], object]] = {
            "build": partial(rebuild, files, built, codecs.requests),
            "datasets": partial(datasets_map, jsonl, mapped, tokenizer),
            "Megatron": partial(megatron, jsonl, scratch / "megatron", tokenizer),
        }
        if given.datatrove:
            process = datatrove(given.datatrove, jsonl.parent, scratch / "datatrove", path)
            contestants["datatrove"] = stack.enter_context(process)
        seconds = in_turn(contestants, given.rounds, before=partial(clear, built, mapped))
    rows = [
        {"name": name, "mb_s": rate(size, taken), "build_is_faster": ratio(taken, seconds["build"])}
        for name, taken in seconds.items()
    ]
    return size, sorted(rows, key=lambda row: -row["mb_s"].median)


def main() -> None:
    parser = corpus_parser(__doc__, rounds=1)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th document")
    parser.add_argument("--vocab-size", type=int, default=16_384)
    parser.add_argument("--datatrove", metavar="PYTHON", help="Python of an environment with datatrove")
    given = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        size, rows = measure(given, Path(scratch))
    print_table(COLUMNS, rows)
    if not given.datatrove:
        print("datatrove was not asked for: --datatrove names a Python that has it")
    print_json("rivals", {"raw_mb": size, "tokenizers": rows}, "datasets", "tokenizers", "gigatoken")


if __name__ == "__main__":
    main()
