"""What is said of a log: the meaning of +1, each setting's verdict, and what a log cannot show."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from bench.ownlog.analysis import Analysis
from bench.ownlog.question import HIGH, LOW, Question
from bench.report.sentences import (
    Answer,
    beyond_time,
    counted,
    listed,
    needed,
    plural,
    with_interval,
)
from bench.stats import SeedTracking, Tracking
from bench.stats.tracking import DEAD, DIVERGED, LIVE, UNFINISHED
from bench.stats.verdicts import LEAST_SEEDS, SWAP_LEVEL, TRACKS
from bench.tables import MINUS, correlation, p_value, percent

# Scores that everybody means to be high; what else a column means nobody can tell from its name.
_HIGH_IS_GOOD = ("inception", "accuracy", "precision", "recall", "coverage", "density", "ssim")
ONE_RUN = (
    "One run has no interval, no seed swap and no verdict: it shows how the two went together this "
    "once, and cannot show whether the same setting does so with another seed. That takes "
    f"{LEAST_SEEDS} runs that differ in nothing but the seed."
)


def sign_sentence(question: Question) -> str:
    """What +1 and -1 mean for these columns, as the user has stated their directions."""
    loss, quality = question.loss, question.quality
    moves = {LOW: "falls", HIGH: "rises"}
    ends = f"{loss}: {question.good_loss} is good; {quality}: {question.good_quality} is good"
    return (
        f"+1 means that {loss} {moves[question.good_loss]} whenever {quality} "
        f"{moves[question.good_quality]}, as samples get better ({ends}); {MINUS}1 that one says "
        "“better” whenever the other says “worse”; 0 that they have nothing to do with each other."
    )


def direction_hints(analysis: Analysis) -> list[str]:
    """Where the direction is left at its default and name or values speak against it."""
    question, said = analysis.question, []
    name = question.quality.lower()
    if question.good_quality == LOW and any(word in name for word in _HIGH_IS_GOOD):
        said.append(
            f"{question.quality} is read as low for good samples. If it is high for good ones, say "
            "--good-quality high: the sign of every figure then turns."
        )
    losses = analysis.curves["loss"]
    if question.good_loss == LOW and len(losses) and (losses < 0).mean() > 0.5:
        said.append(
            f"{question.loss} is mostly negative and read as low for good samples. A critic's loss "
            "mean f(fake) - mean f(real) rises towards 0 as samples get better: if it is that, say "
            "--good-loss high."
        )
    return said


def answers(analysis: Analysis) -> list[Answer]:
    """Each setting's sentences."""
    names = dict(zip(analysis.runs["run_id"], analysis.runs["name"], strict=True))
    return [_answer(tracking, names) for tracking in analysis.trackings]


def _answer(tracking: Tracking, names: Mapping[str, str]) -> Answer:
    rest = [
        *_undefined(tracking, names),
        *_swap(tracking),
        *_not_live(tracking, names),
        *([ONE_RUN] if len(tracking.seeds) == 1 else []),
        *needed(tracking),
    ]
    return Answer(tracking.label, tracking.verdict.word, _sentence(tracking), tuple(rest))


def _sentence(tracking: Tracking) -> str:
    loss, quality, raw = tracking.estimate, tracking.quality, tracking.raw
    if raw.n == 0:
        return f"No run gives a correlation of {loss} with {quality}."
    if raw.n == 1 and len(tracking.seeds) == 1:
        start = f"In this one run {loss} and {quality} have the rank correlation "
        return f"{start}{correlation(raw.center)}; {_beyond_time(tracking)}."
    if raw.above(0):
        start = f"{loss} and {quality} get better together"
    elif raw.below(0):
        start = f"{loss} gets worse as {quality} gets better"
    else:
        start = f"Whether {loss} and {quality} get better together is open"
    return f"{start} (mean rank correlation {with_interval(raw)}); {_beyond_time(tracking)}."


def _beyond_time(tracking: Tracking) -> str:
    adjusted = tracking.adjusted
    if adjusted.n == 1 and len(tracking.seeds) == 1:
        return f"beyond the trend over time {correlation(adjusted.center)}"
    return beyond_time(tracking, together="the two still get better together")


def _undefined(tracking: Tracking, names: Mapping[str, str]) -> list[str]:
    """Runs that lack a correlation, by the reason that they share."""
    runs_by_reason: dict[tuple[str, str], list[str]] = {}
    for seed in tracking.having(LIVE):
        if seed.note and math.isnan(seed.adjusted):
            what = "correlation" if math.isnan(seed.raw) else "time-adjusted correlation"
            runs_by_reason.setdefault((what, seed.note), []).append(_name(seed, names))
    return [
        f"No {what} for {plural('run', len(runs))} {listed(runs)}: {reason}."
        for (what, reason), runs in runs_by_reason.items()
    ]


def _swap(tracking: Tracking) -> list[str]:
    if len(tracking.having(LIVE)) < 2:
        return []
    p, loss, quality = tracking.swap_p, tracking.estimate, tracking.quality
    if math.isnan(p):
        shared = counted(tracking.common_evaluations, "evaluation step")
        return [
            f"The seed swap could not be made: the runs share {shared}, and it takes five at least "
            "on which no run is constant. Evaluate all runs at the same steps."
        ]
    if p <= SWAP_LEVEL:
        return [
            f"A run's {loss} goes with its own {quality} more than with another run's (seed swap "
            f"{p_value(p)}, on {tracking.common_evaluations} common steps)."
        ]
    return [
        f"That a run's {loss} goes with its own {quality} more than with another run's is not "
        f"shown (seed swap {p_value(p)}, on {tracking.common_evaluations} common steps; "
        f"“{TRACKS}” takes {SWAP_LEVEL:g} or less)."
    ]


def _not_live(tracking: Tracking, names: Mapping[str, str]) -> list[str]:
    said = []
    if tracking.count(DIVERGED):
        word = tracking.verdict_with_diverged.word
        changed = f"; the verdict would be “{word}”" if word != tracking.verdict.word else ""
        said.append(
            f"{counted(tracking.count(DIVERGED), 'run')} diverged; counted as {MINUS}1, the mean "
            f"is {with_interval(tracking.raw_with_diverged)}{changed}."
        )
    for status, words in ((DEAD, "The critic died in {} {}"), (UNFINISHED, "Not finished: {} {}")):
        runs = [_name(seed, names) for seed in tracking.having(status)]
        if runs:
            said.append(words.format(plural("run", len(runs)), listed(runs)) + ", not counted.")
    return said


def share_sentence(tracking: Tracking) -> str:
    """How much of the quality's course the step number alone explains; "" where unknown."""
    shares = pd.Series([seed.step_share for seed in tracking.having(LIVE)], dtype=float).dropna()
    if shares.empty:
        return ""
    runs = plural("run", len(shares))
    return (
        f"The step alone explains {percent(float(shares.mean()))} of the ranks of "
        f"{tracking.quality} (mean over {len(shares)} {runs}): that much of any raw correlation is "
        "the clock."
    )


def _name(seed: SeedTracking, names: Mapping[str, str]) -> str:
    return names.get(seed.run_id, seed.run_id)
