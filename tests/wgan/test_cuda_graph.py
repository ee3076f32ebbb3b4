"""Captured iterations: when one is captured, what happens where that fails, and, on a GPU, that a
graph gives what eager iterations give.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small import contents, registered, same, small, without_times

from wgan import checkpoint
from wgan.config import TrainConfig
from wgan.cuda_graph import MOST_GRAPHS, WARM_UPS, Captured, captured, why_not
from wgan.data import Images
from wgan.iteration import Eager, Seen
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.optimizers import Optimizer
from wgan.recipes import RECIPES
from wgan.state import TrainState, new_state

gpu = pytest.mark.gpu
STEPS = 50


def images(device: str = "cpu") -> Images:
    """Noise in the shape of digits."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (300, 1, 8, 8), generator=rng, dtype=torch.uint8)
    return Images("noise", pixels[:200], pixels[200:]).to(device)


class FakeGraphs:
    """In place of CUDA: a capture is only noted, and a replay computes."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.asides, self.captures, self.replays, self.renewed = 0, 0, 0, 0
        self.weights: list[torch.Tensor] = []

    def renew(self) -> None:
        self.renewed += 1

    def aside(self, compute: Any) -> Seen:
        self.asides += 1
        return compute()

    def capture(self, compute: Any, generators: Any) -> Any:
        self.captures += 1
        if self.fails:
            for weight in self.weights:
                weight.requires_grad_(False)
            raise RuntimeError("operation not permitted\nwhen a stream is captured")

        def run() -> Seen:
            self.replays += 1
            return compute()

        return run


def trained(config: TrainConfig, iterate: Any, state: TrainState, data: Images) -> list[Any]:
    from wgan.train import train

    rows = []
    for pause in train(config, data, state, lambda: False, log_every=5, iterate=iterate):
        rows += pause.rows
    return without_times(rows)


def faked(config: TrainConfig, graphs: FakeGraphs, told: list[str]) -> tuple[Any, TrainState]:
    state = new_state(config, images())
    return Captured(Eager(config, images(), state), graphs, told.append), state


def test_a_pattern_is_captured_after_its_warm_ups_which_are_iterations_like_any_other():
    config, graphs, told = small("wgan_gp", steps=10, critic_steps=2), FakeGraphs(), []
    iterate, state = faked(config, graphs, told)
    rows = trained(config, iterate, state, images())
    assert (graphs.asides, graphs.captures, graphs.replays) == (WARM_UPS, 1, 10 - WARM_UPS)
    alone = new_state(config, images())
    assert rows == trained(config, Eager(config, images(), alone), alone, images())
    assert same(contents(state), contents(alone))
    assert told == []


def test_a_capture_that_fails_leaves_the_training_as_it_was_and_says_why_once():
    config, graphs, told = small("wgan_gp", steps=10), FakeGraphs(fails=True), []
    iterate, state = faked(config, graphs, told)
    graphs.weights = list(state.critic.parameters())
    trained(config, iterate, state, images())
    assert all(weight.requires_grad for weight in state.critic.parameters())
    alone = new_state(config, images())
    trained(config, Eager(config, images(), alone), alone, images())
    assert same(contents(state), contents(alone))
    assert graphs.captures == 1
    assert told == [
        "trains without a CUDA graph: it could not be captured: operation not permitted"
    ]


def test_each_pattern_is_a_graph_of_its_own_and_their_number_is_bounded():
    class Work:
        streams: dict[str, torch.Generator] = {}  # noqa: RUF012
        weights: list[torch.Tensor] = []  # noqa: RUF012
        seen: list[Any] = []  # noqa: RUF012
        now = 0

        def pattern(self) -> int:
            return self.now

        def compute(self) -> Any:
            return self.now

        def record(self, seen: Any) -> None:
            self.seen.append(seen)

    work, graphs = Work(), FakeGraphs()
    iterate = Captured(work, graphs, lambda _: None)
    for _ in range(WARM_UPS + 2):
        for work.now in range(MOST_GRAPHS + 3):
            iterate()
    assert graphs.captures == MOST_GRAPHS
    assert graphs.replays == 2 * MOST_GRAPHS
    assert work.seen == list(range(MOST_GRAPHS + 3)) * (WARM_UPS + 2)


def test_graphs_are_made_anew_for_other_streams():
    """A replay would advance the stream of a training that has left its pack."""
    graphs, told = FakeGraphs(), []
    iterate, state = faked(small("wgan_gp", critic_steps=1), graphs, told)
    for _ in range(WARM_UPS + 2):
        iterate()
    assert (graphs.asides, graphs.captures, graphs.replays, graphs.renewed) == (3, 1, 2, 0)
    state.streams["noise"] = state.streams["noise"].clone_state()
    for _ in range(WARM_UPS + 2):
        iterate()
    assert (graphs.asides, graphs.captures, graphs.replays, graphs.renewed) == (6, 2, 4, 1)
    assert told == []


def test_a_failure_names_its_own_error_and_not_one_that_was_handled_before():
    graphs, told = FakeGraphs(fails=True), []
    iterate, _ = faked(small("wgan_gp", critic_steps=1), graphs, told)
    try:
        raise OSError("an old worry")
    except OSError:
        for _ in range(WARM_UPS + 1):
            iterate()
    assert iterate.reason == "it could not be captured: operation not permitted"


# What a step may not call on a tensor, or it waits for the device.
_READS = ("item", "tolist", "__bool__", "__float__", "__int__", "nonzero", "cpu", "numpy")


def _noting(name: str, read: list[str]) -> Any:
    """A tensor's method that notes its name in `read`."""
    original = getattr(torch.Tensor, name)

    def noting(tensor: torch.Tensor, *given: Any) -> Any:
        read.append(name)
        return original(tensor, *given)

    return noting


