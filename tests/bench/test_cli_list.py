"""`list` shows every registered part with its fields, from the registries themselves."""

import dataclasses
import json

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.grid.settings import FAMILIES
from bench.spec import METRICS
from wgan.diagnostics import PROFILES
from wgan.recipes import RECIPES

KINDS = {
    "methods": "lipschitz",
    "losses": "loss",
    "optimizers": "optimizer",
    "networks": "network",
    "generators": "generator",
    "datasets": "dataset",
}


def listed(*words):
    result = CliRunner().invoke(main, ["list", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_component_is_listed_with_its_source_and_all_fields(kind):
    entries = {entry["name"]: entry for entry in json.loads(listed(kind, "--json"))}
    registry = FAMILIES[KINDS[kind]].registry
    assert entries.keys() == registry.keys()
    text = listed(kind)
    for name, cls in registry.items():
        assert entries[name]["source"] == cls.reference
        assert entries[name]["about"]
        assert [item["name"] for item in entries[name]["fields"]] == [
            item.name for item in dataclasses.fields(cls)
        ]
        assert f"\n{name}\n" in f"\n{text}"


def test_a_field_is_shown_with_default_range_and_meaning():
    assert "  lr: 0.0002 (> 0)  alpha: step size\n" in listed("optimizers")
    assert "  sides: two (one of two, one)  " in listed("methods")
    assert "steps: 2000 (>= 0) [steps]  generator updates\n" in listed("fields")
    assert "evaluate.samples: 2000 (>= 16 and <= 10000000) [samples]  generated samples" in listed(
        "fields"
    )


def test_recipes_are_listed_with_what_they_set():
    entries = json.loads(listed("recipes", "--json"))
    assert {entry["name"]: entry["settings"] for entry in entries} == {
        name: recipe.settings for name, recipe in RECIPES.items()
    }
    assert "wgan_gp\n  WGAN with gradient penalty\n" in listed("recipes")


def test_metrics_are_listed_with_their_columns():
    entries = json.loads(listed("metrics", "--json"))
    assert [entry["name"] for entry in entries] == list(METRICS)
    assert all(entry["about"] and entry["columns"] for entry in entries)


def test_methods_tell_what_they_promise_and_losses_what_they_estimate():
    methods = {entry["name"]: entry for entry in json.loads(listed("methods", "--json"))}
    for name, cls in FAMILIES["lipschitz"].registry.items():
        for promise in methods[name]["promises"]:
            assert cls(**promise["with"]).bound == promise["bound"]
    assert methods["gradient_penalty"]["promises"] == []
    losses = {entry["name"]: entry for entry in json.loads(listed("losses", "--json"))}
    for name, cls in FAMILIES["loss"].registry.items():
        assert (losses[name]["distance"], losses[name]["bounds"]) == (
            cls.distance_name,
            cls.bounds,
        )
    assert "  promised Lipschitz constant: none\n" in listed("methods")
    assert "  estimates: W1; W1 >= E f(real) - E f(fake)" in listed("losses")


def test_a_promise_is_said_to_be_one_of_layers_and_chains():
    said = "promised Lipschitz constant: 1 for each layer and any chain of them (resnet: more)\n"
    assert said in listed("methods")
    for name, cls in FAMILIES["network"].registry.items():
        assert (cls().critic_bound((1, 8, 8)) > 1) == (name == "resnet")


def test_networks_tell_what_they_can_make():
    makes = {entry["name"]: entry["makes"] for entry in json.loads(listed("networks", "--json"))}
    assert makes["mlp"] == "points, images of any size"
    assert makes["dcgan"] == "square images of 8, 16, 28, 32, 48, 64 pixels"
    assert "  makes: points, images of any size\n" in listed("networks")


def test_an_empty_default_is_visible():
    assert "  path: (empty)  the folder" in listed("datasets")


def test_the_fields_of_every_section_are_listed():
    assert "record.log_every: 50 (>= 1)  generator updates between two rows" in listed("fields")


def test_profiles_are_listed_with_what_they_show():
    entries = {entry["name"]: entry["about"] for entry in json.loads(listed("profiles", "--json"))}
    assert entries.keys() == PROFILES.keys()
    assert all(entries.values())


def test_without_a_kind_everything_is_named():
    names = json.loads(listed("--json"))
    for kind, family in KINDS.items():
        assert names[kind] == sorted(FAMILIES[family].registry)
    assert listed().startswith(f"recipes     {', '.join(RECIPES)}\n")
