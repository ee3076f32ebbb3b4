"""Published tables, read from the YAML beside this file and checked key by key."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.grid.source import Keys, Source, read

HERE = Path(__file__).parent
_TABLE = {"name", "title", "source", "decimals", "protocol", "rows", "traps", "several"}
_ROW = {"method", "real", "loss", "lipschitz", "critic_norm", "values", "trap"}
_POINT = {"says", "equals", "datasets"}


@dataclass(frozen=True)
class Point:
    """What a source states of one point of its protocol.

    Attributes:
        says: in words.
        equals: the value of ours that is the same; None where the words settle no value.
        datasets: the data sets of which it is stated; empty: all of the table.
    """

    says: str
    equals: str | int | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A published number, or several under one name, as text with its published decimals."""

    numbers: tuple[float, ...]
    text: str


@dataclass(frozen=True)
class PublishedRow:
    """A method as published.

    Attributes:
        method: what the source calls it.
        real: whether it is real data, no method.
        loss: the losses of ours that it may mean; empty where none is stated.
        lipschitz, critic_norm: the constraint and the norm; None where not stated.
        values: figures by data set and metric.
        trap: what its name does not say; "" where nothing.
    """

    method: str
    real: bool
    loss: tuple[str, ...]
    lipschitz: str | None
    critic_norm: str | None
    values: Mapping[str, Mapping[str, Figure]]
    trap: str

    @property
    def states(self) -> str:
        """Loss, constraint and norm as far as they are stated."""
        parts = [" or ".join(self.loss)] if self.loss else []
        parts += [f"constraint {self.lipschitz}"] if self.lipschitz else []
        parts += [f"critic norm {self.critic_norm}"] if self.critic_norm else []
        return ", ".join(parts)


@dataclass(frozen=True)
class PublishedTable:
    """A table as published; `several` where each row is many figures of one name."""

    name: str
    title: str
    source: str
    several: bool
    protocol: Mapping[str, Point]
    rows: tuple[PublishedRow, ...]
    traps: tuple[str, ...]

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets that some row has figures of."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.values))

    def metrics(self, dataset: str) -> tuple[str, ...]:
        """The metrics that some row has on a data set."""
        return tuple(
            dict.fromkeys(name for row in self.rows for name in row.values.get(dataset, ()))
        )

    def point(self, key: str, dataset: str) -> Point | None:
        """What the source states of a point for a data set."""
        point = self.protocol.get(key)
        if point is None or (point.datasets and dataset not in point.datasets):
            return None
        return point


@functools.cache
def load() -> tuple[PublishedTable, ...]:
    """All tables, by name.

    Raises:
        SweepError: a file that is not as it should be, with its line.
    """
    return tuple(from_source(read(path, "published table")) for path in sorted(HERE.glob("*.yaml")))


def from_source(source: Source) -> PublishedTable:
    """One table.

    Raises:
        SweepError: a key that is unknown or missing, or a figure that is none.
    """
    data = _checked(source, source.data, (), _TABLE, _TABLE - {"several"})
    decimals = data["decimals"]
    return PublishedTable(
        name=data["name"],
        title=data["title"],
        source=data["source"],
        several=bool(data.get("several", False)),
        protocol={
            key: _point(source, value, ("protocol", key)) for key, value in data["protocol"].items()
        },
        rows=tuple(
            _row(source, row, ("rows", place), decimals) for place, row in enumerate(data["rows"])
        ),
        traps=tuple(data["traps"]),
    )


def _point(source: Source, value: Any, keys: Keys) -> Point:
    data = _checked(source, value, keys, _POINT, {"says"})
    return Point(str(data["says"]), data.get("equals"), tuple(data.get("datasets", ())))


def _row(source: Source, value: Any, keys: Keys, decimals: Mapping[str, int]) -> PublishedRow:
    data = _checked(source, value, keys, _ROW, {"method", "values"})
    return PublishedRow(
        method=data["method"],
        real=bool(data.get("real", False)),
        loss=tuple(data.get("loss", ())),
        lipschitz=data.get("lipschitz"),
        critic_norm=data.get("critic_norm"),
        values={
            dataset: {
                metric: _figure(source, figure, (*keys, "values", dataset, metric), decimals)
                for metric, figure in metrics.items()
            }
            for dataset, metrics in data["values"].items()
        },
        trap=data.get("trap", ""),
    )


def _figure(source: Source, value: Any, keys: Keys, decimals: Mapping[str, int]) -> Figure:
    """A number, one with +-, a list of them, or a range."""
    places = decimals.get(str(keys[-1]))
    if places is None:
        raise source.error(keys, f"decimals says nothing of {keys[-1]!r}")

    def text(number: Any) -> str:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise source.error(keys, f"{number!r} is not allowed: must be a number")
        return f"{number:,}" if isinstance(number, int) else f"{number:,.{places}f}"

    if isinstance(value, list):
        return Figure(tuple(map(float, value)), ", ".join(f"{number:g}" for number in value))
    if isinstance(value, dict) and set(value) == {"value", "plus_minus"}:
        shown = f"{text(value['value'])} ± {text(value['plus_minus'])}"
        return Figure((float(value["value"]),), shown)
    if isinstance(value, dict) and set(value) == {"from", "to"}:
        shown = f"{text(value['from'])} to {text(value['to'])}"
        return Figure((float(value["from"]), float(value["to"])), shown)
    return Figure((float(value),) if text(value) else (), text(value))


def _checked(
    source: Source, value: Any, keys: Keys, allowed: set[str], needed: set[str]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise source.error(keys, "must be a mapping")
    for key in value:
        if key not in allowed:
            known = ", ".join(sorted(allowed))
            raise source.error((*keys, key), f"unknown key {key!r} (allowed: {known})")
    for key in sorted(needed - value.keys()):
        raise source.error(keys, f"has no {key!r}")
    return value
