"""The pieces of the part beside the primary analysis: one kind of description each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report import tracking_tables as tables
from bench.report.pictures import Colours, Picture
from bench.report.resolution_words import resolution_summary
from bench.report.sentences import listed
from bench.report.tracking_pictures import FIXED, finals_pictures, lags_picture
from bench.stats import Interval, Tracking
from bench.stats.bootstrap import bootstrap_adjusted, bootstrap_raw
from bench.stats.descriptions import Described, levels
from bench.stats.evaluations import PRIMARY_ESTIMATE, Evaluations
from bench.stats.final_models import ARCHITECTURE, FinalModels
from bench.stats.resolution import Resolution
from bench.stats.selection import Selection, expected_optimism
from bench.stats.tracking import DIVERGED, LIVE
from bench.tables import MINUS, Table, number, span

OVER_SEEDS = f"Means over live seeds, as in the primary analysis, with 95 % intervals. {FIXED}"
MOST_LINES = 8  # labels in the figure of lags; beyond it nobody could tell the lines apart
MOST_PANELS = 9  # critic architectures in the figure of final models


@dataclass(frozen=True)
class Piece:
    """One kind of description.

    Attributes:
        title: the heading.
        said: sentences before everything else.
        pictures: in order.
        table, name, caption: the numbers, what they are, and what the columns mean; None for none.
        folded: whether the table is long reading, to be opened by those who want it.
    """

    title: str
    said: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    name: str = ""
    caption: str = ""
    folded: bool = False


def resolution_piece(resolutions: Sequence[Resolution]) -> Piece:
    """What each setting's data could have shown."""
    return Piece(
        "What these data could have shown",
        said=tuple(text for text in [resolution_summary(resolutions)] if text),
        table=tables.resolution_table(resolutions) if resolutions else None,
        name="What each setting's data could have shown",
        caption="“Found from”: the smallest true time-adjusted correlation (tanh of the mean "
        "of atanh r) whose 95 % interval lies above 0 in 80 % of such sweeps, by the noncentral "
        "t distribution on Fisher's z; for “tracks” the seed swap must agree besides. “Spread "
        "of z”: its standard deviation over seeds, measured from three seeds on. “To show "
        "none”: seeds at which, with no link, the interval lies within ±0.2 in 80 %. A dash: "
        "more than 100.",
    )


def secondary_piece(
    trackings: Sequence[Tracking],
    taken: Mapping[str, Evaluations],
    quality: str,
    quality_name: str,
) -> Piece:
    """The bootstrap beside the primary interval, what time explains, the critic-optimality gap."""
    gaps = levels(trackings, taken, quality)
    known = any(level.gap.n for level in gaps)
    said = (
        ()
        if known
        else (
            "The critic-optimality gap was not taken; evaluations take it where the sweep sets "
            "gap_updates.",
        )
    )
    return Piece(
        "The secondary interval, time and the critic",
        said=said,
        table=tables.secondary_table(
            trackings, [_bootstraps(tracking, taken, quality) for tracking in trackings], gaps
        )
        if trackings
        else None,
        name="The hierarchical bootstrap's intervals, and what else to know of the curves",
        caption="“Bootstrap”: a percentile bootstrap over seeds and, within each, over blocks of "
        "consecutive evaluations. At five seeds it covers 87 to 98 % where the primary interval "
        "covers 94 to 96 %, less the more the seeds differ: secondary, and no verdict rests on it. "
        "“Explained by step”: the share of the variance of the ranks that a degree-5 polynomial of "
        f"the step explains, of the estimate and of {quality_name}. “Critic-optimality gap”: by "
        "how much the held-out estimate rises when the critic alone trains on, mean over "
        "evaluations; 0 is an optimal critic. Means over live seeds, 95 % intervals by Student's "
        f"t. {FIXED}",
    )


def _bootstraps(
    tracking: Tracking, taken: Mapping[str, Evaluations], quality: str
) -> tuple[tables.Intervals, ...]:
    """Raw and adjusted intervals, and where seeds diverged also those with -1 for each."""
    live = [taken[seed.run_id] for seed in tracking.having(LIVE) if seed.run_id in taken]
    runs = [
        (run.counted(PRIMARY_ESTIMATE), run.counted(quality), run.steps[run.counts]) for run in live
    ]
    counted = dict.fromkeys([0, tracking.count(DIVERGED)])
    return tuple((bootstrap_raw(runs, lost), bootstrap_adjusted(runs, lost)) for lost in counted)


