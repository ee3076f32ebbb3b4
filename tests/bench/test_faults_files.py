"""Damaged files and lost folders: detected, named, recovered, by what the commands say and do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from faults import (
    SWEEP,
    Commands,
    Disk,
    assert_true,
    assert_whole,
    mount,
    small_disk,
    trained,
    usually,
)
from test_backend_local import wait_for
from tiny_runs import rows_of

from bench import session
from bench.run_folder import RunFolder
from wgan import checkpoint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    """The sweep where nothing was ever wrong."""
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the first run stopped at step 15, the other done."""
    home = tmp_path_factory.mktemp("halfway")
    commands = Commands(home, home / "results")
    honest = session.Session.wants_a_pause

    def wants(this: session.Session) -> bool:
        if this.state.step == 15 and this.spec.recipe == "wgan_gp":
            this.stop.ask("a test")
        return honest(this)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Session, "wants_a_pause", wants)
        assert commands.run().exit_code == 1
    assert commands.states() == ["interrupted", "done"]
    return commands.results


@pytest.fixture
def finished(tmp_path: Path, whole: Commands) -> Commands:
    """A copy of the finished sweep."""
    shutil.copytree(whole.results, tmp_path / "results")
    return Commands(tmp_path, tmp_path / "results")


@pytest.fixture
def stopped(tmp_path: Path, halfway: Path) -> Commands:
    """A copy of the sweep that was stopped."""
    shutil.copytree(halfway, tmp_path / "results")
    return Commands(tmp_path, tmp_path / "results")


def first(commands: Commands) -> RunFolder:
    return RunFolder(commands.plan()[0].folder)


def flat(text: str) -> str:
    """Without the line breaks of a table."""
    return " ".join(text.split())


