"""A whole study, as small as can be: built, trained, measured, and the same again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tests.study.running import study

STUDY = """
[corpus]
inputs = ["{code}"]
options = ["--include", "*.py", "--val-fraction", "0.1"]
edit_documents = 2
[corpus.compressors]
bpe = "bpe:vocab_size=512"
[settings]
"data.seq_len" = 128
"data.rows" = 2
"model.width" = 32
"model.layers" = 1
"model.hidden" = 64
"eval.bytes" = 1000
[sizes.m]
flops = 2e9
settings = {{}}
[[arms]]
name = "bpe"
view = "bpe"
placebo = true
measured = true
[[arms]]
name = "raw-as-bpe"
like = "bpe"
equal = "raw_symbols"
"""


def unshuffled(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration that knows no ``data.shuffle_rows``."""
    data = {name: value for name, value in config["data"].items() if name != "shuffle_rows"}
    assert data != config["data"]
    return {**config, "data": data}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_is_built_trained_and_measured_and_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(code=ROOT / "pcdata" / "codecs"))
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in ("arms", "edits", "translation")))
    study(tmp_path, "--page", str(page))
    results = tmp_path / "study" / "results"
    assert {path.stem for path in results.iterdir()} == {"bpe-s0", "bpe-placebo-s0", "raw-as-bpe-s0"}
    first = {path.stem: json.loads(path.read_text()) for path in results.iterdir()}
    bpe, like = first["bpe-s0"], first["raw-as-bpe-s0"]
    assert 4 < bpe["bits_per_byte"] < 8.5
    assert bpe["spent"]["flops"] == pytest.approx(2e9, rel=0.1)
    assert like["spent"]["raw_symbols"] == pytest.approx(bpe["spent"]["raw_symbols"], abs=2 * 128)
    assert {*bpe["measured"]["edits"]} > {"none", "rename", "white space"}
    assert 0 <= bpe["measured"]["translation"]["distance"] <= 1
    assert f"| bpe |  | 1 | {bpe['bits_per_byte']:.4f} |" in page.read_text()
    assert all((tmp_path / "study" / name).stat().st_size for name in ("curves.png", "exchange.png", "table.json"))

    kept = (results / "bpe-placebo-s0.json").stat().st_mtime_ns
    # A result and a run of the same command from before rows were shuffled are not taken for today's.
    (results / "bpe-s0.json").write_text(json.dumps({**bpe, "config": unshuffled(bpe["config"]), "bits_per_byte": 1.0}))
    run_config = tmp_path / "study" / "runs" / "bpe-s0" / "config.json"
    of_run = json.loads(run_config.read_text())
    run_config.write_text(json.dumps({**of_run, "config": unshuffled(of_run["config"])}))
    again = study(tmp_path)
    assert [line for line in again.stderr.splitlines() if "…" in line] == ["bpe-s0 …"]
    assert json.loads((results / "bpe-s0.json").read_text()) == bpe, "to the last digit"
    assert json.loads(run_config.read_text()) == of_run
    assert (results / "bpe-placebo-s0.json").stat().st_mtime_ns == kept

    missing = study(tmp_path, "--arm", "zip", code=1)
    assert missing.stderr == "error: there is no arm 'zip'; the arms: bpe, bpe-placebo, raw-as-bpe\n"
