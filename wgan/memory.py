"""How a process holds its memory while it trains."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h: bytes at the end of the heap that are not given back, and bytes from which a
# block is asked of the system by itself and given back at once; 32 MiB is the most it takes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_TRIM, _MMAP = 2**30, 2**25


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to 1 GiB, to be used again.

    A step allocates and frees some MB at each operation. By default they go back to the system and
    come again page by page, which took 7 % of the time of a DCGAN's step at 32 x 32, and 4 % in
    bf16 (`python -m tests.speed.choices memory float32`, two threads). Where the C library is not
    glibc nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _TRIM)
    mallopt(_MMAP_THRESHOLD, _MMAP)
