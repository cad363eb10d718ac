"""How much faster is ``pcdata build`` than what people tokenize a corpus with today?

All start from the same documents and the same ``tokenizer.json`` (16k, fitted on them), and end with ids on disk, on
one core:

* *build*: ``pcdata build -c bpe``, from a folder of files. It also hashes, drops duplicates, stores the raw bytes and
  their alignment, and syncs;
* *datasets*: JSONL by ``load_dataset``, then ``map`` with ``tokenizers`` in batches of 1,000;
* *Megatron*: a loop as in Megatron-LM's ``tools/preprocess_data.py``: JSONL, ``tokenizers`` one document at a time, ids
  appended to a ``.bin``, lengths and document ends to an ``.idx``;
* *datatrove*: ``JsonlReader`` and ``DocumentTokenizer``, if ``--datatrove`` names a Python that has it: in an
  environment of its own (``python -m venv``, ``pip install datatrove tokenizers orjson``), for it wants other versions.

    python tools/bench_rivals.py [FOLDER] [--rounds 1] [--quick] [--datatrove /…/bin/python]

*MB/s* are of raw bytes; *build is faster* is taken round by round. ``--quick``: every eighth document, where what a
build takes however small it is weighs more.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

import datasets
from benching import Figure, in_turn, print_json, print_table, ratio
from building import STDLIB, Fitted, clear, find_paths, raw_mb, rebuild
from tokenizers import Tokenizer

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
"""Stays up from round to round, so that importing is not timed. The last line of each round on its output is done."""


class Datatrove:
    """A process of another Python that tokenizes once whenever it is called."""

    def __init__(self, python: str, source: Path, target: Path, tokenizer: Path) -> None:
        command = [python, "-c", DATATROVE, str(source), str(target), str(tokenizer)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._until("ready")

    def __call__(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._until("done")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _until(self, word: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        raise SystemExit("the Python that --datatrove names cannot run its pipeline; try it by hand")


def datasets_map(source: Path, target: Path, tokenizer: Tokenizer) -> None:
    """What a tutorial does."""
    clear(target)
    loaded = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=str(target))
    loaded.map(
        lambda batch: {"ids": [encoding.ids for encoding in tokenizer.encode_batch_fast(batch["text"])]},
        batched=True,
        remove_columns=loaded.column_names,
        load_from_cache_file=False,
    )


def megatron(source: Path, target: Path, tokenizer: Tokenizer) -> None:
    """Ids of 16 bits end to end in ``.bin``; in ``.idx`` a header, each document's length, then where each begins."""
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
    """Every so many-th document that is UTF-8, as files and as JSONL."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("corpus", nargs="?", type=Path, default=STDLIB)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--datatrove", metavar="PYTHON", help="of an environment in which datatrove is installed")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    files, jsonl = write_inputs(arguments.corpus, 8 if arguments.quick else 1, scratch)
    size = raw_mb(find_paths(files))
    fitted = Fitted.on(files, ["bpe:vocab_size=16384"], scratch)
    artifact = fitted.requests[0].artifact
    assert artifact is not None
    tokenizer = Tokenizer.from_file(str(artifact))
    contestants: dict[str, Callable[[], object]] = {
        "build": lambda: rebuild(files, scratch / "built", fitted.requests),
        "clear": lambda: clear(scratch / "built"),
        "datasets": lambda: datasets_map(jsonl, scratch / "map", tokenizer),
        "Megatron": lambda: megatron(jsonl, scratch / "megatron", tokenizer),
    }
    datatrove = None
    if arguments.datatrove:
        datatrove = Datatrove(arguments.datatrove, jsonl.parent, scratch / "datatrove", artifact)
        contestants["datatrove"] = datatrove
    seconds = in_turn(contestants, arguments.rounds)
    if datatrove is not None:
        datatrove.close()
    rows, results = [["with one core", "MB/s", "build is faster"]], {}
    for name in contestants.keys() - {"clear"}:
        speed, faster = size / Figure.of(seconds[name]).median, ratio(seconds[name], seconds["build"])
        results[name] = {"mb_s": speed, "build_is_faster": faster}
    for name, result in sorted(results.items(), key=lambda item: -item[1]["mb_s"]):
        rows.append(
            [name, f"{result['mb_s']:.2f}", "" if name == "build" else f"{result['build_is_faster']:.0f} times"]
        )
    print_table(rows)
    if not arguments.datatrove:
        print("datatrove was not asked for: --datatrove names a Python that has it")
    print_json("rivals", {"raw_mb": size, **results}, ("datasets", "tokenizers", "gigatoken"))


if __name__ == "__main__":
    main()
