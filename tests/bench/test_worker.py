"""The worker: what it leaves in a folder, at a good end and at bad ones."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_runs import assert_same_run, diverging, frozen, rows_of, state_of, tiny

from bench import session, worker
from bench.dead_critic import dead_since
from bench.evaluate import EvaluateError
from bench.lease import LeaseLost, owner_of
from bench.samples import picture
from bench.spec import EvaluateSpec
from bench.store import Store
from wgan.data import Digits, as_float


def test_a_finished_run_has_everything(tmp_path: Path) -> None:
    (path,) = frozen(tmp_path, tiny())
    worker.run([path])
    state = state_of(path)
    assert (state["state"], state["step"], state["dead_critic"]) == ("done", 60, False)
    assert sorted(item.name for item in (path / "checkpoints").iterdir()) == ["step-00000060.ckpt"]
    steps = [f"step-{step:08d}.png" for step in (0, 30, 60)]
    assert sorted(item.name for item in (path / "samples").iterdir()) == steps
    assert owner_of(path) is None
    environment = json.loads((path / "env.json").read_text())
    assert {"device", "threads", "torch", "code"} <= environment["numerics"].keys()
    protocol = json.loads((path / f"protocol-{state['protocol']}.json").read_text())
    assert protocol["id"] == state["protocol"]
    assert "done at step 60" in (path / "log.txt").read_text()


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    """Whoever dispatched it: a runner that planned before another one finished it, say."""
    (path,) = frozen(tmp_path, tiny(steps=10))
    worker.run([path])
    before = {item: item.stat().st_mtime_ns for item in path.rglob("*") if item.is_file()}
    worker.run([path])
    after = {item: item.stat().st_mtime_ns for item in path.rglob("*") if item.is_file()}
    assert after == before


def test_images_give_a_grid_of_pictures(tmp_path: Path) -> None:
    data = Digits().load()
    fake = as_float(data.train[:70])
    (tmp_path / "a.png").write_bytes(picture(fake, data))
    image = Image.open(tmp_path / "a.png").convert("L")
    assert image.size == (8 * 36 + 4, 8 * 36 + 4)
    # The second digit's pixels, enlarged four times, beside the first.
    shown = [[image.getpixel((40 + 4 * x, 4 + 4 * y)) for x in range(8)] for y in range(8)]
    assert shown == data.train[1, 0].tolist()


def test_a_run_without_steps_is_scored_once(tmp_path: Path) -> None:
    (path,) = frozen(tmp_path, tiny(steps=0))
    worker.run([path])
    assert state_of(path)["state"] == "done"
    assert len(rows_of(path)) == 1
    assert Store(tmp_path, "s").plan([tiny(steps=0)])[0].action == "keep"


def test_a_diverged_run_is_a_result_and_the_next_one_goes_on(tmp_path: Path) -> None:
    paths = frozen(tmp_path, diverging(), tiny())
    worker.run(paths)
    assert state_of(paths[0])["state"] == "diverged"
    assert "largest_score" in state_of(paths[0])["reason"]
    assert state_of(paths[1])["state"] == "done"


def test_scores_that_are_not_finite_are_a_divergence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.Evaluator, "score", lambda *_: {"exact_w1": math.nan})
    (path,) = frozen(tmp_path, tiny())
    worker.run([path])
    assert state_of(path)["state"] == "diverged"
    assert state_of(path)["reason"] == "exact_w1 not finite at step 0"
    (row,) = [json.loads(line) for line in next(path.glob("eval-*")).read_text().splitlines()]
    assert row["exact_w1"] is None
    assert row["nonfinite"] == ["exact_w1"]


def test_an_exception_ends_its_run_alone_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = session.diagnose

    def broken(config: Any, state: Any, *rest: Any, **looks: Any) -> dict[str, float]:
        if config.seed == 0 and state.step == 30:
            raise RuntimeError("a bug of ours")
        return honest(config, state, *rest, **looks)

    monkeypatch.setattr(session, "diagnose", broken)
    paths = frozen(tmp_path, tiny(seed=0), tiny(seed=1))
    worker.run(paths)
    failed = state_of(paths[0])
    assert (failed["state"], failed["reason"]) == ("failed", "RuntimeError: a bug of ours")
    assert failed["step"] == 30
    log = (paths[0] / "log.txt").read_text()
    assert "Traceback" in log
    assert log.splitlines()[-1].endswith("failed: RuntimeError: a bug of ours")
    assert state_of(paths[1])["state"] == "done"

    monkeypatch.undo()
    (planned,) = Store(tmp_path, "s").plan([tiny(seed=0)])
    assert (planned.state, planned.action) == ("failed", "resume")
    worker.run(paths[:1])
    (other,) = frozen(tmp_path / "other", tiny(seed=0))
    worker.run([other])
    assert_same_run(paths[0], other, tiny(seed=0))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EvaluateError("no weights; put them there"), "no weights; put them there"),
        (MemoryError(), "out of memory; take a smaller batch"),
        (OSError(28, "No space left on device"), "the disk of r/x (mounted at /"),
        (KeyError("k"), "KeyError: 'k'"),
    ],
)
def test_a_failure_is_explained(error: Exception, reason: str) -> None:
    assert worker.explain(error, Path("r/x"))[0].startswith(reason)


def test_an_unfit_metric_fails_with_its_sentence(tmp_path: Path) -> None:
    spec = tiny(evaluate=EvaluateSpec(every=30, samples=50, metrics=("fid",)))
    (path,) = frozen(tmp_path, spec)
    worker.run([path])
    assert state_of(path)["state"] == "failed"
    assert "'fid' does not fit the dataset" in state_of(path)["reason"]
    assert "Traceback" not in (path / "log.txt").read_text()


def test_a_worker_whose_lease_was_taken_writes_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = frozen(tmp_path, tiny())
    size = []

    def steal() -> None:
        if not size and (path / "train.jsonl").stat().st_size > 0:
            (path / "lease").rename(path / "lease.expired-x")
            size.append((path / "train.jsonl").stat().st_size)

    with pytest.raises(LeaseLost, match="another process has taken this run over"):
        worker.run([path], between=steal)
    assert (path / "train.jsonl").stat().st_size == size[0]
    assert not (path / "state.json").exists()


def row(step: int, estimate: float, error: float = 0.1, quality: float = 50.0) -> dict[str, float]:
    return {
        "step": step,
        "estimate_held_out": estimate,
        "estimate_held_out_error": error,
        "fid": quality,
        "score_mean": 1.0,
        "score_std": 0.5,
    }


DEAD, ALIVE = 0.29, 0.31  # three standard errors are 0.3


@pytest.mark.parametrize(
    ("rows", "since"),
    [
        ([row(1, DEAD), row(2, -DEAD), row(3, DEAD)], 1),
        ([row(1, DEAD), row(2, ALIVE), row(3, DEAD), row(4, DEAD)], None),
        ([row(1, DEAD), row(2, ALIVE), row(3, DEAD), row(4, DEAD), row(5, DEAD)], 3),
        ([row(n, DEAD, quality=19.0) for n in range(1, 5)], None),  # samples as good as real ones
        ([row(0, DEAD), row(1, DEAD), row(2, DEAD)], None),  # nothing was learnt at step 0
        ([row(n, 0.0015, error=0.0001) for n in range(1, 5)], None),  # small, but sure
        ([{**row(n, 5.0), "score_std": 9e-7} for n in (7, 8, 9)], 7),  # constant scores
    ],
)
def test_a_dead_critic_is_known_by_three_evaluations(
    rows: list[dict[str, float]], since: int | None
) -> None:
    assert dead_since(rows, lambda each: each.get("fid"), floor=10.0) == since


def test_a_dead_critic_is_written_to_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = session.diagnose

    def blind(*arguments: Any, **looks: Any) -> dict[str, float]:
        return {**honest(*arguments, **looks), "score_std": 0.0}

    monkeypatch.setattr(session, "diagnose", blind)
    spec = tiny(steps=90)
    (path,) = frozen(tmp_path, spec)
    worker.run([path])
    assert (state_of(path)["state"], state_of(path)["dead_critic"]) == ("done", True)
    assert bool(Store(tmp_path, "s").collect([spec]).runs["dead_critic"].item()) is True
