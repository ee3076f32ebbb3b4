"""The bits of a packed training depend on the pack's size alone, and a pause changes none."""

import math

import pytest
import torch

from tests.wgan.packs import alone, gap_of_states, packed, seeds_of, toy
from tests.wgan.small import contents, never, normal, registered, same, without_times
from wgan import checkpoint
from wgan.components import ConfigError
from wgan.data import Dataset
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss
from wgan.optimizers import Optimizer
from wgan.packed import pays, time_of_stack, train_packed, unpackable
from wgan.packed.convolutions import KERNELS
from wgan.packed.stack import Stack
from wgan.recipes import recipe_settings
from wgan.state import new_state

METHODS = [made.name for made in registered(LipschitzMethod) if made.packable]
SHAPES = [(16, 32), (48, 32), (80, 96), (64, 64)]  # width, batch size


def single(**settings):
    """A short float32 training."""
    return toy(
        **{
            "precision": "float32",
            "batch_size": 32,
            "steps": 6,
            "lipschitz": "gradient_penalty",
            **settings,
        }
    )


def end_of(config, companions, position, size):
    """The training's end and rows, at `position` among companions of these seeds."""
    seeds = list(companions)
    seeds.insert(position, config.seed)
    states, rows = packed([config.with_seed(seed) for seed in seeds], size, log_every=2)
    return contents(states[position]), without_times(rows[position])


def check_bits(config):
    expected = end_of(config, [], 0, 5)
    for companions, position in (([8, 9], 0), ([8, 9], 2), ([3, 4, 5, 6], 4), ([3, 4, 5, 6], 1)):
        assert same(expected, end_of(config, companions, position, 5))


@pytest.mark.parametrize("method", METHODS)
def test_bits_do_not_depend_on_companions_or_position(method):
    check_bits(single(lipschitz=method))


@pytest.mark.parametrize(("width", "batch"), SHAPES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_bits_do_not_depend_on_position_at_any_shape(width, batch, precision):
    network = {"mlp": {"width": width, "depth": 2}}
    check_bits(single(network=network, batch_size=batch, precision=precision, steps=3))


@pytest.mark.parametrize("loss", [made.name for made in registered(Loss)])
def test_bits_do_not_depend_on_position_with_any_loss(loss):
    check_bits(single(loss=loss))


@pytest.mark.parametrize("optimizer", [made.name for made in registered(Optimizer)])
def test_bits_do_not_depend_on_position_with_any_optimizer(optimizer):
    check_bits(single(optimizer=optimizer, ema=0.5))


def test_bits_do_not_depend_on_position_on_images():
    check_bits(single(dataset="digits"))


def convolved(recipe, width=16, **settings):
    """A short float32 training of a recipe with DCGAN on digits."""
    network = {"dcgan": {"width": width}}
    steps = {"critic_steps": 2, "steps": 4}
    return single(
        dataset="digits",
        **{**recipe_settings(recipe), "network": network, "noise_size": 16, **steps, **settings},
    )


@pytest.mark.parametrize("width", [4, 16, 24])
@pytest.mark.parametrize("recipe", ["gan", "wgan_gp", "sngan"])
def test_bits_do_not_depend_on_position_with_convolutions(recipe, width):
    check_bits(convolved(recipe, width))


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "float64"},
        {"batch_size": 96},
        {"critic_norm": "layer"},
        {"critic_norm": "group", "lipschitz": "r1"},
        {"critic_norm": "instance"},
        {"critic_norm": "batch"},
        {"lipschitz": "weight_normalization"},
        {"lipschitz": {"all": ["orthogonal_regularization", "dragan"]}},
    ],
    ids=str,
)
def test_bits_do_not_depend_on_position_with_what_else_convolutions_have(settings):
    check_bits(convolved("wgan_gp", **{"steps": 2, **settings}))


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_bits_do_not_depend_on_position_with_normalisation(norm):
    check_bits(single(critic_norm=norm))


@pytest.mark.parametrize("optimizer", [made.name for made in registered(Optimizer)])
def test_a_pack_resumed_at_its_size_goes_on_bit_for_bit(tmp_path, optimizer):
    check_resumed(tmp_path, single(optimizer=optimizer, ema=0.5, learning_rate="linear"))


