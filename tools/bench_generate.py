"""How fast is text generated on one CPU core, compared with reading the weights once per byte?

The limit is the least that every byte costs: the products of one state with every matrix that it passes through, in a
bare loop (``torch.mv``), using only the rows of raw ids from the output matrix. Attention, norms and sampling are not
included. *Sum of the weights* reads the same memory without multiplying: where it is no faster than the products, these
are as fast as memory. ``transformers`` generates greedily with the exported weights and its own cache. Weights are
random where speed does not depend on them.

Then drafting (``model.predict_heads``): the speed-up from further heads, for a model of the preset's shape that was
trained for a minute on one page of text and continues it. Its heads are nearly always right: the best case. A pass over
4 bytes takes two to three times as long as one over a single byte.

    OMP_NUM_THREADS=1 python -m tools.bench_generate [--rounds 5] [--presets tiny,base] [--bytes 100] [--steps 400]

Goals: 0.8 of the limit; drafting faster than without. Prints two tables (of this process's own time) and one JSON line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pcdata.dataset.vocab import BOS, FIRST_BYTE, RAW_CLOSE, RAW_IDS, RAW_OPEN
from pctrain.config import ModelConfig, resolve
from pctrain.inference.export import llama_tensors
from pctrain.inference.generate import Generation, Sampling
from pctrain.model.decoder import Decoder, init_weights
from pctrain.model.loss import Objective
from tools.benching import in_turn, parser_of, print_json, print_table, rate, ratio
from tools.llama import llama

PROMPT = b"def "
HEADS = 4
PAGE = (
    b"The cat sat on the mat and looked at the door. A bird sang outside, small and grey, and would not stop. When the "
    b"rain began the cat went in, and the bird flew up under the roof, where it was dry, and sang there until noon.\n"
)


def made(config: ModelConfig, n_ids: int) -> Decoder:
    model = Decoder(config, n_ids)
    init_weights(model, 0)
    return model.eval()


def ours(model: Decoder, prompt: bytes, count: int, window: int, *, drafts: bool = True) -> Callable[[], None]:
    """As ``pctrain generate``; a document that ends before ``count`` bytes would spoil the comparison."""

    def run() -> None:
        generation = Generation(model, prompt, Sampling(count), window, drafts=drafts)
        if (n := len(bytes(generation))) != count:
            raise SystemExit(f"the document ended after {n} bytes of {count}")

    return run


def matrices_of(model: Decoder) -> list[Tensor]:
    """The matrices that a byte passes through; of the output matrix, the raw ids."""
    layers = [module.weight.detach() for module in model.layers.modules() if isinstance(module, nn.Linear)]
    return [*layers, model.head.weight.detach()[:RAW_IDS]]


def with_matrices(model: Decoder, count: int, use: Callable[[Tensor, Tensor], object]) -> Callable[[], None]:
    """Call ``use`` with each matrix and a vector that fits it, ``count`` times."""
    matrices = matrices_of(model)
    vectors = {matrix.shape[1]: torch.ones(matrix.shape[1]) for matrix in matrices}
    pairs = [(matrix, vectors[matrix.shape[1]]) for matrix in matrices]

    @torch.inference_mode()
    def run() -> None:
        for _ in range(count):
            for matrix, vector in pairs:
                use(matrix, vector)

    return run


def transformers_loop(model: Decoder, count: int, window: int) -> Callable[[], None]:
    """transformers with the exported weights and the same prompt. Raises ``ImportError`` if it is not installed."""
    theirs = llama(model.config, RAW_IDS, window).eval()
    theirs.load_state_dict(llama_tensors(model))
    inputs = torch.tensor([[BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in PROMPT)]])
    exactly: dict[str, Any] = {"min_new_tokens": count, "max_new_tokens": count, "do_sample": False}

    @torch.inference_mode()
    def run() -> None:
        theirs.generate(
            inputs, attention_mask=torch.ones_like(inputs), eos_token_id=RAW_CLOSE, pad_token_id=0, **exactly
        )

    return run


def measure_speed(preset: str, count: int, rounds: int) -> dict[str, Any]:
    config = resolve(preset, None, [])
    window = config.data.seq_len
    model = made(config.model, 16_704)
    contestants = {
        "pctrain": ours(model, PROMPT, count, window),
        "limit: products": with_matrices(model, count, torch.mv),
        "sum of the weights": with_matrices(model, count, lambda matrix, _: matrix.sum()),
    }
    try:
        contestants["transformers"] = transformers_loop(model, count, window)
    except ImportError as error:
        print(f"transformers is left out: {error}")
    seconds = in_turn(contestants, rounds, time.process_time)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    limit = seconds["limit: products"]
    speed = [
        {"name": name, "bytes_per_s": rate(count, taken), "of_limit": ratio(limit, taken)}
        for name, taken in seconds.items()
    ]
    return {"preset": preset, "parameters": parameters, "speed": speed}


def taught(config: ModelConfig, steps: int) -> Decoder:
    """A model with further heads that has memorised ``PAGE``, trained on it in rows of 257."""
    model = Decoder(replace(config, predict_heads=HEADS), 384)
    init_weights(model, 0)
    ids = torch.tensor([BOS, RAW_OPEN, *(FIRST_BYTE + byte for byte in PAGE * 2)])[None, :257]
    positions, samples, views = torch.arange(256)[None], torch.ones(1, 256).int(), torch.zeros(1, 256).int()
    objective, optimizer = Objective(model, []), torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (objective(ids[:, :-1], ids[:, 1:], positions, samples, views).nats / 256).backward()
        optimizer.step()
    return model.eval()


def measure_drafting(preset: str, count: int, steps: int, rounds: int) -> dict[str, Any]:
    """Bytes per second with and without drafts, and bytes per pass with them."""
    config = resolve(preset, None, [])
    model = taught(config.model, steps)
    prompt = PAGE[:20]
    kinds = {"with drafts": True, "without": False}
    contestants = {name: ours(model, prompt, count, 512, drafts=drafts) for name, drafts in kinds.items()}
    seconds = in_turn(contestants, rounds, time.process_time)
    generation = Generation(model, prompt, Sampling(count), 512)
    list(generation)
    return {
        "bytes_per_pass": generation.bytes_made / generation.passes,
        "speed": [{"name": name, "bytes_per_s": rate(count, taken)} for name, taken in seconds.items()],
        "faster": ratio(seconds["without"], seconds["with drafts"]),
    }


def main() -> None:
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--presets", default="tiny,base")
    parser.add_argument("--bytes", type=int, default=100, help="bytes to generate per round")
    parser.add_argument("--steps", type=int, default=400, help="training steps of the first preset, for drafting")
    given = parser.parse_args()
    presets = given.presets.split(",")
    speeds = [measure_speed(preset, given.bytes, given.rounds) for preset in presets]
    for found in speeds:
        name = f"{found['preset']}, {found['parameters']:,} parameters"
        print_table({name: "{name}", "bytes/s": "{bytes_per_s:.1f}", "of the limit": "{of_limit:.2f}"}, found["speed"])
    drafting = measure_drafting(presets[0], given.bytes, given.steps, given.rounds)
    print(f"\n{presets[0]} with {HEADS} heads on text it knows, {drafting['bytes_per_pass']:.1f} bytes a pass")
    print_table({"drafting": "{name}", "bytes/s": "{bytes_per_s:.1f}"}, drafting["speed"])
    print(f"times faster: {drafting['faster']:.2f}")
    print_json("generate", {"presets": speeds, "drafting": drafting}, "numpy", "torch")


if __name__ == "__main__":
    main()
