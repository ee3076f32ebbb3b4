"""A plan shows what stands in the folders now, whatever an earlier plan of the same store saw."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_runs import diverging, frozen, state_of, tiny

from bench import worker
from bench.grid import load
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store
from wgan.config import TrainConfig

SPECS = (tiny(), diverging(), tiny(seed=1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished, a diverged and a pending run; tests copy them."""
    results = tmp_path_factory.mktemp("trained")
    worker.run(frozen(results, *SPECS)[:2])
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "results"))


def rewrite(path: Path, change: Callable[[dict[str, object]], dict[str, object]]) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def swap_unseen(folder: Path) -> None:
    """Another id in state.json: of the same length, and with the file's times put back."""
    path, before = folder / "state.json", (folder / "state.json").stat()
    text, run_id = path.read_text(), SPECS[0].run_id
    with path.open("r+") as file:
        file.write(text.replace(run_id, run_id[::-1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "state gone": (lambda folder: (folder / "state.json").unlink(), "interrupted", "resume"),
    "state empty": (lambda folder: (folder / "state.json").write_text(""), "interrupted", "resume"),
    "state torn": (
        lambda folder: os.truncate(folder / "state.json", 90),
        "interrupted",
        "resume",
    ),
    "state swapped, unseen by size and time": (swap_unseen, "interrupted", "resume"),
    "state says failed": (
        lambda folder: rewrite(folder / "state.json", lambda state: {**state, "state": "failed"}),
        "failed",
        "resume",
    ),
    "rows cut": (lambda folder: os.truncate(folder / "train.jsonl", 200), "interrupted", "resume"),
    "scores gone": (
        lambda folder: next(folder.glob("eval-*.jsonl")).unlink(),
        "interrupted",
        "resume",
    ),
    "other settings": (
        lambda folder: rewrite(folder / "spec.json", lambda spec: {**spec, "log_every": 7}),
        "done",
        "refuse",
    ),
    "specification gone": (lambda folder: (folder / "spec.json").unlink(), "done", "refuse"),
    "folder gone": (shutil.rmtree, "pending", "run"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_that_has_planned_sees_what_happened_since(results: Path, damage: str) -> None:
    store = Store(results, "s")
    before = store.plan(SPECS)
    assert [item.action for item in before] == ["keep", "keep", "run"]
    spoil, state, action = DAMAGES[damage]
    spoil(before[0].folder)
    spoilt, *others = store.plan(SPECS)
    assert (spoilt.state, spoilt.action) == (state, action)
    assert others == before[1:]
    assert spoilt == Store(results, "s").plan(SPECS)[0]


def test_a_run_that_was_mended_is_kept_again(results: Path, tmp_path: Path) -> None:
    store = Store(results, "s")
    before = store.plan(SPECS)
    away = before[0].folder.rename(tmp_path / "away")
    assert store.plan(SPECS)[0].state == "pending"
    away.rename(before[0].folder)
    assert store.plan(SPECS) == before


def test_planning_writes_nothing(results: Path) -> None:
    def seen() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in results.rglob("*")}

    before = seen()
    Store(results, "s").plan(SPECS)
    assert seen() == before


def test_a_plan_holds_the_final_state_of_what_has_ended(results: Path) -> None:
    done, diverged, pending = Store(results, "s").plan(SPECS)
    assert done.final == state_of(done.folder)
    assert diverged.final == state_of(diverged.folder)
    assert pending.final is None
    (done.folder / "state.json").write_text("{}")
    assert Store(results, "s").plan(SPECS)[0].final is None
    assert Planned(tiny(), done.folder, "pending", "run", "not begun").final is None


def test_a_specification_is_known_by_its_content_not_its_text(results: Path) -> None:
    store = Store(results, "s")
    path = RunFolder(store.run_folder(SPECS[0])).spec
    plain = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(plain.items())), sort_keys=True, indent=7))
    assert store.plan(SPECS)[0].action == "keep"


def test_runs_that_differ_in_their_seed_are_put_into_words_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id takes 20 microseconds to work out, and is asked for at every turn."""
    path, worded = tmp_path / "many.yaml", []
    path.write_text(
        "name: many\n"
        "base: {dataset: ring8, network: mlp}\n"
        "grid: {recipe: [gan, wgan], seed: 0..9}\n"
    )
    to_plain = TrainConfig.to_plain

    def counted(self: TrainConfig, *, for_id: bool = False) -> dict[str, object]:
        worded.extend([self] * for_id)
        return to_plain(self, for_id=for_id)

    monkeypatch.setattr(TrainConfig, "to_plain", counted)
    runs = load(path).runs
    store = Store(tmp_path / "results", "many")
    store.freeze(store.plan(runs), "", "")
    store.plan(runs)
    assert len(runs) == 20
    assert len(worded) == 2


def test_a_changed_configuration_has_an_id_of_its_own() -> None:
    config = tiny().config
    assert dataclasses.replace(config, seed=1).run_id != config.run_id
    assert dataclasses.replace(config).run_id == config.run_id
    assert RunSpec.from_plain(tiny().to_plain()).run_id == config.run_id
