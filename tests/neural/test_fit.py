"""Fitting: stopped and gone on it gives the same artifact; and what no codec's model can be is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.codecs.fitted import RECORD, read_record
from pctrain.cli import main
from pctrain.config import resolve
from pctrain.errors import ConfigError
from pctrain.neural.artifact import LEAST_SEGMENT_BYTES, NUMBERS, SHAPE, WEIGHTS
from pctrain.neural.fit import RUN, check, fit
from pctrain.training.loop import fit as train
from tests.neural.opened import SETTINGS, artifact_of, opened


def test_a_fit_that_was_stopped_goes_on_to_the_same_artifact(raw_shards: Path, coder: Path, tmp_path: Path) -> None:
    """Stopped after 8 steps: a kill leaves what the last checkpoint holds."""
    config = resolve("neural-1m", None, SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pctrain.training.checkpoint.prune", _killed)
        with pytest.raises(KeyboardInterrupt):
            train([raw_shards], tmp_path / RUN, config, quiet=True)
    assert not (tmp_path / RECORD).exists()
    fit([raw_shards], tmp_path, config, quiet=True)
    assert artifact_of(tmp_path) == artifact_of(coder)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_command_fits_and_the_record_says_what_it_was(raw_shards: Path, coder: Path, tmp_path: Path) -> None:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    asked = ["neural", "fit", str(raw_shards), "-o", str(tmp_path / "coder"), *settings]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert "--compressor neural:artifact=" in done.output
    assert artifact_of(tmp_path / "coder") == artifact_of(coder)
    record = read_record(coder)
    assert record is not None
    assert (record.codec, record.options["step"]) == ("neural", 24)
    assert {entry.path for entry in record.files} == {WEIGHTS, SHAPE, NUMBERS}
    assert record.fitted_on.raw_bytes > 100_000
    again = CliRunner().invoke(main, asked[:-2])
    assert again.exit_code == 0, again.output
    assert "is finished (24 steps)" in again.output


def test_thresholds_rise_with_the_mean_length(coder: Path) -> None:
    thresholds = json.loads((coder / NUMBERS).read_bytes())["thresholds"]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) > 20
    assert opened(coder, ",segment=16").threshold == thresholds[16 - LEAST_SEGMENT_BYTES]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("model.reach=0", "model.reach must be 1 … 32 in a codec of 4 layers"),
        ("mixture.mode=mixed", "a codec's model is trained on raw bytes alone: mixture.mode=raw"),
    ],
)
def test_settings_that_make_no_codec_are_refused(setting: str, says: str) -> None:
    check(resolve("neural-1m", None, []))
    with pytest.raises(ConfigError, match=says):
        check(resolve("neural-1m", None, [setting]))
