"""From Pillow's images to uint8 planes: cut out, resized and converted in one stated way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


def resized(image: Image, size: int) -> Image:
    """The image at `size` x `size` pixels, stretched where it is not square.

    Pillow's bilinear filter, which widens with the reduction and so does not alias: what the
    published pipelines use (torchvision's Resize in mimicry, imresize in SNGAN's time).
    """
    from PIL.Image import Resampling

    return image if image.size == (size, size) else image.resize((size, size), Resampling.BILINEAR)


def centre(image: Image, side: int) -> Image:
    """The `side` x `side` pixels in the middle; of an odd remainder the smaller half comes first.

    `side` is at most the image's width and height.
    """
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def converted(image: Image, channels: int) -> Image:
    """The image in grey (1 channel, ITU-R 601 luma) or in red, green and blue (3).

    To be called before resizing: Pillow resizes palettes by the nearest pixel. Transparency is
    ignored.

    Raises:
        ValueError: grey values of more than 8 bits, which Pillow would cut off at 255.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"values of more than 8 bits (mode {image.mode}) are not supported")
    return image.convert("L" if channels == 1 else "RGB")


def planes(image: Image) -> NDArray[np.uint8]:
    """uint8, shape (1, H, W) of an image in grey, or (3, H, W) of one in red, green and blue."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
