"""What a job does on its node, run here: its share of the runs, by the rules of its record."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from tiny_runs import assert_same_run, diverging, frozen, rows_of, state_of, tiny

from bench import worker
from bench.backends import slurm_job
from bench.backends.base import mark
from bench.backends.slurm_job import Work
from bench.clusters import Cluster
from bench.environment import code_hash
from bench.files import FileError
from bench.lease import take_lease
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.submissions import Submission, new_submission, note_event, read_events

SPECS = [tiny(seed=seed, steps=60) for seed in range(2)]


def work_for(
    results: Path, *specs: RunSpec, code: str | None = None, **settings: object
) -> tuple[Work, Submission, list[Path]]:
    """A job that has these runs, not submitted to anybody."""
    paths = frozen(results, *specs)
    cluster = Cluster(pack=len(specs), **settings)  # type: ignore[arg-type]
    submission = new_submission(
        results / "s",
        "slurm",
        [[spec.run_id for spec in specs]],
        code=code_hash() if code is None else code,
        cluster=cluster.to_plain(),
    )
    names = tuple(path.name for path in paths)
    return Work((results / "s").absolute(), submission.path.name, 0, names), submission, paths


def test_a_job_trains_its_runs_and_says_when_it_started_and_stopped(tmp_path: Path) -> None:
    work, submission, paths = work_for(tmp_path, *SPECS, side_by_side=2)
    assert work.go() == ""
    assert [state_of(path)["state"] for path in paths] == ["done", "done"]
    events = read_events(submission, 0)
    assert [row["event"] for row in events] == ["start", "stop"]
    (whole,) = frozen(tmp_path / "other", SPECS[0])
    worker.run([whole])
    assert_same_run(paths[0], whole, SPECS[0])


def test_one_run_s_failure_leaves_the_others_of_its_job_alone(tmp_path: Path) -> None:
    work, _, paths = work_for(tmp_path, *SPECS, diverging())
    (paths[0] / "train.jsonl").mkdir()  # it cannot write its rows
    work.go()
    assert [state_of(path)["state"] for path in paths] == ["failed", "done", "diverged"]


def test_what_failed_or_was_cancelled_after_it_was_submitted_stays_so(tmp_path: Path) -> None:
    """A requeued job does not train again what failed in its earlier life."""
    work, _, paths = work_for(tmp_path, *SPECS)
    mark(RunFolder(paths[0]), SPECS[0].run_id, "failed", "its own fault")
    mark(RunFolder(paths[1]), SPECS[1].run_id, "cancelled", "by hand")
    work.go()
    assert [state_of(path)["state"] for path in paths] == ["failed", "cancelled"]


@pytest.mark.slow
def test_what_failed_before_it_was_submitted_is_tried_again(tmp_path: Path) -> None:
    work, _, paths = work_for(tmp_path, *SPECS)
    mark(RunFolder(paths[0]), SPECS[0].run_id, "failed", "long ago")
    os.utime(paths[0] / "state.json", (1.7e9, 1.7e9))
    work.go()
    assert [state_of(path)["state"] for path in paths] == ["done", "done"]


@pytest.mark.slow
def test_a_job_whose_node_fails_too_often_gives_up_and_says_so(tmp_path: Path) -> None:
    work, submission, paths = work_for(tmp_path, *SPECS, node_failures=2)
    for _ in range(2):
        note_event(submission, 0, "start")  # and never a stop: the node died
    note_event(submission, 0, "start")
    note_event(submission, 0, "stop", reason="SIGUSR2")  # a time limit is no failure
    assert work.go() == ""  # two were allowed
    assert state_of(paths[0])["state"] == "done"

    again, submission, paths = work_for(tmp_path / "second", *SPECS, node_failures=2)
    for _ in range(3):
        note_event(submission, 0, "start")
    again.go()
    final = state_of(paths[0])
    assert final["state"] == "failed"
    assert final["reason"].startswith("its job ended 3 times without saving, 2 were allowed")


@pytest.mark.slow
def test_other_code_than_was_submitted_is_noted_in_every_log(tmp_path: Path) -> None:
    work, submission, paths = work_for(tmp_path, *SPECS, code="0123456789ab")
    work.go()
    said = f"submitted with the code 0123456789ab, begins with {code_hash()}"
    assert all(said in (path / "log.txt").read_text() for path in paths)
    assert [path.name for path in (submission.path / "events").glob("code-*")] == [
        f"code-{code_hash()}"
    ]


@pytest.mark.slow
def test_runs_that_another_process_still_holds_are_waited_for(tmp_path: Path) -> None:
    """The node was lost to SLURM, not to the process on it: it is let finish, or die."""
    work, _, paths = work_for(tmp_path, SPECS[0])
    lease = take_lease(paths[0])
    lease.keep_alive()
    threading.Timer(3.0, lease.release).start()
    began = time.monotonic()
    work.go()
    assert time.monotonic() - began > 2.5
    assert state_of(paths[0])["state"] == "done"


def test_a_removed_or_foreign_folder_is_left_out_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, _, paths = work_for(tmp_path, *SPECS)
    (paths[0] / "spec.json").write_text("{")
    work.go()
    assert "its run is left out" in capsys.readouterr().out
    assert rows_of(paths[1])


def test_without_its_record_a_job_trains_nothing(tmp_path: Path) -> None:
    work, submission, paths = work_for(tmp_path, *SPECS)
    (submission.path / "submission.json").unlink()
    with pytest.raises(FileError, match="is gone"):
        work.go()
    assert not (paths[0] / "env.json").exists()


def test_the_gpus_are_those_that_slurm_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def local(*words: object, **options: object) -> None:
        asked.update(options, slots=words[0])

    monkeypatch.setattr(slurm_job, "Local", local)
    work = Work(Path("s"), "x", 0, ())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    work._slots(Cluster(gpus=2, pack=6, side_by_side=6))
    assert (asked["gpus"], asked["per_gpu"], asked["slots"]) == (("2", "5"), 3, 6)
    work._slots(Cluster(gpus=2, pack=6, side_by_side=3))
    assert (asked["per_gpu"], asked["slots"]) == (2, 3)  # not four: it has three runs' cores
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    work._slots(Cluster(gpus=1, pack=6, side_by_side=3))
    assert (asked["gpus"], asked["per_gpu"]) == (("0",), 3)
