"""Small trainings for the tests of the core, and the ways to compare their states bit for bit."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wgan.components import Component, ConfigError
from wgan.config import TrainConfig
from wgan.data import Data, Digits
from wgan.recipes import RECIPES, recipe_settings
from wgan.train import Pause, TrainState, train

DIGITS = Digits().load()
RECIPE_NAMES = sorted(RECIPES)

# What must hold for every recipe is tested each time on one of each kind: a projection, a penalty,
# state in the layers, layers built anew; on all others among the slow tests.
_OF_EACH_KIND = ("wgan", "wgan_gp", "sngan", "lipschitz_wgan")
EACH_RECIPE = [
    pytest.param(name, marks=() if name in _OF_EACH_KIND else pytest.mark.slow)
    for name in RECIPE_NAMES
]


def small(recipe: str | None = None, **settings: Any) -> TrainConfig:
    """A recipe on digits with a network of width 4, batches of 8 and noise of 6; `settings`
    override.
    """
    return TrainConfig.from_plain(
        {
            "network": {"dcgan": {"width": 4}},
            "batch_size": 8,
            "noise_size": 6,
            "steps": 12,
            **(recipe_settings(recipe) if recipe else {}),
            **settings,
        }
    )


def allows(recipe: str, critic_norm: str) -> bool:
    """Whether the recipe's method stands this normalisation between the critic's layers."""
    try:
        small(recipe, critic_norm=critic_norm)
    except ConfigError:
        return False
    return True


def never() -> bool:
    return False


def follow(
    config: TrainConfig,
    state: TrainState,
    look: Callable[[Pause], None] = lambda pause: None,
    data: Data = DIGITS,
    log_every: int = 5,
    evaluate_every: int = 4,
) -> list[dict[str, Any]]:
    """Train `state` to the end, calling `look` at every pause; returns all rows."""
    rows = []
    for pause in train(
        config, data, state, never, log_every=log_every, evaluate_every=evaluate_every
    ):
        rows.extend(pause.rows)
        look(pause)
    return rows


def contents(state: TrainState) -> dict[str, Any]:
    """A copy of everything in `state` that training changes, times excepted."""
    return copy.deepcopy(
        {
            "generator": state.generator.state_dict(),
            "critic": state.critic.state_dict(),
            "generator_optimizer": state.generator_optimizer
            and state.generator_optimizer.state_dict(),
            "average": state.average and state.average.state_dict(),
            "critic_optimizer": state.critic_optimizer.state_dict(),
            "streams": {name: rng.get_state() for name, rng in state.streams.items()},
            "counters": [state.step, state.critic_updates, state.images_seen, state.begun],
            "window": [
                [list(step) for step in state.window.critic],
                list(state.window.generator_losses),
                list(state.window.critic_gradients),
                list(state.window.generator_gradients),
            ],
        }
    )


def same(left: Any, right: Any) -> bool:
    """Whether two nested structures hold bit-equal values."""
    if isinstance(left, Tensor):
        return isinstance(right, Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def largest_gap(left: Iterable[Tensor], right: Iterable[Tensor]) -> float:
    """The largest absolute difference between two lists of tensors."""
    return max(
        (x.double() - y.double()).abs().max().item() for x, y in zip(left, right, strict=True)
    )


def without_times(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key != "training_seconds"} for row in rows]


def registered(family: type[Component]) -> list[Any]:
    """Every component of a family as a parameter of a test, its defaults taken."""
    return [chosen for _, chosen in sorted(family.registry.items())]


def another(value: object, item: dataclasses.Field[Any]) -> object:
    """Some other allowed value of a field."""
    allowed = item.metadata["range"]
    if allowed.choices is not None:
        return next(choice for choice in allowed.choices if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}/other"
    if isinstance(value, int):
        return value + 1 if allowed.holds(value + 1) else value - 1
    return next(
        other for other in (value / 2, value + 0.25) if allowed.holds(other) and other != value
    )


# What a field cannot be changed without.
_BESIDE = {("sgd", "nesterov"): {"momentum": 0.5}}


def changed_singly(made: type[Component]) -> dict[str, Any]:
    """For each field of a component the component with that field changed."""
    return {
        item.name: made(
            **{item.name: another(item.default, item), **_BESIDE.get((made.name, item.name), {})}
        )
        for item in dataclasses.fields(made)
    }


@contextmanager
def unregistered_after(family: type[Component]) -> Iterator[None]:
    """Components that a test defines are forgotten again, so that no other test meets them."""
    before = dict(family.registry)
    try:
        yield
    finally:
        family.registry.clear()
        family.registry.update(before)


class Linear(nn.Module):
    """f(x) = a.x, whose gradient is `a` everywhere; keeps the points it was asked about."""

    def __init__(self, slope: Tensor) -> None:
        super().__init__()
        self.slope = nn.Parameter(slope.clone())
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return x.flatten(1) @ self.slope.flatten()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Float64, so that closed forms can be compared closely."""
    return torch.randn(*shape, generator=rng(seed), dtype=torch.float64)
