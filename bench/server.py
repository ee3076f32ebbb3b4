"""The server that runs on cores are forked from: what it loads, and its beginning.

It loads torch in a process of its own, which `run` begins before it loads torch itself, so that
both are ready at about the same time. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker

from bench.stopping import held_back
from bench.threads import environment_with
from bench.threads import variables as thread_variables
from bench.verbs.launch import Launch

# What runs need. None of it computes anything when imported.
_LOADED_FIRST = (
    "bench.uncollected",
    "bench.worker",
    "bench.evaluate.points",
    "torch._dynamo",  # by any optimizer's first step, which takes a second
    "torch.utils.serialization.config",  # by the first checkpoint
)
_LOADED_FOR_IMAGES = ("bench.evaluate.images", "safetensors.torch")
_LOADED_LAST = ("bench.backends.preloading",)


def modules(*, images: bool) -> tuple[str, ...]:
    """What processes load ahead; images take half a second more, and 130 MB."""
    return (*_LOADED_FIRST, *(_LOADED_FOR_IMAGES if images else ()), *_LOADED_LAST)


def begin_ahead(launch: Launch) -> None:
    """Begin the server where runs will be forked from it; what they train on is not yet known.

    It ends with this process, be there runs or not.
    """
    if launch.backend == "local" and launch.gpus is None:
        with contextlib.suppress(OSError):  # told when it is wanted
            ensure(launch.threads, modules(images=True))


def ensure(threads: int, loaded: Sequence[str]) -> None:
    """Begin the server if it is not there; it and its children own threads, not the cores.

    Args:
        loaded: what it loads; a server that is there has loaded what it was begun with.
    """
    with beginnings(threads):
        multiprocessing.get_context("forkserver").set_forkserver_preload(list(loaded))
        forkserver.ensure_running()


@contextmanager
def beginnings(threads: int, variables: Mapping[str, str] | None = None) -> Iterator[None]:
    """Processes that are started within it own `threads` threads, and hear no signal yet.

    A terminal and a scheduler send theirs to all processes. Runs hear them once they can.

    Args:
        variables: more environment variables for them.
    """
    with held_back():
        resource_tracker.ensure_running()  # when it starts, it lets INT and TERM through again
    with held_back(), environment_with({**thread_variables(threads), **(variables or {})}):
        yield
