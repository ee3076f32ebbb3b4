"""What a sweep file means, against products written out by hand."""

import itertools
import json
import math
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.grid import load
from wgan.config import TrainConfig

HEAD = "name: x\n"


@pytest.fixture
def sweep(tmp_path):
    def read(text, overrides=(), only=()):
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return load(path, overrides, only)

    return read


def ids(loaded):
    return [run.run_id for run in loaded.runs]


def id_of(**plain):
    return TrainConfig.from_plain(plain).run_id


def test_the_file_shown_in_the_design_means_what_it_says(sweep):
    loaded = sweep(
        """
name: lipschitz_digits
question: Does it track?
base: {dataset: digits, network: dcgan, steps: 2000, batch_size: 64}
grid:
  lipschitz:
    - none
    - weight_clipping: {limit: [0.01, 0.1]}
    - gradient_penalty: {weight: [1, 10], sides: [one, two]}
    - {all: [spectral_norm, gradient_penalty]}
  loss: [wasserstein, hinge]
  optimizer: [{adam: {lr: 1e-4, beta1: 0, beta2: 0.9}}, {rmsprop: {lr: 5e-5}}]
  seed: 0..4
exclude:
  - {where: {lipschitz: none, loss: wasserstein}, reason: "scores explode by construction"}
evaluate: {every: 200, samples: 2000, metrics: [fid, kid, inception_score]}
claims: [loss_tracks_quality, clipping_saturates_weights]
"""
    )
    methods = 1 + 2 + 4 + 1  # each entry expands alone
    assert len(loaded.runs) == methods * 2 * 2 * 5 - 2 * 5
    assert [(rule.where, rule.reason, rule.runs) for rule in loaded.excluded] == [
        ("lipschitz: none, loss: wasserstein", "scores explode by construction", 10)
    ]
    assert loaded.claims == ["loss_tracks_quality", "clipping_saturates_weights"]
    assert loaded.runs[0].evaluate.metrics == ("fid", "kid", "inception_score")
    assert {run.config.method for run in loaded.runs} == {
        "none",
        "weight_clipping",
        "gradient_penalty",
        "spectral_norm+gradient_penalty",
    }
    assert loaded.question == "Does it track?"


def test_a_range_includes_its_end(sweep):
    assert [run.config.seed for run in sweep(HEAD + "grid: {seed: 0..4}").runs] == [0, 1, 2, 3, 4]


def test_a_range_in_a_list_is_part_of_the_axis(sweep):
    loaded = sweep(HEAD + "grid: {seed: [0..2, 10]}")
    assert [run.config.seed for run in loaded.runs] == [0, 1, 2, 10]


def test_the_last_axis_runs_fastest(sweep):
    loaded = sweep(HEAD + "grid: {steps: [1, 2], seed: 0..1}")
    assert [(run.config.steps, run.config.seed) for run in loaded.runs] == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]


def test_an_entrys_lists_multiply_no_other_entry(sweep):
    loaded = sweep(
        HEAD
        + "grid: {lipschitz: [none, weight_clipping: {limit: [0.01, 0.1]}, "
        + "gradient_penalty: {weight: 1..3}]}"
    )
    assert [str(run.config.lipschitz[0]) for run in loaded.runs] == [
        "none",
        "weight_clipping",
        "weight_clipping(limit=0.1)",
        "gradient_penalty(weight=1)",
        "gradient_penalty(weight=2)",
        "gradient_penalty(weight=3)",
    ]


def test_a_combination_is_one_run_and_its_lists_are_axes(sweep):
    loaded = sweep(
        HEAD + "grid: {lipschitz: {all: [spectral_norm, gradient_penalty: {weight: [1, 10]}]}}"
    )
    assert [run.config.method for run in loaded.runs] == ["spectral_norm+gradient_penalty"] * 2
    assert [run.config.lipschitz[1].weight for run in loaded.runs] == [1, 10]


def test_a_list_of_grids_is_their_union(sweep):
    loaded = sweep(HEAD + "grid: [{recipe: gan, seed: 0..2}, {recipe: wgan, seed: 5}]")
    assert [(run.recipe, run.config.seed) for run in loaded.runs] == [
        ("gan", 0),
        ("gan", 1),
        ("gan", 2),
        ("wgan", 5),
    ]


