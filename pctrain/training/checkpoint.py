"""Checkpoints: one folder per step, complete or absent.

``run/checkpoints/step-00000200/`` holds ``state.json`` (everything that is not a tensor), ``model/`` and ``optimizer/``
(tensors by parameter name, as safetensors, which cannot hold code), and ``SHA256SUMS`` of all files, as ``sha256sum
-c`` reads it. Every process writes its shards (``torch.distributed.checkpoint``), so all of them must see the folder;
any number of processes can read it. It is written under a temporary name, synced and renamed. The last and the best are
found from the names and the states; no pointer is stored.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from pcdata.dataset import DatasetError
from pcdata.dataset.files import remove, remove_left_beside, sync, temporary_name
from pcdata.dataset.names import TEMPORARY, check_path, regular_file
from pctrain.config import RunConfig
from pctrain.errors import CheckpointError, ConfigError
from pctrain.methods.make import make_model
from pctrain.model.kinds import total_layers
from pctrain.torch_errors import of_memory, of_peer
from pctrain.training.distributed import World
from pctrain.training.resume import State

_STATE, _MODEL, _OPTIMIZER, _SUMS = "state.json", "model", "optimizer", "SHA256SUMS"
_NAME: Final = re.compile(r"step-[0-9]{8,20}")
_ALONE: Final = World()


def save(run: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer, world: World = _ALONE) -> Path:
    """Write a checkpoint; when this returns it is on the disk, and older ones may be removed. All processes must call
    this.

    Raises ``CheckpointError`` if it cannot be written; nothing of it is left then.
    """
    folder = _folder(run) / f"step-{state.step:08d}"
    temporary = folder.with_name(world.gathered_from_all([temporary_name(folder).name])[0])
    try:
        _write(folder, temporary, state, model, optimizer, world)
    except (OSError, CheckpointException) as error:
        if world.is_first:
            remove(temporary)
        cause = _cause(error)
        if not isinstance(cause, Exception) or of_peer(cause):
            raise cause from None
        raise CheckpointError(
            f"{folder} cannot be written: {_reason(cause)}; fix that and rerun to resume from the last checkpoint"
        ) from error
    return folder


def _write(
    folder: Path, temporary: Path, state: State, model: nn.Module, optimizer: torch.optim.Optimizer, world: World
) -> None:
    if world.is_first:
        for name in (_MODEL, _OPTIMIZER):
            (temporary / name).mkdir(parents=True)
        (temporary / _STATE).write_text(state.to_json(), encoding="utf-8")
    world.wait()
    _write_tensors(temporary / _MODEL, _weights(model), world)
    _write_tensors(temporary / _OPTIMIZER, _averages(model, optimizer), world)
    world.wait()
    own = _files(temporary)[world.rank :: world.size]
    for path in own:
        sync(path)
    sums = world.gathered_from_all([f"{_sum(path)}  {path.relative_to(temporary).as_posix()}\n" for path in own])
    if world.is_first:
        (temporary / _SUMS).write_text("".join(sorted(sums)), encoding="utf-8")
        for path in (temporary / _SUMS, temporary / _MODEL, temporary / _OPTIMIZER, temporary):
            sync(path)
        remove(folder)
        temporary.rename(folder)
        sync(folder.parent)
    world.wait()


def _cause(error: BaseException) -> BaseException:
    """The error inside the one in which ``torch.distributed.checkpoint`` wraps those of all processes, Ctrl-C too."""
    while isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    return error


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def prune(run: Path, keep_last: int) -> list[str]:
    """Remove checkpoints that are neither among the last few nor the best, and unfinished ones of killed runs.

    A damaged one is kept, since it may have been the best. Returns what is wrong with each of those.
    """
    there, measured, damages = checkpoints(run), [], []
    kept = {*there[-keep_last:]}
    for folder in there:
        try:
            bits = load_state(folder).val_bits_per_byte
        except CheckpointError as error:
            kept.add(folder)
            damages.append(str(error))
        else:
            measured += [] if bits is None else [(bits, folder)]
    kept |= {folder for _, folder in sorted(measured)[:1]}
    for folder in _folder(run).iterdir():
        if folder.name.startswith("step-") and folder not in kept:
            remove(folder)
    return damages


def remove_unfinished(run: Path) -> None:
    """Remove what a process left half written or half removed. No process may be writing."""
    remove_left_beside(_folder(run))
    for folder in _folder(run).glob(f"step-*{TEMPORARY}"):
        remove(folder)


def clear(run: Path) -> None:
    """Remove all checkpoints."""
    remove(_folder(run))


def _folder(run: Path) -> Path:
    """The folder of a run's checkpoints. Raises ``CheckpointError`` if it is a link."""
    folder = run / "checkpoints"
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a symbolic link, which is not followed; put the folder itself there")
    return folder


