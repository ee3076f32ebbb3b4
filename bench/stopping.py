"""Being asked to stop, or to save: by a signal, from another thread, or by the runner's death.

INT, TERM and USR2 ask to save and stop; USR1 asks to save and go on. What may be left undone (an
evaluation, the reading of data) is cut short by a stop; what must be whole only looks at it.
"""

from __future__ import annotations

import _thread
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
SAVE_SIGNAL = signal.SIGUSR1
_HEARD = {*STOP_SIGNALS, SAVE_SIGNAL}
# Not sent by anybody: lets another thread, or a timer, have the main thread look.
_LOOK = signal.SIGVTALRM
_SAME_SECONDS = 1.0
_AGAIN_SECONDS = 2.0  # of this process's own time
GRACE_SECONDS = 30.0  # for an orphan to save, before it ends by force
WATCH = "parent"  # the thread's name that waits for the end of the process that made this one
_ORPHANED = "the runner is gone"


_asked_by_the_watch: list[StopRequest] = []


class CutShort(BaseException):
    """A stop in the midst of what may be left undone. No Exception, so that few swallow it."""


class StopRequest:
    """Whether somebody has asked to stop. Use it as a context: it puts the signals' handlers back.

    Handlers of the caller are called too, so that a runner whose run trains in its own process
    hears the same signal; what a request around this one has heard before counts here too. Outside
    the main thread signals are left alone. Signals that were `held_back` are heard within the
    context, and held back again after it.

    Args:
        insistent: a Ctrl-C after a stop raises KeyboardInterrupt. One that comes within a second
            does not: a terminal and a parent may both pass on one and the same Ctrl-C.

    Attributes:
        reason: the first signal's name (SIGINT, SIGTERM, SIGUSR2), or what `ask` was told.
    """

    def __init__(self, *, insistent: bool = False) -> None:
        self.reason = ""
        self.save_asked = False
        self._since: float | None = None
        self._asked: dict[str, float] = {}  # by reason, since when
        self._insistent = insistent
        self._before: dict[int, Any] = {}
        self._mask: set[int] = set()
        self._cuttable = False
        self._save: Callable[[], None] | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._since is not None

    def ask(self, reason: str) -> None:
        """Ask to stop, from any thread."""
        self._asked.setdefault(reason, time.monotonic())
        if self._since is not None:
            return
        self.reason, self._since = reason, self._asked[reason]
        if self._cuttable and threading.current_thread() is not threading.main_thread():
            _thread.interrupt_main(_LOOK)

    def forget(self, reason: str) -> None:
        """Take one reason back, and go on unless there is another."""
        if self._asked.pop(reason, None) is None:
            return
        self.reason, self._since = next(iter(self._asked.items()), ("", None))

    def take_save(self) -> bool:
        """Whether somebody has asked to save since this was last asked."""
        asked, self.save_asked = self.save_asked, False
        return asked

    def unless_stopped(self, act: Callable[[], T], save: Callable[[], None] | None = None) -> T:
        """What `act` returns; a stop ends it at once, so that what it does must do no harm undone.

        Args:
            save: called, in the midst of `act`, at a wish to save.

        Raises:
            CutShort: a stop was asked for, before or meanwhile. Whatever exception comes out then
                is taken for it, since a library may have caught one and raised another.
        """
        try:
            try:
                # In this order: who asks from another thread looks at the first after it has asked.
                self._cuttable, self._save = bool(self._before), save
                if self():
                    raise CutShort(self.reason)
                return act()
            finally:
                self._cuttable = False
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if self() and not isinstance(error, CutShort):
                raise CutShort(self.reason) from error
            raise
        finally:
            # Again: a signal may have come between the end of `act` and the first time.
            self._cuttable, self._save = False, None
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (*_HEARD, _LOOK):
                self._before[number] = signal.signal(number, self._heard)
            self._mask = set(signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD))
            around = getattr(self._before[signal.SIGTERM], "__self__", None)
            if isinstance(around, StopRequest) and around():
                self.ask(around.reason)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._before:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, self._mask & _HEARD)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        before, again = self._before.get(number), self()
        if number == SAVE_SIGNAL:
            self._heard_save()
        elif number in STOP_SIGNALS:
            self.ask(signal.Signals(number).name)
        if callable(before) and isinstance(getattr(before, "__self__", None), StopRequest):
            before(number, frame)
        late = time.monotonic() - (self._since or 0.0) > _SAME_SECONDS
        if self._insistent and again and number == signal.SIGINT and late:
            raise KeyboardInterrupt
        # A second signal must not cut short the tidying up after the first.
        if self() and self._cuttable and (number == _LOOK or not again):
            # Again after a while, should somebody have swallowed it.
            signal.setitimer(signal.ITIMER_VIRTUAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
            raise CutShort(self.reason)

    def _heard_save(self) -> None:
        save = self._save
        if not self._cuttable or save is None or self():
            self.save_asked = True
            return
        # A second wish, in the midst of what the first one began, is heard after it.
        self._save = None
        try:
            save()
        finally:
            self._save = save


@contextmanager
def held_back() -> Iterator[None]:
    """Processes started within it hold back what asks to stop or save until they can hear it.

    A scheduler, like a terminal, sends its signals to every process there is; one that still
    starts would die of them. A terminal that is closed is held back for good: the runner's end
    makes its runs save.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*_HEARD, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def stop_with_parent(stop: StopRequest) -> None:
    """In a process made by multiprocessing: ask to stop when the process that made it is gone.

    What does not stop within `GRACE_SECONDS` ends by force: no orphan lives on, and a run that is
    ended anywhere goes on from its checkpoint. One thread watches, whoever is to be asked: the last
    one given.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    _asked_by_the_watch[:] = [stop]
    if WATCH not in {thread.name for thread in threading.enumerate()}:
        threading.Thread(target=_watch, args=(parent.sentinel,), name=WATCH, daemon=True).start()
    elif multiprocessing.connection.wait([parent.sentinel], timeout=0):
        stop.ask(_ORPHANED)  # the watch may have asked the one before


def _watch(parent: int) -> None:
    multiprocessing.connection.wait([parent])
    for stop in _asked_by_the_watch:
        stop.ask(_ORPHANED)
    threading.Event().wait(GRACE_SECONDS)
    os._exit(1)
