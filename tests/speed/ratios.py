"""Ratios from interleaved trials: A B A B ..., one ratio a round, their median and spread.

What disturbs the machine disturbs both sides of a round alike, so that a ratio is worth more than
two times taken apart. What else was going on meanwhile is written down beside the figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
QUIET_SHARE = 0.05  # of all cores: what others may use before the machine counts as busy
_STEAL_FIELD = 7  # of the first line of /proc/stat, in ticks
_IDLE_FIELDS = (3, 4)
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Spread:
    """A median and what lies around it; quartiles are those of `statistics.quantiles`, inclusive.

    Raises:
        ValueError: no values, or one that is not a positive number.
    """

    median: float
    low: float
    high: float
    lower_quartile: float
    upper_quartile: float
    trials: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if not values or not all(0 < value < float("inf") for value in values):
            raise ValueError(f"no spread of {list(values)}: positive numbers, at least one")
        if len(values) == 1:
            return cls(*[values[0]] * 5, trials=1)
        lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, min(values), max(values), lower, upper, len(values))


def interleaved(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: str = "wall",
    *,
    before: Callable[[], object] = lambda: None,
    now: Callable[[], float] | None = None,
) -> dict[str, list[float]]:
    """Seconds of each side in each round.

    Every other round runs the sides in the opposite order, so that none always comes first. What
    needs warming must be warm. `before` is called before each round, and its time counts for none.
    """
    now = now or CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(reversed(sides))
        before()
        for name in order:
            started = now()
            sides[name]()
            seconds[name].append(now() - started)
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], slow: str, fast: str) -> list[float]:
    """How many times as long `slow` took as `fast`, round by round."""
    return [a / b for a, b in zip(seconds[slow], seconds[fast], strict=True)]


class Company:
    """What other processes used of the machine while something was measured.

    Attributes:
        others: the share of all cores' time that went to processes that are not ours or our
            children's, as far as those had been waited for by the end.
        steal: the share that the hypervisor kept; load: of the last minute, at the end.

    Args:
        adopts: whether processes that children of ours leave behind, as runners do their servers,
            become ours (Linux), and all children that have ended are waited for: for a process in
            which nobody else waits for any.
    """

    others = steal = load = 0.0

    def __init__(self, *, adopts: bool = False) -> None:
        self._adopts = adopts

    def __enter__(self) -> Company:
        if self._adopts:
            _adopt_orphans()
        self._began, self._ticks, self._own = time.perf_counter(), _ticks(), _own_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        if self._adopts:
            _bury()
        whole = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        used, stolen = (after - before for before, after in zip(self._ticks, _ticks(), strict=True))
        self.others = max(0.0, (used - (_own_seconds() - self._own)) / whole)
        self.steal = max(0.0, stolen / whole)
        self.load = os.getloadavg()[0]

    @property
    def quiet(self) -> bool:
        """Whether the figures can be believed to be this machine's own."""
        return self.others + self.steal <= QUIET_SHARE

    def to_plain(self) -> dict[str, float | bool]:
        rounded = {name: round(getattr(self, name), 3) for name in ("others", "steal", "load")}
        return {**rounded, "quiet": self.quiet}


def _ticks() -> tuple[float, float]:
    """Seconds used by anybody, and stolen, summed over all cores; zeros where there is no /proc."""
    path = Path("/proc/stat")
    if not path.is_file():
        return 0.0, 0.0
    return parse_ticks(path.read_text(), os.sysconf("SC_CLK_TCK"))


def parse_ticks(text: str, ticks_per_second: int) -> tuple[float, float]:
    """The same from the text of /proc/stat. Time of guests stands in `user` already."""
    fields = [int(word) for word in text.splitlines()[0].split()[1 : _STEAL_FIELD + 2]]
    stolen = fields[_STEAL_FIELD]
    used = sum(fields) - stolen - sum(fields[place] for place in _IDLE_FIELDS)
    return used / ticks_per_second, stolen / ticks_per_second


def _adopt_orphans() -> None:
    """Let processes whose parents end before them become children of this one: prctl(2)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _bury() -> None:
    """Wait for the children that have ended, so that their time is counted as ours."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _own_seconds() -> float:
    """CPU seconds of this process, of the children it has waited for, and of those that live."""
    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        spent += times.user + times.system + times.children_user + times.children_system
    return spent
