"""The pictures of a log: courses, scatter and runs, by the report's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.figures import curves_figure, scatter_figure
from bench.ownlog.analysis import Analysis
from bench.ownlog.question import Question
from bench.report.pictures import Colours, Picture, both_widths, seeds_picture
from bench.report.sentences import counted, listed
from bench.tables import correlation, number

MOST_POINTS = 20_000  # drawn in one figure; more only make the page heavy


def draw(analysis: Analysis, colours: Colours) -> tuple[Picture, ...]:
    """Courses, scatter and the correlations of all runs, as far as there is something to draw."""
    frame, every = _drawn(analysis)
    question = analysis.question
    runs = seeds_picture(analysis.trackings, colours, meaning="both get better together")
    if runs is not None:
        runs = replace(runs, title=f"How {question.loss} goes with {question.quality}, run by run.")
    pictures = (
        _curves(frame, question, colours, every),
        _scatter(frame, analysis, colours, every),
        runs,
    )
    return tuple(picture for picture in pictures if picture is not None)


def _drawn(analysis: Analysis) -> tuple[pd.DataFrame, int]:
    """The evaluations that are drawn, as the figures want them, and that it is every k-th."""
    described = analysis.runs[["run_id", "label", "seed", "state"]]
    frame = analysis.curves.merge(described, on="run_id").assign(estimate=np.nan, dead=False)
    frame = frame.rename(columns={"loss": "estimate_held_out"})
    every = -(-len(frame) // MOST_POINTS)
    if every > 1:
        frame = frame[frame.groupby("run_id").cumcount() % every == 0]
    order = {label: place for place, label in enumerate(dict.fromkeys(analysis.runs["label"]))}
    ordered = frame.assign(place=frame["label"].map(order)).sort_values(
        ["place", "seed", "run_id", "step"], ignore_index=True
    )
    return ordered.drop(columns="place"), every


def _curves(
    frame: pd.DataFrame, question: Question, colours: Colours, every: int
) -> Picture | None:
    if frame.empty:
        return None
    loss, name = question.loss, question.quality
    wide, narrow = both_widths(
        lambda width: curves_figure(frame, "quality", name, colours, {}, width, loss), colours
    )
    return Picture(
        "curves.svg",
        wide,
        narrow,
        f"{name} and {loss} during training.",
        f"Above {name}, below {loss}, at each evaluation{_thinned(every)}. Every line is one run, "
        f"none is averaged (n = {counted(frame['run_id'].nunique(), 'run')}).",
        f"Line charts for {listed(frame['label'].unique())}. {_courses(frame, name)}",
    )


def _scatter(
    frame: pd.DataFrame, analysis: Analysis, colours: Colours, every: int
) -> Picture | None:
    values = frame[["step", "estimate_held_out", "quality"]].to_numpy(dtype=float)
    points = frame[np.isfinite(values).all(axis=1) & (frame["step"] > 0)]
    if points.empty:
        return None
    question = analysis.question
    notes: Mapping[str, str] = {
        tracking.label: f"raw {correlation(tracking.raw.center)}, "
        f"beyond time {correlation(tracking.adjusted.center)}"
        for tracking in analysis.trackings
    }
    wide, narrow = both_widths(
        lambda width: scatter_figure(
            points, "quality", question.quality, colours, notes, width, question.loss
        ),
        colours,
    )
    means = "; ".join(f"{label}: {note}" for label, note in notes.items())
    return Picture(
        "scatter.svg",
        wide,
        narrow,
        f"{question.quality} against {question.loss}.",
        f"Each point is one evaluation, coloured by its step, with one marker per run"
        f"{_thinned(every)}. Above each panel the mean over runs of Spearman's rank correlation, "
        "as it is and beyond the trend over time, signed as said above.",
        f"Scatter plots of {question.quality} against {question.loss}. Mean rank correlations: "
        f"{means}.",
    )


def _thinned(every: int) -> str:
    return f" (every {every}th one is drawn)" if every > 1 else ""


def _courses(frame: pd.DataFrame, name: str, most: int = 8) -> str:
    """From where to where each setting's mean quality went."""
    said = []
    for label, rows in list(frame.groupby("label", sort=False))[:most]:
        means = rows.groupby("step")["quality"].mean()
        means = means[np.isfinite(means)]
        if len(means):
            start, end = number(float(means.iloc[0])), number(float(means.iloc[-1]))
            steps = f"at step {means.index[0]:,g} to {end} at step {means.index[-1]:,g}"
            said.append(f"{label}: mean {name} from {start} {steps}")
    return "; ".join(said) + "." if said else ""
