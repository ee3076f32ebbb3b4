"""Processes that make so many steps whenever they are told to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_READY = "ready"


class Told:
    """A process that was begun with `words` of Python and speaks as `obey` does.

    Args:
        threads: that it owns; None: torch's default.
    """

    def __init__(self, words: Sequence[str], threads: int | None = None) -> None:
        variables = {
            name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
        }
        if threads is not None:
            variables["OMP_NUM_THREADS"] = str(threads)
        self._process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, steps: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        """Until it is ready: first when it has warmed up, then after each command."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != f"{_READY}\n":
            raise RuntimeError(
                f"a worker ended with {self._process.wait()}; what it said stands above"
            )

    def run(self, steps: int) -> None:
        self.tell(steps)
        self.wait()

    def close(self) -> None:
        self._process.communicate()  # the end of its input ends it


def obey(run: Callable[[int], object]) -> None:
    """Say that all is ready, then run what each line of the input says, and say so."""
    _say_ready()
    for line in sys.stdin:
        run(int(line))
        _say_ready()


def _say_ready() -> None:
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
