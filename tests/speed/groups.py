"""What measures which figures: a function for each group, run in a process of its own.

`python -m tests.speed.groups GROUP FILE ROUNDS` measures one and writes its figures as JSON, with
the company that the machine was in; ROUNDS 0 takes the group's own number.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.speed.figure import Figure, Unavailable
from tests.speed.ratios import Company
from tests.speed.required import ROWS

# Group to its module and function; one with another number of threads renames its figures.
_FUNCTIONS = {
    "conv_step": ("conv_step", "conv_step"),
    "conv_step_1_thread": ("conv_step", "conv_step"),
    "mlp_step": ("mlp_step", "mlp_step"),
    "mlp_step_1_thread": ("mlp_step", "mlp_step"),
    "penalty_flops": ("penalty", "penalty_flops"),
    "packs": ("packs", "packs"),
    "packs_1_thread": ("packs", "packs"),
    "pack_workers": ("packs", "pack_workers"),
    "digits_sweep": ("sweep", "digits_sweep"),
    "frechet": ("frechet", "frechet"),
    "harness_conv": ("overhead", "harness_conv"),
    "harness_toy": ("overhead", "harness_toy"),
}
GROUPS = tuple(_FUNCTIONS)
_SUFFIX = "_1_thread"
_FEWER = {"conv_step_1_thread": 3, "mlp_step_1_thread": 5, "packs_1_thread": 5}  # rounds


def threads_of(group: str) -> int:
    """How many threads the rows of a group are measured with."""
    (threads,) = {row.threads for row in ROWS if row.group == group}
    return threads


def function_of(group: str) -> Callable[..., dict[str, Figure]]:
    """The function that measures a group, with all it needs imported."""
    module, name = _FUNCTIONS[group]
    found: Callable[..., dict[str, Figure]] = getattr(
        importlib.import_module(f"tests.speed.{module}"), name
    )
    return found


def measure(group: str, rounds: int = 0, *, adopts: bool = False) -> dict[str, Any]:
    """The figures of a group by name, the company, or why there are none, ready for JSON."""
    wanted = rounds or _FEWER.get(group, 0)
    company = Company(adopts=adopts)
    try:
        with company:
            measured = function_of(group)(
                threads_of(group), **({"rounds": wanted} if wanted else {})
            )
    except Unavailable as reason:
        return {"unavailable": str(reason)}
    suffix = _SUFFIX if group.endswith(_SUFFIX) else ""
    names = {row.name for row in ROWS if row.group == group}
    figures = {f"{name}{suffix}": figure.to_plain() for name, figure in measured.items()}
    return {
        "figures": {name: figure for name, figure in figures.items() if name in names},
        "company": company.to_plain(),
    }


def main() -> None:
    group, path, rounds = sys.argv[1:4]
    Path(path).write_text(json.dumps(measure(group, int(rounds), adopts=True)))


if __name__ == "__main__":
    main()
