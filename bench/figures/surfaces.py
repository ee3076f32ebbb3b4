"""Value surfaces: a critic's scores over the plane as level lines, one panel per critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.figures.style import (
    INK,
    MUTED,
    NARROW,
    RAMP,
    STYLE,
    WIDE,
    legend_above,
    signed,
    title_panel,
)

LEVELS = 10
POINTS = 60  # of each kind in a panel
_SIDE = 48  # places along an axis; more only make the file heavier


@mpl.rc_context(STYLE)
def value_surfaces_figure(
    panels: pd.DataFrame, colours: Mapping[str, tuple[str, str]], width: float = WIDE
) -> Figure:
    """Level lines of each critic's scores over the plane, with real and fake samples.

    Rows are methods and columns data sets; where there is one data set, panels fill the rows. On
    narrow paper it is the other way round. The lines of a panel divide its own range of scores.

    Args:
        panels: one row per critic: label; method and dataset, its row and column; and, as arrays, x
            (n,), y (m,), scores (m, n), real (k, 2), fake (k, 2); scores may be NaN.
        colours: (light, dark) per label, for the panels' titles.
        width: WIDE or NARROW, inches.
    """
    figure, cells, inches = _grid(panels, width)
    for place, critic in enumerate(panels.to_dict("records")):
        panel, label = cells[place], str(critic["label"])
        note = _draw_scores(panel, critic["x"], critic["y"], critic["scores"])
        for kind, style in _SAMPLES.items():
            points = critic[kind][:POINTS]
            panel.plot(points[:, 0], points[:, 1], linestyle="none", **style)
        words = f"{critic['dataset']}: {note}"
        title_panel(panel, critic["method"], words, colours[label][0], inches)
        _frame(panel, critic["x"], critic["y"])
    _legend(figure)
    return figure


_SAMPLES: Mapping[str, dict[str, Any]] = {
    "fake": {"marker": "+", "markersize": 3.2, "markeredgewidth": 0.6, "color": MUTED},
    "real": {"marker": "o", "markersize": 2.0, "markeredgewidth": 0, "color": INK},
}


def _grid(panels: pd.DataFrame, width: float) -> tuple[Figure, list[Axes], float]:
    """A figure with one panel per critic, its panels in the critics' order, and their width."""
    places = _places(panels, narrow=width <= NARROW)
    down, across = (1 + max(sides) for sides in zip(*places, strict=True))
    # Fewer than three panels are not stretched over the whole page.
    used = width if width <= NARROW or across > 2 else 0.34 * across * width
    figure = Figure(figsize=(used, 0.6 + down * (0.5 + used / across)), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    cells = {
        (row, column): panel for row, line in enumerate(grid) for column, panel in enumerate(line)
    }
    for place, panel in cells.items():
        if place not in places:
            panel.remove()
    return figure, [cells[place] for place in places], used / across


def _places(panels: pd.DataFrame, *, narrow: bool) -> list[tuple[int, int]]:
    """Each critic's row and column."""
    names = ("dataset", "method") if narrow else ("method", "dataset")
    rows, columns = (list(dict.fromkeys(panels[name])) for name in names)
    if 1 < len(columns) <= (2 if narrow else 5):
        return [
            (rows.index(row), columns.index(column))
            for row, column in zip(*(panels[name] for name in names), strict=True)
        ]
    across = min(2 if narrow else 4, len(panels))
    return [divmod(place, across) for place in range(len(panels))]


def _draw_scores(
    panel: Axes,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
) -> str:
    """Draw the level lines; returns the range that they divide, in words."""
    finite = scores[np.isfinite(scores)]
    if len(finite) == 0:
        return "no finite score"
    low, high = float(finite.min()), float(finite.max())
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return f"all scores {signed(low)}"
    levels = np.linspace(low, high, LEVELS + 2)[1:-1]
    across, down = (np.unique(np.linspace(0, n - 1, _SIDE).astype(int)) for n in (len(x), len(y)))
    thinned = np.ma.masked_invalid(scores[np.ix_(down, across)])
    panel.contour(x[across], y[down], thinned, levels=levels, cmap=RAMP, linewidths=1.0, zorder=1)
    return f"{signed(low)} to {signed(high)}"


def _frame(panel: Axes, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> None:
    # Squares of one size, so that panels of unlike extents stand in line.
    reach = max(float(np.ptp(x)), float(np.ptp(y))) / 2
    for middle, set_limits in ((x, panel.set_xlim), (y, panel.set_ylim)):
        centre = (float(middle.min()) + float(middle.max())) / 2
        set_limits(centre - reach, centre + reach)
    panel.set_aspect("equal")
    panel.grid(visible=False)
    panel.set_xticks([])
    panel.set_yticks([])
    for side in ("top", "right"):
        panel.spines[side].set_visible(True)


def _legend(figure: Figure) -> None:
    handles = [
        Line2D([], [], linestyle="none", label="real", **_SAMPLES["real"]),
        Line2D([], [], linestyle="none", label="fake", **_SAMPLES["fake"]),
        Line2D([], [], color=RAMP(0.0), label="lowest level"),
        Line2D([], [], color=RAMP(1.0), label="highest level"),
    ]
    legend_above(figure, handles, handlelength=1.6)
