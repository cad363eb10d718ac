"""A study to read, as small as can be."""

from __future__ import annotations

from pathlib import Path

TOOLS = Path(__file__).parents[2] / "tools" / "study"
PLAIN = """
[corpus.compressors]
bpe = "bpe"
[settings]
"optim.lr" = 1
"data.rows" = 2
[sizes.m]
flops = 10.0
settings = { "data.rows" = 3 }
[[arms]]
name = "raw"
[[arms]]
name = "bpe"
view = "bpe"
seeds = [0, 4]
placebo = true
settings = { "optim.lr" = 2 }
"""


def written(folder: Path, text: str, name: str = "study.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name
