"""`Network.critic_bound`: what a critic's slope can be where every layer has operator norm 1."""

from __future__ import annotations

import pytest
import torch
from small import normal, registered, rng
from torch import Tensor, nn

from wgan.networks import MLP, Network, Residual, ResNet
from wgan.networks.base import Downsample, SumPool

SHAPES = [(2,), (1, 8, 8), (1, 16, 16), (1, 28, 28), (1, 32, 32)]


def matrix(layer: nn.Module, shape: torch.Size) -> Tensor:
    """A linear layer without its bias as a matrix, from what it makes of unit vectors."""
    units = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        return (layer(units) - layer(torch.zeros(1, *shape, dtype=torch.float64))).flatten(1)


def with_norm_one(critic: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """The critic with every layer's operator scaled to norm 1, exactly: by its singular values."""
    critic.double()
    layers = [m for m in critic.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    seen: dict[nn.Module, torch.Size] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda m, inputs: seen.update({m: inputs[0].shape[1:]}))
        for layer in layers
    ]
    with torch.no_grad():
        critic(torch.zeros(1, *shape, dtype=torch.float64))
        for hook in hooks:
            hook.remove()
        for layer in layers:
            layer.weight.div_(torch.linalg.matrix_norm(matrix(layer, seen[layer]), 2))
    return critic


def steepest(critic: nn.Module, points: Tensor) -> float:
    """The largest slope at the points and between them."""
    points = points.requires_grad_()
    scores = critic(points)
    (gradients,) = torch.autograd.grad(scores.sum(), points)
    rises, runs = torch.pdist(scores.detach()[:, None]), torch.pdist(points.detach().flatten(1))
    return max(gradients.flatten(1).norm(dim=1).max().item(), (rises / runs).max().item())


def tiny(made: type[Network]) -> tuple[Network, tuple[int, ...]]:
    network = made(width=4)
    for shape in SHAPES:
        try:
            network.check(shape, "none", 8)
        except ValueError:
            continue
        return network, shape
    raise AssertionError("makes no small shape")


@pytest.mark.parametrize("made", registered(Network), ids=lambda made: made.name)
def test_no_slope_exceeds_the_bound_where_layers_have_norm_one(made):
    network, shape = tiny(made)
    bound = network.critic_bound(shape)
    for seed in range(3):
        critic = network.critic(shape, "none")
        network.initialise(critic, rng(seed))
        with_norm_one(critic, shape)
        for scale in (0.1, 1.0, 10.0):
            points = scale * normal(24, *shape, seed=seed)
            assert 0 < steepest(critic, points) <= bound * (1 + 1e-9)


def test_a_chain_of_layers_has_bound_one():
    assert MLP(width=8, depth=12).critic_bound((2,)) == 1.0
    for made in registered(Network):
        network, shape = tiny(made)
        blocks = [m for m in network.critic(shape, "none").modules() if isinstance(m, Residual)]
        assert (network.critic_bound(shape) == 1.0) == (not blocks)


@pytest.mark.parametrize(
    ("size", "bound"),
    # Halving blocks count 1/2 + 1/2, others 1 + 1; a sum over n x n maps counts n.
    [(8, 4 * 2), (16, 4 * 4), (28, 4 * 7), (32, 4 * 8), (48, 2 * 3), (64, 1 * 2)],
)
def test_bound_of_the_resnet_is_counted_from_its_blocks(size, bound):
    assert ResNet().critic_bound((3, size, size)) == bound


@pytest.mark.parametrize("size", [8, 32, 48])
def test_a_resnet_can_reach_its_bound(size):
    """Every layer passes the first channel on: on positive constant images nothing is lost."""
    network, shape = ResNet(width=1), (1, size, size)
    critic = network.critic(shape, "none").double()
    with torch.no_grad():
        for layer in critic.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.weight.zero_()
                layer.bias.zero_()
                middle = [size // 2 for size in layer.weight.shape[2:]]
                layer.weight[0, 0, *middle] = 1.0
    points = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64).view(-1, 1, 1, 1).expand(3, *shape)
    assert steepest(critic, points.clone()) == pytest.approx(network.critic_bound(shape), rel=1e-12)


@pytest.mark.parametrize("pooling", [Downsample(), SumPool()])
@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 2, 2), (2, 8, 8)])
def test_a_poolings_constant_is_its_operator_norm(pooling, shape):
    norm = torch.linalg.matrix_norm(matrix(pooling, torch.Size(shape)), 2).item()
    for input_shape in (shape, (5, *shape)):  # with or without the batch
        assert pooling.lipschitz_constant(input_shape) == pytest.approx(norm, rel=1e-12)


def test_a_residual_adds_its_sides():
    branch, shortcut = nn.Linear(3, 3), nn.Identity()
    x = torch.randn(4, 3, generator=rng())
    torch.testing.assert_close(Residual(branch, shortcut)(x), branch(x) + x)


def test_the_bound_draws_nothing_and_needs_no_memory():
    before = torch.get_rng_state()
    assert ResNet(width=4096).critic_bound((3, 32, 32)) == 32
    assert torch.equal(torch.get_rng_state(), before)
