"""How fast does the codec ``neural`` encode on one core, by size of its model: MB/s of raw bytes, and where time goes.

The weights are not trained, which costs the same. Every byte passes through the model twice, once with its document
before it and once with its segment. *Forward* is the share of encoding spent in the decoder's passes; the rest is
counts, entropies and the coder. In processor time, because the machine may be shared.

    OMP_NUM_THREADS=1 python -m tools.bench_neural [--rounds 3] [--presets neural-1m,neural-5m,neural-40m] [--bytes N]

Prints a table and one JSON line.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from pcdata.codecs.window_codec import WindowCodec, WindowOptions
from pctrain.config import resolve
from pctrain.model.decoder import Decoder, init_weights
from pctrain.neural.exact import Exact
from pctrain.neural.model import NeuralModel
from tools.benching import in_turn, parser_of, print_json, print_table, rate
from tools.corpora import STDLIB

SIZES = {"neural-1m": 40_000, "neural-5m": 20_000, "neural-40m": 4_000}
"""Raw bytes to encode."""
THRESHOLD = 3 << 16
COLUMNS = {
    "preset": "{preset}",
    "parameters": "{parameters:,}",
    "encode MB/s": "{mb_per_s:.4f}",
    "forward": "{forward:.0%}",
}


class Timed(Exact):
    """Sums the time of its passes."""

    seconds = 0.0

    def odds(self, *given: Any) -> Any:
        begun = time.process_time()
        result = super().odds(*given)
        self.seconds += time.process_time() - begun
        return result


def measure(preset: str, text: bytes, rounds: int) -> dict[str, Any]:
    model = Decoder(resolve(preset, None, []).model, 320)
    init_weights(model, 0)
    exact = Timed(model.config, dict(model.named_parameters()))
    codec = WindowCodec(NeuralModel(exact), THRESHOLD, WindowOptions.of(16, 0, "segment"))
    begun = time.process_time()
    seconds = in_turn({"encode": partial(codec.encode, [text])}, rounds, time.process_time)["encode"]
    return {
        "preset": preset,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "mb_per_s": rate(len(text) / 1e6, seconds),
        "forward": exact.seconds / (time.process_time() - begun),
    }


def main() -> None:
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--presets", default=",".join(SIZES))
    parser.add_argument("--bytes", type=int, help="bytes to encode; default: fewer for larger models")
    given = parser.parse_args()
    text = (STDLIB / "argparse.py").read_bytes()
    results = [
        measure(preset, text[: given.bytes or SIZES[preset]], given.rounds) for preset in given.presets.split(",")
    ]
    print_table(COLUMNS, results)
    print_json("neural", results, "numpy", "torch")


if __name__ == "__main__":
    main()
