"""Components: the named, versioned, validated parts that a configuration chooses from.

A component is a frozen dataclass whose fields are scalars. Giving the class a `name` registers it
in its family (`lipschitz`, `loss`, `network`, `optimizer`, `dataset`), which is all it takes to be
found by the sweep file, listed by the command line and tested by the contract tests. Every field
states its unit and range once, in `setting`, and is checked there.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import sys
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

T = TypeVar("T")


class ConfigError(ValueError):
    """A setting that cannot be used: where it stands, the value, what is allowed.

    Args:
        path: the keys that lead to the value, outermost first, e.g. ("optimizer", "adam", "lr").
        problem: what is wrong, without the place, e.g. "-1 is not allowed: a whole number >= 1".
    """

    def __init__(self, path: tuple[str, ...], problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{'.'.join(path)}: {problem}" if path else problem)

    def under(self, *prefix: str) -> ConfigError:
        """The same error seen from further out: `prefix` stands before its path."""
        return ConfigError((*prefix, *self.path), self.problem)


# What other codes call the fields of our components.
_ALIASES = {
    "clip_value": "limit",
    "gp_weight": "weight",
    "lambda": "weight",
    "lambda_gp": "weight",
    "learning_rate": "lr",
    "n_critic": "critic_steps",
}


class UnknownName(ConfigError):
    """A key or a component's name that does not exist; names the nearest and all that do."""

    def __init__(
        self, path: tuple[str, ...], kind: str, name: object, allowed: Iterable[str]
    ) -> None:
        known = sorted(allowed)
        candidates = {alias: meant for alias, meant in _ALIASES.items() if meant in known}
        candidates |= {word: word for word in known}
        near = difflib.get_close_matches(str(name).lower(), candidates, n=1, cutoff=0.55)
        hint = f"; did you mean {candidates[near[0]]!r}?" if near else ""
        listed = ", ".join(known) if known else "none"
        super().__init__(path, f"unknown {kind} {name!r}{hint} (allowed: {listed})")


@dataclass(frozen=True)
class Range:
    """What a field may hold: `low` and `high` are inclusive, `above` and `below` exclusive."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str | int, ...] | None = None

    def holds(self, value: Any) -> bool:
        """Whether `value` lies in the range."""
        if self.choices is not None:
            return value in self.choices
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.choices is not None:
            return "one of " + ", ".join(map(str, self.choices))
        bounds = ((">=", self.low), ("<=", self.high), (">", self.above), ("<", self.below))
        return " and ".join(f"{sign} {bound:.12g}" for sign, bound in bounds if bound is not None)


_NO_NEUTRAL = object()


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str | int, ...] | None = None,
    neutral: Any = _NO_NEUTRAL,
    place: bool = False,
) -> Any:
    """A dataclass field that carries its meaning, unit and range.

    `neutral` is for fields added after results exist: the value that gives the old behaviour. A
    field equal to its neutral value is left out of the run id, so that the new field orphans no
    result.

    `place` is for fields that say where something lies, which changes no number: they are no part
    of the run id, nor of equality.
    """
    metadata = {
        "doc": doc,
        "unit": unit,
        "range": Range(low, high, above, below, choices),
        "neutral": neutral,
        "place": place,
    }
    return field(default=default, metadata=metadata, compare=not place)


def component(default: Any, *, neutral: Any = _NO_NEUTRAL) -> Any:
    """A dataclass field that holds a component; `neutral` as in `setting`."""
    return field(default=default, metadata={"neutral": neutral})


LARGEST = 1e30  # in size; torch refuses factors beyond single precision, 3.4e38

_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """The resolved type of each field of a dataclass."""
    hints = typing.get_type_hints(cls)
    return {item.name: hints[item.name] for item in dataclasses.fields(cls)}


def _coerce(value: Any, wanted: Any) -> Any:
    """`value` as `wanted` where nothing is lost (0 for 0.0, 1e4 for 10000), else TypeError."""
    if wanted in (float, int) and isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError
        if wanted is int and value == int(value) and abs(value) <= sys.maxsize:
            return int(value)
        if wanted is float and abs(value) <= LARGEST:
            return float(value) + 0.0  # the sum turns -0.0 into 0.0, which would be another id
    elif wanted in (bool, str) and isinstance(value, wanted):
        return value
    raise TypeError


def _too_large(value: Any, wanted: Any) -> bool:
    """Whether a number's size alone forbids it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return wanted is float and number and LARGEST < abs(value) < math.inf


def check_settings(instance: Any) -> None:
    """Check every `setting` of a dataclass instance in place; called from `__post_init__`.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """
    settings = _settings_of(type(instance))  # type: ignore[arg-type]  # a class is hashable
    for name, (wanted, allowed) in settings.items():
        value = _checked(name, getattr(instance, name), wanted, allowed)
        object.__setattr__(instance, name, value)


def check_setting(cls: type, name: str, value: object) -> Any:
    """The value that the `setting` called `name` of the dataclass `cls` then holds.

    Raises:
        ConfigError: a value of the wrong type or out of range.
    """
    return _checked(name, value, *_settings_of(cls)[name])