@pytest.mark.parametrize("recipe", ["gan", "sngan"])
def test_a_pack_of_convolutions_resumed_at_its_size_goes_on_bit_for_bit(tmp_path, recipe):
    check_resumed(tmp_path, convolved(recipe, ema=0.5))


def check_resumed(tmp_path, config):
    configs, data = seeds_of(config, 3), config.dataset.load()
    expected, rows = packed(configs, 4, log_every=2)

    # Stop between two rows, and go on with new objects.
    states, seen = [new_state(each, data) for each in configs], [[], [], []]
    running = train_packed(configs, data, states, lambda: states[0].step == 3, size=4, log_every=2)
    for pause in running:
        for kept, each in zip(seen, pause.pauses, strict=True):
            kept += each.rows
        if states[0].step == 3:
            for index, each in enumerate(pause.pauses):
                checkpoint.save(tmp_path / str(index), each.state, {})
            break
    running.close()
    again = [new_state(each, data) for each in configs]
    for index, state in enumerate(again):
        checkpoint.load(tmp_path / str(index), state)
    for pause in train_packed(configs, data, again, never, size=4, log_every=2):
        for kept, each in zip(seen, pause.pauses, strict=True):
            kept += each.rows
    for index in range(3):
        assert same(contents(expected[index]), contents(again[index]))
        assert same(without_times(rows[index]), without_times(seen[index]))


@pytest.mark.parametrize("of_maps", [False, True])
def test_a_checkpoint_of_a_packed_training_is_that_of_one_alone(tmp_path, of_maps):
    config = convolved("sngan", 24) if of_maps else single(steps=4)
    configs, data = seeds_of(config, 6), config.dataset.load()
    state, _ = alone(config, log_every=3)
    checkpoint.save(tmp_path / "alone", state, {})
    states = [new_state(each, data) for each in configs]
    for pause in train_packed(configs, data, states, never, size=6, log_every=3):
        last = pause.pauses[0].state
        if last.step == 4:
            checkpoint.save(tmp_path / "packed", last, {})
            held = contents(last)
    assert (tmp_path / "packed").stat().st_size <= (tmp_path / "alone").stat().st_size
    loaded = new_state(config, data)
    checkpoint.load(tmp_path / "packed", loaded)
    assert same(held, contents(loaded))
    assert same(held, contents(states[0]))
    assert all(tensor.is_contiguous() for tensor in tensors(loaded))


def test_looking_at_a_pack_changes_no_bit():
    configs = seeds_of(single(), 2)
    expected, _ = packed(configs, 3, log_every=2, evaluate_every=100)
    states, _ = packed(configs, 3, log_every=2, evaluate_every=1)
    assert all(same(contents(e), contents(s)) for e, s in zip(expected, states, strict=True))


@pytest.mark.parametrize("of_maps", [False, True])
def test_states_are_views_while_the_pack_runs_and_own_their_memory_after_it(of_maps):
    config = single(ema=0.5, lipschitz="spectral_norm")
    configs = seeds_of(convolved("sngan", 24, ema=0.5) if of_maps else config, 3)
    data = configs[0].dataset.load()
    states = [new_state(config, data) for config in configs]
    parameters = [list(state.critic.parameters()) for state in states]
    running = train_packed(configs, data, states, never, size=3, log_every=2)
    shared = [pause for _, pause in zip(range(2), running, strict=False)]
    assert len(shared) == 2
    assert all(tensor.untyped_storage().nbytes() > tensor.nbytes for tensor in tensors(states[1]))
    running.close()
    for state, kept in zip(states, parameters, strict=True):
        assert all(a is b for a, b in zip(state.critic.parameters(), kept, strict=True))
        for tensor in tensors(state):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
            assert tensor.is_contiguous()
    before = contents(states[1])
    with torch.no_grad():
        for tensor in tensors(states[0]):
            tensor.fill_(7)
    assert same(before, contents(states[1]))


