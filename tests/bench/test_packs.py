"""Runs that train as one pack: each is recorded as if it were alone, and ends by itself."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import TIMES, assert_same_run, frozen, packable, state_of

from bench import crew, session, worker
from bench.lease import LeaseLost, owner_of, take_lease
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Store
from wgan import packed

SEEDS = [packable("wgan_gp", seed=seed) for seed in range(3)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A pack of three that nobody has disturbed."""
    paths = frozen(tmp_path_factory.mktemp("whole"), *SEEDS)
    worker.run(paths, packed=True)
    return paths


def rows(path: Path, name: str) -> list[dict[str, Any]]:
    (file,) = path.glob(name)
    return [json.loads(line) for line in file.read_text().splitlines()]


def pack_of(path: Path) -> int:
    return int(json.loads((path / "env.json").read_text())["numerics"].get("pack", 1))


def log_of(path: Path) -> str:
    return (path / "log.txt").read_text()


def at_step(
    patch: pytest.MonkeyPatch, step: int, seed: int, act: Callable[[session.Session], object]
) -> None:
    """Something happens to the run of this seed as this step is written down."""
    honest = session.Session.record

    def record(this: session.Session, pause: Any) -> bool:
        if this.state.step == step and this.spec.config.seed == seed:
            act(this)
        return honest(this, pause)

    patch.setattr(session.Session, "record", record)


def raising(error: Exception) -> Callable[..., Any]:
    def act(*_: object, **__: object) -> Any:
        raise error

    return act


def test_every_run_of_a_pack_leaves_what_a_run_alone_leaves(
    tmp_path: Path, whole: list[Path]
) -> None:
    """In float64 the same numbers, to the rounding of sums in another order."""
    specs = [packable("wgan_gp", seed=seed, precision="float64") for seed in range(3)]
    together, alone = frozen(tmp_path / "a", *specs), frozen(tmp_path / "b", *specs)
    worker.run(together, packed=True)
    worker.run(alone)
    for ours, theirs in zip(together, alone, strict=True):
        files = [sorted(file.name for file in each.rglob("*")) for each in (ours, theirs)]
        assert files[0] == files[1]
        assert state_of(ours)["state"] == state_of(theirs)["state"] == "done"
        assert (pack_of(ours), pack_of(theirs)) == (3, 1)
        for name in ("train.jsonl", "eval-*.jsonl"):
            for one, other in zip(rows(ours, name), rows(theirs, name), strict=True):
                assert one.keys() == other.keys()
                for key in one.keys() - set(TIMES):
                    assert one[key] == pytest.approx(other[key], rel=1e-7, abs=1e-9), key
    assert log_of(together[1]).count("trains in a pack of 3, beside seeds 0, 2\n") == 1
    assert "pack" not in log_of(alone[1])
    assert all(owner_of(path) is None for path in together)


def test_the_time_of_a_pack_is_shared_out_among_its_runs(whole: list[Path]) -> None:
    seconds = [state_of(path)["training_seconds"] for path in whole]
    assert seconds == [pytest.approx(seconds[0], rel=1e-9)] * 3


