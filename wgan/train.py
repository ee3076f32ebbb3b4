"""The training loop: a generator of pauses.

It does no I/O; whoever iterates records, scores and checkpoints.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from wgan.config import TrainConfig
from wgan.data import Data
from wgan.random import stream, training_streams
from wgan.steps import CriticStep, critic_step, generator_step

Row = dict[str, float | int | None]
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass
class Window:
    """What the steps since the last row saw; on the device until the row is made.

    `critic_gradients` and `generator_gradients` hold one norm for each step, of the networks' last
    updates: a norm takes 20 microseconds, which at every critic update would cost a toy 2 %.
    """

    critic: list[CriticStep] = field(default_factory=list)
    generator_losses: list[Tensor] = field(default_factory=list)
    critic_gradients: list[Tensor] = field(default_factory=list)
    generator_gradients: list[Tensor] = field(default_factory=list)


@dataclass
class TrainState:
    """Everything that changes while training; what a checkpoint holds.

    `step` counts generator updates, `images_seen` real images shown to the critic,
    `training_seconds` the time inside the loop, pauses excluded. `run_id` is the configuration's;
    `begun` tells that the pause at step 0 has been made. `average` is the generator's moving
    average where the configuration keeps one; a frozen generator has no optimizer.
    """

    generator: nn.Module
    critic: nn.Module
    generator_optimizer: torch.optim.Optimizer | None
    critic_optimizer: torch.optim.Optimizer
    streams: dict[str, torch.Generator]
    device: torch.device
    run_id: str
    average: nn.Module | None = None
    step: int = 0
    critic_updates: int = 0
    images_seen: int = 0
    training_seconds: float = 0.0
    begun: bool = False
    window: Window = field(default_factory=Window)


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


def new_state(config: TrainConfig, data: Data, device: torch.device | str = "cpu") -> TrainState:
    """Networks, optimizers and streams at the beginning of the training `config`.

    The weights are drawn on the CPU, so that they are equal on every device, and from streams of
    their own, so that equal seeds give equal weights to every method.
    """
    device, dtype = torch.device(device), DTYPES[config.precision]
    # Constructors draw weights from torch's global generator; these are thrown away, and its state
    # is left as it was.
    with torch.random.fork_rng(devices=[]):
        generator = config.generator.build(config.network, data.shape, config.noise_size)
        critic = config.network.critic(data.shape, config.critic_norm)
    config.network.initialise(generator, stream(config.seed, "init_generator"))
    config.network.initialise(critic, stream(config.seed, "init_critic"))

    generator, critic = generator.to(device, dtype), critic.to(device, dtype)
    for method in config.lipschitz:
        critic = method.wrap(critic, data.shape)
    trains = config.generator.trains
    chosen = config.generator_optimizer or config.optimizer
    return TrainState(
        generator=generator,
        critic=critic,
        generator_optimizer=chosen.build(generator.parameters()) if trains else None,
        critic_optimizer=config.optimizer.build(critic.parameters()),
        streams=training_streams(config.seed, [m.name for m in config.lipschitz], device),
        device=device,
        run_id=config.run_id,
        average=copy.deepcopy(generator).requires_grad_(False) if config.ema else None,
    )


def train(
    config: TrainConfig,
    data: Data,
    state: TrainState,
    stop: Callable[[], bool],
    *,
    log_every: int = 50,
    evaluate_every: int = 200,
) -> Iterator[Pause]:
    """Train `state` in place up to `config.steps` generator updates, yielding pauses.

    Pauses come every `log_every` steps with a row, at evaluation steps, and after any step at which
    `stop()` is true; who wants to stop then checkpoints and leaves the loop. The weights do not
    depend on where the pauses are.

    A checkpoint taken at a pause holds that its rows were recorded and its evaluation made: on
    resuming none is repeated.
    """
    # Score the untrained generator first.
    if not state.begun:
        state.begun = True
        yield Pause(state, [], evaluate=True)

    size, dtype = config.batch_size, DTYPES[config.precision]

    def draw_noise() -> Tensor:
        return config.generator.draw(data, config.noise_size, size, state.streams["noise"], dtype)

    def draw_real(purpose: str) -> Tensor:
        return data.batch(size, state.streams[purpose]).to(dtype)

    while state.step < config.steps:
        started = time.perf_counter()
        _set_learning_rates(config, state)

        # Train the critic.
        for _ in range(config.critic_steps_before(state.step)):
            state.window.critic.append(
                critic_step(
                    state.critic,
                    state.generator,
                    state.critic_optimizer,
                    config.loss,
                    config.lipschitz,
                    draw_real("data"),
                    draw_noise(),
                    state.streams,
                    state.critic_updates,
                )
            )
            state.critic_updates += 1
            state.images_seen += config.batch_size
        state.window.critic_gradients.append(_gradient_norm(state.critic_optimizer))

        # Train the generator.
        if state.generator_optimizer is not None:
            state.window.generator_losses.append(
                generator_step(
                    state.critic,
                    state.generator,
                    state.generator_optimizer,
                    config.loss,
                    draw_noise(),
                    draw_real("data:generator") if config.loss.needs_real else None,
                )
            )
            state.window.generator_gradients.append(_gradient_norm(state.generator_optimizer))
        if state.average is not None:
            update_average(state.average, state.generator, config.ema)
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
        group["lr"] = config.optimizer.lr * factor
    if state.generator_optimizer is not None:
        for group in state.generator_optimizer.param_groups:
            group["lr"] = (config.generator_optimizer or config.optimizer).lr * factor


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float) -> None:
    """Average = decay * average + (1 - decay) * generator, in place; buffers are copied.

    Karras et al. 2018, arXiv:1710.10196, section 6: the average of the weights gives better samples
    than the weights. It begins at the initial weights and is not corrected for that.
    """
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), 1 - decay)
    for kept, now in zip(average.buffers(), generator.buffers(), strict=True):
        kept.copy_(now)


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


def _gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """||gradient||_2 over all parameters that hold one.

    torch's get_total_norm gives the same bits in twice the time.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norms = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


def _weight_norm(*modules: nn.Module) -> Tensor:
    """||weights||_2 over all parameters: not finite as soon as one of them is not."""
    return torch.nn.utils.get_total_norm([p.detach() for m in modules for p in m.parameters()])