def test_yaml_1_2_numbers_and_words(sweep):
    loaded = sweep(
        HEAD + "base: {optimizer: {adam: {lr: 1e-4, beta1: 0}}, steps: 1e3}\ngrid: {seed: 010}"
    )
    config = loaded.runs[0].config
    assert (config.optimizer.lr, config.optimizer.beta1) == (1e-4, 0.0)
    assert (config.steps, config.seed) == (1000, 10)
    assert isinstance(config.optimizer.beta1, float)
    assert isinstance(config.steps, int)


def test_defaults_yield_to_the_recipe_the_recipe_to_base_and_base_to_the_grid(sweep):
    plain = sweep(HEAD + "grid: {recipe: wgan_gp}").runs[0].config
    assert (plain.critic_steps, plain.method, plain.steps) == (5, "gradient_penalty", 2000)
    assert plain.optimizer.lr == 1e-4
    base = sweep(HEAD + "base: {critic_steps: 3, recipe: wgan_gp}\ngrid: {seed: 0}").runs[0].config
    assert (base.critic_steps, base.method) == (3, "gradient_penalty")
    grid = sweep(HEAD + "base: {critic_steps: 3}\ngrid: {recipe: wgan_gp, critic_steps: 2}")
    assert grid.runs[0].config.critic_steps == 2


def test_a_component_that_is_given_replaces_the_recipes_whole(sweep):
    config = sweep(HEAD + "base: {optimizer: {adam: {lr: 1e-3}}}\ngrid: {recipe: wgan_gp}").runs[0]
    assert config.config == TrainConfig.from_plain(
        {
            "loss": "wasserstein",
            "lipschitz": {"gradient_penalty": {"weight": 10, "target": 1, "sides": "two"}},
            "critic_steps": 5,
            "optimizer": {"adam": {"lr": 1e-3}},
        }
    )


@pytest.mark.parametrize(
    ("where", "left"),
    [
        ("{recipe: wgan}", 6),
        ("{critic_steps: 5.0}", 6),
        ("{lipschitz: none}", 6),
        ("{lipschitz: {gradient_penalty: {weight: 10}}}", 6),
        ("{lipschitz: {gradient_penalty: {}}}", 6),
        ("{optimizer: {adam: {beta1: 0}}, seed: 1}", 7),
        ("{recipe: [gan, sngan], seed: 0..1}", 4),
        ("{batch_size: 64, seed: 0}", 4),  # a value that nothing sets is its default
    ],
)
def test_an_exclusion_takes_out_what_it_names(sweep, where, left):
    loaded = sweep(
        HEAD
        + "base: {optimizer: {adam: {lr: 1e-4, beta1: 0.5}}}\n"
        + "grid:\n"
        + "  - {recipe: [gan, wgan, sngan], critic_steps: 1, seed: 0..1}\n"
        + "  - {recipe: wgan_gp, critic_steps: 5, optimizer: {adam: {beta1: 0}}, seed: 0..1}\n"
        + f"exclude: [{{where: {where}, reason: because}}]"
    )
    assert len(loaded.runs) == left
    assert loaded.excluded[0].runs == 8 - left


def test_an_exclusion_by_method_meets_combinations_too(sweep):
    loaded = sweep(
        HEAD
        + "grid: {lipschitz: [none, gradient_penalty, spectral_norm, "
        + "{all: [spectral_norm, gradient_penalty]}]}\n"
        + "exclude: [{where: {lipschitz: gradient_penalty}, reason: because}]"
    )
    assert [run.config.method for run in loaded.runs] == ["none", "spectral_norm"]
    both = sweep(
        HEAD
        + "grid: {lipschitz: [none, gradient_penalty, {all: [spectral_norm, gradient_penalty]}]}\n"
        + "exclude: [{where: {lipschitz: {all: [gradient_penalty, spectral_norm]}}, reason: x}]"
    )
    assert [run.config.method for run in both.runs] == ["none", "gradient_penalty"]


def test_an_exclusion_can_take_out_what_could_not_be_built(sweep):
    loaded = sweep(
        HEAD
        + "grid: {dataset: [digits, ring8], network: [dcgan, mlp]}\n"
        + "exclude:\n"
        + "  - {where: {dataset: ring8, network: dcgan}, reason: dcgan makes images}\n"
        + "  - {where: {dataset: digits, network: mlp}, reason: mlp makes points}\n"
    )
    assert [run.label for run in loaded.runs] == ["digits", "ring8"]


