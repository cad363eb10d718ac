"""Measurements of a trained model besides bits per byte, as JSON: ``python -m tools.study.measure RUN STUDY_FOLDER``.

* Edited documents: bits per byte in raw bytes, and in the arm's view of the edited text, after each edit.
* Translation in context: the model is shown the beginning of a document compressed, then a raw-open mark, and continues
  greedily for as many bytes. Measured is the Levenshtein distance to the true bytes, over the longer of the two. In the
  control, the model is shown the beginning of another document.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pcdata.dataset import Dataset, Document
from pcdata.dataset.vocab import BOS, FIRST_BYTE, N_BYTES, RAW_OPEN, ViewIds
from pcdata.probing.stability import distance
from pctrain.inference.evaluate import evaluate
from pctrain.model.decoder import LanguageModel
from pctrain.model.device import autocast, choose_device
from pctrain.model.scoring import Windowing
from pctrain.training.resume import State
from pctrain.training.run_folder import load_model
from tools.benching import parser_of
from tools.study.corpus import UNEDITED, Datasets

_SPAN_BYTES: Final = 48
"""The least raw bytes of a translated span, which ends with a unit."""


def measure(run: Path, folder: Path, device: str) -> dict[str, Any]:
    where = choose_device(device)
    model, state = load_model(run, "last", where)
    places = Datasets(folder).edited()
    view = next(iter(state.views), None)
    with autocast(where, state.config.runtime.dtype):
        found: dict[str, Any] = {"edits": {name: edited_bits(model, state, place) for name, place in places.items()}}
        if view is not None:
            found["translation"] = translation(model, state.vocabulary.views[view], view, Dataset(places[UNEDITED]))
    return found


def edited_bits(model: LanguageModel, state: State, place: Path) -> dict[str, float]:
    """Bits per byte of the edited text: raw, and by view."""
    windowing = Windowing(state.config.data.seq_len, state.config.data.seq_len)
    views = {name: state.vocabulary.views[name] for name in state.views}
    values = evaluate(model, Dataset(place).split("train"), views, windowing=windowing).to_dict()
    return {name: figures["bits_per_byte"] for name, figures in {"raw": values["raw"], **values["views"]}.items()}


def translation(model: LanguageModel, ids: ViewIds, view: str, dataset: Dataset) -> dict[str, float]:
    split = dataset.split("train")
    spans = [_span(split.document(number), view) for number in range(split.n_documents)]
    others = [*spans[1:], spans[0]]
    own, control = [], []
    for (symbols, raw), (other, _) in zip(spans, others, strict=True):
        own.append(distance(_raw_after(model, ids, symbols, len(raw)), raw))
        control.append(distance(_raw_after(model, ids, other, len(raw)), raw))
    return {"spans": len(spans), "distance": float(np.mean(own)), "control": float(np.mean(control))}


def _span(document: Document, view: str) -> tuple[np.ndarray, np.ndarray]:
    """The symbols of a document's first units, and the raw bytes that they encode."""
    points = document.alignment(view)
    unit = min(int(np.searchsorted(points.raw_ends, _SPAN_BYTES)), len(points.raw_ends) - 1)
    return document.symbols(view)[: points.symbol_ends[unit]], document.raw[: points.raw_ends[unit]]


@torch.no_grad()
def _raw_after(model: LanguageModel, ids: ViewIds, symbols: np.ndarray, n_bytes: int) -> np.ndarray:
    """The most likely raw bytes, one after another, after a compressed span. [n_bytes]"""
    shown = [BOS, ids.open_id, *(symbols.astype(np.int64) + ids.first_id).tolist(), RAW_OPEN]
    cache, device = model.new_cache(len(shown) + n_bytes), next(model.parameters()).device
    made: list[int] = []
    for _ in range(n_bytes):
        state_D = model.hidden(torch.tensor([shown], device=device), cache=cache)[0, -1]
        made.append(int(model.logits(state_D)[FIRST_BYTE : FIRST_BYTE + N_BYTES].argmax()))
        shown = [FIRST_BYTE + made[-1]]
    return np.array(made, np.uint8)


def main() -> None:
    parser = parser_of(__doc__, rounds=0)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.run, arguments.folder, arguments.device)))


if __name__ == "__main__":
    main()
