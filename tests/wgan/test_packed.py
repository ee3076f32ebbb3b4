"""A training in a pack is the training alone: its weights, optimizers, streams and rows."""

import pytest
import torch

from tests.wgan.packs import TOLERANCE, check_equals_alone
from tests.wgan.small import DIGITS, changed_singly, normal, registered, small
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.optimizers import Optimizer
from wgan.packed import unpackable
from wgan.packed.networks import StackedNetwork
from wgan.state import new_state

PACKABLE = [made.name for made in registered(LipschitzMethod) if made.packable]


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(made.name, marks=() if made.name == "wasserstein" else pytest.mark.slow)
        for made in registered(Loss)
    ],
)
@pytest.mark.parametrize("method", PACKABLE)
def test_each_packable_method_with_each_loss_trains_as_alone(method, loss):
    check_equals_alone(lipschitz=method, loss=loss)


def changed(made):
    """The method with each of its fields changed singly, as far as it can still be packed."""
    changes = changed_singly(made).items()
    return [
        pytest.param(method, id=f"{made.name}.{field}")
        for field, method in changes
        if method.unpackable() is None
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [case for made in registered(LipschitzMethod) if made.packable for case in changed(made)],
)
def test_each_field_of_a_packable_method_means_what_it_means_alone(method):
    check_equals_alone(lipschitz=method.to_plain())


@pytest.mark.parametrize("name", [made.name for made in registered(Optimizer)])
def test_each_optimizer_trains_as_alone(name):
    check_equals_alone(optimizer=name, lipschitz="gradient_penalty", steps=30)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(optimizer, id=f"{made.name}.{field}")
        for made in registered(Optimizer)
        for field, optimizer in changed_singly(made).items()
    ],
)
def test_each_field_of_an_optimizer_means_what_it_means_alone(optimizer):
    check_equals_alone(optimizer=optimizer.to_plain(), lipschitz="gradient_penalty")


PENALTY = {"lipschitz": "gradient_penalty"}
WHAT_ELSE = {
    "warm_ups": {"warm_up_steps": 3, "warm_up_every": 11, "warm_up_critic_steps": 4, **PENALTY},
    "lazy": {"lipschitz": {"gradient_penalty": {"every": 3}}},
    "lazy_unscaled": {"lipschitz": {"r1": {"every": 4, "scale_by_every": False}}},
    "average": {"ema": 0.9, **PENALTY},
    "schedule": {"learning_rate": "linear", **PENALTY},
    "two_optimizers": {"generator_optimizer": "rmsprop", **PENALTY},
    "frozen": {"generator": "frozen", **PENALTY},
    "shifted": {"generator": {"frozen": {"fakes": "shifted_data"}}, **PENALTY},
    "pair": {"dataset": "point_mass", "generator": {"frozen": {"fakes": "counterpart"}}, **PENALTY},
    "two_methods": {"lipschitz": {"all": ["weight_clipping", "dragan"]}},
    "two_penalties": {"lipschitz": {"all": ["r1", "r2"]}},
    "normalised_and_penalised": {"lipschitz": {"all": ["spectral_norm", "gradient_penalty"]}},
    "weights_and_slopes": {"lipschitz": {"all": ["orthogonal_regularization", "r1"]}},
    "images": {"dataset": "digits", **PENALTY},
    "roll": {"dataset": "swiss_roll", **PENALTY},
    "layer_norm": {"critic_norm": "layer", **PENALTY},
    "group_norm": {"critic_norm": "group", **PENALTY},
    "batch_norm": {"critic_norm": "batch", **PENALTY},
    "normed_and_spectral": {"critic_norm": "layer", "lipschitz": "spectral_norm"},
    "one_layer": {"network": {"mlp": {"width": 8, "depth": 1}}, **PENALTY},
    "wide": {"network": {"mlp": {"width": 40, "depth": 3}}, **PENALTY},
    "every_step_a_row": {"steps": 3, **PENALTY},
}


@pytest.mark.parametrize("name", WHAT_ELSE)
def test_what_else_a_training_has_is_as_alone(name):
    check_equals_alone(**{"steps": 30, **WHAT_ELSE[name]})


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_dense_generator_of_dcgan_is_as_alone(norm):
    config = small(
        network={"dcgan": {"width": 4, "generator_kind": "mlp", "generator_norm": norm}},
        precision="float64",
        batch_size=16,
    )
    assert unpackable(config) is None
    generators = [new_state(config.with_seed(seed), DIGITS).generator for seed in range(3)]
    stack = StackedNetwork(generators)
    noise = normal(3, 8, 6)
    images = stack(noise)
    expected = torch.stack([g(z) for g, z in zip(generators, noise, strict=True)])
    assert (images - expected).abs().max() < TOLERANCE
    for name, buffer in stack.stack.buffers.items():
        now = torch.stack([generator.get_buffer(name) for generator in generators])
        assert torch.allclose(buffer, now, rtol=0, atol=TOLERANCE)


# On a GPU, where the pack's iterations are captured as CUDA graphs.


@pytest.mark.gpu
@pytest.mark.parametrize("method", PACKABLE)
def test_each_packable_method_trains_on_a_gpu_as_alone(method):
    check_equals_alone("cuda", lipschitz=method)


@pytest.mark.gpu
@pytest.mark.parametrize("learning_rate", ["constant", "linear"])
@pytest.mark.parametrize("name", [made.name for made in registered(Optimizer)])
def test_each_optimizer_trains_a_pack_on_a_gpu_as_alone(name, learning_rate):
    check_equals_alone("cuda", optimizer=name, learning_rate=learning_rate, **PENALTY)


@pytest.mark.gpu
@pytest.mark.parametrize("name", WHAT_ELSE)
def test_what_else_a_training_has_is_on_a_gpu_as_alone(name):
    check_equals_alone("cuda", **{"steps": 30, **WHAT_ELSE[name]})
