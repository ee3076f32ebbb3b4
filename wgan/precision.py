"""The number formats of a training: what is stored in which, and what is multiplied in which.

Weights, optimizers, losses and penalties are in the stored format; only what happens inside the
networks' layers may be coarser.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

# The format that weights, samples and scores are stored in.
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "tf32": torch.float32,
    "bf16": torch.float32,
}


def unavailable(precision: str, device: torch.device | str) -> str | None:
    """Why a training of this precision cannot run on the device, in words; None: it can."""
    if precision == "tf32" and torch.device(device).type != "cuda":
        return (
            f"precision tf32 needs a GPU: on {device} it would be float32 under another name; "
            "take float32, or --gpus"
        )
    return None


def in_precision(network: nn.Module, precision: str) -> nn.Module:
    """The network as a training of this precision computes with it; itself except for bf16."""
    return Bfloat16(network) if precision == "bf16" else network


class Bfloat16(nn.Module):
    """A network whose layers multiply in bfloat16; its parameters and results stay as they are.

    Micikevicius et al. 2018 (arXiv:1710.03740) with bfloat16's range, which needs no scaling of
    losses. Gradients with respect to inputs and weights come back in the stored format, so that a
    gradient's norm is taken in it. Effective weights are made in it too, see `Reparametrised`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """As the network; the cast weights are not kept.

        A weight that was cast without a graph could otherwise be taken for one that has it.
        """
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            result: Tensor = self.network(x)
        return result.to(x.dtype)


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Within it, a GPU multiplies float32 as `precision` says: TF32 with tf32 alone, else exactly.

    torch's own default lets convolutions round their factors to TF32's 10 bits. Elsewhere it does
    nothing.
    """
    if device.type != "cuda":
        yield
        return
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
