"""Weight normalisation: each unit's weight vector has a length of its own, or length 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from wgan.components import setting
from wgan.layers import linear_layers, reparametrise
from wgan.lipschitz.base import LipschitzMethod
from wgan.networks.base import Shape


@dataclass(frozen=True)
class WeightNormalization(LipschitzMethod):
    """w = g v / ||v|| for each output unit or channel, v being the raw weight.

    With `form="learned"` g is a parameter that begins at ||v||, so that the critic begins as it
    was. With `form="unit"` g is 1, as in the comparison of Miyato et al. 2018 (arXiv:1802.05957).

    No `bound` is promised. Rows of length 1 leave the largest singular value of an (m, n) matrix
    anywhere between 1 (orthogonal rows) and sqrt(m) (equal rows), since the squares of all of them
    sum to m. A learned g is free to grow.
    """

    name: ClassVar[str] = "weight_normalization"
    reference: ClassVar[str] = "Salimans and Kingma 2016, arXiv:1602.07868"
    packable: ClassVar[bool] = True
    normalises_layers: ClassVar[bool] = True
    update_time: ClassVar[float] = 1.3

    form: str = setting("learned", "the length of each unit's weights", choices=("learned", "unit"))

    def wrap(self, critic: nn.Module, shape: Shape) -> nn.Module:
        """Normalise each dense and convolutional layer; the raw weights stay the same objects."""
        for layer in linear_layers(critic).values():
            reparametrise(layer, UnitLength(layer.weight, learned=self.form == "learned"))
        return critic


class UnitLength(nn.Module):
    """g v / ||v||, row by row; the parameter g is `gain`, shape (out,), or there is none."""

    gain: Tensor | None

    def __init__(self, weight: Tensor, *, learned: bool) -> None:
        super().__init__()
        gain = nn.Parameter(_lengths(weight.detach())) if learned else None
        self.register_parameter("gain", gain)

    def forward(self, weight: Tensor) -> Tensor:
        """A row of zeros stays zero."""
        factors = _factors(_lengths(weight), self.gain)
        return weight * factors.view(-1, *[1] * (weight.dim() - 1))

    def stacked(self, held: Mapping[str, Tensor]) -> nn.Module:
        """The lengths of k layers' rows."""
        return StackedUnitLength(held.get("gain"))


class StackedUnitLength(nn.Module):
    """`UnitLength` of k layers; `gain` (k, out) or None."""

    def __init__(self, gain: Tensor | None) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, weight: Tensor) -> Tensor:
        """Shape (k, out, ...), kept."""
        within = tuple(range(2, weight.dim()))
        lengths: Tensor = torch.linalg.vector_norm(weight, dim=within)
        return weight * _factors(lengths, self.gain)[(..., *[None] * len(within))]


def _factors(lengths: Tensor, gain: Tensor | None) -> Tensor:
    """What rows of these lengths are multiplied by."""
    lengths = lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
    return 1 / lengths if gain is None else gain / lengths


def _lengths(weight: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(weight.flatten(1), dim=1)
    return lengths
