"""Watching: a look at a sweep, renewed until everything has ended or the user has seen enough.

On a terminal it is a screen of its own, which leaves the last look behind when it closes;
elsewhere plain blocks or, for programs, one JSON object a line.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import FrameType
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from bench.overview import Overview
from bench.store import StoreError
from bench.verbs.show import Block, rich_table, room, say, show_blocks

LIVE_SECONDS, PLAIN_SECONDS = 2.0, 10.0  # between two looks where the user names none


def watch(
    look: Callable[[], Overview],
    picture: Callable[[Overview], Sequence[Block]],
    to_json: Callable[[Overview], dict[str, Any]],
    seconds: float,
    *,
    as_json: bool,
    plain: bool,
) -> None:
    """Look again and again; returns when everything is finished, or at Ctrl-C or TERM.

    Args:
        seconds: between two looks; 0: 2 on a terminal, 10 elsewhere.

    Raises:
        StoreError: the first look could not be had; of later ones it is shown, and tried again.
    """
    live = not plain and not as_json and sys.stdout.isatty()
    pause = seconds or (LIVE_SECONDS if live else PLAIN_SECONDS)
    last: Overview | None = None
    try:
        with _terminated_like_interrupted(), _screen() if live else nullcontext() as screen:
            for last in _looks(look, pause):
                if screen is not None:
                    screen.update(_Fitted(_heading(pause), picture(last)), refresh=True)
                elif as_json:
                    say(json.dumps(to_json(last), ensure_ascii=False, allow_nan=False))
                else:
                    say(time.strftime("-- %Y-%m-%d %H:%M:%S"))
                    show_blocks(picture(last), plain=True)
                sys.stdout.flush()
    except KeyboardInterrupt:
        pass
    if live and last is not None:
        show_blocks(picture(last), plain=plain)


def _screen() -> Live:
    return Live(console=Console(), auto_refresh=False, screen=True)


def _looks(look: Callable[[], Overview], pause: float) -> Iterator[Overview]:
    """Looks until the sweep is finished; never more than half of the time is spent looking."""
    seen: Overview | None = None
    while True:
        began = time.monotonic()
        try:
            seen = look()
        except StoreError as error:
            if seen is None:
                raise
            seen = replace(seen, remarks=(f"as it was before: {error}",))
        yield seen
        if seen.is_finished:
            return
        time.sleep(max(pause, time.monotonic() - began))


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Within it TERM does what Ctrl-C does, so that the terminal is given back as it was."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _heading(pause: float) -> str:
    return f"{time.strftime('%H:%M:%S')}, renewed every {pause:g} s; Ctrl-C ends the watch only"


class _Fitted:
    """Blocks on a screen, each line cut at its width, and the whole, said so, at its height."""

    def __init__(self, heading: str, blocks: Sequence[Block]) -> None:
        fitting = [b if isinstance(b, str) else b.fitted(room()) for b in blocks]
        self._group = Group(
            Text(heading, style="dim", no_wrap=True, overflow="ellipsis"),
            *(
                Text(block, no_wrap=True, overflow="ellipsis")
                if isinstance(block, str)
                else rich_table(block.columns, block.rows)
                for block in fitting
            ),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._group, options, pad=False)
        if len(lines) > console.height:
            hidden = len(lines) - console.height + 1
            words = f"... {hidden} lines more: a taller window shows them"
            lines = [*lines[: console.height - 1], [Segment(words)]]
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line
