"""Going on: from a stop, from damage, and where it is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
from pathlib import Path

import pytest
from tiny_runs import assert_same_run, frozen, rows_of, state_of, tiny, weights_of

from bench import environment, session, worker
from bench.files import Row, RowFile
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Store
from wgan import checkpoint

SPEC = tiny("wgan_gp", critic_steps=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbed."""
    (path,) = frozen(tmp_path_factory.mktemp("whole"), SPEC)
    worker.run([path])
    return path


def stopped_at(results: Path, pauses: int, spec: RunSpec = SPEC) -> Path:
    """The same run, sent a Ctrl-C after so many pauses."""
    (path,) = frozen(results, spec)
    seen = []

    def interrupt() -> None:
        seen.append(1)
        if len(seen) == pauses:
            os.kill(os.getpid(), signal.SIGINT)

    worker.run([path], between=interrupt)
    return path


@pytest.mark.parametrize("pauses", [1, 3, 4, 6])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, whole: Path, pauses: int
) -> None:
    path = stopped_at(tmp_path, pauses)
    (planned,) = Store(tmp_path, "s").plan([SPEC])
    assert (planned.state, planned.action) == ("interrupted", "resume")
    assert not (path / "state.json").exists()
    assert not (path / "lease").exists()
    assert "(SIGINT)" in (path / "log.txt").read_text()
    worker.run([path])
    assert_same_run(path, whole, SPEC)


def test_a_run_asked_to_stop_at_its_last_step_is_done(tmp_path: Path, whole: Path) -> None:
    path = stopped_at(tmp_path, 7)
    assert state_of(path)["state"] == "done"
    assert_same_run(path, whole, SPEC)


def test_how_often_one_looks_changes_no_weight(tmp_path: Path, whole: Path) -> None:
    """Stopped between the rows, where the loop would not have paused at all."""
    seldom = tiny("wgan_gp", critic_steps=2, log_every=30)
    path = stopped_at(tmp_path, 1, seldom)
    worker.run([path])
    theirs = weights_of(whole, SPEC)
    assert all(value.equal(theirs[name]) for name, value in weights_of(path, seldom).items())


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, whole: Path, damage: str
) -> None:
    path = stopped_at(tmp_path, 5)
    newest, before = RunFolder(path).checkpoints()
    content = newest.read_bytes()
    newest.write_bytes({"truncated": content[:-100], "empty": b"", "foreign": b"PK"}[damage])
    worker.run([path])
    log = (path / "log.txt").read_text()
    assert f"cannot go on from a checkpoint: {newest}" in log
    assert f"goes on from the checkpoint at step {int(before.stem[5:])}" in log
    assert_same_run(path, whole, SPEC)


def test_with_no_good_checkpoint_the_run_begins_again(tmp_path: Path, whole: Path) -> None:
    path = stopped_at(tmp_path, 5)
    for each in RunFolder(path).checkpoints():
        each.write_bytes(b"")
    (path / "eval-00000000.jsonl").write_text("{}\n")  # of a protocol that no longer holds
    RunFolder(path).sample(45).write_bytes(b"")
    worker.run([path])
    assert not RunFolder(path).sample(45).exists()
    assert (path / "log.txt").read_text().count("begins at step 0") == 2
    assert_same_run(path, whole, SPEC)
    assert sorted(item.name for item in (path / "checkpoints").iterdir()) == ["step-00000060.ckpt"]


def test_rows_lost_since_the_checkpoint_are_trained_again(tmp_path: Path, whole: Path) -> None:
    path = stopped_at(tmp_path, 5)
    rows = (path / "train.jsonl").read_bytes()
    (path / "train.jsonl").write_bytes(rows[:-20])
    worker.run([path])
    assert_same_run(path, whole, SPEC)


def test_rows_beyond_the_checkpoint_are_not_kept_twice(tmp_path: Path, whole: Path) -> None:
    path = stopped_at(tmp_path, 5)
    with (path / "train.jsonl").open("a") as file:
        file.write('{"step": 41, "critic_loss": 1.0}\n{"step": 42, "crit')
    worker.run([path])
    assert_same_run(path, whole, SPEC)


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    path = stopped_at(tmp_path, 4)
    for name in ("checkpoints/step-00000040.ckpt.77.tmp", ".state.json.ab.tmp", "samples/a.tmp"):
        (path / name).write_bytes(b"half")
    worker.run([path])
    assert list(path.rglob("*.tmp")) == []


def test_rows_are_on_the_disk_before_the_checkpoint_that_counts_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, append = os.fsync, RowFile.append
    unsynced: set[str] = set()
    saved: list[set[str]] = []
    synced: list[str] = []

    def note_rows(file: RowFile, rows: list[Row]) -> None:
        append(file, rows)
        unsynced.update([file.path.name] if rows else [])

    def note_sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        unsynced.discard(name)
        synced.append(name)
        if ".ckpt." in name:
            saved.append(set(unsynced))
        fsync(descriptor)

    (path,) = frozen(tmp_path, SPEC)
    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(RowFile, "append", note_rows)
    worker.run([path])
    assert len(saved) >= 7
    assert saved == [set()] * len(saved)
    assert [synced[n + 1] for n, name in enumerate(synced) if ".ckpt." in name] == [
        "checkpoints"
    ] * len(saved)


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    path = stopped_at(tmp_path, 6)
    assert len(RunFolder(path).checkpoints()) == 2


def test_going_on_under_other_numerics_is_refused_with_the_difference(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stopped_at(tmp_path, 4)
    rows = rows_of(path)
    monkeypatch.setattr(environment, "code_hash", lambda: "0123456789ab")
    worker.run([path])
    assert state_of(path)["state"] == "failed"
    reason = state_of(path)["reason"]
    assert "code was" in reason
    assert "is '0123456789ab'" in reason
    assert "--allow-numerics code" in reason
    assert rows_of(path) == rows

    worker.run([path], allow_numerics=["torch"])
    assert state_of(path)["state"] == "failed"
    worker.run([path], allow_numerics=["code"])
    assert state_of(path)["state"] == "done"
    assert "goes on under other numerics, as allowed: code was" in (path / "log.txt").read_text()
    assert_same_run(path, whole, SPEC)


def test_going_on_under_another_protocol_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stopped_at(tmp_path, 4)
    honest = session.Evaluator

    class Newer(honest):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self.protocol["id"] = "ffffffff"

    monkeypatch.setattr(session, "Evaluator", Newer)
    worker.run([path])
    assert state_of(path)["state"] == "failed"
    assert "'ffffffff' from here on" in state_of(path)["reason"]


def test_the_environments_of_all_sessions_are_kept(tmp_path: Path) -> None:
    path = stopped_at(tmp_path, 4)
    worker.run([path])
    content = json.loads((path / "env.json").read_text())
    assert [before["started"] < content["started"] for before in content["earlier"]] == [True]


def test_a_hostile_checkpoint_is_refused_and_nothing_runs(tmp_path: Path, whole: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {tmp_path / 'owned'}",))

    path = stopped_at(tmp_path, 5)
    payload = pickle.dumps(Hostile(), protocol=2)
    header = checkpoint._MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    RunFolder(path).checkpoints()[0].write_bytes(header + payload)
    worker.run([path])
    assert not (tmp_path / "owned").exists()
    assert_same_run(path, whole, SPEC)
