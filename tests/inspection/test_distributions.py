"""``pcdata stats --plot``: the lengths are those of the documents, and anything can be drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from pcdata.cli import main
from pcdata.dataset import Dataset
from pcdata.inspection.distributions import plot, read_distributions
from tests.dataset.written import VIEWS, Row, sample_rows, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("distributions")
    more = [Row(b"c%d.c" % number, b"int x = %d;\n" % number * number, "C $1 $2") for number in range(1, 9)]
    write_dataset(folder, [*sample_rows(), *more], VIEWS)
    return Dataset(folder)


def test_lengths_and_sums_are_those_of_the_documents(dataset: Dataset) -> None:
    found = read_distributions(dataset)
    splits = [dataset.split(name) for name in dataset.splits]
    documents = [split.document(number) for split in splits for number in range(split.n_documents)]
    assert found.document_bytes.tolist() == [len(document.raw) for document in documents]
    assert found.of_documents == len(documents)
    raw_bytes, symbols = Counter[str](), {view.name: Counter[str]() for view in dataset.manifest.views}
    for document in documents:
        raw_bytes[document.lang] += len(document.raw)
        for view, counts in symbols.items():
            counts[document.lang] += len(document.symbols(view))
    assert found.raw_bytes == raw_bytes
    assert found.symbols == symbols
    assert len(raw_bytes) > 1
    assert list(found.raw_bytes.values()) == sorted(raw_bytes.values(), reverse=True)


def test_of_a_large_dataset_some_blocks_are_read_and_that_is_said(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_distributions(dataset, most_blocks=1)
    assert 0 < len(found.document_bytes) < found.of_documents
    monkeypatch.setattr("pcdata.inspection.distributions.read_distributions", lambda dataset: found)
    plot(dataset, tmp_path / "some.svg")
    said = f"{found.of_documents:,} documents; documents and languages: of {len(found.document_bytes):,} in blocks"
    assert said in (tmp_path / "some.svg").read_text()


def test_the_command_draws_and_prints_as_before(dataset: Dataset, tmp_path: Path) -> None:
    figure = tmp_path / "my figure.svg"
    plain = CliRunner().invoke(main, ["stats", str(dataset.folder)])
    drawn = CliRunner().invoke(main, ["stats", str(dataset.folder), "--plot", str(figure)])
    assert drawn.exit_code == 0, drawn.output
    assert drawn.stdout == plain.stdout
    assert drawn.stderr == f"{figure}: drawn\n"
    for text in ("raw bytes of a document", "raw bytes of a unit", "bpe", "zstd", "C $1 $2"):
        assert f"<!-- {text} -->" in figure.read_text()
    again = CliRunner().invoke(main, ["stats", str(dataset.folder), "--plot", str(figure)])
    assert (again.exit_code, again.stderr) == (0, f"{figure}: replaced\n")
    figure.write_text("notes")
    kept = CliRunner().invoke(main, ["stats", str(dataset.folder), "--plot", str(figure)])
    assert (kept.exit_code, kept.stdout, figure.read_text()) == (1, "", "notes")
    refused = CliRunner().invoke(main, ["stats", str(dataset.folder), "--plot", "x.gif"])
    assert (refused.exit_code, refused.stdout) == (1, "")


@pytest.mark.parametrize("views", [(), VIEWS[:1]])
def test_a_dataset_without_bytes_or_views_is_drawn_too(tmp_path: Path, views: tuple[str, ...]) -> None:
    write_dataset(tmp_path, [Row(b"empty", b"")], views)
    plot(Dataset(tmp_path), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")
