"""Advice is given where it is true, with its gain as measured, and only there."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_speed_predict import ALONE, FIGURES
from tiny_runs import tiny

from bench import limits
from bench.speed import advice as module
from bench.speed.advice import Findings, advise
from bench.speed.cells import group
from bench.speed.figures import CellFigures, SideBySide, Timing
from bench.speed.measure import Alternative, Measured
from bench.speed.predict import predict
from bench.speed.trial import Arrangement
from bench.speed.units import Unit, units_of
from bench.store import Planned

TWO_SLOTS = Arrangement("local", 2)
BUSY = replace(  # trains nearly all of the time
    FIGURES,
    iteration=Timing.exactly(10.0),
    evaluation=Timing.exactly(1.0),
    first_evaluation=1.0,
    last_evaluation=1.0,
)


@pytest.fixture(autouse=True)
def four_quiet_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: 4)
    monkeypatch.setattr(limits, "usable_cores", lambda: 4)
    monkeypatch.setenv("PATH", "")
    for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"):
        monkeypatch.delenv(name, raising=False)


def findings(
    figures: CellFigures = BUSY,
    arrangement: Arrangement = TWO_SLOTS,
    runs: int = 4,
    share: float = 0.5,
    **measured: Any,
) -> Findings:
    planned = [Planned(tiny("gan", seed), Path(), "pending", "run", "-") for seed in range(runs)]
    cells = group(planned)
    measured.setdefault("beside", SideBySide(min(runs, arrangement.slots)))
    found = Measured(cells={cells[0].key: figures}, **measured)
    units = units_of(planned, ALONE)
    prediction = predict(units, {"gan": figures}, found.beside, server=found.server)
    return Findings(arrangement, units, cells, {"gan": figures}, found, prediction, {"gan": share})


def told(*args: Any, **named: Any) -> Sequence[str]:
    return advise(findings(*args, **named))


def test_a_sweep_that_is_as_fast_as_it_can_be_is_told_nothing() -> None:
    assert told() == []


def test_evaluations_that_take_most_of_the_time_are_told_with_what_half_as_many_save() -> None:
    """60 steps of 1 s; evaluations at 0, 30 and 60, 100 s each: one less of 360 s."""
    figures = replace(
        BUSY,
        iteration=Timing.exactly(1.0),
        evaluation=Timing.exactly(100.0),
        first_evaluation=100.0,
        last_evaluation=100.0,
        around=0.0,
        checkpoint=0.0,
    )
    (sentence,) = told(figures)
    assert sentence == (
        "evaluation takes 83% of the time: `evaluate: {every: 60}` in place of 30 would save 28%"
    )
    # Where those of step 0 and of the end are all there is, fewer save nothing.
    ends = replace(figures, evaluation=Timing.exactly(0.0))
    assert told(ends) == []


@pytest.mark.parametrize(("gain", "sentences"), [(1.04, 0), (0.5, 0), (1.06, 1), (2.0, 1)])
def test_what_was_tried_is_told_where_it_gained(gain: float, sentences: int) -> None:
    for name in ("--threads 2 (slots: 1)", "precision: bf16"):
        found = told(alternatives=[Alternative(name, gain)])
        assert len(found) == sentences
        assert all(f"`{name}` trained gan {gain:.2g} times as fast" in text for text in found)


def test_packs_are_told_where_they_would_gain_or_have_lost() -> None:
    """Four runs of 10 s an iteration as one model: in 20 s they gain, in 50 s they lose."""
    gains = replace(BUSY, pack=4, packed=Timing.exactly(20.0))
    loses = replace(BUSY, pack=4, packed=Timing.exactly(50.0))
    (sentence,) = told(gains)
    assert sentence.endswith("train 2 times as fast as one model of 4: leave `--no-pack` out")
    assert told(loses) == []
    for figures, told_of in ((gains, []), (loses, ["`--no-pack`"])):
        found = findings(figures)
        items = tuple(item for unit in found.units for item in unit.items)
        said = advise(replace(found, units=[Unit(items, 4)], arrangement=Arrangement("local", 1)))
        assert [text.rpartition(" ")[2] for text in said] == told_of


def test_slots_without_a_run_are_told_with_the_threads_that_would_use_them() -> None:
    (sentence,) = told(arrangement=Arrangement("local", 4), runs=2)
    assert sentence == "2 of 4 slots have no run to train; try `--threads 2`"


def test_a_gpu_that_nobody_uses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text('#!/bin/sh\necho "GPU 0: NVIDIA H100 (UUID: GPU-1234)"\n')
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert told() == ["a GPU is not used: this torch is built without CUDA"]
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert told() == ["a GPU is not used: `speed` with `--gpus all` measures what it would bring"]
    assert told(arrangement=Arrangement("local", 2, 1, ("GPU-1234",), 2)) == []


def test_runs_too_small_for_their_gpu_are_told_unless_more_at_once_helped() -> None:
    gpu = Arrangement("local", 1, 1, ("a",), 1)
    (sentence,) = told(arrangement=gpu, share=0.03)
    assert "too small for this GPU (gan reaches 3.0% of its peak)" in sentence
    assert told(arrangement=gpu, share=0.2) == []
    helped = told(arrangement=gpu, share=0.03, alternatives=[Alternative("--per-gpu 2", 1.9)])
    assert [text for text in helped if "too small" in text] == []


def test_iterations_that_wait_for_their_data_are_told() -> None:
    (sentence,) = told(replace(BUSY, batches=4.0))
    assert sentence.startswith("drawing batches takes 40% of an iteration of gan")


def test_runs_that_hold_each_other_up_are_told_but_not_on_a_busy_machine() -> None:
    slow = SideBySide(2, 2.5, 1.0, 1.0, 2.5)
    (sentence,) = told(beside=slow)
    assert "2 runs at once are slower than one after another: each takes 2.5 times" in sentence
    (sentence,) = told(beside=slow, load=3.0)
    assert "the machine was busy with something else" in sentence
    assert told(beside=replace(slow, training=1.9)) == []


def test_more_slots_than_cores_are_told_with_what_they_cost() -> None:
    many = Arrangement("local", 64, 1)
    (sentence,) = told(arrangement=many, runs=64, beside=SideBySide(64, 40.0, 40.0, 30.0, 50.0))
    assert sentence.endswith("runs will hold each other up; each takes 40 times as long as alone")


def test_threads_that_are_bound_to_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    (sentence,) = told()
    assert "unset OMP_PROC_BIND" in sentence


def test_swap_and_statistics_are_told() -> None:
    swap, statistics = told(swapped=50_000_000, statistics={"gan": 300.0})
    assert swap.startswith("50 MB were written to swap")
    assert statistics.startswith("the first run of gan took 5 min longer")
