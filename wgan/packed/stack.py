"""The parameters of k like modules in one block of memory, of which theirs are views.

Row i of the block holds the parameters of module i, each begun at a multiple of 64 bytes. Whatever
acts on the whole block (an optimizer, a norm) is then one operation; and every row has the same
alignment and no vector's tail, so that the bits of a row do not depend on where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from wgan.packed.blocks import places_of


class Stack:
    """Parameters and buffers of `modules`, stacked.

    Args:
        orders: in which dimensions of a parameter lie in memory, the innermost last, by its name;
            of others they lie as they come.

    Attributes:
        block: the parameters, shape (k, width), one leaf for an optimizer; its `grad` is always
            there.
        parameters: each parameter stacked, shape (k, ...): leaves of the graph, views of `block`.
        gradients: views of `block.grad`, in their order.
        buffers: each buffer stacked, shape (k, ...).
    """

    def __init__(self, modules: Sequence[nn.Module], orders: Mapping[str, tuple[int, ...]]) -> None:
        first = modules[0]
        self.places, width = places_of(dict(first.named_parameters()), orders)
        like = next(first.parameters(), torch.empty(0))  # a frozen generator has none
        self.block = nn.Parameter(like.new_zeros(len(modules), width))
        self.block.grad = torch.zeros_like(self.block)
        self.parameters: dict[str, nn.Parameter] = {}
        for name, place in self.places.items():
            self.parameters[name] = nn.Parameter(place.stacked(self.block.data))
        self.gradients = [place.stacked(self.block.grad) for place in self.places.values()]
        self.buffers = {
            name: torch.stack([dict(module.named_buffers())[name] for module in modules])
            for name, _ in first.named_buffers()
        }
        for index, module in enumerate(modules):
            for name, parameter in module.named_parameters():
                self.parameters[name].data[index].copy_(parameter.detach())

    def held_by(self, layer: str) -> dict[str, Tensor]:
        """The stacked parameters and buffers of `layer`, by their names in it."""
        dot = f"{layer}." if layer else ""
        every: dict[str, Tensor] = {**self.parameters, **self.buffers}
        return {
            name.removeprefix(dot): tensor for name, tensor in every.items() if name.startswith(dot)
        }

    def gradient_of(self, held: Tensor) -> Tensor | None:
        """Where the gradient of a view of the block is; None of what was computed of it."""
        assert self.block.grad is not None
        own = held.untyped_storage().data_ptr() == self.block.untyped_storage().data_ptr()
        if not own or 0 in held.stride():
            return None
        return self.block.grad.as_strided(held.shape, held.stride(), held.storage_offset())

    def lend(self, index: int, module: nn.Module) -> None:
        """Make the parameters and buffers of `module` views of row `index`."""
        for name, parameter in module.named_parameters():
            parameter.data = self.places[name].of_row(self.block.data, index)
        for name, buffer in module.named_buffers():
            buffer.data = self.buffers[name][index]


def own_memory(module: nn.Module) -> None:
    """Give the parameters and buffers of `module` memory of their own."""
    for held in (*module.parameters(), *module.buffers()):
        held.data = held.data.clone(memory_format=torch.contiguous_format)
