"""Exit codes, and sentences in place of tracebacks, for every verb. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import click


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Within it Ctrl-C ends the process at once, and memory is not searched for garbage.

    Nothing is begun yet, and libraries that start up may swallow an interrupt or make an
    ImportError of it. What they make stays: to look through it again and again takes 0.2 s of the
    start, and as long of what a verb then does with 10,000 runs.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"stopped\n")
        os._exit(130)

    first = "torch" not in sys.modules
    before = signal.signal(signal.SIGINT, leave)
    gc.disable()
    try:
        yield
    finally:
        if first:
            gc.freeze()
        gc.enable()
        signal.signal(signal.SIGINT, before)


def guarded(verb: Callable[..., int]) -> Callable[..., None]:
    """The verb with its exit code, and with a sentence in place of a traceback for user errors."""

    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            code = verb(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read us has seen enough; what is still in the buffer must not complain either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except (KeyboardInterrupt, Exception) as error:
            if _interrupted(error):
                click.echo("stopped", err=True)
                code = 130
            else:
                sentence = _for_the_user(error)
                if sentence is None:
                    raise
                click.echo(sentence, err=True)
                code = 2
        click.get_current_context().exit(code)

    return call


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: one that meets a library's start-up comes as its ImportError."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _for_the_user(error: BaseException) -> str | None:
    """What to say about an error that the user can mend; None for a mistake of this program."""
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
        if not name or name in ("bench", "wgan"):
            return None
        return f"{name} cannot be imported: {error}; `wgan-bench doctor` checks the installation"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}" if error.errno else None
    if not isinstance(error, ValueError | RuntimeError):
        return None
    from bench.backends.slurm_states import SlurmError
    from bench.evaluate import EvaluateError
    from bench.files import FileError
    from bench.grid import SweepError
    from bench.store import StoreError
    from wgan.components import ConfigError

    ours = (SweepError, StoreError, EvaluateError, FileError, ConfigError, SlurmError)
    return str(error) if isinstance(error, ours) else None
