"""Measuring finds what runs really take: here runs whose times are known, trained by nobody."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tiny_runs import tiny

from bench.spec import RunSpec
from bench.speed import measure
from bench.speed.cells import Cell, group
from bench.speed.figures import SideBySide
from bench.speed.inside import Inside
from bench.speed.measure import TOGETHER, Measured, Measuring, compare, other_arrangements
from bench.speed.peaks import Peak
from bench.speed.trial import Arrangement, OutOfTime, Trial, Workshop, shortened, workshop
from bench.store import Planned

INSIDE = Inside(6e6, 1e6, 0.9, 1e-4, 0.02, 0.05)
STEP = {"gan": 0.001, "wgan": 0.004, "wgan_gp": 0.01}
ONCE_AND_EACH = (0.7, 0.3)  # what a model of n takes of the time of one: the sum, n times the last
EVALUATION, AROUND, SERVER, WAITED = 0.1, 0.3, 2.0, 0.01


class KnownShop:
    """A workshop in which every run takes what it is known to take; slots slow each other down.

    Attributes:
        trained: the specs of each call.
    """

    def __init__(self, slower: float = 1.0, failing: Sequence[str] = ()) -> None:
        self.slower, self.failing = slower, failing
        self.trained: list[list[RunSpec]] = []
        self.out_of_time: Callable[[RunSpec], bool] = lambda spec: False

    def train(
        self, specs: Sequence[RunSpec], arrangement: Arrangement, until: float
    ) -> list[Trial]:
        if any(map(self.out_of_time, specs)):
            raise OutOfTime
        self.trained.append(list(specs))
        if arrangement.packed and len(specs) > 1:
            return self.pack(specs)
        busy = min(arrangement.slots, len(specs))
        factor = (self.slower if busy > 1 else 1.0) / arrangement.threads**0.5
        gpu = 5.0 * bool(arrangement.gpus)
        return [
            self.trial(spec, factor, SERVER * (len(self.trained) == 1), gpu * (number == 0))
            for number, spec in enumerate(specs)
        ]

    def pack(self, specs: Sequence[RunSpec]) -> list[Trial]:
        """All in one process, whose rows share the time of the model evenly."""
        count = len(specs)
        share = ONCE_AND_EACH[0] / count + ONCE_AND_EACH[1]
        trials = [self.trial(spec, 1.0, 0.0, 0.0) for spec in specs]
        trials = [
            replace(
                trial,
                training=trial.training * share,
                blocks=tuple(block * share for block in trial.blocks),
            )
            for trial in trials
        ]
        spent = sum(trial.training + sum(trial.evaluations) for trial in trials)
        pictures = INSIDE.beside * sum(len(trial.evaluations) for trial in trials)
        wall = spent + pictures + AROUND + 0.1 * (count - 1)
        return [replace(trial, seconds=wall) for trial in trials]

    def trial(self, spec: RunSpec, factor: float, server: float, early: float) -> Trial:
        step = STEP[str(spec.recipe)] * factor
        steps, row = spec.config.steps, spec.log_every
        blocks = [step] * -(-steps // row)
        blocks[0] = step * 3  # the warm-up
        scored = 2 + (steps - 1) // spec.evaluate.every
        training = sum(blocks) * row
        evaluations = (2 * EVALUATION * factor, *[EVALUATION * factor] * (scored - 1))
        around = AROUND + early + INSIDE.beside * scored  # which no row of its times
        failed = spec.recipe in self.failing
        return Trial(
            "failed" if failed else "done",
            "no reason" if failed else "",
            WAITED + server,
            training + sum(evaluations) + around,
            training,
            tuple(blocks),
            evaluations,
        )


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "look_inside", lambda spec, device: INSIDE)
    monkeypatch.setattr(measure, "peak", lambda *asked: Peak(100.0, 80.0))
    monkeypatch.setattr(measure, "other_precisions", lambda spec, device: iter(()))
    monkeypatch.setattr(measure, "usable_cores", lambda: 4)


def cells_of(*recipes: str, seeds: int = 4, steps: int = 2000) -> list[Cell]:
    return group(
        [
            Planned(tiny(recipe, seed, steps), Path(), "pending", "run", "-")
            for recipe in recipes
            for seed in range(seeds)
        ]
    )


def measured(shop: KnownShop, arrangement: Arrangement, cells: Sequence[Cell]) -> Measured:
    return Measuring(cast(Workshop, shop), arrangement, 60.0, lambda text: None).go(cells)


def test_what_a_cell_takes_is_found_without_its_warm_up() -> None:
    cells = cells_of("gan", "wgan", "wgan_gp")
    found = measured(KnownShop(), Arrangement("local", 1), cells)
    for cell in cells:
        figures = found.cells[cell.key]
        step = STEP[str(cell.spec.recipe)]
        assert figures.iteration.middle == pytest.approx(step)
        assert figures.iteration.high == pytest.approx(step)
        assert figures.evaluation.middle == pytest.approx(EVALUATION + INSIDE.beside)
        assert figures.first_evaluation == pytest.approx(2 * EVALUATION + INSIDE.beside)
        assert figures.update == pytest.approx(step / 6)
        assert figures.gflops == pytest.approx(6e6 / step / 1e9)
        assert figures.around == pytest.approx(AROUND + WAITED)
    assert found.server == pytest.approx(SERVER)
    assert found.problems == {}
    assert found.peaks["float32"] == Peak(100.0, 80.0)


def test_how_much_runs_slow_each_other_down_is_found() -> None:
    shop = KnownShop(slower=1.3)
    found = measured(shop, Arrangement("local", 3), cells_of("gan", "wgan_gp"))
    assert found.beside.slots == 3
    assert found.beside.training == pytest.approx(1.3)
    assert found.beside.evaluation == pytest.approx(1.3)
    at_once = next(specs for specs in shop.trained if len(specs) == 3)
    assert {spec.recipe for spec in at_once} == {"wgan_gp"}  # the costliest
    assert len({spec.run_id for spec in at_once}) == 3


def test_no_more_run_at_once_than_there_are_to_train() -> None:
    shop = KnownShop(slower=1.3)
    found = measured(shop, Arrangement("local", 4), cells_of("gan", seeds=2))
    assert found.beside.slots == 2


def test_a_warm_up_is_no_part_of_the_comparison() -> None:
    """Five rows each, the first of them three times as long as the others."""
    alone = KnownShop().trial(shortened(tiny("gan"), 50, 50, 10), 1.0, 0, 0)
    slower = replace(alone, blocks=(9.0, *(1.5 * block for block in alone.blocks[1:])))
    assert compare(alone, [slower, slower]).training == pytest.approx(1.5)
    assert measure._settled(alone) == alone.blocks[1:]


def test_runs_side_by_side_are_never_faster_than_alone() -> None:
    alone = KnownShop().trial(tiny("gan"), 1.0, 0, 0)
    faster = KnownShop().trial(tiny("gan"), 0.8, 0, 0)
    assert compare(alone, [faster, faster]) == SideBySide(2)


def test_the_gain_of_other_threads_is_that_of_all_runs_together() -> None:
    """Two runs with two threads at 1.41 times the speed, against four at 1 / 1.5."""
    found = measured(KnownShop(slower=1.5), Arrangement("local", 4), cells_of("gan"))
    (tried,) = found.alternatives
    assert tried.name == "--threads 2 (slots: 2)"
    assert tried.gain == pytest.approx(2 / (1.5 / 2**0.5) / (4 / 1.5))


def test_other_arrangements_are_those_of_the_device() -> None:
    local = Arrangement("local", 2, 2)
    assert [arr.slots for _, arr in other_arrangements(local)] == [4]
    assert list(other_arrangements(Arrangement("inline"))) == []
    gpus = Arrangement("local", 2, 1, ("a", "b"), 1)
    assert [(name, arr.slots) for name, arr in other_arrangements(gpus)] == [("--per-gpu 2", 4)]


def test_what_a_gpu_s_process_loads_is_counted_once() -> None:
    """Later runs find a process that has loaded it."""
    cells = cells_of("gan")
    found = measured(KnownShop(), Arrangement("local", 1, 1, ("a",), 1), cells)
    assert found.server == pytest.approx(SERVER + 5.0)
    assert found.cells[cells[0].key].around == pytest.approx(AROUND + WAITED)


def test_the_loading_of_processes_is_no_measuring_time() -> None:
    """The first waits 2 s for a server; on a GPU each trial's process then loads for 5 s."""
    for gpus, credited in (((), SERVER + WAITED), (("a",), SERVER + WAITED + 2 * 5.0)):
        arrangement = Arrangement("local", 1, 1, gpus, 1)
        shop = KnownShop()
        measuring = Measuring(cast(Workshop, shop), arrangement, 60.0, lambda text: None)
        until = measuring.until
        measuring._measure(cells_of("gan")[0], 60.0)
        assert len(shop.trained) == 2
        assert measuring.until - until == pytest.approx(credited)


