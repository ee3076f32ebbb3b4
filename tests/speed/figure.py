"""What a measurement gives: its values round by round, and what was seen beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.speed.ratios import Spread


class Unavailable(Exception):
    """A figure cannot be had on this machine or from this tree; says why, in a sentence."""


@dataclass(frozen=True)
class Figure:
    """One figure of the table.

    Attributes:
        values: of each round, in the unit of its row (times, or a share where the row says %).
        seconds: by side, of each round; empty where nothing was timed.
        threads: of each process that was timed.
        remark: what else was found, in words.
        sound: whether what must hold beside the number does; a figure that is not sound is missed
            whatever its value.
        device: the accelerator, where it was measured on one.

    Numbers are kept to 6 digits, so that what is judged is what is written.
    """

    values: list[float]
    seconds: dict[str, list[float]] = field(default_factory=dict)
    threads: int = 1
    clock: str = "wall"
    remark: str = ""
    sound: bool = True
    device: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _rounded(self.values))
        seconds = {side: _rounded(values) for side, values in self.seconds.items()}
        object.__setattr__(self, "seconds", seconds)

    @property
    def spread(self) -> Spread:
        """Of the values."""
        return Spread.of(self.values)

    def to_plain(self) -> dict[str, Any]:
        return {
            "values": self.values,
            "seconds": self.seconds,
            "threads": self.threads,
            "clock": self.clock,
            "remark": self.remark,
            "sound": self.sound,
            **({"device": self.device} if self.device else {}),
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Figure:
        return cls(**plain)


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
