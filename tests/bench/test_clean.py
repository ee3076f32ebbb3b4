"""`clean` removes what nobody needs, asks first, and touches no run that somebody may be at."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

import click
import pytest
from standing_runs import SWEEP, begun, call, ended, lease_elsewhere, specs, stand
from tiny_runs import frozen, state_of, tiny

from bench import cleaning, worker
from bench.lease import take_lease
from bench.store import Store
from bench.submissions import announced, new_submission
from bench.verbs import clean as verb
from bench.verbs.show import size


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cleaning, "_YOUNG_SECONDS", -1.0)


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Answers given on a terminal, as far as `clean` can tell."""

    def go(*words, answers):
        given = iter(answers)

        def confirm(question, **_):
            asked.append(question)
            return next(given)

        asked = []
        monkeypatch.setattr(verb.click, "confirm", confirm)
        monkeypatch.setattr(verb, "_is_terminal", lambda: True)
        result = call("clean", "s.yaml", *words)
        return result, asked

    return go


def everything(folder=Path("results")):
    """Every file and folder below, with the content of the files."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def dirty(folder):
    """What killed writers leave in a run folder."""
    left = [
        folder.path / ".spec.json.12345678.tmp",
        folder.path / "checkpoints" / "step-00000030.ckpt.77.tmp",
        folder.path / "checkpoints" / "step-00000010.ckpt.bad",
        folder.path / "samples" / ".step-00000030.png.1234abcd.tmp",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 10)
    for kind in ("expired", "released", "new"):
        lease = folder.path / f"lease.{kind}-abc"
        lease.mkdir()
        (lease / "owner.json").write_text("{}")
        left.append(lease)
    return left


def test_leftovers_of_killed_writers_go_and_nothing_else():
    done, stopped, *_ = specs()
    ended(done)
    begun(stopped)
    before = everything()
    left = [*dirty(ended(done)), *dirty(begun(stopped))]
    beside = Path("results/s/.sweep.json.12345678.tmp")
    beside.write_text("x")
    shown = call("clean", "s.yaml", "--dry-run")
    assert shown.exit_code == 0
    assert "leftovers" in shown.stdout
    assert all(path.exists() for path in left)

    result = call("clean", "s.yaml", "--yes")
    assert result.exit_code == 0
    # 4 files and the owners of 3 leases in each of two runs, and one file beside them.
    assert "removed 15 files of 3 folders (93 B)" in result.stdout
    assert everything().keys() == before.keys()
    again = call("clean", "s.yaml", "--yes")
    assert again.stdout == "s: there is nothing to remove in results/s\n"


def test_what_is_young_may_be_in_use_and_stays(monkeypatch):
    monkeypatch.setattr(cleaning, "_YOUNG_SECONDS", 60.0)
    left = dirty(begun(specs()[0]))
    for path in left:  # old by the time of writing, but renamed just now
        os.utime(path, (1, 1))
    assert "nothing to remove" in call("clean", "s.yaml", "--yes").stdout
    assert all(path.exists() for path in left)


def test_off_a_terminal_it_refuses_politely_and_removes_nothing():
    dirty(begun(specs()[0]))
    before = everything()
    result = call("clean", "s.yaml")
    assert result.exit_code == 2
    assert "nothing was removed: there is nobody to ask; --yes removes it" in result.stderr
    assert call("clean", "s.yaml", "--json").exit_code == 2
    assert everything() == before


def test_it_asks_and_takes_no_for_an_answer(on_a_terminal):
    left = dirty(begun(specs()[0]))
    result, asked = on_a_terminal(answers=[False])
    assert asked == ["remove 7 files of 1 folder (46 B)?"]
    assert result.stdout.endswith("nothing was removed\n")
    assert all(path.exists() for path in left)
    result, _ = on_a_terminal(answers=[True])
    assert result.stdout.endswith("removed 7 files of 1 folder (46 B)\n")


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (EOFError, 0)])
def test_who_ends_the_question_has_not_agreed(monkeypatch, error, code):
    left = dirty(begun(specs()[0]))
    monkeypatch.setattr(verb, "_is_terminal", lambda: True)

    def confirm(*_, **__):  # as click does it
        try:
            raise error
        except (KeyboardInterrupt, EOFError):
            raise click.Abort from None

    if error is KeyboardInterrupt:  # the test's standard input ends by itself
        monkeypatch.setattr(verb.click, "confirm", confirm)
    result = call("clean", "s.yaml")
    assert result.exit_code == code
    assert ("stopped" in result.stderr) == (code == 130)
    assert all(path.exists() for path in left)


def test_checkpoints_and_pictures_go_of_finished_runs_only_and_the_last_picture_stays():
    done, diverged, failed, stopped, cancelled, *_ = specs()
    gone = [ended(done), ended(diverged, "diverged")]
    kept = [ended(failed, "failed"), begun(stopped), ended(cancelled, "cancelled")]
    plain = call("clean", "s.yaml", "--yes", "--checkpoints", "--samples")
    assert "must be trained again to be scored anew" in plain.stdout
    for folder in gone:
        assert folder.checkpoints() == []
        assert [path.read_bytes() for path in folder.samples()] == [b"last"]
        assert folder.standing(folder.path.name.rpartition("--")[2], None).state in (
            "done",
            "diverged",
        )
    for folder in kept:
        assert len(folder.checkpoints()) == 1
        assert len(folder.samples()) == 2
    assert [item.action for item in Store(Path("results"), "s").plan(specs())][:2] == ["keep"] * 2


def test_a_failed_run_that_is_removed_begins_anew(tmp_path):
    spec = tiny()
    (folder,) = frozen(tmp_path / "results", spec)
    worker.run([folder])
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**state, "state": "failed", "reason": "why"}))
    Path("s.yaml").write_text(
        "name: s\nbase: {recipe: gan, dataset: ring8, network: {mlp: {width: 8}}, steps: 60, "
        "batch_size: 8, noise_size: 4}\ngrid: {seed: 0}\nevaluate: {every: 30, samples: 50}\n"
        "record: {log_every: 10, checkpoint_seconds: 0}\n"
    )
    assert json.loads(call("plan", "s.yaml", "--json").stdout)["runs"][0]["action"] == "resume"
    result = call("clean", "s.yaml", "--yes", "--failed")
    assert "begins at step 0" in result.stdout
    assert not folder.exists()
    assert list(Path("results/s").glob(".*")) == []
    frozen(tmp_path / "results", spec)
    worker.run([folder])
    assert state_of(folder)["state"] == "done"
    assert "begins at step 0" in (folder / "log.txt").read_text()


def test_runs_that_the_file_does_not_list_are_named_and_asked_about_apart(on_a_terminal):
    runs = specs()
    listed, unlisted, stopped = ended(runs[0]), ended(runs[1]), begun(runs[2])
    dirty(listed)
    other = Path("results/s/notes--0123456789ab")
    other.mkdir()  # no run: it has no spec.json
    shorter = SWEEP.replace("seed: 0..3", "seed: 0")
    specs(shorter)
    result, asked = on_a_terminal("--unlisted", answers=[False, False])
    assert asked[1] == (
        "remove 2 runs that s.yaml does not list, 1 of them finished, with their results, for good?"
    )
    assert f"  {unlisted.path}: done, " in result.stdout
    assert f"  {stopped.path}: interrupted, " in result.stdout
    assert unlisted.path.exists()
    result, _ = on_a_terminal("--unlisted", answers=[False, True])
    assert result.exit_code == 0
    assert not unlisted.path.exists()
    assert not stopped.path.exists()
    assert listed.path.exists()
    assert other.exists()
    assert list(listed.path.glob("lease.*")) != []  # the other question was answered with no
    assert list(Path("results/s").glob(".*")) == []


@pytest.mark.parametrize("part", [("--only", "seed=0"), ("--set", "steps=50")])
def test_what_is_unlisted_is_not_asked_of_a_part_or_a_change_of_the_file(part):
    ended(specs()[1])
    before = everything()
    result = call("clean", "s.yaml", "--unlisted", "--yes", *part)
    assert result.exit_code == 2
    assert "leave out --only and --set" in result.stderr
    assert everything() == before


def test_with_only_nothing_of_other_runs_goes():
    one, two, *_ = specs()
    first, second = dirty(begun(one)), dirty(begun(two))
    assert call("clean", "s.yaml", "--yes", "--only", "seed=0").exit_code == 0
    assert not any(path.exists() for path in first)
    assert all(path.exists() for path in second)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize("words", [(), ("--failed",), ("--unlisted",)])
def test_a_run_that_somebody_is_or_may_be_at_is_left_alone_and_said_to_be(where, words):
    spec = specs()[3]
    folder = ended(spec, "failed") if words == ("--failed",) else begun(spec)
    left = dirty(folder)
    if words == ("--unlisted",):
        specs(SWEEP.replace("seed: 0..3", "seed: 0"))
    with contextlib.ExitStack() as stack:
        if where == "here":
            stack.enter_context(take_lease(folder.path))
        else:
            lease_elsewhere(folder)
        result = call("clean", "s.yaml", "--yes", *words)
        assert all(path.exists() for path in left)
    whose = f"process {os.getpid()} on" if where == "here" else "process 12 on node7 may be at it"
    assert f"left alone: {folder.path}: {whose}" in result.stderr
    assert result.stdout == "s: there is nothing to remove in results/s\n"


def test_a_run_that_is_taken_up_while_the_question_waits_is_left_alone(on_a_terminal, monkeypatch):
    spec = specs()[0]
    folder = ended(spec, "failed")
    lease = []
    monkeypatch.setattr(verb, "_agrees", lambda _: lease.append(take_lease(folder.path)) or True)
    result, _ = on_a_terminal("--failed", answers=[])
    assert result.exit_code == 1
    assert f"left alone: {folder.path}: process {os.getpid()} on" in result.stderr
    lease[0].release()

    monkeypatch.setattr(verb, "_agrees", lambda _: ended(spec) or True)  # retried, and done
    result, _ = on_a_terminal("--failed", answers=[])
    assert f"left alone: {folder.path}: it has changed meanwhile" in result.stderr
    assert state_of(folder.path)["state"] == "done"


def test_runs_in_a_queue_are_left_alone_listed_or_not():
    listed, unlisted = specs()[0], specs()[1]
    folders = [ended(listed, "failed"), begun(unlisted)]
    left = dirty(folders[0])
    specs(SWEEP.replace("seed: 0..3", "seed: 0"))
    with announced(Path("results/s"), [listed.run_id, unlisted.run_id]):
        result = call("clean", "s.yaml", "--yes", "--failed", "--unlisted")
    assert result.exit_code == 0
    for folder in folders:
        assert (
            f"left alone: {folder.path}: process {os.getpid()} on {os.uname().nodename} has it in "
            "its queue" in result.stderr
        )
        assert folder.path.is_dir()
    assert all(path.exists() for path in left)
    call("clean", "s.yaml", "--yes", "--failed", "--unlisted")
    assert not any(folder.path.exists() for folder in folders)


def test_a_kill_while_a_run_is_removed_leaves_no_half_of_it_in_its_place(monkeypatch):
    spec = specs()[0]
    folder = ended(spec, "failed")

    whole = shutil.rmtree

    def killed(path, **more):
        if not Path(path).name.startswith(".removed-"):
            return whole(path, **more)
        (Path(path) / "spec.json").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(cleaning.shutil, "rmtree", killed)
    assert call("clean", "s.yaml", "--yes", "--failed").exit_code == 130
    assert not folder.path.exists()
    (hidden,) = Path("results/s").glob(".removed-*")
    monkeypatch.undo()
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(cleaning, "_YOUNG_SECONDS", -1.0)
    assert Store(Path("results"), "s").plan([spec])[0].state == "pending"
    call("clean", "s.yaml", "--yes")
    assert not hidden.exists()


def test_links_are_left_alone_and_never_followed(tmp_path):
    spec, linked = specs()[:2]
    folder = ended(spec)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tmp").write_text("all of it")
    (folder.path / "lease.expired-abc").symlink_to(precious)
    (folder.path / "mine.tmp").symlink_to(precious / "thesis.tmp")
    away = ended(linked)
    shutil.move(away.path, tmp_path / "away")
    away.path.symlink_to(tmp_path / "away")
    specs(SWEEP.replace("seed: 0..3", "seed: 0"))
    result = call("clean", "s.yaml", "--yes", "--unlisted")
    assert result.exit_code == 0
    assert f"left alone: {away.path}: it is a link" in result.stderr
    assert (precious / "thesis.tmp").read_text() == "all of it"
    assert not os.path.lexists(folder.path / "mine.tmp")
    assert (tmp_path / "away" / "state.json").exists()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(monkeypatch):
    one, two, *_ = specs()
    first, second = dirty(begun(one)), dirty(begun(two))
    real = Path.unlink

    def unlink(path, **more):
        if path == first[0]:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, **more)

    monkeypatch.setattr(Path, "unlink", unlink)
    result = call("clean", "s.yaml", "--yes")
    assert result.exit_code == 1
    assert f"{first[0]}: Permission denied" in result.stderr
    assert not any(path.exists() for path in second)


def test_json_says_what_was_found_removed_and_left():
    one, two, *_ = specs()
    dirty(begun(one))
    lease_elsewhere(busy := begun(two))
    dirty(busy)
    plan = json.loads(call("clean", "s.yaml", "--json", "--dry-run").stdout)
    assert (len(plan["found"]), plan["removed"], plan["bytes_freed"]) == (1, [], 0)
    done = json.loads(call("clean", "s.yaml", "--json", "--yes").stdout)
    assert (done["found"], done["removed"], done["bytes_freed"]) == (
        plan["found"],
        plan["found"],
        46,
    )
    assert list(done["left_alone"]) == [str(busy.path)]


def test_a_sweep_without_results_has_nothing_to_remove():
    specs()
    result = call("clean", "s.yaml", "--yes")
    assert (result.exit_code, result.stdout) == (
        0,
        "s: there is nothing to remove in results/s\n",
    )
    stand(specs()[0])
    assert "nothing to remove" in call("clean", "s.yaml", "--yes", "--failed").stdout


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.2 kB"), (123456, "123 kB"),
     (5.4e6, "5.4 MB"), (3.2e11, "320 GB"), (4.56e12, "4.56 TB")],
)  # fmt: skip
def test_sizes_are_said_as_people_say_them(count, text):
    assert size(count) == text


def test_ten_thousand_clean_runs_are_looked_through_in_seconds():
    spec = specs()[0]
    folder = ended(spec)
    for number in range(1000):
        shutil.copytree(folder.path, Path(f"results/s/copy-{number}--{number:012x}"))
    store = Store(Path("results"), "s")
    began = time.process_time()
    cleaning.removable(store, store.plan([spec]), (cleaning.LEFTOVERS,), {spec.run_id}, {})
    assert time.process_time() - began < 0.5  # for a tenth of them; 0.06 s when measured


def test_the_records_of_submissions_go_when_their_runs_are_finished():
    done, open_run, *_ = specs()
    ended(done)
    begun(open_run)
    over, needed = (
        new_submission(Path("results/s"), "slurm", [[spec.run_id]]) for spec in (done, open_run)
    )
    dead = new_submission(Path("results/s"), "local", [[open_run.run_id]])  # its runner was killed
    os.utime(dead.path / "submitted", (1, 1))
    call("clean", "s.yaml", "--yes")
    assert [submission.path.exists() for submission in (over, needed, dead)] == [False, True, False]
