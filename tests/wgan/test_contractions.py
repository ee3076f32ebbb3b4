"""Orthonormal factors and almost orthogonal kernels against singular values."""

from __future__ import annotations

import pytest
import torch
from dense_matrices import CONVOLUTIONS, singular_values
from small import normal
from torch import Tensor, nn

from wgan.contractions import almost_orthogonal_kernel, orthonormal_factor

SHAPES = [(1, 1), (1, 7), (6, 1), (4, 9), (9, 4), (32, 32), (64, 48)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_factor_is_orthonormal_whatever_the_size_of_the_weight(shape, size, dtype, close):
    factor = orthonormal_factor((size * normal(*shape)).to(dtype), 40)
    smaller = factor if shape[0] <= shape[1] else factor.t()
    torch.testing.assert_close(
        smaller @ smaller.t(), torch.eye(min(shape), dtype=dtype), rtol=0, atol=close
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_factor_is_that_of_the_polar_decomposition(shape):
    weight = normal(*shape)
    left, _, right = torch.linalg.svd(weight, full_matrices=False)
    torch.testing.assert_close(orthonormal_factor(weight, 60), left @ right, rtol=0, atol=1e-10)


def test_twenty_five_iterations_serve_where_twelve_do_not():
    """On random 64 x 64 matrices, whose smallest singular value is about 1/100 of the largest."""
    smallest = {
        count: min(
            torch.linalg.svdvals(orthonormal_factor(normal(64, 64, seed=seed), count))[-1].item()
            for seed in range(5)
        )
        for count in (12, 25)
    }
    assert smallest[12] < 0.5
    assert smallest[25] > 0.9999


@pytest.mark.parametrize("iterations", [0, 1, 3, 12])
@pytest.mark.parametrize("singular", [(1, 1, 1), (1, 0, 0), (1, 1e-3, 1e-9), (5, 5, 1e-4)])
def test_norm_never_exceeds_1_before_convergence(iterations, singular):
    rotation = torch.linalg.qr(normal(5, 3)).Q
    weight = rotation * torch.tensor(singular, dtype=torch.float64)
    assert torch.linalg.matrix_norm(orthonormal_factor(weight, iterations), 2) <= 1 + 1e-12


def test_iteration_ends_once_it_has_converged():
    """From an orthonormal matrix, far fewer than asked for give the same to rounding."""
    weight = torch.linalg.qr(normal(9, 6)).Q.requires_grad_()
    short, long = (orthonormal_factor(weight, count) for count in (16, 100))
    assert torch.equal(short, long)
    torch.testing.assert_close(long, weight, rtol=0, atol=1e-14)


def test_a_row_becomes_the_row_divided_by_its_length_and_zero_stays_zero():
    row = normal(1, 6)
    torch.testing.assert_close(orthonormal_factor(row, 3), row / row.norm(), rtol=1e-12, atol=0)
    zero = torch.zeros(3, 3, requires_grad=True)
    factor = orthonormal_factor(zero, 25)
    assert not factor.any()
    factor.sum().backward()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (1, 3)])
def test_gradient_of_the_factor_is_right(shape):
    weight = normal(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda w: orthonormal_factor(w, 25), (weight,))


def convolution(kernel: Tensor, stride: object, padding: object) -> nn.Conv2d:
    outputs, inputs, *size = kernel.shape
    layer = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
    layer.weight = nn.Parameter(kernel)
    return layer


def adversarial_kernels(shape: tuple[int, ...]) -> dict[str, Tensor]:
    """Kernels for which a bound that leaves something out is too small."""
    ones, random = torch.ones(shape, dtype=torch.float64), normal(*shape)
    checkers = torch.ones(shape, dtype=torch.float64)
    checkers[..., 1::2, :] *= -1
    checkers[..., :, 1::2] *= -1
    corner = torch.zeros_like(ones)
    corner[..., 0, 0] = random[..., 0, 0]
    return {
        "all taps in phase": ones,
        "alternating": checkers,
        "one tap": corner,
        "random": random,
        "equal channels": random[:1].expand(shape).clone(),
        "channels of unlike size": random * 10.0 ** torch.arange(shape[1]).view(1, -1, 1, 1),
        "small": 1e-6 * random,
    }


