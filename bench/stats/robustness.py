"""Robustness over settings: not how good a method's best setting is, but how many are good.

A method's best of many settings says as much about the search as about the method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.stats.outcomes import DIVERGED, FINAL


@dataclass(frozen=True)
class Level:
    """A quality to reach, and where it is taken from, in words."""

    name: str
    value: float


@dataclass(frozen=True)
class Robustness:
    """A method over its settings, each by its median over seeds with diverged runs as infinite.

    Attributes:
        method: its name.
        settings: how many have a run that ended; `waiting` more have none.
        within: for each level, how many settings have a median at or below it.
        best_label, best: the setting with the lowest median.
        middle: the median of the settings' medians; infinite where half of them are.
        low, high: the quarter points of the settings' medians, each one of them.
        failed: settings whose median is infinite.
    """

    method: str
    settings: int
    waiting: int
    within: tuple[int, ...]
    best_label: str
    best: float
    middle: float
    low: float
    high: float
    failed: int


def setting_medians(frame: pd.DataFrame) -> pd.DataFrame:
    """Each setting's median final quality: columns label, method, median, n.

    A diverged run counts as infinite. The median is NaN, and n 0, where no run has ended.
    """
    rows = []
    for label, group in frame.groupby("label", sort=False):
        ended = group[group["status"].isin([FINAL, DIVERGED])]
        values = ended["final"].where(ended["status"] == FINAL, math.inf)
        rows.append((str(label), str(group["method"].iloc[0]), _median(values), len(values)))
    return pd.DataFrame(rows, columns=["label", "method", "median", "n"])


def several_settings(frame: pd.DataFrame) -> bool:
    """Whether some method has more than one setting."""
    return bool(frame.groupby("method")["label"].nunique().gt(1).any())


def stated_levels(
    frame: pd.DataFrame, floor: float | None, baselines: Mapping[str, float]
) -> list[Level]:
    """The levels to hold settings against, the last of them made by the sweep itself.

    Twice the floor, each baseline of the protocol, and the lowest of the methods' middle settings:
    what the best method reaches in half of its settings.
    """
    levels = [Level("twice the floor", 2 * floor)] if floor is not None else []
    levels += [Level(name, value) for name, value in baselines.items()]
    middles = [robustness.middle for robustness in robustness_by_method(frame, ())]
    finite = [value for value in middles if math.isfinite(value)]
    if finite:
        levels.append(Level("the best method's middle setting", min(finite)))
    return levels


def robustness_by_method(frame: pd.DataFrame, levels: tuple[Level, ...]) -> list[Robustness]:
    """Every method's robustness, in the order of `frame` (`bench.stats.outcomes`)."""
    found = []
    for method, group in setting_medians(frame).groupby("method", sort=False):
        ended = group[group["n"] > 0].sort_values("median", kind="stable")
        medians = ended["median"].to_numpy(dtype=float)
        count = len(medians)
        found.append(
            Robustness(
                method=str(method),
                settings=count,
                waiting=len(group) - count,
                within=tuple(int((medians <= level.value).sum()) for level in levels),
                best_label=str(ended["label"].iloc[0]) if count else "",
                best=float(medians[0]) if count else math.nan,
                middle=_median(medians),
                low=float(medians[math.floor((count - 1) / 4)]) if count else math.nan,
                high=float(medians[math.ceil(3 * (count - 1) / 4)]) if count else math.nan,
                failed=int(np.isinf(medians).sum()),
            )
        )
    return found


def _median(values: npt.ArrayLike) -> float:
    """The median, infinite where half of the values are; NaN of nothing."""
    held = np.asarray(values, dtype=float)
    return float(np.median(held)) if len(held) else math.nan
