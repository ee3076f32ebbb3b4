"""Quality against the held-out estimate, one panel per label: what the correlations summarise."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.figures.style import (
    INK,
    MUTED,
    NARROW,
    RAMP,
    STYLE,
    WIDE,
    legend_above,
    scale_axis,
    seed_markers,
    short,
)

HEAVY = 4000  # points; beyond it they are a bitmap inside the SVG


@mpl.rc_context(STYLE)
def scatter_figure(
    points: pd.DataFrame,
    quality: str,
    quality_name: str,
    colours: Mapping[str, tuple[str, str]],
    notes: Mapping[str, str],
    width: float = WIDE,
    loss_name: str = "held-out estimate",
) -> Figure:
    """Each usable evaluation as a point, coloured by its step, with one marker per seed.

    Args:
        points: the evaluations that count: label, seed, step, estimate_held_out, `quality`.
        quality, quality_name: its column and what the axis calls it.
        colours: (light, dark) per label, for the panels' titles.
        notes: per label, the line under its title.
        width: WIDE or NARROW, inches.
        loss_name: what the other axis calls the estimate.
    """
    labels = list(dict.fromkeys(points["label"]))
    markers = seed_markers(points["seed"])
    most = 2 if width <= NARROW else 4
    columns = max(1, min(most, len(labels)))
    rows = -(-len(labels) // columns)
    across = width if width <= NARROW or columns > 2 else width * 0.4 * columns
    figure = Figure(figsize=(across, 0.9 + 2.35 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in grid[len(labels) :]:
        spare.remove()
    time = Normalize(0, float(points["step"].max()) if len(points) else 1.0)
    by_label = dict(iter(points.groupby("label", sort=False)))
    for place, (label, panel) in enumerate(zip(labels, grid, strict=False)):
        _draw_label(panel, by_label[label], quality, markers, time, heavy=len(points) > HEAVY)
        panel.set_title(short(label, 24), color=colours[label][0], pad=19)
        panel.text(0, 1.035, notes.get(label, ""), transform=panel.transAxes, color=MUTED, size=7.5)
        scale_axis(panel, "y", points[quality].to_numpy(), log=True)
        scale_axis(panel, "x", by_label[label]["estimate_held_out"].to_numpy(), log=False)
        panel.set_ylabel(quality_name if place % columns == 0 else "")
        panel.set_xlabel(loss_name)
    _same_heights(grid[: len(labels)], points[quality])
    _keys(figure, grid[: len(labels)], markers, time, narrow=width <= NARROW)
    return figure


def _draw_label(
    panel: Axes,
    rows: pd.DataFrame,
    quality: str,
    markers: Mapping[int, str],
    time: Normalize,
    *,
    heavy: bool,
) -> None:
    panel.grid(visible=True, axis="both")
    for seed, points in rows.groupby("seed", sort=True):
        panel.scatter(
            points["estimate_held_out"].to_numpy(dtype=float),
            points[quality].to_numpy(dtype=float),
            c=points["step"].to_numpy(dtype=float),
            cmap=RAMP,
            norm=time,
            marker=markers[int(str(seed))],
            s=17,
            alpha=0.9,
            linewidths=0,
            rasterized=heavy,
        )


def _same_heights(panels: list[Axes], values: pd.Series) -> None:
    limits = [panel.get_ylim() for panel in panels if len(values)]
    if limits:
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        for panel in panels:
            panel.set_ylim(low, high)


def _keys(
    figure: Figure, panels: list[Axes], markers: Mapping[int, str], time: Normalize, *, narrow: bool
) -> None:
    if not panels:
        return
    handles = [
        Line2D(
            [], [], linestyle="none", marker=marker, color=INK, markersize=4.5, label=f"seed {seed}"
        )
        for seed, marker in markers.items()
    ]
    legend_above(figure, handles, handletextpad=0.2)
    bar = figure.colorbar(
        ScalarMappable(time, RAMP),
        ax=panels,
        location="bottom" if narrow else "right",
        label="step",
        aspect=30,
        pad=0.02,
        fraction=0.05,
    )
    bar.outline.set_visible(False)
    axis = bar.ax.xaxis if narrow else bar.ax.yaxis
    axis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
