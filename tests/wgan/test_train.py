"""The loop: its pauses, its rows, and what must not change a weight."""

from __future__ import annotations

import copy
import math
import time

import pytest
import torch
from small import (
    DIGITS,
    EACH_RECIPE,
    RECIPE_NAMES,
    allows,
    contents,
    follow,
    largest_gap,
    never,
    same,
    small,
    without_times,
)
from torch.nn import functional as F

import wgan.iteration
from wgan.data import as_float
from wgan.diagnostics import diagnose, generate
from wgan.random import stream
from wgan.train import Pause, new_state, train

recipes = pytest.mark.parametrize("recipe", EACH_RECIPE)


@recipes
def test_training_twice_gives_the_same_bits(recipe):
    config = small(recipe)
    states = [new_state(config, DIGITS) for _ in range(2)]
    rows = [without_times(follow(config, state)) for state in states]
    assert same(contents(states[0]), contents(states[1]))
    assert rows[0] == rows[1]
    begun = new_state(config, DIGITS)
    assert not same(contents(begun)["generator"], contents(states[0])["generator"])


@recipes
def test_how_often_one_looks_changes_no_weight(recipe):
    """Other intervals, none, and the whole evaluation at every pause: bit-equal states, and equal
    rows where both log.
    """
    config = small(recipe, critic_norm="batch" if allows(recipe, "batch") else "none")

    def look(pause: Pause) -> None:
        fake = generate(config, pause.state, 20)
        diagnose(config, pause.state, DIGITS, fake, count=20)

    states, rows = [], []
    for log_every, evaluate_every, looks in (
        (12, 10**9, lambda pause: None),
        (12, 1, look),
        (5, 3, look),
        (1, 4, lambda pause: None),
    ):
        states.append(new_state(config, DIGITS))
        rows.append(follow(config, states[-1], looks, DIGITS, log_every, evaluate_every))
    assert all(same(contents(state), contents(states[0])) for state in states)
    assert without_times(rows[0]) == without_times(rows[1])


def test_whatever_the_consumer_draws_from_the_global_generator_changes_no_weight():
    config, states = small("wgan_gp"), []
    with torch.random.fork_rng(devices=[]):
        for seed in (1, 2):
            torch.manual_seed(seed)
            states.append(new_state(config, DIGITS))
            follow(config, states[-1], lambda pause: torch.randn(3))
    assert same(*map(contents, states))


@pytest.mark.parametrize(
    ("steps", "log_every", "evaluate_every", "expected"),
    [
        # (step, rows, evaluate)
        (0, 5, 5, [(0, [], True)]),
        (4, 2, 3, [(0, [], True), (2, [2], False), (3, [], True), (4, [4], True)]),
        (4, 3, 100, [(0, [], True), (3, [3], False), (4, [4], True)]),
        (2, 100, 100, [(0, [], True), (2, [2], True)]),
        (2, 1, 1, [(0, [], True), (1, [1], True), (2, [2], True)]),
    ],
)
def test_pauses_come_where_there_is_something_to_do(steps, log_every, evaluate_every, expected):
    config = small("gan", steps=steps)
    state = new_state(config, DIGITS)
    found = [
        (pause.state.step, [row["step"] for row in pause.rows], pause.evaluate)
        for pause in train(
            config, DIGITS, state, never, log_every=log_every, evaluate_every=evaluate_every
        )
    ]
    assert found == expected


def test_stop_is_answered_after_the_very_next_step():
    config = small("gan")
    state, stopping = new_state(config, DIGITS), []
    steps = []
    for pause in train(
        config, DIGITS, state, lambda: bool(stopping), log_every=100, evaluate_every=100
    ):
        steps.append(pause.state.step)
        stopping.append(True)
        if len(steps) == 3:
            break
    assert steps == [0, 1, 2]
    assert len(state.window.critic) == 2
    assert state.step == 2


