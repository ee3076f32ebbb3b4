"""The forms of a convolution that go by blocks: products of parts of maps, kernels and results.

`Bands` and `Strips` are told of in `wgan.forms`.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wgan.forms import Geometry, Whole, everywhere, flat, unflat

_LINE = 64  # bytes of a line of the cache
_FEW_PLACES = 512  # rows that are multiples of so many bytes apart fall on few places of it


class _Block(NamedTuple):
    """Pixels of the result that a part of the operand makes of pixels of the map.

    Each is the first of as many as the lengths say, counted within a section; the operand's rows
    and columns are counted in pixels too, of the map's channels and the result's.

    Attributes:
        result_section, map_section: their number; None: each of the result by that of the map.
        first: whether no block before it makes any of these pixels.
    """

    result: int
    map: int
    row: int
    column: int
    results: int
    maps: int
    result_section: int | None = None
    map_section: int | None = None
    first: bool = True


@dataclass(frozen=True)
class Blocks(ABC):
    """Products of parts of the operand (..., rows C, columns O) with parts of flat values.

    Maps lie with channels innermost. `up`, `down` and `weigh` are for k layers.

    Attributes:
        blocks: of those that make the same pixels the `first` one comes first.
        sections: into how many equal parts maps are cut, and results, from the top to the bottom:
            what all of them have in common is one product.
        leaves_none_out: whether each pixel of the result sees some of the map.
    """

    place: Geometry
    blocks: tuple[_Block, ...]
    sections: int
    leaves_none_out: bool

    @property
    def entries(self) -> int:
        """As in `Form`."""
        return math.prod(self._operand_pixels)

    @abstractmethod
    def operand(self, kernels: Tensor) -> Tensor:
        """As in `Form`."""

    def there(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        if operand.dim() == 2:
            return self.there(maps.unsqueeze(0), *_one(operand, bias)).squeeze(0)
        results = _third(self, flat(maps), None, operand)
        return unflat(_shifted(results, bias, self.place.result), self.place.result)

    def back(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        if operand.dim() == 2:
            return self.back(maps.unsqueeze(0), *_one(operand, bias)).squeeze(0)
        made = _third(self, None, flat(maps), operand)
        return unflat(_shifted(made, bias, self.place.maps), self.place.maps)

    def up(self, maps: Tensor, operand: Tensor, bias: Tensor | None = None) -> Tensor:
        """The convolution, (k, N, H W C) to (k, N, H' W' O); bias (k, H' W' O)."""
        inputs, outputs = self._channels(operand)
        shape = (*maps.shape[:2], math.prod(self.place.result) * outputs)
        if bias is not None:
            results = maps.new_empty(shape).copy_(bias[:, None])
        else:
            results = maps.new_empty(shape) if self.leaves_none_out else maps.new_zeros(shape)
        seen_in, into_in = self._in_sections(maps), self._in_sections(results)
        for block in self.blocks:
            into = self._of_results(into_in, block, outputs)
            seen = self._of_maps(seen_in, block, inputs)
            by = self._of_operand(operand, block, inputs, outputs)
            if block.first and bias is None:
                torch.bmm(seen, by, out=into)
            else:
                into.baddbmm_(seen, by)
        return results

    def down(self, results: Tensor, operand: Tensor) -> Tensor:
        """Its transpose, (k, N, H' W' O) to (k, N, H W C)."""
        inputs, outputs = self._channels(operand)
        maps = results.new_zeros((*results.shape[:2], math.prod(self.place.maps) * inputs))
        slopes_in, into_in = self._in_sections(results), self._in_sections(maps)
        for block in self.blocks:
            slopes = self._of_results(slopes_in, block, outputs)
            by = self._of_operand(operand, block, inputs, outputs)
            self._of_maps(into_in, block, inputs).baddbmm_(slopes, by.transpose(1, 2))
        return maps

    def weigh(self, maps: Tensor, results: Tensor, into: Tensor | None = None) -> Tensor:
        """The derivative in the operand of `up(maps, operand)` times `results`, summed.

        It is put `into` a tensor like the operand, or a new one.
        """
        inputs = maps.shape[2] // math.prod(self.place.maps)
        outputs = results.shape[2] // math.prod(self.place.result)
        rows, columns = self._operand_pixels
        if into is None:
            operand = maps.new_zeros((len(maps), rows * inputs, columns * outputs))
        else:
            operand = into.zero_()
        seen_in, slopes_in = self._in_sections(maps, spread=True), self._in_sections(results)
        for block in self.blocks:
            seen = self._of_maps(seen_in, block, inputs)
            slopes = self._of_results(slopes_in, block, outputs)
            by = self._of_operand(operand, block, inputs, outputs)
            by.baddbmm_(seen.transpose(1, 2), slopes)
        return operand

    def _in_sections(self, values: Tensor, *, spread: bool = False) -> list[Tensor]:
        """All sections of values (k, N, units) as samples of their own, then each by itself."""
        samples = values.shape[1] * self.sections
        every = values.reshape(len(values), samples, -1)
        if spread:
            every = _spread(every)
        return [every, *(every[:, number :: self.sections] for number in range(self.sections))]

    @property
    def share(self) -> float:
        """Of the products of a whole matrix those that are made, 0 to 1."""
        made = sum(
            block.maps * block.results * (self.sections if block.map_section is None else 1)
            for block in self.blocks
        )
        return made / (math.prod(self.place.maps) * math.prod(self.place.result))

    @property
    @abstractmethod
    def _operand_pixels(self) -> tuple[int, int]:
        """The operand's rows and columns, in pixels."""

    def _channels(self, operand: Tensor) -> tuple[int, int]:
        """Of the map and of the result."""
        rows, columns = self._operand_pixels
        return operand.shape[1] // rows, operand.shape[2] // columns

    @staticmethod
    def _of_maps(sections: Sequence[Tensor], block: _Block, inputs: int) -> Tensor:
        held = sections[0 if block.map_section is None else 1 + block.map_section]
        return held.narrow(2, block.map * inputs, block.maps * inputs)

    @staticmethod
    def _of_results(sections: Sequence[Tensor], block: _Block, outputs: int) -> Tensor:
        held = sections[0 if block.result_section is None else 1 + block.result_section]
        return held.narrow(2, block.result * outputs, block.results * outputs)

    @staticmethod
    def _of_operand(operand: Tensor, block: _Block, inputs: int, outputs: int) -> Tensor:
        rows = operand.narrow(1, block.row * inputs, block.maps * inputs)
        if block.results * outputs == operand.shape[2]:
            return rows
        return rows.narrow(2, block.column * outputs, block.results * outputs)


