"""One check: what was found and what to do about it, never an exception and never for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"
_REINSTALL = "install the requirements again: pip install wgan-bench"


@dataclass(frozen=True)
class Check:
    """One finding: `state` is ok, warn or fail; `advice` says what to do about the latter two."""

    name: str
    state: str
    found: str
    advice: str = ""


Checking = Callable[[], Check | Sequence[Check]]


@dataclass(frozen=True)
class Planned:
    """A check to be made.

    Attributes:
        seconds: after which it is given up.
        needed: whether a machine on which it cannot be made cannot do the work.
    """

    name: str
    make: Checking
    seconds: float = 20.0
    needed: bool = True


def examine(planned: Sequence[Planned]) -> Iterator[Check]:
    """Make the checks, in order; one that cannot be made is a finding of its own."""
    for item in planned:
        made = _bounded(item)
        yield from [made] if isinstance(made, Check) else made


def _bounded(item: Planned) -> Check | Sequence[Check]:
    """Make a check in a thread: a file server that does not answer cannot be interrupted."""
    made: list[Check | Sequence[Check]] = []

    def make() -> None:
        try:
            made.append(item.make())
        except Exception as error:  # the boundary of a check: whatever it is, it is a finding
            made.append(_broken(item, error))

    thread = threading.Thread(target=make, name=item.name, daemon=True)
    thread.start()
    thread.join(item.seconds)
    if made:
        return made[0]
    return Check(
        item.name,
        FAIL if item.needed else WARN,
        f"no answer within {item.seconds:g} s",
        "something that it asks hangs, as a file server or a driver may; try again, and ask those "
        "who run this machine",
    )


def _broken(item: Planned, error: Exception) -> Check:
    state = FAIL if item.needed else WARN
    if isinstance(error, OSError):
        advice = "choose another folder with --results" if error.filename else ""
        place = f": {error.filename}" if error.filename else ""
        return Check(item.name, state, f"{error.strerror or error}{place}", advice)
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else "no reason given"
    return Check(item.name, state, f"{type(error).__name__}: {said}", _REINSTALL)


@dataclass(frozen=True)
class Answer:
    """What a command answered.

    Attributes:
        code: its exit code; None where it was given up.
    """

    code: int | None
    output: str
    errors: str
    seconds: float

    @property
    def why(self) -> str:
        """Why it failed, in its own words, one line."""
        if self.code is None:
            return f"no answer within {self.seconds:.0f} s"
        lines = (self.errors or self.output).strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def ask(
    words: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None
) -> Answer:
    """What a command answers; with all that it has started it is ended where it takes too long.

    Raises:
        OSError: it cannot be started.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603 - a found program, our own arguments
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Answer(code, texts[0], texts[1], time.monotonic() - began)