@functools.cache
def _settings_of(cls: type) -> dict[str, tuple[type, Range]]:
    """Type and range of each field that is checked: thousands of configurations ask."""
    hints = hints_of(cls)
    return {
        item.name: (hints[item.name], item.metadata["range"])
        for item in dataclasses.fields(cls)
        if item.metadata.get("range") is not None and hints[item.name] in _NOUNS
    }


def _checked(name: str, value: object, wanted: type, allowed: Range) -> Any:
    try:
        held = _coerce(value, wanted)
    except TypeError:
        more = f" and of size {LARGEST:.3g} at most" if _too_large(value, wanted) else ""
        raise _not_allowed(name, value, f"{_expected(wanted, allowed)}{more}") from None
    if not allowed.holds(held):
        if allowed.choices and wanted is str:
            raise UnknownName((name,), "value", held, map(str, allowed.choices))
        raise _not_allowed(name, held, _expected(wanted, allowed))
    return held


def _expected(wanted: type, allowed: Range) -> str:
    if allowed.choices and wanted is str:
        return str(allowed)
    return f"{_NOUNS[wanted]}{',' if allowed.choices else ''} {allowed}".strip()


def _not_allowed(name: str, value: object, expected: str) -> ConfigError:
    return ConfigError((name,), f"{value!r} is not allowed: must be {expected}")


def plain_settings(instance: Any, *, for_id: bool = False) -> dict[str, Any]:
    """The fields of a dataclass as a plain mapping.

    `for_id` leaves out those that are neutral and those that say where something lies.
    """
    values = vars(instance)
    if for_id:
        counted = _id_fields(type(instance))  # type: ignore[arg-type]  # a class is hashable
        return {name: values[name] for name, neutral in counted if values[name] != neutral}
    names = _field_names(type(instance))  # type: ignore[arg-type]  # a class is hashable
    return {name: values[name] for name in names}


@functools.cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(cls))


@functools.cache
def _id_fields(cls: type) -> tuple[tuple[str, Any], ...]:
    """Name and neutral value of each field that enters an id."""
    return tuple(
        (item.name, item.metadata.get("neutral", _NO_NEUTRAL))
        for item in dataclasses.fields(cls)
        if not item.metadata.get("place")
    )


@dataclass(frozen=True)
class Component:
    """Base of every family. Subclass a family, give the class a `name`, and it is registered."""

    family: ClassVar[str]
    registry: ClassVar[dict[str, type[Component]]]
    name: ClassVar[str]
    version: ClassVar[int] = 1  # raised when the same settings would give other numbers
    reference: ClassVar[str] = ""  # paper, arXiv number, equation

    def __init_subclass__(cls, family: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if family is not None:
            cls.family, cls.registry = family, {}
        elif "name" in cls.__dict__:
            if cls.name in cls.registry:
                raise TypeError(f"two {cls.family} components are called {cls.name!r}")
            cls.registry[cls.name] = cls

    def __post_init__(self) -> None:
        check_settings(self)

    @classmethod
    def named(cls, name: object) -> type[Self]:
        """The class registered under `name` in this family.

        Raises:
            UnknownName: no such component; names the nearest.
        """
        if not isinstance(name, str) or name not in cls.registry:
            raise UnknownName((), cls.family, name, cls.registry)
        return typing.cast("type[Self]", cls.registry[name])

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """A component from `name` or `{name: {field: value}}`.

        Raises:
            ConfigError: an unknown name or field, or a value that is not allowed.
        """
        if isinstance(plain, cls):
            return plain
        if isinstance(plain, str):
            return cls.named(plain)()
        if not isinstance(plain, Mapping) or len(plain) != 1:
            raise ConfigError(
                (),
                f"{plain!r} is not allowed: give a name, or name: {{field: value}}",
            )
        ((name, values),) = plain.items()
        chosen = cls.named(name)
        return build(chosen, values if values is not None else {}, path=(str(name),))

    def to_plain(self, *, for_id: bool = False) -> dict[str, dict[str, Any]]:
        """`{name: {field: value}}`, the inverse of `from_plain`; see `plain_settings`."""
        return {self.name: plain_settings(self, for_id=for_id)}

    def __str__(self) -> str:
        """The name and the fields that differ from their defaults: `gradient_penalty(weight=1)`."""
        changed = [
            f"{item.name}={value:g}" if isinstance(value, float) else f"{item.name}={value}"
            for item in dataclasses.fields(self)
            if (value := getattr(self, item.name)) != item.default
        ]
        return f"{self.name}({', '.join(changed)})" if changed else self.name


def build(cls: type[T], values: object, path: tuple[str, ...] = ()) -> T:
    """An instance of the dataclass `cls` from a mapping of its fields, strictly.

    Raises:
        ConfigError: `values` is no mapping, has an unknown field, or a value that is not allowed.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(path, f"{values!r} is not allowed: must be a mapping of fields")
    known = [item.name for item in dataclasses.fields(typing.cast(Any, cls))]
    for key in values:
        if key not in known:
            raise UnknownName((*path, str(key)), "field", key, known)
    try:
        return cls(**values)
    except ConfigError as error:
        raise error.under(*path) from None
