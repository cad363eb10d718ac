"""A codec that is not pcdata's, for the length of a test."""

from __future__ import annotations

from pathlib import Path

import pytest


def plug_in(plugin: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package whose class ``Deadly`` is the codec ``deadly``, here and in processes that are started."""
    (plugin / "deadly-1.dist-info").mkdir(parents=True)
    (plugin / "deadly.py").write_text(source)
    (plugin / "deadly-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: deadly\nVersion: 1\n")
    (plugin / "deadly-1.dist-info/entry_points.txt").write_text("[pcdata.codecs]\ndeadly = deadly:Deadly\n")
    monkeypatch.syspath_prepend(str(plugin))
