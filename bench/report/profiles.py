"""The report's section on the inside of the critics: pictures of their profiles, and figures.

It stands across all score protocols, since nothing in it is a score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.figures import (
    layer_gradients_figure,
    value_surfaces_figure,
    weight_histograms_figure,
)
from bench.figures.surfaces import LEVELS, POINTS
from bench.records import Records
from bench.report.pictures import Colours, Picture, both_widths, seeds_per_label
from bench.report.profile_frames import ProfileFrames, profile_frames
from bench.report.sentences import counted, listed
from bench.tables import NONE, Cell, Column, Table, number, percent, span, text_column

SOURCE = "Gulrajani et al. 2017, arXiv:1704.00028"
MOST_SURFACES = 24  # panels; beyond it the page would get too heavy to mail


@dataclass(frozen=True)
class ProfileSection:
    """What is shown of the critics' profiles; `trouble` says what could not be shown."""

    trouble: tuple[str, ...]
    pictures: tuple[Picture, ...]
    table: Table | None


def profile_section(records: Records, colours: Colours) -> ProfileSection | None:
    """The section on these records' profiles, or None where there are none."""
    if not records.profiles:
        return None
    frames = profile_frames(records)
    last = _last_figures(records)
    trouble = []
    if frames.unreadable:
        trouble.append(
            f"A profile of {listed(frames.unreadable)} is damaged and not shown; the others are."
        )
    surfaces = surfaces_picture(frames.surfaces, colours)
    if surfaces is not None and len(_one_seed(frames.surfaces)) > MOST_SURFACES:
        trouble.append(
            f"Value surfaces are drawn of the first {MOST_SURFACES} of "
            f"{len(_one_seed(frames.surfaces))} recipes."
        )
    pictures = (
        surfaces,
        layers_picture(frames.layers, colours),
        weights_picture(frames.weights, last, colours),
    )
    return ProfileSection(
        tuple(trouble),
        tuple(picture for picture in pictures if picture is not None),
        _table(frames, last, records.runs),
    )


def surfaces_picture(surfaces: pd.DataFrame, colours: Colours) -> Picture | None:
    """Value surfaces of one seed of each label; None where there are none."""
    chosen = _one_seed(surfaces).head(MOST_SURFACES)
    if chosen.empty:
        return None
    wide, narrow = both_widths(lambda width: value_surfaces_figure(chosen, colours, width), colours)
    seeds = listed(map(str, sorted(set(chosen["seed"]))))
    return Picture(
        "value-surfaces.svg",
        wide,
        narrow,
        "What each critic makes of the plane.",
        f"{LEVELS} level lines of the critic's scores at its last evaluation, which divide each "
        f"panel's own range of scores (stated above it) evenly, with {POINTS} real and {POINTS} "
        f"fake samples, for one seed of each recipe (seed {seeds}), as in figure 1(a) of {SOURCE}.",
        f"Contour plots of the critic's scores for {listed(chosen['label'])}.",
    )


def layers_picture(layers: pd.DataFrame, colours: Colours) -> Picture | None:
    """Gradient norms by layer, every run; None where no run has any."""
    if layers.empty:
        return None
    wide, narrow = both_widths(
        lambda width: layer_gradients_figure(layers, colours, width), colours
    )
    zero = layers.loc[layers["gradient_norm"] == 0, "run_id"].nunique()
    broken = layers.loc[~np.isfinite(layers["gradient_norm"]), "run_id"].nunique()
    gaps = [
        f"{counted(runs, 'run')} with a norm {words}"
        for runs, words in ((zero, "of exactly zero"), (broken, "that is not finite"))
        if runs
    ]
    gap = f" (gaps: {' and '.join(gaps)})" if gaps else ""
    ratios = "; ".join(f"{label}: {number(ratio)}" for label, ratio in _ratios(layers).items())
    return Picture(
        "layer-gradients.svg",
        wide,
        narrow,
        "How the critic's gradient goes from layer to layer.",
        "Mean norm, over samples, of the gradient of a sample's critic loss with respect to each "
        "layer's output at the last evaluation, on a logarithmic axis, layer 1 next to the input; "
        f"thin: single runs ({seeds_per_label(layers)}), thick: their geometric mean{gap}; as in "
        f"figure 1(b, left) of {SOURCE}, there drawn from the score to the input.",
        f"Line chart of gradient norms by layer. First layer over last: {ratios}.",
    )


def weights_picture(weights: pd.DataFrame, last: pd.DataFrame, colours: Colours) -> Picture | None:
    """Weight histograms, one panel per label; None where there are none."""
    if weights.empty:
        return None
    notes = _weight_notes(last)
    wide, narrow = both_widths(
        lambda width: weight_histograms_figure(weights, colours, notes, width), colours
    )
    said = "; ".join(
        f"{label}: {notes[label]}" for label in dict.fromkeys(weights["label"]) if label in notes
    )
    bins = weights.groupby("run_id").size().max()
    return Picture(
        "weight-histograms.svg",
        wide,
        narrow,
        "How the critic's weights are distributed.",
        f"Share of the weights of dense and convolutional layers in each of {bins} bins over a "
        "run's own range at its last evaluation, one outline per run "
        f"({seeds_per_label(weights)}), each panel with its own scales and, dashed, the clipping "
        f"limit; as in figure 1(b, right) of {SOURCE}.",
        f"Histograms of the critic's weights. {said}",
    )


