"""Run a plan on a backend, to its end or to the user's Ctrl-C, with a display."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.backends.base import Backend, State, found_state
from bench.lease import EXPIRES_SECONDS, Observer, put_aside
from bench.progress import Display
from bench.stopping import StopRequest
from bench.store import FINAL_STATES, Planned

_WAIT_SECONDS = 0.2
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        states, reasons: by run id, for every run of the plan, those kept included.
        interrupted: the user asked to stop (Ctrl-C or TERM).
    """

    states: dict[str, str]
    reasons: dict[str, str]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """0: all done, or diverged, which is a result; 1: some are not; 130: the user stopped it.

        Runs that another process is at are its business.
        """
        if self.interrupted:
            return 130
        return int(not set(self.states.values()) <= {"done", "diverged", "running"})

    @property
    def elsewhere(self) -> Counter[str]:
        """How many runs each other process is at, by what is known of it."""
        running = [run_id for run_id, state in self.states.items() if state == "running"]
        return Counter(holder(self.reasons[run_id]) for run_id in running)


def holder(reason: str) -> str:
    """Who is at a run, from the reason of its state."""
    return reason.removesuffix(" is at it")


def execute(
    planned: Sequence[Planned], backend: Backend, display: Display, *, fail_fast: bool = False
) -> Outcome:
    """Train what the plan says and wait for it; a run that fails is told, never raised.

    The plan must be frozen (`Store.freeze`). The first Ctrl-C asks the running ones to save and
    stop, the second kills them. With `fail_fast` the first failure stops the others.
    """
    runner = _Runner(planned, backend, display, fail_fast)
    with StopRequest(insistent=True) as stop:
        try:
            runner.go(stop)
        except KeyboardInterrupt:
            display.message("killing what still runs")
            backend.close(kill=True)
            runner.tell()
        finally:
            backend.close()
            display.stop()
    return runner.outcome(interrupted=stop())


class _Runner:
    """What `execute` remembers between two looks."""

    def __init__(
        self, planned: Sequence[Planned], backend: Backend, display: Display, fail_fast: bool
    ) -> None:
        self.items = {item.spec.run_id: item for item in planned}
        self.backend, self.display, self.fail_fast = backend, display, fail_fast
        self.states: dict[str, State] = {
            run_id: (item.state, item.reason) for run_id, item in self.items.items()
        }
        self.others = _Others([item for item in planned if item.state == "running"])
        self.asked = False
        self.known: set[str] = set()  # other processes that were told of

    def go(self, stop: StopRequest) -> None:
        """Until nothing is left, or nothing that can be waited for."""
        todo = [item for item in self.items.values() if item.action in ("run", "resume")]
        self.display.start(list(self.items.values()), self.backend.slots)
        for item in self.others.items:
            self.display.elsewhere(item.spec.run_id)
        self.backend.submit(todo)
        while True:
            self.tell()
            if stop() and not self.asked:
                self.display.message("stopping: runs save their state; Ctrl-C again kills them")
                self.take_back()
            if self.fail_fast and not self.asked and self.has("failed", todo):
                self.display.message("stopping after a failure, as asked")
                self.take_back()
            if not self.asked:
                free, living = self.others.look()
                self.backend.submit(free)
                self.leave(item.reason for item in living)
            if self.backend.busy():
                self.backend.wait(_WAIT_SECONDS)
            elif self.others.undecided() and not self.asked:
                self.others.say(self.display)
                time.sleep(_WAIT_SECONDS)
            else:
                return
            self.display.tick()

    def tell(self) -> None:
        """Show what has changed since the last time."""
        left = []
        for run_id, state in self.backend.states().items():
            before, self.states[run_id] = self.states[run_id], state
            if state == before:
                continue
            if state[0] == "running" and state[1]:
                left.append(state[1])
                self.display.elsewhere(run_id)
            elif state[0] == "running":
                self.display.running(run_id)
            elif state[0] in FINAL_STATES or before == ("running", ""):
                self.display.finished(run_id, *state)
        self.leave(left)

    def leave(self, reasons: Iterable[str]) -> None:
        """Say whose runs these are; of each process once, however many more it takes."""
        for other, count in Counter(map(holder, reasons)).items():
            if other not in self.known:
                self.known.add(other)
                verb = "run is" if count == 1 else "runs are"
                self.display.message(f"{count} {verb} being trained by {other}; left to it")

    def take_back(self) -> None:
        """Ask the backend for everything back, once."""
        self.asked = True
        self.backend.cancel(list(self.items))

    def has(self, state: str, items: Sequence[Planned]) -> bool:
        """Whether one of these runs is in this state now."""
        now: Mapping[str, State] = self.backend.states()
        return any(now[item.spec.run_id][0] == state for item in items)

    def outcome(self, *, interrupted: bool) -> Outcome:
        """The last states; those that other processes hold are read once more."""
        for run_id, item in self.items.items():
            if self.states[run_id][0] == "running":
                self.states[run_id] = found_state(item)
        return Outcome(
            {run_id: state for run_id, (state, _) in self.states.items()},
            {run_id: reason for run_id, (_, reason) in self.states.items()},
            interrupted,
        )


class _Others:
    """Runs that other processes hold: watched until each is known to live or to have ended."""

    def __init__(self, items: Sequence[Planned]) -> None:
        self.items = list(items)
        self._observer = Observer()
        self._looked = 0.0
        self._said = False

    def undecided(self) -> bool:
        """Whether there are any of which one cannot know yet."""
        return bool(self.items)

    def look(self) -> tuple[list[Planned], list[Planned]]:
        """Those whose holder turned out to be gone, free to be trained here; and to be alive."""
        free: list[Planned] = []
        living: list[Planned] = []
        if not self.items or time.monotonic() - self._looked < _LOOK_SECONDS:
            return free, living
        self._looked = time.monotonic()
        for item in list(self.items):
            sighting = self._observer.look(item.folder)
            if sighting.state == "unsure":
                continue
            self.items.remove(item)
            put_aside(item.folder, sighting)
            if sighting.state == "held":
                living.append(item)
            elif found_state(item)[0] in ("pending", "interrupted"):
                free.append(replace(item, action="resume"))
        return free, living

    def say(self, display: Display) -> None:
        """Why the user waits, once."""
        if not self._said:
            self._said = True
            display.message(
                f"watching {len(self.items)} run(s) that other hosts may still be training "
                f"(up to {EXPIRES_SECONDS:.0f} s)"
            )
