"""The metrics file after a kill."""

from __future__ import annotations

import json
from pathlib import Path

from pctrain.training.metrics import MetricsLog


def test_a_resume_drops_later_lines_and_half_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path, 0) as log:
        for step in range(1, 6):
            log.write("train", step, loss=step / 2)
    with path.open("a") as file:
        file.write('{"kind": "train", "step": 2, "lo')
    with MetricsLog(path, 3) as log:
        log.write("train", 4, loss=9)
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [0.5, 1.0, 1.5, 9]


def test_a_new_run_begins_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "train", "step": 0}\n')
    with MetricsLog(path, 0):
        pass
    assert path.read_text() == ""
