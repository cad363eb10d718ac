"""What takes the place of what: a figure of a figure, a page of a page, and of nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pcdata.errors import OptionError
from pcdata.output_files import FIGURE, PAGE, Kind, check_output

FIGURES = [b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"<?xml version='1.0'?>", b"<svg>", b""]


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [*(("a.png", FIGURE, data) for data in FIGURES), ("a.HTML", PAGE, b"<!DOCTYPE html>"), ("a.htm", PAGE, b"<html>")],
)
def test_one_of_the_kind_is_replaced(tmp_path: Path, name: str, kind: Kind, data: bytes) -> None:
    assert not check_output("-o", tmp_path / name, kind)
    (tmp_path / name).write_bytes(data)
    assert check_output("-o", tmp_path / name, kind)


@pytest.mark.parametrize(
    ("name", "kind", "data"),
    [
        ("a.png", FIGURE, b"notes"),
        ("a.svg", FIGURE, b"\x89PN"),
        ("a.html", PAGE, b"\x89PNG"),
        ("a.htm", PAGE, b"\0" * 99),
    ],
)
def test_another_file_stays(tmp_path: Path, name: str, kind: Kind, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(
        OptionError, match=rf"--plot .*{name} exists and is not a {kind.noun}; remove it, or name another"
    ):
        check_output("--plot", tmp_path / name, kind)


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")  # nor is anybody waited for
    (tmp_path / "link.png").symlink_to("nowhere")
    for name, why in (("folder", "is a folder; name a file"), ("pipe", "is not a figure"), ("link", "is not a figure")):
        with pytest.raises(OptionError, match=why):
            check_output("-o", tmp_path / f"{name}.png", FIGURE)
    with pytest.raises(OptionError, match="there is no folder"):
        check_output("-o", tmp_path / "nowhere" / "a.png", FIGURE)
    with pytest.raises(OptionError, match=r"must end in \.png, \.pdf, \.svg"):
        check_output("-o", tmp_path / "a.gif", FIGURE)