def curves_piece(
    described: Sequence[Described], trackings: Sequence[Tracking], quality_name: str
) -> Piece:
    """Training and window estimates, losses, and estimates over K against quality."""
    table = tables.curves_table(described)
    own = [item for item in described if item.figure.kind == "curve"]
    taken = {item.figure.curve for item in own if item.note != "not recorded"}
    missing = dict.fromkeys(item.figure.name for item in own if item.figure.curve not in taken)
    said = [f"Not recorded by any run: {listed(missing)}."] if taken and missing else []
    lost = sum(tracking.count(DIVERGED) for tracking in trackings)
    if lost:
        said.append(
            f"Diverged seeds ({lost}) are left out, and in further columns counted as {MINUS}1."
        )
    if table is None:
        said.append("No live seed gives any figure.")
    return Piece(
        f"Other curves against {quality_name}",
        said=tuple(said),
        table=table,
        name=f"Rank correlation of other curves with {quality_name}",
        caption="The first of each recipe is the primary analysis. Signed so that +1 means that "
        f"the curve and {quality_name} fall together. {OVER_SEEDS}",
        folded=True,
    )


def statistics_piece(described: Sequence[Described]) -> Piece:
    """Kendall, partial given step, differences of ranks."""
    return Piece(
        "Other statistics",
        table=tables.statistics_table(described),
        name="Other statistics of the held-out estimate and the quality measure",
        caption="Kendall's tau-b, the partial rank correlation given the step, and the correlation "
        "of differences of ranks from one evaluation to the next. None of them corrects for time: "
        "under a U-shaped trend that both curves share the last two report links that are none. "
        f"{OVER_SEEDS}",
        folded=True,
    )


def lags_piece(described: Sequence[Described], quality_name: str, colours: Colours) -> Piece:
    """The estimate lagged and smoothed, with a figure of the lags."""
    frame = tables.described_frame(described, "lag")
    labels = [] if frame.empty else list(dict.fromkeys(frame.loc[frame["raw"].notna(), "label"]))
    shown = frame[frame["label"].isin(labels[:MOST_LINES])] if labels else frame
    said = ["No live seed gives a lagged correlation."] if not labels else []
    if len(labels) > MOST_LINES:
        said.append(f"The figure shows the first {MOST_LINES} of {len(labels)} recipes.")
    pictures = (lags_picture(shown, quality_name, colours),) if labels else ()
    smoothing = tables.smoothing_table(described)
    return Piece(
        "Lags and smoothing",
        said=tuple(said),
        pictures=pictures,
        table=_joined(tables.lags_table(described), smoothing),
        name="The held-out estimate lagged and smoothed",
        caption="Lags in evaluations, above 0 where quality is taken later. “Running”: the "
        f"estimate alone is smoothed, over so many evaluations around each. {OVER_SEEDS}",
        folded=True,
    )


def _joined(first: Table | None, second: Table | None) -> Table | None:
    """Two tables with the same columns as one, sorted by label in the order of the first."""
    if first is None or second is None:
        return first or second
    frame = pd.concat([first.frame, second.frame], ignore_index=True)
    places = {label: place for place, label in enumerate(dict.fromkeys(first.frame["label"]))}
    order = frame["label"].map(places).sort_values(kind="stable").index
    return Table(frame.loc[order].reset_index(drop=True), first.columns, first.labelled)


