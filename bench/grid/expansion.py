"""From lists to single values: every list in a grid is an axis, wherever it stands.

An entry of a list expands alone, so that its own lists never multiply another entry's. Each value
keeps the place it was written at, for errors.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.grid.source import Keys, Source, SweepError

MAX_RUNS = 100_000
_RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
_COMBINATION = "all"  # {all: [a, b]} is one value that holds both


@dataclass(frozen=True)
class Choice:
    """One value of an axis.

    Attributes:
        value: plain, without lists (but for the combination `{all: [...]}`).
        source, origin: where its parts were written; `origin` always knows the whole, `()`.
    """

    value: Any
    source: Source
    origin: Mapping[Keys, Keys]

    def error(self, path: Keys, sentence: str) -> SweepError:
        """An error about the part of this value that `path` leads to."""
        return self.source.error(self.keys(path), sentence)

    def keys(self, path: Keys = ()) -> Keys:
        """The keys in the source that lead to the part `path`, as deep as they are known."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origin:
                return (*self.origin[path[:length]], *path[length:])
        return (*self.origin[()], *path)


def expand(value: Any, source: Source, keys: Keys) -> list[Choice]:
    """Every single value that `value`, standing at `keys`, means, in the order written.

    Raises:
        SweepError: an empty list, a list in a list, a falling range, or too many values.
    """
    if isinstance(value, list):
        return _union(value, source, keys)
    if isinstance(value, dict):
        return list(_products(value, source, keys))
    numbers = value_range(value)
    if numbers is None:
        return [Choice(value, source, {(): keys})]
    if not numbers:
        low, high = value.split("..")
        raise source.error(keys, f"{value!r} is empty: the range must rise, as in {high}..{low}")
    _limit(len(numbers), source, keys)
    return [Choice(number, source, {(): keys}) for number in numbers]


def value_range(value: Any) -> range | None:
    """The whole numbers of `0..4`, which includes 4; None for any other value."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    return range(int(match[1]), int(match[2]) + 1) if match else None


def refuse_axes(value: Any, source: Source, keys: Keys) -> None:
    """Refuse lists and ranges outside the grid, but for the combination `{all: [...]}`.

    Raises:
        SweepError: naming the list and where it belongs.
    """
    if isinstance(value, list) and keys[-1] != _COMBINATION:
        raise source.error(
            keys, f"{name_of(keys)}: {value!r} is not allowed here: a list belongs in 'grid'"
        )
    if value_range(value) is not None:
        raise source.error(
            keys, f"{name_of(keys)}: {value!r} is not allowed here: a range belongs in 'grid'"
        )
    entries = value.items() if isinstance(value, dict) else ()
    for key, part in entries:
        refuse_axes(part, source, (*keys, key))
    if isinstance(value, list):
        for index, part in enumerate(value):
            if isinstance(part, dict):
                refuse_axes(part, source, (*keys, index))


def name_of(keys: Keys) -> str:
    """The dotted name of a setting from its keys in the file: `optimizer.adam.lr`."""
    words = [key for key in keys if isinstance(key, str)]
    return ".".join(words[1:] if len(words) > 1 else words)


def _before(keys: Keys) -> str:
    name = name_of(keys)
    return f"{name}: " if name else ""


def product_size(lengths: Iterable[int], source: Source, keys: Keys) -> int:
    """The number of combinations of axes of these lengths.

    Raises:
        SweepError: there are more than `MAX_RUNS`.
    """
    size = math.prod(lengths)
    _limit(size, source, keys)
    return size


def _limit(size: int, source: Source, keys: Keys) -> None:
    if size > MAX_RUNS:
        what = name_of(keys) or "the grid"
        raise source.error(keys, f"{what} makes {size:,} runs: at most {MAX_RUNS:,} are allowed")


def _union(entries: list[Any], source: Source, keys: Keys) -> list[Choice]:
    if not entries:
        raise source.error(keys, f"{_before(keys)}the list is empty: give at least one value")
    choices: list[Choice] = []
    for index, entry in enumerate(entries):
        here = (*keys, index)
        if isinstance(entry, list):
            raise source.error(
                here, f"{_before(keys)}{entry!r} is not allowed: a list within a list"
            )
        choices += expand(entry, source, here)
        _limit(len(choices), source, keys)
    return choices


def _products(value: dict[str, Any], source: Source, keys: Keys) -> Iterator[Choice]:
    axes = [
        _combinations(part, source, (*keys, key))
        if key == _COMBINATION and isinstance(part, list)
        else expand(part, source, (*keys, key))
        for key, part in value.items()
    ]
    product_size(map(len, axes), source, keys)
    for chosen in itertools.product(*axes):
        origin: dict[Keys, Keys] = {(): keys}
        for key, choice in zip(value, chosen, strict=True):
            origin |= {(key, *part): place for part, place in choice.origin.items()}
        plain = {key: choice.value for key, choice in zip(value, chosen, strict=True)}
        yield Choice(plain, source, origin)


def _combinations(entries: list[Any], source: Source, keys: Keys) -> list[Choice]:
    axes = [expand(entry, source, (*keys, index)) for index, entry in enumerate(entries)]
    product_size(map(len, axes), source, keys)
    made = []
    for chosen in itertools.product(*axes):
        # Errors name a part by its component, not by its index: leave the index out.
        origin: dict[Keys, Keys] = {}
        for choice in chosen:
            origin |= choice.origin
        made.append(Choice([choice.value for choice in chosen], source, {**origin, (): keys}))
    return made
