"""Runs drawn by hypothesis."""

from hypothesis import strategies as st

from pctrain.config import MODES, SETTINGS, MixtureConfig
from tests.data.made_dataset import CHUNKS, LETTERS, in_order


@st.composite
def runs(draw, modes=MODES):
    """Settings of a small run: (data, mixture, seed)."""
    data = in_order(
        seq_len=draw(st.integers(8, 200)),
        rows=draw(st.integers(1, 7)),
        window_blocks=draw(st.integers(1, 9)),
        views=draw(st.sampled_from([{}, {LETTERS: 1.0}, {CHUNKS: 2.0}, {CHUNKS: 3.0, LETTERS: 1.0}])),
    )
    warmup, decay = draw(st.sampled_from([(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.4, 0.3), (0.0, 1.0)]))
    mixture = MixtureConfig(
        warmup_mode=draw(st.sampled_from(modes)),
        mode=draw(st.sampled_from(modes)),
        decay_mode=draw(st.sampled_from(modes)),
        warmup_fraction=warmup,
        decay_fraction=decay,
        warmup_share=draw(st.floats(0.1, 1)),
        share=draw(st.floats(0.1, 1)),
        decay_share=draw(st.floats(0, 1)),
        share_by=draw(st.sampled_from(["documents", "symbols"])),
        pair_order=draw(st.sampled_from(SETTINGS["mixture.pair_order"].choices)),
        splice_bytes=draw(st.integers(1, 200)),
    )
    return data, mixture, draw(st.integers(0, 99))
