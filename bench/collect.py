"""Run folders to tables: the rows of every run, merged by step, with fixed columns and types."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.curve_table import CurveTable
from bench.files import FileError, Row, finite_row, read_json, read_profiles, read_rows
from bench.lease import Observer
from bench.records import CURVE_COLUMNS, FLOORS, RUN_COLUMNS, Records
from bench.run_folder import RunFolder, Standing
from bench.spec import RunSpec

_WORDS, _WHOLE, _YES_NO, _NUMBER = "str", "int64", "bool", "float64"
_ARROW = {_WORDS: pa.string(), _WHOLE: pa.int64(), _YES_NO: pa.bool_(), _NUMBER: pa.float64()}

# Beyond the promised columns: what a reader may want to filter by or check.
_MORE_RUN_COLUMNS = {
    "steps_planned": _WHOLE,
    "critic_steps": _WHOLE,
    "warm_up_steps": _WHOLE,
    "batch_size": _WHOLE,
    "critic_norm": _WORDS,
    "generator": _WORDS,
    "lipschitz_settings": _WORDS,
    "optimizer_settings": _WORDS,
    "network_settings": _WORDS,
    "dataset_settings": _WORDS,
    "reason": _WORDS,
    "dead_critic_since": _NUMBER,
    "exact_w1_last": _NUMBER,
    "exact_w1_best": _NUMBER,
    "sliced_wasserstein_last": _NUMBER,
    "sliced_wasserstein_best": _NUMBER,
    "evaluations": _WHOLE,
    "protocol_id": _WORDS,
    "host": _WORDS,
}
_MORE_CURVE_COLUMNS = (
    "estimate_held_out_error",
    "lipschitz_ascent",
    "lipschitz_gradient",
    "lipschitz_ratio",
    "score_mean",
    "score_std",
    "largest_score",
    "critic_gradient_norm_largest",
    "generator_gradient_norm_largest",
    "weight_norm",
    "evaluation_seconds",
)
_WHOLE_COLUMNS = ("seed", "steps", "images_seen", "step")
_NUMBER_COLUMNS = ("training_seconds", "fid_last", "fid_best")

RUN_TYPES: dict[str, str] = {
    **{
        name: _WHOLE if name in _WHOLE_COLUMNS else _NUMBER if name in _NUMBER_COLUMNS else _WORDS
        for name in RUN_COLUMNS
    },
    "dead_critic": _YES_NO,
    **_MORE_RUN_COLUMNS,
}
CURVE_TYPES: dict[str, str] = {
    **{
        name: _WORDS if name == "run_id" else _WHOLE if name in _WHOLE_COLUMNS else _NUMBER
        for name in (*CURVE_COLUMNS, *_MORE_CURVE_COLUMNS)
    },
    "protocol_id": _WORDS,
}


@dataclass
class RunRecord:
    """What one run has left behind."""

    spec: RunSpec
    folder: RunFolder
    standing: Standing
    curve: list[Row] = field(default_factory=list)
    evaluations: list[Row] = field(default_factory=list)
    protocol: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)
    sample: bytes | None = None
    profiles: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_run(
    spec: RunSpec, folder: RunFolder, observer: Observer, *, pictures: bool = True
) -> RunRecord:
    """Everything in a run's folder, finished or not; damage is noted, never raised.

    Without `pictures` its sample grids stay where they are.
    """
    standing = folder.standing(spec.run_id, observer)
    record = RunRecord(spec, folder, standing, notes=list(standing.notes))
    if not folder.path.is_dir():
        return record
    record.frozen = _object(folder.spec, record.notes)
    record.environment = _object(folder.environment, record.notes)
    protocol = _protocol_id(standing, folder)
    training, torn = read_rows(folder.train_rows)
    record.evaluations, also_torn = read_rows(folder.eval_rows(protocol))
    record.profiles, torn_profiles = read_profiles(folder.profiles)
    again = "; remove the folder and run again to make them anew" if standing.final else ""
    torn_rows = (torn, also_torn, torn_profiles)
    record.notes += [f"{folder.path}: {note}{again}" for note in torn_rows if note]
    if protocol:
        record.protocol = _object(folder.protocol(protocol), record.notes)
    record.curve = merge_rows(training, record.evaluations)
    record.sample = _last_sample(folder) if pictures else None
    return record


def merge_rows(training: Iterable[Row], evaluations: Iterable[Row]) -> list[Row]:
    """One row per step, in order; a figure that both kinds of rows hold is the training row's."""
    merged: dict[int, Row] = {}
    for row in (*training, *evaluations):
        step = row.get("step")
        if not isinstance(step, int):
            continue
        into = merged.get(step)
        if into is None:
            merged[step] = dict(row)
            continue
        for name, value in row.items():
            if into.get(name) is None:
                into[name] = value
    return [merged[step] for step in sorted(merged)]


