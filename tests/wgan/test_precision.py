"""bfloat16 inside the layers, TF32 on GPUs alone: what is coarser, and what must not be."""

from __future__ import annotations

import copy

import pytest
import torch
from small import DIGITS, contents, follow, rng, same, small
from stock_layers import our_gradients, stock_gradients
from torch import nn

from wgan.components import ConfigError
from wgan.config import CRITIC_NORMS
from wgan.diagnostics import generate
from wgan.iteration import Eager
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.networks import Network
from wgan.precision import Bfloat16, arithmetic, in_precision, unavailable
from wgan.train import new_state

METHODS = sorted(LipschitzMethod.registry)


def trains(**settings: object) -> None:
    """Some steps in bfloat16: every stored number is float32 and finite, and all weights move."""
    config = small(precision="bf16", steps=3, **settings)
    state = new_state(config, DIGITS)
    before = copy.deepcopy(state.critic.state_dict())
    rows = follow(config, state)
    assert state.step == 3
    assert all(torch.isfinite(torch.tensor(row["critic_loss"])) for row in rows)
    for network in (state.critic, state.generator):
        for parameter in network.parameters():
            assert parameter.dtype == torch.float32
            assert parameter.isfinite().all()
    moved = [not torch.equal(before[name], now) for name, now in state.critic.state_dict().items()]
    assert any(moved)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_in_bfloat16(method):
    trains(lipschitz=method)


@pytest.mark.parametrize("loss", sorted(Loss.registry))
def test_every_loss_trains_in_bfloat16(loss):
    trains(loss=loss)


@pytest.mark.parametrize("critic_norm", CRITIC_NORMS)
@pytest.mark.parametrize("network", sorted(Network.registry))
def test_every_network_trains_with_a_penalty_in_bfloat16(network, critic_norm):
    if (network, critic_norm) == ("mlp", "instance"):
        return  # the network has none, in any precision
    trains(network={network: {"width": 8}}, critic_norm=critic_norm, lipschitz="gradient_penalty")


def gradients(method: str, precision: str, **settings: object) -> list[torch.Tensor]:
    config = small(lipschitz=method, precision=precision, seed=3, **settings)
    state = new_state(config, DIGITS)
    state.critic = in_precision(state.critic, precision)
    state.generator = in_precision(state.generator, precision)
    found = our_gradients(
        state,
        config,
        DIGITS.batch(32, rng(1)),
        torch.randn(32, config.noise_size, generator=rng(2)),
        {f"penalty:{method}": rng(4)},
    )
    assert all(gradient.dtype == torch.float32 for gradient in found)
    return found


@pytest.mark.parametrize("network", [{"mlp": {"width": 32}}, {"dcgan": {"width": 16}}, "resnet"])
@pytest.mark.parametrize("method", ["gradient_penalty", "spectral_norm", "orthonormal", "none"])
def test_gradients_point_where_those_of_float32_do(method, network):
    """Through the double backward pass too. Each is a difference of means over reals and fakes, of
    which rounding to 8 bits leaves less where these are close, as in a critic's first step.
    """
    coarse, exact = (gradients(method, kind, network=network) for kind in ("bf16", "float32"))
    assert not same(coarse, exact)
    for found, expected in zip(coarse, exact, strict=True):
        # The bias of the last layer is pulled up and down alike: its gradient is rounding.
        if expected.abs().max() > 1e-6:
            assert cosine(found, expected) > 0.995
            assert found.norm() == pytest.approx(expected.norm().item(), rel=0.05)
    whole = [torch.cat([part.flatten() for part in parts]) for parts in (coarse, exact)]
    assert cosine(*whole) > 0.999


def cosine(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return nn.functional.cosine_similarity(left.flatten(), right.flatten(), dim=0)


@pytest.mark.parametrize("network", sorted(Network.registry))
def test_gradients_are_those_of_torch_s_own_layers_in_bfloat16_bit_for_bit(network):
    settings = {"network": {network: {"width": 8}}}
    config = small(lipschitz="gradient_penalty", seed=3, **settings)
    state = new_state(config, DIGITS)
    with torch.no_grad():
        noise = torch.randn(32, config.noise_size, generator=rng(2))
        fake = in_precision(state.generator, "bf16")(noise)
    critic, real = in_precision(state.critic, "bf16"), DIGITS.batch(32, rng(1))
    stock = stock_gradients(critic, config, real, fake, {"penalty:gradient_penalty": rng(4)})
    assert same(gradients("gradient_penalty", "bf16", **settings), stock)


def test_layers_see_bfloat16_and_losses_do_not():
    config = small("wgan_gp", precision="bf16")
    state = new_state(config, DIGITS)
    inside, scored = [], []
    layers = [part for part in state.critic.modules() if isinstance(part, nn.Conv2d)]
    layers[-1].register_forward_hook(lambda part, given, made: inside.append(made.dtype))
    eager = Eager(config, DIGITS, state)
    eager._critic.register_forward_hook(lambda part, given, made: scored.append(made.dtype))
    seen = eager.compute()
    assert set(inside) == {torch.bfloat16}
    assert set(scored) == {torch.float32}
    assert {step.penalty.dtype for step in seen.critic} == {torch.float32}


def test_effective_weights_are_made_in_float32():
    """Bjorck's iteration in bfloat16 would end far from orthonormal."""
    config = small(lipschitz="orthonormal", precision="bf16")
    state = new_state(config, DIGITS)
    layer = next(part for part in state.critic.modules() if hasattr(part, "effective_weight"))
    expected = layer.effective_weight()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.effective_weight(), expected)


