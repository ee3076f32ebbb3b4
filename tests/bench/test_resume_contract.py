"""A run that goes on equals one that was never stopped, for whatever a sweep file can name."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import assert_same_run, frozen, state_of, tiny

from bench import session, worker
from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store
from wgan import checkpoint
from wgan.config import COMPONENTS
from wgan.lipschitz import LipschitzMethod
from wgan.recipes import RECIPES
from wgan.train import TrainState, Window

STEPS, LOG, EVALUATE, LAZY = 24, 5, 10, 4
LOOKS = EvaluateSpec(
    every=EVALUATE,
    samples=32,
    critic_samples=32,
    gap_updates=1,
    halves=True,
    fresh_sets=2,
    step_cost=True,
    profiles=("layer_gradients",),
)

RECIPE_CASES = {f"recipe {name}": {"recipe": name} for name in sorted(RECIPES)}
METHOD_CASES = {
    f"method {name}": {"recipe": "gan", "critic_norm": "none", "lipschitz": name, "critic_steps": 3}
    for name in sorted(LipschitzMethod.registry)
}
OPTIMIZER_CASES = {
    f"optimizer {name}": {"recipe": "wgan_gp", "optimizer": {name: {"lr": 1e-3}}}
    for name in sorted(COMPONENTS["optimizer"].registry)
}
LOSS_CASES = {
    f"loss {name}": {"recipe": "wgan_sn", "loss": name}
    for name in sorted(COMPONENTS["loss"].registry)
}
SGD = {"sgd": {"lr": 1e-2, "momentum": 0.9, "nesterov": True}}
OTHER_CASES: dict[str, dict[str, Any]] = {
    "momentum": {"recipe": "wgan_gp", "optimizer": SGD},
    "two optimizers": {"recipe": "wgan_gp", "generator_optimizer": {"rmsprop": {"lr": 1e-3}}},
    "average": {"recipe": "gan", "ema": 0.9},
    "linear rate": {"recipe": "wgan_gp", "learning_rate": "linear"},
    "warm-up": {
        "recipe": "wgan",
        "warm_up_steps": 7,
        "warm_up_every": 6,
        "warm_up_critic_steps": 8,
    },
    "frozen generator": {"recipe": "wgan_gp", "generator": "frozen"},
    "lazy penalty": {"recipe": "wgan_gp", "lipschitz": {"gradient_penalty": {"every": LAZY}}},
    "all at once": {
        "recipe": "r3gan",
        "ema": 0.9,
        "learning_rate": "linear",
        "critic_steps": 2,
        "lipschitz": {"all": ["spectral_norm", {"gradient_penalty": {"every": LAZY}}, "r1"]},
        "generator_optimizer": SGD,
        "warm_up_steps": 7,
        "warm_up_critic_steps": 3,
        "precision": "float64",
    },
    "images": {"recipe": "gan", "dataset": "digits", "network": {"dcgan": {"width": 4}}},
}
CASES: dict[str, dict[str, Any]] = {
    **RECIPE_CASES,
    **METHOD_CASES,
    **OPTIMIZER_CASES,
    **LOSS_CASES,
    **OTHER_CASES,
}
# The others are among the slow tests.
USUAL = ("recipe wgan", "recipe sngan", "all at once")
USUALLY_FORGOTTEN = ("data", "window", "critic's moments", "the first evaluation")


def spec_of(case: Mapping[str, Any]) -> RunSpec:
    seldom = {"log_every": LOG, "evaluate": LOOKS, "checkpoint_seconds": 1000.0}
    return tiny(**{"steps": STEPS, **seldom, **case})


def between_everything(name: str) -> int:
    """A step that is no row's, no evaluation's and no lazy penalty's."""
    free = [step for step in range(1, STEPS) if step % LOG and step % EVALUATE and step % LAZY]
    return random.Random(name).choice([step for step in free if step > EVALUATE])


def finish(path: Path, stops: set[int], patch: pytest.MonkeyPatch) -> None:
    """Train to the end, stopped on the way: each time all that goes on is what lies on the disk.

    A stop at a step that is to be evaluated comes within the evaluation.
    """
    pauses, evaluate = session.Session.wants_a_pause, session.diagnose

    def stop_at(step: int) -> None:
        if step in stops:
            stops.remove(step)
            os.kill(os.getpid(), signal.SIGUSR2)

    def wants(this: session.Session) -> bool:
        stop_at(this.state.step)
        return pauses(this)

    def diagnose(config: Any, state: TrainState, *rest: Any) -> dict[str, float]:
        stop_at(state.step)
        return evaluate(config, state, *rest)

    with patch.context() as within:
        within.setattr(session.Session, "wants_a_pause", wants)
        within.setattr(session, "diagnose", diagnose)
        for _ in range(len(stops) + 1):
            assert not (path / "state.json").exists()
            worker.run([path])
    assert not stops
    assert state_of(path)["state"] == "done", state_of(path)["reason"]