def test_how_a_run_is_watched_does_not_change_its_id(sweep):
    watched = sweep(
        HEAD + "grid: {seed: 0}\nevaluate: {every: 7, samples: 32}\n"
        "record: {log_every: 3, checkpoint_seconds: 0.5}"
    )
    spec = watched.runs[0]
    assert (spec.evaluate.every, spec.log_every, spec.checkpoint_seconds) == (7, 3, 0.5)
    assert ids(watched) == ids(sweep(HEAD + "grid: {seed: 0}"))


def test_ten_thousand_runs_load_in_seconds(sweep):
    began = time.perf_counter()
    loaded = sweep(HEAD + "grid: {recipe: [gan, wgan, wgan_gp, sngan], seed: 0..2499}")
    assert len(set(ids(loaded))) == 10_000
    assert time.perf_counter() - began < 10


# Properties, over grids drawn at random.

AXES = {
    "steps": [1, 10, 100],
    "batch_size": [8, 16],
    "critic_steps": [1, 2, 5],
    "seed": [0, 1, 7],
    "critic_norm": ["none", "batch", "layer"],
    "loss": ["wasserstein", "hinge", "minimax"],
    "lipschitz": ["none", {"weight_clipping": {"limit": 0.1}}, "spectral_norm"],
    "optimizer": ["adam", {"adam": {"lr": 0.001}}, {"rmsprop": {"lr": 0.001}}],
}
grids = st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.lists(
                st.sampled_from(AXES[name]), min_size=1, max_size=3, unique_by=json.dumps
            )
            for name in names
        }
    )
)
examples = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def as_yaml(**sections):
    return json.dumps({"name": "x", **sections})


@examples
@given(grid=grids)
def test_the_runs_are_the_product_of_the_axes(sweep, grid):
    loaded = sweep(as_yaml(grid=grid))
    written_out = [
        id_of(**dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    ]
    assert len(loaded.runs) == math.prod(map(len, grid.values()))
    assert ids(loaded) == written_out
    assert len(set(written_out)) == len(written_out)


@examples
@given(grid=grids, data=st.data())
def test_the_order_of_keys_and_values_does_not_change_the_ids(sweep, grid, data):
    shuffled = {
        name: data.draw(st.permutations(grid[name]))
        for name in data.draw(st.permutations(sorted(grid)))
    }
    assert set(ids(sweep(as_yaml(grid=grid)))) == set(ids(sweep(as_yaml(grid=shuffled))))


@examples
@given(grid=grids, data=st.data())
def test_a_single_value_gives_the_same_ids_in_base_and_in_the_grid(sweep, grid, data):
    name = data.draw(st.sampled_from(sorted(AXES.keys() - grid.keys())))
    value = data.draw(st.sampled_from(AXES[name]))
    in_base = sweep(as_yaml(base={name: value}, grid=grid))
    in_grid = sweep(as_yaml(grid={**grid, name: [value]}))
    bare = sweep(as_yaml(grid={name: value, **grid}))
    assert ids(in_base) == ids(in_grid)
    assert set(ids(in_base)) == set(ids(bare))


@examples
@given(grid=grids)
def test_a_grid_is_the_union_of_its_halves(sweep, grid):
    name = max(grid, key=lambda axis: len(grid[axis]))
    halves = [{**grid, name: grid[name][:1]}, {**grid, name: grid[name][1:]}]
    parts = [half for half in halves if half[name]]
    assert set(ids(sweep(as_yaml(grid=parts)))) == set(ids(sweep(as_yaml(grid=grid))))


@examples
@given(grid=grids)
def test_an_exclusion_and_its_rest_make_up_the_grid(sweep, grid):
    whole = sweep(as_yaml(grid=grid))
    name = next(iter(grid))
    where = {name: grid[name][0]}
    if len(grid[name]) == 1:
        return
    if isinstance(where[name], str) and where[name] == "adam":
        return  # by name, it means every adam
    rest = sweep(as_yaml(grid=grid, exclude=[{"where": where, "reason": "r"}]))
    assert len(rest.runs) + rest.excluded[0].runs == len(whole.runs)
    assert set(ids(rest)) == set(ids(sweep(as_yaml(grid={**grid, name: grid[name][1:]}))))
