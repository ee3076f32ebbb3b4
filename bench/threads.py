"""The threads that a run owns: every pool of the libraries that compute is held to them.

Torch, OpenMP and the BLAS of numpy and of scipy each have a pool of their own, which takes all
cores unless it is told otherwise: by the environment when its library is loaded, or later.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def variables(threads: int) -> dict[str, str]:
    """What tells a library that is loaded under it to use so many threads."""
    return dict.fromkeys(_VARIABLES, str(threads))


@contextmanager
def environment_with(more: Mapping[str, str]) -> Iterator[None]:
    """These environment variables, for processes started and libraries loaded meanwhile."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def held_to(threads: int, *, begun_so: bool = False) -> Iterator[None]:
    """What is computed meanwhile in this process uses so many threads.

    Args:
        begun_so: this process may have begun with these `variables`. Where it shows them, libraries
            are not searched for, which takes 3 to 10 ms.
    """
    import torch

    wanted = variables(threads)
    before = torch.get_num_threads()
    with ExitStack() as ends:
        if not begun_so or any(os.environ.get(name) != wanted[name] for name in wanted):
            import threadpoolctl

            ends.enter_context(environment_with(wanted))
            ends.enter_context(threadpoolctl.threadpool_limits(threads))
        torch.set_num_threads(threads)
        ends.callback(torch.set_num_threads, before)
        yield
