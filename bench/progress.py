"""Live progress: a table on a terminal, plain lines elsewhere; the figures are bench.tracker's."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.store import Planned
from bench.tracker import FINISHED, Tracker, merged, spell

_HEARTBEAT_SECONDS = 30.0  # between two plain lines about the whole
_REFRESH_SECONDS = 0.5
_CHANGE_SECONDS = 0.2
_WIDTHS = {"step": 11, "per second": 10, "latest": 14, "left": 6}  # so that nothing jumps
_STYLES = {"done": "green", "diverged": "yellow", "failed": "bold red", "interrupted": "yellow"}


class Display(Protocol):
    """What `bench.execute` tells about."""

    def start(self, planned: Sequence[Planned], slots: int) -> None:
        """The plan begins."""
        ...

    def tick(self) -> None:
        """Something may have changed; called often, shows when it is due."""
        ...

    def running(self, run_id: str) -> None:
        """A run has begun."""
        ...

    def elsewhere(self, run_id: str) -> None:
        """Another runner is at this run."""
        ...

    def finished(self, run_id: str, state: str, reason: str) -> None:
        """A run has ended; a failed one's last line is shown at once."""
        ...

    def message(self, text: str) -> None:
        """A sentence for the user."""
        ...

    def stop(self) -> None:
        """Nothing more comes; the terminal is left as it was. May be called twice."""
        ...


def make_display(*, plain: bool = False, quiet: bool = False) -> Display:
    """A live table when standard error is a terminal and not `plain`, otherwise plain lines.

    Everything goes to standard error: standard output belongs to tables and `--json`.

    Args:
        quiet: show nothing but failures.
    """
    if not plain and not quiet and sys.stderr.isatty():
        return LiveDisplay(Console(stderr=True))
    return PlainDisplay(sys.stderr, quiet=quiet)


def summary(tracker: Tracker) -> str:
    """The whole in a line: "5/12 finished, 1 failed, 2 running, about 3 min left"."""
    tally = tracker.tally()
    parts = [f"{sum(tally[state] for state in FINISHED)}/{len(tracker.items)} finished"]
    told = ("diverged", "failed", "interrupted", "running", "elsewhere")
    parts += [f"{number} {state}" for state in told if (number := tally[state])]
    left = tracker.seconds_left() if tally["running"] or tally["waiting"] else None
    if left is not None:
        parts.append(f"about {spell(left)} left")
    return ", ".join(parts)


def ending(tracker: Tracker, run_id: str, state: str, reason: str) -> str:
    """A run's end in a line, with its last score, or with why."""
    seconds = tracker.seconds_taken(run_id)
    facts = [tracker.figure(run_id).quality] if state in ("done", "diverged") else []
    facts += [spell(seconds)] if seconds is not None else []
    told = f" ({', '.join(fact for fact in facts if fact)})" if any(facts) else ""
    return f"{state}: {tracker.name(run_id)}{told}{f': {reason}' if reason else ''}"


class PlainDisplay:
    """A line per run that ends, and now and then one about the whole."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._told = 0.0

    def start(self, planned: Sequence[Planned], slots: int) -> None:
        """Say what is to be done."""
        self._tracker = Tracker(planned, slots)
        self._told = time.monotonic()
        if number := self._tracker.count("waiting"):
            self._say(f"{number} of {len(planned)} runs to train, {slots} at once")

    def tick(self) -> None:
        """A line about the whole when it is due."""
        if self._quiet or time.monotonic() - self._told < _HEARTBEAT_SECONDS:
            return
        self._told = time.monotonic()
        self._say(summary(self._tracker))
        for figure in merged(self._tracker.running()):
            rate = f"{figure.steps_per_second:.1f}/s" if figure.steps_per_second else "starting"
            quality = f", {figure.quality}" if figure.quality else ""
            self._say(f"  {figure.name}: step {figure.step}/{figure.steps}, {rate}{quality}")

    def running(self, run_id: str) -> None:
        """Remember when it began."""
        self._tracker.begin(run_id)

    def elsewhere(self, run_id: str) -> None:
        """Count it no longer."""
        self._tracker.leave(run_id)

    def finished(self, run_id: str, state: str, reason: str) -> None:
        """A line."""
        line = ending(self._tracker, run_id, state, reason)
        self._tracker.end(run_id, state)
        done, total = self._tracker.count(*FINISHED), len(self._tracker.items)
        if not self._quiet or state == "failed":
            print(f"[{done}/{total}] {line}", file=self._stream, flush=True)

    def message(self, text: str) -> None:
        """A line."""
        self._say(text)

    def stop(self) -> None:
        """Nothing to do."""

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


class LiveDisplay:
    """A table that renews itself, with what has ended scrolling away above it.

    However quickly runs come and go, it is drawn no more than a few times a second.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0.0
        self._changed = False
        self._ended: list[Text] = []
        self._live: Live | None = None

    def start(self, planned: Sequence[Planned], slots: int) -> None:
        """Open the table."""
        self._tracker = Tracker(planned, slots)
        if self._tracker.count("waiting"):
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def tick(self) -> None:
        """Renew the table when it is due: sooner where a run has begun or ended."""
        due = _CHANGE_SECONDS if self._changed else _REFRESH_SECONDS
        if self._live is not None and time.monotonic() - self._shown >= due:
            self._shown, self._changed = time.monotonic(), False
            self._scroll()
            self._live.update(self._picture(), refresh=True)

    def running(self, run_id: str) -> None:
        """One more row."""
        self._tracker.begin(run_id)
        self._changed = True

    def elsewhere(self, run_id: str) -> None:
        """One row less."""
        self._tracker.leave(run_id)

    def finished(self, run_id: str, state: str, reason: str) -> None:
        """A line above the table."""
        line = ending(self._tracker, run_id, state, reason)
        self._tracker.end(run_id, state)
        self._ended.append(Text(line, style=_STYLES.get(state, "")))
        self._changed = True
        if state == "failed":
            self._scroll()

    def message(self, text: str) -> None:
        """A line above the table."""
        self._scroll()
        self._console.print(Text(text, style="bold"))

    def stop(self) -> None:
        """Close the table."""
        self._scroll()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _scroll(self) -> None:
        """Print what has ended, in one go."""
        if self._ended:
            self._console.print(*self._ended, sep="\n")
            self._ended.clear()

    def _picture(self) -> Group:
        table = Table(box=None, padding=(0, 1), header_style="dim")
        for name in ("run", "", "step", "per second", "latest", "left"):
            side: JustifyMethod = "left" if name in ("run", "") else "right"
            table.add_column(name, justify=side, no_wrap=True, min_width=_WIDTHS.get(name))
        for figure in merged(self._tracker.running()):
            rate = figure.steps_per_second
            table.add_row(
                figure.name,
                ProgressBar(total=max(1, figure.steps), completed=figure.step, width=20),
                f"{figure.step}/{figure.steps}",
                f"{rate:.1f}" if rate else "starting",
                figure.quality,
                spell(figure.seconds_left),
            )
        return Group(table, Text(summary(self._tracker), style="bold"))
