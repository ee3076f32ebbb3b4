"""Python, cores, threads, memory and the clock."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from bench.doctor.check import FAIL, OK, WARN, Check
from bench.doctor.disk import existing
from bench.limits import cpu_quota

_GB = 1e9
_RELEASED = 1_760_000_000  # seconds since 1970; no clock that is right shows less
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_BINDINGS = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_UNBOUND = ("", "false", "disabled", "none")


def check_python() -> Check:
    """3.11 or later."""
    found = sys.version.split()[0]
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs a copied tree may have any
        return Check("python", FAIL, found, "install Python 3.11 or later")
    return Check("python", OK, found)


def check_cores() -> Check:
    """How many runs can train beside each other."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    import psutil

    physical = psutil.cpu_count(logical=False)
    found = f"{usable} usable, {physical or 'an unknown number of'} physical; a run takes one"
    quota = cpu_quota()
    if quota is not None and quota < (usable or 1) - 0.5:
        advice = f"this container may use {quota:g}, to which runs keep unless --slots says more"
        return Check("cores", WARN, found, advice)
    return Check("cores", OK, found)


def check_threads() -> Check:
    """What the environment says of threads: each run is given its own number of them.

    A binding is inherited by every process, and puts all runs on the same cores: with
    OMP_PROC_BIND=true and one thread, two of two processes had core 0 alone.
    """
    given = {name: os.environ[name] for name in (*_COUNTS, *_BINDINGS) if name in os.environ}
    bound = [
        name
        for name in _BINDINGS
        if given.get(name, "").lower() not in _UNBOUND and not given[name].startswith("verbose")
    ]
    spelled = ", ".join(f"{name}={value}" for name, value in given.items())
    if bound:
        advice = f"all runs would share the same cores: unset {' '.join(bound)}"
        return Check("threads", WARN, spelled, advice)
    wrong = [name for name in _COUNTS if name in given and not _is_count(given[name])]
    if wrong:
        advice = f"not a number of threads: unset {' '.join(wrong)}"
        return Check("threads", WARN, spelled, advice)
    if given:
        return Check("threads", OK, f"{spelled} in the environment; each run is given its own")
    return Check("threads", OK, "the environment sets none; each run is given its own")


def _is_count(text: str) -> bool:
    return re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", text.strip()) is not None


def check_memory() -> Check:
    """About half a gigabyte for each run beside the first."""
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB available"
    if memory.available < 1.5 * _GB:
        return Check("memory", WARN, found, "close other programs, or run with --slots 1")
    return Check("memory", OK, found)


def check_clock(results: Path) -> Check:
    """Whether the clock is right, and agrees with that of the disk."""
    now = time.time()
    if now < _RELEASED:
        return Check("clock", FAIL, time.strftime("%Y-%m-%d"), "set the clock of this machine")
    with tempfile.NamedTemporaryFile(dir=existing(results)) as file:
        skew = abs(Path(file.name).stat().st_mtime - now)
    if skew > 30:
        advice = "set the clocks of this machine and of the file server"
        return Check("clock", WARN, f"the disk's clock differs by {skew:.0f} s", advice)
    return Check("clock", OK, time.strftime("%Y-%m-%d %H:%M:%S %Z"))
