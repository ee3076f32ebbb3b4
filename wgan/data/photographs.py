"""Small colour photographs: CIFAR-10, CIFAR-100, SVHN and STL-10, as torchvision reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wgan.components import setting
from wgan.data.cache import Arrays
from wgan.data.pictures import planes, resized
from wgan.data.published import Found, PublishedSet, datasets


@dataclass(frozen=True)
class CIFAR10(PublishedSet):
    """50,000 training and 10,000 test photographs of ten classes, (3, 32, 32)."""

    name: ClassVar[str] = "cifar10"
    reference: ClassVar[str] = "Krizhevsky 2009, Learning Multiple Layers of Features"
    files: ClassVar[tuple[str, ...]] = (
        *(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
        "cifar-10-batches-py/test_batch",
        "cifar-10-batches-py/batches.meta",
    )
    archives: ClassVar[tuple[str, ...]] = ("cifar-10-python.tar.gz",)
    torchvision_name: ClassVar[str] = "CIFAR10"

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, 32, 32)."""
        return (3, 32, 32)

    def decode(self, found: Found) -> Arrays:
        """The photographs and their classes; of CIFAR-100 the 100 fine ones."""
        arrays = {}
        for split, train in (("train", True), ("held_out", False)):
            data = getattr(datasets(), self.torchvision_name)(found.folder, train=train)
            arrays[split] = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
            arrays[f"{split}_labels"] = np.array(data.targets, dtype=np.int64)
        return arrays

    def download(self, root: Path) -> None:
        """The archive, unpacked."""
        getattr(datasets(), self.torchvision_name)(root, download=True)


@dataclass(frozen=True)
class CIFAR100(CIFAR10):
    """50,000 training and 10,000 test photographs of 100 classes, (3, 32, 32)."""

    name: ClassVar[str] = "cifar100"
    files: ClassVar[tuple[str, ...]] = tuple(
        f"cifar-100-python/{name}" for name in ("train", "test", "meta")
    )
    archives: ClassVar[tuple[str, ...]] = ("cifar-100-python.tar.gz",)
    torchvision_name: ClassVar[str] = "CIFAR100"


@dataclass(frozen=True)
class SVHN(PublishedSet):
    """73,257 training and 26,032 test house numbers, labelled 0 to 9, (3, 32, 32).

    The further 531,131 easier images ("extra") are not used.
    """

    name: ClassVar[str] = "svhn"
    reference: ClassVar[str] = (
        "Netzer et al. 2011, Reading Digits in Natural Images with Unsupervised Feature Learning"
    )
    files: ClassVar[tuple[str, ...]] = ("train_32x32.mat", "test_32x32.mat")

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, 32, 32)."""
        return (3, 32, 32)

    def decode(self, found: Found) -> Arrays:
        """The house numbers and the digit in the middle of each."""
        arrays = {}
        for split, theirs in (("train", "train"), ("held_out", "test")):
            data = datasets().SVHN(found.folder, split=theirs)
            arrays[split] = np.ascontiguousarray(data.data)
            arrays[f"{split}_labels"] = data.labels.astype(np.int64).reshape(-1)
        return arrays

    def download(self, root: Path) -> None:
        """The two files of Matlab."""
        for split in ("train", "test"):
            datasets().SVHN(root, split=split, download=True)


@dataclass(frozen=True)
class STL10(PublishedSet):
    """Photographs of 96 x 96 pixels, resized once to `size`; the 8,000 test images are held out.

    Papers train GANs on the 100,000 unlabelled images at 48 x 48, which is the default; `train` are
    the 5,000 labelled ones. Labels exist only where every training image has one.
    """

    name: ClassVar[str] = "stl10"
    reference: ClassVar[str] = (
        "Coates et al. 2011, An Analysis of Single-Layer Networks; 48 pixels as in Miyato et al. "
        "2018, arXiv:1802.05957, section 4"
    )
    files: ClassVar[tuple[str, ...]] = tuple(
        f"stl10_binary/{name}.bin"
        for name in ("train_X", "train_y", "unlabeled_X", "test_X", "test_y")
    )
    archives: ClassVar[tuple[str, ...]] = ("stl10_binary.tar.gz",)

    size: int = setting(48, "side of the images", unit="pixels", low=8, high=96)
    split: str = setting(
        "unlabeled", "what is trained on", choices=("unlabeled", "train", "train+unlabeled")
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, size, size)."""
        return (3, self.size, self.size)

    def decode(self, found: Found) -> Arrays:
        """The resized images; classes 0 to 9 with `split: train`."""
        arrays = {}
        for split, theirs in (("train", self.split), ("held_out", "test")):
            data = datasets().STL10(found.folder, split=theirs)
            arrays[split] = _resized(data.data, self.size)
            if self.split == "train":
                arrays[f"{split}_labels"] = data.labels.astype(np.int64)
        return arrays

    def download(self, root: Path) -> None:
        """The archive, unpacked."""
        datasets().STL10(root, split="test", download=True)


def _resized(pixels: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """uint8 images (N, 3, H, W) at (N, 3, size, size)."""
    from PIL import Image

    made = np.empty((len(pixels), 3, size, size), dtype=np.uint8)
    for index, image in enumerate(pixels):
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))
        made[index] = planes(resized(picture, size))
    return made
