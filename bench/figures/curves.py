"""Quality and the critic's estimate against training steps, one pair of panels per label."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.figures.style import (
    INK,
    MUTED,
    NARROW,
    STYLE,
    WIDE,
    legend_above,
    scale_axis,
    short,
    steps_axis,
)

HELD_OUT = "estimate_held_out"
REFERENCE_STYLES = ((0, (1, 1.6)), (0, (5, 2)), (0, (5, 2, 1, 2)))


@mpl.rc_context(STYLE)
def curves_figure(
    curves: pd.DataFrame,
    quality: str,
    quality_name: str,
    colours: Mapping[str, tuple[str, str]],
    references: Mapping[str, float],
    width: float = WIDE,
    loss_name: str | None = None,
) -> Figure:
    """Every run's quality above its held-out (solid) and training (dashed) estimate.

    Args:
        curves: evaluations in the order of their steps: label, run_id, seed, state, step,
            `quality`, estimate, estimate_held_out, dead (whether the critic is dead there).
        quality, quality_name: its column and what the axis calls it.
        colours: (light, dark) per label.
        references: levels of the quality to be drawn across, by what they are called.
        width: WIDE or NARROW, inches.
        loss_name: what the lower axis is called where it shows one curve per run and no estimates.
    """
    labels = list(dict.fromkeys(curves["label"]))
    figure, pairs = _panels(len(labels), width)
    by_label = dict(iter(curves.groupby("label", sort=False)))
    levels = np.array([*curves[quality], *references.values()], dtype=float)
    for place, (label, (above, below)) in enumerate(zip(labels, pairs, strict=True)):
        colour, rows = colours[label][0], by_label[label]
        for name, level in zip(cycle(REFERENCE_STYLES), references.values(), strict=False):
            above.axhline(level, color=MUTED, linewidth=1, linestyle=name, zorder=1)
        _draw_runs(above, below, rows, quality, colour)
        above.set_title(short(label, 24), color=colour)
        scale_axis(above, "y", levels, log=True)
        # An untrained critic's estimate can dwarf all that follows: the range is the trained one's.
        trained = rows[rows["step"] > 0] if (rows["step"] > 0).any() else rows
        estimates = trained[["estimate", HELD_OUT]].to_numpy(dtype=float)
        scale_axis(below, "y", estimates, log=False)
        if below.get_yscale() == "linear":
            _same_limits([below], estimates.ravel(), log=False)
        first = width <= NARROW or place % _columns(len(labels), width) == 0
        scale = " (log)" if above.get_yscale() == "log" else ""
        above.set_ylabel(f"{quality_name}{scale}" if first else "")
        below.set_ylabel((loss_name or "estimate") if first else "")
    _same_limits([above for above, _ in pairs], levels)
    last = float(curves["step"].max()) if len(curves) else 1.0
    for panel in (axes for pair in pairs for axes in pair):
        panel.set_xlim(-0.02 * last, 1.02 * last)
        steps_axis(panel.xaxis)
    for _, below in pairs:
        below.set_xlabel("step")
    _legend(figure, curves, references, estimates=loss_name is None)
    return figure


def _columns(count: int, width: float) -> int:
    return 1 if width <= NARROW else max(1, min(4, count))


def _panels(count: int, width: float) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """A pair of axes per label: one above the other when wide, side by side when narrow."""
    if width <= NARROW:
        figure = Figure(figsize=(width, 0.7 + 1.75 * count), layout="constrained")
        grid = figure.subplots(count, 2, squeeze=False)
        return figure, [(row[0], row[1]) for row in grid]
    columns = _columns(count, width)
    blocks = -(-count // columns)
    # Fewer than three panels are not stretched over the whole page.
    across = width * (1 if columns > 2 else 0.36 * columns)
    figure = Figure(figsize=(across, 0.5 + 3.9 * blocks), layout="constrained")
    grid = figure.subplots(2 * blocks, columns, squeeze=False)
    pairs = [
        (
            grid[2 * (place // columns)][place % columns],
            grid[2 * (place // columns) + 1][place % columns],
        )
        for place in range(blocks * columns)
    ]
    for above, below in pairs[count:]:
        above.remove()
        below.remove()
    return figure, pairs[:count]


def _draw_runs(above: Axes, below: Axes, rows: pd.DataFrame, quality: str, colour: str) -> None:
    solid: dict[str, Any] = {"linewidth": 1.1, "alpha": 0.85}
    dashed: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.6, "linestyle": (0, (3, 1.5))}
    drawn = ((above, quality, solid), (below, "estimate", dashed), (below, HELD_OUT, solid))
    for _, run in rows.groupby("run_id", sort=False):
        steps = run["step"].to_numpy(dtype=float)
        for panel, column, style in drawn:
            values = run[column].to_numpy(dtype=float)
            known = np.isfinite(values)
            if known.any():
                panel.plot(steps[known], values[known], color=colour, **style)
        _mark_run(above, below, run, quality)


def _mark_run(above: Axes, below: Axes, run: pd.DataFrame, quality: str) -> None:
    """Mark where the critic is dead and where the run diverged."""
    scored = run[np.isfinite(run[quality].astype(float))]
    estimated = run[np.isfinite(run["estimate_held_out"].astype(float))]
    dead = estimated[estimated["dead"].astype(bool)]
    hollow: dict[str, Any] = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 3.6,
        "markerfacecolor": "none",
        "color": INK,
    }
    below.plot(dead["step"], dead["estimate_held_out"], **hollow, markeredgewidth=0.8)
    if (run["state"] == "diverged").any():
        cross: dict[str, Any] = {
            "linestyle": "none",
            "marker": "x",
            "markersize": 6,
            "markeredgewidth": 1.6,
            "color": INK,
        }
        above.plot(scored["step"].tail(1), scored[quality].tail(1), **cross)
        below.plot(estimated["step"].tail(1), estimated["estimate_held_out"].tail(1), **cross)


def _same_limits(panels: list[Axes], levels: np.ndarray, *, log: bool = True) -> None:
    finite = levels[np.isfinite(levels)]
    if len(finite) == 0 or not panels:
        return
    low, high = float(finite.min()), float(finite.max())
    if log and low > 0:
        margin = (high / low) ** 0.06 if high > low else 1.5
        limits = (low / margin, high * margin)
    else:
        margin = 0.06 * (high - low) or 1.0
        limits = (low - margin, high + margin)
    for panel in panels:
        panel.set_ylim(*limits)


def _legend(
    figure: Figure, curves: pd.DataFrame, references: Mapping[str, float], *, estimates: bool
) -> None:
    name = "one run; held-out estimate" if estimates else "one run"
    handles = [
        Line2D([], [], color=INK, linewidth=1.1, label=name),
        *(
            Line2D([], [], color=MUTED, linewidth=1, linestyle=style, label=name)
            for style, name in zip(cycle(REFERENCE_STYLES), references, strict=False)
        ),
    ]
    if estimates:
        dashes: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (3, 1.5))}
        handles.insert(1, Line2D([], [], color=INK, **dashes, label="training estimate"))
    marker: dict[str, Any] = {"linestyle": "none", "color": INK}
    if curves["dead"].astype(bool).any():
        handles.append(
            Line2D(
                [],
                [],
                marker="o",
                markerfacecolor="none",
                markersize=4,
                **marker,
                label="dead critic",
            )
        )
    if (curves["state"] == "diverged").any():
        handles.append(Line2D([], [], marker="x", markersize=6, **marker, label="diverged here"))
    legend_above(figure, handles, handlelength=2.2)
