"""CelebA: 202,599 faces, cut out, resized once and cached."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wgan.components import setting
from wgan.data.cache import Arrays
from wgan.data.pictures import centre, converted, planes, resized
from wgan.data.published import Found, PublishedSet, datasets

log = logging.getLogger(__name__)

_IMAGES = "celeba/img_align_celeba"


@dataclass(frozen=True)
class CelebA(PublishedSet):
    """162,770 training and 19,962 test faces of 178 x 218 pixels, without labels.

    The `crop` x `crop` pixels in the middle are cut out and resized to `size`. Papers differ here:
    178, the whole width, is the commonest (mimicry among others), 108 is DCGAN's.
    """

    name: ClassVar[str] = "celeba"
    reference: ClassVar[str] = (
        "Liu et al. 2015, arXiv:1411.7766; crop of 178 and 64 pixels as in Lee and Town 2020 "
        "(mimicry), arXiv:2005.02494"
    )
    files: ClassVar[tuple[str, ...]] = (
        *(
            f"celeba/{name}.txt"
            for name in (
                "list_eval_partition",
                "list_attr_celeba",
                "identity_CelebA",
                "list_bbox_celeba",
                "list_landmarks_align_celeba",
            )
        ),
        _IMAGES,
    )
    archives: ClassVar[tuple[str, ...]] = (*files[:-1], "celeba/img_align_celeba.zip")

    size: int = setting(64, "side of the images", unit="pixels", low=8, high=178)
    crop: int = setting(178, "side of the square that is cut out", unit="pixels", low=8, high=178)

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, size, size)."""
        return (3, self.size, self.size)

    def sources(self, found: Found) -> list[tuple[str, Path]]:
        """The lists and every face."""
        lists = [(name, path) for name, path in super().sources(found) if name != _IMAGES]
        return lists + [(path.name, path) for path in sorted(found.files[_IMAGES].iterdir())]

    def decode(self, found: Found) -> Arrays:
        """The faces; there are no classes."""
        log.warning("celeba: decoding the faces in %s, once", found.folder)
        return {
            split: self._faces(datasets().CelebA(found.folder, split=theirs, target_type=[]))
            for split, theirs in (("train", "train"), ("held_out", "test"))
        }

    def _faces(self, data: Any) -> NDArray[np.uint8]:
        made = np.empty((len(data), *self.shape), dtype=np.uint8)
        for index in range(len(data)):
            face, _ = data[index]
            made[index] = planes(resized(centre(converted(face, 3), self.crop), self.size))
        return made

    def download(self, root: Path) -> None:
        """The lists and the archive of faces, unpacked; torchvision needs the package gdown."""
        datasets().CelebA(root, target_type=[], download=True)
