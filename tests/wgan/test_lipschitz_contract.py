"""Every registered Lipschitz method keeps the contract; methods that break it are found.

A new file in `wgan/lipschitz/` is tested here without a new test.
"""

from __future__ import annotations

from dataclasses import dataclass

import contract_checks as contract
import pytest
import torch
from small import registered
from torch import nn
from torch.nn.utils import parametrizations

from wgan.components import setting
from wgan.layers import linear_layers, reparametrise
from wgan.lipschitz import (
    LipschitzMethod,
    LipschitzNetwork,
    Orthonormal,
    SpectralNorm,
    WeightNormalization,
)
from wgan.lipschitz.spectral_norm import DividedByKernel


@pytest.mark.parametrize("method", registered(LipschitzMethod), ids=lambda method: method.name)
@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_method_passes(method, check):
    check(method)


def operator_norm():
    return SpectralNorm(of="operator")


def unit_rows():
    return WeightNormalization(form="unit")


def groups_that_do_not_fit():
    return LipschitzNetwork(group_size=3, iterations=12)


# Where a field changes what a method does, the contract must hold for that as well.
@pytest.mark.parametrize(
    ("made", "check"),
    [
        *((operator_norm, check) for check in contract.CHECKS[1:]),
        (unit_rows, contract.check_training),
        (unit_rows, contract.check_copies),
        (groups_that_do_not_fit, contract.check_training),
        (groups_that_do_not_fit, contract.check_bound),
    ],
)
def test_variant_passes(made, check):
    check(made)


# Methods that break the contract. They take the stream of `none`; a class without a name of its own
# registers nothing.


@dataclass(frozen=True)
class Planted(LipschitzMethod.named("none")):
    """No constraint, to be broken."""


@dataclass(frozen=True)
class TorchSpectralNorm(Planted):
    """Its vectors advance at every train-mode forward, so that looking changes training."""

    def wrap(self, critic, shape):
        for layer in critic.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                parametrizations.spectral_norm(layer)
        return critic


@dataclass(frozen=True)
class ShrinksWeights(Planted):
    def wrap(self, critic, shape):
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.mul_(0.5)
        return critic


@dataclass(frozen=True)
class DrawsFromEverybody(Planted):
    def wrap(self, critic, shape):
        torch.randn(3)
        return critic


@dataclass(frozen=True)
class PenaltyWithoutGraph(Planted):
    def penalty(self, critic, real, fake, rng):
        return critic(real).square().mean().detach()


@dataclass(frozen=True)
class PenaltyPerSample(Planted):
    def penalty(self, critic, real, fake, rng):
        return critic(real).square()


@dataclass(frozen=True)
class NegativePenalty(Planted):
    def penalty(self, critic, real, fake, rng):
        return -critic(real).square().mean()


@dataclass(frozen=True)
class PenaltyFromTheGlobalGenerator(Planted):
    def penalty(self, critic, real, fake, rng):
        return critic(real + torch.randn(real.shape)).square().mean()


@dataclass(frozen=True)
class BreaksWeights(Planted):
    def after_step(self, critic):
        with torch.no_grad():
            next(critic.parameters()).fill_(torch.nan)


@dataclass(frozen=True)
class PromisesTooMuch(Planted):
    @property
    def bound(self):
        return 0.01


@dataclass(frozen=True)
class HoldsItsPromise(Planted):
    """Each parameter in the Frobenius norm's unit ball: every dense layer is then 1-Lipschitz."""

    @property
    def bound(self):
        # A kernel of 4 x 4 at stride 2 meets each pixel 4 times: a factor sqrt(4) for each of two
        # convolutions.
        return 4.0

    def after_step(self, critic):
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.div_(parameter.norm().clamp(min=1))


@dataclass(frozen=True)
class HoldsState(Planted):
    """Its state lives outside the module, where neither a state dict nor a copy finds it."""

    def wrap(self, critic, shape):
        scale = [2.0]
        critic.register_forward_hook(lambda module, inputs, scores: scores * scale[0])
        critic.step_scale = scale
        return critic

    def after_step(self, critic):
        critic.step_scale[0] += 1.0


class Centred(nn.Module):
    def __init__(self, critic):
        super().__init__()
        self.critic = critic

    def forward(self, x):
        scores = self.critic(x)
        return scores - 0.01 * scores.mean()


