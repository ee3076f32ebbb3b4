"""Work that is done beside the rest of a report: in processes forked here, one for each core.

A forked process has all that its parent has and gives back bytes, the same as its parent would
make. Where it cannot be had, or gives nothing, the work is done here.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from bench.limits import usable_cores

T = TypeVar("T")


class Later(Generic[T]):
    """What `make` returns, which may take a while to come.

    Args:
        make: called in another process, or here; what it returns can be pickled.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._held: list[T] = []
        self._process: BaseProcess | None = None
        self._pipe: Connection
        if _may_fork():
            self._begin()
        else:
            self._held.append(make())

    def had(self) -> T:
        """The value, waited for."""
        if self._process is not None:
            self._take_in()
        if not self._held:  # here it raises what it raised there
            self._held.append(self._make())
        return self._held[0]

    def _begin(self) -> None:
        while len(_at_work) >= usable_cores():
            ready = wait([one._pipe for one in _at_work])
            for one in [one for one in _at_work if one._pipe in ready]:
                one._take_in()
        context = multiprocessing.get_context("fork")
        self._pipe, there = context.Pipe(duplex=False)
        process = context.Process(target=_give, args=(self._make, there), daemon=True)
        with warnings.catch_warnings():
            # Of threads that a fork lacks: those of numpy and torch, which sleep.
            warnings.filterwarnings("ignore", "This process.*multi-threaded", DeprecationWarning)
            try:
                process.start()
            except OSError:
                self._pipe.close()
                return
            finally:
                there.close()
        self._process = process
        _at_work.append(self)

    def _take_in(self) -> None:
        """Receive it, and see its process end."""
        assert self._process is not None
        _at_work.remove(self)
        with contextlib.suppress(EOFError, OSError):
            self._held.append(self._pipe.recv())
        self._process.join()
        self._process.close()
        self._process = None
        self._pipe.close()


_at_work: list[Later[Any]] = []


def _may_fork() -> bool:
    """Whether there is a core for it; elsewhere than on Linux libraries do not bear a fork."""
    is_child = multiprocessing.current_process().daemon
    return sys.platform == "linux" and not is_child and usable_cores() > 1


def _give(make: Callable[[], T], pipe: Connection) -> None:
    gc.disable()  # to look through its parent's memory would copy it
    try:
        pipe.send(make())
        pipe.close()
    except BaseException:  # told by the parent, which does it again
        os._exit(1)
