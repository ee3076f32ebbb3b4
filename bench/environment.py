"""Where and with what a run was trained.

`numerics` is the part that can change bits; a training that goes on under others is refused unless
that is allowed by name. The rest is provenance.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import wgan
from bench.limits import usable_cores

_PACKAGES = ("torch", "numpy", "scipy", "torch-fidelity", "torchvision", "scikit-learn")
ANY = "all"
PACK = "pack"  # of numerics: how many trainings one stacked model held; left out where it is 1


def environment(device: str, threads: int, pack: int = 1) -> dict[str, Any]:
    """What `env.json` holds, except for the earlier sessions of the same run.

    Args:
        pack: the size of the stack in which the run trains; 1: alone.
    """
    return {
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": device,
        "gpu": _gpu(device),
        "visible_gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": threads,
        "python": sys.version.split()[0],
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "started": time.time(),
        "numerics": numerics(device, threads) | ({PACK: pack} if pack != 1 else {}),
    }


def numerics(device: str, threads: int) -> dict[str, Any]:
    """What can change the bits of a training besides its configuration, and its pack's size.

    `code` is a hash of the core's source: it also sees edits that were never committed, and does
    not see commits that touch nothing of the training.
    """
    return {
        "device": torch.device(device).type,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "torch": torch.__version__,
        "code": code_hash(),
    }


def machine() -> dict[str, Any]:
    """What a run's speed depends on beside the run and its device: this processor, this torch."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "python": ".".join(map(str, sys.version_info[:2])),
        "torch": torch.__version__,
    }


def warm_up() -> None:
    """Find out now what is the same for every run of this process and of its forks.

    The code is then hashed when it is loaded, whatever is edited while the runs wait.
    """
    for find_out in (_cpu, _commit, code_hash):
        find_out()
    for package in _PACKAGES:
        _version(package)


def differing(
    before: Mapping[str, Any], now: Mapping[str, Any], allowed: Collection[str] = ()
) -> list[str]:
    """The numerics that differ and are not allowed to, each as a clause."""
    if ANY in allowed:
        return []
    was, is_now = whole(before), whole(now)
    return [
        f"{name} was {was.get(name)!r}, is {is_now.get(name)!r}"
        for name in was | is_now
        if was.get(name) != is_now.get(name) and name not in allowed
    ]


def whole(numerics: Mapping[str, Any]) -> dict[str, Any]:
    """The numerics with what is left out of them where it is as it always was."""
    return {**numerics, PACK: pack_size(numerics)}


def pack_size(numerics: Mapping[str, Any]) -> int:
    """How many trainings the stacked model held; 1: it trained alone."""
    size = numerics.get(PACK, 1)
    return size if type(size) is int and size > 1 else 1


@functools.cache
def code_hash() -> str:
    """12 hex digits over the source files of the package `wgan`."""
    root = Path(wgan.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


@functools.cache
def _commit() -> str | None:
    """The commit of the source tree, with "+edited" where files differ; None outside git."""
    root, git = Path(wgan.__file__).parents[1], shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None

    def ask(*arguments: str) -> str | None:
        try:
            answer = subprocess.run(  # noqa: S603 - a found program, fixed arguments
                [git, "-C", str(root), *arguments],
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return answer.stdout.strip()

    commit = ask("rev-parse", "HEAD")
    edited = commit and ask("status", "--porcelain", "--untracked-files=no")
    return f"{commit}+edited" if edited else commit


@functools.cache
def _cpu() -> str:
    """The processor's name, as well as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _gpu(device: str) -> str | None:
    """The GPU's name; None on the CPU."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else None


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