def test_a_finished_training_has_nothing_left_to_do():
    config = small("gan", steps=2)
    state = new_state(config, DIGITS)
    follow(config, state)
    before = contents(state)
    assert list(train(config, DIGITS, state, never)) == []
    assert same(before, contents(state))


def test_counters_count():
    config = small("wgan_gp", steps=6, batch_size=3)
    state = new_state(config, DIGITS)
    rows = follow(config, state, log_every=4)
    assert (state.step, state.critic_updates, state.images_seen) == (6, 30, 90)
    assert [(row["step"], row["images_seen"]) for row in rows] == [(4, 60), (6, 90)]


def test_training_seconds_leave_the_pauses_out():
    config = small("gan", steps=4)
    state = new_state(config, DIGITS)
    begun = time.perf_counter()
    rows = follow(config, state, lambda pause: time.sleep(0.1), log_every=1)
    wall = time.perf_counter() - begun
    seconds = [row["training_seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] == state.training_seconds
    assert 0 < state.training_seconds <= wall - 0.5


def test_rows_hold_plain_numbers():
    config = small("wgan_gp", steps=3)
    (row,) = follow(config, new_state(config, DIGITS))
    names = (
        "step images_seen training_seconds critic_loss penalty estimate_window generator_loss "
        "critic_gradient_norm generator_gradient_norm "
        "critic_gradient_norm_largest generator_gradient_norm_largest"
    )
    assert set(names.split()) <= set(row)
    assert {type(value) for value in row.values()} <= {int, float}
    assert all(math.isfinite(value) for value in row.values())
    assert row["penalty"] > 0


def test_gradient_norms_are_those_of_the_last_step_and_of_the_steepest_since_the_last_row():
    config = small("wgan_gp", steps=12, critic_steps=2)
    state, wide = new_state(config, DIGITS), new_state(config, DIGITS)
    by_hand: list[dict[str, float]] = []

    def norm(network: torch.nn.Module) -> float:
        squares = [p.grad.double().square().sum() for p in network.parameters()]
        return float(torch.stack(squares).sum().sqrt())

    def look(pause: Pause) -> None:
        if pause.rows:
            by_hand.append({"critic": norm(state.critic), "generator": norm(state.generator)})

    fine = follow(config, state, look, log_every=1)
    rows = follow(config, wide, log_every=5)
    assert same(contents(state), contents(wide))
    for part in ("critic", "generator"):
        norms = [held[part] for held in by_hand]
        assert [row[f"{part}_gradient_norm"] for row in fine] == pytest.approx(norms, rel=1e-5)
        assert [row[f"{part}_gradient_norm_largest"] for row in fine] == [
            row[f"{part}_gradient_norm"] for row in fine
        ]
        assert [row[f"{part}_gradient_norm"] for row in rows] == pytest.approx(
            [norms[4], norms[9], norms[11]], rel=1e-5
        )
        largest = [max(norms[:5]), max(norms[5:10]), max(norms[10:])]
        found = [row[f"{part}_gradient_norm_largest"] for row in rows]
        assert found == pytest.approx(largest, rel=1e-5)
        assert max(largest) > 1.05 * min(norms), "no spike that could be missed"


def test_the_gradient_norm_is_torch_s_to_the_bit():
    config = small("wgan_gp", steps=3)
    state = new_state(config, DIGITS)
    (row,) = follow(config, state)
    for part in ("critic", "generator"):
        gradients = [p.grad for p in getattr(state, part).parameters()]
        total = torch.nn.utils.get_total_norm(gradients)
        assert row[f"{part}_gradient_norm"] == total.double().item()


def test_nothing_comes_off_the_device_inside_a_step(monkeypatch):
    """No `.item()`, `.tolist()` or number made of a tensor between two rows."""
    config = small("wgan_gp", steps=6)
    state, asked = new_state(config, DIGITS), []
    for name in ("item", "tolist", "__float__", "__bool__", "__int__"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, name=name, real=real: (asked.append((state.step, name)), real(self))[1],
        )
    follow(config, state, log_every=3, evaluate_every=100)
    ours = [call for call in asked if call[1] in ("item", "tolist")]
    assert ours == [(3, "tolist"), (6, "tolist")]
    assert asked == ours


# Equal seeds.


def begun(recipe: str, seed: int):
    return new_state(small(recipe, seed=seed), DIGITS)


def test_equal_seeds_give_every_recipe_equal_initial_weights():
    def weights(recipe, seed, network):
        """Of the layers that all recipes share; a critic norm adds ones and zeros of its own."""
        parameters = getattr(begun(recipe, seed), network).parameters()
        return [p.detach() for p in parameters if p.dim() > 1]

    for network in ("critic", "generator"):
        first = weights(RECIPE_NAMES[0], 3, network)
        assert len(first) >= 3
        assert all(same(weights(recipe, 3, network), first) for recipe in RECIPE_NAMES)
        assert not same(weights(RECIPE_NAMES[0], 4, network), first)


def test_equal_seeds_give_every_recipe_equal_data_and_noise(monkeypatch):
    """In the order in which they are used, however many critic steps a recipe takes."""
    seen: dict[str, list[torch.Tensor]] = {}
    critic_step, generator_step = wgan.iteration.critic_step, wgan.iteration.generator_step

    def spied_critic_step(*arguments, **named):
        seen["real"].append(arguments[5])
        seen["noise"].append(arguments[6])
        return critic_step(*arguments, **named)

    def spied_generator_step(*arguments):
        seen["noise"].append(arguments[4])
        return generator_step(*arguments)

    monkeypatch.setattr(wgan.iteration, "critic_step", spied_critic_step)
    monkeypatch.setattr(wgan.iteration, "generator_step", spied_generator_step)

    def drawn(recipe: str, seed: int = 3) -> dict[str, list[torch.Tensor]]:
        seen.update(real=[], noise=[])
        config = small(recipe, seed=seed, steps=4)
        follow(config, new_state(config, DIGITS))
        return copy.copy(seen)

    drawn_by = {recipe: drawn(recipe) for recipe in RECIPE_NAMES}
    data, noise = stream(3, "data"), stream(3, "noise")
    expected = {
        "real": [DIGITS.batch(8, data) for _ in range(20)],
        "noise": [torch.randn(8, 6, generator=noise) for _ in range(24)],
    }
    for recipe, draws in drawn_by.items():
        for kind, batches in draws.items():
            assert len(batches) >= 4
            assert same(batches, expected[kind][: len(batches)]), (recipe, kind)
    other = drawn(RECIPE_NAMES[0], seed=4)
    assert not same(other["real"], drawn_by[RECIPE_NAMES[0]]["real"])


def test_a_penaltys_draws_move_no_other_stream():
    states = []
    for lipschitz in ("none", {"gradient_penalty": {"weight": 0}}):
        config = small(loss="wasserstein", lipschitz=lipschitz, score_limit=1e30)
        states.append(new_state(config, DIGITS))
        follow(config, states[-1])
    for stream_name in ("data", "noise"):
        assert same(*(state.streams[stream_name].get_state() for state in states))
    assert same(*(contents(state)["generator"] for state in states))  # weight 0 trains as none does


# Divergence.


def ending(state_or_none=None, **settings) -> list[Pause]:
    config = small(**settings)
    state = state_or_none or new_state(config, DIGITS)
    return list(train(config, DIGITS, state, never, log_every=3, evaluate_every=100))


def test_scores_beyond_the_limit_end_the_training():
    pauses = ending(recipe="gan", score_limit=1e-12)
    assert [pause.diverged is None for pause in pauses] == [True, False]
    assert pauses[-1].state.step == 3
    assert pauses[-1].diverged.startswith("largest_score was ")
    assert pauses[-1].diverged.endswith(" at step 3 (limit 1e-12)")
    assert [row["step"] for row in pauses[-1].rows] == [3]


def test_an_unconstrained_wasserstein_critic_runs_away():
    pauses = ending(loss="wasserstein", optimizer={"adam": {"lr": 3.0}}, steps=60, score_limit=1e4)
    assert pauses[-1].diverged.startswith("largest_score was ")
    assert pauses[-1].state.step < 60
    assert pauses[-1].rows[-1]["largest_score"] > 1e4


@pytest.mark.parametrize("network", ["critic", "generator"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_weight_that_is_not_finite_is_divergence(network, bad):
    config = small("wgan_gp")
    state = new_state(config, DIGITS)
    with torch.no_grad():
        next(getattr(state, network).parameters()).view(-1)[0] = bad
    pauses = ending(state, recipe="wgan_gp")
    assert pauses[-1].diverged is not None
    assert " at step 3" in pauses[-1].diverged
    assert len(pauses) == 2


@pytest.mark.parametrize("network", ["critic", "generator"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_break_in_the_last_update_before_a_row_are_found_by_it(
    monkeypatch, network, bad
):
    """No loss has seen them yet."""
    config = small("gan")
    state, generator_step = new_state(config, DIGITS), wgan.iteration.generator_step

    def breaking(*arguments):
        loss = generator_step(*arguments)
        if state.step == 2:
            with torch.no_grad():
                next(getattr(state, network).parameters()).view(-1)[0] = bad
        return loss

    monkeypatch.setattr(wgan.iteration, "generator_step", breaking)
    (pause,) = ending(state, recipe="gan")[1:]
    assert pause.diverged == f"weight_norm was {bad} at step 3 (limit 3.40282e+38)"
    assert math.isfinite(pause.rows[0]["critic_loss"])


def test_divergence_between_rows_is_found_at_the_next_row_and_at_the_last():
    config = small("gan", steps=5)
    state, reasons = new_state(config, DIGITS), []
    for pause in train(config, DIGITS, state, never, log_every=3, evaluate_every=4):
        reasons.append((pause.state.step, pause.diverged is not None))
        if pause.state.step == 4:
            with torch.no_grad():
                next(state.critic.parameters()).fill_(math.nan)
    assert reasons == [(0, False), (3, False), (4, False), (5, True)]


@recipes
def test_a_sound_training_is_not_called_diverged(recipe):
    assert all(pause.diverged is None for pause in ending(recipe=recipe, steps=9))


# A loss that needs reals in the generator's step.


def test_a_loss_that_needs_reals_gets_them_in_the_generators_step():
    config = small(
        loss="relativistic", optimizer={"adam": {}}, critic_steps=2, steps=6, precision="float64"
    )
    state = new_state(config, DIGITS)
    generator, critic = copy.deepcopy(state.generator), copy.deepcopy(state.critic)
    follow(config, state)

    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    data, noise = stream(config.seed, "data"), stream(config.seed, "noise")
    own = stream(config.seed, "data:generator")  # the critic's data stay those of other losses

    def real(rng):
        chosen = torch.randint(len(DIGITS.train), (8,), generator=rng)
        return as_float(DIGITS.train[chosen]).double()

    def fake():
        return generator(torch.randn(8, 6, generator=noise, dtype=torch.float64))

    for _ in range(6):
        for _ in range(2):
            d_adam.zero_grad()
            shown = real(data)
            F.softplus(critic(fake().detach()) - critic(shown)).mean().backward()
            d_adam.step()
        g_adam.zero_grad()
        made = fake()
        F.softplus(critic(real(own)) - critic(made)).mean().backward()
        g_adam.step()
    assert largest_gap(state.generator.parameters(), generator.parameters()) < 1e-8
    assert largest_gap(state.critic.parameters(), critic.parameters()) < 1e-8
    assert state.images_seen == 6 * 2 * 8  # as shown to the critic for training
