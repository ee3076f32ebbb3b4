"""Each form of a convolution is the map that torch's is, with derivatives of two orders."""

from __future__ import annotations

import math

import pytest
import torch
from small import largest_gap, normal
from torch.nn import functional as F

from wgan.form_blocks import bands_of, strips_of
from wgan.forms import Form, Geometry, Whole

ROUNDING = 1e-12  # of float64, relative to sums of a few hundred numbers near 1

# Maps, kernel, stride, padding; of the fourth the stride leaves a last row and column out, of the
# fifth a kernel of 1 sees nothing of some pixels, of the sixth some see padding alone; of the
# last the first row of the result sees a row of the map less than the second.
PLACES = [
    Geometry((4, 4), (4, 4), (2, 2), (1, 1)),
    Geometry((8, 8), (4, 4), (2, 2), (1, 1)),
    Geometry((5, 3), (3, 2), (1, 2), (1, 0)),
    Geometry((7, 6), (4, 3), (2, 2), (1, 0)),
    Geometry((3, 3), (1, 1), (2, 2), (0, 0)),
    Geometry((2, 2), (1, 1), (1, 1), (1, 1)),
    Geometry((4, 4), (4, 4), (1, 1), (0, 0)),
    Geometry((4, 4), (3, 3), (2, 2), (1, 1)),
]
FORMS = [
    pytest.param(form, id=f"{place}-{name}")
    for place in PLACES
    for name, form in (
        ("outermost", Whole(place)),
        ("innermost", Whole(place, innermost=True)),
        ("bands", bands_of(place)),
        ("strips", strips_of(place)),
    )
]
CHANNELS, OUTPUTS = 3, 2


def torch_s(form: Form, x, kernels, bias, back: bool):
    place = form.place
    if not back:
        return F.conv2d(x, kernels, bias, place.stride, place.padding)
    made = F.conv_transpose2d(x, kernels, bias, place.stride, place.padding)
    missing = [whole - size for whole, size in zip(place.maps, made.shape[2:], strict=True)]
    if any(missing):
        return F.conv_transpose2d(x, kernels, bias, place.stride, place.padding, missing)
    return made


def ours(form: Form, x, kernels, bias, back: bool):
    way = form.back if back else form.there
    return way(x, form.operand(kernels), bias)


def given(form: Form, back: bool, bias: bool, seed: int = 0):
    """Maps, kernels and biases."""
    pixels, channels = (form.place.result, OUTPUTS) if back else (form.place.maps, CHANNELS)
    return [
        normal(4, channels, *pixels, seed=seed),
        normal(OUTPUTS, CHANNELS, *form.place.kernel, seed=seed + 1),
        *([normal(CHANNELS if back else OUTPUTS, seed=seed + 2)] if bias else []),
    ]


