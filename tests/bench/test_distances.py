"""The table of estimates against a known W1, from records whose answer can be computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from bench.report.distances import distances_table, known_distances


def runs(*labels: str) -> pd.DataFrame:
    ids = [f"r{place}" for place in range(len(labels))]
    return pd.DataFrame(
        {"run_id": ids, "label": labels, "seed": range(len(labels)), "steps": 9, "state": "done"}
    )


def curve(run_id: str, *estimates: float, w1: float = 2.0, k: float = 4.0) -> pd.DataFrame:
    values = np.array(estimates)
    return pd.DataFrame(
        {
            "run_id": run_id,
            "step": range(len(estimates)),
            "known_w1": w1,
            "estimate_held_out": values,
            "estimate_per_lipschitz": values / k,
            "estimate_certified": values / (2 * k),
            "lipschitz_lower_bound": k,
        }
    )


def test_the_last_evaluation_is_held_against_the_known_distance():
    found = known_distances(runs("a"), curve("r0", 100.0, 1.0))
    assert found["step"].tolist() == [1]
    assert found["estimate_held_out"].tolist() == [0.5]
    assert found["estimate_per_lipschitz"].tolist() == [1 / 4 / 2]
    assert found["estimate_certified"].tolist() == [1 / 8 / 2]


def test_the_table_has_means_with_intervals_and_counts_wrong_signs():
    table = distances_table(
        runs("a", "a", "a", "b"),
        pd.concat(
            [
                curve("r0", 2.0),
                curve("r1", 2.2),
                curve("r2", -1.0),
                curve("r3", 5.0, w1=5.0).drop(columns="estimate_certified"),
            ]
        ),
    )
    rows = [[(cell.text, cell.detail) for cell in row] for row in table.cells]
    ratios = np.array([1.0, 1.1, -0.5])
    low, high = scipy.stats.t.interval(
        0.95, 2, loc=ratios.mean(), scale=ratios.std(ddof=1) / math.sqrt(3)
    )
    frame = table.frame.set_index("label")
    assert frame.loc["a", "estimate_held_out"] == pytest.approx(ratios.mean())
    assert frame.loc["a", "estimate_held_out_low"] == pytest.approx(low)
    assert frame.loc["a", "estimate_held_out_high"] == pytest.approx(high)
    assert [row[0][0] for row in rows] == ["a", "b"]
    assert rows[0][-1] == ("1 of 3", "")
    assert rows[1][-1] == ("0 of 1", "")
    # Only one of the two settings has a finite product of norms: the other's cell is empty.
    titles = [column.title for column in table.columns]
    certified = titles.index("over norms")
    assert rows[1][certified][0] == "–"  # noqa: RUF001


def test_a_column_that_no_run_has_is_left_out():
    table = distances_table(runs("a"), curve("r0", 2.0).drop(columns="estimate_certified"))
    assert not [column for column in table.columns if "norms" in column.title]


@pytest.mark.parametrize("missing", ["column", "values"])
def test_where_no_distance_is_known_there_is_no_table(missing):
    curves = curve("r0", 2.0)
    if missing == "column":
        curves = curves.drop(columns="known_w1")
    else:
        curves["known_w1"] = np.nan
    assert distances_table(runs("a"), curves) is None
