"""Where the numbers come from: which protocol made which score, on which machines and versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.environment import PACK, pack_size, whole
from bench.records import Records
from bench.report.sentences import counted, listed
from bench.report.sweep_tables import flatten
from bench.tables import NONE, Table, text_column

PRIVATE_FIELDS = ("started", "earlier")  # differ from run to run by nature
# Of a protocol: what was measured under it, no settings.
SCORES = ("id", "floor", "floor_extrapolated", "floor_extrapolated_error", "baselines")
CLOCK_FIELDS = ("host", "cpu", "cores", "device", "gpu", "threads")  # by which seconds differ
MOST_VALUES = 4


@dataclass(frozen=True)
class Part:
    """The runs whose scores one protocol made; `protocol` is empty where none is recorded."""

    protocol: Mapping[str, Any]
    runs: pd.DataFrame
    curves: pd.DataFrame


def parts_by_protocol(records: Records) -> tuple[list[Part], pd.DataFrame]:
    """One part per protocol, since scores of unlike protocols are never set beside each other.

    Runs without any score go with their data set's only protocol, or with the only one there is.

    Returns:
        The parts, and the runs that belong to none.
    """
    runs, protocols = records.runs, {str(item.get("id")): item for item in records.protocols}
    if len(protocols) <= 1:
        return [Part(next(iter(protocols.values()), {}), runs, records.curves)], runs.iloc[:0]
    own = (
        runs["protocol_id"]
        if "protocol_id" in runs.columns
        else pd.Series(None, runs.index, object)
    )
    of_dataset = {
        dataset: set(group.dropna()) for dataset, group in own.groupby(runs["dataset"], sort=False)
    }
    alone = {dataset: next(iter(ids)) for dataset, ids in of_dataset.items() if len(ids) == 1}
    belongs = own.where(own.notna(), runs["dataset"].map(alone))
    parts = []
    for identity, protocol in protocols.items():
        chosen = runs[belongs == identity]
        rows = records.curves["run_id"].isin(chosen["run_id"])
        if len(chosen):
            parts.append(Part(protocol, chosen, records.curves[rows]))
    return parts, runs[~belongs.isin(protocols)]


def protocol_differences(parts: Sequence[Part]) -> Table:
    """What tells the protocols apart, one column each."""
    flat = {_id(part): flatten(_settings(part.protocol)) for part in parts}
    names = list(dict.fromkeys(name for fields in flat.values() for name in fields))
    differing = [
        name for name in names if len({fields.get(name, NONE) for fields in flat.values()}) > 1
    ]
    frame = pd.DataFrame(
        [
            {
                "name": name,
                **{identity: fields.get(name, NONE) for identity, fields in flat.items()},
            }
            for name in differing
        ],
        columns=["name", *flat],
    )
    columns = (text_column("protocol", "name"), *(text_column(name, name) for name in flat))
    return Table(frame, columns)


def protocol_fields(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """A protocol without the scores that it holds, its id first."""
    return {"id": protocol.get("id", NONE), **_settings(protocol)}


def _dataset_text(dataset: Any) -> Any:
    """A data set's description, {name: {field: value}}, in one line; anything else as it is."""
    if not isinstance(dataset, Mapping) or len(dataset) != 1:
        return dataset
    ((name, fields),) = dataset.items()
    if not isinstance(fields, Mapping) or not fields:
        return str(name)
    return f"{name} ({', '.join(f'{key} {value}' for key, value in flatten(fields).items())})"


def environment_table(environments: Mapping[str, Mapping[str, Any]]) -> Table | None:
    """Machines and versions, each field once; several values with how many runs have each."""
    if not environments:
        return None
    counts = _values(environments)
    frame = pd.DataFrame(
        {"name": name, "value": _value_text(values)} for name, values in counts.items()
    )
    return Table(frame, (text_column("environment", "name"), text_column("value", "value")))


def mixed_numerics(environments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A clause for each circumstance that can change bits and is not the same in all runs.

    Packs of unlike sizes are the rule, and change no more than roundings: `packs_in_words`.
    """
    return [
        f"{name}: {_value_text(values)}"
        for name, values in _values(_numerics(environments)).items()
        if len(values) > 1 and name != PACK
    ]


def packs_in_words(environments: Mapping[str, Mapping[str, Any]]) -> str:
    """How many runs were trained as one model with others; empty where none was."""
    sizes = Counter(pack_size(numerics) for numerics in _numerics(environments).values())
    packed = sum(count for size, count in sizes.items() if size > 1)
    if not packed:
        return ""
    among = listed(str(size) for size in sorted(sizes) if size > 1)
    return (
        f"{counted(packed, 'run')} of {sum(sizes.values())} trained in packs, as one model with "
        f"other seeds (of {among}): equal to the same runs alone but for roundings"
    )


def _numerics(environments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """By run id, where they are known; whole, so that what is left out is counted too."""
    return {
        run_id: whole(environment["numerics"])
        for run_id, environment in environments.items()
        if isinstance(environment.get("numerics"), Mapping)
    }


def mixed_clocks(environments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A clause for each circumstance that changes how long a step takes and that differs."""
    own = {
        run_id: {name: environment[name] for name in CLOCK_FIELDS if name in environment}
        for run_id, environment in environments.items()
    }
    for run_id, numerics in _numerics(environments).items():
        own[run_id][PACK] = numerics[PACK]
    return [
        f"{name}: {_value_text(values)}" for name, values in _values(own).items() if len(values) > 1
    ]


def resumed_runs(environments: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The ids of runs that were trained in more than one session."""
    return [run_id for run_id, environment in environments.items() if environment.get("earlier")]


def _values(environments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """For each field its values, each with the number of runs that have it."""
    found: dict[str, dict[str, int]] = {}
    for environment in environments.values():
        public = {key: value for key, value in environment.items() if key not in PRIVATE_FIELDS}
        for name, value in flatten(public).items():
            counts = found.setdefault(name, {})
            counts[value] = counts.get(value, 0) + 1
    return found


def _value_text(values: Mapping[str, int]) -> str:
    if len(values) == 1:
        return next(iter(values))
    if len(values) > MOST_VALUES:
        return f"{len(values)} different values"
    return listed(f"{value} ({counted(count, 'run')})" for value, count in values.items())


def _settings(protocol: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _dataset_text(value) if name == "dataset" else value
        for name, value in protocol.items()
        if name not in SCORES
    }


def _id(part: Part) -> str:
    return str(part.protocol.get("id", NONE))
