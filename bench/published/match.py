"""Which of our runs stand beside which published row, and in which points the protocols differ.

A row is matched by what is stated of it alone: loss, constraint, critic norm. A point is the same
only where the source states a value and every run of ours has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.published.tables import PublishedRow, PublishedTable
from wgan.components import ConfigError
from wgan.config import COMPONENTS

SAME, DIFFERS, NOT_STATED = "same", "differs", "not stated"
POINTS: Mapping[str, str] = {
    "dataset": "data set",
    "resolution": "resolution",
    "network": "network",
    "updates": "generator updates",
    "batch_size": "batch size",
    "critic_steps": "critic steps per update",
    "optimizer": "optimizer",
    "n_real": "real samples",
    "n_fake": "generated samples",
    "split": "split of the real samples",
    "extractor": "features",
    "inception_score": "inception score over",
    "selection": "which model is scored",
    "runs": "trainings per figure",
    "spread": "what ± or the interval is over",
}
_OF_IMAGES = ("resolution", "extractor")
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Comparison:
    """One point of the two protocols; `verdict` is "same", "differs" or "not stated"."""

    point: str
    theirs: str
    ours: str
    verdict: str


def matching(
    tables: Sequence[PublishedTable], dataset: str, metrics: Iterable[str]
) -> list[PublishedTable]:
    """The tables that have one of these metrics on this data set."""
    wanted = set(metrics)
    return [table for table in tables if wanted & set(table.metrics(dataset))]


def counterparts(row: PublishedRow, runs: pd.DataFrame) -> list[str]:
    """The labels whose loss, constraint and norm are all that the row states of them.

    None where neither a loss nor a constraint is stated, or where the row is real data.

    Args:
        row: as published.
        runs: columns label, loss, lipschitz, and where it is there critic_norm.
    """
    if row.real or not (row.loss or row.lipschitz):
        return []
    fits = pd.Series(True, runs.index)
    if row.loss:
        fits &= _plain(runs["loss"]).isin(row.loss)
    if row.lipschitz:
        fits &= _plain(runs["lipschitz"]) == row.lipschitz
    if row.critic_norm:
        fits &= runs["critic_norm"] == row.critic_norm if "critic_norm" in runs else False
    return list(dict.fromkeys(runs.loc[fits, "label"].astype(str)))


def compare(
    table: PublishedTable, dataset: str, runs: pd.DataFrame, protocol: Mapping[str, Any]
) -> list[Comparison]:
    """Point by point, what they did and what we did.

    Args:
        table: as published.
        dataset: on which.
        runs: our runs that stand beside it.
        protocol: our score protocol.
    """
    ours = _ours(runs, protocol, dataset, table.metrics(dataset))
    said = []
    for key, title in POINTS.items():
        if key not in ours:
            continue
        values = ours[key]
        shown = _shown(values) if values else NOT_STATED
        if key == "dataset":
            verdict = SAME if values == [dataset] else DIFFERS
            said.append(Comparison(title, dataset, shown, verdict))
            continue
        point = table.point(key, dataset)
        theirs = point.says if point else NOT_STATED
        if point is None or point.equals is None or not values:
            verdict = NOT_STATED
        else:
            verdict = SAME if set(values) == {point.equals} else DIFFERS
        said.append(Comparison(title, theirs, shown, verdict))
    return said


def _ours(
    runs: pd.DataFrame, protocol: Mapping[str, Any], dataset: str, metrics: Sequence[str]
) -> dict[str, list[Any]]:
    """By point the different values of our runs; empty where nothing is recorded."""
    done = runs[runs["state"] == "done"]
    n_fake, splits = protocol.get("n_fake"), protocol.get("inception_score_splits")
    seeds = done.groupby("label")["seed"].nunique()
    found: dict[str, list[Any]] = {
        "dataset": _parts(runs, dataset),
        "resolution": _resolution(protocol),
        "network": _different(_plain(runs["network"])),
        "updates": _different(done["steps"]),
        "batch_size": _column(runs, "batch_size"),
        "critic_steps": _column(runs, "critic_steps"),
        "optimizer": _optimizers(runs),
        "n_real": _known(protocol.get("n_real")),
        "n_fake": _known(n_fake),
        "split": _known(protocol.get("split")),
        "extractor": _known(protocol.get("extractor")),
        "selection": ["the last generator of each run, not chosen"],
        "runs": _different(seeds),
        "spread": ["seeds: 95 % interval of their mean"],
    }
    if "inception_score" in metrics:
        sets = f"1 set of {n_fake} samples in {splits} splits" if n_fake and splits else None
        found["inception_score"] = _known(sets)
    if protocol.get("extractor") is None and not found["resolution"]:
        # Points in the plane have neither pixels nor features.
        found = {key: value for key, value in found.items() if key not in _OF_IMAGES}
    return found


def _parts(runs: pd.DataFrame, dataset: str) -> list[Any]:
    """The data set's name, with what of it our runs were trained on where that is not all."""
    told = _column(runs, "dataset_settings")
    found = [_part(dataset, str(text)) for text in told]
    return list(dict.fromkeys(found)) or [dataset]


