"""Number formats of a training: what weights are kept in, and what the networks compute in.

| `precision` | weights, optimizer, losses, scores | products of matrices and convolutions |
|---|---|---|
| float32 | float32 | float32, on a GPU too, where torch would round to TF32 if left alone |
| float64 | float64 | float64 |
| tf32 | float32 | on a GPU with operands of 10 bits of mantissa; a CPU has no such format |
| bf16 | float32 | operands of 7 bits of mantissa, by torch's autocast |

Whatever a training computes in, it is looked at in the format that its weights are kept in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

import torch

from wgan.components import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "tf32": torch.float32,
    "bf16": torch.float32,
}

# The kind of device that the networks of the present step are to compute on in bf16.
_bf16_on: ContextVar[str | None] = ContextVar("_bf16_on", default=None)


def check_precision(precision: str, device: torch.device | str) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        ConfigError: tf32 without CUDA.
    """
    kind = torch.device(device).type
    if precision == "tf32" and kind != "cuda":
        raise ConfigError(
            ("precision",),
            f"'tf32' is not allowed on a {kind.upper()}, which has no such format: train on a GPU "
            "(--gpus), or take float32 or bf16",
        )


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, steps compute in `precision`; on CUDA with one order of adding, whatever it costs.

    Without that a convolution's gradients differ from one run to the next in their last bits.
    """
    token = _bf16_on.set(device.type if precision == "bf16" else None)
    try:
        if device.type == "cuda":
            with _on_cuda(tf32=precision == "tf32"):
                yield
        else:
            yield
    finally:
        _bf16_on.reset(token)


def reduced() -> AbstractContextManager[object]:
    """The networks' own part of a step: their forward passes compute in bf16 where that is wanted.

    No weight is kept converted between two passes: a CUDA graph must hold nothing from outside.
    """
    kind = _bf16_on.get()
    if kind is None:
        return _NOTHING
    return torch.autocast(kind, torch.bfloat16, cache_enabled=False)


def unreduced() -> AbstractContextManager[object]:
    """What is computed of weights alone, in the midst of a forward pass, in their own format."""
    kind = _bf16_on.get()
    return _NOTHING if kind is None else torch.autocast(kind, enabled=False)


def exactly(look: Callable[P, T]) -> Callable[P, T]:
    """`look`, a diagnosis, computing in the format that the weights are kept in."""

    @functools.wraps(look)
    def looking(*arguments: P.args, **named: P.kwargs) -> T:
        if not torch.cuda.is_initialized():
            return look(*arguments, **named)
        with _on_cuda(tf32=False):
            return look(*arguments, **named)

    return looking


@contextmanager
def _on_cuda(*, tf32: bool) -> Iterator[None]:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    if before != tf32:
        matmul.allow_tf32 = tf32
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32
        ):
            yield
    finally:
        if before != tf32:
            matmul.allow_tf32 = before


_NOTHING = nullcontext()