def selection_piece(selections: Sequence[Selection], quality_name: str) -> Piece:
    """What choosing an evaluation by the loss buys."""
    known = [item for item in selections if item.at_random.n]
    if not known:
        return Piece(
            "What choosing by the loss buys",
            said=("No live seed has a score at its end and evaluations to choose from.",),
        )
    table = tables.selection_table(selections, quality_name)
    said = []
    if not any(item.best.n for item in known):
        least = min(item.choosable for item in known)
        most = max(item.choosable for item in known)
        low, high = number(expected_optimism(least)), number(expected_optimism(most))
        amount = low if low == high else f"{low} to {high}"
        evaluations = str(least) if least == most else f"{least} to {most}"
        said.append(
            f"No evaluation recorded {quality_name} on each half of its samples, so that “best” is "
            "chosen by the very score that it reports. Even among equal models that flatters by "
            f"{amount} standard deviations of the metric's noise ({evaluations} evaluations)."
        )
    chosen = sorted((item for item in known if item.by_loss.n), key=lambda x: x.by_loss.center)
    if chosen:
        ends = [f"{_gain(item.by_loss)} for {item.label}" for item in (chosen[-1], chosen[0])]
        said.append(
            "To choose the evaluation with the smallest held-out estimate instead of the last "
            f"lowers {quality_name} by {ends[0]}"
            + (f" at best, and by {ends[1]} at worst." if len(chosen) > 1 else ".")
        )
    return Piece(
        "What choosing by the loss buys",
        said=tuple(said),
        table=table,
        name=f"{quality_name} at the end less {quality_name} at the evaluation chosen",
        caption=f"Above 0: better than taking the last. “Chosen by loss”: where the held-out "
        "estimate is smallest. “At random”: the mean over all evaluations. “Best on one half”: "
        "chosen on one half of the samples and scored on the other, mean of both ways round. “Best "
        "(optimistic)”: chosen by the score that it reports. Evaluations before training, in the "
        "warm-up and in dead stretches cannot be chosen: their loss is the smallest. Diverged "
        "seeds have no end and are kept apart. Means over live seeds with 95 % intervals "
        f"(Student's t). {FIXED}",
    )


def _gain(interval: Interval) -> str:
    bounds = span(interval.low, interval.high)
    return f"{number(interval.center)} ({f'95 % interval {bounds}' if bounds else 'no interval'})"


def finals_piece(
    groups: Sequence[FinalModels], runs: pd.DataFrame, quality_name: str, colours: Colours
) -> Piece:
    """The correlation across final models of one critic architecture."""
    title = "Across final models"
    lacking = [name for name in ARCHITECTURE if name not in runs.columns]
    if lacking or not groups:
        why = (
            f"the records do not hold {listed(lacking)}, so that nobody can tell which critics "
            "have one architecture"
            if lacking
            else "there are no runs"
        )
        return Piece(title, said=(f"There is no correlation across final models: {why}.",))
    names = _names(groups)
    shown = [(group, name) for group, name in zip(groups, names, strict=True) if not group.missing]
    said = [] if shown else ["No critic architecture has 10 final models over 3 settings."]
    if len(shown) > MOST_PANELS:
        said.append(f"The figure shows the first {MOST_PANELS} of {len(shown)} architectures.")
    return Piece(
        title,
        said=tuple(said),
        pictures=finals_pictures(shown[:MOST_PANELS], quality_name, colours),
        table=tables.finals_table(groups, names),
        name=f"Rank correlation of the final estimate with final {quality_name} across models",
        caption="Another question than tracking during a training, never pooled with it: does the "
        "loss tell which of several trained models is best? A model is a finished run with a live "
        "critic. Only models of one data set, loss, network and critic norm are compared, since an "
        "estimate carries its critic's scale; “over K” divides it by the steepest slope found. "
        "95 % intervals by a delete-one-setting jackknife on Fisher's z, Student's t with settings "
        f"{MINUS} 1 degrees of freedom (covers 94 to 97 % from 3 settings on, where to take all "
        f"models for independent covers 51 to 90 %). {FIXED}",
    )


def _names(groups: Sequence[FinalModels]) -> list[str]:
    """What tells the groups apart, in words; the loss where nothing does."""
    columns = list(groups[0].architecture)
    telling = [
        name for name in columns if len({group.architecture[name] for group in groups}) > 1
    ] or ["loss"]
    words = {"critic_norm": "critic norm ", "dataset": "", "loss": "", "network_settings": ""}
    return [
        ", ".join(f"{words.get(name, '')}{group.architecture[name]}" for name in telling)
        for group in groups
    ]
