"""Every form of a convolution is the map that torch's is, and so are its derivatives."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small import DIGITS, largest_gap, normal, registered, rng, same, small
from stock_layers import our_gradients
from torch import nn
from torch.nn import functional as F

from wgan import convolution
from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.convolution import (
    Conv2d,
    ConvTranspose2d,
    Geometry,
    convolved_by_torch,
    matrix,
    multiply,
)
from wgan.diagnostics import Flops
from wgan.lipschitz import LipschitzMethod
from wgan.networks import Network
from wgan.once import weights_computed_once
from wgan.train import new_state

ROUNDING = 1e-12  # of float64, relative to sums of a few hundred numbers near 1

# Maps, kernel, stride, padding; of the fourth the stride leaves a last row and column out.
PLACES = [
    Geometry((4, 4), (4, 4), (2, 2), (1, 1)),
    Geometry((8, 8), (4, 4), (2, 2), (1, 1)),
    Geometry((5, 3), (3, 2), (1, 2), (1, 0)),
    Geometry((7, 6), (4, 3), (2, 2), (1, 0)),
    Geometry((2, 2), (1, 1), (1, 1), (0, 0)),
]


def layer_at(place: Geometry, channels: int = 3, outputs: int = 2, bias: bool = True) -> Conv2d:
    return Conv2d(channels, outputs, place.kernel, place.stride, place.padding, bias=bias).double()


def derivatives(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """Values, the slope in x, and the gradients in x and the parameters of a penalty of both."""
    x = x.detach().requires_grad_()
    value = layer(x)
    (slope,) = torch.autograd.grad((value**3).sum(), x, create_graph=True)
    loss = (slope**2).sum() + (value**2).sum()
    further = torch.autograd.grad(loss, [x, *layer.parameters()])
    return [value.detach(), slope.detach(), *further]


def check_as_torch_s(layer: nn.Module, x: torch.Tensor) -> None:
    """Compare all derivatives with those of torch's convolution, in float64."""
    ours = derivatives(layer, x)
    with convolved_by_torch():
        stock = derivatives(layer, x)
    for left, right in zip(ours, stock, strict=True):
        assert (left - right).abs().max() <= ROUNDING * right.abs().max()


@pytest.mark.parametrize("place", PLACES)
def test_a_matrix_is_what_the_convolution_does_to_each_pixel(place):
    weight = normal(2, 3, *place.kernel)
    pixels = torch.eye(3 * place.maps[0] * place.maps[1], dtype=torch.float64)
    images = F.conv2d(pixels.view(-1, 3, *place.maps), weight, None, place.stride, place.padding)
    assert images.shape[2:] == place.result
    assert torch.equal(matrix(weight, place), images.flatten(1).t())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("place", PLACES)
def test_matrices_of_a_stack_are_those_of_each_and_their_place_changes_no_bit(place, dtype):
    weights = normal(3, 4, 4, *place.kernel).to(dtype)  # each fills whole vectors
    pixels = (math.prod(place.result), math.prod(place.maps))
    towards = normal(3, 4 * pixels[0], 4 * pixels[1]).to(dtype)

    def made(order: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        held = weights[order].requires_grad_()
        stacked = matrix(held, place)
        (stacked * towards[order]).sum().backward()
        return stacked.detach(), held.grad

    stacked, gradient = made([0, 1, 2])
    assert torch.equal(stacked, torch.stack([matrix(weight, place) for weight in weights]))
    turned, gradient_turned = made([2, 0, 1])
    assert torch.equal(turned, stacked[[2, 0, 1]])
    assert torch.equal(gradient_turned, gradient[[2, 0, 1]])


@pytest.mark.parametrize("bias", [True, False])
def test_maps_times_stacked_matrices_are_each_layer_s(bias):
    place = PLACES[0]
    layers = [layer_at(place, bias=bias) for _ in range(3)]
    x = normal(3, 5, 3, *place.maps)
    made = matrix(torch.stack([layer.weight for layer in layers]), place)
    biases = torch.stack([layer.bias for layer in layers]) if bias else None
    found = multiply(x, made, biases, place.result)
    expected = torch.stack([layer(maps) for layer, maps in zip(layers, x, strict=True)])
    assert largest_gap([found], [expected]) < ROUNDING


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_a_small_layer_and_its_derivatives_are_torch_s(place, bias):
    layer, x = layer_at(place, bias=bias), normal(4, 3, *place.maps)
    assert convolution.is_small(layer.weight, place)
    check_as_torch_s(layer, x)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("maps", "kernel", "stride", "padding"),
    [(2, 4, 2, 1), (4, 4, 2, 1), (3, 3, 1, 1), (2, 2, 2, 0)],
)
def test_a_small_transposed_layer_and_its_derivatives_are_torch_s(
    maps, kernel, stride, padding, bias
):
    layer = ConvTranspose2d(3, 2, kernel, stride, padding, bias=bias).double()
    x = normal(4, 3, maps, maps)
    with Flops() as flops:
        layer(x)
    assert flops.convolutions == 0
    check_as_torch_s(layer, x)


