"""Where each of several tensors lies in a row of a block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

ALIGNED = 64  # bytes: a line of the cache, and the widest vector


class Place(NamedTuple):
    """`shape` numbers from `start` on, which lie with dimension `order[-1]` innermost."""

    start: int
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def stacked(self, block: Tensor) -> Tensor:
        """The tensor of all rows, a view of `block` (k, width), shape (k, *shape)."""
        if not self.shape:
            return self._cut(block)[:, 0]
        lying: Tensor = self._cut(block).unflatten(1, [self.shape[dim] for dim in self.order])
        return lying.permute(0, *(1 + self.order.index(dim) for dim in range(len(self.order))))

    def of_row(self, block: Tensor, index: int) -> Tensor:
        """The tensor of one row, a view of `block`, of `shape`."""
        return self.stacked(block)[index]

    def _cut(self, block: Tensor) -> Tensor:
        return block[:, self.start : self.start + math.prod(self.shape)]


def places_of(
    tensors: Mapping[str, Tensor], orders: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Place], int]:
    """The places of `tensors` one after another in a row, and the row's length.

    `orders` are those that do not lie as they come.
    """
    places, end = {}, 0
    for name, tensor in tensors.items():
        order = orders.get(name, tuple(range(tensor.dim())))
        places[name] = Place(end, tuple(tensor.shape), order)
        step = ALIGNED // tensor.element_size()
        end += math.ceil(tensor.numel() / step) * step
    return places, end
