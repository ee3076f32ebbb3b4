"""`--set key=value`: what the command line changes in a sweep.

It beats everything the file says: a field's axis is replaced by the given value (or list, or range)
in every part of the grid. `--set optimizer.adam.lr=1e-3` reaches into the component of that name
wherever a run has it and leaves the others alone. `evaluate.every` and `record.log_every` reach
those sections.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.grid.expansion import Choice, expand
from bench.grid.settings import FAMILIES, FIELDS, Setting, component, settle, unknown
from bench.grid.source import Source, SweepError
from wgan.components import Component, ConfigError, build
from wgan.config import TrainConfig

SECTIONS = ("evaluate", "record")
_DOTTED = "fields of components and sections are written optimizer.adam.lr, evaluate.every"
_DEFAULTS = {item.name: item.default for item in dataclasses.fields(TrainConfig)}


def default_of(name: str) -> Any:
    """The value of a field that nothing sets; None for the recipe."""
    return _DEFAULTS.get(name)


@dataclass(frozen=True, eq=False)
class Patch:
    """One field of a component, changed wherever a run has that component."""

    option: str
    family: str
    name: str
    field: str
    value: Any

    def apply(self, settings: dict[str, Setting]) -> bool:
        """Change `settings` in place; whether there was anything to change."""
        old = settings.get(self.family)
        held = old.ready if old is not None else default_of(self.family)
        parts = held if isinstance(held, tuple) else (held,)
        if not any(part.name == self.name for part in parts):
            return False
        made = tuple(
            dataclasses.replace(part, **{self.field: self.value})
            if part.name == self.name
            else part
            for part in parts
        )
        choice = old.choice if old is not None else Choice(None, Source("", self.option), {(): ()})
        ready = made if isinstance(held, tuple) else made[0]
        settings[self.family] = Setting(self.family, ready, choice)
        return True


@dataclass
class Overrides:
    """What all `--set` options say.

    Attributes:
        axes: by field, the settings that replace its axis.
        patches: for each dotted option, the alternatives it gives.
        sections: by section (`evaluate`, `record`), by field, the value and where it was given.
    """

    axes: dict[str, list[Setting]] = field(default_factory=dict)
    patches: list[list[Patch]] = field(default_factory=list)
    sections: dict[str, dict[str, tuple[Any, Source]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.axes or self.patches or self.sections)


def parse_overrides(options: Sequence[str]) -> Overrides:
    """The meaning of `--set` options, in the form `key=value`.

    Raises:
        SweepError: an unknown key or a value that is not allowed.
    """
    overrides = Overrides()
    for option in options:
        key, source = split_option("--set", option)
        head, *rest = key.split(".")
        if head in SECTIONS and len(rest) == 1:
            overrides.sections.setdefault(head, {})[rest[0]] = (source.data, source)
        elif head in FIELDS and not rest:
            overrides.axes[key] = [
                settle(key, choice) for choice in expand(source.data, source, ())
            ]
        elif head in FAMILIES:
            overrides.patches.append(_patches(source, head, rest))
        else:
            raise source.error((), unknown_key(key, FIELDS))
    return overrides


def split_option(flag: str, option: str) -> tuple[str, Source]:
    """The key of an option `key=value`, and its value read as YAML (a label or an id stays text).

    Raises:
        SweepError: it is no `key=value`, or the value is no YAML.
    """
    key, equals, text = option.partition("=")
    if not equals or not key.strip():
        raise SweepError(f"{flag} {option}: must be key=value, for example {flag} seed=0")
    name = f"{flag} {option}"
    if key.strip() in ("label", "id", "run_id"):  # words, whatever they look like
        source = Source("", name, numbered=False)
        source.data = text.strip()
        return key.strip(), source
    try:
        return key.strip(), Source(text, name, numbered=False)
    except SweepError as error:
        raise SweepError(
            str(error) if str(error).startswith(name) else f"{name}: {error}"
        ) from None


def unknown_key(key: str, allowed: Collection[str]) -> str:
    """A sentence about a key that does not exist, with the nearest that does."""
    return f"{unknown('key', key, allowed)}; {_DOTTED}"


def _patches(source: Source, family: str, rest: list[str]) -> list[Patch]:
    try:
        chosen = component(family, rest[0])
        if len(rest) != 2:
            example = f"{family}.{rest[0]}.{dataclasses.fields(chosen)[0].name}"
            raise SweepError(f"{source.name}: must be family.name.field=value, as in {example}=...")
        name, item = rest
        return [
            Patch(source.name, family, name, item, _field_value(chosen, item, choice.value))
            for choice in expand(source.data, source, ())
        ]
    except ConfigError as error:
        raise SweepError(f"{source.name}: {error.problem}") from None


def _field_value(chosen: type[Component], name: str, value: Any) -> Any:
    return getattr(build(chosen, {name: value}), name)