class Strips(Blocks):
    """The operand is the kernels themselves, (..., h w C, O)."""

    def operand(self, kernels: Tensor) -> Tensor:
        """The kernels with their outputs innermost, then their inputs."""
        ordered: Tensor = kernels.movedim((-2, -1), (-4, -3)).transpose(-2, -1)
        return ordered.flatten(-4, -2)

    @property
    def _operand_pixels(self) -> tuple[int, int]:
        return math.prod(self.place.kernel), 1


class Bands(Blocks):
    """The operand is the whole matrix, transposed: (..., H W C, H' W' O)."""

    def operand(self, kernels: Tensor) -> Tensor:
        """As of `Whole`, turned."""
        return Whole(self.place, innermost=True).operand(kernels).transpose(-2, -1)

    @property
    def _operand_pixels(self) -> tuple[int, int]:
        return math.prod(self.place.maps), math.prod(self.place.result)


def _spread(values: Tensor) -> Tensor:
    """The same values (k, N, units), their rows a little further apart.

    Rows that are a power of two apart fall on few places of the cache, and a product that takes
    them as columns waits for them: by up to a third of its time (an AMD EPYC).
    """
    *sizes, units = values.shape
    if units * values.element_size() % _FEW_PLACES:
        return values
    spread = values.new_empty((*sizes, units + _LINE // values.element_size()))[..., :units]
    return spread.copy_(values)


def _one(operand: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """A layer's as those of a stack of one."""
    return operand.unsqueeze(0), None if bias is None else bias.unsqueeze(0)


def _shifted(values: Tensor, bias: Tensor | None, pixels: tuple[int, ...]) -> Tensor:
    return values if bias is None else values + everywhere(bias, pixels, innermost=True)[:, None]


def _third(
    form: Blocks, maps: Tensor | None, results: Tensor | None, operand: Tensor | None
) -> Tensor:
    """Of maps, results and operand the one that is None: the derivative in it of all three.

    What is differentiated is the sum of `up(maps, operand)` times `results`. It is linear in each
    of them, so that the derivatives of a derivative are again one of the three.
    """
    third: Tensor = _Third.apply(form, maps, results, operand)  # type: ignore[no-untyped-call]
    return third


class _Third(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        form: Blocks,
        maps: Tensor | None,
        results: Tensor | None,
        operand: Tensor | None,
    ) -> Tensor:
        ctx.form = form
        ctx.save_for_backward(maps, results, operand)
        if results is None:
            assert maps is not None
            assert operand is not None
            return form.up(maps, operand)
        if maps is None:
            assert operand is not None
            return form.down(results, operand)
        return form.weigh(maps, results)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """In each of the two that were given; the gradient stands in the third's place."""
        every = [gradient.contiguous() if held is None else held for held in ctx.saved_tensors]
        return None, *(
            _third(ctx.form, *(None if other == one else every[other] for other in range(3)))
            if ctx.needs_input_grad[1 + one]
            else None
            for one in range(3)
        )


@functools.lru_cache(maxsize=64)
def strips_of(place: Geometry) -> Strips:
    """The form by strips; those that go on in map and kernel alike are one."""
    across, (height, width) = place.result[1], place.maps
    # A row of the result is a section where the map has as many parts that lie as the rows do.
    sections = place.result[0] if height == place.result[0] * place.stride[0] else 1
    rows, map_rows = place.result[0] // sections, height // sections
    strips: list[_Block] = []
    for column, seen_columns in enumerate(_seen(place, 1)):
        if not seen_columns:
            continue
        x, kernel_x = seen_columns[0]
        for row, seen_rows in enumerate(_seen(place, 0)):
            for y, kernel_y in seen_rows:
                strip = _Block(
                    result=row % rows * across + column,
                    map=y % map_rows * width + x,
                    row=kernel_y * place.kernel[1] + kernel_x,
                    column=0,
                    results=1,
                    maps=len(seen_columns),
                    result_section=row // rows,
                    map_section=y // map_rows,
                )
                strips[-1:] = _joined(strips[-1], strip) if strips else [strip]
    ordered = _common_first(strips, sections)
    reached = {(strip.result_section, strip.result) for strip in strips}
    return Strips(place, ordered, sections, len(reached) == math.prod(place.result))


def _joined(one: _Block, next_: _Block) -> list[_Block]:
    """Both as one where the second goes on where the first ends."""
    ends = one._replace(map=one.map + one.maps, row=one.row + one.maps, maps=next_.maps)
    return [one._replace(maps=one.maps + next_.maps)] if ends == next_ else [one, next_]


def _common_first(blocks: Sequence[_Block], sections: int) -> tuple[_Block, ...]:
    """Blocks that each section of the result has with its own of the map, as one, before others."""
    alike: dict[_Block, list[_Block]] = {}
    for block in blocks:
        either = block._replace(result_section=None, map_section=None)
        alike.setdefault(either, []).append(block)
    within = [(number, number) for number in range(sections)]
    common, others = [], []
    for either, several in alike.items():
        if [(block.result_section, block.map_section) for block in several] == within:
            common.append(either)
        else:
            others += several
    made: set[tuple[int, int]] = set()
    ordered = []
    for block in common + others:
        own = block.result_section
        pixels = {(number, block.result) for number in (range(sections) if own is None else [own])}
        ordered.append(block._replace(first=made.isdisjoint(pixels)))
        made |= pixels
    return tuple(ordered)


@functools.lru_cache(maxsize=64)
def bands_of(place: Geometry) -> Bands:
    """The form by bands, one for each row of the result that sees some of the map."""
    width, across = place.maps[1], place.result[1]
    bands = [
        _Block(
            result=row * across,
            map=seen[0][0] * width,
            row=seen[0][0] * width,
            column=row * across,
            results=across,
            maps=len(seen) * width,
        )
        for row, seen in enumerate(_seen(place, 0))
        if seen
    ]
    return Bands(place, tuple(bands), 1, len(bands) == place.result[0])


def _seen(place: Geometry, axis: int) -> list[list[tuple[int, int]]]:
    """For each place of the result along an axis: which pixels are seen, by which of the kernel."""
    return [
        [
            (start + step, step)
            for step in range(place.kernel[axis])
            if 0 <= start + step < place.maps[axis]
        ]
        for start in (
            number * place.stride[axis] - place.padding[axis]
            for number in range(place.result[axis])
        )
    ]
