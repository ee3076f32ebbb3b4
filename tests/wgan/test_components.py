"""Components: strict settings, their messages, and the way to plain values and back."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import registered, unregistered_after

from wgan.components import Component, ConfigError, Range, UnknownName, build, hints_of, setting
from wgan.data import Dataset
from wgan.lipschitz import GradientPenalty, LipschitzMethod, Unconstrained
from wgan.losses import Loss
from wgan.networks import Network
from wgan.optimizers import Adam, Optimizer

FAMILIES = (Dataset, Network, Loss, LipschitzMethod, Optimizer)
EVERY = [made for family in FAMILIES for made in registered(family)]
described = pytest.mark.parametrize("made", EVERY, ids=lambda made: f"{made.family}-{made.name}")


def values_of(item: dataclasses.Field, wanted: type) -> st.SearchStrategy:
    """Values that the field's range allows."""
    allowed: Range = item.metadata["range"]
    if allowed.choices is not None:
        return st.sampled_from(allowed.choices)
    if wanted is bool:
        return st.booleans()
    if wanted is int:
        low = 0 if allowed.low is None else int(allowed.low)
        return st.integers(low, 10**6 if allowed.high is None else int(allowed.high))
    low = allowed.low if allowed.low is not None else allowed.above
    high = allowed.high if allowed.high is not None else allowed.below
    return st.floats(
        -1e6 if low is None else low,
        1e6 if high is None else high,
        exclude_min=allowed.above is not None,
        exclude_max=allowed.below is not None,
        allow_nan=False,
    )


def made_with_any_settings(made: type[Component]) -> st.SearchStrategy:
    hints = hints_of(made)
    fields = {item.name: values_of(item, hints[item.name]) for item in dataclasses.fields(made)}
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: made(**chosen))


@given(st.sampled_from(EVERY).flatmap(made_with_any_settings))
def test_plain_values_give_the_same_component_back(component):
    plain = json.loads(json.dumps(component.to_plain(), allow_nan=False))
    assert type(component).from_plain(plain) == component
    assert list(plain) == [component.name]


@described
def test_a_component_describes_itself(made):
    assert made.registry[made.name] is made
    assert made.reference
    assert type(made.version) is int
    assert made.version >= 1
    assert made.__doc__
    for item in dataclasses.fields(made):
        assert item.metadata["doc"], item.name
        assert hints_of(made)[item.name] in (int, float, bool, str)
        assert item.metadata["range"].holds(item.default)


@described
def test_a_component_is_found_by_its_name_alone(made):
    family = next(base for base in made.__mro__ if base in FAMILIES)
    assert family.from_plain(made.name) == made()
    assert family.from_plain({made.name: None}) == made()
    assert family.from_plain({made.name: {}}) == made()
    assert family.from_plain(made()) == made()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().name = "other"


NUMBERS = [
    (made, item, hints_of(made)[item.name])
    for made in EVERY
    for item in dataclasses.fields(made)
    if hints_of(made)[item.name] in (int, float)
]


@pytest.mark.parametrize("wrong", ["1e-4", True, None, [1.0], math.nan, math.inf, {}])
def test_no_number_takes_what_is_no_number(wrong):
    for made, item, _ in NUMBERS:
        with pytest.raises(ConfigError) as caught:
            made(**{item.name: wrong})
        assert caught.value.path == (item.name,)
        assert f"{wrong!r} is not allowed: must be a" in caught.value.problem


def test_each_bound_is_inclusive_or_exclusive_as_it_says():
    for made, item, wanted in NUMBERS:
        allowed, step = item.metadata["range"], 1 if wanted is int else 1e-9
        for bound, inside, outside in (
            (allowed.low, 0, -step),
            (allowed.high, 0, step),
            (allowed.above, step, 0),
            (allowed.below, -step, 0),
        ):
            if bound is not None:
                good = wanted(bound + inside)
                assert getattr(made(**{item.name: good}), item.name) == good
                with pytest.raises(ConfigError, match="is not allowed"):
                    made(**{item.name: wanted(bound + outside)})


def test_a_number_is_kept_in_its_fields_type():
    assert type(Adam(beta1=0).beta1) is float
    assert type(GradientPenalty(every=2.0).every) is int
    with pytest.raises(
        ConfigError, match=r"every: 2.5 is not allowed: must be a whole number >= 1"
    ):
        GradientPenalty(every=2.5)
    with pytest.raises(
        ConfigError, match=r"scale_by_every: 1 is not allowed: must be true or false"
    ):
        GradientPenalty(scale_by_every=1)


