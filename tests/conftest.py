"""How hard the property tests look: HYPOTHESIS_PROFILE is ``dev`` (default), ``ci`` or ``deep``. And which tests skip
themselves here."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# Speed is no law here and the machine is shared: no deadline, and slow generation is not a fault.
_SHARED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

settings.register_profile("dev", _SHARED, max_examples=12)
settings.register_profile("ci", _SHARED, max_examples=25, derandomize=True, database=None)
settings.register_profile("deep", _SHARED, max_examples=400)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

collect_ignore = ["example_codec"]  # a package of its own; test_example_codec.py installs it and runs its tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="there is no CUDA device")
    # On a GPU torch's compiler runs, and warns of torch itself, in each version of something else.
    lenient = pytest.mark.filterwarnings("default")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(lenient if torch.cuda.is_available() else missing)
