"""Orthonormal weights: Q'Q = I in trained layers, norms kept, no bound for convolutions."""

from __future__ import annotations

import pytest
import torch
from dense_matrices import singular_values
from small import DIGITS, follow, normal, small
from torch import nn

from wgan.layers import effective_weight, linear_layers
from wgan.lipschitz import Orthonormal
from wgan.operator_norms import operator_norm
from wgan.train import new_state

CLOSE = {"float32": 1e-5, "float64": 1e-10}


@pytest.mark.parametrize("precision", CLOSE)
@pytest.mark.parametrize("network", [{"mlp": {"width": 24}}, {"dcgan": {"width": 4}}])
def test_every_layers_matrix_is_orthonormal_after_training(network, precision):
    config = small(
        network=network,
        precision=precision,
        lipschitz={"orthonormal": {"iterations": 60}},
        optimizer={"adam": {"lr": 0.01}},
        steps=3,
    )
    state = new_state(config, DIGITS)
    follow(config, state)
    for layer in linear_layers(state.critic).values():
        matrix = effective_weight(layer).detach().flatten(1)
        smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
        identity = torch.eye(len(smaller), dtype=matrix.dtype)
        torch.testing.assert_close(smaller @ smaller.t(), identity, rtol=0, atol=CLOSE[precision])
        assert not torch.allclose(matrix, layer.weight.detach().flatten(1), atol=0.01)


def dense(inputs: int, outputs: int) -> nn.Module:
    layer = nn.Linear(inputs, outputs, bias=False).double()
    nn.init.normal_(layer.weight)
    return Orthonormal(iterations=60).wrap(nn.Sequential(layer), (inputs,))[0]


def test_a_dense_layer_keeps_norms_on_its_smaller_side():
    wide, x = dense(4, 9), normal(8, 4)
    torch.testing.assert_close(wide(x).norm(dim=1), x.norm(dim=1), rtol=1e-9, atol=0)
    narrow, y = dense(9, 4), normal(8, 4)
    back = y @ effective_weight(narrow)
    torch.testing.assert_close(back.norm(dim=1), y.norm(dim=1), rtol=1e-9, atol=0)
    assert operator_norm(narrow, (9,)) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(("kernel", "stride", "most"), [(4, 2, 2), (3, 1, 3)])
def test_a_convolution_reaches_the_square_root_of_the_overlap_so_no_bound_is_promised(
    kernel, stride, most
):
    layer = nn.Conv2d(1, 1, kernel, stride, 1, bias=False).double()
    nn.init.ones_(layer.weight)
    critic = Orthonormal().wrap(nn.Sequential(layer), (1, 24, 24))
    norm = singular_values(critic[0], (1, 24, 24))[0].item()
    assert 0.95 * most < norm <= most
    assert Orthonormal().bound is None


def test_scaling_a_weight_changes_no_score():
    critic = Orthonormal().wrap(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1)).double(), (4,))
    x = normal(5, 4)
    before = critic(x)
    with torch.no_grad():
        critic[0].weight.mul_(37.0)
    torch.testing.assert_close(critic(x), before, rtol=1e-10, atol=1e-12)
