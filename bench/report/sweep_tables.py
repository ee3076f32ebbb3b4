"""The tables of a report, each made from the statistics' objects or from the records."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from bench.stats import Interval, Summary, Tracking
from bench.stats.intervals import NOTHING
from bench.stats.tracking import DEAD, DIVERGED, LIVE, UNFINISHED
from bench.tables import (
    MINUS,
    NONE,
    Cell,
    Column,
    Row,
    Table,
    correlation,
    interval_column,
    number_column,
    percent,
    probability,
    text_column,
)

METRIC_NAMES = {
    "fid": "FID",
    "kid": "KID",
    "inception_score": "Inception score",
    "precision": "Precision",
    "recall": "Recall",
    "exact_w1": "Exact W1",
    "modes_covered": "Modes covered",
    "high_quality_share": "Share of high-quality samples",
    "mode_reverse_kl": "Reverse KL of the modes",
    "density": "Density",
    "coverage": "Coverage",
    "sliced_wasserstein": "Sliced W1",
}

BASELINE_NAMES = {
    "class_gaussian": "a Gaussian for each class",
    "class_pixel_gaussian": "a Gaussian for each pixel of each class",
}


def recipes_table(summaries: Sequence[Summary], quality: str) -> Table:
    """Quality and cost per label, over its finished seeds."""
    frame = pd.DataFrame(
        {
            "label": summary.label,
            **_bounds("first", summary.first),
            **_bounds("final", summary.final),
            **_bounds("best", summary.best),
            **_bounds("training_seconds", summary.training_seconds),
            "n": summary.final.n,
            "planned": summary.planned,
            "finished": summary.finished,
            "diverged": summary.diverged,
            "dead": summary.dead,
            "unfinished": summary.unfinished,
        }
        for summary in summaries
    )
    return Table(
        frame,
        (
            text_column("recipe", "label"),
            interval_column(f"final {quality}", "final"),
            interval_column(f"best {quality} (optimistic)", "best"),
            number_column(f"{quality} at step\N{NO-BREAK SPACE}0", "first"),
            Column(
                "seeds finished",
                lambda row: Cell(
                    f"{row['finished']} of {row['planned']}",
                    "" if row["n"] == row["finished"] else f"{row['n']} scored at the end",
                ),
                "right",
                lambda row: float(row["finished"]),
            ),
            number_column("diverged", "diverged", _count),
            number_column("dead critic", "dead", _count),
            number_column("training seconds", "training_seconds"),
        ),
        labelled=True,
    )


def interval_frame(trackings: Sequence[Tracking]) -> pd.DataFrame:
    """One row per label: both correlations with their bounds, also with diverged seeds as -1."""
    kinds = ("raw", "adjusted", "raw_with_diverged", "adjusted_with_diverged")
    return pd.DataFrame(
        {
            "label": tracking.label,
            **{
                name: value
                for kind in kinds
                for name, value in _bounds(
                    kind,
                    # Where no seed diverged there is no second figure.
                    getattr(tracking, kind)
                    if tracking.count(DIVERGED) or "diverged" not in kind
                    else NOTHING,
                ).items()
            },
        }
        for tracking in trackings
    )


def correlations_table(trackings: Sequence[Tracking]) -> Table:
    """The correlation of held-out estimate and quality per label, over its live seeds.

    A label with diverged seeds has a second row, in which each of them counts as -1.
    """
    rows = []
    for tracking in trackings:
        shared = {
            "label": tracking.label,
            "swap_p": tracking.swap_p,
            "step_share": pd.Series([seed.step_share for seed in tracking.having(LIVE)]).mean(),
            "evaluations": tracking.evaluations,
            **{status: tracking.count(status) for status in (LIVE, DEAD, DIVERGED, UNFINISHED)},
        }
        rows.append(
            {
                **shared,
                "counting": "",
                **_bounds("raw", tracking.raw),
                **_bounds("adjusted", tracking.adjusted),
                "verdict": tracking.verdict.word,
            }
        )
        if tracking.count(DIVERGED):
            rows.append(
                {
                    **shared,
                    "counting": f"diverged as {MINUS}1",
                    **_bounds("raw", tracking.raw_with_diverged),
                    **_bounds("adjusted", tracking.adjusted_with_diverged),
                    "verdict": tracking.verdict_with_diverged.word,
                }
            )
    return Table(
        pd.DataFrame(rows),
        (
            text_column("recipe", "label", detail="counting"),
            interval_column("raw", "raw", correlation),
            interval_column("beyond time", "adjusted", correlation),
            number_column("seed swap p", "swap_p", probability),
            number_column("explained by step alone", "step_share", percent),
            Column(
                "live / dead / diverged",
                lambda row: Cell(f"{row[LIVE]} / {row[DEAD]} / {row[DIVERGED]}"),
                "right",
                lambda row: float(row[LIVE]),
            ),
            number_column("evaluations", "evaluations", _count),
            text_column("verdict", "verdict"),
        ),
        labelled=True,
    )


def seed_frame(trackings: Sequence[Tracking]) -> pd.DataFrame:
    """One row per run: its correlations and what they rest on."""
    columns = ["label", "run_id", "seed", "status", "evaluations", "left_out", "raw", "adjusted"]
    rows = [
        {
            "label": tracking.label,
            **{name: getattr(seed, name) for name in columns[1:]},
            "step_share": seed.step_share,
            "note": seed.note,
        }
        for tracking in trackings
        for seed in tracking.seeds
    ]
    return pd.DataFrame(rows, columns=[*columns, "step_share", "note"])


def seeds_table(trackings: Sequence[Tracking]) -> Table:
    """Each seed's correlations."""
    return Table(
        seed_frame(trackings),
        (
            text_column("recipe", "label"),
            number_column("seed", "seed", _count),
            text_column("status", "status", detail="note"),
            number_column("raw", "raw", correlation),
            number_column("beyond time", "adjusted", correlation),
            number_column("explained by step alone", "step_share", percent),
            number_column("evaluations", "evaluations", _count),
            number_column("left out", "left_out", _count),
        ),
        labelled=True,
    )


