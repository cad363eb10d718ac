"""Datasets that are read as one agree in what a symbol means, whatever else they hold."""

import dataclasses

import pytest

from pcdata.dataset import Dataset
from pcdata.dataset.manifest import FileEntry
from pctrain.data.datasets import by_name, shared_views, vocabulary_of
from pctrain.errors import ConfigError
from tests.data.made_dataset import CHUNKS, IDS, LETTERS, make_documents, write_dataset


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> list[Dataset]:
    folder = tmp_path_factory.mktemp("two")
    return [write_dataset(folder / name, make_documents(9, seed)) for seed, name in enumerate(("a", "b"))]


def changed(dataset: Dataset, name: str, **values: object) -> Dataset:
    """The same files, with a view described otherwise."""
    views = [
        dataclasses.replace(view, **values) if view.name == name else view  # type: ignore[arg-type]
        for view in dataset.manifest.views
    ]
    other = Dataset(dataset.folder)
    other.manifest = dataclasses.replace(dataset.manifest, views=tuple(views))
    return other


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"codec": "bpe"}, "codec is made and bpe"),
        ({"parameters": {"level": 3}}, r"parameters is \{\} and \{'level': 3\}"),
        ({"artifact": (FileEntry("views/letters/artifact/x", 1, "ab" * 32),)}, r"artifact is \[\] and \['(ab){32}'\]"),
        ({"n_symbols": 999}, "number of symbols is 1000 and 999"),
    ],
)
def test_a_view_that_means_something_else_in_each_is_refused(two, values, what):
    datasets = [two[0], changed(two[1], LETTERS, **values)]
    with pytest.raises(
        ConfigError, match=rf"view 'letters' is not the same in .*a and .*b: its {what}; build both with"
    ):
        shared_views(datasets, [])
    assert [*shared_views(datasets, [CHUNKS])] == [CHUNKS], "a view that nobody reads may be anything"


def test_ids_need_not_agree_since_the_model_has_its_own(two):
    first, moved = two[0], changed(two[1], LETTERS, slot=7, first_id=9000)
    names = [LETTERS, CHUNKS]
    assert vocabulary_of([first, moved], names) == vocabulary_of([first], names)
    assert vocabulary_of([first], [LETTERS]).views[LETTERS].n_symbols == IDS[LETTERS].n_symbols


def test_a_view_that_one_lacks_is_refused_with_those_that_all_have(two):
    without = Dataset(two[1].folder)
    without.manifest = dataclasses.replace(two[1].manifest, views=(two[1].manifest.view(CHUNKS),))
    with pytest.raises(ConfigError, match=r"view 'letters' is missing in .*b; add it .* all datasets have: chunks"):
        shared_views([two[0], without], [])


def test_names_are_those_of_the_folders_and_each_is_there_once(two, tmp_path):
    assert [*by_name(two[::-1])] == ["a", "b"]
    (tmp_path / "c").symlink_to(two[0].folder)
    assert [*by_name([*two, Dataset(tmp_path / "c")])] == ["a", "b", "c"]
    (tmp_path / "a").symlink_to(two[1].folder)
    with pytest.raises(ConfigError, match="are both named 'a'; rename one, or give a link"):
        by_name([two[0], Dataset(tmp_path / "a")])
    with pytest.raises(ConfigError, match="no dataset is given"):
        by_name([])
