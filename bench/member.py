"""One run in this process, alone or beside others: its lease, its session, and how it ended.

Whatever happens to it ends this run and no other: it is written into its folder, never raised.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import environment
from bench.failures import explain
from bench.files import read_json
from bench.lease import Lease, LeaseHeld, LeaseLost, take_lease
from bench.resume import Beginning, begin
from bench.run_folder import RunFolder
from bench.session import CANCELLED, Material, Place, Session
from bench.spec import RunSpec
from bench.stopping import CutShort, StopRequest


class Member:
    """A run that this process may train.

    Args:
        run_dir: its folder.
        together: all runs that are trained beside each other, this one among them.

    Attributes:
        over: whether nothing more is to be done about it here.
        problem: why not even its end could be written, where that is so.
    """

    def __init__(
        self, run_dir: Path, stop: StopRequest, place: Place, together: Sequence[Member]
    ) -> None:
        self.folder = RunFolder(run_dir)
        self.run_id = run_dir.name.rpartition("--")[2]
        self.over, self.cancelled = False, False
        self.problem: OSError | LeaseLost | None = None
        self._stop, self._place, self._together = stop, place, together
        self._lease: Lease | None = None
        self._session: Session | None = None
        self._spec: RunSpec | None = None
        self._beginning: Beginning | None = None

    @property
    def spec(self) -> RunSpec:
        """The run as it was frozen; known once it was taken."""
        assert self._spec is not None
        return self._spec

    @property
    def beginning(self) -> Beginning:
        """Where it goes on; known once it was begun."""
        assert self._beginning is not None
        return self._beginning

    @property
    def session(self) -> Session:
        """What records it; there once it was opened."""
        assert self._session is not None
        return self._session

    def does(self, act: Callable[..., bool], *arguments: object) -> bool:
        """Whether the run goes on after `act`, which says so; else it is left, its end written."""
        if self.over:
            return False
        try:
            try:
                if act(*arguments):
                    return True
            except (LeaseHeld, LeaseLost):
                raise
            except CutShort as cut:
                self._note_cut(cut)
            except Exception as error:  # the boundary of a run: whatever it is ends this run alone
                self._fail(error)
            self.leave()
        except LeaseHeld:
            self.over = True
        except LeaseLost as lost:
            print(f"stopped writing: {lost}", file=sys.stderr)  # noqa: T201 - no log to write to
            self._leave_with(lost)
        except OSError as error:
            self._leave_with(error)
        return False

    def take(self) -> bool:
        """Take the lease, and read what the run is; whether there is anything to be done about it.

        Raises:
            LeaseHeld: another process is at it.
            OSError: its folder cannot be written.
        """
        self._lease = take_lease(self.folder.path)
        final, damage = self.folder.final(self.run_id)
        if final is not None and final["state"] != "failed":
            return False
        if damage is not None:
            self.folder.note(f"{damage}; the run is repeated from its last good checkpoint")
        if self.folder.is_to_be_cancelled():
            self._finish_cancelled()
            return False
        self.folder.state.unlink(missing_ok=True)
        self._spec = RunSpec.from_plain(read_json(self.folder.spec))
        self._lease.keep_alive(self._heed_a_cancelling)
        return True

    def begin(self, material: Material) -> bool:
        """Find where it goes on.

        Raises:
            ResumeRefused: it may not.
        """
        place = self._place
        self._beginning = begin(
            self.spec,
            self.folder,
            material.data,
            place.device,
            material.evaluator.protocol,
            environment.numerics(place.device, place.threads),
            place.allow_numerics,
        )
        return True

    def open(self, material: Material, pack: int) -> bool:
        """Begin its session, in a pack of this size."""
        assert self._lease is not None
        self._session = Session(
            self.spec,
            self.folder,
            self._lease,
            self._stop,
            self._place,
            material,
            self.beginning,
            pack,
        )
        self._session.cancelled = self.cancelled
        return True

    def note(self, text: str) -> bool:
        """Say something in its log; it goes on."""
        self.folder.note(text)
        return True

    def stand_back(self) -> bool:
        """Leave it as it is: it is trained later, or was written down."""
        return False

    def leave(self) -> None:
        """Close its files, and give its lease back."""
        self.over = True
        if self._session is not None:
            self._session.close()
        self._session = self._beginning = None  # what they hold may be large
        if self._lease is not None:
            self._lease.release()

    def _leave_with(self, problem: OSError | LeaseLost) -> None:
        self.problem = problem
        try:
            self.leave()
        except OSError:
            return  # it is told already that its folder cannot be written

    def _heed_a_cancelling(self) -> None:
        """At every heartbeat: where all are wanted no more, that cuts short what can be."""
        if self.cancelled or not self.folder.is_to_be_cancelled():
            return
        self.cancelled = True
        if self._session is not None:
            self._session.cancelled = True
        if all(member.cancelled or member.over for member in self._together):
            self._stop.ask(CANCELLED)

    def _note_cut(self, cut: CutShort) -> None:
        self.folder.note(f"stopped before it trained ({cut})")
        if self.folder.is_to_be_cancelled():
            self._finish_cancelled()

    def _finish_cancelled(self) -> None:
        self.folder.finish(self.run_id, "cancelled", step=self.folder.kept_step())

    def _fail(self, error: Exception) -> None:
        if self._lease is None:  # its folder cannot be written, which is the caller's to know
            raise error
        self._lease.check()
        reason, expected = explain(error, self.folder.path)
        step = self._lease.progress.get("step", 0)
        if not expected:
            self.folder.note("".join(traceback.format_exception(error)).rstrip())
        self.folder.note(f"failed: {reason}")
        self.folder.finish(self.run_id, "failed", reason=reason, step=step)
