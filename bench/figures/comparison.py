"""Settings against each other: paired ratios as a forest, and all pairs as a square of ratios."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.figures.style import (
    BAND,
    INK,
    MUTED,
    NARROW,
    RULE,
    STYLE,
    WIDE,
    legend_above,
    short,
)

MOST_BEYOND = 6  # times the outermost ratio, to which the axis is drawn
# From coarse to fine; each has 1 in it.
_RATIO_TICKS = (
    [10.0**power for power in range(-9, 10)],
    [step * 10.0**power for power in range(-4, 4) for step in (1, 3)],
    [step * 10.0**power for power in range(-2, 2) for step in (1, 2, 5)],
    [0.25, 0.5, 0.7, 1, 1.5, 2, 3, 4],
    [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5],
    [0.9, 0.925, 0.95, 0.975, 1, 1.025, 1.05, 1.075, 1.1],
    [0.98, 0.99, 1, 1.01, 1.02],
)
_TINT = 0.3  # how much of the better setting's colour a cell takes


@mpl.rc_context(STYLE)
def forest_figure(
    ratios: pd.DataFrame,
    quality: str,
    colours: Mapping[str, tuple[str, str]],
    width: float = WIDE,
) -> Figure:
    """A row per comparison: the paired ratio of first to second with its interval.

    A filled marker says that the comparison holds up in its family, a hollow one that it does not.

    Args:
        ratios: first, second, ratio (finite), ratio_low, ratio_high (NaN where unknown), and shown,
            a bool.
        quality: what the axis calls the quality measure.
        colours: (light, dark) per label; a row has that of its first label.
        width: WIDE or NARROW, inches.
    """
    narrow, alone = width <= NARROW, ratios["second"].nunique() == 1
    used = width if narrow else 0.8 * width
    figure = Figure(figsize=(used, 1.1 + 0.36 * max(2, len(ratios))))
    # Names in two lines come out a little wider than the layout reckons.
    figure.set_layout_engine("constrained", w_pad=0.08)
    panel = figure.subplots()
    letters = 20 if narrow else 34
    names = [_row_name(row, letters, alone=alone) for row in ratios.to_dict("records")]
    panel.set_ylim(len(ratios) - 0.4, -0.6)
    panel.set_yticks(range(len(ratios)), names)
    panel.tick_params(axis="y", labelsize=8 if narrow else 8.5, labelcolor=INK)
    for place, row in enumerate(ratios.to_dict("records")):
        _draw_ratio(panel, row, place, colours[row["first"]][0])
    panel.axvline(1, color=MUTED, linewidth=0.9, zorder=1)
    _ratio_axis(panel, ratios)
    panel.grid(visible=True, axis="x")
    panel.grid(visible=False, axis="y")
    panel.spines["left"].set_visible(False)
    against = short(str(ratios["second"].iloc[0]), 24) if alone else "the second"
    gap = "\n" if narrow else " "
    panel.set_xlabel(f"{quality} over that of {against}{gap}(below 1: better than it)")
    _forest_keys(figure)
    return figure


def _row_name(row: Mapping[Hashable, Any], letters: int, *, alone: bool) -> str:
    """What a comparison is called: its first label, and its second unless all have the same."""
    first, second = str(row["first"]), str(row["second"])
    return short(first if alone else f"{first} : {second}", letters)


def _draw_ratio(panel: Axes, row: Mapping[Hashable, Any], place: int, colour: str) -> None:
    low, high = float(row["ratio_low"]), float(row["ratio_high"])
    if math.isfinite(low) and math.isfinite(high):
        panel.plot([low, high], [place, place], color=colour, linewidth=2, zorder=2)
    panel.plot(
        float(row["ratio"]),
        place,
        marker="o",
        markersize=6,
        markerfacecolor=colour if row["shown"] else "none",
        markeredgecolor=colour,
        markeredgewidth=1.3,
        linestyle="none",
        zorder=3,
    )


def _ratio_axis(panel: Axes, ratios: pd.DataFrame) -> None:
    """A logarithmic axis that holds 1 and every ratio; a very wide interval runs off it."""
    bounds = ratios[["ratio_low", "ratio_high"]].to_numpy(dtype=float)
    known = bounds[np.isfinite(bounds)]
    least, most = (ratios["ratio"].agg(how) for how in ("min", "max"))
    low = max(np.min(known, initial=min(least, 1.0)), min(least, 1.0) / MOST_BEYOND)
    high = min(np.max(known, initial=max(most, 1.0)), max(most, 1.0) * MOST_BEYOND)
    margin = max(1.01, (high / low) ** 0.04)
    panel.set_xscale("log")
    panel.set_xlim(low / margin, high * margin)
    inside = [
        [tick for tick in ticks if low / margin <= tick <= high * margin] for ticks in _RATIO_TICKS
    ]
    panel.xaxis.set_major_locator(
        FixedLocator(next((ticks for ticks in inside if len(ticks) >= 3), inside[-1]))
    )
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))


def _forest_keys(figure: Figure) -> None:
    point: dict[str, Any] = {"linestyle": "none", "marker": "o", "color": INK}
    handles = [
        Line2D([], [], color=INK, linewidth=2, label="95 % interval"),
        Line2D([], [], markersize=6, label="difference shown", **point),
        Line2D([], [], markersize=6, markerfacecolor="none", label="not shown", **point),
    ]
    legend_above(figure, handles, handlelength=1.8)


@mpl.rc_context(STYLE)
def pairs_figure(
    ratios: pd.DataFrame,
    labels: Sequence[str],
    quality: str,
    colours: Mapping[str, tuple[str, str]],
    width: float = WIDE,
) -> Figure:
    """A square of all pairs: each cell the paired ratio of its row to its column.

    Beneath a ratio stands its interval where the cells are large enough. A cell is tinted in the
    better setting's colour where the comparison holds up in its family.

    Args:
        ratios: first, second, ratio, ratio_low, ratio_high (NaN where unknown) and shown, a bool;
            each pair once.
        labels: the rows and columns, in order.
        quality: what the axis calls the quality measure.
        colours: (light, dark) per label.
        width: WIDE or NARROW, inches.
    """
    narrow, count = width <= NARROW, len(labels)
    used = width if narrow else min(width, 3.4 + 0.9 * count)
    cell = (used - (1.5 if narrow else 2.6)) / count
    figure = Figure(figsize=(used, 0.85 + cell * count * (1.0 if narrow else 0.72)))
    figure.set_layout_engine("constrained")
    panel = figure.subplots()
    places = {label: place for place, label in enumerate(labels)}
    size = 5.6 if narrow and count > 8 else 6.6 if narrow else 8
    roomy = count <= (4 if narrow else 8)
    for row in ratios.to_dict("records"):
        first, second = str(row["first"]), str(row["second"])
        known = [float(row[name]) for name in ("ratio", "ratio_low", "ratio_high")]
        turned = [1 / value if value else math.nan for value in (known[0], known[2], known[1])]
        tint = colours[first if known[0] < 1 else second][0] if row["shown"] else None
        for one, other, values in ((first, second, known), (second, first, turned)):
            text = _cell_text(values, with_interval=roomy)
            _draw_cell(panel, places[one], places[other], text, tint, size)
    for place in range(count):
        panel.add_patch(Rectangle((place - 0.5, place - 0.5), 1, 1, facecolor=BAND, linewidth=0))
    _square_axes(panel, labels, narrow=narrow)
    panel.set_xlabel(f"{quality} of the row over that of the column")
    panel.xaxis.set_label_position("bottom")
    handles = [
        Patch(facecolor=MUTED, alpha=_TINT, label="difference shown, colour of the better"),
        Patch(facecolor="none", edgecolor=RULE, label="not shown"),
    ]
    legend_above(figure, handles)
    return figure


def _draw_cell(
    panel: Axes, row: int, column: int, text: str, tint: str | None, size: float
) -> None:
    if tint is not None:
        corner = (column - 0.5, row - 0.5)
        panel.add_patch(Rectangle(corner, 1, 1, facecolor=tint, alpha=_TINT, linewidth=0))
    panel.text(
        column,
        row,
        text,
        ha="center",
        va="center",
        size=size,
        weight="normal" if tint is None else "bold",
        color=MUTED if tint is None else INK,
    )


def _cell_text(values: Sequence[float], *, with_interval: bool) -> str:
    """A ratio, and in a second line its bounds."""
    center, *bounds = (_ratio_text(value) for value in values)
    known = all(math.isfinite(value) for value in values)
    return f"{center}\n{bounds[0]} to {bounds[1]}" if with_interval and known else center


def _ratio_text(ratio: float) -> str:
    """Two decimals below 10, else two significant digits or a power of ten."""
    if not math.isfinite(ratio) or ratio <= 0:
        return "\N{EN DASH}"
    if ratio >= 9.995:
        return f"{ratio:.0f}" if ratio < 999.5 else f"{ratio:.0e}".replace("e+0", "e")
    return f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.0e}".replace("e-0", "e\N{MINUS SIGN}")


def _square_axes(panel: Axes, labels: Sequence[str], *, narrow: bool) -> None:
    """Rows by number and name, columns by number: names would not fit above narrow cells."""
    count = len(labels)
    panel.set_xlim(-0.5, count - 0.5)
    panel.set_ylim(count - 0.5, -0.5)
    letters = 14 if narrow else 26
    rows = [
        short(f"{place}\N{NO-BREAK SPACE}{label}", letters) for place, label in enumerate(labels, 1)
    ]
    panel.set_yticks(range(count), rows)
    panel.set_xticks(range(count), [str(place) for place in range(1, count + 1)])
    panel.xaxis.tick_top()
    panel.tick_params(axis="both", labelsize=7 if narrow else 8.5, labelcolor=INK)
    panel.grid(visible=False)
    for line in range(1, count):
        panel.axhline(line - 0.5, color=RULE, linewidth=0.5)
        panel.axvline(line - 0.5, color=RULE, linewidth=0.5)
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)