@pytest.mark.parametrize("method", registered(LipschitzMethod))
def test_a_method_reads_numbers_off_the_device_if_and_only_if_it_says_so(method, monkeypatch):
    config = small(lipschitz=method.name, critic_norm="none")
    (chosen,), state, read = config.lipschitz, new_state(config, images()), []
    Eager(config, images(), state)()
    real = images().batch(8, state.streams["data"])
    for name in _READS:
        monkeypatch.setattr(torch.Tensor, name, _noting(name, read))
    state.critic(real)
    chosen.penalty(state.critic, real, real.flip(0), state.streams[f"penalty:{method.name}"])
    chosen.after_step(state.critic)
    monkeypatch.undo()
    assert bool(read) == chosen.reads_device, read


def test_a_lazy_penalty_and_a_warm_up_are_patterns():
    lazy = {"gradient_penalty": {"weight": 10, "every": 3}}
    config = small("wgan_gp", lipschitz=lazy, critic_steps=2, warm_up_steps=1, steps=8)
    iterate, state = faked(config, FakeGraphs(), [])
    patterns = []
    for state.step in range(4):
        patterns.append(iterate.work.pattern())
        iterate()
    due = ("gradient_penalty",)
    assert [len(pattern) for pattern in patterns] == [100, 2, 2, 2]
    # 100 updates were made: the 103rd is the next that is due.
    assert patterns[1:] == [((), ()), (due, ()), ((), due)]


def test_on_the_cpu_an_iteration_stays_what_it_is():
    config = small()
    work = Eager(config, images(), new_state(config, images()))
    assert captured(work) is work


@pytest.mark.parametrize(
    ("lipschitz", "word"),
    [
        ("lipschitz_network", "lipschitz_network reads numbers off the device"),
        ("orthonormal", "orthonormal reads numbers off the device"),
        ({"spectral_norm": {"of": "operator"}}, "spectral_norm reads numbers off the device"),
    ],
)
def test_a_method_that_asks_the_device_is_not_captured(lipschitz, word):
    assert word in str(why_not(small(lipschitz=lipschitz), images()))


