"""The pictures of a report, with their words: figures as SVG in two widths, samples as PNG."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.figures import (
    NARROW,
    WIDE,
    curves_figure,
    scatter_figure,
    seeds_figure,
    settle,
    to_pdf,
    to_svg,
)
from bench.report.beside import Later
from bench.report.selection import Drawn
from bench.report.sentences import counted, listed, quality_name
from bench.report.sweep_tables import interval_frame, seed_frame
from bench.stats import Tracking, dead_evaluations, usable
from bench.stats.evaluations import PRIMARY_ESTIMATE
from bench.stats.tracking import warm_up_ends
from bench.tables import MINUS, correlation, number

Colours = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Attributes:
        name: of the file that the Markdown shows.
        wide_svg, narrow_svg: the SVG for a page and for a phone, or what it comes from.
        title: the figure in a few words.
        caption: what is drawn, which statistic and interval, and n.
        alt: what can be seen, for those who cannot.
    """

    name: str
    wide_svg: Shape
    narrow_svg: Shape
    title: str
    caption: str
    alt: str

    @property
    def wide(self) -> bytes:
        """The SVG for a page."""
        return _had(self.wide_svg)

    @property
    def narrow(self) -> bytes:
        """The SVG for a phone."""
        return _had(self.narrow_svg)

    @property
    def pdf(self) -> bytes:
        """The wide figure as PDF; empty where it was not drawn by `both_widths`."""
        return self.wide.pdf if isinstance(self.wide, Drawing) else b""


class Drawing(bytes):
    """A figure as SVG, which can also be had as PDF."""

    pdf: bytes


@dataclass(frozen=True, eq=False)
class Part:
    """One of two SVGs that are drawn beside other work; equal to another of the same bytes."""

    both: Later[tuple[bytes, bytes]]
    place: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and _had(self) == _had(other)

    def __hash__(self) -> int:
        return hash(_had(self))


Shape = bytes | Part


def _had(shape: Shape) -> bytes:
    return shape.both.had()[shape.place] if isinstance(shape, Part) else shape


@dataclass(frozen=True)
class Sample:
    """A run's last sample grid."""

    label: str
    seed: int
    run_id: str
    png: bytes
    alt: str

    @property
    def name(self) -> str:
        """Of the file that the Markdown shows."""
        return f"samples-{re.sub(r'[^A-Za-z0-9]', '', self.run_id)}.png"


