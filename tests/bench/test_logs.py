"""`logs` shows the end of a log, and follows it through resumes, cuts and waits until the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from standing_runs import begun, call, ended, specs, stand, write_rows

from bench.lease import take_lease
from bench.run_folder import RunFolder
from bench.tail import Tail


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def follow(monkeypatch):
    """`logs -f`, with something done in place of each pause between two looks."""

    def go(run_id, *meanwhile, words=()):
        steps = iter(meanwhile)
        monkeypatch.setattr("bench.verbs.logs.time.sleep", lambda _: next(steps)())
        result = call("logs", run_id, "-f", *words)
        assert next(steps, None) is None, f"it ended before everything had happened: {steps}"
        return result

    return go


def add(path, text):
    with path.open("a") as file:
        file.write(text)


def test_the_last_lines_are_read_from_the_end_of_a_long_log(tmp_path):
    path = tmp_path / "log.txt"
    lines = [f"line {number} {'x' * (number % 90)}" for number in range(9000)]
    path.write_text("\n".join(lines) + "\n")
    for count in (1, 2, 700, 9000, 10000):
        with Tail(path, count) as tail:
            assert tail.read() == lines[-count:]
    with Tail(path, 0) as tail:
        assert tail.read() == []
    path.write_text("\n".join(lines))  # its last line without an end
    with Tail(path, 2) as tail:
        assert (tail.read(), tail.rest()) == ([lines[-2]], [lines[-1]])
        assert tail.rest() == []


@pytest.fixture
def opened(tmp_path):
    """Makes the tail of log.txt, and closes it."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(Tail(tmp_path / "log.txt", 5))


