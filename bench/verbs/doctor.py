"""`doctor`: whether this machine can do the work, and what to do where it cannot.

What may be missing is imported by the check that looks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from bench.doctor import Check, Planned, data, disk, examine, gpu, machine, packages, slurm
from bench.verbs.show import say, show_json, styled, tally


def doctor(results: Path, *, as_json: bool, plain: bool) -> int:
    """Print every check as it is made; ends with 2 if one fails."""
    checks = []
    for check in examine(planned(results)):
        checks.append(check)
        if not as_json:
            _show(check, plain=plain)
    if as_json:
        show_json([asdict(check) for check in checks])
    else:
        say("")
        say(tally((check.state for check in checks), ("ok", "warn", "fail")))
    return 2 if any(check.state == "fail" for check in checks) else 0


def planned(results: Path) -> Sequence[Planned]:
    """All checks, in order."""
    return (
        Planned("python", machine.check_python),
        Planned("cores", machine.check_cores),
        Planned("threads", machine.check_threads),
        Planned("memory", machine.check_memory),
        Planned("disk", partial(disk.check_disk, results)),
        Planned("files", partial(disk.check_files, results)),
        Planned("results folder", partial(disk.check_results, results)),
        Planned("disk speed", partial(disk.check_sync, results), seconds=30),
        Planned("clock", partial(machine.check_clock, results)),
        Planned("packages", packages.check_packages),
        Planned("torch", packages.check_torch, seconds=120),
        Planned("GPU", gpu.check_gpus, seconds=150, needed=False),
        Planned("torchvision", packages.check_torchvision, seconds=120),
        Planned("digits", data.check_digits, seconds=60),
        Planned("weights", data.check_classifiers, seconds=60),
        Planned("inception weights", data.check_inception, seconds=60, needed=False),
        Planned("data folder", data.check_sets, seconds=60, needed=False),
        Planned("SLURM", slurm.check_slurm, seconds=60, needed=False),
    )


def _show(check: Check, *, plain: bool) -> None:
    say(f"{styled(check.state.ljust(4), plain=plain)}  {check.name}: {check.found}")
    if check.advice:
        say(f"      {check.advice}")
    sys.stdout.flush()
