"""The browser of these tests, and the reports that it opens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))  # fake_records, large_records

from fake_records import fake_records
from large_records import large_records

from bench.records import Records
from bench.report import render
from bench.report.writing import write_files
from tests.browser.chromium import Chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


def rich() -> Records:
    """Four recipes with pictures, of which some runs diverged, failed or died."""
    records = fake_records(seeds=range(6))
    runs = records.runs.copy()
    runs.loc[1, ["state", "reason"]] = ["diverged", "the critic's loss was not finite at step 400"]
    runs.loc[7, ["state", "reason"]] = ["failed", "killed by signal 9"]
    runs.loc[8, "dead_critic"] = True
    curves = records.curves.assign(
        known_w1=2.0, estimate_per_lipschitz=1.1, lipschitz_lower_bound=1.5
    )
    return replace(records, runs=runs, curves=curves)


def empty() -> Records:
    """A sweep of which nothing has run yet."""
    records = fake_records(["gan"], range(2), pictures=False)
    runs = records.runs.assign(state="pending", steps=0, protocol_id=None)
    curves = records.curves.iloc[:0]
    return replace(records, runs=runs, curves=curves, protocols=[], environments={}, folders={})


def wide() -> Records:
    """60 settings with long names."""
    return large_records(60, 3, evaluations=26, long=True)


REPORTS = {"rich": rich, "empty": empty, "wide": wide}


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By name, the folder of each report."""
    folders = {}
    for name, records in REPORTS.items():
        rendered = render(records())
        folders[name] = tmp_path_factory.mktemp(name)
        texts = {"report.html": rendered.html.encode(), "report.md": rendered.markdown.encode()}
        write_files(folders[name], rendered.files | texts)
    return folders
