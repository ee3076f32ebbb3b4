"""Taking turns: of several processes that want the same file, one makes it and the others wait.

A turn is a folder with a lease in it (see `bench.lease`: no file lock, a heartbeat, a takeover from
whoever is gone). It spares the machine work that would be done twice and is never what correctness
rests on: where a turn cannot be had, the work is done without.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bench.lease import Lease, LeaseHeld, Observer, owner_of, put_aside, take_lease, this_process

_LOOK_SECONDS = 0.05
_MOST_COLLISIONS = 100  # with somebody who clears the folder away; then it is something else

Found = TypeVar("Found")


@contextlib.contextmanager
def turn(folder: Path, look: Callable[[], Found | None]) -> Iterator[Found | None]:
    """Within it either what `look` has found meanwhile is given, or None: it is this one's turn.

    Args:
        folder: names the turn; it is there while somebody has it.
        look: what is waited for, or None as long as it is not there.
    """
    try:
        lease = _take(folder, look)
    except BaseException:
        _leave(folder)
        raise
    if not isinstance(lease, Lease):
        yield lease
        return
    try:
        # Whoever had the turn before may have made it between the last look and this one's turn.
        found = look()
        if found is None:
            lease.keep_alive()
        yield found
    finally:
        with contextlib.suppress(OSError):
            lease.release()
        shutil.rmtree(folder, ignore_errors=True)


def _leave(folder: Path) -> None:
    """Leave nothing behind of a turn that was cut short while it was being taken."""
    owner, here = owner_of(folder), this_process()
    if owner is None or all(owner.get(name) == here[name] for name in here):
        shutil.rmtree(folder, ignore_errors=True)


def _take(folder: Path, look: Callable[[], Found | None]) -> Lease | Found | None:
    """The turn; or what was found while waiting for it; or None where no turn can be had."""
    observer, collisions = Observer(), 0
    while collisions < _MOST_COLLISIONS:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return take_lease(folder)
        except LeaseHeld:
            time.sleep(_LOOK_SECONDS)
            put_aside(folder, observer.look(folder))
        except FileNotFoundError:
            collisions += 1
        except OSError:
            return None
        found = look()
        if found is not None:
            return found
    return None
