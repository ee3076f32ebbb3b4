"""Layers take the form that pays, and are torch's convolutions in whichever; so is an update."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, largest_gap, normal, registered, rng, same, small
from stock_layers import our_gradients
from torch import nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.convolution import Conv2d, ConvTranspose2d, convolved_by_torch, form_for, form_on_cpu
from wgan.diagnostics import Flops
from wgan.form_blocks import Strips, bands_of, strips_of
from wgan.forms import Geometry, Whole
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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_a_small_layer_and_its_derivatives_are_torch_s(place, bias):
    layer, x = layer_at(place, bias=bias), normal(4, 3, *place.maps)
    assert form_on_cpu(layer, place.maps) == Whole(place)
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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_a_wide_layer_is_made_of_strips_and_its_derivatives_are_torch_s(kind, bias):
    layer = kind(64, 64, 4, 2, 1, bias=bias).double()
    x = normal(3, 64, *((4, 4) if kind is Conv2d else (2, 2)))
    assert isinstance(form_on_cpu(layer, x.shape[2:]), Strips)
    check_as_torch_s(layer, x)


def formed(layer: nn.Module, x: torch.Tensor) -> str:
    """How a layer's forward was made."""
    with Flops() as flops:
        layer(x)
    return "convolution" if flops.convolutions else "product"


def test_small_maps_are_products_and_others_convolutions():
    grey, wide = Conv2d(1, 32, 4, 2, 1), Conv2d(256, 512, 4, 2, 1)
    assert formed(grey, torch.zeros(2, 1, 8, 8)) == "product"
    assert formed(grey, torch.zeros(2, 1, 16, 16)) == "convolution"
    assert formed(wide, torch.zeros(2, 256, 4, 4)) == "convolution"
    assert formed(ConvTranspose2d(32, 1, 4, 2, 1), torch.zeros(2, 32, 4, 4)) == "product"
    assert formed(ConvTranspose2d(128, 64, 4, 2, 1), torch.zeros(2, 128, 2, 2)) == "product"
    assert formed(ConvTranspose2d(512, 256, 4, 2, 1), torch.zeros(2, 512, 2, 2)) == "convolution"
    with convolved_by_torch():
        assert formed(grey, torch.zeros(2, 1, 8, 8)) == "convolution"


def test_more_layers_at_once_are_sooner_made_of_strips():
    layer, place = Conv2d(32, 64, 4, 2, 1), PLACES[0]
    assert form_on_cpu(layer, (4, 4)) == Whole(place)
    assert form_on_cpu(layer, (4, 4), 2) == strips_of(place)
    assert form_on_cpu(Conv2d(4, 8, 4, 2, 1), (4, 4), 2) == Whole(place, innermost=True)
    assert form_on_cpu(layer, (4, 4), 2, strips=False) == Whole(place, innermost=True)


def test_an_image_s_layer_gives_channels_innermost_where_strips_follow():
    image = Geometry((8, 8), (4, 4), (2, 2), (1, 1))
    assert form_on_cpu(Conv2d(1, 32, 4, 2, 1), (8, 8)) == Whole(image)
    assert form_on_cpu(Conv2d(1, 48, 4, 2, 1), (8, 8)) == Whole(image, innermost=True)
    assert form_on_cpu(ConvTranspose2d(48, 1, 4, 2, 1), (4, 4)) == Whole(image, innermost=True)


def test_a_wide_image_s_layer_is_made_of_bands_and_in_stacks_one_half_as_wide():
    image = Geometry((8, 8), (4, 4), (2, 2), (1, 1))
    assert form_on_cpu(Conv2d(1, 64, 4, 2, 1), (8, 8)) == bands_of(image)
    assert form_on_cpu(ConvTranspose2d(64, 1, 4, 2, 1), (4, 4)) == bands_of(image)
    assert form_on_cpu(Conv2d(1, 32, 4, 2, 1), (8, 8), 2) == bands_of(image)
    assert form_on_cpu(Conv2d(1, 16, 4, 2, 1), (8, 8), 16) == Whole(image, innermost=True)


def test_a_wide_layer_can_be_mapped_over_by_torch_s_own_transforms():
    layer, x = Conv2d(64, 64, 4, 2, 1).double(), normal(3, 2, 64, 4, 4)
    mapped = torch.func.vmap(layer)(x)
    assert largest_gap([mapped], [torch.stack([layer(part) for part in x])]) < ROUNDING
    slope = torch.func.grad(lambda part: layer(part).sum())(x[0])
    part = x[0].clone().requires_grad_()
    assert largest_gap([slope], torch.autograd.grad(layer(part).sum(), part)) < ROUNDING


def test_no_layer_is_made_of_strips_that_spare_nothing():
    layer = Conv2d(64, 128, 3, 1, 1)
    assert form_on_cpu(layer, (2, 2)) == Whole(Geometry((2, 2), (3, 3), (1, 1), (1, 1)))
    assert isinstance(form_on_cpu(layer, (2, 2), 4), Whole)


def test_in_bf16_nothing_is_rounded_between_strips():
    layer, x = Conv2d(64, 128, 4, 2, 1), normal(2, 64, 4, 4).float()
    assert isinstance(form_for(layer, x), Strips)
    with torch.autocast("cpu", torch.bfloat16):
        assert form_for(layer, x) is None
        assert layer(x).dtype == torch.bfloat16


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


@pytest.mark.parametrize("kind", [Conv2d, ConvTranspose2d])
def test_an_operand_is_made_once_where_weights_are(kind, monkeypatch):
    made, operand = [], Whole.operand
    monkeypatch.setattr(Whole, "operand", lambda *given: made.append(1) or operand(*given))
    layer, x = kind(3, 2, 4, 2, 1).double(), normal(2, 3, 4, 4)
    layer(x), layer(x)
    assert len(made) == 2
    with weights_computed_once():
        layer(x), layer(x)
        with torch.no_grad():
            assert not layer(x).requires_grad
    assert len(made) == 4  # one with a graph, one without


# A whole update of the critic.


def allowed(method: str, network: str, norm: str, width: int):
    """The configuration in float64, or None where the three do not go together."""
    try:
        return small(
            lipschitz=method,
            network={network: {"width": width}},
            critic_norm=norm,
            precision="float64",
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


def check_update(method: str, norm: str, networks: list[str], width: int) -> int:
    """Compare an update with one by torch's convolutions; how many networks there were."""
    compared = 0
    for network in networks:
        config = allowed(method, network, norm, width)
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
    return compared


METHODS = [made.name for made in registered(LipschitzMethod)]


@pytest.mark.parametrize("norm", CRITIC_NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_an_update_under_every_method_is_as_by_torch_s_convolutions(method, norm):
    assert check_update(method, norm, sorted(Network.registry), 8) or norm != "none"


@pytest.mark.parametrize("method", METHODS)
def test_an_update_in_strips_under_every_method_is_as_by_torch_s_convolutions(method):
    assert check_update(method, "none", ["dcgan"], 64)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [norm for norm in CRITIC_NORMS if norm != "none"])
@pytest.mark.parametrize("method", METHODS)
def test_an_update_in_strips_with_each_normalisation_is_as_by_torch_s(method, norm):
    check_update(method, norm, ["dcgan"], 64)