def data_uri(content: bytes, kind: str) -> str:
    """A picture as text that needs no file beside it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def curves_picture(
    chosen: Drawn,
    curves: pd.DataFrame,
    quality: str,
    references: Mapping[str, float],
    floor: float | None,
    colours: Colours,
) -> Picture | None:
    """Quality and estimate against steps, every run; None where nothing was evaluated."""
    frame = _evaluations(chosen.first_seeds, curves, quality, floor)
    if frame.empty:
        return None
    name, shown = quality_name(quality), frame["run_id"].nunique()
    wide, narrow = both_widths(
        lambda width: curves_figure(frame, quality, name, colours, references, width), colours
    )
    lines = [f"{text} ({number(level)})" for text, level in references.items()]
    levels = f" Horizontal lines are levels of {name}: {'; '.join(lines)}." if lines else ""
    return Picture(
        "curves.svg",
        wide,
        narrow,
        f"{name} and the critic's estimate during training.",
        f"Above {name} (logarithmic), below the estimate on held-out data (solid) and on training "
        f"data (dashed), at each evaluation. Every line is one run, none is averaged (n = "
        f"{counted(shown, 'run')}: {seeds_per_label(frame)}).{levels} Estimates of different "
        "critics have different scales: compare their shapes, not their heights. What an estimate "
        "was at step 0, of an untrained critic, may lie outside."
        f"{chosen.labels_note}{chosen.seeds_note}",
        f"Line charts for {listed(frame['label'].unique())}. " + _courses(frame, quality, name),
    )


def scatter_picture(
    chosen: Drawn,
    curves: pd.DataFrame,
    quality: str,
    floor: float | None,
    trackings: Sequence[Tracking],
    colours: Colours,
) -> Picture | None:
    """Quality against the held-out estimate, every usable evaluation; None where there is none."""
    parts = []
    by_run = dict(iter(curves.groupby("run_id", sort=False)))
    ends = warm_up_ends(chosen.first_seeds)
    for run in chosen.first_seeds.to_dict("records"):
        if run["run_id"] in by_run:
            warm_up = ends[str(run["run_id"])]
            counts, _ = usable(by_run[run["run_id"]], quality, floor=floor, warm_up=warm_up)
            parts.append(counts.assign(label=run["label"], seed=run["seed"]))
    points = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if points.empty:
        return None
    name = quality_name(quality)
    notes = {
        tracking.label: f"raw {correlation(tracking.raw.center)}, "
        f"beyond time {correlation(tracking.adjusted.center)}"
        for tracking in trackings
    }
    wide, narrow = both_widths(
        lambda width: scatter_figure(points, quality, name, colours, notes, width), colours
    )
    means = "; ".join(f"{label}: {note}" for label, note in notes.items())
    return Picture(
        "scatter.svg",
        wide,
        narrow,
        f"{name} against the held-out estimate.",
        f"Each point is one evaluation, coloured by its step, with one marker per seed; step 0, "
        f"the warm-up and dead stretches are left out ({counted(len(points), 'evaluation')} of "
        f"{seeds_per_label(points)}). Above each panel the mean over live seeds of Spearman's "
        "rank correlation, as it is and beyond the trend over time; intervals in the next figure."
        f"{chosen.labels_note}{chosen.seeds_note}",
        f"Scatter plots of {name} against the held-out estimate. Mean rank correlations: {means}.",
    )


def seeds_picture(
    trackings: Sequence[Tracking],
    colours: Colours,
    note: str = "",
    meaning: str = "loss and quality measure fall together",
) -> Picture | None:
    """Each seed's correlation and the intervals; None where no seed has one.

    Args:
        trackings: their statistics.
        colours: (light, dark) per label.
        note: a sentence on what is left out.
        meaning: of a correlation of +1.
    """
    seeds = seed_frame(trackings)
    if seeds.empty or not np.isfinite(seeds["raw"]).any():
        return None
    intervals = interval_frame(trackings)
    wide, narrow = both_widths(
        lambda width: seeds_figure(seeds, intervals, colours, width, meaning), colours
    )
    name = quality_name(trackings[0].quality)
    counts = {tracking.raw.n for tracking in trackings}
    each = (
        f"{counted(counts.pop(), 'seed')} each"
        if len(counts) == 1
        else (
            listed(f"{tracking.label} {counted(tracking.raw.n, 'seed')}" for tracking in trackings)
        )
    )
    rows = "; ".join(
        f"{tracking.label}: raw {correlation(tracking.raw.center)}, "
        f"beyond time {correlation(tracking.adjusted.center)}"
        for tracking in trackings
    )
    return Picture(
        "seeds.svg",
        wide,
        narrow,
        f"How the held-out estimate goes with {name}, seed by seed.",
        "Markers are Spearman's rank correlations within single runs. Bars are 95 % intervals of "
        "their mean over live seeds (tanh of the mean of atanh r, Student's t with "
        f"n {MINUS} 1 degrees of freedom; n = {each}). Beyond the trend: ranks after a degree-5 "
        f"polynomial of the step is taken out of both. Shaded: within 0.2 of zero.{note}",
        f"Dot plot of rank correlations by seed with 95 % intervals. Means: {rows}.",
    )


def both_widths(draw: Callable[[float], Figure], colours: Colours) -> tuple[Shape, Shape]:
    """The SVG for a page, a `Drawing`, and for a phone; drawn beside what is done next."""
    both = Later(partial(_drawn, draw, colours))
    return Part(both, 0), Part(both, 1)


def _drawn(draw: Callable[[float], Figure], colours: Colours) -> tuple[bytes, bytes]:
    figure = draw(WIDE)
    settle(figure)  # once for SVG and PDF
    wide = Drawing(to_svg(figure, colours))
    wide.pdf = to_pdf(figure)
    return wide, to_svg(draw(NARROW), colours)


def _evaluations(
    runs: pd.DataFrame, curves: pd.DataFrame, quality: str, floor: float | None
) -> pd.DataFrame:
    """The evaluations of all runs in the runs' order, marked where the critic is dead."""
    parts = []
    by_run = dict(iter(curves.groupby("run_id", sort=False)))
    for run in runs.to_dict("records"):
        if run["run_id"] not in by_run:
            continue
        curve = by_run[run["run_id"]]
        scored = curve[curve[quality].notna() | curve[PRIMARY_ESTIMATE].notna()].sort_values("step")
        described = {name: run[name] for name in ("label", "seed", "state")}
        parts.append(scored.assign(**described, dead=dead_evaluations(scored, quality, floor)))
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else curves.iloc[:0].assign(label="")


def seeds_per_label(frame: pd.DataFrame) -> str:
    """How many seeds of each label a figure shows: `3 seeds of each of 4 recipes`."""
    counts = frame.groupby("label", sort=False)["seed"].nunique()
    if counts.nunique() == 1 and len(counts) > 1:
        return f"{counted(int(counts.iloc[0]), 'seed')} of each of {len(counts)} recipes"
    return listed(f"{label} {counted(int(seeds), 'seed')}" for label, seeds in counts.items())


def _courses(frame: pd.DataFrame, quality: str, name: str, most: int = 8) -> str:
    """From where to where each label's mean quality went."""
    said = []
    for label, rows in list(frame.groupby("label", sort=False))[:most]:
        means = rows.groupby("step")[quality].mean().dropna()
        if len(means) and math.isfinite(means.iloc[0]) and math.isfinite(means.iloc[-1]):
            start, end = number(float(means.iloc[0])), number(float(means.iloc[-1]))
            first, last = f"step {means.index[0]:,}", f"step {means.index[-1]:,}"
            said.append(f"{label}: mean {name} from {start} at {first} to {end} at {last}")
    return "; ".join(said) + "." if said else ""
