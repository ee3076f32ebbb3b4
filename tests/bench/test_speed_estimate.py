"""What `plan` says of the time: from finished runs of this machine, else from kept figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from test_speed_predict import ALONE, FIGURES, PACKED
from tiny_runs import frozen, tiny

from bench import worker
from bench.backends.packing import Pack, form
from bench.cli import main
from bench.environment import code_hash
from bench.speed import estimate as module
from bench.speed.cells import key_of
from bench.speed.estimate import Estimate, spell_range
from bench.speed.estimate import estimate as from_packs
from bench.speed.figures import SideBySide, Timing
from bench.speed.kept import Kept, keep
from bench.speed.predict import pack_parts, run_parts
from bench.store import Planned, Store

OURS = replace(FIGURES, code=code_hash(), measured=1.79e9)
GAN, GP = [tiny("gan", seed) for seed in range(5)], [tiny("wgan_gp", seed) for seed in range(3)]


def estimate(planned: Sequence[Planned], folder: Path | None = None) -> Estimate | None:
    todo = [item for item in planned if item.action in ("run", "resume")]
    return from_packs(planned, form(todo, ALONE), folder)


def known(tmp_path: Path, cells: Mapping[str, Any], **more: Any) -> Path:
    folder = tmp_path / "kept"
    keep(Kept("--backend local", 2, 1.5, SideBySide(2, 1.2, 1.2, 1.1, 1.4), cells, **more), folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("trained")
    worker.run(frozen(results, *GAN)[:2])
    return results


@pytest.fixture
def results(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "results"))


def rewrite(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def ran(results: Path, seconds: float) -> None:
    """Have all finished runs taken so long."""
    for path in (results / "s").glob("*/state.json"):
        started = json.loads((path.parent / "env.json").read_text())["started"]
        rewrite(path, finished=started + seconds)


def test_nothing_known_nothing_estimated(tmp_path: Path) -> None:
    planned = Store(tmp_path, "s").plan(GAN)
    assert estimate(planned, tmp_path / "kept") is None


def test_nothing_to_train_nothing_estimated(results: Path, tmp_path: Path) -> None:
    folder = known(tmp_path, {key_of(GAN[0]): OURS})
    assert estimate(Store(results, "s").plan(GAN[:2]), folder) is None


def test_kept_figures_give_the_time_of_the_schedule(tmp_path: Path) -> None:
    folder = known(tmp_path, {key_of(GAN[0]): OURS})
    found = estimate(Store(tmp_path, "s").plan(GAN[:4]), folder)
    assert found is not None
    alone = run_parts(OURS, GAN[0]).total
    assert found.seconds.middle == pytest.approx(1.5 + 2 * 1.2 * alone)
    assert found.seconds.low < found.seconds.middle < found.seconds.high
    assert (found.source, found.guessed, found.other_code) == ("figures", 0, False)
    assert str(found).endswith("on 2 slots (measured 2026-09-21 on this machine; --backend local)")


def test_figures_of_other_code_are_used_and_said_to_be_so(tmp_path: Path) -> None:
    folder = known(tmp_path, {key_of(GAN[0]): replace(OURS, code="older")})
    found = estimate(Store(tmp_path, "s").plan(GAN), folder)
    assert found is not None
    assert found.other_code
    assert "on this machine with other code;" in str(found)


def test_runs_that_were_never_measured_are_reckoned_from_the_others_and_counted(
    tmp_path: Path,
) -> None:
    folder = known(tmp_path, {key_of(GAN[0]): OURS})
    found = estimate(Store(tmp_path, "s").plan([GAN[0], *GP]), folder)
    assert found is not None
    assert found.guessed == 3
    assert "3 runs like the others, by their work" in str(found)
    # 6 updates a step in place of 2: three times the iterations of a GAN.
    tripled = replace(OURS, iteration=OURS.iteration.times(3))
    work = [run_parts(tripled, GP[0]).total] * 3 + [run_parts(OURS, GAN[0]).total]
    assert found.seconds.middle == pytest.approx(
        1.5 + 1.2 * sum(work) / 2, rel=0.25
    )  # but for the end, where one slot is idle


def test_finished_runs_are_believed_before_figures(results: Path, tmp_path: Path) -> None:
    ran(results, 30.0)
    folder = known(tmp_path, {key_of(GAN[0]): OURS})
    found = estimate(Store(results, "s").plan(GAN), folder)
    assert found is not None
    assert found.source == "runs"
    rounds = -(-3 // found.slots)
    assert found.seconds.middle == pytest.approx(30.0 * rounds, rel=1e-6)
    assert "from finished runs, " in str(found)


def test_labels_without_finished_runs_take_their_share_of_updates(results: Path) -> None:
    ran(results, 30.0)
    found = estimate(Store(results, "s").plan([*GAN[:2], GP[0]]))
    assert found is not None
    assert found.seconds.middle == pytest.approx(90.0)
    assert found.guessed == 1


def test_runs_of_a_pack_take_what_was_measured_of_it(tmp_path: Path) -> None:
    ours = replace(PACKED, code=code_hash())
    folder = known(tmp_path, {key_of(GAN[0]): ours})
    planned = Store(tmp_path, "s").plan(GAN[:4])
    found = from_packs(planned, [Pack(tuple(planned))], folder)
    assert found is not None
    whole = pack_parts(ours, GAN[0], size=4, runs=4).total
    assert found.seconds.middle == pytest.approx(1.5 + whole)  # one slot, and nobody beside


def test_a_finished_run_of_a_pack_tells_its_share_of_the_time(results: Path) -> None:
    ran(results, 30.0)
    for path in (results / "s").glob("*/env.json"):
        numerics = json.loads(path.read_text())["numerics"]
        rewrite(path, numerics={**numerics, "pack": 10})
    found = estimate(Store(results, "s").plan(GAN))
    assert found is not None
    assert found.seconds.middle == pytest.approx(3.0 * -(-3 // found.slots))


def elsewhere(run: Path) -> None:
    rewrite(run / "env.json", cpu="another")


def other_torch(run: Path) -> None:
    rewrite(run / "env.json", versions={"torch": "0.0"})


def in_two_goes(run: Path) -> None:
    rewrite(run / "env.json", earlier=[{}])


def without_environment(run: Path) -> None:
    (run / "env.json").unlink()


def torn(run: Path) -> None:
    (run / "env.json").write_text("{")


@pytest.mark.parametrize("spoil", [elsewhere, other_torch, in_two_goes, without_environment, torn])
def test_runs_whose_time_says_nothing_of_this_machine_are_passed_over(
    results: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    for state in (results / "s").glob("*/state.json"):
        spoil(state.parent)
    assert estimate(Store(results, "s").plan(GAN), tmp_path / "kept") is None


def test_a_range_is_said_only_where_it_reads_otherwise() -> None:
    assert spell_range(Timing(12.0, 11.9, 12.2)) == "12 s"
    assert spell_range(Timing(12.0, 10.0, 15.0)) == "12 s (10 to 15 s)"
    assert spell_range(Timing(100.0, 80.0, 200.0)) == "2 min (80 s to 3 min)"
    assert spell_range(Timing(20000, 18000, 36000)) == "5 h 33 min (5 h 00 min to 10 h 00 min)"
    assert str(Estimate(Timing(1, 1, 1), 1, "-o", "runs", 0.0)).startswith(
        "estimated 1 s on 1 slot ("
    )


def test_plan_shows_it_or_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WGAN_BENCH_CACHE", str(tmp_path / "cache"))
    text = "name: s\nbase: {dataset: ring8, network: mlp, steps: 9}\ngrid: {seed: 0..1}\n"
    (tmp_path / "s.yaml").write_text(text)

    def plan(*options: str) -> str:
        answer = CliRunner().invoke(main, ["plan", "s.yaml", *options], catch_exceptions=False)
        assert answer.exit_code == 0
        return answer.stdout

    assert plan().endswith("time: wgan-bench speed s.yaml\nnext: wgan-bench run s.yaml\n")
    assert json.loads(plan("--json"))["estimate"] is None
    from bench.grid import load

    key = key_of(load(tmp_path / "s.yaml").runs[0])
    keep(Kept("--backend local", 1, 0.0, SideBySide(1), {key: OURS}))
    assert "\nestimated " in plan()
    assert json.loads(plan("--json"))["estimate"]["slots"] == 1


def test_however_many_runs_are_finished_a_hundred_at_most_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> dict[str, Any]:
        read.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(module, "read_json", counted)
    (pending,) = Store(tmp_path, "s").plan(GAN[:1])
    done = [
        replace(pending, spec=replace(pending.spec, label=str(number // 5)), state="done", final={})
        for number in range(1000)
    ]
    kept = [replace(item, action="keep") for item in done]
    assert estimate([pending, *kept], tmp_path / "kept") is None
    assert len(read) == 100
