"""``pctrain neural fit``: train the byte model with pctrain's own loop, then write it as a codec's artifact.

The run (checkpoints, metrics) is in ``run/`` inside the artifact's folder and can be resumed. The artifact is written
after training, its record last: without the record there is no artifact.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from pcdata.codecs.base import offsets_of
from pcdata.codecs.byte_model import REACH_BYTES, ByteModel
from pcdata.codecs.fitted import RECORD, ArtifactRecord
from pcdata.codecs.segments import LONGEST_SEGMENT_BYTES, document_entropies, find_threshold
from pcdata.dataset import Dataset
from pcdata.dataset.arrow_writer import write_file
from pcdata.dataset.files import remove_left_beside
from pcdata.dataset.manifest import Amount
from pctrain.config import RunConfig
from pctrain.data.schedule import Schedule
from pctrain.errors import ConfigError
from pctrain.model.decoder import METHODS
from pctrain.neural.artifact import LEAST_SEGMENT_BYTES, Numbers, canary, pack
from pctrain.neural.codec import NeuralParameters
from pctrain.neural.exact import Exact, check_shape
from pctrain.neural.model import NeuralModel
from pctrain.training.loop import Outcome
from pctrain.training.loop import fit as train
from pctrain.training.progress import ByteProgress, speaks
from pctrain.training.run_folder import load_model

RUN: Final = "run"
_STRETCH_BYTES: Final = 2048
"""The most bytes taken of one document: for the lengths of segments, more documents say more than longer ones."""
_SAMPLE_BYTES: Final = 1 << 19


def fit(
    folders: Sequence[Path],
    output: Path,
    config: RunConfig,
    *,
    restart: bool = False,
    verify: bool = True,
    quiet: bool = False,
) -> Outcome:
    """Train, or resume, until ``config.train.steps``; then write the artifact, unless a signal stopped the training.

    Raises ``ConfigError`` for settings that no codec's model can have, and what ``training.loop.fit`` raises.
    """
    check(config)
    (output / RECORD).unlink(missing_ok=True)
    outcome = train(folders, output / RUN, config, restart=restart, verify=verify, quiet=quiet)
    if outcome.signal is None and speaks():  # the first of several processes
        write(folders, output, quiet=quiet)
    return outcome


def check(config: RunConfig) -> None:
    """Raises ``ConfigError`` unless this trains a model of raw bytes that a codec can run."""
    check_shape(config.model)
    if not Schedule.of(config).raw_only:
        raise ConfigError("a codec's model is trained on raw bytes alone: mixture.mode=raw, mixture.warmup_fraction=0")


def write(folders: Sequence[Path], output: Path, *, quiet: bool) -> None:
    """Write the artifact of the run's last checkpoint."""
    decoder, state = load_model(output / RUN, "last", torch.device("cpu"))
    named = decoder.named_parameters()
    weights = {name: parameter.detach() for name, parameter in named if not name.startswith(METHODS)}
    model = NeuralModel(Exact(state.config.model, weights))
    stretches = sample([Dataset(folder) for folder in folders])
    numbers = Numbers(thresholds(model, stretches, quiet=quiet), canary(model))
    files = pack(state.config.model, weights, numbers)
    for name in (*files, RECORD):
        remove_left_beside(output / name)
    entries = tuple(write_file(output, name, data) for name, data in files.items())
    fitted_on = Amount(len(stretches), sum(map(len, stretches)))
    prints = {name: dataset.base for name, dataset in state.datasets.items()}
    options = {"step": state.step, "config": state.config.to_dict(), "datasets": prints}
    parameters = dataclasses.asdict(NeuralParameters())
    record = ArtifactRecord("neural", parameters, fitted_on, {"torch": torch.__version__}, options, entries)
    write_file(output, RECORD, record.to_bytes())


def sample(datasets: Sequence[Dataset]) -> list[bytes]:
    """Stretches of documents of the train splits, those with the smallest hashes first. The hash also decides where in
    the document a stretch begins."""
    found: list[tuple[bytes, bytes]] = []
    for split in (dataset.split("train") for dataset in datasets):
        for block in range(split.n_blocks):
            base = split.base(block)
            for row in range(len(base.raw_offsets) - 1):
                raw = base.raw_of(row)
                digest = hashlib.blake2b(raw.tobytes(), digest_size=16, person=b"neural-threshold").digest()
                first = int.from_bytes(digest[8:]) % (max(0, len(raw) - _STRETCH_BYTES) + 1)
                found.append((digest, raw[first : first + _STRETCH_BYTES].tobytes()))
    stretches = [stretch for _, stretch in sorted(found) if len(stretch) > REACH_BYTES]
    ends = np.cumsum([len(stretch) for stretch in stretches])
    return stretches[: int(np.searchsorted(ends, _SAMPLE_BYTES)) + 1]


def thresholds(model: ByteModel, stretches: Sequence[bytes], *, quiet: bool) -> tuple[int, ...]:
    """The threshold for each mean segment length on the sample.

    The first bytes of a stretch are left out, because most bytes have as much context as the model may see.
    """
    pieces = [np.zeros(0, np.uint32)]
    n_bytes = sum(map(len, stretches))
    with ByteProgress("thresholds", n_bytes, quiet) as progress:
        for stretch in stretches:
            entropies = document_entropies(model, np.frombuffer(stretch, np.uint8), np.zeros(1, np.int64))
            pieces.append(entropies[REACH_BYTES:])
            progress.update(len(stretch))
    starts = offsets_of([len(piece) for piece in pieces[1:]])[:-1]
    entropies = np.concatenate(pieces)
    means = range(LEAST_SEGMENT_BYTES, LONGEST_SEGMENT_BYTES + 1)
    return tuple(find_threshold(entropies, starts, mean) for mean in means)
