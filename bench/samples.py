"""Pictures of generated samples, as PNG: a grid of images, or points over the data's."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from wgan.data import Data, Density, as_pixels

_ROWS = 8
_SIDE = 384  # of a picture of points, in pixels
_REAL_POINTS = 2000
_LINE, _LINES = 4, (116, 142, 178)  # between images: pixels, colour
_BACKGROUND, _REAL, _FAKE = (255, 255, 255), (205, 205, 205), (31, 95, 170)
Pixels = NDArray[np.uint8]


def picture(fake: Tensor, data: Data) -> bytes:
    """A PNG: the first 8 x 8 images, or all points with samples of the data faint beneath.

    Args:
        fake: float32 in [-1, 1], shape (N, C, H, W), or points, shape (N, d), of which the first
            two coordinates are shown; those of a line lie on y = 0.
    """
    pixels = _points(fake, data) if isinstance(data, Density) else _grid(fake)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _grid(fake: Tensor) -> Pixels:
    """8 x 8 images with a line between them, native pixels, tiny ones enlarged by whole numbers."""
    images = as_pixels(fake[: _ROWS * _ROWS].cpu().float())
    if images.shape[1] != 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    count, channels, height, width = images.shape
    scale = max(1, 32 // max(height, width))
    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    height, width = height * scale, width * scale
    across, down = min(_ROWS, count), -(-count // _ROWS)
    # Lines in a colour that no grey image has: white ones run into the strokes of digits.
    size = (down * (height + _LINE) + _LINE, across * (width + _LINE) + _LINE)
    sheet = torch.tensor(_LINES).view(channels, 1, 1).repeat(1, *size)
    for number, image in enumerate(images):
        top = _LINE + number // _ROWS * (height + _LINE)
        left = _LINE + number % _ROWS * (width + _LINE)
        sheet[:, top : top + height, left : left + width] = image
    return sheet.permute(1, 2, 0).to(torch.uint8).numpy()


def _points(fake: Tensor, data: Density) -> Pixels:
    real = _in_plane(data.held_out_batch(_REAL_POINTS, torch.Generator().manual_seed(0)))
    centre = (real.max(0) + real.min(0)) / 2
    reach = float((real.max(0) - real.min(0)).max()) * 0.65 or 1.0
    sheet = np.full((_SIDE, _SIDE, 3), _BACKGROUND, dtype=np.uint8)
    for points, colour in ((real, _REAL), (_in_plane(fake), _FAKE)):
        _draw(sheet, (points - centre) / reach, colour)
    return sheet


def _in_plane(points: Tensor) -> NDArray[np.float64]:
    """The first two coordinates of points, shape (N, 2); a missing second one is 0."""
    flat = points[:, :2].cpu().double()
    return torch.nn.functional.pad(flat, (0, 2 - flat.shape[1])).numpy()


def _draw(sheet: Pixels, at: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    """Dots of 2 x 2 pixels at coordinates in [-1, 1], y upwards; those beyond are not shown."""
    at = at[np.isfinite(at).all(1) & (np.abs(at) < 1).all(1)]
    column = ((at[:, 0] + 1) / 2 * (_SIDE - 2)).astype(int)
    row = ((1 - at[:, 1]) / 2 * (_SIDE - 2)).astype(int)
    for down in (0, 1):
        for right in (0, 1):
            sheet[row + down, column + right] = colour