# Rows


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def tear_inside(path: Path) -> None:
    """A line of zeros, as a file system leaves it that lost a block: the size is right."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b"\0" * (len(lines[1]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))


def scores(folder: RunFolder) -> Path:
    return next(folder.path.glob("eval-*.jsonl"))


@pytest.mark.parametrize("which", usually(["eval"], ["train"]))
def test_a_finished_run_whose_rows_were_cut_is_trained_again(
    finished: Commands, whole: Commands, which: str
) -> None:
    path = first(finished).train_rows if which == "train" else scores(first(finished))
    cut(path)
    named = f"recorded rows are missing: {path.name} holds"
    (plan, *others) = finished.json("plan")["runs"]
    assert (plan["state"], plan["action"]) == ("interrupted", "resume")
    assert named in plan["reason"]
    assert {other["action"] for other in others} == {"keep"}
    assert finished.states() == ["interrupted", "done"]
    collected = finished("collect")
    assert collected.exit_code == 0
    assert named in flat(collected.output)

    run = finished.run()
    assert run.exit_code == 0
    assert named in flat(run.output)
    assert_whole(finished, whole)


def test_a_damaged_line_of_a_finished_run_is_named_with_what_helps(
    finished: Commands, whole: Commands
) -> None:
    folder = first(finished)
    tear_inside(folder.train_rows)
    collected = finished("collect")
    assert collected.exit_code == 0
    said = flat(collected.output)
    assert f"{folder.path}: train.jsonl: 1 unreadable line(s) dropped" in said
    assert "remove the folder and run again" in said
    curves = pd.read_parquet(finished.results / "s" / "curves.parquet")
    assert 4 not in set(curves.query("run_id == @folder.path.name[-12:]").step)

    shutil.rmtree(folder.path)
    assert finished.run().exit_code == 0
    assert_whole(finished, whole)
    assert "unreadable" not in finished("collect").output


@pytest.mark.parametrize("damage", usually([tear_inside], [cut]))
def test_rows_damaged_before_the_checkpoint_are_made_again(
    stopped: Commands, whole: Commands, damage: Callable[[Path], None]
) -> None:
    """The checkpoints count on them: neither serves any more, and the log says why."""
    folder = first(stopped)
    damage(folder.train_rows)
    assert stopped.run().exit_code == 0
    log = folder.log.read_text()
    assert f"cannot go on from a checkpoint: {folder.train_rows}" in log
    assert log.count("cannot go on") == log.count("begins at step 0") == 2
    assert_whole(stopped, whole)


def test_a_torn_last_line_of_a_run_that_was_killed_is_no_loss(
    stopped: Commands, whole: Commands
) -> None:
    folder = first(stopped)
    with folder.train_rows.open("a") as file:
        file.write('{"step": 16, "critic_lo')
    assert stopped("status").exit_code == 0
    said = flat(stopped("collect").output)
    assert "train.jsonl: its torn last line dropped" in said
    assert "remove the folder" not in said
    assert stopped.run().exit_code == 0
    assert "cannot go on" not in folder.log.read_text()
    assert_whole(stopped, whole)


# Checkpoints


def sealed(payload: bytes) -> bytes:
    """A checkpoint as far as its header and checksum go."""
    digest = hashlib.sha256(payload).hexdigest().encode()
    return checkpoint._MAGIC + digest + b"\n" + payload


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "half": (lambda content: content[: len(content) // 2], "torn or altered"),
    "a byte short": (lambda content: content[:-1], "torn or altered"),
    "empty": (lambda content: b"", "not a checkpoint of wgan-bench"),
    "foreign": (lambda content: b"\x89PNG\r\n", "not a checkpoint of wgan-bench"),
    "sealed rubbish": (lambda content: sealed(b"rubbish"), "refused"),
}


@pytest.mark.parametrize("kind", usually(["half"], [*DAMAGES][1:]))
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    stopped: Commands, whole: Commands, kind: str
) -> None:
    damage, named = DAMAGES[kind]
    folder = first(stopped)
    newest, before = folder.checkpoints()
    newest.write_bytes(damage(newest.read_bytes()))
    for verb in ("plan", "status", "collect"):
        assert stopped(verb).exit_code == 0
    assert stopped.run().exit_code == 0
    log = folder.log.read_text()
    assert f"cannot go on from a checkpoint: {newest}: {named}" in log
    assert f"goes on from the checkpoint at step {int(before.stem[5:])}" in log
    assert_whole(stopped, whole)
    assert [path.name for path in newest.parent.iterdir()] == ["step-00000024.ckpt"]


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.marker),))


def hostile_files(marker: Path) -> Iterator[bytes]:
    yield pickle.dumps(Hostile(marker), protocol=2)
    for content in ({"parts": Hostile(marker)}, Hostile(marker)):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        yield buffer.getvalue()


@pytest.mark.parametrize("kind", usually([1], [0, 2]))
def test_a_hostile_checkpoint_is_refused_and_nothing_is_executed(
    stopped: Commands, whole: Commands, tmp_path: Path, kind: int
) -> None:
    """With a header and a checksum that are right, in both places where one is looked for."""
    marker = tmp_path / "executed"
    payload = list(hostile_files(marker))[kind]
    folder = first(stopped)
    for path in folder.checkpoints():
        path.write_bytes(sealed(payload))
    for verb in ("plan", "status", "collect", "run"):
        result = stopped.run() if verb == "run" else stopped(verb)
        assert result.exit_code == 0
        assert not marker.exists()
    assert folder.log.read_text().count("refused: it holds more than tensors and numbers") == 2
    assert_whole(stopped, whole)
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists()  # it is dangerous indeed


def test_rows_of_impossible_sizes_are_not_believed(stopped: Commands, whole: Commands) -> None:
    folder = first(stopped)
    newest = folder.checkpoints()[0]
    content = torch.load(io.BytesIO(newest.read_bytes().partition(b"\n")[2]), weights_only=True)
    content["extra"] = content["extra"].replace('"sizes": {"', '"sizes": {"../../s": -5, "')
    buffer = io.BytesIO()
    torch.save(content, buffer)
    newest.write_bytes(sealed(buffer.getvalue()))
    assert stopped.run().exit_code == 0
    assert "gives sizes of its rows that none can have" in folder.log.read_text()
    assert_whole(stopped, whole)


def test_copies_that_other_tools_leave_are_no_checkpoints(
    stopped: Commands, whole: Commands
) -> None:
    newest = first(stopped).checkpoints()[0]
    for name in ("step-00000015 (conflicted copy).ckpt", "step-x.ckpt", "._step-00000099.ckpt"):
        shutil.copy(newest, newest.with_name(name))
    (first(stopped).path / "samples" / "step-old.png").write_bytes(b"")
    assert stopped.json("plan")["runs"][0]["step"] == 15
    assert stopped.run().exit_code == 0
    assert_whole(stopped, whole)


# state.json and its neighbours


FOREIGN = [b"[]", b'{"state": "done"}', b"\xff\xfe\0", b'{"format": 1}', b'{"state": "do']


@pytest.mark.parametrize("content", usually([b""], FOREIGN))
def test_an_empty_or_foreign_state_is_named_and_recovered(
    finished: Commands, whole: Commands, content: bytes
) -> None:
    folder = first(finished)
    folder.state.write_bytes(content)
    (plan, *_) = finished.json("plan")["runs"]
    assert (plan["state"], plan["action"]) == ("interrupted", "resume")
    assert str(folder.state) in plan["reason"]
    assert finished.states() == ["interrupted", "done"]
    assert str(folder.state) in flat(finished("collect").output)
    run = finished.run()
    assert run.exit_code == 0
    assert str(folder.state) in flat(run.output)
    assert "the run is repeated from its last good checkpoint" in folder.log.read_text()
    assert_whole(finished, whole)


def test_the_state_of_another_run_is_named_and_recovered(
    finished: Commands, whole: Commands
) -> None:
    one, other = finished.plan()
    shutil.copy(other.folder / "state.json", one.folder / "state.json")
    assert finished.states() == ["interrupted", "done"]
    assert f"is of the run '{other.spec.run_id}'" in flat(finished("plan").output)
    assert finished.run().exit_code == 0
    assert_whole(finished, whole)


@pytest.mark.parametrize("name", usually(["owner"], ["env.json", "sweep.json", "protocol"]))
def test_other_damaged_files_lose_no_run(finished: Commands, whole: Commands, name: str) -> None:
    folder = first(finished)
    path = {
        "env.json": folder.environment,
        "sweep.json": folder.path.parent / "sweep.json",
        "protocol": next(folder.path.glob("protocol-*.json")),
        "owner": folder.path / "lease" / "owner.json",
    }[name]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"{torn")
    for verb in ("plan", "status", "collect"):
        assert finished(verb).exit_code == 0
    assert finished.states() == ["done", "done"]
    assert finished.run().exit_code == 0
    assert_whole(finished, whole)


# Folders


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 8_000) as disk:
        yield disk


def test_a_read_only_disk_is_named_before_anything_is_trained(
    tmp_path: Path, disk: Disk, whole: Commands
) -> None:
    commands = Commands(tmp_path, disk.path / "results")
    disk.read_only(True)
    run = commands.run()
    assert run.exit_code == 2
    assert "cannot be written: the disk of" in run.output
    assert f"(mounted at {disk.path}) is read-only" in run.output
    assert commands.states() == ["pending"] * 2
    disk.read_only(False)
    assert commands.run().exit_code == 0

    disk.read_only(True)
    # What stands can be looked at, and there is nothing left to train.
    assert commands.states() == ["done"] * 2
    assert commands("plan").exit_code == 0
    collected = commands("collect")
    assert collected.exit_code == 2
    assert "is read-only" in collected.output
    disk.read_only(False)
    assert_whole(commands, whole)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Callable[[Path], None]]:
    """Makes a folder read-only, also for root and for who has files open in it."""
    made: list[Path] = []

    def make(path: Path) -> None:
        mount("--bind", str(path), str(path))
        made.append(path)
        mount("-o remount,ro,bind", str(path))

    with small_disk(tmp_path / "probe", 100):
        pass  # skipped where mounting is not permitted
    yield make
    for path in made:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def during_the_first(patch: pytest.MonkeyPatch, act: Callable[[Path], None]) -> None:
    """Do something to the folder of the first run while it is being trained."""
    honest, done = session.Session.wants_a_pause, []

    def wants(this: session.Session) -> bool:
        if this.state.step == 13 and not done:
            done.append(this)
            act(this.folder.path)
        return honest(this)

    patch.setattr(session.Session, "wants_a_pause", wants)


def test_a_folder_that_becomes_read_only_is_named_and_the_others_go_on(
    tmp_path: Path,
    whole: Commands,
    read_only: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = Commands(tmp_path, tmp_path / "results")
    with monkeypatch.context() as patch:
        during_the_first(patch, read_only)
        run = commands.run()
    folder = first(commands).path
    assert run.exit_code == 1
    assert f"the disk of {folder} (mounted at {folder}) is read-only" in run.output
    assert commands.states()[1:] == ["done"]
    assert not (folder / "state.json").exists()
    # Its lease could not be given back; it does not keep the run from being taken up.
    assert commands.states()[0] in ("interrupted", "running")

    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    mount("--bind", str(folder), str(folder))  # for the fixture to take down
    shutil.rmtree(folder / "lease", ignore_errors=True)
    assert commands.run().exit_code == 0
    assert_whole(commands, whole)


@pytest.mark.parametrize("what", usually(["run"], ["sweep", "results"]))
def test_a_folder_removed_in_mid_run_is_named_and_the_others_go_on(
    tmp_path: Path, whole: Commands, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands(tmp_path, tmp_path / "results")

    def remove(path: Path) -> None:
        shutil.rmtree({"run": path, "sweep": path.parent, "results": path.parents[1]}[what])

    with monkeypatch.context() as patch:
        during_the_first(patch, remove)
        run = commands.run()
    assert run.exit_code == 1
    folder = first(commands).path
    assert f"its folder {folder} was removed; run again to train it anew" in run.output
    lost = 1 if what == "run" else 2
    assert run.output.count("was removed; run again") == lost
    assert commands.states() == ["pending"] * lost + ["done"] * (2 - lost)
    assert not folder.exists()  # nothing came back of it
    assert "another process" not in run.output

    assert commands.run().exit_code == 0
    assert_whole(commands, whole)


def test_a_folder_that_is_being_removed_while_its_run_ends_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal is no single act: here the lease goes first and the rest a while later."""
    commands = Commands(tmp_path, tmp_path / "results")
    removals: list[threading.Timer] = []

    def remove(path: Path) -> None:
        shutil.rmtree(path / "lease")
        removals.append(threading.Timer(0.4, shutil.rmtree, [path]))
        removals[0].start()

    with monkeypatch.context() as patch:
        during_the_first(patch, remove)
        run = commands.run()
    removals[0].join()
    assert run.exit_code == 1
    assert f"its folder {first(commands).path} was removed; run again" in run.output
    assert commands.states() == ["pending", "done"]


