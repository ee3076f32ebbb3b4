"""The pictures of the part that compares recipes, with their words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from bench.figures import forest_figure, pairs_figure, palette, performance_figure
from bench.report import pictures
from bench.report.comparison_tables import ratio_frame
from bench.report.comparison_words import LEVEL, quoted
from bench.report.pictures import Colours, Picture
from bench.report.sentences import counted, listed
from bench.stats.comparison import Comparison
from bench.stats.outcomes import by_median
from bench.stats.performance import performance_profiles, shares_below
from bench.tables import number, percent, span

MOST_LINES = 8  # in colour, in the figure of profiles


def forest_picture(
    comparisons: Sequence[Comparison], baseline: str, quality: str, colours: Colours
) -> Picture | None:
    """Paired ratios to the baseline; None where no comparison has one."""
    frame = ratio_frame(comparisons, LEVEL)
    frame = frame[np.isfinite(frame["ratio"])]
    if frame.empty:
        return None
    wide, narrow = pictures.both_widths(
        lambda width: forest_figure(frame, quality, colours, width), colours
    )
    counts = sorted({one.ratio.n for one in comparisons if one.ratio.n})
    seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return Picture(
        "comparison-forest.svg",
        wide,
        narrow,
        f"Each recipe's {quality} over that of {quoted(baseline)}.",
        f"Geometric means over common seeds (n = {seeds}) of the ratio of final {quality}, with "
        "95 % intervals (Student's t of the logarithm) that are not adjusted for their number, on "
        "a logarithmic axis; a very wide interval runs off it. Filled: p of the sign-flip test at "
        f"most {LEVEL:g} after Holm over all recipes.",
        f"Forest plot of ratios to {quoted(baseline)}. {_ratios(frame)}",
    )


def pairs_picture(
    comparisons: Sequence[Comparison], labels: Sequence[str], quality: str, colours: Colours
) -> Picture | None:
    """All pairs as a square; None for fewer than 3 recipes, or where no pair has a ratio."""
    frame = ratio_frame(comparisons, LEVEL)
    if len(labels) < 3 or not np.isfinite(frame["ratio"]).any():
        return None
    wide, narrow = pictures.both_widths(
        lambda width: pairs_figure(frame, labels, quality, colours, width), colours
    )
    shown = frame[frame["shown"]]
    found = _ratios(shown) if len(shown) else "No difference is shown."
    return Picture(
        "comparison-pairs.svg",
        wide,
        narrow,
        f"Every recipe's {quality} over every other's.",
        "Each cell is the geometric mean over common seeds of the row's final "
        f"{quality} over the column's, where there is room with its 95 % interval; below 1 the row "
        "is better. Tinted in the better one's colour: p of the sign-flip test at most "
        f"{LEVEL:g} after Holm over all {counted(len(frame), 'pair')}.",
        f"Square of ratios for {listed(labels)}. {found}",
    )


def profile_picture(
    frame: pd.DataFrame,
    quality: str,
    references: Mapping[str, float],
    colours: Colours,
) -> Picture | None:
    """Performance profiles, by method where there are too many recipes for one each.

    None where no run has a final score.
    """
    labels, methods = frame["label"].nunique(), frame["method"].nunique()
    by = "method" if labels > MOST_LINES and 1 < methods < labels else "label"
    profiles = performance_profiles(frame, by)
    if profiles.empty:
        return None
    names = list(dict.fromkeys(profiles[by]))
    best = by_median(frame.assign(label=frame[by]))[:MOST_LINES]
    drawn = [name for name in names if name in best]
    own = colours if by == "label" else palette(names)
    size = pictures.both_widths(
        lambda width: performance_figure(profiles, by, drawn, quality, own, references, width), own
    )
    groups = "recipe" if by == "label" else "method, over all its recipes"
    counts = profiles.groupby(by, sort=False)["n"].first()
    runs = str(counts.min()) if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
    chosen = (
        f" In colour: the {len(drawn)} of {len(names)} with the lowest median, chosen by result."
        if len(drawn) < len(names)
        else ""
    )
    return Picture(
        "comparison-profiles.svg",
        *size,
        f"How many runs come below each {quality}.",
        f"For each {groups}, the share of its runs (n = {runs}) whose final {quality} lies below "
        "the value on the logarithmic axis: further left is better, steeper is steadier. A "
        "diverged run counts and lies below no value; runs that have not ended do not count."
        f"{chosen}",
        f"Rising step lines. {_shares(frame, by, drawn, quality)}",
    )


def _ratios(frame: pd.DataFrame) -> str:
    """The ratios in words."""
    return (
        "; ".join(
            f"{quoted(row['first'])} over {quoted(row['second'])}: {number(row['ratio'])}"
            + (f" ({bounds})" if (bounds := span(row["ratio_low"], row["ratio_high"])) else "")
            for row in frame.to_dict("records")
        )
        + "."
    )


def _shares(frame: pd.DataFrame, by: str, drawn: Sequence[str], quality: str) -> str:
    """Of each line in colour, what it is at the median of all final models."""
    middle = float(frame["final"].median())
    ended = frame[frame["status"].isin(["final", "diverged"])]
    said = [
        f"{name}: {percent(float(shares_below(group['final'], np.array([middle]))[0]))}"
        for name, group in ended.groupby(by, sort=False)
        if name in drawn
    ]
    return f"Below {quality} {number(middle)}: {'; '.join(said)}."
