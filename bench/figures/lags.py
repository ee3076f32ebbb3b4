"""How the correlation of estimate and quality changes when quality is taken sooner or later."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from bench.figures.style import BAND, INK, MUTED, NARROW, STYLE, WIDE, legend_above, short, signed

_PANELS = {"raw": "raw", "adjusted": "beyond the trend over time"}
_MARGIN = 0.2  # what counts as no correlation; shaded


@mpl.rc_context(STYLE)
def lags_figure(
    lags: pd.DataFrame, colours: Mapping[str, tuple[str, str]], width: float = WIDE
) -> Figure:
    """A line per label over lags, raw and beyond time, with the intervals over seeds.

    Args:
        lags: one row per label and lag: label, lag, and for raw and adjusted the columns <kind>,
            <kind>_low and <kind>_high; NaN where undefined.
        colours: (light, dark) per label.
        width: WIDE or NARROW, inches.
    """
    labels = list(dict.fromkeys(lags["label"]))
    narrow = width <= NARROW
    rows, columns = (2, 1) if narrow else (1, 2)
    figure = Figure(figsize=(width, 0.7 + 2.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    by_label = dict(iter(lags.groupby("label", sort=False)))
    for panel, (kind, title) in zip(panels, _PANELS.items(), strict=True):
        _axes(panel, lags["lag"])
        panel.set_title(title, color=INK)
        for place, label in enumerate(labels):
            # Side by side, or bars of several labels would hide each other.
            shift = 0.5 * ((place + 0.5) / len(labels) - 0.5)
            _draw(panel, by_label[label], kind, shift, colours[label][0])
    for panel in panels[::columns]:
        panel.set_ylabel("rank correlation")
    handles = [
        Line2D([], [], color=colours[label][0], marker="o", markersize=3.5, label=short(label, 60))
        for label in labels
    ]
    legend_above(figure, handles, handlelength=1.8)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, kind: str, shift: float, colour: str) -> None:
    places = rows["lag"] + shift
    panel.plot(places, rows[kind], color=colour, linewidth=1.2, marker="o", markersize=3.5)
    known = np.isfinite(rows[f"{kind}_low"]) & np.isfinite(rows[f"{kind}_high"])
    panel.vlines(
        places[known],
        rows[f"{kind}_low"][known],
        rows[f"{kind}_high"][known],
        color=colour,
        linewidth=1.2,
        alpha=0.7,
    )


def _axes(panel: Axes, lags: pd.Series) -> None:
    panel.set_ylim(-1.03, 1.03)
    panel.set_xlim(lags.min() - 0.5, lags.max() + 0.5)
    panel.xaxis.set_major_locator(FixedLocator(sorted(set(lags))))
    panel.yaxis.set_major_locator(FixedLocator([-1, -0.5, 0, 0.5, 1]))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: signed(value)))
    panel.axhspan(-_MARGIN, _MARGIN, color=BAND, linewidth=0, zorder=0)
    panel.axhline(0, color=MUTED, linewidth=0.8, zorder=1)
    panel.set_xlabel("evaluations by which quality is taken later")
