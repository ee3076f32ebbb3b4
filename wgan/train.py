"""The training loop: a generator of pauses.

It does no I/O; whoever iterates records, scores and checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.cuda_graph import iteration_for
from wgan.data import Data
from wgan.iteration import Iteration
from wgan.optimizers import set_learning_rate
from wgan.precision import DTYPES
from wgan.state import TrainState, Window, new_state

__all__ = ["DTYPES", "Pause", "Row", "TrainState", "Window", "new_state", "train"]

Row = dict[str, float | int | None]


@dataclass(frozen=True)
class Pause:
    """Where the loop stops to let its consumer look; the state can be checkpointed here.

    Attributes:
        rows: the training rows since the last pause.
        evaluate: whether this step is to be scored: step 0, every `evaluate_every`-th and the last.
        diverged: why the training has diverged, or None; after such a pause the loop ends.
    """

    state: TrainState
    rows: list[Row]
    evaluate: bool
    diverged: str | None = None


def train(
    config: TrainConfig,
    data: Data,
    state: TrainState,
    stop: Callable[[], bool],
    *,
    log_every: int = 50,
    evaluate_every: int = 200,
    iterate: Iteration | None = None,
) -> Iterator[Pause]:
    """Train `state` in place up to `config.steps` generator updates, yielding pauses.

    Pauses come every `log_every` steps with a row, at evaluation steps, and after any step at which
    `stop()` is true; who wants to stop then checkpoints and leaves the loop. The weights do not
    depend on where the pauses are.

    `iterate` makes one iteration in `state`; None: `iteration_for` chooses.

    A checkpoint taken at a pause holds that its rows were recorded and its evaluation made: on
    resuming none is repeated.
    """
    # Score the untrained generator first.
    if not state.begun:
        state.begun = True
        yield Pause(state, [], evaluate=True)

    iterate = iterate or iteration_for(config, data, state)
    while state.step < config.steps:
        started = time.perf_counter()
        _set_learning_rates(config, state)
        iterate()
        state.step += 1

        # Close the window: the only moment at which numbers come off the device.
        last = state.step == config.steps
        rows, diverged = [], None
        if last or state.step % log_every == 0:
            row, diverged = _close_window(config, state)
            rows.append(row)
        state.training_seconds += time.perf_counter() - started
        for row in rows:
            row["training_seconds"] = state.training_seconds

        # Pause where there is something to record, or somebody asks for it. Nobody is asked to
        # score a generator whose weights are not finite.
        evaluate = diverged is None and (last or state.step % evaluate_every == 0)
        if (
            evaluate
            and not rows
            and not bool(_weight_norm(state.critic, state.generator).isfinite())
        ):
            evaluate, diverged = False, f"weights were not finite at step {state.step}"
        if rows or evaluate or diverged or stop():
            yield Pause(state, rows, evaluate, diverged)
        if diverged is not None:
            return


def _set_learning_rates(config: TrainConfig, state: TrainState) -> None:
    """Give both optimizers the rate of this step, which depends on the step alone."""
    if config.learning_rate == "constant":
        return
    factor = config.learning_rate_factor(state.step)
    for group in state.critic_optimizer.param_groups:
        set_learning_rate(group, config.optimizer.lr * factor)
    if state.generator_optimizer is not None:
        for group in state.generator_optimizer.param_groups:
            set_learning_rate(group, (config.generator_optimizer or config.optimizer).lr * factor)


def _close_window(config: TrainConfig, state: TrainState) -> tuple[Row, str | None]:
    """The row of the window, which is emptied, and why the training has diverged if it has."""
    window, state.window = state.window, Window()
    real_scores = torch.cat([step.real_scores for step in window.critic])
    fake_scores = torch.cat([step.fake_scores for step in window.critic])
    figures = {
        "critic_loss": torch.stack([step.loss for step in window.critic]).mean(),
        "penalty": torch.stack([step.penalty for step in window.critic]).mean(),
        "estimate_window": config.loss.distance(real_scores, fake_scores),
        # Of the last update in the window, as the optimizer saw it; the largest comes below.
        "critic_gradient_norm": window.critic_gradients[-1],
        "largest_score": torch.maximum(real_scores.abs().amax(), fake_scores.abs().amax()),
        "weight_norm": _weight_norm(state.critic, state.generator),
    }
    if window.generator_losses:
        figures["generator_loss"] = torch.stack(window.generator_losses).mean()
        figures["generator_gradient_norm"] = window.generator_gradients[-1]
    for part in ("critic", "generator"):
        if f"{part}_gradient_norm" in figures:
            norms = getattr(window, f"{part}_gradients")
            figures[f"{part}_gradient_norm_largest"] = torch.stack(norms).amax()
    values = torch.stack([figure.double() for figure in figures.values()]).tolist()
    row: Row = {"step": state.step, "images_seen": state.images_seen}
    row.update(zip(figures, values, strict=True))

    # `not <=` also catches NaN.
    for name, limit in (("weight_norm", _LARGEST), ("largest_score", config.score_limit)):
        if not row[name] <= limit:  # type: ignore[operator]
            return row, f"{name} was {row[name]:g} at step {state.step} (limit {limit:g})"
    for name in ("critic_loss", "generator_loss", "penalty"):
        if name in row and not abs(row[name]) <= _LARGEST:  # type: ignore[arg-type]
            return row, f"{name} was {row[name]:g} at step {state.step}"
    return row, None


_LARGEST = torch.finfo(torch.float32).max


def _weight_norm(*modules: nn.Module) -> Tensor:
    """||weights||_2 over all parameters: not finite as soon as one of them is not."""
    return torch.nn.utils.get_total_norm([p.detach() for m in modules for p in m.parameters()])
