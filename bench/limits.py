"""What the system lets a process use: its cores, a container's quota of them, and memory's guard.

Read from the control groups of this process, version 2 or 1, its own and those above it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_VMSTAT = Path("/proc/vmstat")
_DIE_FIRST = 500  # of 1000, added to what a process weighs when the system is out of memory


def usable_cores() -> int:
    """The cores that this process may keep busy: its affinity, and a container's quota of them."""
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def cpu_quota(root: Path = _ROOT, own: Path = _OWN) -> float | None:
    """The cores that a container may use, from its control groups; None where nothing limits it."""
    quotas = [
        int(quota) / int(period)
        for group in _groups("cpu", root, own)
        for quota, period in [_quota_and_period(group)]
        if quota.isdecimal() and period.isdecimal() and int(period) > 0
    ]
    return min(quotas, default=None)


def crowded(slots: int, threads: int, others: int = 0) -> str:
    """What to say of slots that want more cores than there are; empty where there are enough.

    Args:
        others: threads of runs that other runners train here now.
    """
    cores, wanted = usable_cores(), slots * threads
    if wanted + others <= cores:
        return ""
    asked = "1 slot" if slots == 1 else f"{slots} slots"
    asked += f" of {threads} threads" if threads > 1 else ""
    verb, noun = "wants" if slots == 1 else "want", "core" if wanted == 1 else "cores"
    taken = f", runs of other runners have {others}" if others else ""
    return (
        f"{asked} {verb} {wanted} {noun}{taken}, and {cores} may be used: "
        "runs will hold each other up"
    )


def oom_kills(root: Path = _ROOT, own: Path = _OWN, vmstat: Path = _VMSTAT) -> int | None:
    """How many processes the system has ended for want of memory: in the control group of this one.

    Where the group does not count them, on the whole machine; None where nothing does.
    """
    names = ("memory.events", "memory.oom_control")
    files = [group / name for group in _groups("memory", root, own) for name in names]
    for path in (*files, vmstat):
        found = re.search(r"^oom_kill (\d+)$", _text(path), flags=re.MULTILINE)
        if found is not None:
            return int(found[1])
    return None


def die_first() -> None:
    """Have the system take this process before others when memory is out: a run, not its runner."""
    try:
        Path("/proc/self/oom_score_adj").write_text(str(_DIE_FIRST))
    except OSError:
        return  # not Linux, or not allowed


def _groups(controller: str, root: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's control groups, from its own up to the root."""
    found = False
    for line in _text(own).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        mount = root / controllers if controllers else root
        inner = Path(path.lstrip("/"))
        for group in (inner, *inner.parents):
            found = True
            yield mount / group
    if not found:
        yield root


def _quota_and_period(group: Path) -> tuple[str, str]:
    """Both in microseconds; the quota is "max" or -1 where there is none."""
    words = _text(group / "cpu.max").split()
    if len(words) == 2:
        return words[0], words[1]
    quota, period = (_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return quota, period


def _text(path: Path) -> str:
    """The file's text; empty where there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""
