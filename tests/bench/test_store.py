"""The plan, the frozen folders, and what a changed sweep file does to them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from tiny_runs import diverging, frozen, rows_of, state_of, tiny

from bench import worker
from bench.lease import take_lease
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store, StoreError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished and one diverged run; tests copy it."""
    results = tmp_path_factory.mktemp("finished")
    worker.run(frozen(results, tiny(), diverging()))
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "results"))


def folder_of(results: Path, spec: RunSpec) -> Path:
    return Store(results, "s").run_folder(spec)


def test_what_was_never_begun_is_run(tmp_path: Path) -> None:
    (planned,) = Store(tmp_path / "new", "s").plan([tiny()])
    assert (planned.state, planned.action) == ("pending", "run")
    assert not (tmp_path / "new").exists()


def test_what_is_finished_is_kept(results: Path) -> None:
    done, diverged, new = Store(results, "s").plan([tiny(), diverging(), tiny(seed=1)])
    assert (done.state, done.action, done.step) == ("done", "keep", 60)
    assert (diverged.state, diverged.action) == ("diverged", "keep")
    assert "limit 100" in diverged.reason
    assert (new.state, new.action) == ("pending", "run")


def test_freezing_keeps_spec_and_sweep_file(tmp_path: Path) -> None:
    spec = tiny()
    (folder,) = frozen(tmp_path, spec)
    assert RunSpec.from_plain(json.loads((folder / "spec.json").read_text())) == spec
    assert Store(tmp_path, "s").read_sweep_text() == "name: s\n"


def test_an_older_sweep_file_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    store = Store(tmp_path, "s")
    store.freeze([], "", "old")
    store.freeze([], "", "new")
    assert store.read_sweep_text() == "new"
    assert [path.read_text() for path in store.folder.glob("sweep-*.yaml")] == ["old"]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"evaluate": EvaluateSpec(every=15, samples=50)}, "evaluate.every is 30 there, 15 is"),
        ({"log_every": 5}, "log_every is 10 there, 5 is"),
    ],
)
def test_a_finished_run_with_other_settings_is_refused_with_the_difference(
    results: Path, change: dict[str, object], shown: str
) -> None:
    spec = tiny(**change)
    store = Store(results, "s")
    (planned,) = store.plan([spec])
    assert planned.action == "refuse"
    assert shown in planned.reason
    assert "another name" in planned.reason
    before = (planned.folder / "spec.json").read_text()
    with pytest.raises(StoreError, match="other settings"):
        store.freeze([planned], "", "")
    assert (planned.folder / "spec.json").read_text() == before


def test_settings_of_a_run_without_checkpoint_may_still_change(tmp_path: Path) -> None:
    frozen(tmp_path, tiny())
    changed = tiny(log_every=5)
    (folder,) = frozen(tmp_path, changed)
    assert RunSpec.from_plain(json.loads((folder / "spec.json").read_text())) == changed


def test_a_new_label_finds_the_old_run(results: Path) -> None:
    renamed = dataclasses.replace(tiny(), label="a better name", recipe=None)
    store = Store(results, "s")
    (planned,) = store.plan([renamed])
    assert (planned.state, planned.action) == ("done", "keep")
    assert planned.folder == folder_of(results, tiny())
    store.freeze([planned], "", "")
    assert json.loads((planned.folder / "spec.json").read_text())["label"] == "a better name"
    assert store.collect([renamed]).runs["label"].tolist() == ["a better name"]


@pytest.mark.parametrize("content", ["", '{"state": "do', '{"state": "done"}', "[]"])
def test_an_unreadable_or_foreign_state_is_no_end(results: Path, content: str) -> None:
    path = folder_of(results, tiny())
    rows = rows_of(path)
    (path / "state.json").write_text(content)
    (planned,) = Store(results, "s").plan([tiny()])
    assert (planned.state, planned.action) == ("interrupted", "resume")
    assert "state.json" in planned.reason
    worker.run([path])
    assert state_of(path)["state"] == "done"
    assert rows_of(path) == rows
    assert "the run is repeated from its last good checkpoint" in (path / "log.txt").read_text()


def test_the_state_of_another_run_is_foreign(results: Path) -> None:
    path = folder_of(results, tiny())
    shutil.copy(folder_of(results, diverging()) / "state.json", path / "state.json")
    (planned,) = Store(results, "s").plan([tiny()])
    assert planned.action == "resume"
    assert f"is of the run {diverging().run_id!r}" in planned.reason


