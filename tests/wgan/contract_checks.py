"""The contract of a Lipschitz method (DESIGN, section 4), as checks that take a method's class.

`test_lipschitz_contract` passes every registered method through them, and plants methods that break
the contract.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable

import pytest
import torch
from bound_checks import assert_bounded
from small import DIGITS, rng, same, small
from torch import Tensor

from wgan.components import ConfigError, hints_of
from wgan.config import TrainConfig
from wgan.data import Data, Ring8
from wgan.lipschitz import LipschitzMethod
from wgan.train import TrainState, new_state, train

Method = type[LipschitzMethod]
RING = Ring8().load()
PLACES: dict[str, tuple[Data, dict[str, object]]] = {
    "dcgan on digits": (DIGITS, {}),
    "mlp on digits": (DIGITS, {"network": {"mlp": {"width": 8, "depth": 2}}}),
    "mlp on a ring": (RING, {"network": {"mlp": {"width": 8, "depth": 2}}, "dataset": "ring8"}),
}


def constrained(method: LipschitzMethod, place: str, **settings: object) -> TrainConfig:
    config = small(**{**PLACES[place][1], "critic_steps": 2, "steps": 3, **settings})
    return dataclasses.replace(config, lipschitz=(method,))


def trained(method: LipschitzMethod, place: str, **settings: object) -> tuple[TrainState, Data]:
    """A state after 3 steps under `method`."""
    config, data = constrained(method, place, **settings), PLACES[place][0]
    state = new_state(config, data)
    for pause in train(config, data, state, lambda: False):
        assert pause.diverged is None
    assert state.step == 3
    return state, data


def weights(state: TrainState) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in state.critic.parameters()]


def check_description(made: Method) -> None:
    """Frozen, scalar fields only, a reference, a version; named as its file is, and settable by
    name.
    """
    method = made()
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.every = 2  # type: ignore[misc]
    assert set(hints_of(made).values()) <= {int, float, bool, str}
    assert all(item.metadata["doc"] for item in dataclasses.fields(made))
    assert made.__module__.rpartition(".")[2] == made.name
    assert any(character.isdigit() for character in made.reference), "no year or number"
    assert type(made.version) is int
    assert made.version >= 1
    assert made.__doc__
    assert LipschitzMethod.from_plain(made.name) == method
    assert LipschitzMethod.from_plain(method.to_plain()) == method
    with pytest.raises(ConfigError):
        LipschitzMethod.from_plain({made.name: {"every": 0}})


def check_penalty(made: Method) -> None:
    """None, or a scalar >= 0 that the critic's parameters can lower; nobody's random numbers but
    its own.
    """
    for place, (data, _) in PLACES.items():
        state, _ = trained(made(), place)
        real, fake = data.batch(8, rng(1)), data.batch(8, rng(2))
        everybodys = torch.get_rng_state()
        penalty = made().penalty(state.critic, real, fake, rng(3))
        assert torch.equal(torch.get_rng_state(), everybodys)
        if penalty is None:
            continue
        assert penalty.shape == ()
        assert penalty >= 0
        assert penalty.requires_grad, "no graph"
        found = torch.autograd.grad(penalty, list(state.critic.parameters()), allow_unused=True)
        assert any(gradient is not None and gradient.any() for gradient in found)
        again = made().penalty(state.critic, real, fake, rng(3))
        assert torch.equal(penalty, again), "drawn from elsewhere than its own stream"


def check_forward_changes_nothing(made: Method) -> None:
    """Looking, in train mode or not, with or without gradients, leaves the state dict as it was,
    and scores agree.
    """
    for place in PLACES:
        state, data = trained(made(), place)
        before, points = copy.deepcopy(state.critic.state_dict()), data.batch(8, rng(1))
        looks = []
        for training in (True, False):
            state.critic.train(training)
            looks.append(state.critic(points).detach())
            with torch.no_grad():
                looks.append(state.critic(points))
        assert looks[0].shape == (8,)
        assert all(torch.equal(look, looks[0]) for look in looks)
        assert same(before, state.critic.state_dict()), "a forward changed the critic"


def check_initial_weights(made: Method) -> None:
    """`wrap` leaves the raw weights, under their names, and the random numbers of all others as
    they are. It may add parameters, and a module around the critic that holds it as `critic`.
    """
    for place, (data, _) in PLACES.items():
        everybodys = torch.get_rng_state()
        wrapped = new_state(constrained(made(), place), data)
        plain = new_state(constrained(LipschitzMethod.named("none")(), place), data)
        assert torch.equal(torch.get_rng_state(), everybodys)
        parameters = {
            name.removeprefix("critic."): value for name, value in wrapped.critic.named_parameters()
        }
        for name, value in plain.critic.named_parameters():
            assert torch.equal(parameters[name], value), f"wrap changed {name}"
        optimized = {
            id(p) for group in wrapped.critic_optimizer.param_groups for p in group["params"]
        }
        assert optimized == {id(p) for p in wrapped.critic.parameters()}


def check_training(made: Method) -> None:
    """Three steps move every critic weight and leave it finite; `after_step` alone does, too."""
    for place, (data, _) in PLACES.items():
        state, _ = trained(made(), place)
        begun = dict(new_state(constrained(made(), place), data).critic.named_parameters())
        # The Wasserstein loss does not depend on the last bias.
        *_, last_bias = (name for name in begun if name.endswith(".bias"))
        for name, weight in state.critic.named_parameters():
            assert name == last_bias or not torch.equal(weight, begun[name]), name
        for _ in range(3):
            made().after_step(state.critic)
        assert all(weight.isfinite().all() for weight in weights(state))
        with torch.no_grad():
            assert state.critic(data.batch(8, rng(1))).isfinite().all()


def check_copies(made: Method) -> None:
    """A state dict and a deep copy both carry everything, and a copy lives its own life."""
    for place, (data, _) in PLACES.items():
        state, _ = trained(made(), place)
        points = data.batch(8, rng(1))
        scores = state.critic(points).detach()

        fresh = new_state(constrained(made(), place, seed=9), data).critic
        assert not torch.equal(fresh(points), scores)
        fresh.load_state_dict(state.critic.state_dict())
        assert torch.equal(fresh(points), scores)

        copied, before = copy.deepcopy(state.critic), copy.deepcopy(state.critic.state_dict())
        assert torch.equal(copied(points), scores)
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.mul_(1.5).add_(0.01)
        made().after_step(copied)
        assert same(before, state.critic.state_dict()), "the copy shares the original's state"


def check_scores_are_each_sample_s_own(made: Method) -> None:
    """A sample's score does not depend on the others of its batch."""
    for place in PLACES:
        state, data = trained(made(), place, precision="float64")
        points = data.batch(8, rng(1)).double()
        with torch.no_grad():
            together = state.critic(points)
            alone = torch.cat([state.critic(point[None]) for point in points])
        torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-9)


def check_bound(made: Method) -> None:
    """Where a bound is promised, no slope and no ratio exceeds it, however steep the critic wants
    to be: neither after steps far too large nor when it has long been trained to tell.
    """
    method = made()
    if method.bound is None:
        return
    for place, lr in itertools.product(PLACES, (0.3, 0.01)):
        settings = {"optimizer": {"adam": {"lr": lr}}, "critic_steps": 6}
        state, data = trained(method, place, **settings)
        with torch.no_grad():
            fake = state.generator(torch.randn(16, 6, generator=rng(2)))
        assert_bounded(state.critic, method.bound, data.batch(16, rng(1)), fake)


CHECKS: tuple[Callable[[Method], None], ...] = (
    check_description,
    check_penalty,
    check_forward_changes_nothing,
    check_initial_weights,
    check_training,
    check_copies,
    check_scores_are_each_sample_s_own,
    check_bound,
)
