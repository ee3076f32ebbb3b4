"""Inside the critic: gradient norms from layer to layer, and how its weights are distributed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.figures.style import (
    INK,
    MUTED,
    NARROW,
    STYLE,
    WIDE,
    legend_above,
    scale_axis,
    short,
    signed,
    title_panel,
)

_DASHES = (0, (4, 2))
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@mpl.rc_context(STYLE)
def layer_gradients_figure(
    layers: pd.DataFrame, colours: Mapping[str, tuple[str, str]], width: float = WIDE
) -> Figure:
    """The gradient norm at each layer, from the input on: every run thin, a label's mean thick.

    A norm of zero, or one that is not finite, leaves a gap. The mean is the geometric one.

    Args:
        layers: one row per run and layer: label, method (the label without its data set), dataset,
            run_id, layer (1 is next to the input), gradient_norm.
        colours: (light, dark) per label; labels of one method share the first one's.
        width: WIDE or NARROW, inches.
    """
    datasets = list(dict.fromkeys(layers["dataset"]))
    methods = dict(zip(reversed(layers["method"]), reversed(layers["label"]), strict=True))
    methods = {method: methods[method] for method in dict.fromkeys(layers["method"])}
    figure, panels = _panels(len(datasets), width, most=3, height=3.1)
    positive = layers.assign(
        gradient_norm=layers["gradient_norm"].where(
            np.isfinite(layers["gradient_norm"]) & (layers["gradient_norm"] > 0)
        )
    )
    for dataset, panel in zip(datasets, panels, strict=True):
        rows = positive[positive["dataset"] == dataset]
        for method, label in methods.items():
            _draw_layers(panel, rows[rows["method"] == method], colours[label][0])
        _scale_gradients(panel, positive["gradient_norm"].dropna())
        panel.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        panel.set_xlabel("layer, from input to score")
        if len(datasets) > 1:
            panel.set_title(short(dataset, 24), color=INK)
    for panel in panels[:: _across(len(panels), width, 3)]:
        panel.set_ylabel("gradient norm (log)")
    handles = [
        Line2D([], [], color=colours[label][0], linewidth=2, label=short(method, 60))
        for method, label in methods.items()
    ]
    if layers.groupby(["label", "dataset"])["run_id"].nunique().gt(1).any():
        handles.append(Line2D([], [], color=INK, linewidth=0.8, alpha=0.6, label="one seed"))
    legend_above(figure, handles, handlelength=1.8)
    return figure


def _draw_layers(panel: Axes, rows: pd.DataFrame, colour: str) -> None:
    for _, run in rows.groupby("run_id", sort=False):
        panel.plot(run["layer"], run["gradient_norm"], color=colour, linewidth=0.8, alpha=0.6)
    logs = rows["gradient_norm"].map(np.log).groupby(rows["layer"])
    # A layer that some seed's gradient does not reach has no mean.
    means = np.exp(logs.mean().where(logs.count() == logs.size()))
    panel.plot(means.index, means, color=colour, linewidth=2, marker="o", markersize=3)


def _scale_gradients(panel: Axes, norms: pd.Series) -> None:
    scale_axis(panel, "y", norms, log=True)
    if len(norms) and norms.max() > 1e5 * norms.min():
        panel.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: "10" + f"{np.log10(value):.0f}".translate(_RAISED))
        )


@mpl.rc_context(STYLE)
def weight_histograms_figure(
    weights: pd.DataFrame,
    colours: Mapping[str, tuple[str, str]],
    notes: Mapping[str, str],
    width: float = WIDE,
) -> Figure:
    """The share of weights in each bin, one panel per label with every run's outline.

    Each panel has its own scales; dashed lines stand at the clipping limit.

    Args:
        weights: one row per run and bin: label, run_id, left, right, share (of all weights, NaN
            where unknown), limit (NaN where there is none).
        colours: (light, dark) per label.
        notes: per label, the line under its title.
        width: WIDE or NARROW, inches.
    """
    labels = list(dict.fromkeys(weights["label"]))
    figure, panels = _panels(len(labels), width, most=4, height=2.3)
    inches = figure.get_figwidth() / _across(len(labels), width, 4) - 0.45
    by_label = dict(iter(weights.groupby("label", sort=False)))
    for label, panel in zip(labels, panels, strict=True):
        rows, colour = by_label[label], colours[label][0]
        for _, run in rows.groupby("run_id", sort=False):
            edges = [*run["left"], run["right"].iloc[-1]]
            panel.stairs(run["share"], edges, color=colour, linewidth=1, alpha=0.8)
        for limit in rows["limit"].dropna().unique():
            for place in (-limit, limit):
                panel.axvline(place, color=MUTED, linewidth=1, linestyle=_DASHES, zorder=1)
        title_panel(panel, label, notes.get(label, ""), colour, inches)
        _weight_axes(panel, rows)
    for panel in panels[:: _across(len(panels), width, 4)]:
        panel.set_ylabel("share of weights in a bin")
    if weights["limit"].notna().any():
        dashed = Line2D([], [], color=MUTED, linestyle=_DASHES, label="clipping limit")
        legend_above(
            figure,
            [Line2D([], [], color=INK, linewidth=1, label="one run"), dashed],
            handlelength=2.2,
        )
    return figure


def _weight_axes(panel: Axes, rows: pd.DataFrame) -> None:
    reach = float(np.nanmax(np.abs(rows[["left", "right", "limit"]].to_numpy(dtype=float))))
    panel.set_xlim(-1.08 * reach, 1.08 * reach)
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(value, digits=6)))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{100 * value:g}\N{NO-BREAK SPACE}%")
    )
    panel.set_xlabel("weight")


def _across(count: int, width: float, most: int) -> int:
    """Panels in a row: at most `most`, of which narrow paper takes 2 or 1, and rows alike."""
    most = most if width > NARROW else max(1, most // 2)
    rows = -(-count // most)
    return max(1, -(-count // max(1, rows)))


def _panels(count: int, width: float, *, most: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of `height` inches, at most `most` of them in a row."""
    across = _across(count, width, most)
    down = -(-count // across)
    # Few panels are not stretched over the whole page.
    used = width if width <= NARROW or across > 2 else width * (0.62 if across == 1 else 0.8)
    figure = Figure(figsize=(used, 0.6 + down * (height + 0.4)), layout="constrained")
    grid = list(itertools.chain(*figure.subplots(down, across, squeeze=False)))
    for spare in grid[count:]:
        spare.remove()
    return figure, grid[:count]
