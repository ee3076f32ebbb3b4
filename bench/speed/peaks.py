"""The arithmetic that this machine can do at most: the best of several sizes over repeats.

It is what a training is held against, so that the products are of the sizes that networks have,
with nothing around them: one large product of matrices, one convolution, forward alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

GIGA = 1e9


class _Shape(NamedTuple):
    """A convolution: images, channels in and out, side of the images and of the kernel."""

    images: int
    channels: int
    out: int
    side: int
    kernel: int

    @property
    def flops(self) -> int:
        pixels = self.images * self.side**2
        return 2 * pixels * self.out * self.channels * self.kernel**2


# Sides of matrices and convolutions, by kind of device. An accelerator needs more to be busy.
_SIDES = {"cpu": (384, 768, 1536), "cuda": (2048, 4096, 8192)}
_CONVOLUTIONS = {
    "cpu": (_Shape(16, 64, 128, 32, 3), _Shape(32, 128, 256, 16, 3), _Shape(64, 256, 512, 8, 3)),
    "cuda": (
        _Shape(256, 64, 128, 32, 3),
        _Shape(256, 128, 256, 32, 3),
        _Shape(256, 256, 512, 16, 3),
        _Shape(512, 512, 512, 16, 3),
    ),
}
_DTYPES = {"float64": torch.float64, "bf16": torch.bfloat16}  # all others compute in float32


@dataclass(frozen=True)
class Peak:
    """GFLOP/s of the best product of matrices and of the best convolution."""

    matrices: float
    convolutions: float


def peak(precision: str, device: str = "cpu", seconds: float = 2.0) -> Peak:
    """What this device reaches in one precision, with the threads that torch has now.

    Args:
        precision: float32, float64, tf32 (CUDA) or bf16.
        seconds: about how long to measure.
    """
    kind, dtype = torch.device(device).type, _DTYPES.get(precision, torch.float32)
    sides, shapes = _SIDES[kind], _CONVOLUTIONS[kind]
    each = seconds / (len(sides) + 2 * len(shapes))
    with torch.inference_mode(), _float32_as(precision):
        products = [_product(side, device, dtype, each) for side in sides]
        layouts = (torch.contiguous_format, torch.channels_last)
        convolved = [
            _convolution(shape, device, dtype, layout, each)
            for shape in shapes
            for layout in layouts
        ]
    return Peak(max(products) / GIGA, max(convolved) / GIGA)


def best_seconds(work: Callable[[], object], device: str, seconds: float, least: int = 3) -> float:
    """The shortest of repeated trials, after one that does not count."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else _nothing
    work()
    wait()
    best, until, made = float("inf"), time.perf_counter() + seconds, 0
    while made < least or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        wait()
        best = min(best, time.perf_counter() - started)
        made += 1
    return best


def _product(side: int, device: str, dtype: torch.dtype, seconds: float) -> float:
    """FLOP/s of a product of two square matrices."""
    left, right = (_noise((side, side), device, dtype) for _ in range(2))
    return 2 * side**3 / best_seconds(lambda: left @ right, device, seconds)


def _convolution(
    shape: _Shape, device: str, dtype: torch.dtype, layout: torch.memory_format, seconds: float
) -> float:
    """FLOP/s of a convolution that keeps the images' size."""
    images = _noise((shape.images, shape.channels, shape.side, shape.side), device, dtype)
    kernel = _noise((shape.out, shape.channels, shape.kernel, shape.kernel), device, dtype)
    images, kernel = (part.contiguous(memory_format=layout) for part in (images, kernel))
    padding = shape.kernel // 2
    return shape.flops / best_seconds(
        lambda: functional.conv2d(images, kernel, padding=padding), device, seconds
    )


def _noise(shape: Sequence[int], device: str, dtype: torch.dtype) -> Tensor:
    """Numbers of usual size: denormal ones, or zeros, can take another time."""
    rng = torch.Generator(device).manual_seed(0)
    return torch.randn(tuple(shape), generator=rng, device=device).to(dtype)


@contextlib.contextmanager
def _float32_as(precision: str) -> Iterator[None]:
    """Whether CUDA may round the factors of float32 products to TF32; afterwards it is as before.

    By the older names of the settings, which serve beside each other; the newer ones, once written,
    make the older ones raise.
    """
    products, rounded = torch.backends.cuda.matmul, precision == "tf32"
    before = products.allow_tf32
    flags = {"enabled": True, "benchmark": True, "deterministic": False, "allow_tf32": rounded}
    with torch.backends.cudnn.flags(**flags):
        try:
            products.allow_tf32 = rounded
            yield
        finally:
            products.allow_tf32 = before


def _nothing() -> None:
    """There is nothing to wait for on the CPU."""
