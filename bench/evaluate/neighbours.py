"""Precision and recall by nearest-neighbour balls, with the reals' balls computed once.

torch-fidelity's numbers bit for bit: its distances, in its blocks, and its comparisons. It measures
the reals' balls at each evaluation and sorts out each row's k-th smallest by a full selection; here
the reals' come from the caller, and the k smallest of a row are kept while it is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

_BLOCK = 10_000  # torch-fidelity's: a distance's last bits depend on the block that it is made in


def neighbour_radii(features: Tensor, neighbours: int) -> Tensor:
    """The distance from each point to its k-th nearest other one, shape (N,), float32.

    Args:
        features: shape (N, D), N > k.
        neighbours: k.
    """
    found = []
    for rows in features.split(_BLOCK):
        nearest = [
            # One more: a point's nearest neighbour is itself.
            block.topk(min(neighbours + 1, block.shape[1]), largest=False).values
            for block in _distances(rows, features)
        ]
        found.append(torch.cat(nearest, dim=1).kthvalue(neighbours + 1).values)
    return torch.cat(found)


def precision_recall(
    fake: Tensor, real: Tensor, real_radii: Tensor, neighbours: int
) -> tuple[float, float]:
    """The share of fakes among the reals and of reals among the fakes.

    A point is among others where it lies in the ball of one of them, which reaches as far as its
    k-th neighbour. Kynkaanniemi et al. 2019, arXiv:1904.06991, equations 1 and 2.

    Args:
        fake, real: features, shapes (M, D) and (N, D).
        real_radii: the reals' `neighbour_radii`, shape (N,).
        neighbours: k.
    """
    # Compared by numpy, which takes a third of torch's time.
    fake_radii = neighbour_radii(fake, neighbours).numpy()
    fake_is_near = np.zeros(len(fake), dtype=bool)
    real_is_near = []
    for rows, radii in zip(real.split(_BLOCK), real_radii.split(_BLOCK), strict=True):
        near, start = np.zeros(len(rows), dtype=bool), 0
        for block in _distances(rows, fake):
            distances, columns = block.numpy(), slice(start, start + block.shape[1])
            near |= (distances <= fake_radii[columns]).any(axis=1)
            fake_is_near[columns] |= (distances <= radii.numpy()[:, None]).any(axis=0)
            start = columns.stop
        real_is_near.append(near)
    return _share(fake_is_near), _share(np.concatenate(real_is_near))


def _distances(rows: Tensor, columns: Tensor) -> Iterator[Tensor]:
    for part in columns.split(_BLOCK):
        yield torch.cdist(rows, part)


def _share(true: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return torch.from_numpy(true).float().mean().item()