def cases(names: Iterable[str], usual: tuple[str, ...]) -> list[Any]:
    return [pytest.param(n, marks=() if n in usual else pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", cases(CASES, USUAL))
def test_a_run_that_was_stopped_equals_one_that_was_not(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(CASES[name])
    (whole,) = frozen(tmp_path / "whole", spec)
    worker.run([whole])
    assert state_of(whole)["state"] == "done", state_of(whole)["reason"]
    (path,) = frozen(tmp_path / "stopped", spec)
    finish(path, {3, EVALUATE, between_everything(name)}, monkeypatch)
    assert_same_run(path, whole, spec)


FORGETFUL = spec_of(OTHER_CASES["all at once"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with everything in it, never stopped."""
    (path,) = frozen(tmp_path_factory.mktemp("whole"), FORGETFUL)
    worker.run([path])
    return path


def forget_stream(purpose: str) -> Callable[[TrainState], None]:
    return lambda state: state.streams.update({purpose: torch.Generator().manual_seed(1)})


def forget_moments(which: str) -> Callable[[TrainState], None]:
    def forget(state: TrainState) -> None:
        optimizer = getattr(state, which)
        for moments in optimizer.state.values():
            for moment in moments.values():
                if isinstance(moment, torch.Tensor):
                    moment.zero_()

    return forget


def forget_window(state: TrainState) -> None:
    state.window = Window(state.window.critic[-1:], state.window.generator_losses[-1:])


def forget_average(state: TrainState) -> None:
    assert state.average is not None
    state.average.load_state_dict(state.generator.state_dict())


def forget_vectors(state: TrainState) -> None:
    """Those of spectral norm, which are buffers."""
    for buffer in state.critic.buffers():
        buffer.copy_(buffer.roll(1))


FORGOTTEN: dict[str, Callable[[TrainState], None]] = {
    "data": forget_stream("data"),
    "data of the generator's step": forget_stream("data:generator"),
    "noise": forget_stream("noise"),
    "penalty": forget_stream("penalty:gradient_penalty"),
    "window": forget_window,
    "critic's moments": forget_moments("critic_optimizer"),
    "generator's moments": forget_moments("generator_optimizer"),
    "average": forget_average,
    "spectral norm's vectors": forget_vectors,
    "lazy penalty's counter": lambda state: setattr(state, "critic_updates", 0),
    "images seen": lambda state: setattr(state, "images_seen", 0),
    "the first evaluation": lambda state: setattr(state, "begun", False),
}


@pytest.mark.parametrize("what", cases(FORGOTTEN, USUALLY_FORGOTTEN))
def test_whatever_a_checkpoint_forgets_is_noticed(
    tmp_path: Path, whole: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract above can fail: each part of the state left out, one at a time."""
    honest = checkpoint.load

    def load(path: Path, state: TrainState) -> dict[str, Any]:
        extra = honest(path, state)
        FORGOTTEN[what](state)
        return extra

    (path,) = frozen(tmp_path, FORGETFUL)
    monkeypatch.setattr(checkpoint, "load", load)
    finish(path, {between_everything("forgotten")}, monkeypatch)
    monkeypatch.undo()
    with pytest.raises(AssertionError):
        assert_same_run(path, whole, FORGETFUL)


@pytest.mark.parametrize("sizes", cases(["train.jsonl", "profiles.jsonl", "eval"], ("eval",)))
def test_rows_that_are_not_cut_to_the_checkpoint_are_noticed(
    tmp_path: Path, whole: Path, sizes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of after the last checkpoint stay when their file is opened at its own length."""
    honest = session.open_rows

    def careless(path: Path, beginning: Any) -> Any:
        if path.name.startswith(sizes) and path.exists():
            beginning = type(beginning)(beginning.state, {path.name: path.stat().st_size}, True)
        return honest(path, beginning)

    (path,) = frozen(tmp_path, FORGETFUL)
    finish_killed(path, monkeypatch)
    monkeypatch.setattr(session, "open_rows", careless)
    worker.run([path])
    assert state_of(path)["state"] == "done"
    with pytest.raises(AssertionError):
        assert_same_run(path, whole, FORGETFUL)


def finish_killed(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Leave the folder as a run does that is killed at step 22 with its checkpoint at step 17."""
    honest = session.Session.wants_a_pause

    def wants(this: session.Session) -> bool:
        if this.state.step == 17:
            os.kill(os.getpid(), signal.SIGUSR1)
        if this.state.step == 22:
            raise KeyboardInterrupt
        return honest(this)

    with patch.context() as within:
        within.setattr(session.Session, "wants_a_pause", wants)
        with pytest.raises(KeyboardInterrupt):
            worker.run([path])


def test_a_run_killed_between_its_checkpoints_equals_one_that_was_not(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = frozen(tmp_path, FORGETFUL)
    finish_killed(path, monkeypatch)
    (item,) = Store(tmp_path, "s").plan([FORGETFUL])
    assert (item.action, item.step) == ("resume", 17)
    worker.run([path])
    assert_same_run(path, whole, FORGETFUL)
