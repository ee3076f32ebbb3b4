"""How much layers and critics can stretch: exact norms of layers, an upper bound for a critic.

All in float64, on a copy of the weights; nothing here is differentiable or changes a critic.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from wgan.layers import (
    GroupSort,
    LinearLayer,
    LinearMap,
    effective_weight,
    input_shapes,
    linear_layers,
)
from wgan.networks.base import Flat, Shape
from wgan.piecewise import ReLU

_SMALL = 64  # inputs up to which the whole matrix is built
_NEVER_STRETCH = (
    nn.ReLU,
    ReLU,
    nn.Tanh,
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    GroupSort,
    Flat,
)


@torch.no_grad()
def operator_norm(layer: LinearLayer, input_shape: Shape) -> float:
    """The largest singular value of a dense or convolutional layer, bias left out.

    Of a convolution it is that of the operator on maps of the given size, with its stride and zero
    padding. Dense layers and small maps by the singular values of the whole matrix, larger maps by
    Lanczos' iteration (ARPACK) on J'J, to a relative error of about 1e-10. Not finite where the
    weight is not.

    Args:
        layer: its effective weight counts, where it is reparametrised.
        input_shape: of one sample, (in,) or (in, H, W).

    Raises:
        ConfigError: a convolution that is dilated, grouped, or padded otherwise than by zeros.
    """
    weight = effective_weight(layer).detach().double().cpu()
    linear = LinearMap.of(layer, input_shape)
    if not weight.isfinite().all():
        return math.nan
    if weight.dim() == 2:
        return float(torch.linalg.matrix_norm(weight, 2))
    size = math.prod(input_shape)
    if size <= _SMALL:
        identity = torch.eye(size, dtype=torch.float64).view(size, *input_shape)
        return float(torch.linalg.matrix_norm(linear.apply(weight, identity).flatten(1), 2))

    # Imported here: it takes a fifth of a second, and few look this closely.
    from scipy.sparse.linalg import LinearOperator, eigsh

    def there_and_back(sample: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(sample).view(1, *input_shape)
        return linear.transpose(weight, linear.apply(weight, at)).flatten().numpy()

    if not weight.any():
        return 0.0
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operator = LinearOperator((size, size), matvec=there_and_back, dtype=np.float64)
    (largest,) = eigsh(operator, k=1, which="LA", v0=start.numpy(), return_eigenvectors=False)
    return math.sqrt(max(float(largest), 0.0))


def layer_norms(critic: nn.Module, sample_shape: Shape) -> dict[str, float]:
    """The `operator_norm` of each dense and convolutional layer under its name, in order.

    Args:
        sample_shape: what the critic scores, (d,) or (C, H, W).
    """
    shapes = input_shapes(critic, sample_shape)
    return {
        name: operator_norm(layer, shapes[layer]) for name, layer in linear_layers(critic).items()
    }


def lipschitz_upper_bound(critic: nn.Module, sample_shape: Shape) -> float:
    """An upper bound of the critic's Lipschitz constant, Euclidean; inf where none is known.

    The product over a chain, the sum of branch and shortcut in a residual block, 1 for activations
    and reshapings. A module that has a method `lipschitz_constant(input_shape) -> float` is asked.
    Normalisations (their slope grows without bound as the variance falls) and unknown modules have
    none.

    Args:
        sample_shape: what the critic scores, (d,) or (C, H, W).
    """
    return _bound(critic, input_shapes(critic, sample_shape))


def _bound(module: nn.Module, shapes: dict[nn.Module, Shape]) -> float:
    known = getattr(module, "lipschitz_constant", None)
    if known is not None:
        return float(known(shapes[module]))
    if isinstance(module, nn.Linear | nn.Conv2d):
        return operator_norm(module, shapes[module])
    if isinstance(module, nn.LeakyReLU):
        return max(1.0, abs(module.negative_slope))
    if type(module) is nn.Sequential:
        factors = [_bound(part, shapes) for part in module]
        # Without this, 0 * inf would be no number.
        return math.inf if math.inf in factors else math.prod(factors)
    branch, shortcut = getattr(module, "branch", None), getattr(module, "shortcut", None)
    if branch is not None and shortcut is not None:
        return _bound(branch, shapes) + _bound(shortcut, shapes)
    return 1.0 if type(module) in _NEVER_STRETCH else math.inf
