"""One written value of one field, checked; and the answer to a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from bench.grid.expansion import Choice
from bench.grid.source import Keys, Source
from wgan.components import Component, ConfigError, UnknownName
from wgan.config import COMPONENTS, TrainConfig, field_names, parse_component
from wgan.lipschitz import LipschitzMethod
from wgan.recipes import recipe_settings

FAMILIES: dict[str, type[Component]] = {**COMPONENTS, "lipschitz": LipschitzMethod}
FIELDS = ("recipe", *field_names())

# What other code bases call our fields: a misspelt one of these is a misspelt ours.
_SYNONYMS = {
    "batch": "batch_size",
    "clip_value": "lipschitz",
    "constraint": "lipschitz",
    "critic_iters": "critic_steps",
    "data": "dataset",
    "epochs": "steps",
    "gan": "recipe",
    "iterations": "steps",
    "lambda_gp": "lipschitz",
    "latent_dim": "noise_size",
    "learning_rate": "optimizer",
    "lr": "optimizer",
    "method": "lipschitz",
    "model": "network",
    "n_critic": "critic_steps",
    "num_steps": "steps",
    "seeds": "seed",
    "z_dim": "noise_size",
}


@dataclass(frozen=True, eq=False)
class Setting:
    """A field's value, ready for a configuration, and the choice it was written as."""

    name: str
    ready: Any
    choice: Choice

    @property
    def place(self) -> str:
        """`file:line`."""
        return self.choice.source.place(self.choice.keys())

    @property
    def line(self) -> int | None:
        """The line in its file."""
        return self.choice.source.line(self.choice.keys())

    def __str__(self) -> str:
        return f"{self.name}: {flow(self.choice.value)}"


def settle(name: str, choice: Choice) -> Setting:
    """The field `name` with this value, checked as far as it can be without the other fields.

    Raises:
        SweepError: the value is not allowed there.
    """
    if choice.value is None:
        raise choice.error((), f"{name!r} has no value")
    try:
        return Setting(name, parse(name, choice.value), choice)
    except ConfigError as error:
        raise choice.error(error.path[1:], sentence(error)) from None


def parse(name: str, value: Any) -> Any:
    """The value of the field `name` as a configuration holds it; a recipe stays its name.

    Raises:
        ConfigError: it is not allowed, with the path to it.
    """
    if name == "recipe":
        recipe_settings(value)
        return value
    if name in COMPONENTS:
        return parse_component(name, value)
    return getattr(TrainConfig.from_plain({name: value}), name)


def of_recipe(recipe: Setting) -> dict[str, Setting]:
    """What a recipe sets, as if it were written where the recipe is named."""
    keys = recipe.choice.keys()
    return {
        name: settle(name, Choice(value, recipe.choice.source, {(): keys}))
        for name, value in recipe_settings(recipe.ready).items()
    }


def as_mapping(
    plain: Any, allowed: Collection[str], source: Source, keys: Keys, what: str
) -> dict[str, Any]:
    """`plain` itself, if it is a mapping with no other keys than those allowed.

    Raises:
        SweepError: it is none, or has others.
    """
    if not isinstance(plain, dict):
        raise source.error(keys, f"{short(plain)} is not allowed: {what} must be a mapping")
    check_keys(plain, allowed, source, keys, "field")
    return plain


def check_keys(
    written: Iterable[str], allowed: Collection[str], source: Source, keys: Keys, kind: str
) -> None:
    """Refuse keys that do not exist.

    Raises:
        SweepError: naming the nearest that does, and all of them.
    """
    for key in written:
        if key not in allowed:
            raise source.error((*keys, key), unknown(kind, key, allowed))


def unknown(kind: str, key: str, allowed: Collection[str]) -> str:
    """A sentence about a name that does not exist, with the nearest that does."""
    near = nearest(key, allowed)
    hint = f"; did you mean {near!r}?" if near else ""
    return f"unknown {kind} {key!r}{hint} (allowed: {', '.join(sorted(allowed))})"


def nearest(key: str, allowed: Collection[str]) -> str | None:
    """The allowed name that is most like `key`, by its letters or by what others call it."""
    synonyms = {word: field for word, field in _SYNONYMS.items() if field in allowed}
    names = {**synonyms, **{name: name for name in allowed}}
    near = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.6)
    return names[near[0]] if near else None


def sentence(error: ConfigError) -> str:
    """What an error says, its place in dots before it where the words alone do not give it."""
    if not error.problem.startswith("unknown "):
        return str(error)
    # The culprit of an unknown field is the last key of the path; of an unknown name, the value.
    shown = error.path[:-1] if error.problem.startswith("unknown field") else error.path
    if error.problem.startswith("unknown value") or len(shown) > 1:
        return f"{'.'.join(shown)}: {error.problem}"
    return error.problem


def component(family: str, name: str) -> type[Component]:
    """The component called `name`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return FAMILIES[family].named(name)
    except UnknownName as error:
        spoken = error.problem.replace("unknown lipschitz", "unknown Lipschitz method")
        raise ConfigError((family,), spoken) from None


def flow(value: Any) -> str:
    """A plain value as YAML on one line, for messages."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def short(value: Any) -> str:
    """A plain value in quotes, for messages; the end of a long one is left out."""
    text = flow(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
