"""A SLURM of shell scripts on the PATH: it keeps what it is told, and answers what a test wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PROGRAMS = {
    "srun": "exit 0",
    "sbatch": """
[ -e "$0.refuses" ] && { cat "$0.refuses" >&2; exit 1; }
number=$(( $(ls "$(dirname "$0")"/script-* 2>/dev/null | wc -l) + 12 ))
cp "$1" "$(dirname "$0")/script-$number"
echo "Submitted batch job $number"
[ -e "$0.refuses-then" ] && mv "$0.refuses-then" "$0.refuses"
exit 0
""",
    "scontrol": 'echo "MaxArraySize            = 3"',
    "scancel": 'echo "$@" >> "$0.calls"',
    "sacct": 'echo "$@" >> "$0.calls"; [ -e "$0.says" ] && cat "$0.says"; exit 0',
    "squeue": 'echo "$@" >> "$0.calls"; [ -e "$0.says" ] && cat "$0.says"; exit 0',
}


class FakeSlurm:
    """The programs, and what they were told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name, body in _PROGRAMS.items():
            self.replace(name, body)

    def replace(self, name: str, body: str) -> None:
        """Make a program do something else."""
        path = self.folder / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)

    def says(self, name: str, *lines: str) -> None:
        """What a program prints from now on."""
        (self.folder / f"{name}.says").write_text("".join(f"{line}\n" for line in lines))

    def is_down(self, name: str, words: str) -> None:
        """A program fails with these words from now on."""
        self.replace(name, f"echo {words!r} >&2; exit 1")

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of a program."""
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def scripts(self) -> list[str]:
        """The submission files, in order."""
        return [path.read_text() for path in sorted(self.folder.glob("script-*"))]


def fake_slurm(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Put such a SLURM before everything else on the PATH."""
    fake = FakeSlurm(folder / "slurm")
    monkeypatch.setenv("PATH", f"{fake.folder}{os.pathsep}{os.environ['PATH']}")
    return fake
