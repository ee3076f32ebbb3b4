"""The contract of a backend: where and when the planned runs are trained.

A backend dispatches `bench.worker.run` and nothing else. What a run's state is stands in its
folder; a backend only adds what it alone knows: which runs wait in its queue, and which ended
without being able to say so.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from bench.lease import LeaseHeld, Observer, take_lease
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import FINAL_STATES, Planned
from bench.unwritable import unwritable

if TYPE_CHECKING:
    from bench.backends.packing import Terms

ELSEWHERE = "trained by another runner"
_REMOVAL_SECONDS = 2.0
State = tuple[str, str]  # one of bench.store.STATES, and why


class Backend(Protocol):
    """What every backend can do."""

    name: str

    def submit(self, runs: Sequence[Planned]) -> None:
        """Take these runs on. Returns at once; the order of training is the backend's business."""
        ...

    def states(self) -> dict[str, State]:
        """By run id, each submitted run's state and reason; starts and buries what is due."""
        ...

    def cancel(self, ids: Collection[str]) -> None:
        """Take runs back: waiting ones are dropped, running ones are asked to save and stop."""
        ...


class Runner(Backend, Protocol):
    """A backend whose runs are trained by this process and its children, which is waited for."""

    slots: int  # how many runs, or packs, it trains at once
    packing: Terms  # on what it depends which runs it trains as one

    def busy(self) -> bool:
        """Whether there is anything left to wait for: a run in its queue or in its hands."""
        ...

    def wait(self, seconds: float) -> None:
        """Sleep until a run has ended, for no longer than this; `inline` trains a run meanwhile."""
        ...

    def save(self) -> None:
        """Have the runs being trained write a checkpoint and go on."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """Give everything back; what still runs is asked to stop and waited for, or killed."""
        ...


def cost(spec: RunSpec) -> int:
    """How long a run takes, in arbitrary units: updates of either network."""
    return spec.config.steps * (spec.config.critic_steps + 1)


def turn(item: Planned) -> tuple[int, int]:
    """When a waiting run comes up: the longest first, so that no long one is left for the end.

    Among equals the labels take turns, seed by seed: where a sweep is stopped, what is finished
    can be compared in pairs.
    """
    return -cost(item.spec), item.spec.config.seed


def found_state(item: Planned) -> State:
    """The state that a run's folder shows, when no backend is at it any more."""
    standing = RunFolder(item.folder).standing(item.spec.run_id, Observer())
    if standing.state == "interrupted":
        return standing.state, f"stopped; run again to go on from step {standing.step}"
    return standing.state, standing.reason


def taken_elsewhere(item: Planned) -> State | None:
    """What another runner has made of a waiting run since it was planned; None: it is still ours.

    Either the other is at it, or it has ended there: a run that failed there is not tried again.
    """
    state, reason = found_state(item)
    if state == "running":
        return state, reason
    if state in FINAL_STATES and state != item.state:
        return state, reason or (ELSEWHERE if state != "cancelled" else "")
    return None


def ended_state(item: Planned) -> State:
    """The state of a run whose training here has ended."""
    if not item.folder.is_dir():
        return "failed", f"its folder {item.folder} was removed; run again to train it anew"
    return found_state(item)


def lost_state(item: Planned) -> State:
    """The state of a run whose training here lost its lease: taken over, or its folder removed.

    A folder is removed file by file, and the lease may go before the rest.
    """
    until = time.monotonic() + _REMOVAL_SECONDS
    while found_state(item)[0] not in ("running", *FINAL_STATES) and time.monotonic() < until:
        if not item.folder.is_dir():
            break
        time.sleep(0.05)
    return ended_state(item)


def mark(
    folder: RunFolder, run_id: str, state: str, reason: str, *, over: Collection[str] = ()
) -> None:
    """Write how a run ended, in place of a process that cannot; what it said itself stays.

    Args:
        over: final states of an earlier time, which may be written over.

    Raises:
        LeaseHeld: a process is at it, which will say so itself.
        OSError: the folder cannot be written.
    """
    with take_lease(folder.path):
        final, _ = folder.final(run_id)
        if final is None or final["state"] in over:
            folder.note(f"{state}: {reason}")
            folder.finish(run_id, state, reason=reason, step=folder.kept_step())


def mark_failed(item: Planned, reason: str) -> State:
    """Write that a run failed, in place of a process that can no longer do so itself."""
    try:
        mark(RunFolder(item.folder), item.spec.run_id, "failed", reason)
    except LeaseHeld:
        return found_state(item)
    except OSError as error:
        why = unwritable(error, item.folder)
        return "failed", why or f"{reason}; its folder cannot be written: {error.strerror}"
    return found_state(item)
