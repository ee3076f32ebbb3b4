"""Every registered optimizer against its formula, written plainly, and the promises all keep.

A new optimizer needs its formula in `PLAIN`; everything else finds it by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import torch
from small import changed_singly, normal, registered, same
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.optimizers import SGD, Adam, AdamW, OptimisticAdam, Optimizer, RMSprop

every = pytest.mark.parametrize("made", registered(Optimizer), ids=lambda made: made.name)
SHAPES = [(3, 2), (4,), (1,)]


def directions_of_adam(settings, gradients: list[Tensor]) -> Iterator[Tensor]:
    """m^ / (sqrt(v^) + epsilon) at each step (Kingma and Ba 2014, Algorithm 1)."""
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        m = settings.beta1 * m + (1 - settings.beta1) * g
        v = settings.beta2 * v + (1 - settings.beta2) * g * g
        corrected = m / (1 - settings.beta1**t), v / (1 - settings.beta2**t)
        yield corrected[0] / (corrected[1].sqrt() + settings.epsilon)


def plain_adam(settings: Adam, theta: Tensor, gradients: list[Tensor]) -> Tensor:
    for u in directions_of_adam(settings, gradients):
        theta = theta - settings.lr * u
    return theta


def plain_adamw(settings: AdamW, theta: Tensor, gradients: list[Tensor]) -> Tensor:
    for u in directions_of_adam(settings, gradients):
        theta = theta - settings.lr * settings.weight_decay * theta - settings.lr * u
    return theta


def plain_optimistic_adam(
    settings: OptimisticAdam, theta: Tensor, gradients: list[Tensor]
) -> Tensor:
    before = 0.0
    for u in directions_of_adam(settings, gradients):
        theta = theta - 2 * settings.lr * u + settings.lr * before
        before = u
    return theta


def plain_rmsprop(settings: RMSprop, theta: Tensor, gradients: list[Tensor]) -> Tensor:
    v = b = 0.0
    for g in gradients:
        v = settings.alpha * v + (1 - settings.alpha) * g * g
        b = settings.momentum * b + g / (v.sqrt() + settings.epsilon)
        theta = theta - settings.lr * b
    return theta


def plain_sgd(settings: SGD, theta: Tensor, gradients: list[Tensor]) -> Tensor:
    b = 0.0
    for g in gradients:
        b = settings.momentum * b + g
        theta = theta - settings.lr * (g + settings.momentum * b if settings.nesterov else b)
    return theta


PLAIN: dict[str, Callable[..., Tensor]] = {
    "adam": plain_adam,
    "adamw": plain_adamw,
    "optimistic_adam": plain_optimistic_adam,
    "rmsprop": plain_rmsprop,
    "sgd": plain_sgd,
}


def weights(seed: int = 1, dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    return [nn.Parameter(normal(*shape, seed=seed).to(dtype)) for shape in SHAPES]


def feed(optimizer: torch.optim.Optimizer, gradients: list[list[Tensor]]) -> None:
    """One step for each entry, which holds a gradient for each parameter."""
    (group,) = optimizer.param_groups
    for step in gradients:
        for parameter, gradient in zip(group["params"], step, strict=True):
            parameter.grad = gradient.to(parameter.dtype).clone()
        optimizer.step()


def gradients_of(steps: int, seed: int = 2) -> list[list[Tensor]]:
    return [
        [normal(*shape, seed=seed + 10 * step) for shape in SHAPES] for step in range(1, steps + 1)
    ]


@every
@pytest.mark.parametrize("steps", [1, 4])
def test_steps_equal_the_plain_formula(made, steps):
    """With the defaults, with a large rate, and with each field changed."""
    for settings in (made(), made(lr=0.05), *changed_singly(made).values()):
        found, gradients = weights(), gradients_of(steps)
        feed(settings.build(found), gradients)
        for index, parameter in enumerate(weights()):
            plain = PLAIN[made.name](
                settings, parameter.detach(), [step[index] for step in gradients]
            )
            torch.testing.assert_close(found[index].detach(), plain, rtol=1e-12, atol=1e-12)


def test_nesterovs_momentum_equals_its_plain_formula():
    settings = SGD(lr=0.1, momentum=0.8, nesterov=True)
    found, gradients = weights(), gradients_of(5)
    feed(settings.build(found), gradients)
    plain = plain_sgd(settings, weights()[0].detach(), [step[0] for step in gradients])
    torch.testing.assert_close(found[0].detach(), plain, rtol=1e-12, atol=1e-12)


def valley(parameters: list[nn.Parameter]) -> Tensor:
    """A quadratic with curvatures .5 to 2, its minimum at 3."""
    return sum(
        (torch.linspace(0.5, 2, p.numel(), dtype=p.dtype).view(p.shape) * (p - 3) ** 2).sum()
        for p in parameters
    )


@every
def test_a_quadratic_is_minimised(made):
    parameters = weights()
    optimizer, begun = made(lr=0.02).build(parameters), valley(parameters).item()
    for _ in range(400):
        optimizer.zero_grad()
        valley(parameters).backward()
        optimizer.step()
    assert valley(parameters).item() < 1e-3 * begun


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_state_dict_carries_everything(made, dtype, tmp_path):
    """Training goes on bit for bit from a file read with `weights_only`, every field at work."""
    for settings in (made(), *changed_singly(made).values()):
        straight, gradients = weights(dtype=dtype), gradients_of(7)
        feed(settings.build(straight), gradients)

        first = weights(dtype=dtype)
        optimizer = settings.build(first)
        feed(optimizer, gradients[:3])
        torch.save([optimizer.state_dict(), [p.detach() for p in first]], tmp_path / "state.pt")

        state, values = torch.load(tmp_path / "state.pt", weights_only=True)
        second = [nn.Parameter(value) for value in values]
        resumed = settings.build(second)
        resumed.load_state_dict(state)
        feed(resumed, gradients[3:])
        assert same([p.detach() for p in second], [p.detach() for p in straight])


@every
def test_the_learning_rate_of_the_group_is_the_one_that_counts(made):
    """As a schedule sets it, between steps: halved it equals an optimizer built with half."""
    found, expected, gradients = weights(), weights(), gradients_of(3)
    scheduled = made(lr=0.08).build(found)
    assert [group["lr"] for group in scheduled.param_groups] == [0.08]
    for group in scheduled.param_groups:
        group["lr"] = 0.04
    feed(scheduled, gradients)
    feed(made(lr=0.04).build(expected), gradients)
    assert same([p.detach() for p in found], [p.detach() for p in expected])

    for group in scheduled.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in found]
    feed(scheduled, gradients)
    assert same([p.detach() for p in found], before)


@every
def test_weight_decay_is_decoupled_and_only_where_there_is_a_field_for_it(made):
    """Where every gradient is zero a weight keeps 1 - lr * weight_decay of itself, or all."""
    decays = "weight_decay" in {item.name for item in dataclasses.fields(made)}
    settings = made(**{"lr": 0.1, **({"weight_decay": 0.2} if decays else {})})
    parameters = weights()
    feed(settings.build(parameters), [[torch.zeros(shape) for shape in SHAPES]] * 3)
    for found, begun in zip(parameters, weights(), strict=True):
        kept = begun.detach() * (0.98**3 if decays else 1)
        torch.testing.assert_close(found.detach(), kept, rtol=1e-12, atol=0)


@every
def test_a_weight_without_a_gradient_stays_and_a_gradient_is_left_as_it_is(made):
    parameters = weights()
    optimizer = made(lr=0.1).build(parameters)
    gradient = normal(4, seed=5)
    parameters[1].grad = gradient.clone()
    optimizer.step()
    assert torch.equal(parameters[0], weights()[0])
    assert torch.equal(parameters[2], weights()[2])
    assert not torch.equal(parameters[1], weights()[1])
    assert torch.equal(parameters[1].grad, gradient)


@every
def test_an_optimizer_steps_after_a_closure(made):
    parameters = weights()
    optimizer = made(lr=1e-3).build(parameters)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = valley(parameters)
        loss.backward()
        return loss

    begun = valley(parameters).item()
    assert optimizer.step(closure).item() == begun
    assert valley(parameters).item() < begun


def game(settings: Optimizer, steps: int) -> list[float]:
    """min over x, max over y of x y by simultaneous steps from (1, 1): distances from the
    equilibrium.
    """
    x, y = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
    players = settings.build([x]), settings.build([y])
    distances = []
    for _ in range(steps):
        x.grad, y.grad = y.detach().clone(), -x.detach().clone()
        for player in players:
            player.step()
        distances.append((x.item() ** 2 + y.item() ** 2) ** 0.5)
    return distances


def test_optimistic_adam_solves_the_bilinear_game_where_adam_spirals():
    """Daskalakis et al. 2017: the last iterate of optimistic descent converges, that of descent
    leaves its starting circle. With Adam's own momentum neither finds it.
    """
    numbers = {"lr": 0.05, "beta1": 0.0, "beta2": 0.999}
    spiral, solved = game(Adam(**numbers), 2000), game(OptimisticAdam(**numbers), 2000)
    assert spiral[-1] > spiral[999] > 2
    assert solved[-1] < 1e-6
    numbers["beta1"] = 0.5
    assert min(game(Adam(**numbers), 2000)[-1], game(OptimisticAdam(**numbers), 2000)[-1]) > 2


def test_optimistic_adam_without_its_scaling_is_optimistic_mirror_descent():
    """With betas 0 and a huge epsilon u is g / epsilon: x_{t+1} = x_t - 2 eta g_t + eta g_{t-1}
    (equation 5). The linear recursion is computed beside it, and plain descent grows as
    sqrt(1 + eta^2) per step.
    """
    eta, epsilon = 0.3, 1e12
    found = game(OptimisticAdam(lr=eta * epsilon, beta1=0, beta2=0, epsilon=epsilon), 200)
    x = y = 1.0
    x_before = y_before = 0.0
    for t, distance in enumerate(found):
        gx, gy = y, -x
        x, y = x - 2 * eta * gx + eta * x_before, y - 2 * eta * gy + eta * y_before
        x_before, y_before = gx, gy
        assert distance == pytest.approx((x * x + y * y) ** 0.5, rel=1e-8), t
    assert found[-1] < 1e-3
    descent = game(SGD(lr=eta), 50)
    assert descent[-1] == pytest.approx(2**0.5 * (1 + eta**2) ** 25, rel=1e-12)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match=r"^nesterov: true is not allowed without momentum"):
        SGD(nesterov=True)
    with pytest.raises(
        ConfigError, match=r"^weight_decay: 20.0 is not allowed with lr 0.1: their product"
    ):
        AdamW(lr=0.1, weight_decay=20)
    for made in registered(Optimizer):
        with pytest.raises(ConfigError, match=r"^lr: 0.0 is not allowed: must be a number > 0"):
            made(lr=0)


def test_momentum_of_rmsprop_is_neutral_at_zero():
    assert "momentum" not in RMSprop().to_plain(for_id=True)["rmsprop"]
    assert RMSprop(momentum=0.9).to_plain(for_id=True)["rmsprop"]["momentum"] == 0.9
