"""Backends by the name the user gives; nothing is guessed from what is on the PATH."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch

from bench.backends.base import Backend, Runner
from bench.backends.gpus import choose_gpus
from bench.backends.inline import Inline
from bench.backends.local import Local
from bench.limits import usable_cores
from wgan.components import ConfigError, UnknownName

__all__ = ["BACKENDS", "Backend", "Inline", "Local", "Runner", "make_backend"]

BACKENDS = ("inline", "local", "slurm")


def make_backend(
    name: str,
    *,
    slots: int | None = None,
    threads: int = 1,
    gpus: str | None = None,
    per_gpu: int | None = None,
    allow_numerics: Collection[str] = (),
    packed: bool = True,
    between: Callable[[], None] | None = None,
) -> Runner:
    """The backend called `name`, of those that train in this process and its children.

    Args:
        name: "inline" or "local"; "slurm" (`bench.backends.slurm`) needs a store and a cluster.
        slots: runs at once (local); None: the cores this process may use, divided by `threads`.
        threads: CPU threads that each run owns.
        gpus: the GPUs to train on (local): "all", or numbers and UUIDs; None: train on cores.
        per_gpu: runs at once on each of them; None: one.
        allow_numerics: names of `numerics` that may differ at a resume, or "all".
        packed: whether runs that differ in their seed alone train as one model where that was
            measured to pay.
        between: called at the pauses of a run trained in this process (inline), to keep a display
            alive.

    Raises:
        UnknownName: there is no such backend; names the nearest.
        ConfigError: numbers below one, more threads than cores, several slots in one process, GPUs
            that are not there, or options that do not go together.
    """
    for option, number in (("slots", slots), ("threads", threads), ("per_gpu", per_gpu)):
        if number is not None and number < 1:
            raise ConfigError((option,), f"{number} is not allowed: must be a whole number >= 1")
    if name in BACKENDS and threads > usable_cores():
        allowed = f"this process may use {usable_cores()} cores, and more threads only wait"
        raise ConfigError(("threads",), f"{threads} is not allowed: {allowed}")
    if per_gpu is not None and gpus is None:
        raise ConfigError(("per_gpu",), "says how to divide GPUs; name them with --gpus")
    if gpus is not None and slots is not None:
        raise ConfigError(("slots",), "counts slots on cores; on GPUs --per-gpu sets how many")
    if name == "local":
        places = () if gpus is None else choose_gpus(gpus)
        if places and torch.version.cuda is None:
            built = f"torch {torch.__version__} is built without CUDA"
            raise ConfigError(("gpus",), f"{built}; install one that has it, or leave --gpus out")
        return Local(slots, threads, allow_numerics, places, per_gpu or 1, packed=packed)
    if name == "inline":
        if gpus is not None:
            raise ConfigError(("gpus",), "inline trains on the CPU; take the backend local")
        if slots not in (None, 1):
            raise ConfigError(("slots",), f"{slots} is not allowed: inline has one; take local")
        return Inline(threads, allow_numerics, between, packed=packed)
    raise UnknownName((), "backend", name, BACKENDS)
