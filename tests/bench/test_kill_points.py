"""kill -9 at chosen single writes of a run: no lie, nothing torn taken for whole, the same bits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kill_points import killed_at
from test_signals import extra_of
from tiny_runs import assert_same_run, frozen, state_of, tiny

from bench import worker
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec
from bench.store import Store

SPEC = tiny(
    "wgan_gp",
    steps=12,
    log_every=4,
    evaluate=EvaluateSpec(every=6, samples=16, profiles=("layer_gradients",)),
)
NEVER = 10**9
CHUNKS = 10


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The run that nobody killed, and how many writes it made."""
    (path,) = frozen(tmp_path_factory.mktemp("whole"), SPEC)
    return path, killed_at(path, NEVER)


def check(results: Path, whole: Path) -> None:
    """After a kill: what stands is true, and the next session makes the run whole."""
    (item,) = Store(results, "s").plan([SPEC])
    state = RunFolder(item.folder).state
    assert item.state in ("pending", "interrupted", "done"), item.reason
    assert state.exists() == (item.state == "done")
    if item.state == "done":  # only its tidying up was cut short
        assert_same_run(item.folder, whole, SPEC)
    worker.run([item.folder])
    assert state_of(item.folder)["state"] == "done", state_of(item.folder)["reason"]
    assert_same_run(item.folder, whole, SPEC)
    left = [path.name for path in item.folder.rglob("*") if ".tmp" in path.name]
    assert left == []
    assert not (item.folder / "lease").exists() or item.state == "done"
    assert [path.name for path in (item.folder / "checkpoints").iterdir()] == ["step-00000012.ckpt"]
    assert extra_of(item.folder, SPEC)["evaluation_due"] is False


def test_a_run_writes_as_often_as_these_tests_believe(whole: tuple[Path, int]) -> None:
    assert 80 < whole[1] < 200


@pytest.mark.parametrize("share", [0.5])
def test_a_run_killed_at_a_write_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, whole: tuple[Path, int], share: float
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    assert killed_at(path, int(whole[1] * share)) == 0
    check(tmp_path, whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [0, 3, 6, 9])
def test_a_run_killed_at_any_write_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, whole: tuple[Path, int], chunk: int
) -> None:
    """Two in five of all writes; all of them, with `range(CHUNKS)`, take minutes."""
    for last in range(1 + chunk, whole[1] + 1, CHUNKS):
        (path,) = frozen(tmp_path / str(last), SPEC)
        assert killed_at(path, last) == 0, last
        check(tmp_path / str(last), whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("dice", range(3))
def test_a_run_killed_at_write_after_write_ends_with_the_same_bits(
    tmp_path: Path, whole: tuple[Path, int], dice: int
) -> None:
    (path,) = frozen(tmp_path, SPEC)
    rng = random.Random(dice)
    kills = 0
    while killed_at(path, rng.randrange(10, 80)) == 0:
        kills += 1
        assert kills < 60
    assert kills > 1
    assert_same_run(path, whole[0], SPEC)
