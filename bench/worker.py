"""run(run_dirs): train, evaluate, record. The only callable that any backend dispatches.

What happened stands in the run's folder: rows, log.txt, and, written last, state.json. A run that
fails takes no other with it.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.evaluate import EvaluateError
from bench.files import FileError, read_json
from bench.lease import Lease, LeaseHeld, LeaseLost, take_lease
from bench.resume import ResumeRefused
from bench.run_folder import RunFolder
from bench.session import Place, Session
from bench.spec import RunSpec
from bench.stopping import CutShort, StopRequest, stop_with_parent
from bench.threads import held_to
from bench.unwritable import unwritable
from wgan.components import ConfigError
from wgan.data import DataError

CANCELLED = "cancelled"  # why a run stopped that somebody wanted no more

_GPU_FULL = ("CUDA out of memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def run(
    run_dirs: Sequence[Path],
    *,
    device: str = "cpu",
    threads: int = 1,
    allow_numerics: Collection[str] = (),
    between: Callable[[], None] | None = None,
    own_process: bool = False,
) -> None:
    """Train the runs that are frozen in these folders, one after another.

    A run that is finished, or that another process is at, is left alone. At INT, TERM or USR2 the
    run at work is checkpointed within seconds and the others are left for later; at USR1 it is
    checkpointed and goes on. A run that fails says so in its folder, and is not raised.

    Args:
        threads: CPU threads that this process may use.
        allow_numerics: names of `numerics` in which a resumed run may differ; "all" allows any.
        between: called at every pause, to keep a display alive.
        own_process: this process serves these runs alone: what it prints goes to their log.txt,
            and it stops when the process that started it is gone.

    Raises:
        OSError: a folder, the first of them, in which not even that can be written; the others have
            been trained.
        LeaseLost: likewise, where one was taken over by another process or removed in mid-run.
    """
    first: OSError | LeaseLost | None = None
    place = Place(device, threads, tuple(allow_numerics))
    with StopRequest() as stop, held_to(threads, begun_so=own_process):
        if own_process:
            stop_with_parent(stop)
        for run_dir in run_dirs:
            if stop():
                return
            job = _Job(RunFolder(run_dir), stop, place, between)
            try:
                if own_process:
                    _print_to(job.folder.log)
                with take_lease(run_dir) as lease:
                    job.work(lease)
            except LeaseHeld:
                continue
            except LeaseLost as lost:
                print(f"stopped writing: {lost}", file=sys.stderr)  # noqa: T201 - no log to write to
                first = first or lost
            except OSError as error:
                first = first or error
    if first is not None:
        raise first


def _print_to(log: Path) -> None:
    """Send what this process prints, and the trace of a crash in native code, to the run's log."""
    sys.stdout.flush()  # what is left of the run before
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(file=2)


@dataclass
class _Job:
    """One run in this process."""

    folder: RunFolder
    stop: StopRequest
    place: Place
    between: Callable[[], None] | None

    def work(self, lease: Lease) -> None:
        """Train under the lease, and write how it ended; a failure is written too, never raised."""
        run_id = self.folder.path.name.rpartition("--")[2]
        try:
            final, damage = self.folder.final(run_id)
            if final is not None and final["state"] != "failed":
                return
            if damage is not None:
                self.folder.note(f"{damage}; the run is repeated from its last good checkpoint")
            if self.folder.is_to_be_cancelled():
                self.folder.finish(run_id, "cancelled", step=self.folder.kept_step())
                return
            self.folder.state.unlink(missing_ok=True)
            spec = RunSpec.from_plain(read_json(self.folder.spec))
            lease.keep_alive(self._heed_a_cancelling)
            Session(spec, self.folder, lease, self.stop, self.place, self.between).go()
        except LeaseLost:
            raise
        except CutShort as cut:
            self.folder.note(f"stopped before it trained ({cut})")
            if self.folder.is_to_be_cancelled():
                self.folder.finish(run_id, "cancelled", step=self.folder.kept_step())
        except Exception as error:  # the boundary of a run: whatever it is ends this run alone
            self._fail(run_id, error, lease)

    def _heed_a_cancelling(self) -> None:
        if self.folder.is_to_be_cancelled():
            self.stop.ask(CANCELLED)

    def _fail(self, run_id: str, error: Exception, lease: Lease) -> None:
        lease.check()
        reason, expected = explain(error, self.folder.path)
        step = lease.progress.get("step", 0)
        if not expected:
            self.folder.note("".join(traceback.format_exception(error)).rstrip())
        self.folder.note(f"failed: {reason}")
        self.folder.finish(run_id, "failed", reason=reason, step=step)


def explain(error: Exception, folder: Path) -> tuple[str, bool]:
    """Why a run failed, in a sentence, and whether that says all (no traceback is needed).

    Args:
        folder: the run's.
    """
    text = str(error)
    if isinstance(error, EvaluateError | ConfigError | DataError | FileError | ResumeRefused):
        return text, True
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "out of memory; take a smaller batch, a smaller network or fewer slots", False
    if isinstance(error, torch.OutOfMemoryError) or any(word in text for word in _GPU_FULL):
        advice = "take a smaller batch, a smaller network or fewer runs at once (--per-gpu)"
        return f"out of GPU memory; {advice}", False
    if isinstance(error, OSError) and (sentence := unwritable(error, folder)) is not None:
        return sentence, True
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, False
