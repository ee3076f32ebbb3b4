"""Whole iterations captured as CUDA graphs: launched at once instead of operation by operation.

A small network leaves a GPU waiting for the processor that launches its operations. A graph holds
all of an iteration: both networks' updates with the double backward pass, and what is drawn for
them. What it computes is what an eager iteration computes, from the same streams.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from wgan.config import TrainConfig
from wgan.data import Data, Images
from wgan.iteration import Eager, Iteration, Seen
from wgan.state import TrainState
from wgan.steps import CriticStep

WARM_UPS = 3  # eager iterations of a pattern before it is captured, as torch asks for
MOST_GRAPHS = 8  # patterns beyond these stay eager: each graph holds memory of its own


class Work(Protocol):
    """An iteration that can be captured; `wgan.iteration.Eager` is one.

    Iterations of one `pattern` are the same operations on the same tensors. `compute` does all the
    device's work and counts nothing; learning rates are tensors that somebody fills before.
    """

    config: TrainConfig
    data: Data

    @property
    def weights(self) -> Sequence[Tensor]:
        """All whose `grad` and `requires_grad` `compute` may change."""
        ...

    @property
    def streams(self) -> Mapping[str, torch.Generator | Sequence[torch.Generator]]:
        """All that `compute` draws from."""
        ...

    def pattern(self) -> Hashable:
        """What the coming iteration does."""
        ...

    def compute(self) -> Seen:
        """Do it."""
        ...

    def record(self, seen: Seen) -> None:
        """Keep what it saw, and count."""
        ...


def iteration_for(
    config: TrainConfig,
    data: Data,
    state: TrainState,
    told: Callable[[str], None] = lambda reason: None,
) -> Iteration:
    """The fastest way to make the iterations of a training: captured on CUDA, else eager.

    Args:
        told: called with the reason, once, where a GPU's training stays eager.
    """
    made: Iteration = captured(Eager(config, data, state), told)
    return made


def captured(work: Any, told: Callable[[str], None] = lambda reason: None) -> Any:
    """`work`, as graphs where its streams live on CUDA; `told` as in `iteration_for`."""
    device = next(_generators(work.streams)).device
    if device.type != "cuda":
        return work
    reason = why_not(work.config, work.data)
    if reason is not None:
        told(f"trains without a CUDA graph: {reason}")
        return work
    return Captured(work, Graphs(device), told)


def why_not(config: TrainConfig, data: Data) -> str | None:
    """Why an iteration cannot be captured, in words, or None."""
    for method in config.lipschitz:
        if method.reads_device:
            return f"{method.name} reads numbers off the device to decide how to go on"
    if isinstance(data, Images) and not data.train.is_cuda:
        return "the images lie in the host's memory, since they are too many for the device"
    return None


class Captured:
    """Iterations of `work`, each pattern as a graph from its fourth occurrence on.

    The first ones are made eagerly, as iterations of the training like any other: they warm up what
    a capture must not meet for the first time, and change nothing that an eager training would
    not. A capture runs nothing. Where one fails the training goes on eagerly, from the same state.

    Attributes:
        reason: why it is eager for good, or None.
    """

    def __init__(self, work: Work, graphs: Graphs, told: Callable[[str], None]) -> None:
        self.work, self.reason = work, None
        self._device, self._told = graphs, told
        self._met: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, Callable[[], Seen]] = {}
        self._drawn_from: list[torch.Generator] = []

    reason: str | None

    def __call__(self) -> None:
        """Train both networks once; `step` is the loop's to count."""
        self._forget_graphs_of_other_streams()
        pattern = self.work.pattern()
        if self._is_due(pattern):
            self._capture(pattern)
        replay = self._graphs.get(pattern)
        if replay is not None:
            self.work.record(replay())
        elif self.reason is None:
            self._met[pattern] += 1
            self.work.record(self._device.aside(self.work.compute))
        else:
            self.work.record(self.work.compute())

    def _forget_graphs_of_other_streams(self) -> None:
        """A replay advances the streams it was captured with, also those that somebody took away.

        A training that leaves its pack does: its stream is to stand still from there.
        """
        now, before = list(_generators(self.work.streams)), self._drawn_from
        if len(now) == len(before) and all(x is y for x, y in zip(now, before, strict=True)):
            return
        if self._graphs:
            self._graphs.clear()
            self._met.clear()
            self._device.renew()
        self._drawn_from = now

    def _is_due(self, pattern: Hashable) -> bool:
        return (
            self.reason is None
            and pattern not in self._graphs
            and self._met[pattern] >= WARM_UPS
            and len(self._graphs) < MOST_GRAPHS
        )

    def _capture(self, pattern: Hashable) -> None:
        generators, weights = list(_generators(self.work.streams)), self.work.weights
        trained = [weight.requires_grad for weight in weights]
        handled = sys.exception()
        try:
            self._graphs[pattern] = self._device.capture(self.work.compute, generators)
        # Whatever an operation makes CUDA say, the training itself is sound.
        except Exception as error:
            for weight, is_trained in zip(weights, trained, strict=True):
                weight.requires_grad_(is_trained)
            self._graphs.clear()
            self.reason = f"it could not be captured: {_first_line(error, handled)}"
            self._told(f"trains without a CUDA graph: {self.reason}")
        finally:
            # Those of a graph lie in its memory, where nobody else may rely on them.
            for weight in weights:
                weight.grad = None