def test_what_runs_take_as_one_model_is_found() -> None:
    """Of four in one: 0.7 + 4 * 0.3 times the time of one, and 0.3 s more around."""
    shop, cells = KnownShop(), cells_of("gan", "wgan")
    key = cells[1].key
    measuring = Measuring(cast(Workshop, shop), Arrangement("local", 1), 60.0, lambda text: None)
    found = measuring.go(cells, {key: 4})
    figures = found.cells[key]
    step = STEP[str(cells[1].spec.recipe)]
    assert figures.pack == 4
    assert figures.packed.middle == pytest.approx(step * 1.9)
    assert figures.packed_around == pytest.approx(AROUND + WAITED + 0.3)
    assert found.cells[cells[0].key].pack == 1
    as_one = next(specs for specs in shop.trained if len(specs) == 4)
    assert len({spec.config.seed for spec in as_one}) == 4


def test_runs_that_fail_as_one_model_keep_their_figures_alone() -> None:
    shop, cells = KnownShop(), cells_of("gan")
    shop.out_of_time = lambda spec: spec.config.seed == 3
    measuring = Measuring(cast(Workshop, shop), Arrangement("local", 1), 60.0, lambda text: None)
    found = measuring.go(cells, {cells[0].key: 4})
    assert found.cells[cells[0].key].pack == 1
    assert found.problems == {"4 runs as one of gan": "there was no time left for it"}


