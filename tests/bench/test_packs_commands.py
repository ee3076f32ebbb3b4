"""`cancel` and `retry` where the runs train as one model, with real runners in other processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_runs import state_of

from bench.cli import main
from bench.run_folder import RunFolder

ROOT = Path(__file__).parents[2]
SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 16}}, steps: 2000000, batch_size: 32, noise_size: 4}
grid: {recipe: gan, seed: 0..2}
evaluate: {every: 500000, samples: 50}
record: {checkpoint_seconds: 0.5}
"""
COMMAND = [sys.executable, "-c", "from bench.cli import main; main()"]


def ask(*words: str) -> str:
    result = CliRunner().invoke(main, [*words, "--plain"])
    assert result.exit_code == 0, result.output
    return result.output


def states() -> list[str]:
    """Of the three seeds in order."""
    found = json.loads(ask("plan", "s.yaml", "--json"))["runs"]
    return [run["state"] for run in sorted(found, key=lambda run: run["seed"])]


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, ask("plan", "s.yaml")
        time.sleep(0.1)


def pack_of(folder: Path) -> int:
    size: int = json.loads((folder / "env.json").read_text())["numerics"]["pack"]
    return size


@contextmanager
def runner(verb: str) -> Iterator[subprocess.Popen[str]]:
    """A runner on one slot, killed with its runs should the test fail."""
    process = subprocess.Popen(
        [*COMMAND, verb, "s.yaml", "--slots=1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_one_run_of_a_pack_is_cancelled_and_all_are_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP)
    with runner("run") as first:
        until(lambda: states() == ["running"] * 3)
        assert "1 run asked to save and stop" in ask("cancel", "s.yaml", "--only", "seed=1")
        until(lambda: states() == ["running", "cancelled", "running"])
        ask("cancel", "s.yaml")
        output, _ = first.communicate(timeout=60)
    assert states() == ["cancelled"] * 3
    assert "3 cancelled" in output
    assert first.returncode == 1

    folders = [next(tmp_path.glob(f"results/s/*seed{seed}--*")) for seed in range(3)]
    stopped = [state_of(folder)["step"] for folder in folders]
    assert 0 < stopped[1] < stopped[0]
    with runner("retry") as second:
        until(lambda: RunFolder(folders[0]).kept_step() > stopped[0])
        second.send_signal(signal.SIGINT)
        output, _ = second.communicate(timeout=60)
    assert second.returncode == 130
    assert "wgan-bench run s.yaml" in output  # what goes on with them
    assert "failed" not in output
    # Each goes on in a stack of the size that its bits depend on, whoever is in it.
    assert [pack_of(folder) for folder in folders] == [3, 3, 3]
    assert states() == ["interrupted"] * 3
    reached = [RunFolder(folder).kept_step() for folder in folders]
    assert reached[0] == reached[2] > stopped[0]
    assert reached[1] == stopped[1]  # it waited for the slot
    for folder in folders:
        assert not (folder / "lease").exists()
        assert not (folder / "cancel.json").exists()
