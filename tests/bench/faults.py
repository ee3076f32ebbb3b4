"""What the tests of broken disks and files share: a sweep of seconds, through the commands."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_runs import assert_same_run, state_of

from bench.cli import main
from bench.grid import load
from bench.lease import Observer
from bench.spec import RunSpec
from bench.store import Planned, Store

SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 8}}, batch_size: 8, noise_size: 4, steps: 24}
grid: {recipe: [wgan_gp, gan], seed: 0}
evaluate: {every: 12, samples: 32}
record: {log_every: 2, checkpoint_seconds: 0}
"""


def usually(usual: Collection[Any], rarely: Iterable[Any]) -> list[Any]:
    """Parameters of a test: some each time, the others among the slow ones."""
    return [*usual, *(pytest.param(each, marks=pytest.mark.slow) for each in rarely)]


class Commands:
    """The command line, in a folder with the sweep file and for a results folder anywhere.

    Args:
        results: of all sweeps.
    """

    def __init__(self, home: Path, results: Path, text: str = SWEEP) -> None:
        self.file, self.results = home / "s.yaml", results
        self.file.write_text(text)

    def __call__(self, verb: str, *options: str) -> Result:
        words = [verb, str(self.file), "--results", str(self.results), *options]
        return CliRunner().invoke(main, words, catch_exceptions=False)

    def run(self, *options: str) -> Result:
        """Trained in this process, one after another, in the order of the plan."""
        return self("run", "--backend", "inline", "--plain", *options)

    def json(self, verb: str) -> Any:
        """What a verb answers as JSON."""
        return json.loads(self(verb, "--json").stdout)

    def states(self) -> list[str]:
        """Of all runs, as `status` tells them, in the order of the plan."""
        return [run["state"] for run in self.json("status")["runs"]]

    @property
    def specs(self) -> list[RunSpec]:
        return load(self.file).runs

    def plan(self) -> list[Planned]:
        return Store(self.results, "s").plan(self.specs)


def trained(home: Path) -> Commands:
    """The sweep where nothing was ever wrong."""
    commands = Commands(home, home / "results")
    assert commands.run().exit_code == 0
    return commands


def assert_true(commands: Commands, whole: Commands) -> None:
    """No lie: what is said to be done is whole to the last bit; nobody looks alive who is not."""
    for item, other in zip(commands.plan(), whole.plan(), strict=True):
        assert item.state in ("pending", "interrupted", "failed", "done"), item
        assert Observer().look(item.folder).state in ("free", "expired"), item
        if item.state == "done":
            assert_same_run(item.folder, other.folder, item.spec)


def assert_whole(commands: Commands, whole: Commands) -> None:
    """Every run is done, with the same bits."""
    for item, other in zip(commands.plan(), whole.plan(), strict=True):
        assert state_of(item.folder)["state"] == "done"
        assert_same_run(item.folder, other.folder, item.spec)


class Disk:
    """A small disk in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, kilobytes: int) -> None:
        mount(f"-o remount,size={kilobytes}k", str(self.path))

    def read_only(self, yes: bool) -> None:
        mount(f"-o remount,{'ro' if yes else 'rw'}", str(self.path))

    @property
    def filler(self) -> Path:
        return self.path / "filler"

    def fill(self) -> None:
        """To the last byte."""
        with self.filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def free(self) -> None:
        self.filler.unlink(missing_ok=True)


def mount(options: str, *words: str) -> None:
    subprocess.run(["mount", *options.split(), *words], check=True, capture_output=True)


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[Disk]:
    """Mounted at `path`; skipped where this user may not mount."""
    path.mkdir(exist_ok=True)
    try:
        mount(f"-t tmpfs -o size={kilobytes}k tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small disk is not permitted here: {error}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
