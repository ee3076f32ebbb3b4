"""`collect DIR...` merges other machines' runs: all or nothing where they contradict each other."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from standing_runs import (
    PROTOCOL,
    SWEEP,
    begun,
    call,
    ended,
    lease_elsewhere,
    specs,
    stand,
    write_rows,
)
from tiny_runs import state_of

from bench import transfer
from bench.lease import take_lease
from bench.submissions import announced

OTHER = Path("other")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def files(folder):
    """Every file below, hidden ones too, with its content, and every empty folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
        if path.suffix != ".parquet"
    }


def collect(*folders, code=0, words=()):
    result = call("collect", "s.yaml", *folders, *words)
    assert result.exit_code == code, result.output
    return result


def merged(*folders):
    return json.loads(collect(*folders, words=("--json",)).stdout)["merged"]


def states(results="results"):
    table = pd.read_parquet(f"{results}/s/runs.parquet")
    return dict(zip(table["run_id"], table["state"], strict=True))


def test_runs_of_other_machines_are_copied_whole_and_come_into_the_tables():
    one, two, three, four, *_ = specs()
    ended(one)
    theirs = [ended(two, results=OTHER), ended(three, "diverged", OTHER, reason="it blew up")]
    dropped = ended(four, "failed", OTHER, reason="no luck")
    (dropped.path / "lease.expired-abc").mkdir()
    (dropped.path / ".spec.json.1.tmp").write_text("")
    (dropped.path / "cancel.json").write_text("{}")
    before = files(OTHER)

    result = collect(OTHER)
    assert "merged: 3 runs taken" in result.stdout
    assert (
        "results/s/runs.parquet: 8 runs: 4 pending, 2 done, 1 diverged, 1 failed" in result.stdout
    )
    for folder in theirs:
        copy = Path("results/s") / folder.path.name
        assert files(copy) == files(folder.path)
        assert (copy / "state.json").stat().st_mtime == folder.state.stat().st_mtime
    kept = files(Path("results/s") / dropped.path.name)
    assert "state.json" in kept
    assert not [name for name in kept if "lease" in name or "tmp" in name or "cancel" in name]
    assert list(states().values()).count("done") == 2
    assert files(OTHER) == before
    assert not list(Path("results/s").glob(".*"))

    again = collect(OTHER)
    assert "merged: 0 runs taken, 2 the same as ours" in again.stdout
    assert merged(OTHER)["taken"] == []


def test_the_folder_of_the_sweep_itself_serves_too_under_any_name():
    one, two, three, *_ = specs()
    for spec in (one, two):
        ended(spec, results=OTHER)
    assert len(merged(OTHER / "s")["taken"]) == 2
    (OTHER / "s").rename("from-node7")
    ended(three, results=Path("elsewhere"))
    shutil.move(Path("elsewhere/s") / three.folder, "from-node7")
    assert [item["run_id"] for item in merged("from-node7")["taken"]] == [three.run_id]


def test_several_folders_are_merged_at_once():
    one, two, three, *_ = specs()
    third = Path("third")
    for spec, results in ((one, OTHER), (two, third), (three, OTHER), (three, third)):
        ended(spec, results=results)
    found = merged(OTHER, third)
    assert {item["run_id"] for item in found["taken"]} == {one.run_id, two.run_id, three.run_id}
    assert found["same"] == [three.run_id]


def test_an_unfinished_run_gives_way_to_a_finished_one_and_is_not_lost():
    one, two, three, *_ = specs()
    ours = [begun(one, 30), ended(two, "failed", reason="here")]
    stand(three)  # planned here, and nothing more
    texts = [files(folder.path) for folder in ours]
    for spec in (one, two, three):
        ended(spec, results=OTHER)
    result = collect(OTHER)
    assert "merged: 3 runs taken" in result.stdout
    assert list(states().values())[:3] == ["done"] * 3
    aside = sorted(Path("results/s").glob(".replaced-*"))
    assert sorted(map(str, map(files, aside))) == sorted(map(str, texts))
    assert (
        "unfinished here, and replaced: 2 runs, kept hidden in results/s; to remove: "
        "wgan-bench clean s.yaml\n" in result.stdout
    )
    assert "replaced" in call("clean", "s.yaml", "--yes").stdout
    assert not list(Path("results/s").glob(".*"))
    assert list(states().values())[:3] == ["done"] * 3