def test_samples_are_made_in_float32():
    coarse, exact = (
        new_state(small("wgan_gp", precision=kind), DIGITS) for kind in ("bf16", "float32")
    )
    assert torch.equal(generate(small(precision="bf16"), coarse, 8), generate(small(), exact, 8))


def test_float32_is_trained_as_if_there_were_no_other_and_keeps_its_id():
    config = small("wgan_gp")
    network = new_state(config, DIGITS).critic
    for precision in ("float32", "float64", "tf32"):
        assert in_precision(network, precision) is network
    assert isinstance(in_precision(network, "bf16"), Bfloat16)
    # As it was before other precisions were known.
    assert config.to_plain(for_id=True)["precision"] == "float32"
    ids = {small(precision=kind).run_id for kind in ("float32", "float64", "tf32", "bf16")}
    assert len(ids) == 4


def test_a_checkpointed_state_is_the_networks_own():
    config = small("sngan", precision="bf16", steps=4)
    state = new_state(config, DIGITS)
    follow(config, state)
    plain = new_state(small("sngan"), DIGITS)
    assert list(state.critic.state_dict()) == list(plain.critic.state_dict())


def test_training_twice_in_bfloat16_gives_the_same_bits():
    config = small("wgan_gp", precision="bf16", steps=4)
    twins = [new_state(config, DIGITS) for _ in range(2)]
    for twin in twins:
        follow(config, twin)
    assert same(*(contents(twin)["critic"] for twin in twins))


def test_tf32_is_refused_where_there_is_no_gpu():
    with pytest.raises(ConfigError, match="precision tf32 needs a GPU: on cpu it would be float32"):
        new_state(small(precision="tf32"), DIGITS)
    assert unavailable("tf32", "cuda:0") is None
    assert all(unavailable(kind, "cpu") is None for kind in ("float32", "float64", "bf16"))


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("precision", ["float32", "float64", "bf16", "tf32"])
def test_on_a_gpu_only_tf32_rounds_factors_and_what_was_set_before_comes_back(precision):
    before = flags()
    assert before == (False, True), "torch's default rounds those of convolutions"
    with arithmetic(precision, torch.device("cuda")):
        assert flags() == ((precision == "tf32"),) * 2
    assert flags() == before
    with arithmetic(precision, torch.device("cpu")):
        assert flags() == before
    with pytest.raises(RuntimeError), arithmetic(precision, torch.device("cuda")):
        raise RuntimeError
    assert flags() == before


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_on_a_gpu_gradients_are_as_close_to_double_precision_as_the_format_is(precision):
    bounds = {"float32": (0.0, 1e-4), "tf32": (1e-6, 0.03), "bf16": (1e-4, 0.1)}
    found = {}
    for kind in (precision, "float64"):
        config = small(
            "wgan_gp", precision=kind, network={"dcgan": {"width": 32}}, batch_size=64, seed=3
        )
        data = DIGITS.to("cuda")
        state = new_state(config, data, "cuda")
        dtype = next(state.critic.parameters()).dtype
        state.critic = in_precision(state.critic, kind)
        state.generator = in_precision(state.generator, kind)
        with arithmetic(kind, torch.device("cuda")):
            found[kind] = our_gradients(
                state,
                config,
                DIGITS.batch(64, rng(1)).to("cuda", dtype),
                torch.randn(64, config.noise_size, generator=rng(2)).to("cuda", dtype),
                {"penalty:gradient_penalty": torch.Generator("cuda").manual_seed(4)},
            )
    exact = torch.cat([gradient.flatten() for gradient in found["float64"]])
    coarse = torch.cat([gradient.flatten() for gradient in found[precision]]).double()
    least, most = bounds[precision]
    assert least <= ((coarse - exact).norm() / exact.norm()).item() <= most