def checkpoints(run: Path) -> list[Path]:
    """All complete checkpoints of a run, the oldest first."""
    found = _folder(run).glob("step-*")
    return sorted(one for one in found if _NAME.fullmatch(one.name) and not one.is_symlink())


def best(run: Path) -> Path | None:
    """The checkpoint with the fewest bits per byte on the slice of val; None if none was measured."""
    measured = [
        (bits, folder) for folder in checkpoints(run) if (bits := load_state(folder).val_bits_per_byte) is not None
    ]
    return min(measured)[1] if measured else None


def choose(run: Path, which: str) -> Path:
    """``last``, ``best`` or a step. Raises ``CheckpointError`` with what there is."""
    there = checkpoints(run)
    if not there:
        raise CheckpointError(f"{run} has no checkpoint; run pctrain fit first")
    if which == "last":
        return there[-1]
    if which == "best":
        return best(run) or there[-1]
    for folder in there:
        if folder.name == f"step-{which.lstrip('0'):0>8}":
            return folder
    steps = ", ".join(str(int(folder.name.removeprefix("step-"))) for folder in there)
    raise CheckpointError(f"{run} has no checkpoint {which!r}; it has last, best and those of steps {steps}")


def load_state(folder: Path) -> State:
    """Raises ``CheckpointError`` if the state is missing, damaged or of another version."""
    path = folder / _STATE
    _check(folder, _STATE)
    try:
        return State.from_json(path.read_bytes())
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    except (ConfigError, DatasetError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, path, error) from error


def check_shape(folder: Path, config: RunConfig, n_ids: int) -> None:
    """Raises ``CheckpointError`` unless the files have the tensors of such a model, before there is memory for one.

    Reads only the headers of the files: a state may claim more than they have.
    """
    shapes = _shapes(folder, _MODEL)
    n_modules = max(total_layers(config), config.model.predict_heads, config.model.raw_predict_heads)
    if n_modules > len(shapes):
        raise CheckpointError(
            f"{folder / _MODEL} belongs to another model: it has {len(shapes)} tensors, and its settings ask for "
            f"{n_modules} layers or heads"
        )
    with torch.device("meta"):
        _check_same(folder / _MODEL, shapes, _weights(make_model(config, n_ids)))


def load_model(folder: Path, model: nn.Module, world: World = _ALONE) -> None:
    """Fill in the weights. Raises ``CheckpointError`` if a file is damaged or of another model."""
    _read_tensors(folder, _MODEL, _weights(model), world)