def test_a_wrong_choice_is_answered_with_the_nearest():
    with pytest.raises(UnknownName) as caught:
        GradientPenalty(sides="to")
    assert str(caught.value) == (
        "sides: unknown value 'to'; did you mean 'two'? (allowed: one, two)"
    )
    with pytest.raises(ConfigError, match=r"sides: 2 is not allowed: must be one of two, one"):
        GradientPenalty(sides=2)


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (
            "gradient_penalti",
            "unknown lipschitz 'gradient_penalti'; did you mean 'gradient_penalty'? (allowed: ",
        ),
        (
            {"gradient_penalty": {"wieght": 1}},
            "gradient_penalty.wieght: unknown field 'wieght'; did you mean 'weight'? "
            "(allowed: every, scale_by_every, sides, target, weight)",
        ),
        (
            {"weight_clipping": {"limit": 0}},
            "weight_clipping.limit: 0.0 is not allowed: must be a number > 0",
        ),
        (
            {"weight_clipping": [0.1]},
            "weight_clipping: [0.1] is not allowed: must be a mapping of fields",
        ),
        ({"weight_clipping": {1: 2}}, "weight_clipping.1: unknown field 1"),
    ],
)
def test_mistakes_are_answered_with_place_value_and_what_is_allowed(plain, message):
    with pytest.raises(ConfigError) as caught:
        LipschitzMethod.from_plain(plain)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("plain", [None, 3, [], {}, {"none": {}, "weight_clipping": {}}])
def test_what_is_no_component_is_refused(plain):
    with pytest.raises(ConfigError, match="is not allowed: give a name"):
        LipschitzMethod.from_plain(plain)


def test_a_component_of_another_family_is_refused():
    with pytest.raises(ConfigError):
        LipschitzMethod.from_plain(Adam())


def test_names_say_what_differs_from_the_defaults():
    assert str(GradientPenalty()) == "gradient_penalty"
    changed = GradientPenalty(weight=1, sides="one")
    assert str(changed) == "gradient_penalty(weight=1, sides=one)"


def test_two_components_of_one_name_are_refused_and_one_of_another_family_is_not():
    with unregistered_after(LipschitzMethod), unregistered_after(Loss):
        with pytest.raises(TypeError, match="two lipschitz components are called 'none'"):

            class Second(LipschitzMethod):
                name: ClassVar[str] = "none"

        class Other(Loss):
            name: ClassVar[str] = "none"

        assert Loss.named("none") is Other
        assert LipschitzMethod.named("none") is Unconstrained


def test_a_class_without_a_name_of_its_own_is_not_registered():
    class Intermediate(GradientPenalty):
        pass

    assert Intermediate not in LipschitzMethod.registry.values()


@dataclass(frozen=True)
class Grown(LipschitzMethod):
    """A method with a field that was added when results existed; not registered."""

    old: float = setting(1.0, "an old field")
    added: float = setting(2.0, "a new field", neutral=2.0)


def test_a_field_at_its_neutral_value_is_left_out_of_the_id():
    Grown.name = "grown"
    assert Grown().to_plain(for_id=True) == {"grown": {"old": 1.0}}
    assert Grown(added=3).to_plain(for_id=True) == {"grown": {"old": 1.0, "added": 3.0}}
    assert Grown().to_plain()["grown"]["added"] == 2.0


def test_build_names_the_path_to_a_mistake():
    with pytest.raises(ConfigError) as caught:
        build(GradientPenalty, {"weight": -1}, path=("base", "lipschitz"))
    assert caught.value.path == ("base", "lipschitz", "weight")
    assert caught.value.under("a.yaml").path[0] == "a.yaml"


@given(st.floats(allow_nan=False), st.floats(-10, 10), st.floats(-10, 10))
def test_a_range_holds_what_it_says(value, first, second):
    low, high = sorted((first, second))
    assert Range(low=low, high=high).holds(value) == (low <= value <= high)
    assert Range(above=low, below=high).holds(value) == (low < value < high)
    assert str(Range(low=low)) == f">= {low:.12g}"


def test_registries_of_families_are_separate():
    for left, right in itertools.combinations(FAMILIES, 2):
        assert left.registry is not right.registry
        assert not set(left.registry.values()) & set(right.registry.values())