def test_a_finished_run_of_ours_stays_beside_their_unfinished_one():
    one, two, *_ = specs()
    ended(one)
    begun(two, 50)
    before = files(Path("results"))
    begun(one, results=OTHER)
    begun(two, 30, results=OTHER)
    found = merged(OTHER)
    assert (found["taken"], found["behind"]) == ([], [one.run_id])
    (why,) = found["left_alone"].values()
    assert why == (
        "it is interrupted there at step 30, and interrupted here at step 50: ours is kept"
    )
    assert files(Path("results")) == before


def test_an_unfinished_run_comes_where_ours_has_not_begun_and_goes_on_here():
    one, two, *_ = specs()
    theirs = begun(one, results=OTHER)
    stand(two, OTHER)
    found = merged(OTHER)
    assert [item["run_id"] for item in found["taken"]] == [one.run_id]
    assert found["not_begun"] == [two.run_id]
    assert files(Path("results/s") / theirs.path.name) == files(theirs.path)
    plan = json.loads(call("plan", "s.yaml", "--json").stdout)["runs"][0]
    assert (plan["action"], plan["step"]) == ("resume", 30)


def test_a_run_that_waits_in_a_queue_here_is_not_given_another_beginning():
    one, two, *_ = specs()
    for spec in (one, two):
        stand(spec)
    theirs = begun(one, results=OTHER)
    ended(two, results=OTHER)
    with announced(Path("results/s"), [one.run_id, two.run_id]):
        result = collect(OTHER)
    assert f"left alone: {theirs.path}: it is interrupted there at step 30, and queued here" in (
        result.stderr
    )
    assert "merged: 1 run taken" in result.stdout  # finished: its turn finds nothing to do
    assert states()[two.run_id] == "done"


def differing_rows(folder):
    write_rows(folder, 60, critic_loss=7.0)
    refreeze(folder)


def differing_scores(folder):
    text = folder.eval_rows(PROTOCOL).read_text()
    at = text.rindex("2.0")
    folder.eval_rows(PROTOCOL).write_text(f"{text[:at]}2.5{text[at + 3 :]}")
    refreeze(folder)


def missing_scores(folder):
    folder.eval_rows(PROTOCOL).write_text("")
    refreeze(folder)


def differing_profiles(folder):
    folder.profiles.write_text('{"step": 60, "profile": "weights", "counts": [1, 2]}\n')
    refreeze(folder)


def differing_state(folder):
    refreeze(folder, state="diverged")


def dead_critic(folder):
    refreeze(folder, dead_critic=True)


def differing_spec(folder):
    plain = json.loads(folder.spec.read_text())
    plain["evaluate"]["every"] = 7
    folder.spec.write_text(json.dumps(plain))


def refreeze(folder, **fields):
    """The final state of rows that were changed."""
    content = {**json.loads(folder.state.read_text()), **fields}
    for dropped in ("format", "finished", "files"):
        del content[dropped]
    folder.finish(content.pop("run_id"), content.pop("state"), **content)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (differing_rows, "train.jsonl, step 10: critic_loss is 0.1 here, 7.0 there"),
        (differing_scores, f"eval-{PROTOCOL}.jsonl, step 60: exact_w1 is 2.0 here, 2.5 there"),
        (missing_scores, f"eval-{PROTOCOL}.jsonl has 2 rows here, 0 there"),
        (differing_profiles, "profiles.jsonl has 0 rows here, 1 there"),
        (differing_state, "state.json: state is 'done' here, 'diverged' there"),
        (dead_critic, "state.json: dead_critic is False here, True there"),
        (differing_spec, "evaluate.every is 7 there, 30 is asked for"),
    ],
)
def test_two_finished_runs_that_differ_refuse_everything(change, difference):
    one, two, three, *_ = specs()
    ours, theirs = ended(one), ended(one, results=OTHER)
    change(theirs)
    ended(two, results=OTHER)
    begun(three)
    ended(three, results=OTHER)
    before = files(Path("results"))
    result = collect(OTHER, code=2)
    assert result.stdout == ""
    assert f"conflict: run {one.run_id} (wgan, seed 0) is finished in {ours.path} and in" in (
        result.stderr
    )
    assert str(theirs.path) in result.stderr
    assert difference in result.stderr
    assert "move one of the two folders away, or leave the run out with --only" in result.stderr
    assert result.stderr.endswith("\nnothing was copied\n")
    assert files(Path("results")) == before
    assert not Path("results/s/runs.parquet").exists()

    assert "merged: 1 run taken" in collect(OTHER, words=("--only", "seed=1")).stdout