def formed(layer: nn.Module, x: torch.Tensor) -> str:
    """How a layer's forward was made."""
    with Flops() as flops:
        layer(x)
    return "convolution" if flops.convolutions else "product"


def test_small_maps_are_products_and_others_convolutions():
    grey, wide = Conv2d(1, 32, 4, 2, 1), Conv2d(64, 128, 4, 2, 1)
    assert formed(grey, torch.zeros(2, 1, 8, 8)) == "product"
    assert formed(grey, torch.zeros(2, 1, 16, 16)) == "convolution"
    assert formed(wide, torch.zeros(2, 64, 4, 4)) == "convolution"
    assert formed(ConvTranspose2d(32, 1, 4, 2, 1), torch.zeros(2, 32, 4, 4)) == "product"
    assert formed(ConvTranspose2d(128, 64, 4, 2, 1), torch.zeros(2, 128, 2, 2)) == "convolution"
    with convolved_by_torch():
        assert formed(grey, torch.zeros(2, 1, 8, 8)) == "convolution"


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(2, 2, 3, padding=1, groups=2),
        Conv2d(2, 2, 2, dilation=2),
        Conv2d(2, 2, 3, padding="same"),
        Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        ConvTranspose2d(2, 2, 3, 2, 1, output_padding=1),
        ConvTranspose2d(2, 2, 3, 2, 1, groups=2),
    ],
    ids=str,
)
def test_what_is_not_a_plain_convolution_is_torch_s_bit_for_bit(layer):
    x = normal(2, 2, 4, 4).float()
    plain = copy.deepcopy(layer)
    plain.__class__ = nn.Conv2d if isinstance(layer, nn.Conv2d) else nn.ConvTranspose2d
    assert torch.equal(layer(x), plain(x))


def test_a_transposed_layer_takes_an_output_size_as_torch_s_does():
    layer = ConvTranspose2d(2, 2, 3, 2, 1)
    assert layer(torch.zeros(1, 2, 4, 4), output_size=[8, 8]).shape == (1, 2, 8, 8)


def test_a_matrix_is_made_once_where_weights_are(monkeypatch):
    made = []
    monkeypatch.setattr(convolution, "matrix", lambda *given: made.append(1) or matrix(*given))
    layer, x = layer_at(PLACES[0]), normal(2, 3, 4, 4)
    layer(x), layer(x)
    assert len(made) == 2
    with weights_computed_once():
        layer(x), layer(x)
        with torch.no_grad():
            assert not layer(x).requires_grad
    assert len(made) == 4  # one with a graph, one without


# A whole update of the critic.


def allowed(method: str, network: str, norm: str):
    """The configuration in float64, or None where the three do not go together."""
    try:
        return small(
            lipschitz=method, network={network: {"width": 8}}, critic_norm=norm, precision="float64"
        )
    except ConfigError:
        return None


def update(config):
    """What one update gives to each parameter of the critic."""
    state = new_state(config, DIGITS)
    real = DIGITS.batch(8, rng(1)).double()
    noise = normal(8, config.noise_size, seed=2)
    streams = {f"penalty:{method.name}": rng(4) for method in config.lipschitz}
    return our_gradients(state, config, real, noise, streams)


@pytest.mark.parametrize("norm", CRITIC_NORMS)
@pytest.mark.parametrize("method", [made.name for made in registered(LipschitzMethod)])
def test_an_update_under_every_method_is_as_by_torch_s_convolutions(method, norm):
    compared = 0
    for network in sorted(Network.registry):
        config = allowed(method, network, norm)
        if config is None:
            continue
        ours = update(config)
        with convolved_by_torch():
            stock = update(config)
        if network == "dcgan":
            assert not same(ours, stock)  # or nothing was made in another form
        for left, right in zip(ours, stock, strict=True):
            # Where a gradient is nothing but rounding it has no scale of its own.
            assert (left - right).abs().max() <= 1e-8 * max(1.0, float(right.abs().max()))
        compared += 1
    assert compared or norm != "none"
