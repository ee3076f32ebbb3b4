"""Two `wgan-bench run` of one sweep at once: every run is trained once, and it is said by whom.

Real processes, on this machine, and as if on another: with a host name, process numbers and a /proc
of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.lease import owner_of

ROOT = Path(__file__).parents[2]
SWEEP = """\
name: two
base: {dataset: ring8, network: {mlp: {width: 8}}, noise_size: 4, batch_size: 8, steps: 150}
grid: {recipe: [gan, wgan], seed: 0..4}
evaluate: {every: 50, samples: 50}
"""
ELSEWHERE = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


def started(folder: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    code = "from bench.cli import main; main()"
    return subprocess.Popen(
        [*before, sys.executable, "-c", code, "run", "two.yaml", "--slots", "1", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def elsewhere() -> tuple[str, ...]:
    """What makes a command believe that it is on another host."""
    allowed = (
        shutil.which("unshare")
        and not subprocess.run(
            [*ELSEWHERE, "hostname", "n2"], capture_output=True, check=False
        ).returncode
    )
    if not allowed:
        pytest.skip("this user may not give a process a host name of its own (unshare)")
    return (*ELSEWHERE, "sh", "-c", 'hostname n2 && exec "$@"', "sh")


def check_trained_once(results: Path, runs: int) -> None:
    folders = sorted(path for path in results.iterdir() if "--" in path.name)
    assert len(folders) == runs
    for folder in folders:
        log = (folder / "log.txt").read_text()
        assert log.count("begins at step 0") == 1, folder
        assert log.count("done at step 150") == 1, folder
        assert "goes on" not in log
        assert json.loads((folder / "state.json").read_text())["state"] == "done"
        for file in folder.glob("*.jsonl"):
            steps = [json.loads(line)["step"] for line in file.read_text().splitlines()]
            assert steps == sorted(set(steps)), file
        assert not list(folder.glob("lease*"))
        assert not list(folder.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(3))
@pytest.mark.parametrize("other_host", [False, True])
def test_two_runners_that_start_together_train_every_run_once(
    tmp_path: Path, other_host: bool, repetition: int
) -> None:
    (tmp_path / "two.yaml").write_text(SWEEP)
    runners = [started(tmp_path), started(tmp_path, before=elsewhere() if other_host else ())]
    said = [runner.communicate(timeout=110) for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], said
    check_trained_once(tmp_path / "results" / "two", 10)
    for out, errors in said:
        assert re.search(r"^10 runs: .*done", out, re.MULTILINE), out
        assert "Traceback" not in errors
    # Whoever began second had to leave the other its run.
    assert any("being trained by process" in errors for _, errors in said), said


@pytest.mark.slow
@pytest.mark.parametrize("other_host", [False, True])
def test_a_runner_says_whose_the_others_are_and_that_they_are_not_done(
    tmp_path: Path, other_host: bool
) -> None:
    (tmp_path / "two.yaml").write_text(SWEEP)
    long = ("--set", "steps=100000", "--only", "recipe=wgan", "--only", "seed=0")
    first = started(tmp_path, *long)
    results, end = tmp_path / "results" / "two", time.monotonic() + 60
    while not any(owner_of(folder) for folder in results.glob("*--*")):
        assert first.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    try:
        words = ("--set", "steps=100000", "--only", "seed=0,1", "--only", "recipe=wgan")
        second = started(tmp_path, *words, before=elsewhere() if other_host else ())
        end = time.monotonic() + 60
        while sum(owner_of(folder) is not None for folder in results.glob("*--*")) < 2:
            assert second.poll() is None, second.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(4.0)  # two heartbeats of the first
        second_runner = owner_of(next(results.glob("wgan-seed1--*")))
        assert second_runner is not None
        interrupt(second, second_runner["runner"], other_host=other_host)
        out, errors = second.communicate(timeout=60)
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=60)
    whose = f"process {first.pid} on {socket.gethostname()}"
    assert errors.count(f"1 run is being trained by {whose}; left to it") == 1, errors
    assert f"1 run still being trained by {whose}" in out
    assert "1 interrupted" in out
    assert "1 running" in out


def interrupt(runner: subprocess.Popen[str], pid: int, *, other_host: bool) -> None:
    """Ctrl-C for a runner; one in its own world of process numbers is found by its child."""
    if not other_host:
        assert pid == runner.pid
        runner.send_signal(signal.SIGINT)
        return
    children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGINT)