def load_optimizer(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, world: World = _ALONE) -> None:
    """Fill in AdamW's averages and step counts; its rates and decays stay those of the present settings."""
    for parameter in model.parameters():
        steps = torch.zeros((), dtype=torch.float32, device=parameter.device)
        empty = {key: torch.zeros_like(parameter, requires_grad=False) for key in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": steps, **empty}
    _read_tensors(folder, _OPTIMIZER, _averages(model, optimizer), world)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a model, sharing its memory; one with two names (tied embeddings) has the first."""
    return {name: tensor.detach() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def _averages(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """AdamW's tensors by the names of their parameters, sharing its memory; a step count has shape [1],
    because safetensors cannot slice a scalar."""
    return {
        f"{name}.{key}": tensor if tensor.ndim else tensor.view(1)
        for name, parameter in model.named_parameters()
        for key, tensor in optimizer.state[parameter].items()
    }


def _write_tensors(folder: Path, tensors: Mapping[str, Tensor], world: World) -> None:
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    with _quiet():
        state_dict_saver.save(dict(tensors), storage_writer=writer, no_dist=world.size == 1)


def _read_tensors(folder: Path, name: str, tensors: Mapping[str, Tensor], world: World) -> None:
    """Fill in all of ``tensors``, of which each process may have a shard."""
    _check(folder, name, world)
    _check_same(folder / name, _shapes(folder, name), tensors)
    with _quiet(), _readable(folder, name):
        reader = HuggingFaceStorageReader(str(folder / name))
        state_dict_loader.load(dict(tensors), storage_reader=reader, no_dist=world.size == 1)


def _shapes(folder: Path, name: str) -> dict[str, tuple[int, ...]]:
    """The shapes of all tensors, from the headers of the files."""
    with _readable(folder, name):
        for path in (folder / name).iterdir():
            regular_file(folder, path.relative_to(folder).as_posix())
        found = HuggingFaceStorageReader(str(folder / name)).read_metadata().state_dict_metadata
    return {key: tuple(each.size) for key, each in found.items() if isinstance(each, TensorStorageMetadata)}


def _check_same(where: Path, shapes: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]) -> None:
    for key in {**shapes, **tensors}:
        wanted = tuple(tensors[key].shape) if key in tensors else None
        if shapes.get(key) != wanted:
            raise CheckpointError(
                f"{where} belongs to another model: {key} is {shapes.get(key, 'missing')} there and "
                f"{wanted or 'missing'} here"
            )


@contextmanager
def _readable(folder: Path, name: str) -> Iterator[None]:
    """Turn errors of torch and safetensors about the files into ``CheckpointError``; problems of the machine pass
    unchanged."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _damaged(folder, folder / name, error) from error
    except (OSError, MemoryError):
        raise
    except (CheckpointException, Exception) as error:
        cause = _cause(error)
        if not isinstance(cause, Exception) or isinstance(cause, OSError) or of_memory(cause) or of_peer(cause):
            raise cause from None
        raise _damaged(folder, folder / name, cause) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide torch's warning about a single process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _files(folder: Path) -> list[Path]:
    """All files below, the same list in every process."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _check(folder: Path, part: str, world: World = _ALONE) -> None:
    """Raises ``CheckpointError`` unless a file, or all files in a folder, match the checkpoint's sums. Each of several
    processes hashes some of them, and all raise."""
    try:
        lines = regular_file(folder, _SUMS).read_text(encoding="utf-8").split("\n")
        named = [(digest, check_path(name)) for digest, _, name in (line.partition("  ") for line in lines) if name]
    except (FileNotFoundError, NotADirectoryError, ValueError, DatasetError) as error:
        raise _damaged(folder, folder / _SUMS, error) from error
    sums = {folder / name: digest for digest, name in named}
    here = folder / part
    paths = sorted({path for path in sums if here in (path, *path.parents)} | {*_files(here)})
    if not paths:
        raise _damaged(folder, here, f"{_SUMS} does not name it")

    def faults(share: Sequence[Path]) -> Iterator[tuple[Path, str]]:
        for path in share:
            try:
                if sums.get(path) != _sum(regular_file(folder, path.relative_to(folder).as_posix())):
                    yield path, f"its hash is not the one in {_SUMS}"
            except (FileNotFoundError, NotADirectoryError, DatasetError) as error:
                yield path, str(error)

    for path, fault in world.divided(paths, faults):
        raise _damaged(folder, path, fault)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, path: Path, error: Exception | str) -> CheckpointError:
    reason = " ".join(str(error).split())[:120]
    return CheckpointError(f"{path} cannot be read ({reason}); remove {folder} to go back to the one before")
