"""Checkpoints that are damaged, half written or foreign are told from good ones, in a sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from pcdata.dataset import ViewIds, Vocabulary
from pctrain.config import RENAMED, RunConfig
from pctrain.data.cursor import Cursor, StreamPlace
from pctrain.errors import CheckpointError
from pctrain.model.decoder import Decoder, init_weights
from pctrain.training import checkpoint
from pctrain.training import resume as state_module
from pctrain.training.optim import make_optimizer
from pctrain.training.resume import Fingerprints, State
from pctrain.training.run_folder import read_settings, write_settings

CONFIG = RunConfig.from_dict({"model": {"width": 16, "layers": 1, "attention_heads": 2, "kv_heads": 1, "hidden": 16}})

MODEL, OPTIMIZER = (f"{part}/shard-00001-model-00001-of-00001.safetensors" for part in ("model", "optimizer"))

IDS = Vocabulary({"zstd": ViewIds(3, 320, 256)})

PLACE = StreamPlace((3, 7), 5, 1, "pair", ("zstd", None))


def state(step: int, bits: float | None = None) -> State:
    return State(Cursor(step, step, PLACE), CONFIG, IDS, {"code": Fingerprints("ab", {"zstd": "cd"})}, bits)


def trained(seed: int = 0) -> tuple[Decoder, torch.optim.Optimizer]:
    model = Decoder(CONFIG.model, 320)
    init_weights(model, seed)
    optimizer = make_optimizer(model, CONFIG.optim)
    model(torch.arange(64, 80)[None]).square().mean().backward()
    optimizer.step()
    return model, optimizer


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    model, optimizer = trained()
    folder = checkpoint.save(tmp_path, state(7, 2.5), model, optimizer)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".safetensors", ".json", ""}, "no pickles"
    assert checkpoint.load_state(folder) == state(7, 2.5)
    other, its_optimizer = trained(1)
    checkpoint.load_model(folder, other)
    checkpoint.load_optimizer(folder, other, its_optimizer)
    for mine, its in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, its)
        assert optimizer.state[mine].keys() == its_optimizer.state[its].keys() == {"step", "exp_avg", "exp_avg_sq"}
        for key, value in optimizer.state[mine].items():
            assert torch.equal(value, its_optimizer.state[its][key])


def test_half_written_ones_do_not_count_and_are_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoint.save(tmp_path, state(step, {2: 1.0}.get(step, 5.0)), *trained())
    (tmp_path / "checkpoints" / "step-00000005.tmp").mkdir()
    assert checkpoint.choose(tmp_path, "last").name == "step-00000004"
    checkpoint.prune(tmp_path, keep_last=1)
    assert sorted(folder.name for folder in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]
    assert checkpoint.choose(tmp_path, "best").name == checkpoint.choose(tmp_path, "2").name == "step-00000002"
    with pytest.raises(CheckpointError, match="no checkpoint '3'; it has last, best and those of steps 2, 4"):
        checkpoint.choose(tmp_path, "3")


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no checkpoint; run pctrain fit first"):
        checkpoint.choose(tmp_path, "last")


@pytest.mark.parametrize("name", ["state.json", MODEL, OPTIMIZER])
@pytest.mark.parametrize("harm", ["missing", "empty", "cut", "garbage"])
def test_damage_is_said_with_the_file_and_a_way_on(tmp_path: Path, name: str, harm: str) -> None:
    model, optimizer = trained()
    folder = checkpoint.save(tmp_path, state(1), model, optimizer)
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if harm != "missing":
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "garbage": b"\x80\x02garbage" * 50}[harm])
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read .*; remove .*step-00000001 to go back"):
        load(folder, model, optimizer)


def load(folder: Path, model: Decoder, optimizer: torch.optim.Optimizer) -> None:
    checkpoint.load_state(folder)
    checkpoint.load_model(folder, model)
    checkpoint.load_optimizer(folder, model, optimizer)


def earlier(values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Settings under the names that they had in the last version."""
    before = {new: old for old, new in RENAMED.items()}
    named: dict[str, dict[str, Any]] = {}
    for section, table in values.items():
        added = section in ("superposition", "alignment", "boundaries", "patched")
        for name, value in () if added else table.items():
            place, _, key = before.get(f"{section}.{name}", f"{section}.{name}").partition(".")
            named.setdefault(place, {})[key] = value
    assert named.keys() == {"data", "mixture", "model", "train"}
    return named


