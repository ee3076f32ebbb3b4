"""Each seed's correlation beside the interval over seeds, raw and beyond the trend over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter

from bench.figures.style import (
    BAND,
    INK,
    MARKERS,
    MUTED,
    NARROW,
    STYLE,
    WIDE,
    legend_above,
    seed_markers,
    short,
)

KINDS = {"raw": "raw", "adjusted": "beyond the trend over time"}
MARGIN = 0.2  # what counts as no correlation; shaded


@mpl.rc_context(STYLE)
def seeds_figure(
    seeds: pd.DataFrame,
    intervals: pd.DataFrame,
    colours: Mapping[str, tuple[str, str]],
    width: float = WIDE,
    meaning: str = "loss and quality measure fall together",
) -> Figure:
    """A row per label: a marker per seed, and above them the mean with its 95 % interval.

    Args:
        seeds: label, seed, status, raw, adjusted (NaN where undefined); hollow where the seed is
            not live.
        intervals: label, and for raw and adjusted the columns <kind>, <kind>_low, <kind>_high and,
            with diverged seeds as -1, <kind>_with_diverged and its bounds, NaN where there are
            none.
        colours: (light, dark) per label.
        width: WIDE or NARROW, inches.
        meaning: of a correlation of +1.
    """
    labels = list(intervals["label"])
    narrow = width <= NARROW
    rows, columns = (2, 1) if narrow else (1, 2)
    height = 0.9 + rows * (0.55 + 0.52 * max(1, len(labels)))
    figure = Figure(figsize=(width, height), layout="constrained")
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    markers = _markers(seeds["seed"])
    by_label = dict(iter(seeds.groupby("label", sort=False)))
    bounds = intervals.drop_duplicates("label").set_index("label")
    for place, (panel, (kind, name)) in enumerate(zip(panels, KINDS.items(), strict=True)):
        _axes(panel, labels, meaning, named=narrow or place == 0)
        panel.set_title(name, color=INK)
        for height_now, label in enumerate(labels):
            row = bounds.loc[label]
            _draw_interval(panel, row, kind, height_now, colours[label][0])
            _draw_seeds(panel, by_label[label], kind, height_now, markers, colours[label][0])
    _keys(figure, markers, seeds, intervals)
    return figure


def _markers(seeds: pd.Series) -> dict[int, str]:
    """By seed; where there are more seeds than markers, all have the same."""
    markers = seed_markers(seeds)
    return markers if len(markers) <= len(MARKERS) else dict.fromkeys(markers, MARKERS[0])


def _axes(panel: Axes, labels: list[str], meaning: str, *, named: bool) -> None:
    panel.set_ylim(max(1, len(labels)) - 0.45, -0.55)
    panel.set_yticks(
        range(len(labels)), [short(label, 18) for label in labels] if named else [""] * len(labels)
    )
    panel.tick_params(axis="y", labelsize=9, labelcolor=INK)
    panel.set_xlim(-1.02, 1.02)
    panel.xaxis.set_major_locator(FixedLocator([-1, -0.5, 0, 0.5, 1]))
    panel.xaxis.set_major_formatter(
        FuncFormatter(
            lambda value, _: "0" if value == 0 else f"{value:+g}".replace("-", "\N{MINUS SIGN}")
        )
    )
    panel.axvspan(-MARGIN, MARGIN, color=BAND, linewidth=0, zorder=0)
    panel.axvline(0, color=MUTED, linewidth=0.8, zorder=1)
    panel.grid(visible=True, axis="x")
    panel.grid(visible=False, axis="y")
    panel.spines["left"].set_visible(False)
    panel.set_xlabel(f"rank correlation (+1: {meaning})")


def _draw_seeds(
    panel: Axes,
    seeds: pd.DataFrame,
    kind: str,
    height: float,
    markers: Mapping[int, str],
    colour: str,
) -> None:
    for seed in seeds.to_dict("records"):
        if np.isfinite(float(seed[kind])):
            panel.plot(
                seed[kind],
                height + 0.17,
                marker=markers[int(seed["seed"])],
                markersize=5,
                markerfacecolor=colour if seed["status"] == "live" else "none",
                markeredgecolor=colour,
                markeredgewidth=0.9,
                linestyle="none",
                clip_on=False,
                zorder=3,
            )


def _draw_interval(panel: Axes, row: pd.Series, kind: str, height: float, colour: str) -> None:
    low, high, center = row[f"{kind}_low"], row[f"{kind}_high"], row[kind]
    if np.isfinite(low) and np.isfinite(high):
        panel.plot([low, high], [height - 0.12] * 2, color=colour, linewidth=2.6, zorder=2)
    if np.isfinite(center):
        panel.plot(
            center,
            height - 0.12,
            marker="|",
            markersize=11,
            markeredgewidth=2,
            color=colour,
            zorder=3,
        )
    other = f"{kind}_with_diverged"
    if np.isfinite(row[f"{other}_low"]):
        bounds = [row[f"{other}_low"], row[f"{other}_high"]]
        panel.plot(
            bounds, [height - 0.3] * 2, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=2
        )
        panel.plot(row[other], height - 0.3, marker="|", markersize=7, color=MUTED, zorder=2)


def _names(markers: Mapping[int, str]) -> dict[str, str]:
    """What each marker stands for."""
    if len(set(markers.values())) < len(markers):
        return dict.fromkeys(markers.values(), "one seed")
    return {marker: f"seed {seed}" for seed, marker in markers.items()}


def _keys(
    figure: Figure,
    markers: Mapping[int, str],
    seeds: pd.DataFrame,
    intervals: pd.DataFrame,
) -> None:
    point: dict[str, Any] = {"linestyle": "none", "color": INK, "markersize": 4.5}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=INK, linewidth=2.6, label="mean and 95 % interval"),
        *(
            Line2D([], [], marker=marker, label=name, **point)
            for marker, name in _names(markers).items()
        ),
    ]
    if (seeds["status"] != "live").any():
        handles.append(
            Line2D(
                [], [], marker="o", markerfacecolor="none", label="not live: not counted", **point
            )
        )
    if np.isfinite(intervals["raw_with_diverged_low"].astype(float)).any():
        handles.append(
            Line2D(
                [],
                [],
                color=MUTED,
                linewidth=1.2,
                linestyle=(0, (4, 2)),
                label="diverged counted as \N{MINUS SIGN}1",
            )
        )
    handles.append(Patch(color=BAND, label=f"within {MARGIN:g} of zero"))
    legend_above(figure, handles, handlelength=1.8)
