"""How fast the codec ``neural`` encodes on one core, by the size of its model: MB/s of raw bytes, and where time goes.

The weights are not trained, which costs the same. Every byte passes through the model twice, once with its document
before it and once with its segment; *forward* is the share of encoding that the decoder's passes take, and the rest is
counts, entropies and the coder. In processor time, because a machine may be shared; best of three. Prints a table,
then one line of JSON.
"""

from __future__ import annotations

import json
import platform
import sysconfig
import time
from pathlib import Path
from typing import Any

import torch

from pcdata.codecs.window_codec import WindowCodec, WindowOptions
from pctrain.config import resolve
from pctrain.model.decoder import Decoder, init_weights
from pctrain.neural.exact import Exact
from pctrain.neural.model import NeuralModel

SIZES = {"neural-1m": 40_000, "neural-5m": 20_000, "neural-40m": 4_000}
"""Raw bytes to encode."""
THRESHOLD = 3 << 16
RUNS = 3


class Timed(Exact):
    """Adds up what its passes take."""

    seconds = 0.0

    def odds(self, *given: Any) -> Any:
        begun = time.process_time()
        result = super().odds(*given)
        self.seconds += time.process_time() - begun
        return result


def main() -> None:
    text = (Path(sysconfig.get_path("stdlib")) / "argparse.py").read_bytes()
    results = []
    print(f"{'preset':>10} {'parameters':>12} {'encode MB/s':>12} {'forward':>8}")
    for name, size in SIZES.items():
        model = Decoder(resolve(name, None, []).model, 320)
        init_weights(model, 0)
        exact = Timed(model.config, dict(model.named_parameters()))
        codec = WindowCodec(NeuralModel(exact), THRESHOLD, WindowOptions.of(16, 0, "segment"))
        codec.encode([text[:500]])
        best = min((timed(codec, exact, text[:size]) for _ in range(RUNS)), key=lambda pair: pair[0])
        parameters = sum(parameter.numel() for parameter in model.parameters())
        results.append({"preset": name, "parameters": parameters, "mb_per_s": size / 1e6 / best[0], "forward": best[1]})
        print(f"{name:>10} {parameters:12,} {results[-1]['mb_per_s']:12.4f} {best[1]:8.0%}", flush=True)
    made_with = {"machine": platform.machine(), "python": platform.python_version(), "torch": torch.__version__}
    print(json.dumps({**made_with, "results": results}))


def timed(codec: WindowCodec, exact: Timed, text: bytes) -> tuple[float, float]:
    """Seconds, and the share of the forward passes."""
    exact.seconds, begun = 0.0, time.process_time()
    codec.encode([text])
    seconds = time.process_time() - begun
    return seconds, exact.seconds / seconds


if __name__ == "__main__":
    main()