def test_rows_that_differ_in_their_times_only_are_the_same():
    one, *_ = specs()
    ended(one)
    theirs = ended(one, results=OTHER)
    write_rows(theirs, 60, training_seconds=1234.5)
    refreeze(theirs, training_seconds=1234.5, started=5.0)
    before = files(Path("results"))
    assert merged(OTHER)["same"] == [one.run_id]
    assert files(Path("results")) == before


def test_two_other_folders_that_contradict_each_other_are_a_conflict_too():
    one, *_ = specs()
    ended(one, results=OTHER)
    differing_rows(ended(one, results=Path("third")))
    result = collect(OTHER, "third", code=2)
    assert "is finished in other/s/" in result.stderr
    assert "and in third/s/" in result.stderr
    assert not Path("results").exists()


def test_a_conflict_names_the_numerics_that_may_be_why():
    one, *_ = specs()
    ended(one)
    theirs = ended(one, results=OTHER)
    differing_rows(theirs)
    theirs.environment.write_text(json.dumps({"numerics": {"torch": "3", "threads": 1}}))
    said = collect(OTHER, code=2).stderr
    assert "(their numerics differ: torch is '2' here, '3' there; threads is not given here" in said


@pytest.mark.parametrize("where", ["here", "there", "elsewhere"])
def test_a_run_that_is_being_trained_here_or_there_is_not_touched(where):
    one, *_ = specs()
    ours, theirs = begun(one), begun(one, results=OTHER)
    with contextlib.ExitStack() as stack:
        if where == "here":
            ended(one, results=OTHER)
            stack.enter_context(take_lease(ours.path))
        else:
            shutil.rmtree(ours.path)
            if where == "there":
                stack.enter_context(take_lease(theirs.path))
            else:
                lease_elsewhere(theirs)
        result = collect(OTHER)
        assert not list(Path("results/s").glob(".*"))
    said = {
        "here": f"ours is being trained: process {os.getpid()} on",
        "there": f"it may be in training there: process {os.getpid()} on",
        "elsewhere": "it may be in training there: process 12 on node7 is at it",
    }
    assert f"left alone: {theirs.path}: {said[where]}" in result.stderr
    assert "merged: 0 runs taken, 1 left alone" in result.stdout
    assert states()[one.run_id] == ("running" if where == "here" else "pending")


def test_what_the_sweep_does_not_list_is_named_and_left():
    runs = specs()
    for spec in runs:
        ended(spec, results=OTHER)
    (OTHER / "s" / "notes").mkdir()
    specs(SWEEP.replace("seed: 0..3", "seed: 0"))
    result = collect(OTHER)
    assert "merged: 2 runs taken" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if "not listed by s.yaml" in line]
    assert line.count("other/s/wgan") == 6
    assert "notes" not in result.stderr
    assert len(merged(OTHER)["unlisted"]) == 6
    specs()
    assert len(merged(OTHER)["unlisted"]) == 0


def torn_rows(folder):
    folder.train_rows.write_text(folder.train_rows.read_text()[:-9])


def unreadable_rows(folder):
    text = folder.train_rows.read_text()
    folder.train_rows.write_text("x" * text.index("\n") + text[text.index("\n") :])


def empty_state(folder):
    folder.state.write_text("")


def foreign_state(folder):
    folder.state.write_text('{"state": "done"}')


def no_spec(folder):
    folder.spec.unlink()


def torn_spec(folder):
    folder.spec.write_text('{"run')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (torn_rows, "it is damaged: {}: recorded rows are missing: train.jsonl holds"),
        (unreadable_rows, "it is damaged: train.jsonl: 1 unreadable line(s) dropped"),
        (empty_state, "it is damaged: {}/state.json is empty"),
        (foreign_state, "it is damaged: {}/state.json is not of this program"),
        (no_spec, "{}/spec.json is missing"),
        (torn_spec, "{}/spec.json is torn or holds no JSON"),
    ],
)
def test_damaged_runs_there_are_named_and_left(damage, said):
    one, two, *_ = specs()
    folder = ended(one, results=OTHER)
    damage(folder)
    ended(two, results=OTHER)
    result = collect(OTHER)
    assert f"left alone: {folder.path}: {said.format(folder.path)}" in result.stderr
    assert "merged: 1 run taken" in result.stdout
    assert not (Path("results/s") / folder.path.name).exists()


