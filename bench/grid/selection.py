"""`--only key=value`: which runs of a sweep are meant.

Several of one key are alternatives, several keys must all hold. A key is `label`, `id` (its first
characters will do), `recipe`, a field of the configuration, or a component's field as in
`optimizer.adam.lr`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from bench.grid.expansion import expand, value_range
from bench.grid.overrides import split_option, unknown_key
from bench.grid.settings import FAMILIES, FIELDS, component, flow, unknown
from bench.grid.source import Source, SweepError
from bench.spec import RunSpec
from wgan.components import ConfigError


def select(runs: list[RunSpec], options: Sequence[str]) -> list[RunSpec]:
    """The runs that the `--only` options keep.

    Raises:
        SweepError: an unknown key, or nothing matches; says what there is.
    """
    wanted: dict[str, list[tuple[Source, list[Any]]]] = {}
    for option in options:
        key, source = split_option("--only", option)
        wanted.setdefault(key, []).append((source, _alternatives(key, source)))
    kept = runs
    for key, alternatives in wanted.items():
        held = [_held(run, key, alternatives[0][0]) for run in runs]
        values = [value for _, group in alternatives for value in group]
        for source, group in alternatives:
            if not any(_matches(parts, group) for parts in held):
                raise source.error((), _nothing(key, group, held))
        matching = {
            id(run) for run, parts in zip(runs, held, strict=True) if _matches(parts, values)
        }
        kept = [run for run in kept if id(run) in matching]
    if not kept:
        given = " ".join(f"--only {option}" for option in options)
        raise SweepError(f"{given}: each matches some run, but no run matches them all")
    return kept


def _alternatives(key: str, source: Source) -> list[Any]:
    value = source.data
    if isinstance(value, list):
        return [part.value for part in expand(value, source, ())]
    numbers = value_range(value)
    if numbers is not None:
        return [part.value for part in expand(value, source, ())]
    if isinstance(value, str) and "," in value and key != "label":
        listed = Source(f"[{value}]", source.name, numbered=False).data
        return listed if isinstance(listed, list) else [listed]
    return [value]


def _held(run: RunSpec, key: str, source: Source) -> list[Any]:
    """What a run has under a key: one value, or one for each method of a combination."""
    head, *rest = key.split(".")
    if key == "label":
        return [run.label]
    if key == "recipe":
        return [run.recipe]
    if key in ("id", "run_id"):
        return [_Prefixed(run.run_id)]
    if head not in FIELDS:
        raise source.error((), unknown_key(key, ["label", "id", *FIELDS]))
    value = getattr(run.config, head)
    if head not in FAMILIES:
        if rest:
            raise source.error((), f"{head!r} has no parts: write {head}=value")
        return [value]
    parts = value if isinstance(value, tuple) else (value,)
    if not rest:
        return [part.name for part in parts]
    try:
        chosen = component(head, rest[0])
        names = [item.name for item in dataclasses.fields(chosen)]
        if len(rest) != 2 or rest[1] not in names:
            raise source.error((), unknown("field", ".".join(rest[1:]), names))
    except ConfigError as error:
        raise source.error((), error.problem) from None
    return [getattr(part, rest[1]) for part in parts if part.name == rest[0]]


class _Prefixed(str):
    """A run id, which equals each of its beginnings of 4 characters or more."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and len(other) >= 4 and self.startswith(other)

    __hash__ = str.__hash__


def _matches(held: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return any(part == value for part in held for value in wanted)


def _nothing(key: str, wanted: list[Any], held: list[list[Any]]) -> str:
    there = list(dict.fromkeys(flow(part) for parts in held for part in parts))
    between = "; " if any("," in value for value in there) else ", "
    shown = between.join(there[:12]) + (f", and {len(there) - 12} more" if len(there) > 12 else "")
    near = difflib.get_close_matches(flow(wanted[0]), there, n=1, cutoff=0.5) if wanted else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    spoken = " or ".join(repr(flow(value)) for value in wanted)
    return f"no run has {key} {spoken}{hint} (there are: {shown or 'none'})"
