"""Fixtures of the core's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from data_fakes import any_checksum

from wgan.data.places import CACHE, DATA


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder and an empty cache of the test's own; returns the data folder."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv(DATA, str(root))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    any_checksum(monkeypatch)
    return root