def test_a_cell_that_fails_is_named_and_the_others_are_measured() -> None:
    cells = cells_of("gan", "wgan", "wgan_gp")
    first = cells[0]
    found = measured(KnownShop(failing=[str(first.spec.recipe)]), Arrangement("local", 2), cells)
    assert found.problems == {first.key: "it failed while it was measured: no reason"}
    assert set(found.cells) == {cell.key for cell in cells[1:]}
    assert found.beside.slots == 2


def test_what_takes_too_long_is_left_out_with_the_reason() -> None:
    shop, cells = KnownShop(), cells_of("gan", "wgan_gp")
    shop.out_of_time = lambda spec: spec.recipe == "wgan_gp"
    found = measured(shop, Arrangement("local", 2), cells)
    assert found.problems == {cells[0].key: "it takes longer than there was time to measure"}
    shop.out_of_time = lambda spec: spec.config.seed == 1 and spec.config.steps > 3
    found = measured(shop, Arrangement("local", 2), cells)
    assert found.problems == {TOGETHER: "there was no time left for it"}
    assert found.beside == SideBySide(2)


def test_without_time_the_cells_that_cost_least_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock that runs 20 s with every trial: two trials of each of two cells, and it is late."""
    now, shop, cells = [0.0], KnownShop(), cells_of("gan", "wgan", "wgan_gp")
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def slowly(spec: RunSpec) -> bool:
        now[0] += 20.0
        return False

    shop.out_of_time = slowly
    found = measured(shop, Arrangement("local", 1), cells)
    assert cells[0].key in found.cells
    assert found.problems[cells[2].key] == "there was no time left to measure it"


def test_a_real_trial_is_a_real_run_and_leaves_nothing_behind(tmp_path: Path) -> None:
    spec = shortened(tiny("gan", warm_up_steps=50), 12, 4, 3)
    assert spec.config.warm_up_steps == 0
    with workshop(tmp_path) as shop:
        (trial,) = shop.train([spec], Arrangement("inline"), time.monotonic() + 60)
    assert trial.state == "done"
    assert len(trial.blocks) == 4
    assert len(trial.evaluations) == 4
    assert trial.training == pytest.approx(3 * sum(trial.blocks))
    assert 0 < trial.training + sum(trial.evaluations) < trial.seconds
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cache"] == []


def test_a_trial_that_outlasts_its_time_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    spec = shortened(tiny("gan"), 10**6, 10**6, 1)
    with workshop(tmp_path) as shop, pytest.raises(OutOfTime):
        shop.train([spec], Arrangement("inline"), time.monotonic() + 0.3)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cache"] == []


def test_what_a_killed_measuring_left_is_swept_up(tmp_path: Path) -> None:
    host = os.uname().nodename
    gone, living = (tmp_path / f".speed-{host}-{pid}" for pid in (2**22 + 1, os.getppid()))
    for path in (gone, living):
        path.mkdir()
    with workshop(tmp_path):
        assert not gone.exists()
        assert living.exists()


def test_a_trial_that_diverges_says_so(tmp_path: Path) -> None:
    from tiny_runs import diverging

    spec = shortened(replace(diverging()), 60, 60, 1)
    with workshop(tmp_path) as shop:
        (trial,) = shop.train([spec], Arrangement("inline"), time.monotonic() + 60)
    assert trial.state == "diverged"
    assert "limit" in trial.reason
