"""TrainConfig: strictness, plain values and back, and the run id."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import RECIPE_NAMES, another, changed_singly, registered
from test_components import made_with_any_settings, values_of

from wgan.components import Component, ConfigError, UnknownName, hints_of, setting
from wgan.config import COMPONENTS, TrainConfig, field_names
from wgan.data import Ring8
from wgan.lipschitz import GradientPenalty, LipschitzMethod, SpectralNorm, Unconstrained
from wgan.losses import NonSaturating
from wgan.networks import MLP
from wgan.optimizers import Adam
from wgan.recipes import RECIPES, recipe_settings

SCALARS = [item for item in dataclasses.fields(TrainConfig) if "range" in item.metadata]


@st.composite
def configurations(draw) -> TrainConfig:
    """Any configuration of an MLP on a ring, where every combination is possible."""
    hints = hints_of(TrainConfig)
    scalars = {item.name: values_of(item, hints[item.name]) for item in SCALARS}
    scalars["critic_norm"] = st.sampled_from(["none", "layer"])
    chosen = draw(st.fixed_dictionaries({}, optional=scalars))
    for name in ("loss", "optimizer"):
        made = draw(st.sampled_from(registered(COMPONENTS[name])))
        chosen[name] = draw(made_with_any_settings(made))
    constraints = [made for made in registered(LipschitzMethod) if made.name != "none"]
    methods = st.just([Unconstrained]) | st.lists(
        st.sampled_from(constraints), min_size=1, unique=True
    ).filter(lambda chosen: sum(made.normalises_layers for made in chosen) <= 1)
    chosen["lipschitz"] = tuple(draw(made_with_any_settings(made)) for made in draw(methods))
    for method in chosen["lipschitz"]:
        try:
            method.check(chosen.get("critic_norm", "none"))
        except ConfigError:
            chosen["critic_norm"] = "none"
    return TrainConfig(
        dataset=draw(made_with_any_settings(Ring8)),
        network=MLP(width=draw(st.integers(16, 64)), depth=draw(st.integers(1, 4))),
        **chosen,
    )


@given(configurations())
def test_plain_values_give_the_same_configuration_and_id_back(config):
    plain = json.loads(json.dumps(config.to_plain(), allow_nan=False))
    again = TrainConfig.from_plain(plain)
    assert again == config
    assert again.run_id == config.run_id
    assert again.to_plain() == config.to_plain()


@given(configurations(), configurations())
def test_two_configurations_share_an_id_only_if_they_are_equal(left, right):
    assert (left.run_id == right.run_id) == (left == right)


# Written by hand from DESIGN section 4: sorted keys, no blanks, each component with all its fields,
# neutral ones left out.
CANONICAL = (
    '{"config":{"batch_size":64,"critic_norm":"none","critic_steps":5,"dataset":{"digits":{}},'
    '"lipschitz":[{"gradient_penalty":{"sides":"two","target":1.0,"weight":10.0}}],'
    '"loss":{"wasserstein":{}},"network":{"dcgan":{"generator_norm":"batch","width":64}},'
    '"noise_size":64,"optimizer":{"adam":{"beta1":0.0,"beta2":0.9,"epsilon":1e-08,"lr":0.0001}},'
    '"precision":"float32","score_limit":100000000.0,"seed":3,"steps":2000},'
    '"versions":{"dataset:digits":1,"lipschitz:gradient_penalty":1,"loss:wasserstein":1,'
    '"network:dcgan":1,"optimizer:adam":1}}'
)


def test_the_id_is_the_hash_of_the_canonical_json():
    """Should this fail, results that exist are orphaned: give the new field a neutral value
    instead.
    """
    config = TrainConfig.from_plain({**recipe_settings("wgan_gp"), "seed": 3})
    assert config.run_id == hashlib.sha256(CANONICAL.encode()).hexdigest()[:12]


@given(configurations(), st.integers(0, 2**31 - 1), st.booleans())
def test_another_seed_makes_the_configuration_that_has_it(config, seed, known):
    """Whether the first one's id was asked for before or not."""
    before = config.run_id if known else None
    twin, made = config.with_seed(seed), dataclasses.replace(config, seed=seed)
    assert twin == made
    assert hash(twin) == hash(made)
    assert twin.run_id == made.run_id
    assert twin.to_plain() == made.to_plain()
    assert twin.with_seed(config.seed) == config
    assert config.run_id == dataclasses.replace(config).run_id
    assert before in (None, config.run_id)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, "1", True, None])
def test_another_seed_is_checked_as_any_is(seed):
    with pytest.raises(ConfigError) as error:
        TrainConfig(network=MLP()).with_seed(seed)
    with pytest.raises(ConfigError) as same:
        TrainConfig(network=MLP(), seed=seed)
    assert str(error.value) == str(same.value)


