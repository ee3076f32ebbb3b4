"""Runs that die in the middle of their training, each in its own way, named by its label."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.backends import processes
from bench.backends.processes import Terms
from bench.crew import Crew


def _raise(error: Exception) -> None:
    raise error


def _hog() -> None:
    """Take memory until the system ends this process."""
    held = []
    while True:
        held.append(b"x" * 50_000_000)


DEATHS: dict[str, Callable[[], object]] = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(7),
    "exit_255": lambda: os._exit(255),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "cuda": lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")),
    "cublas": lambda: _raise(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling")),
    "hog": _hog,
}


def train(folders: Sequence[Path], terms: Terms) -> None:
    """What a process of a run does, in place of `processes.train`."""
    death = DEATHS.get(folders[0].name.partition("-seed")[0])
    if death is not None:
        Crew._look = lambda *_: death()
    processes.train(folders, terms)


def train_with_a_guilty_one(folders: Sequence[Path], terms: Terms) -> None:
    """The same, of packs: whichever holds seed 2 dies at its first pause."""
    if any("-seed2--" in folder.name for folder in folders):
        death = DEATHS[folders[0].name.partition("-seed")[0]]
        Crew._look = lambda *_: death()
    processes.train(folders, terms)
