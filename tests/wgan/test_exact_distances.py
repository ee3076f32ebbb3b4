"""Critics trained by the loop itself against frozen pairs, held against what is known of the pair.

The slow tests are the table of `sweeps/exact_w1.yaml` with its tolerances; its settings are used.
"""

from __future__ import annotations

import math

import pytest
import torch
from small import never, rng, small

from wgan.data import Data
from wgan.diagnostics import diagnose, generate
from wgan.exact import exact_w1
from wgan.train import TrainState, new_state, train

LIPSCHITZ = {
    "lipschitz": {"lipschitz_network": {"group_size": 8}},
    "optimizer": {"adam": {"lr": 0.01, "beta1": 0.9, "beta2": 0.99}},
}
CROSS_ENTROPY = {"lipschitz": "none", "optimizer": {"adam": {"lr": 1e-3, "beta1": 0.0}}}


def at_the_end(dataset: object, samples: int = 20_000, **settings) -> tuple[dict, TrainState, Data]:
    """The figures of a critic of width 64 trained against the data set's counterpart."""
    config = small(
        dataset=dataset,
        generator={"frozen": {"fakes": "counterpart"}},
        **{"network": {"mlp": {"width": 64, "depth": 3}}, "batch_size": 256, **settings},
    )
    data = config.dataset.load()
    state = new_state(config, data)
    for pause in train(config, data, state, never, evaluate_every=10**9):
        assert pause.diverged is None
    fake = generate(config, state, samples, data)
    return diagnose(config, state, data, fake, samples), state, data


# W1, by a critic that is 1-Lipschitz.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "tolerance"),
    [
        *[
            ({name: {field: value, "dimension": d}}, 0.10 if d == 64 else 0.05)
            for name, field, value in (
                ("shifted_gaussians", "shift", 1),
                ("scaled_gaussians", "scale", 2),
            )
            for d in (2, 16, 64)
        ],
        ("noiseless_ring", 0.05),
    ],
    ids=str,
)
def test_the_lipschitz_network_s_estimate_is_the_exact_w1(dataset, tolerance):
    found, _, _ = at_the_end(dataset, learning_rate="linear", steps=1200, **LIPSCHITZ)
    assert found["estimate_held_out"] == pytest.approx(found["known_w1"], rel=tolerance)
    assert found["lipschitz_lower_bound"] <= 1 + 1e-4


@pytest.mark.parametrize("dataset", ["noiseless_ring", {"shifted_gaussians": {"shift": 2}}])
def test_in_the_plane_the_estimate_never_exceeds_exact_w1_on_the_same_samples(dataset):
    _, state, data = at_the_end(
        dataset, 64, network={"mlp": {"width": 16}}, batch_size=64, steps=60, **LIPSCHITZ
    )
    for seed in range(3):
        real, fake = data.batch(500, rng(seed)), data.counterpart(500, rng(seed + 10))
        with torch.no_grad():
            estimate = (state.critic(real).mean() - state.critic(fake).mean()).item()
        assert 0.5 * data.w1 < estimate <= exact_w1(real, fake) + 1e-4


@pytest.mark.parametrize("dimension", [2, 16])
def test_coupled_shifted_samples_differ_by_no_more_than_the_shift(dimension):
    shift = 1.5
    _, state, data = at_the_end(
        {"shifted_gaussians": {"shift": shift, "dimension": dimension}},
        64,
        network={"mlp": {"width": 16}},
        batch_size=64,
        steps=60,
        **LIPSCHITZ,
    )
    points = data.counterpart(2000, rng(1))
    moved = points.clone()
    moved[:, 0] += shift
    with torch.no_grad():
        rises = state.critic(moved) - state.critic(points)
    assert rises.abs().max() <= shift + 1e-5
    assert rises.mean() > 0.9 * shift  # and it uses what it may


# Point masses: Arjovsky et al. 2017, arXiv:1701.07875, example 1, without the second coordinate.


@pytest.mark.parametrize("theta", [-3.0, 0.5])
def test_w1_of_point_masses_is_their_distance_and_pulls_the_fakes_home(theta):
    found, state, _ = at_the_end(
        {"point_mass": {"theta": theta}},
        64,
        network={"mlp": {"width": 16}},
        batch_size=16,
        learning_rate="linear",
        steps=200,
        **LIPSCHITZ,
    )
    assert found["known_w1"] == abs(theta)
    assert found["estimate_held_out"] == pytest.approx(abs(theta), rel=2e-3)
    # dW/dtheta = -f'(theta), the gradient that the generator's loss -f(theta) has in theta.
    at = torch.tensor([[theta]], requires_grad=True)
    (gradient,) = torch.autograd.grad(-state.critic(at).sum(), at)
    assert gradient.item() == pytest.approx(math.copysign(1, theta), abs=2e-3)
    assert found["fake_gradient_norm"] == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("theta", [-2.0, 1.0])
def test_js_of_point_masses_is_log_2_and_its_gradient_vanishes(theta):
    """It says log 2 however far apart they are. Minimax gradients: .1 or more at the start."""
    settings = {"network": {"mlp": {"width": 32}}, "batch_size": 16, "loss": "minimax"}
    begun, _, _ = at_the_end(
        {"point_mass": {"theta": theta}}, 64, steps=20, **settings, **CROSS_ENTROPY
    )
    found, _, _ = at_the_end(
        {"point_mass": {"theta": theta}}, 64, steps=500, **settings, **CROSS_ENTROPY
    )
    assert found["estimate_held_out"] == pytest.approx(math.log(2), rel=2e-3)
    assert found["estimate_held_out"] <= math.log(2)
    assert found["critic_accuracy"] == 1.0
    assert begun["fake_gradient_norm"] > 0.03
    assert found["fake_gradient_norm"] < 0.1 * begun["fake_gradient_norm"]


@pytest.mark.slow
def test_the_minimax_gradient_of_point_masses_goes_to_zero():
    found, _, _ = at_the_end(
        {"point_mass": {"theta": 1.0}},
        64,
        network={"mlp": {"width": 64}},
        batch_size=16,
        loss="minimax",
        steps=5000,
        lipschitz="none",
        optimizer={"adam": {"lr": 1e-3, "beta1": 0.5}},
    )
    assert found["estimate_held_out"] == pytest.approx(math.log(2), rel=1e-5)
    assert found["fake_gradient_norm"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("theta", [-3.0, 2.0])
@pytest.mark.parametrize("weight", [10.0, 2.5])
def test_the_gradient_penalty_overestimates_point_masses_as_predicted(theta, weight):
    """On the line between them a slope s costs weight (s - 1)^2 and gains |theta| s: the optimum is
    s = 1 + |theta| / (2 weight), so that the estimate is |theta| (1 + |theta| / (2 weight)).
    """
    found, _, _ = at_the_end(
        {"point_mass": {"theta": theta}},
        64,
        batch_size=64,
        steps=2500,
        learning_rate="linear",
        lipschitz={"gradient_penalty": {"sides": "one", "weight": weight}},
        optimizer={"adam": {"lr": 1e-3, "beta1": 0.5, "beta2": 0.9}},
    )
    predicted = abs(theta) * (1 + abs(theta) / (2 * weight))
    assert found["estimate_held_out"] == pytest.approx(predicted, rel=0.02)