def test_the_id_is_the_same_in_another_process():
    program = (
        "from wgan.config import TrainConfig; from wgan.recipes import RECIPES;"
        "print(*(TrainConfig.from_plain(r.settings).run_id for r in RECIPES.values()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found == [TrainConfig.from_plain(r.settings).run_id for r in RECIPES.values()]
    assert len(set(found)) == len(found)


def test_the_id_changes_with_every_field_of_the_configuration():
    base = TrainConfig(network=MLP())
    ids = {base.run_id}
    for item in SCALARS:
        changed = dataclasses.replace(base, **{item.name: another(getattr(base, item.name), item)})
        ids.add(changed.run_id)
    assert len(ids) == 1 + len(SCALARS)


EVERY_COMPONENT = [
    (name, made)
    for name, family in (*COMPONENTS.items(), ("lipschitz", LipschitzMethod))
    for made in registered(family)
]


def held(name: str, component: Component) -> dict[str, object]:
    return {name: (component,) if name == "lipschitz" else component}


@pytest.mark.parametrize(("name", "made"), EVERY_COMPONENT)
def test_the_id_changes_with_every_field_of_a_component_and_with_its_version(
    name, made, monkeypatch
):
    """But for a field that says where something lies, which must not change it."""
    base = TrainConfig(**{"network": MLP(), **held(name, made())})
    ids = {base.run_id}
    places = {item.name for item in dataclasses.fields(made) if item.metadata["place"]}
    for field, changed in changed_singly(made).items():
        changed_id = dataclasses.replace(base, **held(name, changed)).run_id
        assert (changed_id == base.run_id) == (field in places)
        ids.add(changed_id)
    monkeypatch.setattr(made, "version", made.version + 1)
    ids.add(dataclasses.replace(base).run_id)  # a configuration works its id out once
    assert len(ids) == 2 + len(dataclasses.fields(made)) - len(places)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"optimizer": {"adam": {"beta1": 0}}}, {"optimizer": {"adam": {"beta1": 0.0}}}),
        ({"steps": 100}, {"steps": 100.0}),
        ({"steps": 2000}, {}),
        ({"loss": "wasserstein"}, {"loss": {"wasserstein": {}}}),
        ({"loss": "wasserstein"}, {"loss": {"wasserstein": None}}),
        ({"lipschitz": "spectral_norm"}, {"lipschitz": {"spectral_norm": {"every": 1}}}),
        ({"lipschitz": "spectral_norm"}, {"lipschitz": ["spectral_norm"]}),
        ({"lipschitz": "spectral_norm"}, {"lipschitz": {"all": ["spectral_norm"]}}),
        (
            {"optimizer": {"adam": {"lr": 1, "beta1": 0}}},
            {"optimizer": {"adam": {"beta1": 0, "lr": 1}}},
        ),
        ({"seed": 1, "steps": 5}, {"steps": 5, "seed": 1}),
    ],
)
def test_the_id_does_not_depend_on_how_a_value_is_written(one, other):
    left, right = TrainConfig.from_plain(one), TrainConfig.from_plain(other)
    assert left == right
    assert left.run_id == right.run_id


@dataclass(frozen=True)
class Grown(TrainConfig):
    """The configuration of a later version; its new field's neutral value is today's behaviour."""

    ema: float = setting(0.0, "decay of averaged weights", low=0, below=1, neutral=0.0)


def test_a_new_field_at_its_neutral_value_orphans_no_result():
    for recipe in RECIPE_NAMES:
        settings = recipe_settings(recipe)
        old, new = TrainConfig.from_plain(settings), Grown.from_plain(settings)
        assert new.run_id == old.run_id
        changed = dataclasses.replace(new, ema=0.9)
        assert changed.run_id != old.run_id
        assert Grown.from_plain(changed.to_plain()) == changed


def test_lazy_fields_of_a_method_are_neutral_until_used():
    assert "every" not in GradientPenalty().to_plain(for_id=True)["gradient_penalty"]
    lazy = TrainConfig(lipschitz=(GradientPenalty(every=4),))
    assert lazy.to_plain()["lipschitz"][0]["gradient_penalty"]["every"] == 4
    assert lazy.run_id != TrainConfig(lipschitz=(GradientPenalty(),)).run_id


