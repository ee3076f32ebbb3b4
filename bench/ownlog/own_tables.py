"""Our own `curves.parquet` as a log: labels, seeds and states come from `runs.parquet` beside it.

So that `correlate` says of it, to the last bit, what the sweep's report says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.ownlog.question import Question
from bench.records import FLOORS

_OURS = {"run_id", "step", "critic_loss", "estimate", "estimate_held_out"}
_RUNS = {"run_id", "label", "seed", "state", "dead_critic"}


@dataclass(frozen=True)
class OwnTable:
    """Our curves with what stands beside them.

    Attributes:
        table: the curves, with the columns of the runs that the curves lack.
        curves, runs: the two tables.
        floors: by protocol id, the scores of real data against real data.
        divided: whether the user divides the rows otherwise than by run and label.
        notes: sentences about it.
    """

    table: pa.Table
    curves: pd.DataFrame
    runs: pd.DataFrame
    floors: Mapping[str, Mapping[str, float]]
    divided: bool
    notes: tuple[str, ...]

    def floor(self, protocol: object, quality: str) -> float | None:
        """The floor of a quality measure under a protocol, if it is known and positive."""
        value = self.floors.get(str(protocol), {}).get(quality)
        known = isinstance(value, int | float) and math.isfinite(value) and value > 0
        return float(value) if known and value is not None else None


def own_table(path: Path, file: pq.ParquetFile, question: Question) -> OwnTable | None:
    """What `file` is, if it is the curves of a sweep with its runs beside it; else None."""
    beside = path.with_name(path.name.replace("curves", "runs"))
    if not set(file.schema_arrow.names) >= _OURS or beside == path or not beside.is_file():
        return None
    try:
        runs_table = pq.read_table(beside)
    except (pa.ArrowException, OSError):
        return None
    if not set(runs_table.column_names) >= _RUNS:
        return None
    runs, curves = runs_table.to_pandas(), file.read().to_pandas()
    more = [name for name in runs.columns if name not in curves.columns]
    divided = question.group is not None or question.setting is not None
    joined = curves.merge(runs[["run_id", *more]], on="run_id", how="left")
    return OwnTable(
        table=pa.Table.from_pandas(joined, preserve_index=False),
        curves=curves,
        runs=runs,
        floors=_floors(file),
        divided=divided,
        notes=(_note(path, beside, divided=divided),),
    )


def _note(path: Path, beside: Path, *, divided: bool) -> str:
    if divided:
        return (
            f"{path}: tables of wgan-bench, divided as you say: who diverged or has a dead critic "
            "is not looked at. Without --group and --setting it is."
        )
    return f"{path}: tables of wgan-bench; labels, seeds and states are those of {beside}."


def _floors(file: pq.ParquetFile) -> dict[str, dict[str, float]]:
    metadata = file.schema_arrow.metadata or {}
    try:
        floors = json.loads(metadata.get(FLOORS, b"{}"))
    except ValueError:
        return {}
    return {key: value for key, value in floors.items() if isinstance(value, dict)}