def test_the_gradient_of_a_view_is_kept_where_it_is_and_of_what_was_computed_nowhere():
    stack = Stack([torch.nn.Conv2d(2, 3, 2) for _ in range(2)], {"weight": KERNELS})
    weight, bias = stack.parameters["weight"], stack.parameters["bias"]
    place = stack.gradient_of(weight.permute(0, 3, 4, 2, 1)[:, 1])
    assert place.shape == (2, 2, 2, 3)
    place.copy_(normal(*place.shape))
    assert torch.equal(stack.gradients[0].permute(0, 3, 4, 2, 1)[:, 1], place)
    assert stack.gradients[0][:, :, :, 0].eq(0).all()
    assert stack.gradient_of(bias[:, :1].expand(2, 5)) is None  # one place for five gradients
    assert stack.gradient_of(2 * bias) is None


def tensors(state):
    """All tensors of a state but the optimizers' counters of steps."""
    modules = (state.generator, state.critic, state.average)
    held = [t for m in modules if m for t in (*m.parameters(), *m.buffers())]
    for optimizer in (state.generator_optimizer, state.critic_optimizer):
        for entry in optimizer.state.values():
            held += [value for key, value in entry.items() if key != "step"]
    return held


def test_who_leaves_stands_still_and_the_others_go_on_as_before():
    configs = seeds_of(single(), 3)
    data = configs[0].dataset.load()
    expected, rows = packed(configs, 3, log_every=2)
    states, seen = [new_state(config, data) for config in configs], [[], [], []]
    for pause in train_packed(configs, data, states, never, size=3, log_every=2):
        for kept, each in zip(seen, pause.pauses, strict=True):
            kept += each.rows if each is not None else []
        if pause.pauses[1] is not None and states[1].step == 2:
            pause.leave(1)
            held = contents(states[1])
        assert (pause.pauses[1] is None) == (states[0].step > 2)
    assert same(held, contents(states[1]))
    assert states[1].step == 2
    for index in (0, 2):
        assert same(contents(expected[index]), contents(states[index]))
        assert same(without_times(rows[index]), without_times(seen[index]))
    with pytest.raises(IndexError, match="training 3 of 3"):
        pause.leave(3)


@pytest.mark.parametrize("optimizer", [made.name for made in registered(Optimizer)])
@pytest.mark.parametrize("method", ["weight_clipping", "gradient_penalty"])
def test_one_that_diverges_leaves_with_its_reason_and_touches_no_other(optimizer, method):
    configs = seeds_of(single(optimizer=optimizer, lipschitz=method), 3)
    data = configs[0].dataset.load()
    expected, _ = packed(configs, 3, log_every=2)
    states, diverged = [new_state(config, data) for config in configs], []
    with torch.no_grad():
        next(states[1].critic.parameters())[0, 0] = math.nan
    for pause in train_packed(configs, data, states, never, size=3, log_every=2):
        each = pause.pauses[1]
        diverged += [each.diverged] if each is not None and each.diverged else []
        assert (each is None) == (states[0].step > 2)
    assert len(diverged) == 1
    assert "nan at step 2" in diverged[0]
    assert states[1].step == 2
    for index in (0, 2):
        assert same(contents(expected[index]), contents(states[index]))


@pytest.mark.parametrize("made", registered(Dataset))
def test_batches_of_many_streams_are_each_stream_s_own(made):
    try:
        dataset = made.from_plain(made.name)
        if len(dataset.shape) == 3 and made.name != "digits":
            return
        data = dataset.load()
    except ConfigError:
        return
    together, single_streams = ([torch.Generator().manual_seed(s) for s in range(3)] for _ in "ab")
    for count in (1, 7, 64):
        batches = data.batches(count, together)
        expected = torch.stack([data.batch(count, rng) for rng in single_streams])
        assert torch.equal(batches, expected)
    for left, right in zip(together, single_streams, strict=True):
        assert torch.equal(left.get_state(), right.get_state())


@pytest.mark.parametrize("count", [2, 16])
def test_a_pack_of_one_size_is_near_one_of_another(count):
    config = toy(lipschitz="gradient_penalty", steps=10)
    small_pack, _ = packed([config], 1)
    large_pack, _ = packed([config], count)
    assert gap_of_states(small_pack[0], large_pack[0]) < 1e-8


