"""What of an optimizer belongs to its device, and not to the training that it is loaded from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small import normal
from torch import nn

from wgan.checkpoint import _load_part
from wgan.optimizers import OptimisticSteps, set_learning_rate


def made() -> list[nn.Parameter]:
    return [nn.Parameter(normal(3, 4)), nn.Parameter(normal(5, seed=1))]


def optimistic(parameters: list[nn.Parameter], capturable: bool) -> OptimisticSteps:
    rate: Any = torch.tensor(0.05, dtype=torch.float64) if capturable else 0.05
    return OptimisticSteps(parameters, rate, 0.5, 0.9, 1e-8)


def feed(optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> None:
    for step in range(steps):
        for number, parameter in enumerate(optimizer.param_groups[0]["params"]):
            parameter.grad = normal(*parameter.shape, seed=100 * seed + 10 * step + number)
        optimizer.step()


def weights(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    found: list[nn.Parameter] = optimizer.param_groups[0]["params"]
    return found


def test_capturable_optimistic_steps_are_the_plain_ones():
    plain, capturable = (optimistic(made(), chosen) for chosen in (False, True))
    for rate in (0.05, 0.02):
        for optimizer in (plain, capturable):
            set_learning_rate(optimizer.param_groups[0], rate)
            feed(optimizer, 10)
    for ours, theirs in zip(weights(capturable), weights(plain), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("to_capturable", [False, True])
def test_optimistic_steps_go_on_from_the_other_devices_state(to_capturable):
    """A number of steps that is no tensor would be captured as it is and stand still."""
    before = optimistic(made(), not to_capturable)
    feed(before, 7)
    after = optimistic([nn.Parameter(p.detach().clone()) for p in weights(before)], to_capturable)
    _load_part(after, copy.deepcopy(before.state_dict()))
    for optimizer in (before, after):
        feed(optimizer, 5, seed=1)
    for ours, theirs in zip(weights(after), weights(before), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)
    steps = [state["step"] for state in after.state.values()]
    assert all(isinstance(step, torch.Tensor) == to_capturable for step in steps)
    assert [int(step) for step in steps] == [12, 12]
    assert after.param_groups[0].get("capturable", False) == to_capturable
    assert isinstance(after.param_groups[0]["lr"], torch.Tensor) == to_capturable


def test_the_kernels_of_the_device_are_kept_and_the_saved_rate_is_taken():
    """SGD's plain kernel reads a rate that is a tensor off the device, the fused one does not."""
    plain = torch.optim.SGD(made(), lr=0.1, momentum=0.5)
    feed(plain, 2)
    set_learning_rate(plain.param_groups[0], 0.03)
    rate = torch.tensor(0.1)
    fused = torch.optim.SGD(made(), lr=rate, momentum=0.5, fused=True)
    _load_part(fused, copy.deepcopy(plain.state_dict()))
    group = fused.param_groups[0]
    assert group["fused"] is True
    assert group["lr"] is rate
    assert rate.item() == pytest.approx(0.03, rel=1e-7)

    back = torch.optim.SGD(made(), lr=0.1, momentum=0.5)
    _load_part(back, copy.deepcopy(fused.state_dict()))
    assert back.param_groups[0]["fused"] is None
    assert type(back.param_groups[0]["lr"]) is float
