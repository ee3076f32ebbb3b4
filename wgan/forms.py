"""Three forms of a convolution on maps of a few pixels; all are matrix products.

`Whole` takes a map at once: each of its pixels and channels meets each of the result's, many of
them by a zero. `Bands` takes to each row of the result the rows of the map that the kernel sees
from there: 28 of 64 products where 8 x 8 pixels become 4 x 4. `Strips` takes to each pixel of the
result what the kernel sees of a row of the map, and no zeros at all: 36 of 64 where 4 x 4 become
2 x 2.

Maps are (..., N, C, H, W), kernels (..., O, C, h, w), biases (..., O), where ... is nothing, or k
for k layers at once, of which each sees nothing but its own samples. They may lie in memory in any
way; what is innermost in the results is said of each form.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

_LINE = 64  # bytes of a line of the cache
_FEW_PLACES = 512  # rows that are multiples of so many bytes apart fall on few places of it


class Geometry(NamedTuple):
    """What a convolution does to places; each is (vertical, horizontal).

    Attributes:
        maps: pixels of the maps that it takes.
    """

    maps: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]

    @property
    def result(self) -> tuple[int, ...]:
        """Pixels of the maps that it makes."""
        return tuple(
            (size + 2 * padding - kernel) // stride + 1
            for size, kernel, stride, padding in zip(*self, strict=True)
        )


class Form(Protocol):
    """The convolution of one geometry, and its transpose."""

    @property
    def place(self) -> Geometry:
        """What it does to places."""
        ...

    @property
    def entries(self) -> int:
        """Numbers in the operand for each of the result's channels and each of the map's."""
        ...

    def operand(self, kernels: Tensor) -> Tensor:
        """What maps are multiplied by: linear in the kernels, and the same both ways."""
        ...

    def there(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution: (..., N, C, H, W) to (..., N, O, H', W')."""
        ...

    def back(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """Its transpose: (..., N, O, H', W') to (..., N, C, H, W); bias (..., C)."""
        ...


@dataclass(frozen=True)
class Whole:
    """The operand is the convolution's matrix, results by maps.

    `innermost`: whether maps lie with their channels innermost, which strips want and which makes
    stacked matrices with less copying; else pixels are.
    """

    place: Geometry
    innermost: bool = False

    @property
    def entries(self) -> int:
        """As in `Form`."""
        return math.prod(self.place.maps) * math.prod(self.place.result)

    def operand(self, kernels: Tensor) -> Tensor:
        """Each entry is one of the kernel's or zero; no layer sees in what place it stands."""
        *stack, outputs, inputs = kernels.shape[:-2]
        pixels = math.prod(self.place.maps)
        kernels = kernels.flatten(-2)
        if self.innermost:
            kernels = kernels.movedim(-1, -3).transpose(-2, -1).flatten(-2)
            entries = _times(_selection(self.place, kernels.dtype, kernels.device), kernels)
            entries = entries.view(*stack, pixels, -1, inputs, outputs).transpose(-3, -2)
            return entries.reshape(*stack, pixels * inputs, -1).transpose(-2, -1)
        chosen = _turned_selection(self.place, kernels.dtype, kernels.device)
        entries = _times(kernels.flatten(-3, -2), chosen)
        entries = entries.view(*stack, outputs, inputs, -1, pixels).transpose(-3, -2)
        return entries.reshape(*stack, -1, inputs * pixels)

    def there(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        return self._multiplied(maps, operand, bias, self.place.result)

    def back(self, maps: Tensor, operand: Tensor, bias: Tensor | None) -> Tensor:
        """As in `Form`."""
        return self._multiplied(maps, operand.transpose(-2, -1), bias, self.place.maps)

    def _multiplied(
        self, maps: Tensor, matrix: Tensor, bias: Tensor | None, pixels: tuple[int, ...]
    ) -> Tensor:
        flattened = flat(maps) if self.innermost else maps.flatten(-3)
        if bias is not None:
            bias = everywhere(bias, pixels, innermost=self.innermost)
        result = affine(flattened, matrix, bias)
        if self.innermost:
            return unflat(result, pixels)
        made: Tensor = result.unflatten(-1, (-1, *pixels))
        return made


def flat(maps: Tensor) -> Tensor:
    """Maps (..., N, C, H, W) as values (..., N, H W C), channels innermost."""
    return maps.movedim(-3, -1).flatten(-3)


def unflat(values: Tensor, pixels: Sequence[int]) -> Tensor:
    """The maps of which these are the values: the inverse of `flat`."""
    maps: Tensor = values.unflatten(-1, (*pixels, -1)).movedim(-1, -3)
    return maps


def everywhere(bias: Tensor, pixels: Sequence[int], *, innermost: bool) -> Tensor:
    """A bias (..., O) for each of the pixels, (..., O H' W'), channels innermost or outermost."""
    dim = -2 if innermost else -1
    sizes = [-1] * (bias.dim() + 1)
    sizes[dim] = math.prod(pixels)
    return bias.unsqueeze(dim).expand(sizes).flatten(-2)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A dense layer, or k: x (..., N, in), weight (..., out, in), bias (..., out) or None."""
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    turned = weight.transpose(1, 2)
    return torch.bmm(x, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, turned)


def _times(left: Tensor, right: Tensor) -> Tensor:
    """A product of which either or both are stacked."""
    if left.dim() == right.dim() == 2:
        return left @ right
    stack = max(left.shape[:-2], right.shape[:-2])
    return torch.bmm(left.expand(*stack, -1, -1), right.expand(*stack, -1, -1))


@functools.lru_cache(maxsize=64)
def _selection(place: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Which place of the kernel joins which pixels, ones and zeros, (H W H' W', h w)."""
    chosen = torch.zeros(*place.maps, *place.result, *place.kernel, dtype=dtype)
    for y, x, down, across in torch.cartesian_prod(
        *(torch.arange(size) for size in (*place.kernel, *place.result))
    ).tolist():
        row = place.stride[0] * down + y - place.padding[0]
        column = place.stride[1] * across + x - place.padding[1]
        if 0 <= row < place.maps[0] and 0 <= column < place.maps[1]:
            chosen[row, column, down, across, y, x] = 1
    return chosen.view(-1, math.prod(place.kernel)).to(device)


@functools.lru_cache(maxsize=64)
def _turned_selection(place: Geometry, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The same, (h w, H' W' H W)."""
    pixels = math.prod(place.maps)
    chosen: Tensor = _selection(place, dtype, device).unflatten(0, (pixels, -1))
    return chosen.permute(2, 1, 0).flatten(1).contiguous()


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
        blocks: no block that is not the first of its pixels comes before that one.
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
