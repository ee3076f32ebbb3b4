"""Cells: the runs of a sweep that cost the same for each step, whatever comes out of them.

A seed changes no speed, nor does the size of a learning rate or of a penalty's weight. Numbers with
a point are taken for such sizes, of which only matters whether they are 0; whole numbers, words and
switches are taken to change the work. What is counted beside (steps, evaluations, warm-ups,
checkpoints) is no part of a cell: `predict` counts it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.spec import RunSpec
from bench.store import Planned

_COUNTED = {
    "config": (
        "seed",
        "steps",
        "learning_rate",
        "score_limit",
        "warm_up_steps",
        "warm_up_every",
        "warm_up_critic_steps",
    ),
    "evaluate": ("every", "inception_weights", "require_bound"),
}


@dataclass(frozen=True)
class Cell:
    """Runs of one speed.

    Attributes:
        key: 12 hex digits of all that its speed depends on, but the machine.
        runs: those of the plan that are to be trained; the first stands for all.
    """

    key: str
    runs: tuple[Planned, ...]

    @property
    def spec(self) -> RunSpec:
        """The run that stands for all."""
        return self.runs[0].spec

    @property
    def name(self) -> str:
        """The label of its runs; of the first, where there are several."""
        others = len({item.spec.label for item in self.runs}) - 1
        return f"{self.spec.label} (+ {others} alike)" if others else self.spec.label

    @property
    def steps(self) -> int:
        """The generator updates that are still to be made in all its runs."""
        return sum(left(item) for item in self.runs)

    @property
    def cost(self) -> int:
        """The same in updates of either network."""
        return self.steps * (self.spec.config.critic_steps + 1)


def left(item: Planned) -> int:
    """The generator updates that are still to be made of a run."""
    return item.spec.config.steps - begun(item)


def begun(item: Planned) -> int:
    """The step from which a run will go on."""
    return min(item.step, item.spec.config.steps) if item.action == "resume" else 0


def group(planned: Sequence[Planned]) -> list[Cell]:
    """The cells of what is to be trained, the costliest first."""
    labels: dict[str, list[Planned]] = {}
    for item in planned:
        if item.action in ("run", "resume"):
            labels.setdefault(item.spec.label, []).append(item)
    cells: dict[str, list[Planned]] = {}
    for items in labels.values():  # runs of one label differ in their seed alone
        cells.setdefault(key_of(items[0].spec), []).extend(items)
    found = [Cell(key, tuple(items)) for key, items in cells.items()]
    return sorted(found, key=lambda cell: -cell.cost)


def key_of(spec: RunSpec) -> str:
    """The key of a run's cell."""
    parts = {"config": spec.config.to_plain(), "evaluate": spec.evaluate.to_plain()}
    text = json.dumps(
        {
            "log_every": spec.log_every,
            **{
                name: {
                    key: _work(value) for key, value in part.items() if key not in _COUNTED[name]
                }
                for name, part in parts.items()
            },
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _work(value: Any) -> Any:
    """What of a setting decides how much work there is."""
    if isinstance(value, dict):
        return {key: _work(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_work(part) for part in value]
    return value != 0 if isinstance(value, float) else value
