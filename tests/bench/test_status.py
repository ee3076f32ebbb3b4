"""`status` counts by method and optimizer and by label, reckons what is left, and never lies."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from standing_runs import SWEEP, begun, call, ended, lease_elsewhere, specs, stand

from bench.lease import take_lease
from bench.run_folder import RunFolder
from bench.store import StoreError
from bench.verbs import status as verb
from bench.verbs.watching import _Fitted


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(*words):
    result = call("status", "s.yaml", "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def row(text, *cells):
    """Whether a line of the text consists of these cells."""
    return any(line.split() == [str(cell) for cell in cells] for line in text.splitlines())


def test_counts_stand_by_method_and_optimizer_and_by_label():
    clipped, *_, penalised = specs()
    ended(clipped)
    ended(penalised, "failed", reason="the disk is full")
    seen = read()
    assert seen["counts"] == {"pending": 6, "done": 1, "failed": 1}
    wgan, gradient = seen["by_method"]
    assert (wgan["method"], wgan["optimizer"]) == ("weight_clipping", "rmsprop")
    assert (gradient["method"], gradient["optimizer"]) == ("gradient_penalty", "adam")
    assert wgan["counts"] == {"done": 1, "pending": 3}
    assert gradient["counts"] == {"pending": 3, "failed": 1}
    assert [group["label"] for group in seen["by_label"]] == ["wgan", "wgan_gp"]
    assert "label" not in wgan
    assert (seen["steps_done"], seen["steps"], wgan["steps_per_second"]) == (90, 480, 20.0)

    text = call("status", "s.yaml").stdout
    assert row(
        text, *["method", "optimizer", "label", "pending", "done", "failed", "progress", "steps/s"]
    )
    assert row(text, "weight_clipping", "rmsprop", "wgan", 3, 1, "25%", "20.0")
    assert row(text, "gradient_penalty", "adam", "wgan_gp", 3, 1, "12%", "20.0")
    assert text.startswith(
        "s: 8 runs: 6 pending, 1 done, 1 failed\n18% of the steps done, ? left\n"
    )


def test_many_labels_are_summed_by_method_unless_asked_for():
    limits = [n / 100 for n in range(1, 21)]
    grid = f"{{recipe: wgan, lipschitz: {{weight_clipping: {{limit: {limits}}}}}}}"
    specs(re.sub(r"grid:\n.*\n.*\n", f"grid: {grid}\n", SWEEP))
    summed = call("status", "s.yaml").stdout
    assert row(summed, "weight_clipping", "rmsprop", 20, 20, "0%")
    assert "limit=0.07" not in summed
    assert "limit=0.07" in call("status", "s.yaml", "--by", "label").stdout
    assert "limit" not in call("status", "s.yaml", "--by", "method").stdout


def test_runs_at_work_are_shown_with_step_speed_host_and_what_is_left():
    first, second, *others = specs()
    for spec in others[:-2]:
        ended(spec)
    begun(first)
    with take_lease(stand(second).path) as lease:
        lease.progress = {"doing": "evaluating", "step": 20, "steps": 60, "steps_per_second": 4.0}
        lease.beat()
        seen = read()
        text = call("status", "s.yaml").stdout
    (work,) = seen["at_work"]
    assert (work["run_id"], work["step"], work["doing"]) == (second.run_id, 20, "evaluating")
    assert (work["host"], work["pid"]) == (os.uname().nodename, os.getpid())
    assert (work["steps_per_second"], work["seconds_left"]) == (4.0, 10.0)
    assert seen["steps_per_second"] == 4.0
    # One run at once, at 4 steps of 6 updates a second: 40 here, 30 of the interrupted one, and
    # two of 60 steps of wgan_gp, also of 6 updates.
    assert seen["seconds_left"] == pytest.approx((40 + 30 + 60 + 60) / 4)
    assert "4.0 steps/s by 1 run now, about 48 s left" in text
    assert row(text, "wgan", "seed", 1, "20/60", "33%", "4.0", "10", "s", second.run_id,
               os.uname().nodename, "process", os.getpid(), "evaluating")  # fmt: skip
    assert "interrupted: 1 run stopped before the last step: wgan seed 0 (at step 30)" in text
    assert "next:" not in text


def test_before_a_run_at_work_has_a_speed_finished_ones_lend_theirs():
    first, _, *others = specs()
    for spec in others:
        ended(spec)
    with take_lease(stand(first).path):
        left = read()["seconds_left"]
        assert "1 run starting, about" in call("status", "s.yaml").stdout
    assert left == pytest.approx(2 * 60 / 20)
    assert read()["seconds_left"] is None  # nobody is at work


def test_a_host_that_says_nothing_any_more_lends_no_speed_and_is_called_silent():
    first, *_ = specs()
    folder = begun(first)
    lease_elsewhere(folder, at=time.time() - 7200, step=40, steps_per_second=5.0, doing="training")
    seen = read()
    assert seen["counts"] == {"pending": 7, "running": 1}
    assert seen["steps_per_second"] is None
    text = call("status", "s.yaml").stdout
    assert "silent for 2 h 00 min" in text
    assert "node7 process 12" in text


@pytest.mark.parametrize(
    "beat", [{"step": "x", "at": "y", "steps_per_second": "z"}, {"step": None}]
)
def test_a_foreign_heartbeat_costs_figures_and_no_traceback(beat):
    first, *_ = specs()
    lease_elsewhere(begun(first), **beat)
    (work,) = read()["at_work"]
    assert (work["step"], work["steps_per_second"]) == (30, None)  # of its checkpoint


def test_failed_runs_are_shown_with_their_last_lines_those_alike_together():
    one, two, three, *_ = specs()
    folders = [ended(spec, "failed", reason="RuntimeError: bad at 3") for spec in (one, two)]
    odd = ended(three, "failed", reason="its process was killed from outside by SIGKILL")
    with odd.log.open("a") as log:
        log.write("Fatal Python error: Segmentation fault\n")
    text = call("status", "s.yaml").stdout
    assert (
        f"failed: {one.run_id} wgan, seed 0 (and 1 run more like it): RuntimeError: bad at 3"
        in text
    )
    assert (
        f"failed: {three.run_id} wgan, seed 2: its process was killed from outside by SIGKILL; "
        "its log ends: Fatal Python error: Segmentation fault" in text
    )
    assert f"more: wgan-bench logs {one.run_id}" in text
    assert text.endswith("next: nothing is being trained; wgan-bench run s.yaml\n")
    runs = {run["run_id"]: run for run in read()["runs"]}
    assert runs[two.run_id]["last_line"].endswith("failed: RuntimeError: bad at 3")
    assert str(folders[0].path) == runs[one.run_id]["folder"]


def test_results_count_as_wholly_done_and_dead_critics_are_named():
    runs = specs()
    for spec in runs[:-2]:
        ended(spec, dead_critic=spec.label == "wgan")
    ended(runs[-2], "diverged", reason="score 1e9")
    ended(runs[-1], "diverged", reason="score 1e9")
    text = call("status", "s.yaml").stdout
    assert "100% of the steps done" in text
    assert row(text, "gradient_penalty", "adam", "wgan_gp", 2, 2, "100%", "20.0")
    assert row(text, "weight_clipping", "rmsprop", "wgan", 4, 4, "100%", "20.0")
    assert "dead critic" in text
    assert text.endswith("next: wgan-bench report s.yaml\n")
    assert read()["finished"] is True


def test_cancelled_runs_are_named_with_what_takes_them_up():
    runs = specs()
    ended(runs[0], "cancelled")
    for spec in runs[1:]:
        ended(spec)
    text = call("status", "s.yaml").stdout
    assert "cancelled: 1 run taken back by hand: wgan seed 0 (at step 30)" in text
    assert text.endswith("next: wgan-bench run s.yaml\n")
    assert read()["finished"] is True


def test_what_is_damaged_refused_or_changed_stands_above_the_counts():
    one, two, *_ = specs()
    ended(one).state.write_text("")
    folder = ended(two)
    plain = json.loads(folder.spec.read_text())
    plain["evaluate"]["every"] = 7
    folder.spec.write_text(json.dumps(plain))
    Path("results/s/sweep.yaml").write_text("name: s\n")
    lines = call("status", "s.yaml").stdout.splitlines()
    above = lines[: next(at for at, line in enumerate(lines) if line.startswith("s: 8 runs"))]
    assert any("state.json is empty" in line for line in above)
    assert any("evaluate.every is 7 there, 30 is asked for" in line for line in above)
    assert any("has changed since the last run of s: wgan-bench plan s.yaml" in x for x in above)
    assert len(read()["remarks"]) == 3


def test_finished_runs_cost_no_file(monkeypatch):
    for spec in specs():
        ended(spec)
    planned = verb.Store(Path("results"), "s").plan(verb.load(Path("s.yaml")).runs)

    touched = []

    def note(path, *_, **__):
        touched.append(path)
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        for name in ("open", "stat", "glob", "read_bytes", "read_text", "iterdir"):
            patch.setattr(Path, name, note)
        seen = verb.overview("s", planned)
    assert touched == []
    assert seen.is_finished
    assert {run.steps_per_second for run in seen.runs} == {20.0}


def test_watching_in_json_gives_a_line_per_look_and_ends_when_all_have_ended(monkeypatch):
    runs = specs()
    for spec in runs[1:]:
        ended(spec)
    looks = []

    def finish_meanwhile(_):
        looks.append(1)
        ended(runs[0])

    monkeypatch.setattr("bench.verbs.watching.time.sleep", finish_meanwhile)
    result = call("status", "s.yaml", "--watch", "--json")
    first, last = map(json.loads, result.stdout.splitlines())
    assert (first["counts"]["done"], last["counts"]["done"], len(looks)) == (7, 8, 1)
    assert (first["finished"], last["finished"], result.exit_code) == (False, True, 0)


@pytest.mark.parametrize(
    "words", ["--watch s.yaml", "s.yaml --watch 0.2", "s.yaml --watch=3", "--watch 5 s.yaml"]
)
def test_watch_takes_its_seconds_or_none(words):
    for spec in specs():
        ended(spec)
    result = call("status", *words.split())
    assert result.exit_code == 0, result.output
    assert "s: 8 runs: 8 done" in result.stdout


@pytest.mark.parametrize("seconds", ["-1", "nan", "x"])
def test_watching_at_no_interval_is_wrong_usage(seconds):
    specs()
    assert call("status", "s.yaml", f"--watch={seconds}").exit_code == 2


def test_results_that_cannot_be_read_for_a_moment_do_not_end_the_watch(monkeypatch):
    runs = specs()
    for spec in runs[1:]:
        ended(spec)
    whole, turns = verb.Store.plan, iter((None, "gone", None))

    def plan(store, asked, queued):
        if next(turns):
            raise StoreError("the file server is away")
        return whole(store, asked, queued)

    monkeypatch.setattr(verb.Store, "plan", plan)
    naps = iter((lambda: None, lambda: ended(runs[0])))
    monkeypatch.setattr("bench.verbs.watching.time.sleep", lambda _: next(naps)())
    result = call("status", "s.yaml", "--watch")
    assert result.exit_code == 0
    assert result.stdout.count("note: as it was before: the file server is away") == 1
    assert result.stdout.count("s: 8 runs: 8 done") == 1


def on_a_terminal(signal_number: int) -> tuple[str, int]:
    """What `status --watch` wrote on a terminal until it was sent a signal, and its exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()",
         "status", "s.yaml", "--watch", "0.2"],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm",
             "COLUMNS": "100", "LINES": "30"},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while written.count(b"renewed every 0.2 s") < 3:
        written += os.read(ours, 65536)
    os.kill(process.pid, signal_number)
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        written += more
    os.close(ours)
    return written.decode(), process.wait(timeout=30)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watched_screen_is_given_back_with_the_last_look_and_no_traceback(number):
    runs = specs()
    ended(runs[0])
    written, code = on_a_terminal(number)
    assert code == 0
    assert "Traceback" not in written
    opened, closed = "\x1b[?1049h", "\x1b[?1049l"
    assert written.count(opened) == written.count(closed) == 1
    assert "7 pending" in written[written.index(closed) :]
    assert "\x1b[?25h" in written[written.index(opened) :]  # the cursor is back


def test_a_screen_that_is_too_low_says_so():
    console = Console(width=60, height=5, file=io.StringIO(), record=True)
    console.print(_Fitted("head", [f"line {n} {'x' * 70}" for n in range(20)]), end="")
    lines = console.export_text().splitlines()
    assert [line.rstrip() for line in lines] == [
        "head",
        f"line 0 {'x' * 52}…",
        f"line 1 {'x' * 52}…",
        f"line 2 {'x' * 52}…",
        "... 17 lines more: a taller window shows them",
    ]


def test_the_folder_of_a_run_may_vanish_while_it_is_looked_at(monkeypatch):
    first, *_ = specs()
    folder = begun(first)
    lease_elsewhere(folder, step=3)
    planned = verb.Store(Path("results"), "s").plan(verb.load(Path("s.yaml")).runs)
    for path in sorted(folder.path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.path.rmdir()
    seen = verb.overview("s", planned)
    assert [work.host for work in seen.at_work] == ["?"]
    assert RunFolder(folder.path).last_words() == ""
