"""The end of a file of lines and what is added to it, even where it is cut or replaced."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_BLOCK = 65536  # bytes that are read at once on the way back from the end


class Tail:
    """Follows one file; it need not exist yet.

    The file stays open, so that another one in its place cannot have its number.

    Args:
        path: the file.
        lines: how many of its last lines the first `read` gives; all of a file that appears later.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self.path = path
        self.restarted = False  # whether the last `read` met a file that was cut or replaced
        self._file: BinaryIO | None = None
        self._rest = b""  # a last line that is not whole yet
        self._open()
        if self._file is not None:
            self._file.seek(_start_of_last(self._file, lines))

    def read(self) -> list[str]:
        """The whole lines that were added since the last call.

        Raises:
            OSError: it is there and cannot be read.
        """
        lines: list[str] = []
        if self._file is None:
            self._open()
            self.restarted = False
        else:
            self.restarted = self._is_another()
            if self.restarted:
                lines = [*self._added(self._file), *self.rest()]
                self.close()
                self._open()
        return lines if self._file is None else [*lines, *self._added(self._file)]

    def rest(self) -> list[str]:
        """The last line where it has no end, once; for when nothing more will come."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._file = self.path.open("rb")
        except FileNotFoundError:
            self._file = None

    def _is_another(self) -> bool:
        """Whether the path now leads to another file, or to this one made shorter."""
        assert self._file is not None
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False  # what was written before its removal can still be read
        ours = os.fstat(self._file.fileno())
        same = (now.st_dev, now.st_ino) == (ours.st_dev, ours.st_ino)
        return not same or now.st_size < self._file.tell()

    def _added(self, file: BinaryIO) -> list[str]:
        *whole, self._rest = (self._rest + file.read()).split(b"\n")
        return [_text(line) for line in whole]


def _start_of_last(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin; one without an end counts."""
    end = start = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    found = b""
    while start > 0:
        start = max(0, start - _BLOCK)
        file.seek(start)
        found = file.read(end - start)
        ends = found.count(b"\n", 0, -1)  # the file's own last end does not part two lines
        if ends >= lines:
            for _ in range(ends - lines + 1):
                cut = found.index(b"\n") + 1
                start, found = start + cut, found[cut:]
            return start
    return start


def _text(line: bytes) -> str:
    return line.rstrip(b"\r").decode("utf-8", errors="replace")
