"""Tiny runs for the tests of the harness: an mlp of width 8 on ring8, well under a second each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store
from wgan import checkpoint
from wgan.config import TrainConfig
from wgan.recipes import recipe_settings
from wgan.train import new_state

TIMES = ("training_seconds", "evaluation_seconds")


def tiny(recipe: str = "gan", seed: int = 0, steps: int = 60, **changes: Any) -> RunSpec:
    """A run; `changes` are fields of the RunSpec, or else of its configuration."""
    spec = {"sweep", "label", "evaluate", "log_every", "checkpoint_seconds"} & set(changes)
    of_spec = {name: changes.pop(name) for name in spec}
    config = {
        "dataset": "ring8",
        "network": {"mlp": {"width": 8}},
        "steps": steps,
        "batch_size": 8,
        "noise_size": 4,
        "seed": seed,
        **recipe_settings(recipe),
        **changes,
    }
    return RunSpec(
        **{
            "sweep": "s",
            "label": recipe,
            "config": TrainConfig.from_plain(config),
            "evaluate": EvaluateSpec(every=30, samples=50),
            "recipe": recipe,
            "log_every": 10,
            "checkpoint_seconds": 0.0,
            **of_spec,
        }
    )


def packable(recipe: str = "gan", seed: int = 0, steps: int = 60, **changes: Any) -> RunSpec:
    """A run whose batches and weights fill whole vectors, so that it can be in a pack."""
    whole = {"network": {"mlp": {"width": 16}}, "batch_size": 32}
    return tiny(recipe, seed, steps, **(whole | changes))


def diverging(seed: int = 0) -> RunSpec:
    """A run that diverges within its first steps."""
    return tiny(
        "wgan_gp", seed, lipschitz="none", optimizer={"rmsprop": {"lr": 10.0}}, score_limit=100.0
    )


def frozen(results: Path, *specs: RunSpec) -> list[Path]:
    """The folders of these runs, ready to be trained."""
    store = Store(results, specs[0].sweep)
    planned = store.plan(specs)
    store.freeze(planned, "Why?", "name: s\n")
    return [item.folder for item in planned]


def state_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "state.json").read_text())
    return content


def rows_of(path: Path) -> list[str]:
    """Every row of a run as text, without its times: equal texts are equal bits."""
    texts = []
    for file in sorted(path.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            row = {name: value for name, value in json.loads(line).items() if name not in TIMES}
            texts.append(f"{file.name} {json.dumps(row)}")
    return texts


def weights_of(path: Path, spec: RunSpec) -> dict[str, torch.Tensor]:
    """All that a finished run's last checkpoint holds, times excepted, as tensors by name."""
    data = spec.config.dataset.load()
    state = new_state(spec.config, data)
    checkpoint.load(RunFolder(path).checkpoints()[0], state)
    assert state.step == spec.config.steps
    tensors = {f"g.{name}": value for name, value in state.generator.state_dict().items()}
    tensors |= {f"c.{name}": value for name, value in state.critic.state_dict().items()}
    if state.average is not None:
        tensors |= {f"a.{name}": value for name, value in state.average.state_dict().items()}
    for letter, optimizer in (("o", state.critic_optimizer), ("p", state.generator_optimizer)):
        if optimizer is not None:
            tensors |= _numbers_of(optimizer, letter)
    tensors |= {f"r.{name}": rng.get_state() for name, rng in state.streams.items()}
    counters = [state.step, state.critic_updates, state.images_seen, state.begun]
    return {**tensors, "counters": torch.tensor(counters)}


def _numbers_of(optimizer: torch.optim.Optimizer, letter: str) -> dict[str, torch.Tensor]:
    held = optimizer.state_dict()
    numbers = {
        f"{letter}.{number}.{name}": torch.as_tensor(moment)
        for number, moments in held["state"].items()
        for name, moment in moments.items()
    }
    rates = [group["lr"] for group in held["param_groups"]]
    return {**numbers, f"{letter}.lr": torch.tensor(rates, dtype=torch.float64)}


def assert_same_run(path: Path, other: Path, spec: RunSpec) -> None:
    """Bit-equal weights, optimizer, streams and rows."""
    ours, theirs = weights_of(path, spec), weights_of(other, spec)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert rows_of(path) == rows_of(other)
