"""What is computed of weights once where several forward passes need it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

# What was computed, by what it is and whether it carries a graph.
_kept: ContextVar[dict[tuple[Hashable, bool], Tensor] | None] = ContextVar("_kept", default=None)


@contextmanager
def weights_computed_once() -> Iterator[None]:
    """Within it, what is costly to compute of a weight is computed at the first forward and kept.

    For a stretch in which no raw weight changes and of which at most one backward pass reaches the
    raw weights. Nothing is kept in the layers themselves.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def once(key: Hashable, compute: Callable[[], Tensor]) -> Tensor:
    """What `compute` gives, or gave before for an equal key where `weights_computed_once`."""
    kept, place = _kept.get(), (key, torch.is_grad_enabled())
    if kept is None:
        return compute()
    if place not in kept:
        kept[place] = compute()
    return kept[place]
