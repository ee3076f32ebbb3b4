"""The sliced Wasserstein distance of images: between the patches of their Laplacian pyramids.

Coarse levels show the large shapes, fine ones the texture: Karras et al. 2018, arXiv:1710.10196,
section 5. They take 128 patches of each of 16,384 images and 512 directions. A quarter of both,
taken here, costs a twentieth; 2,000 MNIST digits read 14 % higher against 2,000 others (the error
of a finite sample, which the floor shows), and the choice of directions moves a distance by 2 %,
for all runs alike. Papers print 10^3 times the distance.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.evaluate.sliced_wasserstein import (
    Projections,
    projections,
    random_directions,
    sliced_wasserstein,
)

SIDE = 7  # pixels
PATCHES = 32  # of each image and level
DIRECTIONS = 128
COARSEST = 16  # pixels: the side of the smallest level
SEED = 0  # of the places
DESCRIPTION = (
    f"mean over the levels of a Laplacian pyramid down to {COARSEST} pixels; of each image "
    f"{PATCHES} patches of {SIDE}x{SIDE} pixels, normalised by channel; {DIRECTIONS} directions; "
    f"seed {SEED}"
)


def image_distance(fake: Tensor, real: Tensor | list[Projections]) -> float:
    """The mean over the levels of the sliced Wasserstein distance between patches.

    Args:
        fake, real: uint8 images, shapes (N, C, H, W) and (M, C, H, W). `real` may be the
            `projected_patches` of some, which are half the work.
    """
    reals = projected_patches(real) if isinstance(real, Tensor) else real
    distances = []
    for level, other in zip(_levels(fake), reals, strict=True):
        patches = normalised_patches(level)
        distances.append(sliced_wasserstein(patches, other, _directions(patches)))
    return sum(distances) / len(distances)


def projected_patches(pixels: Tensor) -> list[Projections]:
    """Of each level of uint8 images the patches, on the lines that distances are taken along."""
    patches = map(normalised_patches, _levels(pixels))
    return [projections(level, _directions(level)) for level in patches]


def _directions(patches: Tensor) -> Tensor:
    return random_directions(patches.shape[1], DIRECTIONS)


def _levels(pixels: Tensor) -> list[Tensor]:
    return laplacian_pyramid(pixels.cpu().to(torch.float32))


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """The levels of float images, shape (N, C, H, W), finest first.

    Each level but the last is what is lost on the way to half the size and back (Burt and Adelson
    1983); the last is what remains. So doubling and adding, from the last to the first, gives the
    images back. Sizes are halved while both sides are even and stay at 16
    pixels or more: an image of 28 pixels is one level, itself.
    """
    levels = [images]
    while all(side % 2 == 0 and side // 2 >= COARSEST for side in levels[-1].shape[2:]):
        smaller = halved(levels[-1])
        levels[-1:] = [levels[-1] - doubled(smaller), smaller]
    return levels


def halved(images: Tensor) -> Tensor:
    """Blurred by the binomial filter (1, 4, 6, 4, 1) / 16 both ways; every second pixel of that."""
    return _blurred(images)[:, :, ::2, ::2]


def doubled(images: Tensor) -> Tensor:
    """Twice the size: zeros between the pixels, blurred by four times the filter."""
    count, channels, height, width = images.shape
    spread = images.new_zeros(count, channels, 2 * height, 2 * width)
    spread[:, :, ::2, ::2] = images
    return 4 * _blurred(spread)


def _blurred(images: Tensor) -> Tensor:
    """At the edges the image goes on mirrored, its last pixel not repeated."""
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype) / 16
    alone = functional.pad(images.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="reflect")
    along = functional.conv2d(alone, line.view(1, 1, 1, 5))
    return functional.conv2d(along, line.view(1, 1, 5, 1)).view(images.shape)


def normalised_patches(level: Tensor, patches: int = PATCHES, seed: int = SEED) -> Tensor:
    """Patches at random places of each image, as rows, normalised by channel: shape (N P, C s^2).

    Over all patches each channel has mean 0 and standard deviation 1, as in Karras et al.: a set
    that is brighter or of more contrast as a whole looks the same. A channel that never changes is
    0. The k-th image of any set gives patches of the same places, so that equal sets have equal
    patches. Images with no more than P places give all of them once.

    Args:
        level: float images, shape (N, C, H, W); where they are smaller than 7 pixels, so are the
            patches.
        patches: P.
        seed: of the places.
    """
    count, channels, height, width = level.shape
    side = min(SIDE, height, width)
    rows, columns = height - side + 1, width - side + 1
    everywhere = level.unfold(2, side, 1).unfold(3, side, 1)
    if rows * columns <= patches:
        chosen = everywhere.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels, side * side)
    else:
        rng = torch.Generator().manual_seed(seed)
        place = torch.randint(rows * columns, (count, patches), generator=rng)
        image = torch.arange(count)[:, None].expand(-1, patches)
        chosen = everywhere[image, :, place // columns, place % columns].flatten(0, 1).flatten(2)
    centred = chosen - chosen.mean(dim=(0, 2), keepdim=True)
    spread = centred.square().mean(dim=(0, 2), keepdim=True).sqrt()
    return (centred / spread.where(spread > 0, 1)).flatten(1)
