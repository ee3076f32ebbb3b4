"""What is said of a folder that cannot be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.unwritable import unwritable


def refused(number: int, file: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([] if file is None else [str(file)]))


@pytest.mark.parametrize(
    ("number", "shown", "advice"),
    [
        (errno.ENOSPC, "is full", "free some room there and run again"),
        (errno.EDQUOT, "the quota on the disk", "free some room there and run again"),
        (errno.EROFS, "is read-only", "--results"),
        (errno.EACCES, "Permission denied", "see to its permissions"),
        (errno.EIO, "does not answer (Input/output error)", "see to it"),
        (errno.ESTALE, "does not answer (Stale file handle)", "see to it"),
    ],
)
def test_the_disk_is_named_and_what_to_do(
    tmp_path: Path, number: int, shown: str, advice: str
) -> None:
    for error in (refused(number), refused(number, tmp_path / "train.jsonl")):
        sentence = unwritable(error, tmp_path)
        assert sentence is not None
        assert str(tmp_path) in sentence
        assert shown in sentence
        assert advice in sentence
        assert "train.jsonl" not in sentence


def test_a_full_disk_is_named_by_where_it_is_mounted_and_by_what_is_left() -> None:
    shared = Path("/dev/shm")
    if not os.path.ismount(shared):
        pytest.skip("no second disk to name")
    sentence = unwritable(refused(errno.ENOSPC), shared / "results" / "s")
    assert sentence is not None
    assert "(mounted at /dev/shm)" in sentence
    assert "are left)" in sentence or "no inodes are left" in sentence


def test_a_file_elsewhere_is_not_blamed_on_the_run(tmp_path: Path) -> None:
    elsewhere = tmp_path / "data" / "mnist.npy"
    sentence = unwritable(refused(errno.EACCES, elsewhere), tmp_path / "run")
    assert sentence is not None
    assert sentence.startswith(f"{elsewhere}: Permission denied")


def test_what_says_nothing_of_the_disk_has_no_sentence(tmp_path: Path) -> None:
    assert unwritable(refused(errno.ENOENT), tmp_path) is None
    assert unwritable(refused(errno.ECONNREFUSED), tmp_path) is None
    assert unwritable(OSError("odd"), tmp_path) is None
