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


def planes(image: Image, channels: int) -> NDArray[np.uint8]:
    """uint8, shape (1, H, W) in grey (ITU-R 601 luma) or (3, H, W) in red, green and blue.

    Transparency is ignored.

    Raises:
        ValueError: grey values of more than 8 bits, which Pillow would cut off at 255.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"values of more than 8 bits (mode {image.mode}) are not supported")
    if channels == 1:
        return np.asarray(image.convert("L"), dtype=np.uint8)[None]
    return np.asarray(image.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1)