def derivatives(way, form: Form, tensors, back: bool):
    """Values, the slopes in all that is given, and the gradients of a penalty of both."""
    held = [tensor.detach().requires_grad_() for tensor in tensors]
    value = way(form, *held, *([None] if len(held) < 3 else []), back)
    slopes = torch.autograd.grad((value**3).sum(), held, create_graph=True)
    loss = (value**2).sum() + sum((slope**2).sum() for slope in slopes)
    return [made.detach() for made in (value, *slopes, *torch.autograd.grad(loss, held))]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_and_its_derivatives_are_torch_s(form, back, bias):
    tensors = given(form, back, bias)
    found, stock = (derivatives(way, form, tensors, back) for way in (ours, torch_s))
    for left, right in zip(found, stock, strict=True):
        assert left.shape == right.shape
        assert (left - right).abs().max() <= ROUNDING * max(1.0, float(right.abs().max()))


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_second_derivatives_are_quotients_of_differences(form, back):
    x, kernels, bias = given(form, back, bias=True)
    held = [tensor.requires_grad_() for tensor in (x[:1], kernels, bias)]
    assert torch.autograd.gradgradcheck(lambda *tensors: ours(form, *tensors, back), held)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_a_stack_is_each_layer_by_itself(form, back, bias):
    layers = [given(form, back, bias, seed=10 * number) for number in range(3)]
    stacked = [torch.stack(tensors) for tensors in zip(*layers, strict=True)]
    found = derivatives(ours, form, stacked, back)
    each = [derivatives(torch_s, form, tensors, back) for tensors in layers]
    for left, right in zip(found, map(torch.stack, zip(*each, strict=True)), strict=True):
        assert (left - right).abs().max() <= ROUNDING * max(1.0, float(right.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_no_bit_of_a_layer_depends_on_its_place_in_the_stack(form, back, dtype):
    pixels, results = form.place.result, form.place.maps
    pixels, results = (pixels, results) if back else (results, pixels)
    x, kernels = normal(3, 16, 16, *pixels).to(dtype), normal(3, 16, 16, *form.place.kernel, seed=1)
    kernels, towards = kernels.to(dtype), normal(3, 16, 16, *results, seed=2).to(dtype)

    def made(order: list[int]):
        held = [x[order].requires_grad_(), kernels[order].requires_grad_()]
        result = ours(form, *held, None, back)
        return [result.detach(), *torch.autograd.grad((result * towards[order]).sum(), held)]

    order = [2, 0, 1]
    for straight, turned in zip(made([0, 1, 2]), made(order), strict=True):
        assert torch.equal(straight[order], turned)


@pytest.mark.parametrize("form", FORMS)
def test_the_size_of_an_operand_is_known_before_it_is_made(form):
    operand = form.operand(normal(OUTPUTS, CHANNELS, *form.place.kernel))
    assert operand.numel() == OUTPUTS * CHANNELS * form.entries


@pytest.mark.parametrize("place", PLACES)
def test_a_whole_operand_is_what_the_convolution_does_to_each_pixel(place):
    kernels = normal(OUTPUTS, CHANNELS, *place.kernel)
    pixels = torch.eye(CHANNELS * math.prod(place.maps), dtype=torch.float64)
    images = F.conv2d(
        pixels.view(-1, CHANNELS, *place.maps), kernels, None, place.stride, place.padding
    )
    assert images.shape[2:] == place.result
    expected = images.flatten(1).t()
    assert torch.equal(Whole(place).operand(kernels), expected)
    innermost = (
        expected.view(OUTPUTS, -1, CHANNELS, math.prod(place.maps)).permute(1, 0, 3, 2).flatten(2)
    ).flatten(0, 1)
    assert torch.equal(Whole(place, innermost=True).operand(kernels), innermost)


def test_blocks_hold_less_than_a_whole_matrix_and_strips_no_padding_at_all():
    place = PLACES[0]
    # 3 of 4 pixels each way from each of 2 x 2 places.
    assert strips_of(place).share == 36 / 64
    assert {strip.maps for strip in strips_of(place).blocks} == {3}
    # Of 12 strips each row of the result has 4 by its own half of the map, as the other has.
    assert [strip.map_section for strip in strips_of(place).blocks].count(None) == 4
    assert len(strips_of(place).blocks) == 8
    assert bands_of(place).share == 3 / 4
    assert bands_of(PLACES[1]).share == 28 / 64


def test_strips_that_go_on_in_map_and_kernel_are_one():
    (strip,) = strips_of(Geometry((4, 4), (4, 4), (1, 1), (0, 0))).blocks
    assert strip[:6] == (0, 0, 0, 0, 1, 16)
    # Rows of a map that is wider than the kernel do not.
    assert len(strips_of(Geometry((4, 5), (4, 4), (1, 1), (0, 0))).blocks) == 8


@pytest.fixture
def poisoned():
    """Memory that nobody has written holds NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("made", [strips_of, bands_of])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_unwritten(place, made, poisoned):
    assert torch.empty(3).isnan().all()
    form = made(place)
    x, kernels = given(form, back=False, bias=False)
    result = form.there(x, form.operand(kernels), None)
    largest = largest_gap([result], [torch_s(form, x, kernels, None, back=False)])
    assert largest < ROUNDING


@pytest.mark.parametrize("made", [strips_of, bands_of])
@pytest.mark.parametrize("place", PLACES)
def test_blocks_of_flat_values_are_the_matrix_its_transpose_and_its_derivative(place, made):
    form, whole = made(place), Whole(place, innermost=True)
    kernels = normal(2, OUTPUTS, CHANNELS, *place.kernel).requires_grad_()
    x = normal(2, 5, CHANNELS * math.prod(place.maps), seed=1)
    slopes = normal(2, 5, OUTPUTS * math.prod(place.result), seed=2)
    matrix, operand = whole.operand(kernels), form.operand(kernels)
    product = torch.bmm(x, matrix.transpose(1, 2))
    assert largest_gap([form.up(x, operand.detach())], [product.detach()]) < ROUNDING
    bias = normal(2, product.shape[2], seed=3)
    shifted = product.detach() + bias[:, None]
    assert largest_gap([form.up(x, operand.detach(), bias)], [shifted]) < ROUNDING
    back = torch.bmm(slopes, matrix).detach()
    assert largest_gap([form.down(slopes, operand.detach())], [back]) < ROUNDING
    (expected,) = torch.autograd.grad((product * slopes).sum(), kernels)
    (found,) = torch.autograd.grad(operand, kernels, form.weigh(x, slopes))
    assert largest_gap([found], [expected]) < 10 * ROUNDING
    into = torch.full_like(operand.detach(), math.nan)
    assert form.weigh(x, slopes, into) is into
    (found,) = torch.autograd.grad(form.operand(kernels), kernels, into)
    assert largest_gap([found], [expected]) < 10 * ROUNDING
