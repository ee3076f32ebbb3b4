"""What is described beside the primary analysis: which curve, how lagged or smoothed, which figure.

Everything is signed so that +1 means that the curve and the quality measure fall together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.stats.evaluations import PRIMARY_ESTIMATE, Evaluations, Vector
from bench.stats.other_ranks import difference_rows, kendall_rows, partial_rows
from bench.stats.rank import (
    LEAST_EVALUATIONS,
    LEAST_RAW_EVALUATIONS,
    beyond_time,
    pearson_rows,
)

LAGS = (-3, -2, -1, 0, 1, 2, 3)  # evaluations
WIDTHS = (3, 5)  # evaluations over which a running mean or median is taken


@dataclass(frozen=True)
class Curve:
    """A curve that is held against quality.

    Attributes:
        name: in words.
        take: its values at all evaluations of a run, signed.
        sign: what was done to its sign, in words; "" for nothing.
    """

    name: str
    take: Callable[[Evaluations], Vector]
    sign: str = ""


def _column(name: str) -> Callable[[Evaluations], Vector]:
    return lambda taken: taken.figure(name)


# A critic's loss is a falling function of the distance it estimates (minus it for the Wasserstein
# loss; bench's other losses likewise), so its sign is turned: a working critic's loss rises towards
# 0 as samples improve.
CURVES = {
    PRIMARY_ESTIMATE: Curve("held-out estimate", _column(PRIMARY_ESTIMATE)),
    "estimate": Curve("training estimate", _column("estimate")),
    "estimate_window": Curve("estimate over the training window", _column("estimate_window")),
    "loss_with_penalty": Curve(
        "critic's loss with its penalty",
        lambda taken: -(taken.figure("critic_loss") + taken.figure("penalty")),
        "sign turned: the critic's loss falls as the distance that it estimates grows",
    ),
    "generator_loss": Curve(
        "generator's loss",
        _column("generator_loss"),
        "as it stands: the generator minimises it, so it should fall with the quality measure",
    ),
    "estimate_per_lipschitz": Curve(
        "held-out estimate over K",
        _column("estimate_per_lipschitz"),
        "K is the steepest slope found at that evaluation, a lower bound of the constant",
    ),
    "estimate_certified": Curve(
        "held-out estimate over the operator norms",
        _column("estimate_certified"),
        "the norms bound the critic's constant from above",
    ),
}


@dataclass(frozen=True)
class Figure:
    """One description: a curve, changed or not, against quality by one statistic.

    Attributes:
        kind: "curve", "lag", "smoothing" or "statistic".
        curve: a key of `CURVES`.
        statistic: a key of `STATISTICS`.
        lag: by how many evaluations quality is taken later than the curve.
        smoother, width: "mean", "median" or "" and over how many evaluations of the curve.
    """

    kind: str
    curve: str
    statistic: str
    lag: int = 0
    smoother: str = ""
    width: int = 1

    @property
    def name(self) -> str:
        """What is described, in words."""
        if self.kind == "lag":
            return (
                "no lag" if self.lag == 0 else f"lag {self.lag:+d}".replace("-", "\N{MINUS SIGN}")
            )
        if self.kind == "smoothing":
            return f"running {self.smoother} of {self.width}"
        return CURVES[self.curve].name if self.kind == "curve" else STATISTICS[self.statistic].name


@dataclass(frozen=True)
class Statistic:
    """A figure of two tables of ranks, shape (runs, n), and their common steps.

    Attributes:
        name: in words.
        rows: the figure of each row.
        least: how many evaluations it takes.
    """

    name: str
    rows: Callable[[Vector, Vector, Vector], Vector]
    least: int = LEAST_RAW_EVALUATIONS


def _adjusted(first: Vector, second: Vector, steps: Vector) -> Vector:
    return pearson_rows(beyond_time(first, steps), beyond_time(second, steps))


NOT_FOR_TIME = "does not correct for time"
STATISTICS = {
    "raw": Statistic("Spearman's rank correlation", lambda a, b, _: pearson_rows(a, b)),
    "adjusted": Statistic("time-adjusted rank correlation", _adjusted, LEAST_EVALUATIONS),
    "kendall": Statistic("Kendall's tau", lambda a, b, _: kendall_rows(a, b)),
    "partial": Statistic(f"partial correlation given step ({NOT_FOR_TIME})", partial_rows),
    "differences": Statistic(
        f"correlation of differences of ranks ({NOT_FOR_TIME})",
        lambda a, b, _: difference_rows(a, b),
        LEAST_RAW_EVALUATIONS + 1,
    ),
}

_BOTH = ("raw", "adjusted")
FIGURES = (
    *(Figure("curve", curve, name) for curve in CURVES for name in _BOTH),
    *(Figure("statistic", PRIMARY_ESTIMATE, name) for name in STATISTICS if name not in _BOTH),
    *(
        Figure("smoothing", PRIMARY_ESTIMATE, name, smoother=smoother, width=width)
        for smoother in ("mean", "median")
        for width in WIDTHS
        for name in _BOTH
    ),
    *(Figure("lag", PRIMARY_ESTIMATE, name, lag=lag) for lag in LAGS for name in _BOTH),
)


def smoothed(curves: Vector, smoother: str, width: int) -> Vector:
    """The centred running mean or median along the last axis.

    NaN at both ends and wherever the window holds an evaluation that does not count.

    Args:
        curves: shape (runs, n).
        smoother: "mean" or "median".
        width: odd, in evaluations.
    """
    found = np.full(curves.shape, np.nan)
    if curves.shape[-1] < width:
        return found
    windows = np.lib.stride_tricks.sliding_window_view(curves, width, axis=-1)
    middle = (np.mean if smoother == "mean" else np.median)(windows, axis=-1)
    found[..., width // 2 : width // 2 + middle.shape[-1]] = middle
    return found


def lagged(curves: Vector, qualities: Vector, lag: int) -> tuple[Vector, Vector]:
    """Curve and quality cut so that quality is taken `lag` evaluations later than the curve."""
    count = curves.shape[-1]
    if abs(lag) >= count:
        return curves[..., :0], qualities[..., :0]
    start, end = max(0, -lag), count - max(0, lag)
    return curves[..., start:end], qualities[..., start + lag : end + lag]