def test_a_run_of_the_last_version_is_read(tmp_path: Path) -> None:
    values = json.loads(state(4, 2.5).to_json())
    cursor = {**values["cursor"], "version": 3, "place": dict(values["cursor"]["place"])}
    cursor["place"]["how"] = cursor["place"].pop("arrangement")
    values |= {"version": 5, "cursor": cursor, "config": earlier(values["config"])}
    assert State.from_json(json.dumps(values).encode()) == state(4, 2.5)

    write_settings(tmp_path, CONFIG, {})
    settings = json.loads((tmp_path / "config.json").read_text())
    settings |= {"version": 3, "config": earlier(settings["config"])}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert read_settings(tmp_path).config == CONFIG


def test_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "_VERSION", 99)
    folder = checkpoint.save(tmp_path, state(1), *trained())
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"state\.json: it has version 99, this pctrain reads 6"):
        checkpoint.load_state(folder)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"speed": 3}, "speed"),
        ({"datasets": {"shards": 1}}, "datasets"),
        ({"vocabulary": {"views": {"zstd": {"slot": None, "first_id": 0, "n_symbols": 1}}}}, r"vocabulary\.zstd\.slot"),
    ],
)
def test_a_state_that_no_run_writes_is_named_and_stays(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    folders = [checkpoint.save(tmp_path, state(step), *trained()) for step in (1, 2)]
    text = json.dumps(json.loads((folders[0] / "state.json").read_text()) | change)
    (folders[0] / "state.json").write_text(text)
    (folders[0] / "SHA256SUMS").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}  state.json\n")
    with pytest.raises(CheckpointError, match=rf"step-00000001/state\.json cannot be read .*{what}"):
        checkpoint.load_state(folders[0])
    assert len(checkpoint.prune(tmp_path, keep_last=1)) == 1
    assert checkpoint.checkpoints(tmp_path) == folders


def test_a_damaged_old_checkpoint_is_named_and_stays(tmp_path: Path) -> None:
    """It may have been the best; and one that nobody asked for ends no run."""
    folders = {
        step: checkpoint.save(tmp_path, state(step, bits), *trained()) for step, bits in ((1, 2), (2, 3), (3, 4))
    }
    state_file = folders[1] / "state.json"
    state_file.write_bytes(b"X" + state_file.read_bytes()[1:])
    (damage,) = checkpoint.prune(tmp_path, keep_last=1)
    assert f"{state_file} cannot be read" in damage
    assert checkpoint.checkpoints(tmp_path) == [folders[1], folders[2], folders[3]], (
        "2 is the best of those that are left"
    )
    checkpoint.save(tmp_path, state(4, 1.0), *trained())
    assert len(checkpoint.prune(tmp_path, keep_last=1)) == 1
    assert [folder.name for folder in checkpoint.checkpoints(tmp_path)] == ["step-00000001", "step-00000004"]


def test_one_that_cannot_be_written_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    """As on a full disk: here no file may be longer than 20 kB."""
    trained_once = trained()
    checkpoint.save(tmp_path, state(1), *trained_once)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"step-00000002 cannot be written: File too large; fix that"):
            checkpoint.save(tmp_path, state(2), *trained_once)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    checkpoint.save(tmp_path, state(2), *trained_once)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = checkpoint.save(tmp_path, state(1), *trained())
    wider = Decoder(dataclasses.replace(CONFIG.model, width=32), 320)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        checkpoint.load_model(folder, wider)
    with pytest.raises(CheckpointError, match="belongs to another model"):
        checkpoint.load_optimizer(folder, wider, make_optimizer(wider, CONFIG.optim))


@pytest.mark.parametrize("name", ["state.json", MODEL, OPTIMIZER, "SHA256SUMS"])
def test_every_flipped_byte_is_found(tmp_path: Path, name: str) -> None:
    model, optimizer = trained()
    folder = checkpoint.save(tmp_path, state(1), model, optimizer)

    def load() -> None:
        checkpoint.load_state(folder)
        checkpoint.load_model(folder, model)
        checkpoint.load_optimizer(folder, model, optimizer)

    load()
    whole = (folder / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        (folder / name).write_bytes(flipped)
        with pytest.raises(CheckpointError, match="cannot be read"):
            load()


def test_one_that_is_being_removed_is_whole_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a kill would leave a damaged one, which stays for ever."""
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, state(step), *trained())

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    for remove in (lambda: checkpoint.prune(tmp_path, keep_last=2), lambda: checkpoint.clear(tmp_path)):
        with pytest.raises(KeyboardInterrupt):
            remove()
        there = checkpoint.checkpoints(tmp_path)
        assert [checkpoint.load_state(folder).step for folder in there] == ([2, 3] if there else [])
    assert not there
    monkeypatch.undo()
    checkpoint.remove_unfinished(tmp_path)
    assert not [*tmp_path.iterdir()]
