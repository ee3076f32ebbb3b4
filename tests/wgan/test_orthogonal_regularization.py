"""Orthogonal regularisation against loops over entries and against singular values."""

from __future__ import annotations

import pytest
import torch
from small import DIGITS, follow, normal, rng, small
from test_planted_bugs import red
from torch import Tensor, nn

from wgan.data import Ring8
from wgan.lipschitz import SpectralNorm
from wgan.lipschitz.orthogonal_regularization import OrthogonalRegularization
from wgan.train import new_state

# Wide, tall, square and a single row; dense and convolutional.
SHAPES = ((3, 7), (7, 3), (4, 4), (1, 5), (5, 2, 3, 3), (9, 1, 2, 2))
NOTHING = torch.empty(0)


def layer_with(weight: Tensor) -> nn.Module:
    """A layer of this weight, with a bias that must not count."""
    if weight.dim() == 2:
        layer: nn.Module = nn.Linear(weight.shape[1], weight.shape[0])
    else:
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2:])
    layer.double()
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def penalty_of(made, critic: nn.Module, **settings) -> Tensor:
    return made(**{"weight": 1.0, **settings}).penalty(critic, NOTHING, NOTHING, rng())


def by_loops(weight: Tensor, form: str) -> float:
    """The cost, entry by entry of the Gram matrix of rows or columns, whichever are fewer."""
    matrix = weight.flatten(1)
    vectors = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
    cost = 0.0
    for i, left in enumerate(vectors.tolist()):
        for j, right in enumerate(vectors.tolist()):
            product = sum(x * y for x, y in zip(left, right, strict=True))
            if i != j:
                cost += product**2
            elif form == "frobenius":
                cost += (product - 1) ** 2
    return cost


def orthonormal(rows: int, columns: int) -> Tensor:
    """Orthonormal rows, or columns where those are fewer."""
    square, _ = torch.linalg.qr(normal(max(rows, columns), max(rows, columns), seed=3))
    return square[:rows, :columns]


def check_each_entry(made) -> None:
    for number, shape in enumerate(SHAPES):
        weight = normal(*shape, seed=number)
        for form in ("frobenius", "brock"):
            penalty = penalty_of(made, layer_with(weight), weight=0.7, form=form)
            assert penalty.shape == ()
            assert penalty.item() == pytest.approx(0.7 * by_loops(weight, form), rel=1e-10), shape


def check_singular_values(made) -> None:
    """`frobenius` is the sum of (s^2 - 1)^2 over the singular values; its gradient, 4 (WW' - I) W,
    is the same from either side.
    """
    for number, shape in enumerate(SHAPES):
        layer = layer_with(normal(*shape, seed=number))
        matrix = layer.weight.detach().flatten(1)
        penalty = penalty_of(made, layer)
        values = torch.linalg.svdvals(matrix)
        assert penalty.item() == pytest.approx((values**2 - 1).square().sum().item(), rel=1e-10)
        (gradient,) = torch.autograd.grad(penalty, layer.weight)
        other_side = 4 * (matrix @ matrix.t() - torch.eye(len(matrix)).double()) @ matrix
        torch.testing.assert_close(gradient.flatten(1), other_side, rtol=1e-9, atol=1e-10)


def check_zero_where_it_should_be(made) -> None:
    """Orthonormal matrices cost nothing in either form; orthogonal ones of another length cost
    nothing in `brock` alone.
    """
    for rows, columns in ((3, 7), (7, 3), (4, 4), (1, 5)):
        matrix = orthonormal(rows, columns)
        lengths = torch.arange(2.0, 2 + min(rows, columns)).double()
        stretched = lengths[:, None] * matrix if rows <= columns else matrix * lengths
        for form in ("frobenius", "brock"):
            assert penalty_of(made, layer_with(matrix), form=form).item() < 1e-24
        assert penalty_of(made, layer_with(stretched), form="brock").item() < 1e-20
        expected = (lengths**2 - 1).square().sum().item()
        found = penalty_of(made, layer_with(stretched), form="frobenius").item()
        assert found == pytest.approx(expected, rel=1e-10)


def check_sum_over_layers(made) -> None:
    """Every dense and convolutional layer once, however deep it lies; no bias, no norm's scale."""
    weights = normal(4, 3, 2, 2, seed=1), normal(5, 6, seed=2), normal(1, 5, seed=3)
    first, *rest = map(layer_with, weights)
    norm = nn.GroupNorm(2, 4).double()
    critic = nn.Sequential(first, norm, nn.Sequential(nn.Flatten(), *rest))
    for form in ("frobenius", "brock"):
        expected = sum(by_loops(weight, form) for weight in weights)
        penalty = penalty_of(made, critic, form=form)
        assert penalty.item() == pytest.approx(expected, rel=1e-10)
        found = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
        touched = [gradient is not None for gradient in found]
        assert touched == [parameter.dim() >= 2 for parameter in critic.parameters()]


