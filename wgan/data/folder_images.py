"""The images below a folder: which there are, and what they become; the bad ones named."""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan.data.base import DataError
from wgan.data.cache import Arrays
from wgan.data.pictures import centre, converted, planes, resized

log = logging.getLogger(__name__)

_ENDINGS = (".jpg", ".jpeg", ".png")
_FORMATS = ("JPEG", "PNG")
_NAMED = 5  # files that a message names


@dataclass(frozen=True)
class Listing:
    """What lies below a folder.

    Attributes:
        names: of the images, relative to it, with / between the parts, sorted.
        hidden, other: how many files and folders were left out because their name begins with a
            dot, and how many because they are no JPEG or PNG by their ending (or link to a folder).
    """

    names: list[str]
    hidden: int
    other: int


@dataclass(frozen=True)
class Reading:
    """How a file becomes uint8 planes, and what is done about one that does not: see `Folder`."""

    size: int
    channels: int
    unreadable: str
    odd_sizes: str


def list_images(folder: Path, at_most: int | None = None) -> Listing:
    """The images below `folder`; with `at_most` only so many, found with as little looking.

    Raises:
        OSError: a folder that cannot be looked into.
    """
    names: list[str] = []
    hidden = other = 0

    def fail(error: OSError) -> None:
        raise error

    for top, folders, files in os.walk(folder, onerror=fail):
        here = Path(top)
        shown = [name for name in folders if not name.startswith(".")]
        links = [name for name in shown if (here / name).is_symlink()]
        hidden += len(folders) - len(shown)
        other += len(links)
        folders[:] = sorted(shown)
        for name in files:
            if name.startswith("."):
                hidden += 1
            elif name.lower().endswith(_ENDINGS) and _is_file(here / name):
                names.append((here / name).relative_to(folder).as_posix())
                if len(names) == at_most:
                    return Listing(names, hidden, other)
            else:
                other += 1
    return Listing(sorted(names), hidden, other)


def decoded(
    folder: Path, splits: Mapping[str, Sequence[str]], classes: Sequence[str], reading: Reading
) -> Arrays:
    """The arrays of an image set: the planes of each split, and labels where there are `classes`.

    Raises:
        DataError: a bad file where it is refused, or a split that is left without images.
    """
    log.warning("%s: decoding %d images, once", folder, sum(map(len, splits.values())))
    arrays: Arrays = {}
    bad = _Bad(folder, reading)
    for split, names in splits.items():
        pixels = np.empty((len(names), reading.channels, reading.size, reading.size), np.uint8)
        kept: list[str] = []
        for name in names:
            try:
                pixels[len(kept)] = _read(folder / name, reading)
            except (_Unreadable, _OddSize) as error:
                bad.add(name, error)
            else:
                kept.append(name)
        arrays[split] = pixels[: len(kept)]
        if classes:
            numbers = [classes.index(name.split("/")[0]) for name in kept]
            arrays[f"{split}_labels"] = np.array(numbers, dtype=np.int64)
    bad.tell()
    if not len(arrays["train"]) or not len(arrays["held_out"]):
        raise DataError(
            f"folder: of the images in {folder} {len(arrays['train'])} are left to train on and "
            f"{len(arrays['held_out'])} held out: both must have some; give more images or "
            f"another share held_out"
        )
    return arrays


class _Unreadable(Exception):
    """A file that is no whole image."""

    option = "unreadable"


class _OddSize(Exception):
    """An image that is not size x size."""

    option = "odd_sizes"


@dataclass
class _Bad:
    """The files that did not become planes, with the reasons of the first few."""

    folder: Path
    reading: Reading
    names: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, error: _Unreadable | _OddSize) -> None:
        """Remember one; refuse as soon as enough are known to be named."""
        self.counts[error.option] = self.counts.get(error.option, 0) + 1
        named = self.names.setdefault(error.option, [])
        if len(named) < _NAMED:
            named.append(f"{name} ({error})")
        elif self._refuses(error.option):
            self.tell()

    def tell(self) -> None:
        """Say which were skipped.

        Raises:
            DataError: there are some that are refused.
        """
        what = {
            "unreadable": "no whole JPEG or PNG",
            "odd_sizes": f"not {self.reading.size} x {self.reading.size}",
        }
        for option, count in self.counts.items():
            listed = "; ".join(self.names[option])
            more = "; and others" if count > _NAMED else ""
            if self._refuses(option):
                raise DataError(
                    f"folder: in {self.folder} are files that are {what[option]}: {listed}{more}. "
                    f"Mend or remove them, or set {option}: skip"
                )
            log.warning(
                "%s: skipped %d files that are %s: %s%s",
                self.folder,
                count,
                what[option],
                listed,
                more,
            )

    def _refuses(self, option: str) -> bool:
        return bool(getattr(self.reading, option) == "refuse")


def _read(path: Path, reading: Reading) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, odd palettes, torn metadata
            with Image.open(path, formats=_FORMATS) as file:
                image = converted(ImageOps.exif_transpose(file), reading.channels)
    except MemoryError:
        raise
    # A file from elsewhere: whatever its bytes make Pillow raise, it is unreadable.
    except Exception as error:
        reason = str(error).replace(f" {str(path)!r}", "") or type(error).__name__
        raise _Unreadable(reason) from error
    side = reading.size
    if image.size != (side, side):
        if reading.odd_sizes in ("skip", "refuse"):
            raise _OddSize(f"{image.width} x {image.height}")
        if reading.odd_sizes == "crop":
            image = centre(image, min(image.size))
    return planes(resized(image, side))


def _is_file(path: Path) -> bool:
    """Whether it is a file or a link to one: a pipe would be waited for."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
