"""Being asked to stop: by Ctrl-C, by TERM, or by the death of the process that started this one."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SAME_SECONDS = 1.0
GRACE_SECONDS = 30.0  # for an orphan to save, before it ends by force


class StopRequest:
    """Whether somebody has asked to stop. Use it as a context: it puts the signals' handlers back.

    Handlers of the caller are called too, so that a runner whose run trains in its own process
    hears the same signal. Outside the main thread signals are left alone.

    Args:
        insistent: a second signal raises KeyboardInterrupt. One that comes within a second of the
            first does not: a terminal and a parent may both pass on one and the same Ctrl-C.
    """

    def __init__(self, *, insistent: bool = False) -> None:
        self.reason = ""
        self._since: float | None = None
        self._insistent = insistent
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._since is not None

    def ask(self, reason: str) -> None:
        """Ask to stop, from any thread."""
        if self._since is None:
            self._since, self.reason = time.monotonic(), reason

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.ask(signal.Signals(number).name)
        before = self._before.get(number)
        if callable(before) and isinstance(getattr(before, "__self__", None), StopRequest):
            before(number, frame)
        if self._insistent and time.monotonic() - (self._since or 0.0) > _SAME_SECONDS:
            raise KeyboardInterrupt


def stop_with_parent(stop: StopRequest) -> None:
    """In a process made by multiprocessing: ask to stop when the process that made it is gone.

    What does not stop within `GRACE_SECONDS` ends by force: no orphan lives on, and a run that is
    ended anywhere goes on from its checkpoint.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        stop.ask("the runner is gone")
        threading.Event().wait(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
