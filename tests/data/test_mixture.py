from collections import Counter

import numpy as np
import pytest

from pcdata.dataset.vocab import MAX_VIEWS
from pctrain.config import MixtureConfig
from pctrain.data.draws import Purpose, uniform
from pctrain.data.mixture import RAW, AppearanceDraws, Lengths, Mixture
from pctrain.data.schedule import BAGS, Phase

DOCUMENTS = 40_000


def make(weights=(1.0,), **settings) -> Mixture:
    return Mixture(MixtureConfig(**settings), weights, Lengths(1.0, 1.0))


def shown(phase: Phase, mixture: Mixture, seed: int = 3) -> Counter:
    """How often documents are shown in which views, in order."""
    numbers = np.arange(DOCUMENTS, dtype=np.uint64)
    purposes = (Purpose.KIND, Purpose.VIEW, Purpose.PAIR_ORDER)
    draws = zip(*(uniform(seed, 0, numbers, purpose).tolist() for purpose in purposes), strict=True)
    odds = mixture.odds(phase)
    return Counter(mixture.appearance(odds, AppearanceDraws(*appearance_draws)).views for appearance_draws in draws)


def near(count: int, probability: float) -> bool:
    """Within 4 standard deviations of a binomial."""
    return abs(count - DOCUMENTS * probability) <= 4 * np.sqrt(DOCUMENTS * probability * (1 - probability))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.5, 0.6, 0.9, 1.0])
def test_pairs_come_as_published(share):
    """Zheng et al. 2026: a pair with x/(1 - x), else raw; above one half compressed with 2 - 1/x, else a pair."""
    counts = shown(Phase("translation", share), make())
    pairs, raw, compressed = counts[0, 1] + counts[1, 0], counts[0,], counts[1,]
    if share <= 0.5:
        assert near(pairs, share / (1 - share))
        assert compressed == 0
    else:
        assert near(compressed, 2 - 1 / share)
        assert raw == 0
    assert near(counts[0, 1] * DOCUMENTS // max(pairs, 1), 0.5) or pairs < DOCUMENTS / 10
    showings = raw + compressed + 2 * pairs
    assert (compressed + pairs) / showings == pytest.approx(share, abs=0.01), "the share that was asked for"


@pytest.mark.parametrize(("mode", "share"), [("raw", 0.0), ("compressed", 1.0), ("mixed", 0.7), ("mixed", 1.0)])
def test_solo_modes_show_the_share_compressed(mode, share):
    counts = shown(Phase(mode, share), make())
    assert set(counts) <= {(RAW,), (1,)}
    assert near(counts[1,], share)


@pytest.mark.parametrize(("order", "sides"), [("raw_first", {(0, 1)}), ("compressed_first", {(1, 0)})])
def test_pair_order_can_be_fixed(order, sides):
    assert set(shown(Phase("translation", 0.5), make(pair_order=order))) == sides


def test_views_come_by_weight_and_independently_of_the_kind():
    counts = shown(Phase("translation", 0.6), make([3.0, 1.0, 4.0]))
    total = Counter()
    for appearance, count in counts.items():
        total[max(appearance)] += count
    assert [near(total[1 + i], weight / 8) for i, weight in enumerate([3, 1, 4])] == [True] * 3
    pairs = {view: sum(n for shown, n in counts.items() if len(shown) == 2 and view in shown) for view in (1, 2, 3)}
    assert [pairs[view] / total[view] for view in (1, 2, 3)] == pytest.approx([2 / 3] * 3, abs=0.03)


def test_bags_come_after_as_many_views_as_a_dataset_can_have():
    mixture = Mixture(MixtureConfig(), [1.0] * MAX_VIEWS + [0.0], Lengths(1.0, 1.0), 1 + MAX_VIEWS)
    assert {*shown(Phase(BAGS, 0.0), mixture)} == {(1 + MAX_VIEWS,)}