def test_images_in_the_hosts_memory_are_not_captured():
    assert "host's memory" in str(why_not(small(), images()))


# On a GPU.


def on_gpu(config: TrainConfig, iteration: str) -> tuple[TrainState, list[Any], list[str]]:
    """The state, the rows and what was told of a training on the GPU."""
    data, told = images("cuda"), []
    state = new_state(config, data, "cuda")
    work = Eager(config, data, state)
    iterate = captured(work, told.append) if iteration == "graph" else work
    return state, trained(config, iterate, state, data), told


def agree(left: Any, right: Any) -> bool:
    """Whether two nested structures agree to 1e-8; streams must be equal."""
    if isinstance(left, torch.Tensor) and left.dtype == torch.float64:
        return torch.allclose(left, right, rtol=1e-8, atol=1e-8)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(agree(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(agree, left, right))
    if isinstance(left, float):
        return math.isclose(left, right, rel_tol=1e-7, abs_tol=1e-8)
    return same(left, right)


def check_equal_to_eager(config: TrainConfig) -> None:
    eager, rows, _ = on_gpu(config, "eager")
    graph, graph_rows, told = on_gpu(config, "graph")
    read = [method.name for method in config.lipschitz if method.reads_device]
    assert [method in told[0] for method in read] == [True] * len(told) == [True] * len(read)
    assert agree(contents(eager), contents(graph))
    assert agree(rows, graph_rows)


def double(recipe: str | None = None, **settings: Any) -> TrainConfig:
    return small(recipe, precision="float64", **{"steps": STEPS, **settings})


@gpu
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_graph_trains_each_recipe_as_eager_iterations_do(recipe):
    check_equal_to_eager(double(recipe, critic_steps=2))


@gpu
@pytest.mark.parametrize("method", registered(LipschitzMethod))
def test_a_graph_trains_each_method_as_eager_iterations_do(method):
    check_equal_to_eager(double(lipschitz=method.name))


@gpu
@pytest.mark.parametrize("loss", registered(Loss))
def test_a_graph_trains_each_loss_as_eager_iterations_do(loss):
    check_equal_to_eager(double("wgan_gp", loss=loss.name, critic_steps=1))


@gpu
@pytest.mark.parametrize("learning_rate", ["constant", "linear"])
@pytest.mark.parametrize("optimizer", registered(Optimizer))
def test_a_graph_takes_each_optimizers_steps_at_each_rate(optimizer, learning_rate):
    chosen = {optimizer.name: {"momentum": 0.5} if optimizer.name in ("sgd", "rmsprop") else {}}
    check_equal_to_eager(double("wgan_gp", optimizer=chosen, learning_rate=learning_rate))


@gpu
@pytest.mark.parametrize("network", ["mlp", "dcgan", "sn_cnn", "resnet"])
@pytest.mark.parametrize("critic_norm", ["none", "batch", "layer"])
def test_a_graph_trains_each_network_as_eager_iterations_do(network, critic_norm):
    check_equal_to_eager(
        double("wgan_gp", network={network: {"width": 8}}, critic_norm=critic_norm, ema=0.9)
    )


@gpu
def test_a_graph_keeps_lazy_penalties_and_warm_ups():
    lazy = {"gradient_penalty": {"weight": 10, "every": 3}}
    warm = {"warm_up_steps": 2, "warm_up_every": 10, "warm_up_critic_steps": 7}
    check_equal_to_eager(double("wgan_gp", lipschitz=lazy, critic_steps=2, **warm))


@gpu
@pytest.mark.parametrize("dataset", ["ring8", "grid25", "swiss_roll", "noiseless_ring"])
def test_densities_are_drawn_inside_a_graph(dataset):
    config = double("wgan_gp", dataset=dataset, network={"mlp": {"width": 16}}, noise_size=2)
    data, told, states = config.dataset.load().to("cuda"), [], []
    for captures in (True, False):
        state = new_state(config, data, "cuda")
        work = Eager(config, data, state)
        trained(config, captured(work, told.append) if captures else work, state, data)
        states.append(contents(state))
    assert told == []
    assert agree(*states)


@gpu
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_graph_in_float32_gives_the_bits_of_eager_iterations_and_of_a_resumed_one(
    tmp_path: Path, recipe: str
):
    config, data = small(recipe, steps=20), images("cuda")
    whole, rows, _ = on_gpu(config, "graph")
    eager, eager_rows, _ = on_gpu(config, "eager")
    assert same(contents(whole), contents(eager))
    assert rows == eager_rows

    halfway = new_state(config, data, "cuda")
    half = dataclasses.replace(config, steps=10) if config.learning_rate == "constant" else config
    trained(half, captured(Eager(half, data, halfway)), halfway, data)
    if half is config:
        return
    checkpoint.save(tmp_path / "kept", halfway, {})
    resumed = new_state(config, data, "cuda")
    checkpoint.load(tmp_path / "kept", resumed)
    trained(config, captured(Eager(config, data, resumed)), resumed, data)
    assert same(contents(resumed), contents(whole))


@gpu
def test_memory_does_not_grow_with_the_run():
    from wgan.train import train

    config, data = small("wgan_gp", steps=600, critic_steps=2), images("cuda")
    state = new_state(config, data, "cuda")
    pauses = train(config, data, state, lambda: False, log_every=100, evaluate_every=10**6)
    held = [torch.cuda.memory_allocated() for pause in pauses if pause.rows]
    assert held[1] == held[-1]


@gpu
def test_a_capture_that_fails_on_the_device_leaves_the_training_as_it_was(monkeypatch):
    config, data, told = small("wgan_gp", steps=12), images("cuda"), []
    eager, rows, _ = on_gpu(config, "eager")
    state = new_state(config, data, "cuda")
    work = Eager(config, data, state)
    compute = work.compute

    def asking() -> Seen:
        seen = compute()
        if torch.cuda.is_current_stream_capturing():
            seen.critic_gradient.item()
        return seen

    work.compute = asking  # type: ignore[method-assign]
    assert trained(config, captured(work, told.append), state, data) == rows
    assert same(contents(state), contents(eager))
    assert len(told) == 1


@gpu
def test_a_training_that_leaves_its_captured_pack_draws_no_more():
    from wgan.packed import train_packed

    settings = {"network": {"mlp": {"width": 16}}, "batch_size": 32, "steps": 30}
    config, data = small("wgan_gp", **settings), images("cuda")
    configs = [config.with_seed(seed) for seed in (0, 1)]
    states = [new_state(one, data, "cuda") for one in configs]
    left = None
    for pause in train_packed(configs, data, states, lambda: False, size=2, log_every=10):
        if states[0].step == 10 and left is None:
            left = contents(states[1])["streams"]
            pause.leave(1)
    assert states[0].step == 30
    assert same(contents(states[1])["streams"], left)
    assert not same(contents(states[0])["streams"], left)


@gpu
def test_optimistic_steps_of_another_device_are_captured_as_their_own():
    """Loaded from a CPU's state they count on: a graph holds no number of theirs."""
    config = double("wgan_gp", optimizer="optimistic_adam", critic_steps=1)
    before = new_state(config, images())
    trained(dataclasses.replace(config, steps=8), Eager(config, images(), before), before, images())
    data, states = images("cuda"), []
    for captures in (True, False):
        state = new_state(config, data, "cuda")
        for name in ("generator", "critic", "generator_optimizer", "critic_optimizer"):
            checkpoint._load_part(
                getattr(state, name), copy.deepcopy(getattr(before, name).state_dict())
            )
        work = Eager(config, data, state)
        trained(config, captured(work) if captures else work, state, data)
        states.append(contents(state))
    assert agree(*states)
