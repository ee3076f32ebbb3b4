"""Runs trained in this process, a pack or a run at a time.

For debugging, or where no process may start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

from bench.backends.base import State, ended_state, found_state, lost_state
from bench.backends.packing import Pack, Terms, form
from bench.lease import LeaseLost, owner_of
from bench.store import FINAL_STATES, Planned


class Inline:
    """One slot: each call of `wait` trains the next pack, or run, to its end.

    Args:
        threads: CPU threads that a run may use.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        packed: whether runs that differ in their seed alone train as one model where that pays.
        between: called at every pause, to keep a display alive.
    """

    name = "inline"
    slots = 1

    def __init__(
        self,
        threads: int = 1,
        allow_numerics: Collection[str] = (),
        between: Callable[[], None] | None = None,
        *,
        packed: bool = False,
    ) -> None:
        self._threads = threads
        self._allow_numerics = tuple(allow_numerics)
        self._between = between
        self.packing = Terms(1, "cpu", self._allow_numerics, packed)
        self._queue: list[Pack] = []
        self._states: dict[str, State] = {}

    def submit(self, runs: Sequence[Planned]) -> None:
        """Queue the runs, in the plan's order; those of a pack with the first of them."""
        order = {item.spec.run_id: place for place, item in enumerate(runs)}
        packs = form(runs, self.packing)
        self._queue += sorted(packs, key=lambda pack: min(map(order.__getitem__, pack.run_ids)))
        self._states.update({item.spec.run_id: ("queued", "") for item in runs})

    def states(self) -> dict[str, State]:
        """Everybody's state; the runs that `wait` will train are shown as running."""
        if self._queue:
            self._states.update(dict.fromkeys(self._queue[0].run_ids, ("running", "")))
        return dict(self._states)

    def busy(self) -> bool:
        """Whether runs wait."""
        return bool(self._queue)

    def wait(self, seconds: float) -> None:
        """Train the next pack, or run, however long that takes."""
        if not self._queue:
            return
        from bench import worker

        pack, problem = self._queue.pop(0), None
        try:
            worker.run(
                [item.folder for item in pack.items],
                threads=self._threads,
                allow_numerics=self._allow_numerics,
                between=self._between,
                packed=len(pack.items) > 1,
            )
        except (LeaseLost, OSError) as raised:
            problem = raised
        for item in pack.items:
            self._states[item.spec.run_id] = _ended(item, problem)

    def cancel(self, ids: Collection[str]) -> None:
        """Drop those that wait."""
        wanted, queue = set(ids), self._queue
        self._queue = [left for pack in queue if (left := pack.without(wanted)) is not None]
        for item in [item for pack in queue for item in pack.items if item.spec.run_id in wanted]:
            self._states[item.spec.run_id] = found_state(item)

    def save(self) -> None:
        """Nothing: the run hears the signal itself."""

    def close(self, *, kill: bool = False) -> None:
        """Drop all that wait."""
        self.cancel([*self._states])


def _ended(item: Planned, problem: LeaseLost | OSError | None) -> State:
    """The state of a run that was trained; `problem` is why the end of one could not be written."""
    if isinstance(problem, LeaseLost):
        return lost_state(item)
    state = ended_state(item)
    told = state[0] in FINAL_STATES and state[0] != item.state
    # What cannot be written keeps our own lease: that is no other's.
    elsewhere = state[0] == "running" and (owner_of(item.folder) or {}).get("pid") != os.getpid()
    if problem is None or told or elsewhere or not item.folder.is_dir():
        return state
    from bench import worker

    return "failed", worker.explain(problem, item.folder)[0]
