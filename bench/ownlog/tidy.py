"""Logs made into runs and evaluations: rows joined by step, sorted, duplicates settled and said.

An evaluation is a step of a run that has a value of the quality measure. Whatever is left out or
joined is counted in a sentence.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.ownlog.question import REFUSE, LogError, Question
from bench.ownlog.reading import Log

ALL_RUNS = "all runs"  # the setting where no column tells settings apart
MOST_RUNS = 200  # of one setting: the seed swap sets every run against every other
MOST_SETTINGS = 100
_LIKELY_GROUPS = "a run's name or number, a seed, a fold"


@dataclass(frozen=True)
class Tidy:
    """Runs and their evaluations.

    Attributes:
        runs: run_id, label (the setting), seed (a number for each run of a setting), name (of the
            run, in the log's own words), state, dead_critic.
        curves: run_id, step, loss, quality: an evaluation per row, in the order of steps. Values
            are those of the log, whichever end of them is good.
        notes: sentences on what was joined, sorted and left out.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    notes: tuple[str, ...]


def tidy(logs: Sequence[Log], question: Question) -> Tidy:
    """The runs of these logs; a file is a run where no column tells runs apart.

    Raises:
        LogError: several values at one step, too many runs, or no step that has both values.
    """
    notes: list[str] = []
    frame = pd.concat([_rows(log, question) for log in logs], ignore_index=True)
    frame = _placed(frame, question, notes)
    _count_runs(frame, question)
    order = frame["step"].diff() < 0
    if (order & (frame["run"] == frame["run"].shift())).any():
        notes.append(f"Rows do not stand in the order of {question.step}: they are sorted.")
    loss = _settled(frame, "loss", question, notes)
    quality = _settled(frame, "quality", question, notes)
    joined = _joined(frame, loss, quality, question, notes)
    _say_left_out(joined, question, notes)
    return Tidy(_runs(frame), joined[joined["quality"].notna()].reset_index(drop=True), (*notes,))


def _rows(log: Log, question: Question) -> pd.DataFrame:
    """A log's rows with whose they are."""
    frame = pd.DataFrame({"step": log.step, "loss": log.loss, "quality": log.quality})
    frame["label"] = ALL_RUNS if log.setting is None else log.setting.to_numpy()
    frame["group"] = "" if log.group is None else log.group.to_numpy()
    frame["file"] = log.place
    return frame


def _placed(frame: pd.DataFrame, question: Question, notes: list[str]) -> pd.DataFrame:
    """Rows that have a step, a run and a setting, and hold something; the column `run` added."""
    holds = frame["loss"].notna() | frame["quality"].notna()
    frame = frame[holds]
    for column, name in (
        ("step", question.step),
        ("group", question.group),
        ("label", question.setting),
    ):
        # An infinite step is no step.
        there = np.isfinite(frame["step"]) if column == "step" else frame[column].notna()
        if not there.all():
            notes.append(f"{_rows_word(int((~there).sum()))} without {name} left out.")
            frame = frame[there]
    if frame.empty:
        raise LogError(
            f"no row has {question.step} and a value of {question.loss} or {question.quality}"
        )
    frame["run"] = frame.groupby(["label", "file", "group"], sort=False).ngroup()
    return frame


def _count_runs(frame: pd.DataFrame, question: Question) -> None:
    whole = frame[["label", "run"]].drop_duplicates()
    if whole["label"].nunique() > MOST_SETTINGS:
        raise LogError(
            f"--setting {question.setting!r} has {whole['label'].nunique():,} values; at most "
            f"{MOST_SETTINGS} settings are compared: is it the column that tells runs apart "
            "(--group)?"
        )
    most = int(whole.groupby("label", sort=False).size().max())
    if most > MOST_RUNS:
        raise LogError(
            f"{most:,} runs of one setting, at most {MOST_RUNS} are taken; --group names the "
            f"column that tells runs apart ({_LIKELY_GROUPS}), here {question.group!r}"
        )


def _settled(
    frame: pd.DataFrame, column: str, question: Question, notes: list[str]
) -> pd.DataFrame:
    """A value per run and step: columns run, step, `column`, sorted.

    Raises:
        LogError: values that differ stand at one step, and nobody said which one counts.
    """
    rows = frame.loc[frame[column].notna(), ["run", "step", column]]
    repeated = rows.duplicated(["run", "step"], keep=False)
    if repeated.any():
        groups = rows[repeated].groupby(["run", "step"])[column]
        differ = groups.min() != groups.max()
        name = getattr(question, column)
        if differ.any():
            if question.duplicates == REFUSE:
                raise _duplicate(frame, rows[repeated], differ, question, column)
            notes.append(
                f"{int(differ.sum()):,} steps have several values of {name}: the "
                f"{question.duplicates} counts."
            )
        if question.duplicates == "mean":
            rows = rows.groupby(["run", "step"])[[column]].mean().reset_index()
        elif question.duplicates == "last":
            rows = rows.drop_duplicates(["run", "step"], keep="last")
        else:
            rows = rows.drop_duplicates(["run", "step"], keep="first")
    return rows.sort_values(["run", "step"], ignore_index=True)


def _duplicate(
    frame: pd.DataFrame, rows: pd.DataFrame, differ: pd.Series, question: Question, column: str
) -> LogError:
    run, step = differ[differ].index[0]
    values = rows[(rows["run"] == run) & (rows["step"] == step)][column]
    shown = ", ".join(f"{value:g}" for value in values.head(4)) + (", …" if len(values) > 4 else "")
    others = int(differ.sum()) - 1
    more = f", and so for {others:,} more" if others else ""
    owner = frame[frame["run"] == run].iloc[0]
    where = f" of run {owner['group']!r}" if owner["group"] else ""
    if question.group is None:
        advice = (
            f"If the file holds several runs, name the column that tells them apart "
            f"({_LIKELY_GROUPS}) with --group"
        )
    else:
        advice = (
            f"If {question.group!r} does not tell all runs apart, name another column with "
            "--group, or their settings with --setting"
        )
    return LogError(
        f"{owner['file']}: "
        f"{question.step} {step:g}{where} has {len(values)} values of {getattr(question, column)} "
        f"({shown}){more}. {advice}; if a training was taken up again and logged its steps anew, "
        "say which counts with --duplicates last (or first, or mean)"
    )


def _joined(
    frame: pd.DataFrame,
    loss: pd.DataFrame,
    quality: pd.DataFrame,
    question: Question,
    notes: list[str],
) -> pd.DataFrame:
    """One row per run and step that has either, sorted; columns run_id, step, loss, quality.

    Raises:
        LogError: no step has both.
    """
    joined = loss.merge(quality, on=["run", "step"], how="outer").sort_values(
        ["run", "step"], ignore_index=True
    )
    both = int((joined["loss"].notna() & joined["quality"].notna()).sum())
    in_rows = frame[["loss", "quality"]].notna().all(axis=1).sum()
    if both > in_rows:
        notes.append(
            f"{question.loss} and {question.quality} stand on different rows: they are joined by "
            f"{question.step} ({both:,} steps have both)."
        )
    if question.within:
        joined, served = _carried(joined, loss, question.within)
        both += served
        if served:
            notes.append(
                f"For {served:,} evaluations {question.loss} is the latest of at most "
                f"{question.within:g} steps before."
            )
    if not both:
        raise _nothing_in_common(loss, quality, question)
    return joined.assign(run_id="run-" + joined["run"].astype(str))


def _carried(joined: pd.DataFrame, loss: pd.DataFrame, within: float) -> tuple[pd.DataFrame, int]:
    """The evaluations without a loss given the latest before them, and how many found one."""
    without = joined["quality"].notna() & joined["loss"].isna()
    wanting = joined.loc[without, ["run", "step"]].reset_index().sort_values("step")
    found = pd.merge_asof(
        wanting,
        loss.sort_values("step"),
        on="step",
        by="run",
        tolerance=within,  # type: ignore[arg-type]
        direction="backward",
    ).set_index("index")["loss"]
    filled = joined.assign(loss=joined["loss"].fillna(found))
    return filled, int(found.notna().sum())


def _nothing_in_common(loss: pd.DataFrame, quality: pd.DataFrame, question: Question) -> LogError:
    def steps(rows: pd.DataFrame) -> str:
        first = rows["step"].drop_duplicates().head(3)
        return ", ".join(f"{step:g}" for step in first) + (", …" if len(rows) > 3 else "")

    for name, rows in ((question.loss, loss), (question.quality, quality)):
        if rows.empty:
            return LogError(f"column {name!r} has no value at all, so there is nothing to compare")
    return LogError(
        f"no {question.step} has both {question.loss} (at {steps(loss)}) and {question.quality} "
        f"(at {steps(quality)}); --within N takes the latest {question.loss} of at most N steps "
        "before each evaluation"
    )


def _say_left_out(joined: pd.DataFrame, question: Question, notes: list[str]) -> None:
    evaluated = joined["quality"].notna()
    loss_alone = int((~evaluated).sum())
    if loss_alone:
        notes.append(
            f"{loss_alone:,} steps have {question.loss} and no {question.quality}: they are no "
            "evaluations."
        )
    early = joined["step"] <= 0
    quality_alone = int((evaluated & ~early & joined["loss"].isna()).sum())
    if quality_alone:
        notes.append(f"{quality_alone:,} evaluations have no {question.loss} and are left out.")
    infinite = evaluated & ~early & (np.isinf(joined["loss"]) | np.isinf(joined["quality"]))
    if infinite.any():
        notes.append(f"{int(infinite.sum()):,} evaluations with an infinite value are left out.")
    if (early & evaluated).any():
        notes.append(
            f"{int((early & evaluated).sum()):,} evaluations at {question.step} 0 or before are "
            "left out: nothing has been trained there. If your first trained evaluation is called "
            "0, count from 1."
        )


def _runs(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per run, in the order in which the runs first stand in the logs."""
    whole = frame.drop_duplicates("run")[["run", "label", "file", "group"]]
    several = whole["file"].nunique() > 1
    runs = []
    for label, members in whole.groupby("label", sort=False):
        names = [_run_name(member, several=several) for member in members.to_dict("records")]
        groups = list(members["group"])
        wholes = all(group.isdecimal() and len(group) < 10 for group in groups)
        numbered = wholes and len(set(map(int, groups))) == len(groups)
        for place, (run, name) in enumerate(zip(members["run"], names, strict=True), start=1):
            runs.append(
                {
                    "run_id": f"run-{run}",
                    "label": label,
                    "seed": int(groups[place - 1]) if numbered else place,
                    "name": name,
                    "state": "done",
                    "dead_critic": False,
                }
            )
    return pd.DataFrame(runs)


def _run_name(run: Mapping[Hashable, Any], *, several: bool) -> str:
    """The group, behind the file where there are several; one file without groups is itself."""
    group, file = str(run["group"]), str(run["file"])
    if not group:
        return file
    return f"{file}: {group}" if several else group


def _rows_word(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
