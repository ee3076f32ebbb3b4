"""MNIST and the sets made in its image: four idx files each, 60,000 and 10,000 grey images."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from wgan.components import setting
from wgan.data.base import DataError, Images
from wgan.data.cache import Arrays
from wgan.data.parts import PartialSet
from wgan.data.places import exists
from wgan.data.published import Found, PublishedSet, datasets
from wgan.data.stacked import stacked

_NATIVE = 28
_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class MNISTLike(PublishedSet):
    """A set in MNIST's format, (1, 28, 28), or (1, 32, 32) with a border of background (0)."""

    files: ClassVar[tuple[str, ...]] = _FILES
    torchvision_name: ClassVar[str]
    own_folder: ClassVar[str]

    size: int = setting(
        28, "side of the images: 28, or 32 with a border of zeros", unit="pixels", choices=(28, 32)
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, size, size)."""
        return (1, self.size, self.size)

    def folders(self) -> list[Path]:
        """Torchvision's folder; one of the set's own name; a `root` named for this set alone."""
        place, own = self._place(), self.torchvision_name
        named = place / self.own_folder
        found = [place / own / "raw", place / own, named, named / "raw", named / own / "raw"]
        return [*found, place, place / "raw"] if self.root else found

    def find(self) -> Found | None:
        """The four files, packed (.gz) or not."""
        for folder in self.folders():
            files: dict[str, Path] = {}
            for name in self.files:
                for path in (folder / f"{name}.gz", folder / name):
                    if exists(path):
                        files[name] = path
            if len(files) == len(self.files):
                return Found(folder, files)
        return None

    def decode(self, found: Found) -> Arrays:
        """The digits, padded to `size`, and their labels 0 to 9."""
        self._check_kind(found)
        with tempfile.TemporaryDirectory() as root:
            raw = Path(root) / self.torchvision_name / "raw"
            raw.mkdir(parents=True)
            for name, path in found.files.items():
                _unpack(path, raw / name)
            arrays = {}
            for split, train in (("train", True), ("held_out", False)):
                data = getattr(datasets(), self.torchvision_name)(root, train=train)
                shape, labels = tuple(data.data.shape), len(data.targets)
                if shape != (labels, _NATIVE, _NATIVE):
                    raise DataError(
                        f"{self.name}: {found.folder} holds images of shape {shape} and {labels} "
                        f"labels of the {split} split"
                    )
                arrays[split] = _padded(data.data.numpy()[:, None], self.size)
                arrays[f"{split}_labels"] = data.targets.numpy().astype(np.int64)
        return arrays

    def download(self, root: Path) -> None:
        """The four files, packed and unpacked."""
        getattr(datasets(), self.torchvision_name)(root, download=True)

    def _check_kind(self, found: Found) -> None:
        """Refuse another set's files, whose names are the same.

        Files that were packed anew have unknown checksums and pass.
        """
        name = self.files[0]
        if found.files[name].suffix != ".gz":
            return
        with found.files[name].open("rb") as file:
            digest = hashlib.file_digest(
                file, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
        for other in ("MNIST", "FashionMNIST", "KMNIST"):
            known = dict(getattr(datasets(), other).resources)
            if known[f"{name}.gz"] == digest and other != self.torchvision_name:
                raise DataError(
                    f"{self.name}: {found.files[name]} belongs to {other}; name another root"
                )


@dataclass(frozen=True)
class PartialMNISTLike(PartialSet, MNISTLike):
    """One of those sets, of which a part can be trained on."""

    def load_whole(self) -> Images:
        """All its images; whatever part is asked for, one decoded set serves."""
        return MNISTLike.load(self)


@dataclass(frozen=True)
class MadeOfMNIST(MNISTLike):
    """What is made of MNIST's four files, wherever they may lie."""

    torchvision_name: ClassVar[str] = "MNIST"
    own_folder: ClassVar[str] = "mnist"

    def folders(self) -> list[Path]:
        """As for its kin; and the place itself, whoever named it."""
        found = [*super().folders(), self._place(), self._place() / "raw"]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class MNIST(PartialMNISTLike, MadeOfMNIST):
    """Handwritten digits.

    Its four files may lie in `root` itself, in `root/raw`, `root/MNIST/raw` or `root/mnist`.
    """

    name: ClassVar[str] = "mnist"
    reference: ClassVar[str] = "LeCun et al. 1998, Gradient-Based Learning, section III"
    class_counts: ClassVar[tuple[int, ...]] = (
        *(5923, 6742, 5958, 6131, 5842),
        *(5421, 5918, 6265, 5851, 5949),
    )


@dataclass(frozen=True)
class FashionMNIST(PartialMNISTLike):
    """Clothes of ten kinds."""

    name: ClassVar[str] = "fashion_mnist"
    reference: ClassVar[str] = "Xiao et al. 2017, arXiv:1708.07747"
    torchvision_name: ClassVar[str] = "FashionMNIST"
    own_folder: ClassVar[str] = "fashion_mnist"
    class_counts: ClassVar[tuple[int, ...]] = (6000,) * 10


@dataclass(frozen=True)
class KMNIST(PartialMNISTLike):
    """Ten cursive Japanese characters."""

    name: ClassVar[str] = "kmnist"
    reference: ClassVar[str] = "Clanuwat et al. 2018, arXiv:1812.01718"
    torchvision_name: ClassVar[str] = "KMNIST"
    own_folder: ClassVar[str] = "kmnist"
    class_counts: ClassVar[tuple[int, ...]] = (6000,) * 10


@dataclass(frozen=True)
class StackedMNIST(MadeOfMNIST):
    """Three independent MNIST digits in the channels of one image: 1,000 modes.

    The stacks are one fixed list: `count` of training digits, and a fifth as many of test digits.
    The label of a stack of the digits a, b, c is 100 a + 10 b + c.
    """

    name: ClassVar[str] = "stacked_mnist"
    reference: ClassVar[str] = (
        "Metz et al. 2016, arXiv:1611.02163, section 3.3.1; 128,000 stacks of 28 pixels as in "
        "Lin et al. 2018 (PacGAN), arXiv:1712.04086"
    )

    count: int = setting(128_000, "training stacks", unit="images", low=5, high=10**6)

    @property
    def shape(self) -> tuple[int, ...]:
        """(3, size, size)."""
        return (3, self.size, self.size)

    def decode(self, found: Found) -> Arrays:
        """The two lists of stacks with their labels 0 to 999."""
        return stacked(super().decode(found), self.count)


def _unpack(source: Path, target: Path) -> None:
    if source.suffix != ".gz":
        target.symlink_to(source.resolve())
        return
    with gzip.open(source) as packed, target.open("wb") as file:
        shutil.copyfileobj(packed, file)


def _padded(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    border = (size - _NATIVE) // 2
    return np.pad(pixels, ((0, 0), (0, 0), (border, border), (border, border)))