class Graphs:
    """CUDA's part: a stream beside the training's own, and the memory that its graphs share."""

    def __init__(self, device: torch.device) -> None:
        self._side = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def renew(self) -> None:
        """Let the graphs to come share memory of their own: all before are gone."""
        self._pool = torch.cuda.graph_pool_handle()

    def aside(self, compute: Callable[[], Seen]) -> Seen:
        """What `compute` gives, made on the stream that will be captured."""
        here = torch.cuda.current_stream(self._side.device)
        self._side.wait_stream(here)
        with torch.cuda.stream(self._side):
            seen = compute()
        here.wait_stream(self._side)
        return seen

    def capture(
        self, compute: Callable[[], Seen], generators: Sequence[torch.Generator]
    ) -> Callable[[], Seen]:
        """`compute` as a graph that runs at each call; where it fails the generators are as before.

        Raises:
            Exception: whatever an operation that cannot be captured makes torch raise.
        """
        graph = torch.cuda.CUDAGraph()
        before = [rng.clone_state() for rng in generators]
        usual = torch.cuda.current_stream(self._side.device)
        for rng in generators:
            graph.register_generator_state(rng)
        try:
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local"
            ):
                seen = compute()
                joined = torch.cat([leaf.reshape(-1) for leaf in _leaves(seen)])
        except Exception:
            # A broken capture leaves its stream the current one, and its generators of no more use.
            torch.cuda.set_stream(usual)
            for rng, state in zip(generators, before, strict=True):
                rng.graphsafe_set_state(state)
            raise
        # What the capture itself has put on its stream is done before the first replay.
        usual.wait_stream(self._side)
        shapes = [leaf.shape for leaf in _leaves(seen)]
        sizes = [shape.numel() for shape in shapes]

        def run() -> Seen:
            graph.replay()
            # The next replay writes over it.
            parts = joined.clone().split(sizes)
            return _refilled(seen, [part.view(s) for part, s in zip(parts, shapes, strict=True)])

        return run


def _first_line(error: BaseException, handled: BaseException | None) -> str:
    """Of the error that came first: the end of a broken capture raises another.

    Args:
        handled: one that the caller was handling before, and that is not meant.
    """
    while error.__context__ is not None and error.__context__ is not handled:
        error = error.__context__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _leaves(seen: Seen) -> list[Tensor]:
    """The tensors in it, in order."""
    found = [part for step in seen.critic for part in step]
    return [*found, *(part for part in seen[1:] if isinstance(part, Tensor))]


def _refilled(seen: Seen, leaves: Sequence[Tensor]) -> Seen:
    """A `Seen` of the same form with other tensors, in the order of `_leaves`."""
    left = iter(leaves)
    steps = [CriticStep(*(next(left) for _ in step)) for step in seen.critic]
    rest = [next(left) if isinstance(part, Tensor) else None for part in seen[1:]]
    return Seen(steps, *rest)  # type: ignore[arg-type]


def _generators(
    streams: Mapping[str, torch.Generator | Sequence[torch.Generator]],
) -> Iterator[torch.Generator]:
    for held in streams.values():
        if isinstance(held, torch.Generator):
            yield held
        else:
            yield from held
