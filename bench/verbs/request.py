"""What every verb that takes a sweep file receives. Imports nothing heavy."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

DEFAULT_RESULTS = Path("results")
DEFAULT_REPORTS = Path("reports")
NO_SWEEP = Path()


@dataclass(frozen=True)
class Request:
    """A sweep file and the common options.

    Attributes:
        overrides, only: `key=value` of `--set` and of `--only`.
        as_json: print JSON, and nothing else, on standard output.
        plain: no colours, lines and live tables, even on a terminal.
    """

    sweep: Path
    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    results: Path = DEFAULT_RESULTS
    as_json: bool = False
    plain: bool = False

    def command(self, verb: str) -> str:
        """The command line that does `verb` to the same runs."""
        words = ["wgan-bench", verb, str(self.sweep)]
        for flag, values in (("--set", self.overrides), ("--only", self.only)):
            for value in values:
                words += [flag, value]
        if self.results != DEFAULT_RESULTS:
            words += ["--results", str(self.results)]
        return shlex.join(words)

    def logs_command(self, run_id: str) -> str:
        """The command line that shows the log of one of these runs."""
        elsewhere = self.results != DEFAULT_RESULTS
        results = ["--results", str(self.results)] if elsewhere else []
        return shlex.join(["wgan-bench", "logs", run_id, *results])
