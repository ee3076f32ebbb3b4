"""Performance profiles: the share of runs below each quality, one line per setting or method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from bench.figures.style import (
    MUTED,
    NARROW,
    RULE,
    STYLE,
    WIDE,
    legend_above,
    scale_axis,
    short,
)

LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)))
_DOTS: Any = (0, (1, 2))


@mpl.rc_context(STYLE)
def performance_figure(
    profiles: pd.DataFrame,
    by: str,
    drawn: Sequence[str],
    quality: str,
    colours: Mapping[str, tuple[str, str]],
    references: Mapping[str, float],
    width: float = WIDE,
) -> Figure:
    """Rising lines, further left is better; where a line ends below 100 % the rest diverged.

    Args:
        profiles: `by`, tau, share, n, as `bench.stats.performance` makes them.
        by: the column that says whose line a row belongs to.
        drawn: whose lines are in colour; the others are thin and grey.
        quality: what the axis calls the quality measure.
        colours: (light, dark) for each of `drawn`.
        references: levels of quality, by name, drawn upright where they lie among the values.
        width: WIDE or NARROW, inches.
    """
    narrow = width <= NARROW
    height = 3.1 + (0.21 if narrow else 0.1) * len(drawn)
    figure = Figure(figsize=(width if narrow else 0.8 * width, height), layout="constrained")
    panel = figure.subplots()
    rows = dict(iter(profiles.groupby(by, sort=False)))
    rest = [name for name in rows if name not in drawn]
    for name in rest:
        panel.step(rows[name]["tau"], rows[name]["share"], color=RULE, linewidth=0.9, where="post")
    handles = []
    for place, name in enumerate(drawn):
        # Lines that lie on each other stay apart by their dashes.
        style: dict[str, Any] = {"color": colours[name][0], "linestyle": LINES[place % len(LINES)]}
        panel.step(
            rows[name]["tau"], rows[name]["share"], where="post", linewidth=1.8, zorder=2.5, **style
        )
        handles.append(Line2D([], [], linewidth=1.8, label=short(name, 34), **style))
    scale_axis(panel, "x", profiles["tau"], log=True)
    low, high = profiles["tau"].min(), profiles["tau"].max()
    levels = {name: level for name, level in references.items() if low <= level <= high}
    for level in levels.values():
        panel.axvline(level, color=MUTED, linewidth=1, linestyle=_DOTS, zorder=1)
    panel.set_ylim(-0.02, 1.02)
    panel.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    panel.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:.0f}\N{NO-BREAK SPACE}%")
    )
    panel.set_xlabel(f"final {quality} below")
    panel.set_ylabel("share of runs")
    if rest:
        handles.append(Line2D([], [], color=RULE, linewidth=0.9, label=f"{len(rest)} others"))
    if levels:
        handles.append(Line2D([], [], color=MUTED, linestyle=_DOTS, label="; ".join(levels)[:60]))
    legend_above(figure, handles, handlelength=2.4)
    return figure
