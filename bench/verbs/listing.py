"""`list`: the parts that a sweep file can choose from, read from their registries."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from bench.evaluate import COLUMNS
from bench.grid.looks import promises
from bench.grid.settings import FAMILIES, flow, unknown
from bench.grid.sweep import RecordSpec
from bench.published import POINTS, load
from bench.spec import DENSITY_METRICS, IMAGE_METRICS, METRICS, EvaluateSpec
from bench.verbs.show import say, show_json
from wgan.components import Component, ConfigError, plain_settings
from wgan.config import TrainConfig
from wgan.diagnostics import PROFILES
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.networks import Network, Shape
from wgan.recipes import RECIPES

_LARGEST_SIDE = 256  # pixels, of the images that a network is asked for

_METRICS = {
    "fid": "Frechet distance of features, low is good; Heusel et al. 2017, arXiv:1706.08500",
    "kid": "squared MMD of features, low is good; Binkowski et al. 2018, arXiv:1801.01401",
    "inception_score": "how sure and how varied the classes are, high is good; Salimans et al. "
    "2016, arXiv:1606.03498",
    "precision_recall": "shares of fakes near reals and of reals near fakes, high is good; "
    "Kynkäänniemi et al. 2019, arXiv:1904.06991",
    "density_coverage": "how densely reals surround fakes (1 is perfect), share of reals with a "
    "fake nearby; Naeem et al. 2020, arXiv:2002.09797; on request",
    "exact_w1": "Wasserstein-1 distance between equal samples, by optimal assignment, low is good",
    "sliced_wasserstein": "mean Wasserstein-1 distance of projections, low is good; images by "
    "patches, on request; Karras et al. 2018, arXiv:1710.10196, section 5",
    "modes": "modes or classes covered, how unevenly, and of points the share close to one; "
    "Lin et al. 2018, arXiv:1712.04086, section 4",
}


def listing(kind: str | None, *, as_json: bool) -> int:
    """Print one kind of parts in full, or the names of all kinds."""
    if kind is None:
        names = {name: [entry["name"] for entry in make()] for name, make in KINDS.items()}
        if as_json:
            show_json(names)
            return 0
        width = max(map(len, names))
        for name, entries in names.items():
            say(f"{name.ljust(width)}  {', '.join(entries)}")
        say("\nmore of each: wgan-bench list methods")
        return 0
    if kind not in KINDS:
        raise click.UsageError(unknown("kind", kind, list(KINDS)))
    entries = list(KINDS[kind]())
    if as_json:
        show_json(entries)
        return 0
    for index, entry in enumerate(entries):
        say(("\n" if index else "") + _spell(entry))
    return 0


def _family(family: str) -> Callable[[], Iterator[dict[str, Any]]]:
    def entries() -> Iterator[dict[str, Any]]:
        for name, cls in sorted(FAMILIES[family].registry.items()):
            entry = {
                "name": name,
                "about": (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
                "source": cls.reference,
                "version": cls.version,
                "fields": [_field(item) for item in dataclasses.fields(cls)],
            }
            yield entry | _extra(family, cls)

    return entries


def _extra(family: str, cls: type[Component]) -> dict[str, Any]:
    if issubclass(cls, LipschitzMethod):
        found = [{"bound": bound, "with": settings} for settings, bound in promises(cls)]
        return {"promises": found}
    if issubclass(cls, Loss):
        return {"distance": cls.distance_name, "bounds": cls.bounds}
    if issubclass(cls, Network):
        return {"makes": _makes(cls())}
    if family == "dataset":
        return {"shape": list(getattr(cls(), "shape", ()))}
    return {}


def _makes(network: Network) -> str:
    """The samples that a network can make, found by asking it."""
    sides = [side for side in range(1, _LARGEST_SIDE + 1) if _fits(network, (1, side, side))]
    if len(sides) == _LARGEST_SIDE:
        images = "images of any size"
    else:
        images = f"square images of {', '.join(map(str, sides))} pixels"
    return f"points, {images}" if _fits(network, (2,)) else images


def _fits(network: Network, shape: Shape) -> bool:
    try:
        network.check(shape, "none", 2)
    except ConfigError:
        return False
    return True


def _field(item: dataclasses.Field[Any]) -> dict[str, Any]:
    meta: Mapping[str, Any] = item.metadata
    return {
        "name": item.name,
        "default": item.default,
        "allowed": str(meta.get("range", "")),
        "unit": meta.get("unit", ""),
        "about": meta.get("doc", ""),
    }


def _recipes() -> Iterator[dict[str, Any]]:
    for recipe in RECIPES.values():
        yield {
            "name": recipe.name,
            "about": recipe.title,
            "source": recipe.reference,
            "settings": recipe.settings,
        }


def _metrics() -> Iterator[dict[str, Any]]:
    kinds = {"images": IMAGE_METRICS, "densities": DENSITY_METRICS}
    for name in METRICS:
        yield {
            "name": name,
            "about": _METRICS[name],
            "for": " and ".join(kind for kind, names in kinds.items() if name in names),
            "columns": list(COLUMNS[name]),
        }


def _profiles() -> Iterator[dict[str, Any]]:
    for name, make in PROFILES.items():
        yield {"name": name, "about": (inspect.getdoc(make) or "").split("\n\n")[0]}


def _published() -> Iterator[dict[str, Any]]:
    for table in load():
        rows = [
            f"{row.method} ({row.states or 'loss and constraint not stated'})"
            for row in table.rows
            if not row.real
        ]
        yield {
            "name": table.name,
            "about": table.title,
            "source": table.source,
            "on": {dataset: list(table.metrics(dataset)) for dataset in table.datasets},
            "protocol": {
                POINTS[key]: point.says
                + (f" ({', '.join(point.datasets)})" if point.datasets else "")
                for key, point in table.protocol.items()
            },
            "rows": rows,
            "traps": list(table.traps),
        }


def _fields() -> Iterator[dict[str, Any]]:
    parts = (("", TrainConfig()), ("evaluate.", EvaluateSpec()), ("record.", RecordSpec()))
    for section, instance in parts:
        plain = plain_settings(instance)
        for item in dataclasses.fields(instance):
            if "range" in item.metadata:
                entry = {**_field(item), "default": plain[item.name]}
                yield entry | {"name": section + item.name}


def _claims() -> Iterator[dict[str, Any]]:
    from bench.claims import all_claims  # which loads scipy's statistics

    for claim in all_claims().values():
        yield {
            "name": claim.name,
            "about": claim.sentence,
            "source": claim.source,
            "scope": claim.scope,
            "family": claim.family,
            "data": claim.sweep or "computed",
        }


KINDS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {
    "recipes": _recipes,
    "methods": _family("lipschitz"),
    "losses": _family("loss"),
    "optimizers": _family("optimizer"),
    "networks": _family("network"),
    "generators": _family("generator"),
    "datasets": _family("dataset"),
    "metrics": _metrics,
    "profiles": _profiles,
    "published": _published,
    "claims": _claims,
    "fields": _fields,
}


def _spell(entry: dict[str, Any]) -> str:
    if "default" in entry:
        return _spell_field(entry)
    lines = [str(entry["name"])]
    lines += [f"  {entry['about']}"] if entry.get("about") else []
    lines += [f"  source: {entry['source']}"] if entry.get("source") else []
    lines += [f"  shape: {tuple(entry['shape'])}"] if "shape" in entry else []
    if "promises" in entry:
        promised = [
            f"{item['bound']:g}" + (f" with {flow(item['with'])}" if item["with"] else "")
            for item in entry["promises"]
        ]
        said = (
            f"{', '.join(promised)} for each layer and any chain of them (resnet: more)"
            if promised
            else "none"
        )
        lines.append(f"  promised Lipschitz constant: {said}")
    lines += [f"  makes: {entry['makes']}"] if "makes" in entry else []
    if "distance" in entry:
        lines.append(f"  estimates: {entry['distance']}; {entry['bounds']}")
    if "columns" in entry:
        lines.append(f"  for {entry['for']}; columns: {', '.join(entry['columns'])}")
    lines += [f"  {key}: {entry[key]}" for key in ("scope", "family", "data") if key in entry]
    lines += [f"  on {name}: {', '.join(metrics)}" for name, metrics in entry.get("on", {}).items()]
    lines += [f"  {point}: {said}" for point, said in entry.get("protocol", {}).items()]
    lines += [f"  row: {row}" for row in entry.get("rows", ())]
    lines += [f"  trap: {trap}" for trap in entry.get("traps", ())]
    for name, value in entry.get("settings", {}).items():
        lines.append(f"  {name}: {flow(value)}")
    lines += [f"  {_spell_field(item)}" for item in entry.get("fields", ())]
    return "\n".join(lines)


def _spell_field(item: dict[str, Any]) -> str:
    unit = f" [{item['unit']}]" if item["unit"] else ""
    allowed = f" ({item['allowed']})" if item["allowed"] else ""
    default = "(empty)" if item["default"] == "" else flow(item["default"])
    return f"{item['name']}: {default}{allowed}{unit}  {item['about']}".rstrip()
