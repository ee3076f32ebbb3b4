"""Profiles as tidy tables: what the figures inside the critic are drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.records import Records

_RUN = ("label", "method", "dataset", "seed", "run_id")
_SURFACE = (*_RUN, "x", "y", "scores", "real", "fake")
_LAYER = (*_RUN, "layer", "gradient_norm")
_WEIGHT = (*_RUN, "left", "right", "share", "limit")


@dataclass(frozen=True)
class ProfileFrames:
    """The last profile of every run, as one table for each figure.

    Each row tells its run: label, seed, run_id, `dataset`, and `method`, the label without its data
    set. Numbers that were not finite are NaN.

    Attributes:
        surfaces: one row per run; x, y, scores, real and fake are arrays.
        layers: one row per run and layer, counted from 1 at the input; gradient_norm.
        weights: one row per run and bin: left, right, share of all weights, limit (NaN for none).
        unreadable: the runs that hold a profile which is not of its kind's form.
    """

    surfaces: pd.DataFrame
    layers: pd.DataFrame
    weights: pd.DataFrame
    unreadable: tuple[str, ...]


def profile_frames(records: Records) -> ProfileFrames:
    """The tables of these records, in the order of their runs."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in _READERS}
    unreadable = []
    names = _names(records.runs)
    for run in records.runs.to_dict("records"):
        method, dataset = names[run["label"], run["dataset"]]
        own = {name: run[name] for name in ("label", "seed", "run_id")}
        for name, profile in records.profiles.get(run["run_id"], {}).items():
            if name not in _READERS:
                continue
            try:
                found = list(_READERS[name](profile))
            except (KeyError, TypeError, ValueError):
                unreadable.append(str(run["run_id"]))
                continue
            rows[name] += [{**own, "method": method, "dataset": dataset, **row} for row in found]
    return ProfileFrames(
        pd.DataFrame(rows["value_surface"], columns=list(_SURFACE)),
        pd.DataFrame(rows["layer_gradients"], columns=list(_LAYER)),
        pd.DataFrame(rows["weight_histogram"], columns=list(_WEIGHT)),
        tuple(dict.fromkeys(unreadable)),
    )


def _names(runs: pd.DataFrame) -> dict[tuple[str, str], tuple[str, str]]:
    """By label and data set, the method and the data set as figures name them.

    Over several data sets a label holds the data set's part ("ring8, weight_clipping"). Taken out
    of it, it leaves what the labels of all data sets share.
    """
    names = {}
    for label, dataset, lipschitz in zip(
        runs["label"], runs["dataset"], runs["lipschitz"], strict=True
    ):
        part = rf"(?:^|, )({re.escape(str(dataset))}(?:\([^)]*\))?)(?=, |$)"
        match = re.search(part, str(label))
        rest = re.sub(part, "", str(label), count=1).removeprefix(", ") if match else str(label)
        shown = match[1] if match else str(dataset)
        names[label, dataset] = (rest or str(lipschitz), shown)
    if len(set(names.values())) < len(names):  # two labels would be taken for one
        return {(label, dataset): (str(label), str(dataset)) for label, dataset in names}
    return names


def _surface(profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    x, y = _numbers(profile["x"], 1), _numbers(profile["y"], 1)
    scores = _numbers(profile["scores"], 2)
    points = {kind: _numbers(profile[kind], 2) for kind in ("real", "fake")}
    flat = any(samples.shape[1] != 2 for samples in points.values())
    if scores.shape != (len(y), len(x)) or min(scores.shape) < 2 or flat:
        raise ValueError(f"scores of shape {scores.shape} over {len(x)} x {len(y)} places")
    yield {"x": x, "y": y, "scores": scores, **points}


def _layers(profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for place, norm in enumerate(_numbers(profile["gradient_norms"], 1), start=1):
        yield {"layer": place, "gradient_norm": float(norm)}


def _weights(profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    edges, counts = _numbers(profile["edges"], 1), _numbers(profile["counts"], 1)
    if len(edges) != len(counts) + 1 or not np.isfinite(edges).all():
        raise ValueError(f"{len(edges)} finite edges for {len(counts)} bins")
    limit = profile.get("limit")
    total = float(np.nansum(counts))
    shares = counts / (total if total > 0 else np.nan)
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        yield {
            "left": float(left),
            "right": float(right),
            "share": float(share),
            "limit": np.nan if limit is None else float(limit),
        }


_READERS = {"value_surface": _surface, "layer_gradients": _layers, "weight_histogram": _weights}


def _numbers(values: Any, dimensions: int) -> npt.NDArray[np.float64]:
    """An array of numbers from nested lists; null is NaN.

    Raises:
        ValueError, TypeError: it is none, has other dimensions or is empty.
    """
    array = np.array(values, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{array.ndim} dimensions, not {dimensions}")
    return array
