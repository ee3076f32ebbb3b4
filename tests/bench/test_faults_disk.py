"""A full disk: named, no state a lie, others go on, and everything is finished when there is room.

The disks are real ones, small, in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import SWEEP, Commands, Disk, assert_true, assert_whole, small_disk, trained, usually

from bench import lease, member, session, worker
from bench.files import read_rows
from bench.run_folder import RunFolder
from wgan import checkpoint

ROOMY, SMALL = 8_000, 300  # KB; the sweep takes some 250


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The sweep where there was always room."""
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", ROOMY) as disk:
        yield disk


@pytest.fixture
def commands(tmp_path: Path, disk: Disk) -> Commands:
    """The command line, with its results on the small disk."""
    return Commands(tmp_path, disk.path / "results")


def fill_before(
    patch: pytest.MonkeyPatch, disk: Disk, owner: Any, name: str, turn: Callable[..., bool]
) -> None:
    """The disk is full just as something is about to be written."""
    honest = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        if turn(*arguments):
            disk.fill()
        return honest(*arguments, **options)

    patch.setattr(owner, name, call)


def at_step(step: int) -> Callable[..., bool]:
    """Whether the run is at a step; given a session, or a path and a training's state."""
    return lambda *given: getattr(given[-1], "state", given[-1]).step == step


def always(*_: object) -> bool:
    return True


# What is about to be written.
MOMENTS: dict[str, tuple[Any, str, Callable[..., bool]]] = {
    "lease": (member, "take_lease", always),
    "heartbeat": (lease.Lease, "beat", lambda held: "--" in held.folder.name),
    "environment": (session.Session, "_prepare", always),
    "rows": (session.Session, "wants_a_pause", at_step(3)),
    "evaluation": (session.Session, "_evaluate", at_step(12)),
    "picture": (session, "picture", always),
    "checkpoint": (checkpoint, "save", lambda path, state, extra: state.step == 14),
    "last word": (RunFolder, "finish", always),
}
USUAL = {"heartbeat", "rows", "checkpoint", "last word"}


@pytest.mark.parametrize("moment", usually(sorted(USUAL), sorted(MOMENTS.keys() - USUAL)))
def test_a_disk_that_is_full_at_some_moment_is_named_and_nothing_is_lost(
    commands: Commands,
    whole: Commands,
    disk: Disk,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        fill_before(patch, disk, *MOMENTS[moment])
        run = commands.run()
    assert run.exit_code == 1, run.output
    told = [line for line in run.output.splitlines() if "failed: " in line]
    assert len(told) == 2
    for line, item in zip(told, commands.plan(), strict=True):
        assert f"the disk of {item.folder} (mounted at {disk.path}) is full" in line
        assert "free some room there and run again" in line
    assert_true(commands, whole)
    assert "done" not in commands.states()

    disk.free()
    again = commands.run()
    assert again.exit_code == 0, again.output
    assert_whole(commands, whole)


@pytest.mark.parametrize("moment", usually(["checkpoint"], ["lease", "rows", "last word"]))
def test_the_others_go_on_where_there_is_room_again(
    commands: Commands,
    whole: Commands,
    disk: Disk,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Full for the first run, then somebody clears up."""
    seen: list[Path] = []
    honest = worker.run

    def run(run_dirs: list[Path], **options: Any) -> None:
        seen.append(run_dirs[0])
        if len(seen) == 2:
            disk.free()
        honest(run_dirs, **options)

    owner, name, turn = MOMENTS[moment]
    with monkeypatch.context() as patch:
        patch.setattr(worker, "run", run)
        fill_before(patch, disk, owner, name, lambda *given: len(seen) == 1 and turn(*given))
        assert commands.run().exit_code == 1
    assert commands.states()[1:] == ["done"]
    assert_true(commands, whole)

    kept = [(item.folder / "state.json").stat().st_mtime_ns for item in commands.plan()[1:]]
    assert commands.run().exit_code == 0
    assert_whole(commands, whole)
    after = [(item.folder / "state.json").stat().st_mtime_ns for item in commands.plan()[1:]]
    assert after == kept


def test_rows_that_the_full_disk_tore_are_cut_and_made_again(
    tmp_path: Path, commands: Commands, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages are filled to their end: the disk is full in the midst of a line."""
    many = "record: {log_every: 1, checkpoint_seconds: 1000}"
    text = SWEEP.replace("every: 12", "every: 60").replace("steps: 24", "steps: 60")
    commands.file.write_text(text[: text.index("record")] + many)
    with monkeypatch.context() as patch:
        fill_before(patch, disk, session.Session, "_tell", lambda this, _: this.state.step == 3)
        assert commands.run().exit_code == 1
    paths = [item.folder / "train.jsonl" for item in commands.plan()]
    contents = [path.read_bytes() for path in paths if path.exists()]
    assert [content[-1:] for content in contents if content] != [b"\n"] * len(contents)
    assert_rows_are_whole(paths)

    disk.free()
    assert commands.run().exit_code == 0
    elsewhere = Commands(tmp_path, tmp_path / "elsewhere", commands.file.read_text())
    assert elsewhere.run().exit_code == 0
    assert_whole(commands, elsewhere)


def assert_rows_are_whole(paths: list[Path]) -> None:
    """What is read of a torn file are its whole lines."""
    for path in paths:
        rows, note = read_rows(path)
        assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
        assert note is None or "torn last line" in note


@pytest.mark.parametrize("kilobytes", usually([12], [4, 8]))
def test_a_disk_too_small_for_the_plan_is_said_before_anything_is_trained(
    commands: Commands, whole: Commands, disk: Disk, kilobytes: int
) -> None:
    disk.resize(kilobytes)
    run = commands.run()
    assert run.exit_code == 2
    assert "cannot be written: " in run.output
    assert str(disk.path) in run.output
    assert "is full" in run.output
    assert_true(commands, whole)
    assert set(commands.states()) == {"pending"}

    disk.resize(ROOMY)
    assert commands.run().exit_code == 0
    assert_whole(commands, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", range(24, SMALL, 12))
def test_whatever_the_size_of_the_disk_nothing_is_lost(
    commands: Commands, whole: Commands, disk: Disk, kilobytes: int
) -> None:
    disk.resize(kilobytes)
    run = commands.run()
    assert run.exit_code in (0, 1), run.output
    assert_true(commands, whole)
    done = commands.states().count("done")
    assert (done == 2) == (run.exit_code == 0)
    assert run.output.count("is full") == 2 - done
    for verb in ("plan", "status"):
        assert commands(verb).exit_code == 0
    assert commands("collect").exit_code in (0, 2)

    disk.resize(ROOMY)
    assert commands.run().exit_code == 0
    assert_whole(commands, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [40, 100, 180, 260])
def test_runs_in_processes_of_their_own_name_the_full_disk_too(
    commands: Commands, whole: Commands, disk: Disk, kilobytes: int
) -> None:
    disk.resize(kilobytes)
    run = commands("run", "--plain", "--slots", "2")
    assert run.exit_code == 1, run.output
    assert_true(commands, whole)
    done = commands.states().count("done")
    assert run.output.count("is full") == 2 - done
    assert "Traceback" not in run.output

    disk.resize(ROOMY)
    assert commands("run", "--plain", "--slots", "2").exit_code == 0
    assert_whole(commands, whole)
