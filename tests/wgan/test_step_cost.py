"""What one critic update costs, counted: against closed forms of a dense network."""

from __future__ import annotations

import pytest
import torch
from small import DIGITS, contents, follow, same, small
from torch.utils.flop_counter import FlopCounterMode

from wgan.convolution import convolved_by_torch
from wgan.diagnostics import step_cost
from wgan.diagnostics.cost import _Kept, _same
from wgan.diagnostics.gap import trained_on
from wgan.train import new_state

PIXELS, FLOAT = 64, 4


def dense(recipe: str = "gan", batch: int = 8, width: int = 16, depth: int = 2, **settings):
    """What an update costs with an MLP on digits, without normalisation."""
    config = small(
        recipe,
        **{
            "network": {"mlp": {"width": width, "depth": depth}},
            "loss": "wasserstein",
            "critic_norm": "none",
            "lipschitz": "none",
            "batch_size": batch,
            "noise_size": 6,
            **settings,
        },
    )
    return step_cost(config, new_state(config, DIGITS), DIGITS)


def forward(batch: int, width: int, depth: int) -> int:
    """The critic's products for a batch: n times in times out, for each layer, twice."""
    return 2 * batch * (PIXELS * width + (depth - 1) * width**2 + width)


def generated(batch: int, width: int, depth: int) -> int:
    return 2 * batch * (6 * width + (depth - 1) * width**2 + width * PIXELS)


def plain_step(batch: int, width: int, depth: int) -> int:
    """The fakes; then for reals and fakes one pass forward, and back the weights' gradients and
    the inputs', but for those of the first layer.
    """
    first = 2 * batch * PIXELS * width
    return generated(batch, width, depth) + 2 * (3 * forward(batch, width, depth) - first)


SIZES = [(8, 16, 2), (5, 32, 1), (16, 12, 4)]


@pytest.mark.parametrize(("batch", "width", "depth"), SIZES)
def test_the_arithmetic_of_an_update_is_the_closed_form(batch, width, depth):
    cost = dense(batch=batch, width=width, depth=depth)
    assert cost["critic_step_flops"] == plain_step(batch, width, depth)


@pytest.mark.parametrize(("batch", "width", "depth"), SIZES)
def test_what_is_kept_for_the_way_back_is_the_input_of_each_layer_once(batch, width, depth):
    """A ReLU keeps its result, which is the next layer's input: one storage. No weight counts."""
    cost = dense(batch=batch, width=width, depth=depth)
    assert cost["critic_step_bytes"] == 2 * FLOAT * batch * (PIXELS + depth * width)


@pytest.mark.parametrize(("batch", "width", "depth"), SIZES)
def test_the_penalty_s_arithmetic_is_the_closed_form(batch, width, depth):
    """Scores and input gradients at the points; back through those gradients' products to both of
    their factors (the last layer's incoming gradient is a constant). Nothing goes back through the
    ReLUs, whose slopes stand still.
    """
    cost = dense(batch=batch, width=width, depth=depth, lipschitz="gradient_penalty")
    passed, last = forward(batch, width, depth), 2 * batch * width
    penalty = passed + passed + (2 * passed - last)
    assert cost["critic_step_flops"] == plain_step(batch, width, depth) + penalty


@pytest.mark.parametrize("recipe", ["gan", "wgan", "sngan", "lipschitz_wgan", "orthonormal_gan"])
def test_the_arithmetic_is_what_torch_s_own_counter_finds_where_it_can(recipe):
    config = small(recipe)
    state = new_state(config, DIGITS)
    with convolved_by_torch(), FlopCounterMode(display=False) as counter:
        trained_on(config, state, DIGITS, 1, "evaluation:cost")
    found = step_cost(config, state, DIGITS)["critic_step_flops"]
    products = 0
    if recipe == "sngan":
        # torch's has no formula for a matrix times a vector: two of each weight in the power
        # iteration, and one for its norm, in the one pass of reals and fakes.
        shapes = [
            layer.weight.flatten(1).shape
            for layer in state.critic.modules()
            if hasattr(layer, "reparametrisation")
        ]
        products = sum(3 * 2 * rows * columns for rows, columns in shapes)
    assert found == counter.get_total_flops() + products


def test_a_penalty_costs_more_and_a_clip_nothing():
    none, clip, penalty = (
        dense(lipschitz=method) for method in ("none", "weight_clipping", "gradient_penalty")
    )
    assert clip == none
    assert penalty["critic_step_flops"] > 1.6 * none["critic_step_flops"]
    assert penalty["critic_step_bytes"] > 1.5 * none["critic_step_bytes"]


def test_a_lazy_penalty_is_counted_as_due():
    lazy = dense(lipschitz={"gradient_penalty": {"every": 7}})
    assert lazy == dense(lipschitz="gradient_penalty")


def test_double_precision_takes_twice_the_memory_and_the_same_arithmetic():
    single, double = dense(), dense(precision="float64")
    assert double["critic_step_bytes"] == 2 * single["critic_step_bytes"]
    assert double["critic_step_flops"] == single["critic_step_flops"]


@pytest.mark.parametrize("recipe", ["wgan_gp", "sngan", "lipschitz_wgan"])
def test_counting_touches_nothing_and_gives_the_same_again(recipe):
    config = small(recipe, steps=3)
    state = new_state(config, DIGITS)
    before, drawn = contents(state), torch.random.get_rng_state()
    first = step_cost(config, state, DIGITS)
    assert same(contents(state), before)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(parameter.grad is None for parameter in state.critic.parameters())
    assert step_cost(config, state, DIGITS) == first
    # The sizes alone count, not the weights: another seed, or a trained critic, costs as much.
    follow(config, state)
    state.critic_updates = 0
    assert step_cost(config, state, DIGITS) == first


def test_a_storage_whose_address_is_used_again_counts_each_time():
    kept, network = _Kept(), torch.nn.Linear(1, 1)
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, _same):
        for _ in range(10):
            torch.ones(1000, requires_grad=True).exp()  # keeps its result; the graph is dropped
    assert kept.bytes_beside(network) == 10 * 1000 * FLOAT