def test_what_makes_no_pack_is_refused_in_words():
    config = single()
    configs, data = seeds_of(config, 2), config.dataset.load()
    states = [new_state(each, data) for each in configs]

    def refusal(configs, states, size):
        with pytest.raises(ValueError, match=" ") as caught:
            train_packed(configs, data, states, never, size=size)
        return str(caught.value)

    assert "size 1 cannot hold 2" in refusal(configs, states, 1)
    assert "2 configurations and 1 states" in refusal(configs, states[:1], 2)
    other = single(batch_size=64).with_seed(1)
    assert "more than their seed" in refusal([config, other], states, 2)
    operator = single(lipschitz={"spectral_norm": {"of": "operator"}})
    assert "spectral_norm" in refusal([operator], states[:1], 1)
    assert "batches of 9 do not fill" in refusal([single(batch_size=9)], states[:1], 1)
    assert "batches of 16 do not fill" in refusal([single(batch_size=16)], states[:1], 1)
    narrow = single(network={"mlp": {"width": 7}})
    assert "1.weight of 14 numbers does not fill" in refusal([narrow], states[:1], 1)
    states[1].step = 3
    assert "one step, not at [0, 3]" in refusal(configs, states, 2)


@pytest.mark.parametrize(
    ("settings", "device", "size"),
    [
        ({"network": {"mlp": {"width": 64}}}, "cpu", 16),
        ({"network": {"mlp": {"width": 512}}}, "cpu", 16),
        ({"network": {"mlp": {"width": 512}}, "batch_size": 256}, "cpu", 1),
        ({"network": {"mlp": {"width": 512}}, "batch_size": 256}, "cuda:0", 16),
        ({"network": {"mlp": {"width": 512}}, "lipschitz": "spectral_norm"}, "cpu", 1),
        ({"network": {"mlp": {"width": 64}}, "lipschitz": "spectral_norm"}, "cpu", 16),
        ({"dataset": "digits", "network": "dcgan"}, "cpu", 16),
        ({"dataset": "digits", "network": {"dcgan": {"width": 256}}}, "cpu", 1),
        ({"dataset": "digits", "network": {"dcgan": {"width": 32}}}, "cuda", 1),
        ({"dataset": "digits", "network": {"dcgan": {"width": 32}}}, "cpu", 16),
        ({"dataset": "digits", "network": {"dcgan": {"width": 32}}, "batch_size": 512}, "cpu", 1),
        ({"lipschitz": "gradient_normalization"}, "cpu", 1),
    ],
)
def test_packing_pays_where_it_was_measured_to(settings, device, size):
    assert pays(single(**{"batch_size": 64, "noise_size": 64, **settings}), device) == size


@pytest.mark.parametrize(
    ("settings", "measured"),
    [
        ({"network": {"mlp": {"width": 16}}}, {4: 4.0, 16: 9.83}),
        ({"network": {"mlp": {"width": 128}}}, {4: 1.91, 16: 2.27}),
        ({"network": {"mlp": {"width": 512}}}, {4: 1.26, 16: 1.29}),
        ({"dataset": "digits", "network": {"dcgan": {"width": 8}}}, {3: 1.68, 16: 2.81}),
        ({"dataset": "digits", "network": {"dcgan": {"width": 32}}}, {3: 1.51, 16: 1.98}),
        ({"dataset": "digits", "network": {"dcgan": {"width": 64}}}, {3: 1.42, 16: 1.49}),
    ],
)
def test_the_time_of_a_stack_is_near_the_measured(settings, measured):
    config = single(**{"batch_size": 64, "noise_size": 64, **settings})
    assert time_of_stack(config, 1) == pytest.approx(1)
    for size, gain in measured.items():
        assert 0.7 < time_of_stack(config, size) / (size / gain) < 1.5


@pytest.mark.parametrize("made", registered(LipschitzMethod))
def test_a_method_with_hooks_of_its_own_is_packable_only_with_packed_ones(made):
    def overrides(hook):
        return getattr(made, hook) is not getattr(LipschitzMethod, hook)

    if made.packable:
        assert overrides("packed_penalty") == overrides("penalty")
        assert overrides("packed_after_step") or not (overrides("wrap") and overrides("after_step"))
    else:
        assert unpackable(single(lipschitz=made.name)) is not None
