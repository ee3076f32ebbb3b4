"""The whole matrix of a layer's linear map: the oracle of every operator norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# (kernel size, stride, padding), as the networks use them and as they do not.
CONVOLUTIONS = [
    (1, 1, 0),
    (3, 1, 1),
    (3, 1, 0),
    (3, 2, 1),
    (4, 2, 1),
    (4, 1, 2),
    (4, 3, 0),
    ((3, 1), (2, 1), (0, 1)),
]


def dense_matrix(layer: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """(outputs, inputs), by applying the layer to every unit vector; the bias is taken off."""
    with torch.no_grad():
        weight = next(layer.parameters())
        zero = layer(torch.zeros(1, *input_shape, dtype=weight.dtype))
        size = zero.new_zeros(input_shape).numel()
        units = torch.eye(size, dtype=weight.dtype).view(size, *input_shape)
        return (layer(units) - zero).flatten(1).t()


def singular_values(layer: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """All of them, largest first, in float64."""
    return torch.linalg.svdvals(dense_matrix(layer, input_shape).double())