@pytest.mark.parametrize(("kernel", "stride", "padding"), CONVOLUTIONS)
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 4), (3, 2), (2, 12)])
def test_operator_of_the_rescaled_kernel_has_norm_at_most_1(
    kernel, stride, padding, inputs, outputs
):
    plain = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    for kind, raw in adversarial_kernels(tuple(plain.weight.shape)).items():
        layer = convolution(almost_orthogonal_kernel(raw, plain.stride), stride, padding)
        norm = singular_values(layer, (inputs, 9, 8))[0]
        assert 0.1 < norm <= 1 + 1e-10, kind


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 8), (8, 2), (4, 4)])
def test_orthogonal_kernel_is_left_alone(stride, inputs, outputs):
    """Where the operator's columns or rows are orthonormal already, nothing is lost."""
    matrix = orthonormal_factor(normal(outputs, inputs * stride**2), 60)
    raw = matrix.view(outputs, inputs, stride, stride)
    rescaled = almost_orthogonal_kernel(raw, (stride, stride))
    torch.testing.assert_close(rescaled, raw, rtol=0, atol=1e-9)
    layer = convolution(rescaled, stride, 0)
    values = singular_values(layer, (inputs, 6, 6))
    torch.testing.assert_close(values, torch.ones_like(values), rtol=0, atol=1e-9)


def test_at_stride_1_and_on_the_input_side_it_is_the_papers_formula():
    """Theorem 1 for convolutions: d_c = (sum over c', shifts of |sum_a P_ac * P_ac'|)^(-1/2)."""
    raw = normal(7, 3, 3, 2)
    sums = torch.zeros(3, dtype=torch.float64)
    for first in range(3):
        for second in range(3):
            for down in range(-2, 3):
                for across in range(-1, 2):
                    product = 0.0
                    for y in range(3):
                        for x in range(2):
                            if 0 <= y + down < 3 and 0 <= x + across < 2:
                                product += (
                                    raw[:, first, y, x] @ raw[:, second, y + down, x + across]
                                )
                    sums[first] += abs(product)
    expected = raw / sums.sqrt().view(1, 3, 1, 1)
    torch.testing.assert_close(almost_orthogonal_kernel(raw, (1, 1)), expected, rtol=1e-10, atol=0)


def test_at_stride_2_it_is_that_of_the_convolution_on_blocks():
    """Each 2 x 2 block of pixels as channels: the same convolution at stride 1, rescaled alike."""
    raw, images = normal(40, 3, 4, 4), normal(2, 3, 8, 6)
    layer = convolution(almost_orthogonal_kernel(raw, (2, 2)), 2, 0)
    blocks = nn.functional.pixel_unshuffle(images, 2)
    unshuffled = torch.stack([raw[..., y::2, x::2] for y in (0, 1) for x in (0, 1)], dim=2).flatten(
        1, 2
    )
    same = convolution(almost_orthogonal_kernel(unshuffled, (1, 1)), 1, 0)
    torch.testing.assert_close(layer(images), same(blocks), rtol=1e-9, atol=1e-12)


def test_gradient_of_the_rescaling_is_right():
    for shape, stride in (((2, 1, 3, 3), (1, 1)), ((2, 2, 4, 4), (2, 2)), ((3, 1, 2, 2), (1, 1))):
        raw = normal(*shape).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda w, stride=stride: almost_orthogonal_kernel(w, stride), (raw,)
        )


def test_a_kernel_of_zeros_stays_zero_and_has_a_finite_gradient():
    raw = torch.zeros(2, 2, 3, 3, requires_grad=True)
    rescaled = almost_orthogonal_kernel(raw, (1, 1))
    assert not rescaled.any()
    rescaled.sum().backward()
    assert raw.grad.isfinite().all()
