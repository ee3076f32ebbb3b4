"""Processes of runs that write down which pools of threads they have, in the midst of scoring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import threadpoolctl
import torch

from bench.backends import fresh, processes
from bench.backends.processes import Terms
from bench.evaluate import Evaluator

_score = Evaluator.score


def pools() -> dict[str, int]:
    """How many threads each pool of this process may use, by its library."""
    found = {
        Path(one["filepath"]).name: one["num_threads"] for one in threadpoolctl.threadpool_info()
    }
    return {**found, "torch": torch.get_num_threads()}


def watch(file: Path) -> None:
    """Have every scoring in this process write down its pools first."""

    def score(self: Evaluator, fake: torch.Tensor) -> Any:
        scores = _score(self, fake)
        file.write_text(json.dumps(pools()))
        return scores

    Evaluator.score = score


def train(folders: Sequence[Path], terms: Terms) -> None:
    """What a process of a run does, in place of `processes.train`."""
    watch(folders[0] / "pools.json")
    processes.train(folders, terms)


_wait_and_train = fresh._wait_and_train


def wait_and_train(pipe: Any, terms: Terms, modules: Sequence[str]) -> None:
    """The same of a fresh one, in place of `fresh._wait_and_train`."""
    fresh.train = train
    _wait_and_train(pipe, terms, modules)
