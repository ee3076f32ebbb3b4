"""The table of all curves, against the same rows put together as dicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.curve_table import CurveTable

TYPES = {"run_id": "str", "step": "int64", "fid": "float64", "kid": "float64", "protocol": "str"}
Run = tuple[str, list[dict[str, object]]]


def gathered(runs: Sequence[Run]) -> pd.DataFrame:
    table = CurveTable(TYPES)
    for run_id, rows in runs:
        table.add({"run_id": run_id, "protocol": None if run_id == "b" else "p"}, rows)
    return table.frame()


def plainly(runs: Sequence[Run]) -> pd.DataFrame:
    """Every row a dict with all columns, which takes gigabytes where runs are many."""
    rows = [
        {**row, "run_id": run_id, "protocol": None if run_id == "b" else "p"}
        for run_id, own in runs
        for row in own
    ]
    more = {
        name
        for row in rows
        for name, value in row.items()
        if name not in TYPES and isinstance(value, int | float)
    }
    types = {**TYPES, **dict.fromkeys(sorted(more), "float64")}
    return pd.DataFrame(
        {
            name: pd.Series([row.get(name) for row in rows], dtype=kind)
            for name, kind in types.items()
        }
    )


figures = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats())
rows = st.fixed_dictionaries(
    {"step": st.integers(0, 2**62)},
    optional={
        **dict.fromkeys(("fid", "kid", "zeta", "alpha"), figures),
        "nonfinite": st.just(["fid"]),
    },
)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.lists(rows, max_size=4))))
def test_columns_hold_what_rows_would(runs: list[Run]) -> None:
    pd.testing.assert_frame_equal(gathered(runs), plainly(runs), check_exact=True)


def test_no_runs_make_an_empty_table_of_the_same_types() -> None:
    table = gathered([])
    assert len(table) == 0
    assert table.dtypes.to_dict() == gathered([("a", [{"step": 1, "fid": 2.0}])]).dtypes.to_dict()


def test_a_name_that_comes_late_is_missing_before() -> None:
    table = gathered([("a", [{"step": 0}, {"step": 1}]), ("b", []), ("c", [{"step": 5, "new": 3}])])
    assert table["new"].isna().tolist() == [True, True, False]
    assert table["run_id"].tolist() == ["a", "a", "c"]


def test_names_are_told_apart_from_a_row_s_own_words() -> None:
    """A row of a file may hold any name; whose it is is not the row's to say."""
    table = gathered([("a", [{"step": 0, "run_id": 7, "protocol": 1.5}])])
    assert table["run_id"].tolist() == ["a"]
    assert list(table.columns) == list(TYPES)


@pytest.mark.parametrize("value", [10**400, "x", [1.0], {}], ids=["huge", "word", "list", "map"])
def test_what_is_no_figure_is_missing_and_stops_nothing(value: object) -> None:
    table = gathered([("a", [{"step": 1, "fid": value}, {"step": 2, "fid": 2.0}])])
    assert math.isnan(table["fid"][0])
    assert table["fid"][1] == 2.0


@pytest.mark.parametrize(("value", "held"), [(None, 0), (2**70, 0), (3.0, 3), (3.5, 0), (True, 1)])
def test_a_whole_number_that_is_none_is_zero(value: object, held: int) -> None:
    table = gathered([("a", [{"step": value}, {"step": 2}])])
    assert table["step"].tolist() == [held, 2]
    assert table["step"].dtype == "int64"
