"""Labels: the name of a setting without its seed, made from what varies across the sweep."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from wgan.components import Component
from wgan.config import OPTIONAL, SAME, TrainConfig, field_names

# Whatever stands earlier speaks first; a later field is named only where the earlier leave it open.
_FIRST = ("recipe", "dataset", "network", "lipschitz", "loss", "optimizer")
_FIELDS = (*_FIRST, *(name for name in field_names() if name not in (*_FIRST, "seed")))


def label_all(settings: Sequence[tuple[str | None, TrainConfig]]) -> list[str]:
    """A label for each (recipe, configuration): equal where only the seeds differ, else not."""
    values = [_values(recipe, config) for recipe, config in settings]
    labels = [""] * len(values)
    for has_recipe in (True, False):
        group = [
            index
            for index, (recipe, _) in enumerate(settings)
            if (recipe is not None) == has_recipe
        ]
        named = _deciding([values[index] for index in group])
        texts = {name: _texts(name, {values[index][name] for index in group}) for name in named}
        for index in group:
            labels[index] = ", ".join(texts[name][values[index][name]] for name in named)
    return _told_apart(labels, values)


def _values(recipe: str | None, config: TrainConfig) -> dict[str, Any]:
    return {name: recipe if name == "recipe" else getattr(config, name) for name in _FIELDS}


def _deciding(values: list[dict[str, Any]]) -> list[str]:
    """The fields that decide all others, found in order; at least one."""
    keys: list[tuple[int, ...]] = [()] * len(values)
    named = []
    for name in _FIELDS:
        numbers: dict[Any, int] = {}
        column = [numbers.setdefault(row[name], len(numbers)) for row in values]
        seen: dict[tuple[int, ...], int] = {}
        pairs = list(zip(keys, column, strict=True))
        if any(seen.setdefault(key, number) != number for key, number in pairs):
            named.append(name)
            keys = [(*key, number) for key, number in pairs]
    if not named and values:
        return ["recipe"] if values[0]["recipe"] is not None else ["lipschitz"]
    return named


def _texts(name: str, held: Collection[Any]) -> dict[Any, str]:
    """The text of each value that a field takes in the sweep."""
    if name == "recipe":
        return {value: str(value) for value in held}
    parts = {value: value if isinstance(value, tuple) else (value,) for value in held}
    components = [part for group in parts.values() for part in group if isinstance(part, Component)]
    if not components:
        return {value: f"{name}={_number(value)}" for value in held}
    varying = {part.name: _varying(part.name, components) for part in components}
    texts = {
        value: "+".join(
            SAME if part is None else _component(part, varying[part.name]) for part in group
        )
        for value, group in parts.items()
    }
    if name in OPTIONAL:  # its values would read as those of the field it may be left to
        return {value: f"{name}={text}" for value, text in texts.items()}
    return texts


def _varying(name: str, components: Collection[Component]) -> list[str]:
    """The fields in which the components of one name differ."""
    named = [part for part in components if part.name == name]
    fields = [item.name for item in dataclasses.fields(named[0])]
    return [field for field in fields if len({getattr(part, field) for part in named}) > 1]


def _component(part: Component, fields: Sequence[str]) -> str:
    shown = ", ".join(f"{field}={_number(getattr(part, field))}" for field in fields)
    return f"{part.name}({shown})" if shown else part.name


def _number(value: Any) -> str:
    """A number as short as it can be without losing anything."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _told_apart(labels: list[str], values: list[dict[str, Any]]) -> list[str]:
    """The labels; where two unlike settings share one, each is marked with a piece of its hash."""
    owners: dict[str, set[tuple[Any, ...]]] = {}
    for label, row in zip(labels, values, strict=True):
        owners.setdefault(label, set()).add(tuple(row.values()))
    return [
        label if len(owners[label]) == 1 else f"{label} #{_mark(row)}"
        for label, row in zip(labels, values, strict=True)
    ]


def _mark(row: dict[str, Any]) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()[:6]
