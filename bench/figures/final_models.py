"""Final models: quality against the estimate of each trained model, by critic architecture."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.figures.style import (
    INK,
    NARROW,
    STYLE,
    WIDE,
    legend_above,
    scale_axis,
    short,
    title_panel,
)

_MOST_NAMED = 16  # labels in the legend; beyond it there would be no room for the figure


@mpl.rc_context(STYLE)
def final_models_figure(
    models: pd.DataFrame,
    quality_name: str,
    colours: Mapping[str, tuple[str, str]],
    notes: Mapping[str, str],
    width: float = WIDE,
) -> Figure:
    """A panel per group of comparable models, a point per model, coloured by its setting.

    Args:
        models: one row per model: group, label, estimate, quality.
        quality_name: what the axis calls quality.
        colours: (light, dark) per label.
        notes: per group, the line under its title.
        width: WIDE or NARROW, inches.
    """
    groups = list(dict.fromkeys(models["group"]))
    columns = 1 if width <= NARROW else max(1, min(3, len(groups)))
    rows = -(-len(groups) // columns)
    across = width if width <= NARROW or columns > 2 else width * 0.45 * columns
    figure = Figure(figsize=(across, 0.9 + 2.9 * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in grid[len(groups) :]:
        spare.remove()
    for place, (group, panel) in enumerate(zip(groups, grid, strict=False)):
        own = models[models["group"] == group]
        panel.grid(visible=True, axis="both")
        for label, points in own.groupby("label", sort=False):
            panel.plot(
                points["estimate"],
                points["quality"],
                linestyle="none",
                marker="o",
                markersize=4.5,
                markeredgewidth=0,
                color=colours[str(label)][0],
            )
        scale_axis(panel, "x", own["estimate"].to_numpy(), log=False)
        scale_axis(panel, "y", own["quality"].to_numpy(), log=True)
        title_panel(panel, str(group), notes.get(str(group), ""), INK, across / columns - 0.5)
        panel.set_xlabel("held-out estimate at the end")
        panel.set_ylabel(quality_name if place % columns == 0 else "")
    labels = list(dict.fromkeys(models["label"]))
    handles = [
        Line2D(
            [], [], linestyle="none", marker="o", color=colours[label][0], label=short(label, 60)
        )
        for label in labels[:_MOST_NAMED]
    ]
    legend_above(figure, handles, handletextpad=0.2)
    return figure
