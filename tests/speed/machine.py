"""The header: which machine, which versions, which code."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psutil

from bench.environment import environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "numpy", "torch-fidelity")


def machine() -> dict[str, Any]:
    """What must be equal for figures to stand in one table."""
    found = environment("cpu", 1)
    return {
        "cpu": found["cpu"],
        "cores": found["cores"],
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": found["system"].split("-")[0],
        "python": found["python"],
        "versions": {name: found["versions"].get(name, "none") for name in PACKAGES},
    }


def commit() -> str:
    """The commit of this tree, with a plus where it was edited since; empty without git."""
    said = []
    for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain"]):
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return ""
        said.append(done.stdout.strip())
    edited = [line for line in said[1].splitlines() if "reports/speed/" not in line]
    return f"{said[0]}{'+' if edited else ''}"
