"""The runs of a sweep as claims see them: chosen by their settings, each with its curve.

A claim chooses runs in the words of a sweep file: `{"dataset": "ring8", "lipschitz":
{"weight_clipping": {"limit": 0.01}}}`; of a component only the fields that are given must agree,
and a list means any of its entries.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.grid.exclusions import pattern
from bench.grid.settings import FAMILIES
from bench.records import Records
from bench.spec import RunSpec
from wgan.components import ConfigError

Where = Mapping[str, Any]
Vector = npt.NDArray[np.float64]


class Missing(Exception):
    """Runs or records that a claim needs are not there; its text says which."""


@dataclass(frozen=True)
class Observation:
    """One run.

    Attributes:
        spec: what was trained.
        row: its row of the `runs` table.
        curve: its rows of the `curves` table, by step.
        profiles: its last profiles, by name.
        floor: quality of real against real under its protocol, by metric.
    """

    spec: RunSpec
    row: Mapping[Any, Any]
    curve: pd.DataFrame
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    floor: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """One of `bench.store.STATES`."""
        return str(self.row["state"])

    @property
    def ended(self) -> bool:
        """Whether it has given a result: it is done, or it diverged."""
        return self.state in ("done", "diverged")

    def column(self, name: str) -> tuple[Vector, Vector]:
        """Steps and finite values of a column of its curve, each of shape (n,)."""
        if name not in self.curve.columns:
            return np.empty(0), np.empty(0)
        values = self.curve[name].to_numpy(dtype=np.float64, na_value=math.nan)
        there = np.isfinite(values)
        return self.curve["step"].to_numpy(dtype=np.float64)[there], values[there]


class Observations:
    """The runs of one sweep."""

    def __init__(self, runs: list[Observation]) -> None:
        self.runs = runs

    @classmethod
    def of(cls, records: Records) -> Observations:
        """From collected records; a run whose `spec.json` is not there or damaged is left out."""
        curves = dict(iter(records.curves.groupby("run_id", sort=False)))
        floors = {str(item.get("id")): item.get("floor") or {} for item in records.protocols}
        nothing, found = records.curves.iloc[:0], []
        for row in records.runs.to_dict("records"):
            run_id = row["run_id"]
            try:
                spec = RunSpec.from_plain(records.specs[run_id])
            except (KeyError, ConfigError):
                continue
            curve = curves.get(run_id, nothing).sort_values("step")
            floor = floors.get(str(row.get("protocol_id")), {})
            found.append(Observation(spec, row, curve, records.profiles.get(run_id, {}), floor))
        return cls(found)

    def where(self, wanted: Where) -> dict[int, Observation]:
        """The ended runs with these settings, by seed.

        Raises:
            Missing: the sweep has no such run, none has ended, or two share a seed (then `wanted`
                says too little).
        """
        matching = [run for run in self.runs if _holds(wanted, run.spec)]
        if not matching:
            raise Missing(f"no run has {said(wanted)}")
        by_seed: dict[int, Observation] = {}
        for run in matching:
            seed = run.spec.config.seed
            if seed in by_seed:
                raise Missing(f"several runs of seed {seed} have {said(wanted)}")
            by_seed[seed] = run
        ended = {seed: run for seed, run in sorted(by_seed.items()) if run.ended}
        if not ended:
            raise Missing(f"none of {len(by_seed)} runs with {said(wanted)} has ended")
        return ended


def pairs(
    first: Mapping[int, Observation], second: Mapping[int, Observation]
) -> Iterator[tuple[Observation, Observation]]:
    """The runs of either that share a seed, in the order of the seeds."""
    for seed in sorted(set(first) & set(second)):
        yield first[seed], second[seed]


def said(wanted: Where) -> str:
    """Settings in words, as a sweep file would hold them."""
    return ", ".join(f"{name} {_flow(value)}" for name, value in wanted.items())


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}({_fields(fields)})" for name, fields in value.items())
    return str(value)


def _fields(fields: Any) -> str:
    if not isinstance(fields, Mapping):
        return str(fields)
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _holds(wanted: Where, spec: RunSpec) -> bool:
    return all(_fulfils(spec, name, value) for name, value in wanted.items())


def _fulfils(spec: RunSpec, name: str, value: Any) -> bool:
    held = spec.recipe if name == "recipe" else getattr(spec.config, name)
    for option in value if isinstance(value, list) else [value]:
        if name not in FAMILIES:
            if held == option:
                return True
            continue
        together = isinstance(option, Mapping) and list(option) == ["all"]
        wanted = [pattern(name, part) for part in (option["all"] if together else [option])]
        parts = held if isinstance(held, tuple) else (held,)
        if all(any(one.matches(part) for part in parts) for one in wanted):
            return True
    return False