@pytest.mark.slow
def test_runs_in_processes_of_their_own_do_not_bring_a_removed_folder_back(tmp_path: Path) -> None:
    """And a sweep file edited at the same time does not reach them either."""
    text = SWEEP.replace("steps: 24", "steps: 600")
    commands = Commands(tmp_path, tmp_path / "results", text)
    words = ["run", str(commands.file), "--results", str(commands.results), "--slots", "2"]
    runner = subprocess.Popen(
        [sys.executable, "-c", "from bench.cli import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: first(commands).checkpoints(), 60)
    folder = first(commands).path
    commands.file.write_text(text.replace("steps: 600", "steps: 5"))
    shutil.rmtree(folder)
    said, _ = runner.communicate(timeout=90)
    assert runner.returncode == 1
    assert f"its folder {folder} was removed; run again to train it anew" in said
    assert "Traceback" not in said
    assert not folder.exists()
    commands.file.write_text(text)
    assert commands.states() == ["pending", "done"]
    assert {run["step"] for run in commands.json("plan")["runs"][1:]} == {600}


# The sweep file


EDITS: dict[str, tuple[Callable[[str], str], str, int]] = {
    "another configuration": (
        lambda text: text.replace("steps: 24", "steps: 25"),
        "2 to run",
        0,
    ),
    "another evaluation": (
        lambda text: text.replace("every: 12", "every: 8"),
        "evaluate.every is 12 there, 8 is asked for",
        2,
    ),
    "nonsense": (lambda text: "name: [", "s.yaml:", 2),
}


@pytest.mark.parametrize("edit", usually([*EDITS][1:2], [*EDITS][::2]))
def test_a_sweep_file_edited_in_mid_run_changes_nothing_that_was_begun(
    tmp_path: Path, whole: Commands, edit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the run at work nor those that wait for it; `plan` shows what is different."""
    commands = Commands(tmp_path, tmp_path / "results")
    change, shown, code = EDITS[edit]
    with monkeypatch.context() as patch:
        during_the_first(patch, lambda _: commands.file.write_text(change(SWEEP)))
        assert commands.run().exit_code == 0
    plan = commands("plan")
    assert plan.exit_code == code
    assert shown in flat(plan.output)

    commands.file.write_text(SWEEP)
    assert_whole(commands, whole)
    assert commands.run().exit_code == 0
    assert {run["action"] for run in commands.json("plan")["runs"]} == {"keep"}


def test_what_is_true_is_checked_here_at_all(stopped: Commands, whole: Commands) -> None:
    """A state that lies is noticed."""
    assert_true(stopped, whole)
    folder = first(stopped)
    sizes = {path.name: path.stat().st_size for path in folder.path.glob("*.jsonl")}
    lie = {"format": 1, "state": "done", "run_id": folder.path.name[-12:], "files": sizes}
    folder.state.write_text(json.dumps(lie))
    with pytest.raises(AssertionError):
        assert_true(stopped, whole)


def test_rows_are_compared_here_at_all(finished: Commands, whole: Commands) -> None:
    folder = first(finished)
    assert len(rows_of(folder.path)) > 12
    text = folder.train_rows.read_text()
    folder.train_rows.write_text(text.replace('"step": 4,', '"step": 5,'))
    with pytest.raises(AssertionError):
        assert_whole(finished, whole)
