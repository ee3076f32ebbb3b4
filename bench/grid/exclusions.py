"""Exclusions: combinations of the grid that are left out, each for a stated reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.grid.drafts import Draft
from bench.grid.expansion import Choice, expand
from bench.grid.overrides import default_of
from bench.grid.settings import (
    FAMILIES,
    FIELDS,
    Setting,
    check_keys,
    component,
    flow,
    sentence,
    settle,
)
from bench.grid.source import Keys, Source, SweepError
from wgan.components import Component, ConfigError, build


@dataclass(frozen=True)
class Excluded:
    """One exclusion of a sweep file: `runs` combinations left out for `reason`."""

    where: str
    reason: str
    runs: int


@dataclass(frozen=True)
class Pattern:
    """A component by name and by those of its fields that are given."""

    name: str
    fields: tuple[tuple[str, Any], ...]

    def matches(self, part: Component) -> bool:
        """Whether `part` is of that name and has those values."""
        return part.name == self.name and all(
            getattr(part, field) == value for field, value in self.fields
        )


class Rule:
    """Matches a run that fulfils every condition; a list of values means any of them.

    A Lipschitz method matches a run that holds it, alone or with others.
    """

    def __init__(self, source: Source, keys: Keys, where: dict[str, Any], reason: str) -> None:
        self.source, self.keys, self.reason = source, keys, reason
        self.text = ", ".join(f"{name}: {flow(value)}" for name, value in where.items())
        self.taken = 0  # runs left out by it and by no earlier rule
        self.matched = False
        self._conditions = {
            name: [
                _condition(name, choice) for choice in expand(value, source, (*keys, "where", name))
            ]
            for name, value in where.items()
        }

    def matches(self, settings: Mapping[str, Setting]) -> bool:
        """Whether the run with these settings is meant."""
        meant = all(self._holds(name, settings) for name in self._conditions)
        self.matched |= meant
        return meant

    def tally(self) -> Excluded:
        """What it left out."""
        return Excluded(self.text, self.reason, self.taken)

    def unused(self, runs: Sequence[Mapping[str, Setting]]) -> SweepError:
        """The error of a rule that matches none of `runs`: which condition no run fulfils."""
        never = [
            name
            for name in self._conditions
            if not any(self._holds(name, settings) for settings in runs)
        ]
        keys = (*self.keys, "where", *never[:1])
        if not never:
            return self.source.error(keys, f"no run has all of {self.text}: nothing to exclude")
        there = sorted({_spoken(_value(never[0], settings)) for settings in runs})
        shown = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
        wanted = self.text if len(self._conditions) == 1 else f"{never[0]} of {self.text}"
        return self.source.error(
            keys, f"no run matches {wanted}: nothing to exclude (there are: {shown})"
        )

    def _holds(self, name: str, settings: Mapping[str, Setting]) -> bool:
        value = _value(name, settings)
        parts = value if isinstance(value, tuple) else (value,)
        for wanted in self._conditions[name]:
            if isinstance(wanted, list):
                if all(any(one.matches(part) for part in parts) for one in wanted):
                    return True
            elif value == wanted:
                return True
        return False


def exclude(
    drafts: Sequence[Draft], rules: Sequence[Rule], *, strict: bool
) -> tuple[list[Draft], list[str]]:
    """The combinations that no rule means, and a sentence for each rule that means none.

    Raises:
        SweepError: a rule means no combination, if `strict`.
    """
    kept, notes = [], []
    for draft in drafts:
        matching = [rule for rule in rules if rule.matches(draft.settings)]
        if matching:
            matching[0].taken += 1
        else:
            kept.append(draft)
    for rule in rules:
        if not rule.matched:
            error = rule.unused([draft.settings for draft in drafts])
            if strict:
                raise error
            notes.append(str(error))
    return kept, notes


def read_rules(source: Source, plain: Any) -> list[Rule]:
    """The exclusions of a sweep file.

    Raises:
        SweepError: one without a condition or a reason, or with a value that cannot be.
    """
    if not isinstance(plain, list):
        raise source.error(
            ("exclude",), "exclude must be a list of {where: {field: value}, reason: text}"
        )
    return [_rule(source, ("exclude", index), entry) for index, entry in enumerate(plain)]


def _rule(source: Source, keys: Keys, entry: Any) -> Rule:
    if not isinstance(entry, dict):
        raise source.error(
            keys,
            f"{flow(entry)!r} is not allowed: must be {{where: {{field: value}}, reason: text}}",
        )
    check_keys(entry, ("where", "reason"), source, keys, "field")
    where, reason = entry.get("where"), entry.get("reason")
    if not isinstance(where, dict) or not where:
        raise source.error(
            (*keys, "where"), "an exclusion needs 'where', the settings that it means"
        )
    if not isinstance(reason, str) or not reason.strip():
        raise source.error(
            (*keys, "reason"), "an exclusion needs 'reason', a text that the report can show"
        )
    check_keys(where, FIELDS, source, (*keys, "where"), "field")
    return Rule(source, keys, where, reason.strip())


def _condition(name: str, choice: Choice) -> Any:
    """A value to be equal to, or the patterns of a component that must all be there."""
    if name not in FAMILIES:
        return settle(name, choice).ready
    value = choice.value
    entries = value["all"] if isinstance(value, dict) and list(value) == ["all"] else [value]
    try:
        return [pattern(name, entry) for entry in entries]
    except ConfigError as error:
        raise choice.error(error.path[1:], sentence(error)) from None


def pattern(family: str, plain: Any) -> Pattern:
    """A component as conditions mean it: `name`, or `{name: {field: value}}`.

    Raises:
        ConfigError: an unknown name or field, or a value that is not allowed.
    """
    if isinstance(plain, str):
        return Pattern(component(family, plain).name, ())
    if not isinstance(plain, dict) or len(plain) != 1:
        problem = f"{flow(plain)!r} is not allowed: must be a name, or name: {{field: value}}"
        raise ConfigError((family,), problem)
    ((name, fields),) = plain.items()
    made = build(component(family, name), fields or {}, (family, name))
    return Pattern(name, tuple((field, getattr(made, field)) for field in fields or {}))


def _value(name: str, settings: Mapping[str, Setting]) -> Any:
    written = settings.get(name)
    return written.ready if written is not None else default_of(name)


def _spoken(value: Any) -> str:
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
