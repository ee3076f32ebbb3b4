"""The sliced Wasserstein-1 distance: the mean of W1 over projections onto random lines.

On a line W1 is solved by sorting, whatever the dimension of the samples, and its error does not
grow with it: above two dimensions, where exact W1 between samples is mostly error, this one serves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DIRECTIONS = 512
SEED = 0  # of the directions: all runs meet the same
_AT_ONCE = 64  # directions, to bound memory


def random_directions(dimension: int, count: int = DIRECTIONS, seed: int = SEED) -> Tensor:
    """Points drawn uniformly from the unit sphere, float64, shape (count, dimension)."""
    rng = torch.Generator().manual_seed(seed)
    normal = torch.randn(count, dimension, generator=rng, dtype=torch.float64)
    directions: Tensor = normal / normal.norm(dim=1, keepdim=True)
    return directions


@dataclass(frozen=True)
class Projections:
    """A sample projected onto lines, to be compared with more than one other.

    Attributes:
        count: of its points.
        parts: for each `_AT_ONCE` of the lines the places on them, in rising order: shape (L, n).
    """

    count: int
    parts: tuple[NDArray[np.floating[Any]], ...]

    def __len__(self) -> int:
        return self.count


def projections(sample: Tensor, directions: Tensor) -> Projections:
    """A sample, shape (n, d), on the lines along `directions`, shape (L, d)."""
    parts = (_sorted_projections(sample, part) for part in directions.split(_AT_ONCE))
    return Projections(len(sample), tuple(parts))


def sliced_wasserstein(x: Tensor, y: Tensor | Projections, directions: Tensor) -> float:
    """The mean over `directions` of the exact W1 between the projected samples.

    SW(x, y) = E_theta W1(<theta, x>, <theta, y>), estimated with L directions. Rabin et al. 2011,
    Wasserstein Barycenter and Its Application to Texture Mixing, section 2, for the projections;
    with W1 in the place of squares, as in Karras et al. 2018, arXiv:1710.10196, section 5.

    Args:
        x, y: samples, shapes (n, d) and (m, d); their counts may differ. `y` may be the
            `projections` of one onto the same directions, which are half the work.
        directions: unit vectors, shape (L, d).
    """
    left, right, lengths = _common_levels(len(x), len(y))
    total = 0.0
    for place, part in enumerate(directions.split(_AT_ONCE)):
        a = _sorted_projections(x, part)
        b = _sorted_projections(y, part) if isinstance(y, Tensor) else y.parts[place]
        if len(x) != len(y):
            a, b = a[:, left], b[:, right]
        total += float((np.abs(a - b) @ lengths).sum())
    return total / len(directions)


def _sorted_projections(sample: Tensor, directions: Tensor) -> NDArray[np.floating[Any]]:
    """Shape (L, n), each row in rising order."""
    projected: NDArray[np.floating[Any]] = (directions.to(sample.dtype) @ sample.T).numpy()
    projected.sort(axis=1)  # several times as fast as torch's
    return projected


def _common_levels(
    n: int, m: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Where two quantile functions are constant together.

    W1 on a line is the integral over the level t of |F^-1(t) - G^-1(t)|. Those of n and m points
    step at i / n and j / m. Returns, for the pieces between the steps, the index of the smaller
    sample's point and the larger's, and the piece's length.
    """
    # In units of 1 / (n m), so that equal levels are equal numbers.
    steps = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], steps[:-1]])
    return starts // m, starts // n, (steps - starts) / (n * m)