@dataclass(frozen=True)
class CouplesTheBatch(Planted):
    def wrap(self, critic, shape):
        return Centred(critic)


@dataclass(frozen=True)
class HoldsAList(Planted):
    limits: tuple[float, ...] = setting((1.0,), "no scalar")


@dataclass(frozen=True)
class KernelNormCalledTheOperators(SpectralNorm):
    """The norm of the reshaped kernel, with the bound that only the operator's earns."""

    @property
    def bound(self):
        return 1.0


def advance(part, inputs):
    part.left, part.right = part.left.clone(), part.right.clone()
    part.iterate(inputs[0], 1)


@dataclass(frozen=True)
class VectorsThatAdvanceInForward(SpectralNorm):
    def wrap(self, critic, shape):
        critic = super().wrap(critic, shape)
        for module in critic.modules():
            if isinstance(module, DividedByKernel):
                module.register_forward_pre_hook(advance)
        return critic


@dataclass(frozen=True)
class OrthonormalKernelsWithoutTheOverlap(LipschitzNetwork):
    """The reshaped kernel orthonormal, not divided by the square root of the patch overlap."""

    def wrap(self, critic, shape):
        return Orthonormal().wrap(critic, shape)


class Mapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, weight):
        return self.function(weight)


def bjorck_from_the_raw_weight(weight):
    factor = weight.flatten(1)
    for _ in range(25):
        factor = 1.5 * factor - 0.5 * factor @ factor.t() @ factor
    return factor.view_as(weight)


def rescaled_without_shifts(weight):
    """Only the products of channels at one place, not of those that overlap when shifted."""
    rows = weight.flatten(1) if weight.shape[0] > 1 else weight.flatten(1).t()
    sums = (rows @ rows.t()).abs().sum(1).rsqrt()
    return weight * (sums.view(-1, *[1] * (weight.dim() - 1)) if weight.shape[0] > 1 else sums)


@dataclass(frozen=True)
class BjorckWithoutScaling(LipschitzNetwork):
    def wrap(self, critic, shape):
        for layer in linear_layers(critic).values():
            reparametrise(layer, Mapped(bjorck_from_the_raw_weight))
        return critic


@dataclass(frozen=True)
class RescaledWithoutShifts(LipschitzNetwork):
    def wrap(self, critic, shape):
        for layer in linear_layers(critic).values():
            reparametrise(layer, Mapped(rescaled_without_shifts))
        return critic


@dataclass(frozen=True)
class LeavesTheLastLayerFree(LipschitzNetwork):
    def wrap(self, critic, shape):
        critic = super().wrap(critic, shape)
        *_, last = linear_layers(critic).values()
        last.__class__ = nn.Linear
        return critic


def test_a_method_that_holds_its_bound_passes():
    contract.check_bound(HoldsItsPromise)


@pytest.mark.parametrize(
    ("method", "check"),
    [
        (TorchSpectralNorm, contract.check_forward_changes_nothing),
        (ShrinksWeights, contract.check_initial_weights),
        (DrawsFromEverybody, contract.check_initial_weights),
        (PenaltyWithoutGraph, contract.check_penalty),
        (PenaltyPerSample, contract.check_penalty),
        (NegativePenalty, contract.check_penalty),
        (PenaltyFromTheGlobalGenerator, contract.check_penalty),
        (BreaksWeights, contract.check_training),
        (PromisesTooMuch, contract.check_bound),
        (KernelNormCalledTheOperators, contract.check_bound),
        (OrthonormalKernelsWithoutTheOverlap, contract.check_bound),
        (BjorckWithoutScaling, contract.check_bound),
        (RescaledWithoutShifts, contract.check_bound),
        (LeavesTheLastLayerFree, contract.check_bound),
        (VectorsThatAdvanceInForward, contract.check_forward_changes_nothing),
        (HoldsState, contract.check_copies),
        (CouplesTheBatch, contract.check_scores_are_each_sample_s_own),
        (HoldsAList, contract.check_description),
        (Planted, contract.check_description),
    ],
)
def test_a_broken_contract_is_found(method, check):
    with pytest.raises((AssertionError, RuntimeError)):
        check(method)