def scores_table(protocol: Mapping[str, Any]) -> Table | None:
    """The floor and the baselines of a protocol, metric by metric; None where it has none."""
    columns: dict[str, Mapping[str, Any]] = {}
    counts = [protocol.get(name) for name in ("n_floor", "n_fake")]
    sizes = [f" ({count:,} samples)" if isinstance(count, int) else "" for count in counts]
    for key, title in (
        ("floor", f"floor: real data{sizes[0]}"),
        ("floor_extrapolated", f"floor, extrapolated{sizes[1]}"),
        ("floor_extrapolated_error", "its standard error"),
    ):
        if isinstance(protocol.get(key), Mapping) and protocol[key]:
            columns[title] = protocol[key]
    baselines = protocol.get("baselines")
    if isinstance(baselines, Mapping):
        columns |= {
            f"baseline: {BASELINE_NAMES.get(name, name)}": scores
            for name, scores in baselines.items()
            if isinstance(scores, Mapping)
        }
    metrics = [name for scores in columns.values() for name in scores]
    if not metrics:
        return None
    frame = pd.DataFrame(
        {
            "metric": METRIC_NAMES.get(metric, metric),
            **{name: _float(scores.get(metric)) for name, scores in columns.items()},
        }
        for metric in dict.fromkeys(metrics)
    )
    return Table(
        frame,
        (text_column("metric", "metric"), *(number_column(name, name) for name in columns)),
    )


def fields_table(values: Mapping[str, Any], first: str, second: str) -> Table:
    """A mapping as two columns, nested names joined by a full stop."""
    frame = pd.DataFrame(flatten(values).items(), columns=["name", "value"], dtype=object)
    return Table(frame, (text_column(first, "name"), text_column(second, "value")))


def file_of(sweep: str) -> str:
    """Where a sweep's file lies, as a word of a command."""
    return shlex.quote(f"sweeps/{sweep}.yaml")


def runs_table(
    runs: pd.DataFrame, folders: Mapping[str, str], file: Callable[[str], str] = file_of
) -> Table:
    """Every run: where it lies, how it ended, and the commands that lead to it.

    `file` says where the file of a sweep lies, as a word of a command.
    """
    frame = runs[["run_id", "sweep", "label", "seed", "state", "steps", "training_seconds"]].assign(
        folder=[folders.get(run_id, NONE) for run_id in runs["run_id"]],
        detail=["dead critic" if flag else "" for flag in runs["dead_critic"] == True],  # noqa: E712
    )

    def run(row: Row) -> Cell:
        ways = ways_to(str(row["run_id"]), folders, file(str(row["sweep"])))
        return Cell(str(row["run_id"]), str(row["folder"]), ("commands", *ways))

    return Table(
        frame,
        (
            Column("run and folder", run),
            text_column("recipe", "label"),
            number_column("seed", "seed", _count),
            text_column("state", "state", detail="detail"),
            number_column("steps", "steps", _count),
            number_column("training seconds", "training_seconds"),
        ),
    )


def ways_to(run_id: str, folders: Mapping[str, str], file: str) -> tuple[str, ...]:
    """A run's folder, and the commands that show its log and that do it alone again."""
    # An id of digits alone would be read as a number.
    chosen = run_id if re.search("[a-df-z]", run_id) else f'"{run_id}"'
    return (
        *((folders[run_id],) if run_id in folders else ()),
        shlex.join(["wgan-bench", "logs", run_id, "--lines", "100"]),
        f"wgan-bench run {file} --only {shlex.quote(f'id={chosen}')}",
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested names joined by a full stop, values as text."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple | Mapping):
            flat[f"{prefix}{name}"] = ", ".join(map(str, value)) or "none"
        else:
            flat[f"{prefix}{name}"] = NONE if value is None else _plain(value)
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.center, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _count(value: float) -> str:
    return NONE if value != value else f"{value:,.0f}"


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