def test_a_line_is_given_when_it_is_whole(tmp_path, opened):
    path = tmp_path / "log.txt"
    path.write_bytes(b"one\ntw")
    tail = opened()
    assert tail.read() == ["one"]
    add(path, "o\r\nthree")
    assert tail.read() == ["two"]
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b"\xff\n")
    assert tail.read() == ["three\ufffd"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_cut_or_replaced_is_read_from_its_beginning(tmp_path, opened, replaced):
    path = tmp_path / "log.txt"
    path.write_text("a long first line\n")
    tail = opened()
    assert tail.read() == ["a long first line"]
    if replaced:  # by a longer one, which its size would not show
        path.unlink()
        path.write_text("another, which is rather longer than the first\n")
    else:
        path.write_text("short\n")
    expected = path.read_text().splitlines()
    assert (tail.read(), tail.restarted) == (expected, True)
    assert (tail.read(), tail.restarted) == ([], False)


def test_what_was_written_before_a_replacement_is_not_lost(tmp_path, opened):
    path = tmp_path / "log.txt"
    path.write_text("one\n")
    tail = opened()
    tail.read()
    add(path, "two\nthr")
    path.rename(tmp_path / "older")
    assert tail.read() == ["two"]
    path.write_text("four\n")
    assert tail.read() == ["thr", "four"]


def test_following_ends_when_the_run_has_ended_with_its_last_words(follow):
    spec = specs()[0]
    folder = begun(spec)
    with take_lease(folder.path):

        def finish():
            folder.note("done at step 60")
            add(folder.log, "no end of line")
            write_rows(folder, 60)
            folder.finish(spec.run_id, "done", step=60)

        result = follow(
            spec.run_id[:6], lambda: None, lambda: folder.note("a word"), finish, words=("-n", 0)
        )
    assert result.exit_code == 0
    said = [line[20:] for line in result.stdout.splitlines()[:-1]]
    assert (said, result.stdout.splitlines()[-1]) == (
        ["a word", "done at step 60"],
        "no end of line",
    )
    running, done = result.stderr.splitlines()
    assert running.startswith(f"-- {folder.path}: running: process {os.getpid()} on ")
    assert done == f"-- {folder.path}: done"


def test_what_a_run_writes_last_is_shown_however_the_looks_fall(follow, monkeypatch):
    spec = specs()[0]
    folder = begun(spec)
    standing, looks = RunFolder.standing, []

    def ends_now(self, run_id, observer):
        looks.append(1)
        if len(looks) == 3:  # two are made of a run that is at work
            folder.note("the last word")
            folder.finish(spec.run_id, "failed", step=30, reason="why")
        return standing(self, run_id, observer)

    monkeypatch.setattr(RunFolder, "standing", ends_now)
    result = follow(spec.run_id, lambda: None, lambda: None)
    assert result.stdout.endswith(" the last word\n")


def test_a_run_that_has_not_begun_is_waited_for_and_an_interrupted_one_too(follow):
    spec = specs()[0]
    folder = stand(spec)

    def stop():
        folder.environment.write_text("{}")
        folder.checkpoint(30).parent.mkdir()
        folder.checkpoint(30).write_bytes(b"")
        folder.note("stopped at step 30 (SIGTERM)")

    def fail():
        folder.note("goes on from the checkpoint at step 30")
        folder.finish(spec.run_id, "failed", step=40, reason="no luck")

    result = follow(spec.run_id, lambda: folder.note("begins at step 0"), stop, fail)
    assert result.exit_code == 0
    assert [line[20:] for line in result.stdout.splitlines()] == [
        "begins at step 0",
        "stopped at step 30 (SIGTERM)",
        "goes on from the checkpoint at step 30",
    ]
    assert result.stderr.splitlines() == [
        f"-- {folder.path}: pending; waiting for it to begin (Ctrl-C ends this)",
        f"-- {folder.path}: interrupted at step 30; waiting for it to go on (Ctrl-C ends this)",
        f"-- {folder.path}: failed: no luck",
    ]


def test_a_run_that_has_ended_is_followed_no_longer(follow):
    spec = specs()[0]
    ended(spec)
    result = follow(spec.run_id)
    assert [line[20:] for line in result.stdout.splitlines()] == [
        "begins at step 0",
        "done at step 60",
    ]


def test_a_log_that_is_cut_meanwhile_is_said_to_be(follow):
    spec = specs()[0]
    folder = begun(spec)

    def again():
        folder.log.write_text("new\n")
        ended_state = {"step": 60, "reason": "x"}
        folder.finish(spec.run_id, "failed", **ended_state)

    result = follow(spec.run_id, again)
    assert result.stdout.splitlines()[1:] == ["new"]
    assert "-- log.txt was cut or replaced; from its beginning:" in result.stderr


def test_a_folder_that_is_removed_ends_it_with_a_sentence(follow, monkeypatch):
    spec = specs()[0]
    folder = begun(spec)
    monkeypatch.setattr("bench.verbs.logs._GONE_SECONDS", -1.0)
    result = follow(spec.run_id, lambda: shutil.rmtree(folder.path))
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{folder.path} was removed while its log was followed\n")


def test_rows_are_shown_as_they_come(follow):
    spec = specs()[0]
    folder = begun(spec)

    def train():
        add(folder.train_rows, json.dumps({"step": 40, "critic_loss": 0.1234567891}) + '\n{"st')

    def score():
        (folder.path / "eval-another.jsonl").write_text(json.dumps({"step": 40, "fid": 3}) + "\n")
        folder.finish(spec.run_id, "failed", step=60)

    result = follow(spec.run_id, train, score, words=("--rows", "-n", 1))
    shown = result.stdout.splitlines()
    assert shown[0].endswith("begins at step 0")
    assert shown[1] == "train: step=30 images_seen=240 training_seconds=1.5 critic_loss=0.0333333"
    assert shown[2] == "eval-0123456789ab: step=30 images_seen=240 training_seconds=1.5 exact_w1=2"
    assert shown[3:] == [
        "train: step=40 critic_loss=0.123457",
        "eval-another: step=40 fid=3",
    ]


def test_following_in_json_gives_an_object_per_line_and_per_state(follow):
    spec = specs()[0]
    folder = begun(spec)
    folder.log.write_text("")

    def finish():
        add(folder.log, 'it says "x"\n')
        folder.finish(spec.run_id, "failed", step=60, reason="why")

    result = follow(spec.run_id, finish, words=("--json",))
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"run_id": spec.run_id, "state": "interrupted", "reason": ""},
        {"run_id": spec.run_id, "file": "log.txt", "line": 'it says "x"'},
        {"run_id": spec.run_id, "state": "failed", "reason": "why"},
    ]


def test_the_last_rows_are_shown_when_asked_for():
    spec = specs()[0]
    ended(spec)
    result = call("logs", spec.run_id, "--rows", "-n", 2)
    assert result.stdout.count("training row: ") == 2
    assert "evaluation: step=60 " in result.stdout
    assert len(json.loads(call("logs", spec.run_id, "--rows", "--json").stdout)["training"]) == 6
    assert len(json.loads(call("logs", spec.run_id, "--json").stdout)["training"]) == 1


@pytest.mark.slow
def test_ctrl_c_ends_following_without_a_traceback():
    spec = specs()[0]
    folder = stand(spec)
    process = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", "logs", spec.run_id, "-f"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "waiting for it to begin" in process.stderr.readline()
    folder.note("a word")
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=30)
    assert said.endswith(" a word\n")
    assert (errors, process.returncode) == ("", 0)
