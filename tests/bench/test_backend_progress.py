"""Progress: what is reckoned, and how it is shown."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console
from tiny_runs import frozen, tiny

from bench import lease, progress
from bench.backends import Inline
from bench.execute import execute
from bench.files import RowFile
from bench.progress import LiveDisplay, PlainDisplay, make_display, summary
from bench.store import Planned, Store
from bench.tracker import Tracker, spell


def planned(results: Path, count: int = 3, steps: int = 100) -> list[Planned]:
    specs = [tiny(seed=seed, steps=steps) for seed in range(count)]
    frozen(results, *specs)
    return Store(results, "s").plan(specs)


def at_work(item: Planned, step: int, rate: float | None) -> lease.Lease:
    """As if a worker had told of its progress."""
    held = lease.take_lease(item.folder)
    held.progress = {"step": step, "steps": 100, "steps_per_second": rate}
    held.beat()
    return held


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "?"),
        (0.4, "0 s"),
        (89, "89 s"),
        (91, "2 min"),
        (5400, "1 h 30 min"),
        (7230, "2 h 00 min"),
    ],
)
def test_durations_are_spelt_for_people(seconds: float | None, words: str) -> None:
    assert spell(seconds) == words


def test_a_figure_comes_from_heartbeat_and_last_score(tmp_path: Path) -> None:
    items = planned(tmp_path)
    at_work(items[0], 40, 20.0)
    scores = RowFile(items[0].folder / "eval-x.jsonl")
    scores.append([{"step": 0, "fid": 99.0}, {"step": 40, "fid": 61.25}])
    scores.close()
    tracker = Tracker(items, slots=2)
    tracker.begin(items[0].spec.run_id)
    (figure,) = tracker.running()
    assert (figure.step, figure.steps, figure.steps_per_second) == (40, 100, 20.0)
    assert figure.quality == "fid 61.25"
    assert figure.seconds_left == pytest.approx(3.0)


def test_the_time_left_counts_what_waits_by_its_share_of_the_slots(tmp_path: Path) -> None:
    """Three runs of 100 steps at 10/s: one half done in one slot, so 5 s + 2 x 10 s."""
    items = planned(tmp_path)
    at_work(items[0], 50, 10.0)
    for slots, seconds in ((1, 25.0), (2, 12.5), (3, 25 / 3)):
        tracker = Tracker(items, slots)
        tracker.begin(items[0].spec.run_id)
        assert tracker.seconds_left() == pytest.approx(seconds)


def test_nobody_knows_the_time_left_at_the_start(tmp_path: Path) -> None:
    items = planned(tmp_path)
    tracker = Tracker(items, slots=1)
    tracker.begin(items[0].spec.run_id)
    assert tracker.seconds_left() is None
    assert summary(tracker) == "0/3 finished, 1 running"


def test_finished_runs_teach_the_speed(tmp_path: Path) -> None:
    items, now = planned(tmp_path), [0.0]
    tracker = Tracker(items, slots=1, clock=lambda: now[0])
    tracker.begin(items[0].spec.run_id)
    now[0] = 8.0
    tracker.end(items[0].spec.run_id, "done")
    assert tracker.seconds_left() == pytest.approx(16.0)


def test_plain_lines_tell_each_end_and_now_and_then_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_HEARTBEAT_SECONDS", 0.0)
    stream = io.StringIO()
    display = PlainDisplay(stream)
    execute(planned(tmp_path, 2, 20), Inline(between=display.tick), display)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "2 of 2 runs to train, 1 at once"
    assert (
        sum(line.startswith(("[1/2] done: gan seed 0 (exact_w1", "[2/2] done")) for line in lines)
        == 2
    )
    assert any("0/2 finished, 1 running" in line for line in lines)
    assert any("gan seed 0: step 0/20" in line for line in lines)


def test_quiet_shows_failures_only(tmp_path: Path) -> None:
    stream = io.StringIO()
    display = PlainDisplay(stream, quiet=True)
    items = planned(tmp_path, 2)
    display.start(items, 1)
    for item, state in zip(items, ("done", "failed"), strict=True):
        display.running(item.spec.run_id)
        display.finished(item.spec.run_id, state, "boom")
    assert stream.getvalue().splitlines() == ["[2/2] failed: gan seed 1 (0 s): boom"]


def test_a_terminal_shows_a_row_per_running_run(tmp_path: Path) -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=110))
    items = planned(tmp_path)
    at_work(items[0], 40, 20.0)
    display.start(items, 2)
    display.running(items[0].spec.run_id)
    display.tick()
    assert "gan seed 0" in stream.getvalue()
    assert "40/100" in stream.getvalue()
    assert "0/3 finished" in stream.getvalue()
    display.finished(items[0].spec.run_id, "failed", "out of [memory]")
    assert "failed: gan seed 0 (0 s): out of [memory]" in stream.getvalue()
    display.stop()
    display.stop()


def test_a_terminal_is_drawn_a_few_times_a_second_however_quickly_runs_end(tmp_path: Path) -> None:
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=110))
    items = planned(tmp_path, 200)
    display.start(items, 1)
    began = time.monotonic()
    for item in items:
        display.running(item.spec.run_id)
        display.tick()
        display.finished(item.spec.run_id, "done", "")
        display.tick()
    seconds = time.monotonic() - began
    assert stream.getvalue().count("finished") <= 2 + 5 * seconds
    display.stop()
    ended = [line for line in stream.getvalue().splitlines() if "done: gan seed" in line]
    assert len(ended) == 200


def test_runs_that_others_train_are_counted_apart(tmp_path: Path) -> None:
    tracker = Tracker(planned(tmp_path), slots=1)
    ours, theirs, _ = tracker.items
    tracker.begin(ours)
    tracker.begin(theirs)
    tracker.leave(theirs)
    assert summary(tracker) == "0/3 finished, 1 running, 1 elsewhere"
    assert [figure.seed for figure in tracker.running()] == [0]


def test_off_a_terminal_the_display_is_plain() -> None:
    assert isinstance(make_display(), PlainDisplay)
