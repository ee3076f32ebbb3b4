"""What was measured of one kind of run, in seconds, and of runs side by side."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Timing:
    """Seconds: the median of what was measured, and the ends between which it lay."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> Timing:
        """Of at least one measurement."""
        return cls(statistics.median(measured), min(measured), max(measured))

    @classmethod
    def exactly(cls, seconds: float) -> Timing:
        """Of one that stands alone."""
        return cls(seconds, seconds, seconds)

    def times(self, factor: float) -> Timing:
        """Each of the three, so many times."""
        return Timing(self.middle * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class CellFigures:
    """What a run of a cell costs, in seconds, alone in its slot.

    Attributes:
        iteration: an update of the generator with its critic updates, and its share of the rows.
        update: one further critic update, by its share of the arithmetic.
        first_evaluation, last_evaluation: those of step 0 and of the end, which do more.
        evaluation: each of the others, with picture and profiles.
        around: all else of a run: its process, its data, its files.
        beside: picture and profiles of an evaluation, a part of it.
        checkpoint: one checkpoint.
        batches: the drawing of one iteration's batches, a part of `iteration`.
        flops: of one iteration; `convolutional`: the share of it in convolutions.
        measured: when, in seconds since 1970; code: the core's hash then.
        pack: how many runs that differ in their seed alone were measured as one model; 1: none.
        packed, packed_around: what `iteration` and `around` are of all of them together.
        like: the label of the cell that it was estimated from, where it was not measured itself.
    """

    iteration: Timing
    update: float
    first_evaluation: float
    evaluation: Timing
    last_evaluation: float
    around: float
    beside: float
    checkpoint: float
    batches: float
    flops: float
    convolutional: float
    measured: float
    code: str
    pack: int = 1
    packed: Timing = Timing(0.0, 0.0, 0.0)
    packed_around: float = 0.0
    like: str = ""

    @property
    def gflops(self) -> float:
        """Billions of operations a second."""
        return self.flops / self.iteration.middle / 1e9 if self.iteration.middle > 0 else 0.0

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """The inverse.

        Raises:
            ValueError: it holds something else.
        """
        if not isinstance(plain, Mapping):
            raise ValueError(f"{plain!r} holds no figures")
        names = ("iteration", "evaluation", "packed")
        timed = {name: _timing(plain.get(name)) for name in names}
        found: Self = checked(cls, {**plain, **timed})
        return found


@dataclass(frozen=True)
class SideBySide:
    """How much longer runs take when all slots are busy than alone: factors, 1 and more.

    `least` and `most` are those of single runs, of both kinds of work.
    """

    slots: int
    training: float = 1.0
    evaluation: float = 1.0
    least: float = 1.0
    most: float = 1.0

    @classmethod
    def from_plain(cls, plain: object) -> Self:
        """From what `dataclasses.asdict` gave.

        Raises:
            ValueError: it holds something else.
        """
        found: Self = checked(cls, plain)
        return found


def checked(cls: Any, values: object) -> Any:
    """An instance of a dataclass of numbers and words, its numbers finite and not negative.

    Raises:
        ValueError: something is missing, too much, or of another kind.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{values!r} holds no figures")
    fields = {item.name: item for item in dataclasses.fields(cls)}
    if not set(values) <= set(fields):
        raise ValueError(f"{', '.join(set(values) - set(fields))} is unknown")
    for name, item in fields.items():
        if name not in values:
            if item.default is dataclasses.MISSING:
                raise ValueError(f"{name} is missing")
        elif item.type in ("float", "int"):
            number(values[name])
        elif not isinstance(values[name], str | Timing):
            raise ValueError(f"{name} is {values[name]!r}")
    return cls(**values)


def number(value: object) -> float:
    """The number, finite and not negative.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is not allowed: must be a number >= 0")
    return value


def _timing(plain: object) -> Timing:
    timing: Timing = checked(Timing, plain)
    return timing