def test_a_damaged_run_of_ours_gives_way():
    one, *_ = specs()
    ended(one).state.write_text("")
    ended(one, results=OTHER)
    assert len(merged(OTHER)["taken"]) == 1
    assert states()[one.run_id] == "done"


def link_to_a_file(folder, secret):
    (folder.path / "samples" / "step-00000001.png").symlink_to(secret)


def link_to_a_folder(folder, secret):
    (folder.path / "more").symlink_to(secret.parent)


def link_for_a_state(folder, secret):
    folder.state.unlink()
    folder.state.symlink_to(secret)


def pipe(folder, secret):
    folder.state.unlink()
    os.mkfifo(folder.state)


@pytest.mark.parametrize("odd", [link_to_a_file, link_to_a_folder, link_for_a_state, pipe])
def test_links_and_pipes_are_neither_followed_nor_opened(odd, tmp_path):
    secret = tmp_path / "private" / "secret"
    secret.parent.mkdir()
    secret.write_text("a secret")
    one, two, *_ = specs()
    folder = ended(one, results=OTHER)
    odd(folder, secret)
    ended(two, results=OTHER)
    result = collect(OTHER)
    assert f"left alone: {folder.path}: " in result.stderr
    assert "not followed" in result.stderr
    assert "merged: 1 run taken" in result.stdout
    assert "a secret" not in str(files(Path("results")))


def test_a_run_folder_that_is_a_link_is_left(tmp_path):
    one, *_ = specs()
    folder = ended(one, results=OTHER)
    shutil.move(folder.path, tmp_path / "away")
    folder.path.symlink_to(tmp_path / "away")
    assert f"it is a link to {tmp_path / 'away'}" in collect(OTHER).stderr
    shutil.move(OTHER / "s", "real")
    (OTHER / "s").symlink_to(tmp_path / "real")
    assert "is a link, which is not followed: name" in collect(OTHER, code=2).stderr


def test_a_link_that_is_put_there_while_copying_is_refused(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    one, *_ = specs()
    folder = ended(one, results=OTHER)
    copy = transfer._copy

    def swap(source, target):
        if source.name == "log.txt":
            source.unlink()
            source.symlink_to(secret)
        copy(source, target)

    monkeypatch.setattr(transfer, "_copy", swap)
    result = collect(OTHER)
    assert "merged: 0 runs taken, 1 left alone" in result.stdout
    assert files(Path("results/s")) == {}
    assert folder.path.is_dir()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_stops_it_with_a_sentence_and_nothing_half(monkeypatch, error):
    runs = specs()[:3]
    for spec in runs:
        ended(spec, results=OTHER)
    ours = begun(runs[1])
    before = files(ours.path)
    copy = transfer._copy

    def full(source, target):
        if runs[1].run_id in str(source) and source.name == "state.json":
            raise OSError(error, os.strerror(error), str(target))
        copy(source, target)

    monkeypatch.setattr(transfer, "_copy", full)
    said = collect(OTHER, code=2).stderr
    what = "cannot be written" if error == errno.EROFS else "the disk is full"
    assert what in said
    assert "1 of 3 runs were copied, whole, and nothing was lost" in said
    assert "collect again to go on" in said
    assert not list(Path("results/s").glob(".*"))
    assert files(ours.path) == before
    monkeypatch.setattr(transfer, "_copy", copy)
    copied = sum(len(held) for run in runs[1:] for held in files(OTHER / "s" / run.folder).values())
    said = f"merged: 2 runs taken ({copied / 1000:.1f} kB), 1 the same as ours"
    assert said in collect(OTHER).stdout


def test_too_little_room_is_seen_before_anything_is_copied(monkeypatch):
    ended(specs()[0], results=OTHER)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    said = collect(OTHER, code=2).stderr
    assert "0.0 MB are to be copied and 1.0 MB are free; nothing was copied" in said
    assert files(Path("results/s")) == {}


def test_a_run_that_is_finished_here_while_theirs_is_copied_stays(monkeypatch):
    one, *_ = specs()
    begun(one)
    ended(one, results=OTHER)
    check = transfer._check

    def meanwhile(take, incoming):
        check(take, incoming)
        ended(one, reason="mine")

    monkeypatch.setattr(transfer, "_check", meanwhile)
    result = collect(OTHER)
    assert "ours has been finished meanwhile; collect again" in result.stderr
    (folder,) = Path("results/s").glob("*--*")
    assert state_of(folder)["reason"] == "mine"
    assert not list(Path("results/s").glob(".*"))


def test_a_run_that_begins_there_while_it_is_copied_is_left(monkeypatch):
    one, *_ = specs()
    theirs = begun(one, results=OTHER)
    copy, leases = transfer._copy, []

    def meanwhile(source, target):
        copy(source, target)
        if not leases:
            leases.append(take_lease(theirs.path))

    monkeypatch.setattr(transfer, "_copy", meanwhile)
    result = collect(OTHER)
    leases[0].release()
    assert f"{theirs.path}: it was interrupted and is running now" in result.stderr
    assert files(Path("results/s")) == {}


def test_a_run_that_appears_in_the_place_meanwhile_is_not_overwritten(monkeypatch):
    one, *_ = specs()
    ended(one, results=OTHER)
    check = transfer._check

    def meanwhile(take, incoming):
        check(take, incoming)
        begun(one)

    monkeypatch.setattr(transfer, "_check", meanwhile)
    assert "a run has appeared in its place meanwhile" in collect(OTHER).stderr
    assert states()[one.run_id] == "interrupted"
    assert not list(Path("results/s").glob(".*"))


def test_a_rename_that_fails_gives_ours_its_place_back(monkeypatch):
    one, *_ = specs()
    ours = begun(one)
    before = files(ours.path)
    ended(one, results=OTHER)

    def fail(incoming, target, lease):
        raise OSError(errno.EIO, "Input/output error", str(incoming))

    monkeypatch.setattr(transfer, "_rename", fail)
    assert "Input/output error" in collect(OTHER, code=2).stderr
    assert files(ours.path) == before
    assert not list(Path("results/s").glob(".*"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "'nowhere' does not exist: name a results folder, or s's in one"),
        ("s.yaml", "'s.yaml' is no folder: name a results folder"),
        ("empty", "'empty' holds no results of s: there is no folder 'empty/s', and it is not"),
        ("results", "'results' holds the results that would be collected into"),
        ("results/s", "'results/s' holds the results that would be collected into"),
    ],
)
def test_a_folder_without_results_of_the_sweep_is_refused(name, said):
    ended(specs()[0])
    Path("empty").mkdir()
    assert said in collect(name, code=2).stderr


