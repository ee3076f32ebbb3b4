"""Runs are of one cell where they cost the same, and of two where they may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny

from bench.spec import EvaluateSpec, RunSpec
from bench.speed.cells import begun, group, key_of, left
from bench.store import Planned
from wgan.config import TrainConfig

PENALTY = {"gradient_penalty": {"weight": 10.0}}


def changed(**fields: Any) -> RunSpec:
    return tiny("wgan_gp", **fields)


def planned(*specs: RunSpec, action: str = "run", step: int = 0) -> list[Planned]:
    return [Planned(spec, Path(), "pending", action, "-", step) for spec in specs]


SAME = {
    "seed": changed(seed=3),
    "steps": changed(steps=999),
    "size of a learning rate": changed(optimizer={"adam": {"lr": 0.5, "beta1": 0, "beta2": 0.9}}),
    "size of a penalty": changed(lipschitz={"gradient_penalty": {"weight": 0.1}}),
    "learning rate's schedule": changed(learning_rate="linear"),
    "warm-ups, which are counted": changed(warm_up_steps=3),
    "evaluations, which are counted": changed(evaluate=EvaluateSpec(every=7, samples=50)),
    "checkpoints, which are counted": changed(checkpoint_seconds=9.0),
}
OTHER = {
    "batch": changed(batch_size=9),
    "critic steps": changed(critic_steps=2),
    "width": changed(network={"mlp": {"width": 9}}),
    "dataset": changed(dataset="grid25"),
    "loss": changed(loss="hinge"),
    "optimizer": changed(optimizer={"rmsprop": {"lr": 1e-4}}),
    "average or none": changed(ema=0.99),
    "no penalty": changed(lipschitz={"gradient_penalty": {"weight": 0.0}}),
    "lazy penalty": changed(lipschitz={"gradient_penalty": {"every": 4}}),
    "points of a penalty": changed(lipschitz={"gradient_penalty": {"sides": "one"}}),
    "precision": changed(precision="float64"),
    "samples": changed(evaluate=EvaluateSpec(every=30, samples=51)),
    "looks": changed(evaluate=EvaluateSpec(every=30, samples=50, ascent_steps=5)),
    "rows": changed(log_every=1),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_speed_makes_no_cell_of_its_own(name: str) -> None:
    assert key_of(SAME[name]) == key_of(changed())


@pytest.mark.parametrize("name", OTHER)
def test_what_may_change_the_work_does(name: str) -> None:
    assert key_of(OTHER[name]) != key_of(changed())


def test_the_costliest_cell_comes_first_and_holds_what_is_left_to_train() -> None:
    cheap = [tiny("gan", seed) for seed in range(3)]
    dear = [tiny("wgan_gp", seed) for seed in range(2)]
    kept = planned(tiny("sngan"), action="keep")
    cells = group([*planned(*cheap), *kept, *planned(*dear)])
    assert [cell.spec.recipe for cell in cells] == ["wgan_gp", "gan"]
    assert [len(cell.runs) for cell in cells] == [2, 3]
    assert cells[0].cost == 2 * 60 * 6


def test_labels_of_one_speed_share_a_cell_and_its_name_says_so() -> None:
    specs = [
        replace(tiny("gan", optimizer={"adam": {"lr": lr}}), label=f"lr={lr}") for lr in (0.1, 0.2)
    ]
    (cell,) = group(planned(*specs))
    assert len(cell.runs) == 2
    assert cell.name == "lr=0.1 (+ 1 alike)"


def test_only_what_is_left_of_a_resumed_run_counts() -> None:
    (item,) = planned(tiny(steps=60), action="resume", step=45)
    assert (begun(item), left(item)) == (45, 15)
    (again,) = planned(tiny(steps=60), action="run", step=45)  # its checkpoints are gone
    assert (begun(again), left(again)) == (0, 60)


def test_every_field_of_a_configuration_is_counted_or_in_the_key() -> None:
    """A field that is added later is in the key unless somebody says that it costs nothing."""
    from bench.speed.cells import _COUNTED

    plain = TrainConfig().to_plain()
    assert set(_COUNTED["config"]) < set(plain)
    assert set(_COUNTED["evaluate"]) < set(EvaluateSpec().to_plain())
