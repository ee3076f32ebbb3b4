"""Making sure of what stands on the disk, beyond what the writing of a file alone gives."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk.

    A file that was synced and renamed has its content after a crash of the machine, but not yet its
    name. Some network file systems refuse this; they see to it themselves.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
