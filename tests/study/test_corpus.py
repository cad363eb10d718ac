"""Where a study finds its corpus."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import numpy
import pytest

from tools.study.corpus import located
from tools.study.plan import StudyError


def test_inputs_are_the_library_packages_and_paths() -> None:
    assert located("stdlib") == sysconfig.get_path("stdlib")
    assert located("package:numpy") == str(Path(numpy.__file__).parent)
    assert located("some/folder") == "some/folder"


@pytest.mark.parametrize("name", ["package:no_such_package", "package:token"])
def test_a_package_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match=f"needs {name}, but this Python has no package"):
        located(name)