def test_a_checkpoint_of_one_holds_that_one_alone(tmp_path: Path, whole: list[Path]) -> None:
    (alone,) = frozen(tmp_path, SEEDS[0])
    worker.run([alone])
    sizes = [RunFolder(path).checkpoints()[0].stat().st_size for path in (*whole, alone)]
    assert max(sizes) < 1.2 * min(sizes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_stopped_pack_goes_on_with_the_same_bits_whoever_is_left_of_it(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    paths = frozen(tmp_path, *SEEDS)
    with monkeypatch.context() as patch:
        at_step(patch, 20, 1, lambda _: signal.raise_signal(number))
        worker.run(paths, packed=True)
    assert [RunFolder(path).kept_step() for path in paths] == [20, 20, 20]
    assert all(not (path / "state.json").exists() for path in paths)
    worker.run(paths[1:2])  # alone, in a stack of three
    assert "trains in a pack of 3, beside no other run, filled up with 2" in log_of(paths[1])
    worker.run([paths[2], paths[0]], packed=True)
    for path, other, spec in zip(paths, whole, SEEDS, strict=True):
        assert_same_run(path, other, spec)
        assert pack_of(path) == 3


def test_runs_that_stopped_at_unlike_steps_go_on_apart(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = frozen(tmp_path, *SEEDS)
    with monkeypatch.context() as patch:
        at_step(patch, 20, 1, lambda this: this.stop.ask("a test"))
        worker.run(paths, packed=True)
    with monkeypatch.context() as patch:
        at_step(patch, 40, 0, lambda this: this.stop.ask("a test"))
        worker.run(paths[:1], packed=True)
    assert [RunFolder(path).kept_step() for path in paths] == [40, 20, 20]
    worker.run(paths, packed=True)
    for path, other, spec in zip(paths, whole, SEEDS, strict=True):
        assert_same_run(path, other, spec)
        assert log_of(path).count("begins at step 0") == 1


def test_a_run_that_was_alone_stays_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = frozen(tmp_path, *SEEDS[:2])
    with monkeypatch.context() as patch:
        at_step(patch, 20, 0, lambda this: this.stop.ask("a test"))
        worker.run(paths[:1])
    worker.run(paths, packed=True)
    assert [pack_of(path) for path in paths] == [1, 1]
    (other,) = frozen(tmp_path / "other", SEEDS[0])
    worker.run([other])
    assert_same_run(paths[0], other, SEEDS[0])


@pytest.mark.parametrize("allowed", ["pack", "all"])
def test_another_pack_size_is_taken_where_that_is_allowed_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    paths = frozen(tmp_path, *SEEDS)
    with monkeypatch.context() as patch:
        at_step(patch, 20, 0, lambda this: this.stop.ask("a test"))
        worker.run(paths, packed=True)
    worker.run(paths[:2], packed=True, allow_numerics=[allowed])
    worker.run(paths[2:], allow_numerics=[allowed])
    assert [pack_of(path) for path in paths] == [2, 2, 1]
    assert "goes on under other numerics, as allowed: pack was 3, is 2" in log_of(paths[0])
    assert all(state_of(path)["state"] == "done" for path in paths)


def test_a_cancelled_run_leaves_and_the_others_go_on(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = frozen(tmp_path, *SEEDS)

    def cancel(this: session.Session) -> None:
        (this.folder.path / "cancel.json").write_text("{}")
        this.cancelled = True  # as the next heartbeat would

    with monkeypatch.context() as patch:
        at_step(patch, 30, 1, cancel)
        worker.run(paths, packed=True)
    assert [state_of(path)["state"] for path in paths] == ["done", "cancelled", "done"]
    assert state_of(paths[1])["step"] == 30
    assert_same_run(paths[0], whole[0], SEEDS[0])
    store = Store(tmp_path, "s")
    store.freeze(store.plan(SEEDS), "", "name: s\n")
    worker.run(paths, packed=True)
    assert_same_run(paths[1], whole[1], SEEDS[1])


def test_heartbeats_carry_a_cancelling_to_its_run_alone_and_of_all_to_the_process(
    tmp_path: Path,
) -> None:
    paths = frozen(tmp_path, *SEEDS[:2])
    stop = crew.StopRequest()
    together: list[crew.Member] = []
    place = session.Place()
    together += [crew.Member(path, stop, place, together) for path in paths]
    RunFolder(paths[0]).cancel_request.write_text("{}")
    for member in together:
        member._heed_a_cancelling()
    assert [member.cancelled for member in together] == [True, False]
    assert not stop()
    RunFolder(paths[1]).cancel_request.write_text("{}")
    for member in together:
        member._heed_a_cancelling()
    assert stop.reason == "cancelled"


def test_a_run_that_diverges_leaves_with_its_reason(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = session.Evaluator.score
    scored: list[int] = []

    def score(this: Any, fake: Any) -> dict[str, float]:
        scored.append(len(scored))
        return {"exact_w1": math.nan} if len(scored) == 5 else honest(this, fake)

    paths = frozen(tmp_path, *SEEDS)
    with monkeypatch.context() as patch:
        patch.setattr(session.Evaluator, "score", score)
        worker.run(paths, packed=True)
    assert [state_of(path)["state"] for path in paths] == ["done", "diverged", "done"]
    assert state_of(paths[1])["reason"] == "exact_w1 not finite at step 30"
    assert_same_run(paths[2], whole[2], SEEDS[2])


def test_a_divergence_in_training_ends_its_run_alone(tmp_path: Path) -> None:
    specs = [packable("wgan_gp", seed=seed, score_limit=limit()) for seed in range(3)]
    paths = frozen(tmp_path, *specs)
    worker.run(paths, packed=True)
    states = [state_of(path)["state"] for path in paths]
    assert sorted(states) == ["diverged", "done", "done"]
    fell = paths[states.index("diverged")]
    assert "largest_score" in state_of(fell)["reason"]
    assert state_of(fell)["step"] < 60


def limit() -> float:
    """A score that the seed with the largest one passes, and no other."""
    found = []
    for seed in range(3):
        largest = max(row["largest_score"] for row in LARGEST[seed])
        found.append(largest)
    first, second = sorted(found)[-1:-3:-1]
    return (first + second) / 2


LARGEST: dict[int, list[dict[str, Any]]] = {}


@pytest.fixture(autouse=True)
def _largest(whole: list[Path]) -> None:
    LARGEST.update({seed: rows(path, "train.jsonl") for seed, path in enumerate(whole)})


@pytest.mark.parametrize("where", ["evaluation", "checkpoint", "rows"])
def test_what_fails_of_one_run_fails_that_one_alone(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    owner, name, error = {
        "evaluation": (session.Session, "_see", RuntimeError("a bug of ours")),
        "checkpoint": (session.Session, "checkpoint", OSError(28, "No space left on device")),
        "rows": (session.Session, "record", OSError(5, "Input/output error")),
    }[where]
    honest = getattr(owner, name)

    def broken(this: session.Session, *rest: Any) -> Any:
        if this.spec.config.seed == 1 and this.state.step >= 30:
            raise error
        return honest(this, *rest)

    paths = frozen(tmp_path, *SEEDS)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        worker.run(paths, packed=True)
    assert [state_of(path)["state"] for path in paths] == ["done", "failed", "done"]
    assert_same_run(paths[0], whole[0], SEEDS[0])
    assert_same_run(paths[2], whole[2], SEEDS[2])
    worker.run(paths, packed=True)
    assert_same_run(paths[1], whole[1], SEEDS[1])


def test_a_run_whose_folder_goes_takes_no_other_with_it(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = frozen(tmp_path, *SEEDS)
    at_step(monkeypatch, 30, 1, lambda this: this.folder.path.rename(tmp_path / "gone"))
    with pytest.raises((LeaseLost, OSError)):
        worker.run(paths, packed=True)
    assert not paths[1].exists()
    assert_same_run(paths[0], whole[0], SEEDS[0])
    assert_same_run(paths[2], whole[2], SEEDS[2])


def test_a_wish_to_save_during_an_evaluation_saves_all_with_what_is_due_of_each(
    tmp_path: Path, whole: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seldom = [packable("wgan_gp", seed=seed, checkpoint_seconds=1000.0) for seed in range(3)]
    paths = frozen(tmp_path, *seldom)
    honest = session.Session._see
    kept: dict[Path, bytes] = {}

    def see(this: session.Session) -> Any:
        if this.state.step == 30 and this.spec.config.seed == 1:
            signal.raise_signal(signal.SIGUSR1)
            for path in paths:
                files = (RunFolder(path).checkpoints()[0], *path.glob("*.jsonl"))
                kept.update({file: file.read_bytes() for file in files})
        return honest(this)

    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "_see", see)
        worker.run(paths, packed=True)
    assert [RunFolder(path).kept_step() for path in paths] == [60] * 3
    # As they lay there at that moment.
    for path in paths:
        (path / "state.json").unlink()
        for each in RunFolder(path).checkpoints():
            each.unlink()
    for file, content in kept.items():
        file.write_bytes(content)
    assert [RunFolder(path).kept_step() for path in paths] == [30] * 3
    steps = [[row["step"] for row in rows(path, "eval-*.jsonl")] for path in paths]
    assert steps == [[0, 30], [0], [0]]
    worker.run(paths, packed=True)
    for path, other, spec in zip(paths, whole, SEEDS, strict=True):
        assert_same_run(path, other, spec)


def test_a_pack_whose_step_fails_is_halved_until_the_guilty_one_is_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no checkpoint yet, so that each begins anew in what is left."""
    specs = [packable("wgan_gp", seed=seed, checkpoint_seconds=1000.0) for seed in range(4)]
    honest = packed.train_packed

    def broken(configs: Any, *rest: Any, **options: Any) -> Any:
        if any(config.seed == 2 for config in configs):
            raise RuntimeError("CUDA out of memory")
        return honest(configs, *rest, **options)

    monkeypatch.setattr(packed, "train_packed", broken)
    paths = frozen(tmp_path, *specs)
    worker.run(paths, packed=True)
    assert [state_of(path)["state"] for path in paths] == ["done"] * 4
    assert [pack_of(path) for path in paths] == [2, 2, 1, 1]
    assert "its pack of 4 could not be trained: out of GPU memory" in log_of(paths[0])
    assert "its pack of 2 could not be trained" in log_of(paths[3])
    assert "Traceback" in log_of(paths[0])


def test_what_cannot_be_packed_is_trained_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "unpackable", lambda _: "no reason")
    paths = frozen(tmp_path, *SEEDS[:2])
    worker.run(paths, packed=True)
    assert [pack_of(path) for path in paths] == [1, 1]
    assert all(state_of(path)["state"] == "done" for path in paths)


def test_a_pack_that_can_be_trained_no_more_says_so_with_its_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = frozen(tmp_path, *SEEDS[:2])
    at_step(monkeypatch, 20, 0, lambda this: this.stop.ask("a test"))
    worker.run(paths, packed=True)
    monkeypatch.undo()
    monkeypatch.setattr(packed, "unpackable", lambda _: "its method has no packed form")
    worker.run(paths, packed=True)
    for path in paths:
        assert state_of(path)["state"] == "failed"
        assert "in a pack of 2 so far, and that can be done no more" in state_of(path)["reason"]
        assert "--allow-numerics pack" in state_of(path)["reason"]
    worker.run(paths, packed=True, allow_numerics=["pack"])
    assert [(state_of(path)["state"], pack_of(path)) for path in paths] == [("done", 1)] * 2


def test_runs_that_are_finished_or_elsewhere_are_left_out(tmp_path: Path) -> None:
    paths = frozen(tmp_path, *SEEDS)
    worker.run(paths[:1])
    before = (paths[0] / "state.json").stat().st_mtime_ns
    with take_lease(paths[1]):
        worker.run(paths, packed=True)
    assert (paths[0] / "state.json").stat().st_mtime_ns == before
    assert not (paths[1] / "log.txt").exists()
    assert (state_of(paths[2])["state"], pack_of(paths[2])) == ("done", 1)


def test_runs_of_unlike_settings_are_never_put_into_one_stack(tmp_path: Path) -> None:
    other: RunSpec = packable("wgan_gp", seed=5, batch_size=64)
    paths = frozen(tmp_path, *SEEDS[:2], other)
    worker.run(paths, packed=True)
    assert [pack_of(path) for path in paths] == [2, 2, 1]
    assert all(state_of(path)["state"] == "done" for path in paths)


def test_no_thread_of_a_pack_outlives_it(tmp_path: Path) -> None:
    before = threading.active_count()
    worker.run(frozen(tmp_path, *SEEDS), packed=True)
    assert threading.active_count() == before
