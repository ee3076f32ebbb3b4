"""The packages that are required, and that torch and torchvision work."""

from __future__ import annotations

import importlib
import re
from importlib import metadata

from bench.doctor.check import FAIL, OK, WARN, Check


def check_packages() -> Check:
    """Whether every requirement is there, in a version that is new enough."""
    try:
        required = metadata.requires("wgan-bench") or []
    except metadata.PackageNotFoundError:
        return Check("packages", WARN, "wgan-bench is not installed", "pip install -e .")
    found, wrong = [], []
    for line in required:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", line.partition(";")[0])
        if match is None or "extra ==" in line:
            continue
        name, lowest = match[1], match[2]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        found.append(f"{name} {version}")
        if lowest and _numbers(version) < _numbers(lowest):
            wrong.append(f"{name} {version} is older than {lowest}")
    if wrong:
        advice = "pip install --upgrade wgan-bench, or make its environment anew"
        return Check("packages", FAIL, "; ".join(wrong), advice)
    return Check("packages", OK, ", ".join(found))


def check_torch() -> Check:
    """That torch can be imported and computes."""
    torch = importlib.import_module("torch")
    total = float(torch.ones(8).sum())
    capability = torch.backends.cpu.get_cpu_capability()
    found = f"{torch.__version__}, {torch.get_num_threads()} threads, {capability}"
    if total != 8.0:
        return Check("torch", FAIL, f"{found}: 8 ones sum to {total}", "install torch again")
    return Check("torch", OK, found)


def check_torchvision() -> Check:
    """That torch-fidelity's feature network can be imported, which needs torchvision."""
    operators = importlib.import_module("wgan.data.torchvision_operators")
    mended = operators.declare_missing_operators() is not None
    version = importlib.import_module("torchvision").__version__
    how = "; its compiled operators do not fit this torch, which is mended" if mended else ""
    return Check("torchvision", OK, version + how)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
