"""Runs trained in this process, one after another: for debugging, or where no process may start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from bench.backends.base import State, ended_state, found_state, lost_state
from bench.lease import LeaseLost
from bench.store import Planned


class Inline:
    """One slot: each call of `wait` trains the next run to its end.

    Args:
        threads: CPU threads that a run may use.
        allow_numerics: names of `numerics` in which a resumed run may differ.
        between: called at every pause, to keep a display alive.
    """

    name = "inline"
    slots = 1

    def __init__(
        self,
        threads: int = 1,
        allow_numerics: Collection[str] = (),
        between: Callable[[], None] | None = None,
    ) -> None:
        self._threads = threads
        self._allow_numerics = tuple(allow_numerics)
        self._between = between
        self._queue: list[Planned] = []
        self._states: dict[str, State] = {}

    def submit(self, runs: Sequence[Planned]) -> None:
        """Queue the runs, in the plan's order."""
        self._queue += runs
        self._states.update({item.spec.run_id: ("queued", "") for item in runs})

    def states(self) -> dict[str, State]:
        """Everybody's state; the run that `wait` will train is shown as running."""
        if self._queue:
            self._states[self._queue[0].spec.run_id] = ("running", "")
        return dict(self._states)

    def busy(self) -> bool:
        """Whether runs wait."""
        return bool(self._queue)

    def wait(self, seconds: float) -> None:
        """Train the next run, however long that takes."""
        if not self._queue:
            return
        from bench import worker

        item = self._queue.pop(0)
        try:
            worker.run(
                [item.folder],
                threads=self._threads,
                allow_numerics=self._allow_numerics,
                between=self._between,
            )
        except LeaseLost:
            self._states[item.spec.run_id] = lost_state(item)
        except OSError as error:
            there = item.folder.is_dir()
            self._states[item.spec.run_id] = (
                ("failed", worker.explain(error, item.folder)[0]) if there else ended_state(item)
            )
        else:
            self._states[item.spec.run_id] = ended_state(item)

    def cancel(self, ids: Collection[str]) -> None:
        """Drop those that wait."""
        for item in [item for item in self._queue if item.spec.run_id in ids]:
            self._queue.remove(item)
            self._states[item.spec.run_id] = found_state(item)

    def save(self) -> None:
        """Nothing: the run hears the signal itself."""

    def close(self, *, kill: bool = False) -> None:
        """Drop all that wait."""
        self.cancel([item.spec.run_id for item in self._queue])
