"""Run a plan on a backend, to its end or to the user's Ctrl-C, with a display."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.backends.base import Runner, State, found_state
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
        stopped_by: the signal that asked to stop, e.g. "SIGINT"; empty where none did.
    """

    states: dict[str, str]
    reasons: dict[str, str]
    stopped_by: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked to stop before the end."""
        return self.stopped_by != ""

    @property
    def exit_code(self) -> int:
        """0: all done, or diverged, which is a result; 1: some are not; 130: the user stopped it.

        Runs that another process is at, or has in its queue, are its business.
        """
        if self.interrupted:
            return 130
        return int(not set(self.states.values()) <= {"done", "diverged", "running", "queued"})

    @property
    def elsewhere(self) -> Counter[str]:
        """How many runs each other process is at, by what is known of it."""
        running = [run_id for run_id, state in self.states.items() if state == "running"]
        return Counter(holder(self.reasons[run_id]) for run_id in running)


def holder(reason: str) -> str:
    """Who is at a run, from the reason of its state."""
    return reason.removesuffix(" is at it")


def execute(
    planned: Sequence[Planned],
    backend: Runner,
    display: Display,
    *,
    fail_fast: bool = False,
    wait_for_others: bool = False,
) -> Outcome:
    """Train what the plan says and wait for it; a run that fails is told, never raised.

    The plan must be frozen (`Store.freeze`). The first Ctrl-C, TERM or USR2 asks the running ones
    to save and stop, a Ctrl-C after it kills them; USR1 has them save and go on. With `fail_fast`
    the first failure stops the others. With `wait_for_others` runs that other processes
    are at are waited for, and taken up if left.
    """
    runner = _Runner(planned, backend, display, fail_fast, wait_for_others)
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
    return runner.outcome(stop.reason)


class _Runner:
    """What `execute` remembers between two looks."""

    def __init__(
        self,
        planned: Sequence[Planned],
        backend: Runner,
        display: Display,
        fail_fast: bool,
        wait_for_others: bool,
    ) -> None:
        self.items = {item.spec.run_id: item for item in planned}
        self.backend, self.display, self.fail_fast = backend, display, fail_fast
        self.states: dict[str, State] = {
            run_id: (item.state, item.reason) for run_id, item in self.items.items()
        }
        self.others = _Others(
            [item for item in planned if item.state == "running"], patient=wait_for_others
        )
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
            # First of all: runs that heard the same signal must not make room for others.
            if stop() and not self.asked:
                self.display.message(
                    f"stopping ({stop.reason}): runs save their state; Ctrl-C again kills them"
                )
                self.take_back()
            self.tell()
            if stop.take_save():
                self.backend.save()
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
        left, again = [], Counter[str]()
        for run_id, state in self.backend.states().items():
            before, self.states[run_id] = self.states[run_id], state
            if state == before:
                continue
            if state[0] == "running" and state[1]:
                left.append(state[1])
                self.display.elsewhere(run_id)
            elif state[0] == "running":
                self.display.running(run_id)
            elif state[0] == "queued":
                if state[1]:
                    again[state[1]] += 1
            elif state[0] in FINAL_STATES or before == ("running", ""):
                self.display.finished(run_id, *state)
        self.leave(left)
        for reason, count in again.items():
            verb = "run goes" if count == 1 else "runs go"
            self.display.message(f"{count} {verb} on apart: {reason}")

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

    def outcome(self, stopped_by: str) -> Outcome:
        """The last states; those that other processes hold are read once more."""
        for run_id, item in self.items.items():
            if self.states[run_id][0] == "running":
                self.states[run_id] = found_state(item)
        return Outcome(
            {run_id: state for run_id, (state, _) in self.states.items()},
            {run_id: reason for run_id, (_, reason) in self.states.items()},
            stopped_by,
        )


class _Others:
    """Runs that other processes hold: watched until each is known to live or to have ended.

    Args:
        patient: watch also those that live, until they have ended.
    """

    def __init__(self, items: Sequence[Planned], *, patient: bool) -> None:
        self.items, self._patient = list(items), patient
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
            if sighting.state == "unsure" or (self._patient and sighting.state == "held"):
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
            until = "until they end" if self._patient else f"up to {EXPIRES_SECONDS:.0f} s"
            display.message(
                f"watching {len(self.items)} run(s) that others may still be training ({until})"
            )
