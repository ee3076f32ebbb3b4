"""Backends by the name the user gives; nothing is guessed from what is on the PATH."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bench.backends.base import Backend, Runner
from bench.backends.inline import Inline
from bench.backends.local import Local
from wgan.components import ConfigError, UnknownName

__all__ = ["BACKENDS", "Backend", "Inline", "Local", "Runner", "make_backend"]

BACKENDS = ("inline", "local", "slurm")


def make_backend(
    name: str,
    *,
    slots: int | None = None,
    threads: int = 1,
    allow_numerics: Collection[str] = (),
    between: Callable[[], None] | None = None,
) -> Runner:
    """The backend called `name`, of those that train in this process and its children.

    Args:
        name: "inline" or "local"; "slurm" (`bench.backends.slurm`) needs a store and a cluster.
        slots: runs at once (local); None: the cores this process may use, divided by `threads`.
        threads: CPU threads that each run owns.
        allow_numerics: names of `numerics` that may differ at a resume, or "all".
        between: called at the pauses of a run trained in this process (inline), to keep a display
            alive.

    Raises:
        UnknownName: there is no such backend; names the nearest.
        ConfigError: fewer than one slot or thread, or several slots in one process.
    """
    for option, number in (("slots", slots), ("threads", threads)):
        if number is not None and number < 1:
            raise ConfigError((option,), f"{number} is not allowed: must be a whole number >= 1")
    if name == "local":
        return Local(slots, threads, allow_numerics)
    if name == "inline":
        if slots not in (None, 1):
            raise ConfigError(("slots",), f"{slots} is not allowed: inline has one; take local")
        return Inline(threads, allow_numerics, between)
    raise UnknownName((), "backend", name, BACKENDS)
