"""What one critic update costs: arithmetic and memory, counted rather than timed.

Both are the same on a busy machine and on an idle one, so that methods can be compared in what they
cost without noise. They say nothing of how well the arithmetic runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from wgan.config import TrainConfig
from wgan.convolution import convolved_by_torch
from wgan.data import Data
from wgan.diagnostics.gap import trained_on
from wgan.train import TrainState


def step_cost(config: TrainConfig, state: TrainState, data: Data) -> dict[str, float]:
    """What one critic update costs, made on a copy of the critic with streams of its own.

    It is the whole of `critic_step`: the fakes, both scores, the penalties, the double backward
    pass where there is one, the optimizer, the projection. Before the first update every penalty
    is due, a lazy one too. Convolutions are counted as such, in whatever form they are trained.

    Returns:
        `critic_step_flops`, the floating-point operations of all matrix products and convolutions,
        a multiplication and an addition as two; and `critic_step_bytes`, what is kept for the
        backward pass: each storage once, those of the critic's own parameters and buffers left out,
        since they are held anyway.
    """
    kept = _Kept()
    with (
        convolved_by_torch(),
        Flops() as flops,
        torch.autograd.graph.saved_tensors_hooks(kept.pack, _same),
    ):
        critic = trained_on(config, state, data, 1, "evaluation:cost")
    return {
        "critic_step_bytes": float(kept.bytes_beside(critic)),
        "critic_step_flops": float(flops.total),
    }


class Flops(TorchDispatchMode):
    """Counts the operations of matrix products and convolutions by torch's own formulas.

    torch's FlopCounterMode does the same and follows the modules as well, which fails inside
    torch.autograd.grad, where a gradient penalty is made.

    Attributes:
        total: operations so far, a multiplication and an addition as two.
        convolutions: those of them that convolutions made, their gradients included.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.convolutions = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The operation's result."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            made = formula(*args, **kwargs, out_val=result)
            self.total += made
            self.convolutions += made if "convolution" in str(func._overloadpacket) else 0
        elif func._overloadpacket is torch.ops.aten.mv:  # torch has no formula for it
            self.total += 2 * args[0].numel()
        return result


class _Kept:
    """The storages of the tensors that autograd saves; held, so that no address is used twice."""

    def __init__(self) -> None:
        self.storages: dict[int, torch.UntypedStorage] = {}

    def pack(self, saved: Tensor) -> Tensor:
        """The tensor, noted; detached, since an output that its own graph held would never go."""
        storage = saved.untyped_storage()
        self.storages[storage.data_ptr()] = storage
        return saved.detach()

    def bytes_beside(self, critic: nn.Module) -> int:
        """The bytes of all of them but the critic's own."""
        own = {
            tensor.untyped_storage().data_ptr()
            for tensor in (*critic.parameters(), *critic.buffers())
        }
        return sum(held.nbytes() for at, held in self.storages.items() if at not in own)


def _same(saved: Tensor) -> Tensor:
    return saved