def test_several_methods_stand_in_one_run_in_their_order():
    config = TrainConfig.from_plain(
        {"lipschitz": {"all": ["spectral_norm", {"gradient_penalty": {"weight": 1}}]}}
    )
    assert config.lipschitz == (SpectralNorm(), GradientPenalty(weight=1))
    assert config.method == "spectral_norm+gradient_penalty"


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"n_critc": 5}, "n_critc: unknown field 'n_critc'"),
        (
            {"critc_steps": 5},
            "critc_steps: unknown field 'critc_steps'; did you mean 'critic_steps'?",
        ),
        ({"steps": -1}, "steps: -1 is not allowed: must be a whole number >= 0"),
        ({"batch_size": 0}, "batch_size: 0 is not allowed: must be a whole number >= 1"),
        ({"seed": 2**31}, "seed: 2147483648 is not allowed: must be a whole number >= 0 and <="),
        ({"steps": [1, 2]}, "steps: [1, 2] is not allowed: must be a whole number >= 0"),
        ({"critic_norm": "bach"}, "critic_norm: unknown value 'bach'; did you mean 'batch'?"),
        ({"dataset": "digit"}, "dataset: unknown dataset 'digit'; did you mean 'digits'?"),
        (
            {"optimizer": {"adam": {"lr": "1e-4"}}},
            "optimizer.adam.lr: '1e-4' is not allowed: must be a number > 0",
        ),
        (
            {"lipschitz": {"all": [{"gradient_penalty": {"weight": -1}}]}},
            "lipschitz.all.gradient_penalty.weight: -1.0 is not allowed: must be a number >= 0",
        ),
        (
            {"lipschitz": "gradient_penalti"},
            "lipschitz: unknown Lipschitz method 'gradient_penalti'; "
            "did you mean 'gradient_penalty'?",
        ),
        (
            {"lipschitz": ["gradient_penalty", {"gradient_penalty": {"weight": 1}}]},
            "lipschitz: gradient_penalty+gradient_penalty is not allowed: a method stands twice",
        ),
        ({"lipschitz": []}, "lipschitz: an empty list is not allowed"),
        ({"lipschitz": None}, "lipschitz: None is not allowed"),
    ],
)
def test_mistakes_are_answered_with_place_value_and_what_is_allowed(plain, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_plain(plain)
    assert str(caught.value).startswith(message)


def test_components_of_another_family_are_refused():
    with pytest.raises(ConfigError, match=r"^loss: .* must be of the family loss"):
        TrainConfig(loss=MLP())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^lipschitz: .* must be of the family lipschitz"):
        TrainConfig(lipschitz=(Unconstrained(), MLP()))  # type: ignore[arg-type]


def test_field_names_are_those_of_the_configuration():
    assert field_names() == [item.name for item in dataclasses.fields(TrainConfig)]


# The papers' own settings (REFERENCE, section 1).
PAPERS = {
    "gan": (
        "nonsaturating",
        "none",
        {"adam": {"lr": 2e-4, "beta1": 0.5, "beta2": 0.999}},
        1,
        "batch",
    ),
    "wgan": (
        "wasserstein",
        {"weight_clipping": {"limit": 0.01}},
        {"rmsprop": {"lr": 5e-5}},
        5,
        "batch",
    ),
    "wgan_gp": (
        "wasserstein",
        {"gradient_penalty": {"weight": 10, "target": 1, "sides": "two"}},
        {"adam": {"lr": 1e-4, "beta1": 0, "beta2": 0.9}},
        5,
        "none",
    ),
}


# Miyato et al. 2018, Table 1: alpha, beta1, beta2, critic steps.
MIYATO = {
    "A": (1e-4, 0.5, 0.9, 5),
    "B": (1e-4, 0.5, 0.999, 1),
    "C": (2e-4, 0.5, 0.999, 1),
    "D": (1e-3, 0.5, 0.9, 5),
    "E": (1e-3, 0.5, 0.999, 5),
    "F": (1e-3, 0.9, 0.999, 5),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_complete_and_sets_its_fields_only(recipe):
    own = {"loss", "lipschitz", "optimizer", "critic_steps", "critic_norm"}
    if recipe == "lipschitz_wgan":  # whose authors train the generator at another rate
        own.add("generator_optimizer")
    assert set(RECIPES[recipe].settings) == own
    assert RECIPES[recipe].name == recipe
    assert RECIPES[recipe].title
    assert "arXiv:" in RECIPES[recipe].reference


@pytest.mark.parametrize("recipe", PAPERS)
def test_a_recipe_has_its_papers_settings(recipe):
    names = ("loss", "lipschitz", "optimizer", "critic_steps", "critic_norm")
    expected = dict(zip(names, PAPERS[recipe], strict=True))
    assert TrainConfig.from_plain(recipe_settings(recipe)) == TrainConfig.from_plain(expected)


@pytest.mark.parametrize("recipe", ["sngan", "sngan_hinge", "gan_gp", "orthonormal_gan"])
def test_a_recipe_has_the_setting_of_miyatos_table_that_it_names(recipe):
    letter = re.search(r"setting ([A-F])", RECIPES[recipe].reference).group(1)
    lr, beta1, beta2, critic_steps = MIYATO[letter]
    config = TrainConfig.from_plain(RECIPES[recipe].settings)
    assert config.optimizer == Adam(lr=lr, beta1=beta1, beta2=beta2)
    assert config.critic_steps == critic_steps


def test_sngan_is_the_standard_loss_under_one_power_iteration():
    config = TrainConfig.from_plain(RECIPES["sngan"].settings)
    assert config.loss == NonSaturating()
    assert config.lipschitz == (SpectralNorm(power_iterations=1),)


def test_a_recipes_settings_are_a_copy_of_ones_own():
    recipe_settings("wgan")["lipschitz"]["weight_clipping"]["limit"] = 7
    assert recipe_settings("wgan")["lipschitz"]["weight_clipping"]["limit"] == 0.01


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownName, match=r"recipe: unknown recipe 'wgan-gp'; did you mean 'wgan_gp'"
    ):
        recipe_settings("wgan-gp")
    with pytest.raises(UnknownName):
        recipe_settings(["wgan"])