def records(sweep: str, question: str, runs: Iterable[RunRecord], results: Path) -> Records:
    """The tables and what comes with them; of each run only what they hold is kept."""
    curves, rows, protocols = CurveTable(CURVE_TYPES), [], {}
    nothing = pd.DataFrame()
    found = Records(sweep, question, nothing, nothing, [], {}, {}, {}, {}, [])
    for run in runs:
        run_id, protocol_id = run.spec.run_id, run.protocol.get("id")
        rows.append(_run_row(run))
        curves.add({"run_id": run_id, "protocol_id": protocol_id}, run.curve)
        found.notes.extend(run.notes)
        if run.frozen:
            found.specs[run_id] = run.frozen
            found.folders[run_id] = run.folder.path.relative_to(results).as_posix()
        if run.environment:
            found.environments[run_id] = run.environment
        if run.sample is not None:
            found.samples[run_id] = run.sample
        if run.profiles:
            found.profiles[run_id] = run.profiles
        if "id" in run.protocol:
            protocols[protocol_id] = run.protocol
    return replace(
        found,
        runs=_table(rows, RUN_TYPES),
        curves=curves.frame(),
        protocols=list(protocols.values()),
    )


def to_parquet(
    table: pd.DataFrame, types: Mapping[str, str], metadata: Mapping[bytes, bytes] | None = None
) -> memoryview:
    """The table as Parquet; a column's type depends on its name alone, never on what it holds.

    Args:
        table: what to write.
        types: the types of promised columns; all others are numbers.
        metadata: what else the file says, beside what pandas writes.
    """
    schema = pa.schema([(name, _ARROW[types.get(name, _NUMBER)]) for name in table.columns])
    written = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    if metadata:
        written = written.replace_schema_metadata({**(written.schema.metadata or {}), **metadata})
    buffer = io.BytesIO()
    pq.write_table(written, buffer)
    return buffer.getbuffer()


def floors(protocols: Iterable[Mapping[str, Any]]) -> dict[bytes, bytes]:
    """What the curves' file says of real data against real data: {metric: score} by protocol id."""
    known = {
        str(protocol["id"]): finite_row(protocol["floor"])
        for protocol in protocols
        if "id" in protocol and isinstance(protocol.get("floor"), Mapping)
    }
    return {FLOORS: json.dumps(known, sort_keys=True, allow_nan=False).encode()}


def _run_row(run: RunRecord) -> Row:
    config, final = run.spec.config, run.standing.final or {}
    last = run.curve[-1] if run.curve else {}
    return {
        "run_id": run.spec.run_id,
        "sweep": run.spec.sweep,
        "label": run.spec.label,
        "recipe": run.spec.recipe,
        "lipschitz": config.method,
        "loss": config.loss.name,
        "optimizer": config.optimizer.name,
        "dataset": config.dataset.label,
        "network": config.network.name,
        "seed": config.seed,
        "state": run.standing.state,
        "dead_critic": bool(final.get("dead_critic", False)),
        "steps": last.get("step", 0),
        "training_seconds": last.get("training_seconds"),
        "images_seen": last.get("images_seen") or 0,
        "fid_last": _last(run.evaluations, "fid"),
        "fid_best": _best(run.evaluations, "fid"),
        "steps_planned": config.steps,
        "critic_steps": config.critic_steps,
        "warm_up_steps": config.warm_up_steps,
        "batch_size": config.batch_size,
        "critic_norm": config.critic_norm,
        "generator": config.generator.name,
        "lipschitz_settings": json.dumps([method.to_plain() for method in config.lipschitz]),
        "optimizer_settings": json.dumps(config.optimizer.to_plain()),
        "network_settings": json.dumps(config.network.to_plain()),
        "dataset_settings": json.dumps(config.dataset.to_plain()),
        "reason": run.standing.reason,
        "dead_critic_since": final.get("dead_critic_since"),
        "exact_w1_last": _last(run.evaluations, "exact_w1"),
        "exact_w1_best": _best(run.evaluations, "exact_w1"),
        "sliced_wasserstein_last": _last(run.evaluations, "sliced_wasserstein"),
        "sliced_wasserstein_best": _best(run.evaluations, "sliced_wasserstein"),
        "evaluations": len(run.evaluations),
        "protocol_id": run.protocol.get("id"),
        "host": run.environment.get("host"),
    }


def _last(rows: Sequence[Row], name: str) -> float:
    """The figure of the last row that has it; NaN where it was not finite or never taken."""
    held = [row[name] for row in rows if name in row]
    return float(held[-1]) if held and held[-1] is not None else math.nan


def _best(rows: Sequence[Row], name: str) -> float:
    """The smallest finite figure, NaN where there is none."""
    return min((float(row[name]) for row in rows if row.get(name) is not None), default=math.nan)


def _table(rows: Sequence[Row], types: Mapping[str, str]) -> pd.DataFrame:
    columns = {
        name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in types.items()
    }
    return pd.DataFrame(columns)


def _object(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return read_json(path)
    except FileNotFoundError:
        return {}
    except FileError as error:
        notes.append(str(error))
        return {}


def _protocol_id(standing: Standing, folder: RunFolder) -> str:
    """The protocol whose scores to show: the final state's, else the newest; "" for none."""
    if standing.final and standing.final.get("protocol"):
        return str(standing.final["protocol"])
    written = sorted(folder.path.glob("eval-*.jsonl"), key=lambda path: path.stat().st_mtime)
    return written[-1].stem.removeprefix("eval-") if written else ""


def _last_sample(folder: RunFolder) -> bytes | None:
    pictures = folder.samples()
    try:
        return pictures[-1].read_bytes() if pictures else None
    except OSError:
        return None
