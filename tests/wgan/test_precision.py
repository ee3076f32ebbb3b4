"""Number formats: what they change, what they must not, and where they are refused."""

from __future__ import annotations

import math

import pytest
import torch
from small import DIGITS, follow, registered, small
from torch import Tensor, nn

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.iteration import Eager
from wgan.layers import Reparametrised
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.networks import Network
from wgan.precision import computing_in, exactly, reduced, unreduced
from wgan.state import TrainState, new_state

METHODS = [method.name for method in registered(LipschitzMethod)]


def gradients(config: TrainConfig) -> tuple[TrainState, dict[str, Tensor]]:
    """The state after one iteration, and the gradients that its last updates took."""
    state = new_state(config, DIGITS)
    Eager(config, DIGITS, state)()
    parts = {"critic": state.critic, "generator": state.generator}
    return state, {
        f"{part}.{name}": parameter.grad
        for part, network in parts.items()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


def cosine(left: Tensor, right: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(
        left.flatten().double(), right.flatten().double(), dim=0
    ).item()


def together(found: dict[str, Tensor], part: str) -> Tensor:
    return torch.cat([grad.flatten() for name, grad in found.items() if name.startswith(part)])


@pytest.mark.parametrize("method", METHODS)
def test_bf16_gradients_point_where_those_of_float32_do(method):
    """Of both networks; a second derivative that got lost would turn the critic's."""
    chosen = {"gradient_penalty": {"weight": 100}} if method == "gradient_penalty" else method
    settings = {"lipschitz": chosen, "network": {"dcgan": {"width": 16}}}
    _, exact = gradients(small(precision="float32", **settings))
    _, found = gradients(small(precision="bf16", **settings))
    assert found.keys() == exact.keys()
    # A Lipschitz network sorts, and neighbours in bf16 may change places.
    least = 0.98 if method == "lipschitz_network" else 0.99
    for part in ("critic", "generator"):
        assert cosine(together(found, part), together(exact, part)) > least, part


@pytest.mark.parametrize("network", [n.name for n in registered(Network)])
def test_the_second_derivative_of_each_network_survives_bf16(network):
    """The penalty's own gradient, with nothing of the loss beside it."""
    config = small(network=network, lipschitz="gradient_penalty")
    (method,) = config.lipschitz
    state = new_state(config, DIGITS)
    real, fake = (DIGITS.batch(8, torch.Generator().manual_seed(n)) for n in (1, 2))
    found = {}
    for precision in ("float32", "bf16"):
        with computing_in(precision, torch.device("cpu")), reduced():
            penalty = method.penalty(state.critic, real, fake, torch.Generator().manual_seed(3))
        assert penalty.dtype == torch.float32
        weights = [p for p in state.critic.parameters() if p.dim() > 1]
        taken = torch.autograd.grad(penalty, weights)
        found[precision] = torch.cat([grad.flatten() for grad in taken])
    assert cosine(*found.values()) > 0.99
    assert not torch.equal(*found.values())


@pytest.mark.parametrize("loss", [loss.name for loss in registered(Loss)])
@pytest.mark.parametrize("precision", ["bf16", "float32", "float64"])
def test_weights_losses_and_scores_are_never_reduced(loss, precision):
    kept = torch.float64 if precision == "float64" else torch.float32
    config = small("wgan_gp", loss=loss, precision=precision, ema=0.5)
    state, grads = gradients(config)
    tensors = [*state.generator.state_dict().values(), *state.critic.state_dict().values()]
    assert {t.dtype for t in tensors if t.is_floating_point()} == {kept}
    assert {grad.dtype for grad in grads.values()} == {kept}
    step = state.window.critic[0]
    assert {part.dtype for part in step} == {kept}
    assert {loss.dtype for loss in state.window.generator_losses} == {kept}


def test_only_products_change_in_bf16():
    """Initial weights, data, noise and the first scores' order of size are those of float32."""
    states = [new_state(small(precision=precision), DIGITS) for precision in ("float32", "bf16")]
    for left, right in zip(
        states[0].critic.parameters(), states[1].critic.parameters(), strict=True
    ):
        assert torch.equal(left, right)
    assert all(
        torch.equal(states[0].streams[name].get_state(), states[1].streams[name].get_state())
        for name in states[0].streams
    )


@pytest.mark.parametrize(
    "method", ["spectral_norm", "weight_normalization", "orthonormal", "lipschitz_network"]
)
def test_what_is_made_of_weights_alone_is_made_in_their_own_format(method):
    state = new_state(small(lipschitz=method), DIGITS)
    layers = [layer for layer in state.critic.modules() if isinstance(layer, Reparametrised)]
    plain = [layer.effective_weight() for layer in layers]
    with computing_in("bf16", torch.device("cpu")), reduced():
        amid = [layer.effective_weight() for layer in layers]
    assert all(map(torch.equal, plain, amid))


def test_a_critic_is_looked_at_in_the_format_of_its_weights():
    config = small("wgan_gp", precision="bf16", steps=4)
    state = new_state(config, DIGITS)
    rows = follow(config, state)
    scores = []
    for precision in ("bf16", "float32"):
        twin = small("wgan_gp", precision=precision, steps=4)
        from wgan.diagnostics import diagnose, generate

        fake = generate(twin, state, 64)
        assert fake.dtype == torch.float32
        scores.append(diagnose(twin, state, DIGITS, fake, 64))
    assert scores[0] == scores[1]
    assert all(math.isfinite(value) for row in rows for value in row.values())


def test_tf32_is_refused_on_a_cpu():
    with pytest.raises(ConfigError, match=r"precision: 'tf32' is not allowed on a CPU"):
        new_state(small(precision="tf32"), DIGITS)


def test_each_precision_is_another_training():
    names = ("float32", "float64", "tf32", "bf16")
    assert len({small(precision=name).run_id for name in names}) == 4


def test_nothing_is_left_of_a_precision_outside():
    layer, x = nn.Linear(8, 8), torch.ones(2, 8)
    with computing_in("bf16", torch.device("cpu")):
        assert layer(x).dtype == torch.float32
        with reduced():
            assert layer(x).dtype == torch.bfloat16
            with unreduced():
                assert layer(x).dtype == torch.float32
    with reduced():
        assert layer(x).dtype == torch.float32


@exactly
def flags() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("tf32", True)])
def test_on_a_gpu_float32_is_float32_and_tf32_is_not(precision, rounded):
    """10 bits of mantissa cannot hold 1 + 2^-12."""
    device = torch.device("cuda")
    before = flags.__wrapped__()
    weight = torch.full((64, 64), 1 + 2.0**-12, device=device)
    kernel, images = weight[:, :, None, None].clone(), torch.ones(4, 64, 16, 16, device=device)
    with computing_in(precision, device):
        dense, convolved = (
            weight @ torch.ones(64, 64, device=device),
            nn.functional.conv2d(images, kernel),
        )
    exact = 64 * (1 + 2.0**-12)
    assert (dense[0, 0].item() != exact) == rounded
    assert (convolved[0, 0, 0, 0].item() != exact) == rounded
    assert flags.__wrapped__() == before
    assert flags() == (False, False, True)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["gan", "wgan_gp", "sngan"])
def test_on_a_gpu_a_training_gives_the_same_bits_twice(recipe):
    from wgan.data import Images

    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (64, 1, 8, 8), generator=rng, dtype=torch.uint8)
    data, config = Images("noise", pixels, pixels).to("cuda"), small(recipe, steps=10)
    weights = []
    for _ in range(3):
        state = new_state(config, data, "cuda")
        follow(config, state, data=data)
        weights.append(torch.cat([p.detach().flatten() for p in state.critic.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
