"""Sets that torchvision knows: found on the disk, else downloaded, decoded once and cached.

Nothing here knows a format. A subclass says which files make up the set and reads them with
torchvision.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from wgan.components import plain_settings, setting
from wgan.data.base import DataError, Dataset, Images
from wgan.data.cache import Arrays, cached_images, fingerprint
from wgan.data.places import DATA, at_home, data_folder, exists
from wgan.data.torchvision_operators import declare_missing_operators

log = logging.getLogger(__name__)

_SILENCE_SECONDS = 60.0  # of a server, after which a download is given up


@dataclass(frozen=True)
class Found:
    """A set on the disk.

    Attributes:
        folder: where it was found.
        files: its files by the name that torchvision gives them below its root.
    """

    folder: Path
    files: dict[str, Path]


@dataclass(frozen=True)
class PublishedSet(Dataset):
    """A published image set; the held-out split is its test split.

    It is looked for as torchvision lays it out in `root`, or in a folder of the set's own name
    inside. Without `root` that is $WGAN_BENCH_DATA, else ~/.cache/wgan-bench/data, and what is not
    there is downloaded there.
    """

    files: ClassVar[tuple[str, ...]]  # below torchvision's root
    archives: ClassVar[tuple[str, ...]] = ()  # what torchvision downloads and unpacks

    root: str = setting(
        "", "folder that holds the set; empty: $WGAN_BENCH_DATA, else the cache folder", place=True
    )

    def load(self) -> Images:
        """The two splits, with labels where the set has them, mapped from the cache.

        Raises:
            DataError: it is not there and cannot be downloaded, or is damaged.
        """
        found = self.find() or self._fetch()

        def decode() -> Arrays:
            try:
                return self.decode(found)
            except (MemoryError, DataError):
                raise
            # A file from elsewhere: whatever its bytes make torchvision raise, it is refused.
            except Exception as error:
                raise DataError(
                    f"{self.name}: the files in {found.folder} cannot be read: "
                    f"{first_line(error)}; get them anew"
                ) from error

        return cached_images(self.label, self._key(found), decode)

    def check_present(self) -> None:
        """Refuse a named `root` without the set.

        Raises:
            DataError: what was looked for and where.
        """
        if self.root and self.find() is None and not self._unpackable():
            raise DataError(
                f"{self.name}: {self._wanted()} not found in {listed(self.folders())}; name the "
                f"folder that holds them, or leave root out to have the set downloaded to "
                f"{data_folder()} (${DATA} names another)"
            )

    def find(self) -> Found | None:
        """The set's files, or None where one is missing."""
        for folder in self.folders():
            files = {name: folder / name for name in self.files}
            if all(map(exists, files.values())):
                return Found(folder, files)
        return None

    def folders(self) -> list[Path]:
        """Where the set is looked for, in order."""
        return [self._place(), self._place() / self.name]

    def decode(self, found: Found) -> Arrays:
        """`train`, `held_out` and, where there are labels, `train_labels`, `held_out_labels`."""
        raise NotImplementedError

    def download(self, root: Path) -> None:
        """Have torchvision put the set below `root`, which may hold its archives."""
        raise NotImplementedError

    def sources(self, found: Found) -> list[tuple[str, Path]]:
        """The name and path of every file that the pixels are made of."""
        return sorted(found.files.items())

    def _place(self) -> Path:
        return at_home(self.root) if self.root else data_folder()

    def _key(self, found: Found) -> dict[str, object]:
        import PIL

        try:
            sources = fingerprint(self.sources(found))
        except OSError as error:
            raise DataError(f"{self.name}: {error.filename}: {error.strerror}") from error
        return {
            "set": self.name,
            "version": self.version,
            "settings": plain_settings(self, for_id=True),
            "folder": os.fspath(found.folder),
            "sources": sources,
            "pillow": PIL.__version__,
        }

    def _wanted(self) -> str:
        return ", ".join(self.files)

    def _unpackable(self) -> bool:
        """Whether the archives lie there, so that nothing need be downloaded."""
        return bool(self.archives) and all(exists(self._place() / name) for name in self.archives)

    def _fetch(self) -> Found:
        """Download or unpack the set, beside its place first, so that many may do it at once."""
        self.check_present()
        place = self._place()
        log.warning("%s: not found in %s; fetching it with torchvision", self.name, place)
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=place) as beside:
                draft = Path(beside)
                _link(place, draft, (*self.archives, *self.files))
                with _quiet_and_impatient():
                    self.download(draft)
                _move(draft, place)
        # A network, a server, an archive: whatever goes wrong there, the way out is the same.
        except Exception as error:
            raise DataError(
                f"{self.name}: {self._wanted()} not found in {listed(self.folders())}, and "
                f"fetching the set failed ({first_line(error)}); put the files there by hand, or "
                f"name the folder that holds them with root or ${DATA}"
            ) from error
        found = self.find()
        if found is None:
            raise DataError(f"{self.name}: torchvision fetched it, but not {self._wanted()}")
        return found


def datasets() -> ModuleType:
    """torchvision.datasets, made importable where its compiled part does not fit this torch."""
    declare_missing_operators()
    import torchvision

    return torchvision.datasets  # type: ignore[no-any-return]


def listed(folders: list[Path]) -> str:
    """Folders in a sentence."""
    return " or ".join(map(str, folders))


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {' '.join(lines[:3])}" if lines else type(error).__name__


def _link(place: Path, draft: Path, names: tuple[str, ...]) -> None:
    """Let torchvision find in `draft` what is already there, so that it is not fetched again."""
    for name in names:
        if (place / name).is_file():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).symlink_to((place / name).resolve())


def _move(draft: Path, place: Path) -> None:
    """Rename every file into its place; another process may have put an equal one there."""
    for folder, _, names in os.walk(draft):
        target = place / Path(folder).relative_to(draft)
        target.mkdir(exist_ok=True)
        for name in names:
            if not (Path(folder) / name).is_symlink():
                (Path(folder) / name).replace(target / name)


@contextlib.contextmanager
def _quiet_and_impatient() -> Iterator[None]:
    """No progress bars, and an end to waiting, which torchvision does not offer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