CHECKS = (
    check_each_entry,
    check_singular_values,
    check_zero_where_it_should_be,
    check_sum_over_layers,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_orthogonal_regularization_passes(check):
    check(OrthogonalRegularization)


class LargerSide(OrthogonalRegularization):
    def _cost(self, matrix):
        return super()._cost(torch.cat([matrix, torch.zeros_like(matrix[:1])]))


class MissingSquare(OrthogonalRegularization):
    def _cost(self, matrix):
        return super()._cost(matrix).sqrt()


class KernelByRows(OrthogonalRegularization):
    """A kernel reshaped to (out * in * height, width)."""

    def penalty(self, critic, real, fake, rng):
        layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        costs = [self._cost(layer.weight.flatten(0, -2)) for layer in layers]
        return self.weight * torch.stack(costs).sum()


class DenseLayersOnly(OrthogonalRegularization):
    def penalty(self, critic, real, fake, rng):
        layers = [m for m in critic.modules() if isinstance(m, nn.Linear)]
        return self.weight * sum((self._cost(layer.weight) for layer in layers), torch.zeros(()))


class DirectLayersOnly(OrthogonalRegularization):
    def penalty(self, critic, real, fake, rng):
        layers = [critic, *critic.children()]
        layers = [m for m in layers if isinstance(m, nn.Linear | nn.Conv2d)]
        return self.weight * sum((self._cost(m.weight.flatten(1)) for m in layers), torch.zeros(()))


class MeanOverLayers(OrthogonalRegularization):
    def penalty(self, critic, real, fake, rng):
        layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        return super().penalty(critic, real, fake, rng) / len(layers)


class Detached(OrthogonalRegularization):
    def _cost(self, matrix):
        return super()._cost(matrix.detach())


BUGS = {
    LargerSide: {"check_each_entry", "check_singular_values"},
    MissingSquare: {"check_each_entry", "check_singular_values", "check_zero_where_it_should_be"},
    KernelByRows: {"check_each_entry", "check_singular_values"},
    DenseLayersOnly: {"check_each_entry", "check_sum_over_layers"},
    DirectLayersOnly: {"check_sum_over_layers"},
    MeanOverLayers: {"check_sum_over_layers"},
    Detached: {"check_singular_values", "check_sum_over_layers"},
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_turns_its_checks_red(bug):
    assert red(CHECKS, bug) >= BUGS[bug]


def test_layers_that_another_method_normalises_count_with_their_raw_weight():
    plain, wrapped = (new_state(small(), DIGITS).critic for _ in range(2))
    wrapped = SpectralNorm().wrap(wrapped, DIGITS.shape)
    for form in ("frobenius", "brock"):
        before = penalty_of(OrthogonalRegularization, plain, form=form).item()
        penalty = penalty_of(OrthogonalRegularization, wrapped, form=form)
        assert penalty.item() == before
        weights = [p for p in wrapped.parameters() if p.dim() >= 2]
        found = torch.autograd.grad(penalty, weights, allow_unused=True)
        assert all(gradient is not None for gradient in found)


def test_descent_on_the_penalty_alone_ends_at_orthonormal_layers():
    critic = nn.Sequential(*(layer_with(0.5 * normal(*shape, seed=2)) for shape in SHAPES))
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        penalty_of(OrthogonalRegularization, critic).backward()
        optimizer.step()
    for layer in critic:
        values = torch.linalg.svdvals(layer.weight.detach().flatten(1))
        torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_published_weight_hardly_holds_a_wasserstein_critic():
    """What the docstring says: the singular values of the middle layer after 500 steps."""
    ring, spread = Ring8().load(), {}
    for weight in (1e-4, 1.0):
        config = small(
            dataset="ring8",
            network={"mlp": {"width": 32, "depth": 2}},
            batch_size=64,
            steps=500,
            lipschitz={"orthogonal_regularization": {"weight": weight}},
            optimizer={"adam": {"lr": 1e-3, "beta1": 0.0, "beta2": 0.9}},
        )
        state = new_state(config, ring)
        follow(config, state, data=ring, log_every=500, evaluate_every=500)
        values = torch.linalg.svdvals(state.critic[3].weight.detach())
        spread[weight] = values.min().item(), values.max().item()
    assert 0.9 < spread[1.0][0] < spread[1.0][1] < 1.1
    assert spread[1e-4][0] < 0.2
    assert spread[1e-4][1] > 2
