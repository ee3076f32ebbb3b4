"""Differentiable maps from any weight to one whose operator norm is at most 1.

Soundness does not wait for convergence: each of them keeps the bound at any number of iterations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_LEAST = 1e-20  # what is divided by, at least: a weight of zeros has no direction
_ASKED_EVERY = 4  # iterations between two questions whether Bjorck's has converged


def orthonormal_factor(matrix: Tensor, iterations: int) -> Tensor:
    """The orthonormal factor Q of W = QH (its polar decomposition), by Bjorck's iteration.

    Q'Q = I for (m, n) with m >= n, QQ' = I otherwise. From W scaled to norm at most 1,

        W <- W (3/2 I - 1/2 W'W)

    moves each singular value s to 3/2 s - 1/2 s^3, which lies in [0, 1] for s in [0, 1] and has 1
    as its fixed point. The norm of the result therefore never exceeds 1; how close to 1 the small
    singular values come is a matter of `iterations`: each multiplies them by 1.5 while they are
    small, so 25 lift those above 1e-4 of the scale. The iteration ends earlier where it has
    converged to rounding, which for weights in training it does in about 10.

    The scale is (||W'W||_F)^(1/2), the fourth-power Schatten norm: never below the largest
    singular value, and at most (min(m, n))^(1/4) times it. The authors' code divides by (mn)^(1/2),
    which is safe only while no weight exceeds 1.

    Source: Bjorck and Bowie 1971 (SIAM J. Numer. Anal. 8(2), p. 358), order 1, as Anil et al. 2019,
    arXiv:1811.05381, use it.

    Args:
        matrix: (m, n). A zero matrix gives zero.
        iterations: of Bjorck, at most.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    factor: Tensor = matrix if tall else matrix.t()
    # The first scaling only keeps the squares of the second from overflowing.
    factor = factor / torch.linalg.vector_norm(factor).clamp(min=_LEAST)
    factor = factor / torch.linalg.vector_norm(factor.t() @ factor).clamp(min=_LEAST).sqrt()
    identity = torch.eye(factor.shape[1], dtype=matrix.dtype, device=matrix.device)
    close = torch.finfo(matrix.dtype).eps ** 0.5
    for count in range(1, iterations + 1):
        gram = factor.t() @ factor
        factor = torch.addmm(factor, factor, gram, beta=1.5, alpha=-0.5)
        # The distance squares with each iteration. To ask waits for the device: not each time.
        if count % _ASKED_EVERY == 0 and torch.dist(gram.detach(), identity) <= close:
            break
    return factor if tall else factor.t()


def almost_orthogonal_kernel(kernel: Tensor, stride: tuple[int, int]) -> Tensor:
    """The kernel K rescaled channel by channel, so that its convolution has norm at most 1.

    For a matrix J let D be the diagonal matrix of the row sums of |J'J|. D - J'J is diagonally
    dominant, so J'J <= D and ||J D^(-1/2)|| <= 1, with equality for orthogonal columns. For a
    convolution on the infinite plane, J'J is the convolution by the kernel's correlation with
    itself, and a row sum is one over channels and shifts. A convolution with zero padding on maps
    of any size is a part of that one's rows and columns, so the bound holds for it.

    With a stride s the pixels of each s x s block become channels (space to depth), on which the
    stride is 1: otherwise rows would count that the stride leaves out, and the bound be loose. As
    ||J|| = ||J'||, either side may be rescaled, input or output: here the one with fewer channels,
    which is the cheaper and, measured on random kernels, the tighter one. For a random kernel of
    64 x 32 x 4 x 4 at stride 2 the norm is .44 (.38 by the input side). Training makes the columns
    orthogonal and lifts it: measured, the two layers of a small DCGAN from .81 and .50 to .98 and
    .98 in 300 critic steps.

    Source: Prach and Lampert 2022, arXiv:2208.03160; as in their code (berndprach/AOL, input side
    and stride 1), but without its 1e-6 in the sum.

    Args:
        kernel: (out, in, height, width). A channel of zeros stays zero.
        stride: (vertical, horizontal).
    """
    blocks = _space_to_depth(kernel, stride)
    by_output = blocks.shape[0] <= blocks.shape[1]
    rows = _correlation_row_sums(blocks if by_output else blocks.transpose(0, 1))
    factors = rows.clamp(min=_LEAST).rsqrt()
    by_channel = (
        factors.view(-1, 1, 1, 1) if by_output else _depth_to_space(factors, kernel, stride)
    )
    rescaled: Tensor = kernel * by_channel
    return rescaled


def _correlation_row_sums(kernel: Tensor) -> Tensor:
    """For a kernel (n, m, h, w) of J, the n row sums of |JJ'|: over all channels and shifts."""
    height, width = kernel.shape[2:]
    correlation = F.conv2d(kernel, kernel, padding=(height - 1, width - 1))
    sums: Tensor = correlation.abs().sum(dim=(1, 2, 3))
    return sums


def _space_to_depth(kernel: Tensor, stride: tuple[int, int]) -> Tensor:
    """The kernel of stride 1 on blocks: (out, in, h, w) to (out, in * s1 * s2, h / s1, w / s2)."""
    (down, across), (outputs, inputs, height, width) = stride, kernel.shape
    if down == across == 1:
        return kernel
    kernel = F.pad(kernel, (0, -width % across, 0, -height % down))
    split = kernel.unflatten(3, (-1, across)).unflatten(2, (-1, down))
    blocks: Tensor = split.permute(0, 1, 3, 5, 2, 4)
    return blocks.reshape(outputs, inputs * down * across, *blocks.shape[4:])


def _depth_to_space(factors: Tensor, kernel: Tensor, stride: tuple[int, int]) -> Tensor:
    """A factor for each channel and position in its block, laid out as the kernel's (in, h, w)."""
    inputs, height, width = kernel.shape[1:]
    down, across = stride
    blocks = factors.view(inputs, down, across)
    tiled = blocks.repeat(1, -(-height // down), -(-width // across))
    return tiled[:, :height, :width]