def _part(dataset: str, text: str) -> str:
    try:
        ((_, fields),) = json.loads(text).items()
        images, bias = fields.get("images", 0), fields.get("bias", 0.0)
    except (ValueError, AttributeError):
        return dataset
    said = [f"{images:,} of its images"] if images else []
    said += [f"without {bias:.0%} of half of its classes"] if bias else []
    return f"{dataset}, {' and '.join(said)}" if said else dataset


def _resolution(protocol: Mapping[str, Any]) -> list[Any]:
    """The pixels of our images, asked of the data set that the protocol names."""
    described = protocol.get("dataset")
    if not isinstance(described, Mapping) or len(described) != 1:
        return []
    ((name, fields),) = described.items()
    try:
        dataset = COMPONENTS["dataset"].registry[str(name)](**dict(fields or {}))
    except (KeyError, TypeError, ConfigError):
        return []
    shape: tuple[int, ...] = getattr(dataset, "shape", ())
    return [f"{shape[1]} x {shape[2]}"] if len(shape) == 3 else []


def _optimizers(runs: pd.DataFrame) -> list[Any]:
    if "optimizer_settings" not in runs.columns:
        return _different(_plain(runs["optimizer"]))
    return [_settings(text) for text in _different(runs["optimizer_settings"])]


def _settings(text: Any) -> str:
    """Settings as recorded in JSON, {name: {field: value}}, in words."""
    try:
        ((name, fields),) = json.loads(str(text)).items()
        inside = ", ".join(f"{key} {value}" for key, value in fields.items())
    except (ValueError, AttributeError):
        return str(text)
    return f"{name} ({inside})" if inside else str(name)


def _plain(values: pd.Series) -> pd.Series:
    """Names without their settings: `weight_clipping(limit=0.1)` is weight_clipping."""
    return values.map(lambda name: str(name).partition("(")[0])


def _different(values: pd.Series) -> list[Any]:
    kept = values.dropna().drop_duplicates().tolist()
    return [
        int(value) if isinstance(value, float) and value.is_integer() else value for value in kept
    ]


def _column(runs: pd.DataFrame, name: str) -> list[Any]:
    return _different(runs[name]) if name in runs.columns else []


def _known(value: Any) -> list[Any]:
    return [] if value is None else [value]


def _shown(values: Sequence[Any]) -> str:
    texts = [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
    if len(texts) > _MOST_SHOWN:
        return f"{', '.join(texts[: _MOST_SHOWN - 1])} and {len(texts) - _MOST_SHOWN + 1} others"
    return ", ".join(texts[:-1]) + (" and " if len(texts) > 1 else "") + texts[-1]
