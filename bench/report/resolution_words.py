"""What a report's data could and could not have shown, in sentences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from bench.report.sentences import counted
from bench.stats.rank import LEAST_EVALUATIONS
from bench.stats.resolution import POWER, Resolution
from bench.stats.verdicts import LEAST_SEEDS, MARGIN, MOST_SEEDS
from bench.tables import correlation, number, percent


def resolution_sentence(resolution: Resolution) -> str:
    """What a setting's data could and could not have shown of a link beyond time."""
    nothing = "no link beyond time could have been shown, and none ruled out"
    if resolution.live and resolution.evaluations < LEAST_EVALUATIONS:
        return (
            f"From {counted(resolution.evaluations, 'usable evaluation')} per run {nothing}: that "
            f"takes {LEAST_EVALUATIONS}."
        )
    if not math.isfinite(resolution.found_from):
        adjusted = " with a time-adjusted correlation" if resolution.live > resolution.seeds else ""
        return f"From {counted(resolution.seeds, 'live seed')}{adjusted} {nothing}."
    source = "their spread" if resolution.measured else "a spread as chance alone makes it"
    few = (
        f" (and a verdict takes {LEAST_SEEDS} seeds all the same)"
        if resolution.seeds < LEAST_SEEDS
        else ""
    )
    return (
        f"With {counted(resolution.seeds, 'live seed')} of {resolution.evaluations} evaluations "
        f"and {source} (standard deviation of z {number(resolution.spread)}), a true time-adjusted "
        f"correlation of {correlation(resolution.found_from)} or more would have its interval "
        f"above 0 in {percent(POWER)} of such sweeps{few}; a weaker one would rather be missed. "
        f"{_exclusion(resolution)}"
    )


def resolution_summary(resolutions: Sequence[Resolution]) -> str:
    """The same for a whole report, in a sentence or two."""
    known = [item.found_from for item in resolutions if math.isfinite(item.found_from)]
    if not resolutions:
        return ""
    if not known:
        return (
            "These data could have shown no link beyond time, nor ruled one out: that takes 2 live "
            f"seeds of {LEAST_EVALUATIONS} usable evaluations each, and a verdict {LEAST_SEEDS} "
            "seeds."
        )
    of = f" of {len(resolutions)}" if len(known) < len(resolutions) else ""
    low, high = correlation(min(known)), correlation(max(known))
    span = (
        low
        if low == high
        else f"between {low} and {high} (median {correlation(statistics.median(known))})"
    )
    excluded = sum(item.could_exclude for item in resolutions)
    settings = counted(len(known), "setting")
    return (
        f"In {settings}{of}, the weakest true time-adjusted correlation that these data would have "
        f"found in {percent(POWER)} of such sweeps is {span}; what is weaker they cannot tell from "
        f"none. That there is no link beyond time (within ±{MARGIN:g}) could have been shown in "
        f"{excluded} of {counted(len(resolutions), 'setting')}."
    )


def _exclusion(resolution: Resolution) -> str:
    none = f"That there is none (within ±{MARGIN:g})"
    seeds = resolution.seeds_to_exclude
    if resolution.could_exclude:
        return f"{none} could have been shown."
    if seeds is None:
        return f"{none} could not have been, not even with {MOST_SEEDS} such seeds."
    return f"{none} could not have been: that would take about {seeds} such seeds."
