"""Packs of small trainings for the tests, and what must be equal between a pack and one alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.wgan.small import contents, never, without_times
from wgan.config import TrainConfig
from wgan.iteration import Eager
from wgan.packed import train_packed
from wgan.state import TrainState, new_state
from wgan.train import train

TOLERANCE = 1e-8  # in float64, after 50 steps


def toy(**settings: Any) -> TrainConfig:
    """A small multilayer perceptron on the ring of 8, in float64; `settings` override."""
    return TrainConfig.from_plain(
        {
            "dataset": "ring8",
            "network": {"mlp": {"width": 16, "depth": 2}},
            "batch_size": 16,
            "noise_size": 5,
            "critic_steps": 2,
            "steps": 50,
            "precision": "float64",
            **settings,
        }
    )


def images(**settings: Any) -> TrainConfig:
    """A small DCGAN on digits, all of whose convolutions are a matrix, in float64."""
    network = {"dcgan": {"width": 8}}
    return toy(**{"dataset": "digits", "network": network, "noise_size": 8, **settings})


def seeds_of(config: TrainConfig, count: int) -> list[TrainConfig]:
    """The training from seeds 0 to count - 1."""
    return [config.with_seed(seed) for seed in range(count)]


def alone(
    config: TrainConfig, device: str = "cpu", **looks: Any
) -> tuple[TrainState, list[dict[str, Any]]]:
    """The state at the end of an eager training alone, and its rows."""
    data = config.dataset.load().to(device)
    state = new_state(config, data, device)
    pauses = train(config, data, state, never, iterate=Eager(config, data, state), **looks)
    return state, [row for pause in pauses for row in pause.rows]


def packed(
    configs: list[TrainConfig], size: int = 0, device: str = "cpu", **looks: Any
) -> tuple[list[TrainState], list[list[dict[str, Any]]]]:
    """The states at the end of a pack, and each one's rows."""
    data = configs[0].dataset.load().to(device)
    states = [new_state(config, data, device) for config in configs]
    rows: list[list[dict[str, Any]]] = [[] for _ in configs]
    for packed_pause in train_packed(
        configs, data, states, never, size=size or len(configs), **looks
    ):
        for kept, pause in zip(rows, packed_pause.pauses, strict=True):
            kept += pause.rows if pause is not None else []
    return states, rows


def gap(left: Any, right: Any) -> float:
    """The largest difference between two nested structures of like form, in parts of a number
    where that is beyond 1; streams must be equal.

    Raises:
        AssertionError: their forms differ, or what is no float.
    """
    if isinstance(left, Tensor):
        assert left.shape == right.shape
        assert left.dtype == right.dtype
        if not left.is_floating_point():
            assert torch.equal(left, right)
            return 0.0
        return (
            ((left - right).abs() / left.abs().clamp(min=1)).max().item() if left.numel() else 0.0
        )
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        return max((gap(left[key], right[key]) for key in left), default=0.0)
    if isinstance(left, list | tuple):
        assert len(left) == len(right)
        return max(map(gap, left, right), default=0.0)
    if isinstance(left, float):
        return abs(left - right) / max(1.0, abs(left))
    assert left == right
    return 0.0


def gap_of_states(left: TrainState, right: TrainState) -> float:
    """The largest difference between all that two trainings hold."""
    return gap(contents(left), contents(right))


def check_equals_alone(device: str = "cpu", **settings: Any) -> None:
    """Three toys in a pack of four against each of them alone."""
    check_pack_of(toy(**settings), device)


def check_pack_of(config: TrainConfig, device: str = "cpu") -> None:
    """Three trainings in a pack of four against each of them alone."""
    configs = seeds_of(config, 3)
    states, rows = packed(configs, 4, device, log_every=20, evaluate_every=25)
    for config, state, row in zip(configs, states, rows, strict=True):
        expected_state, expected_rows = alone(config, device, log_every=20, evaluate_every=25)
        assert gap_of_states(expected_state, state) < TOLERANCE
        assert gap(without_times(expected_rows), without_times(row)) < TOLERANCE