def _one_seed(surfaces: pd.DataFrame) -> pd.DataFrame:
    """Of each label the run with the lowest seed, in the labels' order."""
    lowest = surfaces.groupby("label", sort=False)["seed"].transform("min")
    return surfaces[surfaces["seed"] == lowest].drop_duplicates("label")


def _last_figures(records: Records) -> pd.DataFrame:
    """By run, with its label: the last of each figure that goes with the profiles."""
    columns = [name for name in _FIGURES if name in records.curves.columns]
    ordered = records.curves.sort_values("step", kind="stable")
    last = ordered.groupby("run_id")[columns].last()  # the last that is not NaN
    described = records.runs[records.runs["run_id"].isin(list(records.profiles))]
    return described[["run_id", "label"]].merge(last, on="run_id", how="left")


def _weight_notes(last: pd.DataFrame) -> dict[str, str]:
    """Per label, means over its runs."""
    notes = {}
    for label, row in last.groupby("label", sort=False).mean(numeric_only=True).iterrows():
        at_limit = float(row.get("weights_at_limit", np.nan))
        bimodality = float(row.get("weight_bimodality", np.nan))
        parts = [f"{percent(at_limit)} at the limit"] if np.isfinite(at_limit) else []
        parts += [f"bimodality {number(bimodality)}"] if np.isfinite(bimodality) else []
        notes[str(label)] = ", ".join(parts)
    return notes


def _ratios(layers: pd.DataFrame) -> pd.Series:
    """Per label, the geometric mean over runs of the gradient at the first layer over the last."""
    return _ratio_by_run(layers).groupby("label", sort=False)["ratio"].agg(_geometric_mean)


def _ratio_by_run(layers: pd.DataFrame) -> pd.DataFrame:
    ends = layers.groupby(["label", "run_id"], sort=False)["gradient_norm"].agg(
        lambda norms: norms.iloc[0] / norms.iloc[-1] if norms.iloc[-1] > 0 else np.nan
    )
    return ends.rename("ratio").reset_index()


def _geometric_mean(values: pd.Series) -> float:
    if values.empty or not np.isfinite(values).all():
        return float("nan")
    return float(np.exp(np.log(values).mean())) if (values > 0).all() else 0.0


def _table(frames: ProfileFrames, last: pd.DataFrame, runs: pd.DataFrame) -> Table | None:
    """One row per label: the figures that go with the profiles, their range over runs beneath."""
    by_run = last
    if not frames.layers.empty:
        ratios = _ratio_by_run(frames.layers)[["run_id", "ratio"]]
        by_run = last.merge(ratios, on="run_id", how="left")
    titles = {name: how for name, how in _COLUMNS.items() if name in by_run.columns}
    titles = {name: how for name, how in titles.items() if by_run[name].notna().any()}
    if not titles or by_run.empty:
        return None
    order = [label for label in dict.fromkeys(runs["label"]) if label in set(by_run["label"])]
    rows: list[dict[str, Any]] = []
    for label in order:
        own = by_run[by_run["label"] == label]
        row: dict[str, Any] = {"label": label, "n": len(own)}
        for name in titles:
            values = own[name].dropna()
            row[name] = _geometric_mean(values) if name == "ratio" else float(values.mean())
            row[f"{name}_low"] = values.min() if len(values) > 1 else np.nan
            row[f"{name}_high"] = values.max() if len(values) > 1 else np.nan
        rows.append(row)
    columns = (_range_column(title, name, show) for name, (title, show) in titles.items())
    return Table(
        pd.DataFrame(rows),
        (
            text_column("recipe", "label"),
            Column("seeds", lambda row: Cell(f"{row['n']}"), "right"),
            *columns,
        ),
        labelled=True,
    )


def _range_column(title: str, name: str, show: Callable[[float], str]) -> Column:
    def cell(row: Mapping[Any, Any]) -> Cell:
        value = float(row[name])
        text = show(value) if np.isfinite(value) else NONE
        return Cell(text, span(row[f"{name}_low"], row[f"{name}_high"], show))

    return Column(title, cell, "right")


_FIGURES = (
    "weights_at_limit",
    "weight_bimodality",
    "estimate_held_out",
    "lipschitz_lower_bound",
)
_COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "ratio": ("gradient, first layer over last", number),
    "weights_at_limit": ("weights at the limit", percent),
    "weight_bimodality": ("Sarle's bimodality", number),
    "estimate_held_out": ("held-out estimate", number),
    "lipschitz_lower_bound": ("steepest slope found", number),
}
