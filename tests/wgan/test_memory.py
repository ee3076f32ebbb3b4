"""A process that trains keeps the memory that it frees."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from wgan import memory

FAULTS = """
import resource, runpy
keep = runpy.run_path({path!r})["keep_freed_memory"]
if {kept}:
    keep()
def work():
    held = [b"x" * 25_000_000 for _ in range(4)]
for _ in range(2):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_what_was_freed_is_used_again_without_asking_the_system() -> None:
    path = str(Path(memory.__file__))

    def faults(kept: bool) -> int:
        code = FAULTS.format(path=path, kept=kept)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(done.stdout)

    assert faults(kept=False) > 1000 > faults(kept=True)


def test_without_that_c_library_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> object:
        raise OSError(name)

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    memory.keep_freed_memory()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed_memory()