def test_a_finished_run_without_its_rows_is_not_finished(results: Path) -> None:
    path = folder_of(results, tiny())
    rows = rows_of(path)
    lines = (path / "train.jsonl").read_bytes().splitlines(keepends=True)
    (path / "train.jsonl").write_bytes(b"".join(lines[:-2]))
    (planned,) = Store(results, "s").plan([tiny()])
    assert planned.state == "interrupted"
    assert "train.jsonl holds" in planned.reason
    worker.run([path])
    assert rows_of(path) == rows


def test_a_failed_run_is_taken_up_again(results: Path) -> None:
    path = folder_of(results, tiny())
    content = state_of(path)
    (path / "state.json").write_text(json.dumps({**content, "state": "failed", "reason": "boom"}))
    (planned,) = Store(results, "s").plan([tiny()])
    assert (planned.state, planned.action) == ("failed", "resume")
    assert "boom" in planned.reason


def test_a_run_without_its_spec_is_refused(results: Path) -> None:
    (folder_of(results, tiny()) / "spec.json").unlink()
    (planned,) = Store(results, "s").plan([tiny()])
    assert planned.action == "refuse"
    assert "move the folder away" in planned.reason


def test_a_results_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "results", "s")
    with pytest.raises(StoreError, match=r"cannot be written: Not a directory .*--results"):
        store.freeze(store.plan([tiny()]), "", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_results_folder_is_a_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    store = Store(tmp_path, "s")
    with pytest.raises(StoreError, match=r"cannot be written: .*Permission denied.*--results"):
        store.freeze(store.plan([tiny()]), "", "")


def test_a_run_that_another_process_holds_is_left_alone(results: Path) -> None:
    spec = tiny(seed=5)
    (path,) = frozen(results, spec)
    with take_lease(path):
        (planned,) = Store(results, "s").plan([spec])
        assert (planned.state, planned.action) == ("running", "keep")
        assert f"process {os.getpid()}" in planned.reason
        worker.run([path])
        assert not (path / "train.jsonl").exists()


def test_planning_a_finished_sweep_is_quick(results: Path) -> None:
    """12 runs, well under the second that a user would notice."""
    specs = [tiny(seed=seed) for seed in range(12)]
    origin, store = folder_of(results, tiny()), Store(results, "s")
    for spec in specs[1:]:
        path = shutil.copytree(origin, store.run_folder(spec))
        RunFolder(path).spec.write_text(json.dumps(spec.to_plain()))
        RunFolder(path).state.write_text(
            json.dumps({**state_of(origin), "run_id": spec.run_id}),
        )
    started = time.perf_counter()
    assert {item.action for item in store.plan(specs)} == {"keep"}
    assert time.perf_counter() - started < 0.5


def test_a_state_with_words_for_sizes_is_no_end(results: Path) -> None:
    path = folder_of(results, tiny())
    content = {**state_of(path), "files": {"train.jsonl": "x"}}
    (path / "state.json").write_text(json.dumps(content))
    (planned,) = Store(results, "s").plan([tiny()])
    assert planned.action == "resume"
    assert "'x' as the size of train.jsonl" in planned.reason


def test_a_report_is_told_of_a_run_that_the_plan_refuses(results: Path) -> None:
    assert Store(results, "s").collect([tiny()]).notes == []
    asked = dataclasses.replace(tiny(), evaluate=EvaluateSpec(every=30, samples=60))
    (note,) = Store(results, "s").collect([asked]).notes
    assert "evaluate.samples is 50 there, 60 is asked for" in note


def test_a_specification_from_before_a_field_existed_is_the_same_run(
    results: Path,
) -> None:
    """A field that is added later, at its neutral value, refuses no result that stands."""
    store = Store(results, "s")
    path = RunFolder(store.run_folder(tiny())).spec
    plain = json.loads(path.read_text())
    for name in ("generator", "generator_optimizer", "learning_rate", "warm_up_steps", "ema"):
        del plain["config"][name]
    for name in ("ascent_steps", "gap_updates", "profiles"):
        del plain["evaluate"][name]
    path.write_text(json.dumps(plain))
    assert store.plan([tiny()])[0].action == "keep"
    asked = dataclasses.replace(tiny().evaluate, gap_updates=5)
    (planned,) = store.plan([tiny(evaluate=asked)])
    assert planned.action == "refuse"
    assert "evaluate.gap_updates is 0 there, 5 is asked for" in planned.reason
