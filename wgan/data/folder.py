"""Any folder of JPEG and PNG images as a data set."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wgan.components import plain_settings, setting
from wgan.data.base import DataError, Dataset, Images
from wgan.data.cache import Arrays, cached_images, fingerprint
from wgan.data.folder_images import Listing, Reading, decoded, list_images
from wgan.data.places import at_home

log = logging.getLogger(__name__)

_SPLITS = frozenset({"train", "training", "test", "val", "valid", "validation", "heldout"})


@dataclass(frozen=True)
class Folder(Dataset):
    """The JPEG and PNG images below a folder, (channels, size, size); also written `folder:PATH`.

    Two or more subfolders are classes, numbered in the order of their names; images in one folder
    have no labels. Hidden files and files of other kinds are left out. An image is held out when a
    hash of its name below `path` says so: more images move none of those that are there. Images
    are turned upright as their EXIF says, transparency is ignored. While they are decoded, all of
    them stand in memory.
    """

    name: ClassVar[str] = "folder"
    reference: ClassVar[str] = "the user's own images"

    path: str = setting("", "the folder; a relative one begins at the current folder")
    size: int = setting(
        64, "side of the images, to which they are resized once", unit="pixels", low=4, high=1024
    )
    channels: int = setting(3, "3 for colour, 1 for grey", choices=(1, 3))
    held_out: float = setting(0.1, "share of the images that is not trained on", above=0, below=1)
    unreadable: str = setting(
        "refuse", "what to do about a file that is no whole image", choices=("refuse", "skip")
    )
    odd_sizes: str = setting(
        "crop",
        "what to do about an image that is not size x size: crop the largest square in its middle "
        "and resize that, resize it as it is, skip it, or refuse",
        choices=("crop", "resize", "skip", "refuse"),
    )

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, size, size)."""
        return (self.channels, self.size, self.size)

    @property
    def label(self) -> str:
        """`folder:` and the folder's name; of a folder called train or so, its parent's before."""
        if not self.path:
            return self.name
        where = self._where()
        if where.name.lower() in _SPLITS:
            return f"folder:{where.parent.name}/{where.name}"
        return f"folder:{where.name}"

    def check_present(self) -> None:
        """Refuse a path that is no folder with images in it.

        Raises:
            DataError: says what stands there.
        """
        if not self.path:
            raise DataError("folder: no path is given; write folder:PATH or folder: {path: PATH}")
        where = self._where()
        try:
            if not where.is_dir():
                what = "is a file" if where.exists() else "does not exist"
                raise DataError(f"folder: {self.path!r} {what}{self._meaning()}: name a folder")
            if not list_images(where, at_most=1).names:
                raise DataError(
                    f"folder: {self.path!r}{self._meaning()} holds no .jpg, .jpeg or .png"
                )
        except OSError as error:
            raise self._unlooked(error) from error

    def load(self) -> Images:
        """The two splits, with labels where there are class folders, mapped from the cache.

        Raises:
            DataError: no folder, files that cannot be read or of odd size where they are refused,
                folders that look like splits, or too few images for two splits.
        """
        import PIL

        self.check_present()
        try:
            listing = list_images(self._where())
            sources = fingerprint((name, self._where() / name) for name in listing.names)
        except OSError as error:
            raise self._unlooked(error) from error
        classes = self._classes(listing)
        key = {
            "set": self.name,
            "version": self.version,
            "settings": {**plain_settings(self), "path": os.fspath(self._where())},
            "sources": sources,
            "pillow": PIL.__version__,
        }
        return cached_images(self.label, key, lambda: self._decode(listing, classes))

    def _decode(self, listing: Listing, classes: list[str]) -> Arrays:
        if listing.hidden or listing.other:
            log.warning(
                "%s: left out: %d hidden, %d of other kinds than JPEG and PNG",
                self.label,
                listing.hidden,
                listing.other,
            )
        out = [_held_out(name, self.held_out) for name in listing.names]
        return decoded(
            self._where(),
            {
                "train": [name for name, held in zip(listing.names, out, strict=True) if not held],
                "held_out": [name for name, held in zip(listing.names, out, strict=True) if held],
            },
            classes,
            Reading(self.size, self.channels, self.unreadable, self.odd_sizes),
        )

    def _classes(self, listing: Listing) -> list[str]:
        """The names of the class folders; none where an image lies beside them, or of one alone."""
        tops = [name.split("/")[0] if "/" in name else "" for name in listing.names]
        classes = sorted(set(tops))
        if len(classes) > 1 and set(map(str.lower, classes)) <= _SPLITS:
            raise DataError(
                f"folder: {self.path!r} holds {' and '.join(classes)}, which look like splits, not "
                f"classes: name one of them, as in {Path(self.path) / classes[0]}"
            )
        return classes if len(classes) > 1 and "" not in classes else []

    def _where(self) -> Path:
        # Not resolved: a link's own name is what the user calls the folder.
        return Path(os.path.normpath(Path.cwd() / at_home(self.path)))

    def _meaning(self) -> str:
        """Where a relative path leads, for messages."""
        where = self._where()
        return "" if str(where) == self.path else f" ({where})"

    def _unlooked(self, error: OSError) -> DataError:
        return DataError(f"folder: {error.filename or self.path}: {error.strerror or error}")


def _held_out(name: str, share: float) -> bool:
    """Whether the image of this name is held out: the fraction that its SHA-256 is of 2^256."""
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
