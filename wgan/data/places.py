"""Where data lies: the folder of the sets as they were published, and that of the decoded ones."""

from __future__ import annotations

import os
from pathlib import Path

DATA = "WGAN_BENCH_DATA"
CACHE = "WGAN_BENCH_CACHE"


def data_folder() -> Path:
    """$WGAN_BENCH_DATA, else ~/.cache/wgan-bench/data: where published sets lie or are put."""
    stated = os.environ.get(DATA)
    return at_home(stated) if stated else _home() / "data"


def cache_folder() -> Path:
    """$WGAN_BENCH_CACHE, else ~/.cache/wgan-bench: decoded sets lie in `decoded` inside it."""
    stated = os.environ.get(CACHE)
    return (at_home(stated) if stated else _home()) / "decoded"


def at_home(path: str) -> Path:
    """The path, with ~ or ~user at its beginning written out; an unknown user's stays as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def exists(path: Path) -> bool:
    """Whether there is something that may be looked at."""
    try:
        return path.exists()
    except OSError:
        return False


def _home() -> Path:
    return Path("~/.cache/wgan-bench").expanduser()
