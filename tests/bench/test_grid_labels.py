"""Labels name the setting without its seed, from what varies."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.grid import load
from bench.grid.labels import label_all
from wgan.config import TrainConfig
from wgan.recipes import RECIPES, recipe_settings


@pytest.fixture
def labels(tmp_path):
    def read(text, overrides=()):
        path = tmp_path / "sweep.yaml"
        path.write_text("name: x\n" + text)
        return list(dict.fromkeys(run.label for run in load(path, overrides).runs))

    return read


def test_where_only_the_recipe_varies_the_label_is_its_name(labels):
    assert labels(f"grid: {{recipe: [{', '.join(RECIPES)}], seed: 0..1}}") == list(RECIPES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("grid: {recipe: wgan, seed: 0..3}", ["wgan"]),
        ("grid: {seed: 0..3}", ["none"]),
        ("grid: {lipschitz: [none, spectral_norm]}", ["none", "spectral_norm"]),
        ("grid: {steps: [1, 2]}", ["steps=1", "steps=2"]),
        (
            "grid: {loss: [hinge, minimax], steps: [1, 2], noise_size: [3, 4]}",
            [
                f"{loss}, steps={steps}, noise_size={size}"
                for loss in ("hinge", "minimax")
                for steps in (1, 2)
                for size in (3, 4)
            ],
        ),
        (
            "grid: {lipschitz: [none, weight_clipping: {limit: [0.01, 0.1]}]}",
            ["none", "weight_clipping(limit=0.01)", "weight_clipping(limit=0.1)"],
        ),
        (
            "grid: {lipschitz: {all: [spectral_norm, gradient_penalty: {weight: [1, 10]}]}}",
            [
                "spectral_norm+gradient_penalty(weight=1)",
                "spectral_norm+gradient_penalty(weight=10)",
            ],
        ),
        (
            "grid: {recipe: [gan, wgan], critic_steps: [1, 2]}",
            [
                "gan, critic_steps=1",
                "gan, critic_steps=2",
                "wgan, critic_steps=1",
                "wgan, critic_steps=2",
            ],
        ),
        # What follows from the recipe or the data set is not said twice.
        (
            "grid: [{recipe: [gan, wgan]}, {recipe: gan, dataset: ring8, network: mlp}]",
            ["gan, digits", "wgan, digits", "gan, ring8"],
        ),
        ("grid: [{recipe: gan}, {lipschitz: spectral_norm}]", ["gan", "spectral_norm"]),
        # Six digits would not tell them apart.
        (
            "grid: {optimizer: {adam: {lr: [0.12345678, 0.12345679]}}}",
            ["adam(lr=0.12345678)", "adam(lr=0.12345679)"],
        ),
    ],
)
def test_a_label_says_what_varies_and_no_more(labels, text, expected):
    assert labels(text) == expected


def test_labels_do_not_depend_on_only(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("name: x\ngrid: {recipe: [gan, wgan], steps: [1, 2]}")
    chosen = load(path, only=["recipe=gan", "steps=1"])
    assert [run.label for run in chosen.runs] == ["gan, steps=1"]
    assert chosen.total == 4


PLAIN = {
    "steps": [1, 2],
    "critic_steps": [1, 5],
    "seed": [0, 1, 2],
    "loss": ["wasserstein", "hinge"],
    "lipschitz": [
        "none",
        {"weight_clipping": {"limit": 0.1}},
        {"weight_clipping": {"limit": 0.100000001}},
        {"all": ["spectral_norm", "gradient_penalty"]},
    ],
    "optimizer": ["adam", {"adam": {"lr": 0.001}}, {"rmsprop": {"lr": 0.001}}],
    "precision": ["float32", "float64"],
}
configurations = st.builds(
    lambda plain: TrainConfig.from_plain(plain),
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in PLAIN.items()}),
)
made = st.one_of(
    st.tuples(st.none(), configurations),
    st.builds(
        lambda name, config: (
            name,
            dataclasses.replace(TrainConfig.from_plain(recipe_settings(name)), steps=config.steps),
        ),
        st.sampled_from(sorted(RECIPES)),
        configurations,
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(made, min_size=1, max_size=12))
def test_labels_are_equal_exactly_where_only_seeds_differ(runs):
    labels = label_all(runs)
    unseeded = [(recipe, dataclasses.replace(config, seed=0)) for recipe, config in runs]
    for one, two in itertools.combinations(range(len(runs)), 2):
        assert (labels[one] == labels[two]) == (unseeded[one] == unseeded[two])
    assert all(labels)
    assert not any("#" in label for label in labels)  # what varies was enough to tell them apart


def test_settings_that_would_share_a_label_are_marked():
    bare = TrainConfig()
    labels = label_all([("none", bare), (None, dataclasses.replace(bare, steps=1)), ("none", bare)])
    assert labels[0] == labels[2] != labels[1]
    assert all(label.startswith("none #") for label in labels)
