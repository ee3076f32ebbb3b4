"""The time of a run is what the loop really does, and that of a sweep what its slots really do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import tiny

from bench.backends.packing import Terms
from bench.spec import EvaluateSpec, RunSpec
from bench.speed.figures import CellFigures, SideBySide, Timing
from bench.speed.predict import (
    HIGH,
    LOW,
    extra_updates,
    pack_parts,
    packed_iteration,
    predict,
    run_parts,
    schedule,
)
from bench.speed.units import Unit, sizes_of, units_of
from bench.store import Planned
from wgan.train import new_state, train

ALONE = Terms(2, wanted=False)
FIGURES = CellFigures(
    iteration=Timing(0.01, 0.008, 0.02),
    update=0.002,
    first_evaluation=0.5,
    evaluation=Timing(0.1, 0.09, 0.2),
    last_evaluation=0.3,
    around=0.25,
    beside=0.01,
    checkpoint=0.04,
    batches=0.001,
    flops=1e6,
    convolutional=0.0,
    measured=0.0,
    code="c",
)


def played(work: list[float], slots: int, full: float) -> float:
    """The same schedule in small steps of time, each busy slot moving on by its share."""
    waiting, busy, now = list(work), [], 0.0
    while waiting or busy:
        while waiting and len(busy) < slots:
            busy.append(waiting.pop(0))
        slower = 1 + (full - 1) * (len(busy) - 1) / (slots - 1) if slots > 1 else 1.0
        step = min(busy)
        now += step * slower
        busy = [left - step for left in busy if left - step > 1e-12]
    return now


@given(st.lists(st.floats(0.01, 100), max_size=30), st.integers(1, 8), st.floats(1, 8, width=32))
@settings(max_examples=200, deadline=None)
def test_the_schedule_is_that_of_slots_that_take_the_next_when_free(
    work: list[float], slots: int, full: float
) -> None:
    assert schedule(work, slots, full) == pytest.approx(played(work, slots, full), rel=1e-9)


def test_equal_runs_fill_the_slots_round_by_round() -> None:
    assert schedule([10.0] * 7, 3) == 30.0
    assert schedule([10.0] * 6, 3, full=1.5) == 30.0
    assert schedule([10.0], 3, full=1.5) == 10.0  # alone, nobody slows it down
    assert schedule([], 3) == 0.0


def test_the_longest_go_first_only_where_the_backend_has_it_so() -> None:
    """1 1 2 on two slots: as they come 3, the longest first 2."""
    specs = [replace(tiny(steps=steps), label=str(steps)) for steps in (100, 100, 200)]
    figures = {label: only_training() for label in ("100", "200")}
    plan = items(*specs)
    as_they_come = units_of(plan, ALONE, ordered=False)
    assert predict(as_they_come, figures, SideBySide(2)).seconds.middle == pytest.approx(3)
    assert predict(units_of(plan, ALONE), figures, SideBySide(2)).seconds.middle == pytest.approx(2)


def test_the_time_before_the_first_run_and_what_slows_down_are_added() -> None:
    plan = items(*(replace(tiny(seed=seed, steps=100), label="l") for seed in range(4)))
    figures = {"l": only_training()}
    beside = SideBySide(2, training=1.5, evaluation=3.0, least=1.2, most=2.0)
    found = predict(units_of(plan, ALONE), figures, beside, server=7.0)
    assert found.seconds.middle == pytest.approx(7 + 2 * 1.5)
    assert found.seconds.low == pytest.approx(7 + 2 * 1.2 * 0.8)
    assert found.seconds.high == pytest.approx(7 + 2 * 2.0 * 2.0)
    assert found.parts == pytest.approx((4.0, 0.0, 0.0))
    assert (found.runs, found.slots) == (4, 2)


def test_what_is_kept_takes_no_time_and_what_is_resumed_takes_the_rest() -> None:
    spec = replace(tiny(steps=100), label="l")
    kept = items(spec, action="keep")
    resumed = items(spec, action="resume", step=75)
    found = predict(units_of([*kept, *resumed], ALONE), {"l": only_training()}, SideBySide(1))
    assert found.seconds.middle == pytest.approx(0.25)


def only_training() -> CellFigures:
    still = Timing.exactly(0.0)
    return replace(FIGURES, evaluation=still, first_evaluation=0.0, last_evaluation=0.0, around=0.0)


def items(*specs: RunSpec, action: str = "run", step: int = 0) -> list[Planned]:
    return [
        Planned(replace(spec, checkpoint_seconds=1e9), Path(), "pending", action, "-", step)
        for spec in specs
    ]


@pytest.mark.parametrize(("steps", "every"), [(12, 5), (12, 4), (12, 12), (12, 50), (0, 3), (1, 1)])
@pytest.mark.parametrize("step", [0, 4, 8])
def test_evaluations_are_counted_as_the_loop_makes_them(steps: int, every: int, step: int) -> None:
    step = min(step, steps)
    spec = tiny(steps=steps, evaluate=EvaluateSpec(every=every, samples=50), checkpoint_seconds=1e9)
    data = spec.config.dataset.load()
    state = new_state(spec.config, data)
    state.step, state.begun = step, step > 0
    pauses = train(spec.config, data, state, lambda: False, log_every=1, evaluate_every=every)
    made = sum(pause.evaluate for pause in pauses)
    first, last = int(step == 0), int(step < steps)
    expected = 0.5 * first + 0.3 * last + 0.1 * (made - first - last)
    assert run_parts(FIGURES, spec, step).evaluation == pytest.approx(expected)


@given(
    st.integers(0, 60), st.integers(0, 60), st.integers(0, 70), st.integers(0, 9), st.integers(1, 9)
)
@settings(max_examples=200, deadline=None)
def test_warm_ups_are_counted_as_the_loop_makes_them(
    steps: int, step: int, first: int, every: int, critic_steps: int
) -> None:
    step = min(step, steps)
    config = tiny(
        steps=steps,
        critic_steps=critic_steps,
        warm_up_steps=first,
        warm_up_every=every,
        warm_up_critic_steps=20,
    ).config
    made = sum(config.critic_steps_before(at) - critic_steps for at in range(step, steps))
    assert extra_updates(config, step) == made


def test_training_and_checkpoints_are_counted() -> None:
    spec = tiny(steps=1000, warm_up_steps=10, evaluate=EvaluateSpec(every=2000, samples=50))
    timed = run_parts(FIGURES, replace(spec, checkpoint_seconds=5.0))
    extra = 10 * (100 - spec.config.critic_steps)
    assert timed.training == pytest.approx(1000 * 0.01 + extra * 0.002)
    assert timed.around == pytest.approx(0.25 + math.floor((timed.training + 0.8) / 5) * 0.04)
    always = run_parts(FIGURES, replace(spec, checkpoint_seconds=0.0, log_every=10))
    assert always.around == pytest.approx(0.25 + 100 * 0.04)
    ends = [run_parts(FIGURES, spec, choose=choose).training for choose in (LOW, HIGH)]
    assert ends == pytest.approx([8 + extra * 0.002, 20 + extra * 0.002])


PACKED = replace(FIGURES, pack=4, packed=Timing.exactly(0.016), packed_around=0.55)


def test_a_pack_of_the_measured_size_takes_what_was_measured() -> None:
    """Four at once in 0.016 s in place of 0.01 s each; every one is evaluated by itself."""
    spec = tiny(steps=100, evaluate=EvaluateSpec(every=50, samples=50), checkpoint_seconds=1e9)
    found = pack_parts(PACKED, spec, size=4, runs=4)
    assert found == pytest.approx((100 * 0.016, 4 * (0.5 + 0.1 + 0.3), 0.55))
    assert pack_parts(PACKED, spec) == run_parts(FIGURES, spec)


def test_packs_of_other_sizes_lie_on_the_line_and_untried_ones_gain_nothing() -> None:
    assert packed_iteration(PACKED, 1) == pytest.approx(0.01)
    assert packed_iteration(PACKED, 2) == pytest.approx(0.012)
    assert packed_iteration(PACKED, 7) == pytest.approx(0.022)
    assert packed_iteration(FIGURES, 7) == pytest.approx(0.07)


def test_a_pack_fills_one_slot() -> None:
    """Eight runs as two packs of four on two slots: both end when one does."""
    plan = items(*(replace(tiny(seed=seed, steps=100), label="l") for seed in range(8)))
    packs = [Unit(tuple(plan[:4]), 4), Unit(tuple(plan[4:]), 4)]
    figures = {"l": replace(only_training(), pack=4, packed=Timing.exactly(0.016))}
    found = predict(packs, figures, SideBySide(2))
    assert found.seconds.middle == pytest.approx(1.6)
    assert found.runs == 8
    assert sizes_of(packs) == {"l": 4}
    assert sizes_of(units_of(plan, ALONE)) == {}


def test_warm_ups_of_a_pack_are_slower_as_its_iterations_are() -> None:
    spec = tiny(steps=10, warm_up_steps=10, checkpoint_seconds=1e9)
    extra = 10 * (100 - spec.config.critic_steps)
    found = pack_parts(PACKED, spec, size=4, runs=4).training
    assert found == pytest.approx(10 * 0.016 + extra * 0.002 * 1.6)