def test_mixed_numerics_are_noted():
    one, two, three, *_ = specs()
    for spec in (one, two):
        ended(spec)
    theirs = ended(three, results=OTHER)
    theirs.environment.write_text(json.dumps({"host": "there", "numerics": {"torch": "3"}}))
    assert "not all trained alike" not in collect().stderr
    assert "note: the runs were not all trained alike: torch 2 (2 runs), 3 (1 run)\n" in (
        collect(OTHER).stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(8))
def test_kill_9_in_mid_copy_leaves_nothing_half_and_a_second_call_finishes(kill):
    runs = specs()
    for number, spec in enumerate(runs):
        folder = ended(spec, results=OTHER)
        for step in range(40):
            folder.sample(step).write_bytes(os.urandom(20_000))
        if number % 2:
            begun(spec)
    code = (
        "import sys, time\nfrom bench import transfer\ncopy = transfer._copy\n"
        "def slow(*paths):\n    time.sleep(0.002)\n    copy(*paths)\n"
        "transfer._copy = slow\nfrom bench.cli import main\nmain()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "collect", "s.yaml", "other"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
    )
    while not list(Path("results/s").glob(".incoming-*")):
        assert process.poll() is None
        time.sleep(0.001)
    time.sleep(0.05 + 0.11 * kill)
    process.send_signal(signal.SIGKILL)
    process.wait()

    for folder in Path("results/s").glob("*--*"):
        theirs = OTHER / "s" / folder.name
        held = {name: text for name, text in files(folder).items() if "lease" not in name}
        if (folder / "state.json").exists():
            assert held == files(theirs)  # whole
        else:
            assert (folder / "checkpoints" / "step-00000030.ckpt").exists()  # ours, as it was
    collect(OTHER)
    assert set(states().values()) == {"done"}
    for path in Path("results/s").rglob("*"):
        os.utime(path, (1, 1), follow_symlinks=False)
    for spec in runs:
        held = files(Path("results/s") / spec.folder)
        assert {name: text for name, text in held.items() if "lease" not in name} == files(
            OTHER / "s" / spec.folder
        )
