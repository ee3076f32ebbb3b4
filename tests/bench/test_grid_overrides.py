"""`--set` beats the file, `--only` chooses among its runs; both answer a slip in a sentence."""

import pytest

from bench.grid import SweepError, load

TEXT = """
name: x
base: {dataset: ring8, network: mlp, steps: 9}
grid:
  recipe: [gan, wgan]
  optimizer: [{adam: {lr: [1e-4, 1e-3]}}, rmsprop]
  seed: 0..1
evaluate: {metrics: [exact_w1]}
"""


@pytest.fixture
def sweep(tmp_path):
    def read(overrides=(), only=(), text=TEXT):
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return load(path, overrides, only)

    return read


def held(loaded, name):
    return sorted({getattr(run.config, name) for run in loaded.runs})


def test_set_beats_base(sweep):
    loaded = sweep(["steps=5"])
    assert held(loaded, "steps") == [5]
    assert len(loaded.runs) == 12


def test_set_replaces_an_axis_by_a_value_a_list_or_a_range(sweep):
    assert held(sweep(["seed=7"]), "seed") == [7]
    assert len(sweep(["seed=7"]).runs) == 6
    assert held(sweep(["seed=[3, 5]"]), "seed") == [3, 5]
    assert held(sweep(["seed=0..2"]), "seed") == [0, 1, 2]


def test_set_beats_the_recipe_and_every_part_of_the_grid(sweep):
    text = (
        "name: x\ngrid: [{recipe: wgan_gp, seed: 0}, {recipe: gan, critic_steps: [1, 2], seed: 1}]"
    )
    loaded = sweep(["critic_steps=3"], text=text)
    assert [(run.recipe, run.config.critic_steps) for run in loaded.runs] == [
        ("wgan_gp", 3),
        ("gan", 3),
    ]


def test_runs_that_set_makes_alike_are_one(sweep):
    loaded = sweep(["recipe=gan", "optimizer.adam.lr=1e-2"])
    assert [(run.label, run.config.seed) for run in loaded.runs] == [
        ("adam", 0),
        ("adam", 1),
        ("rmsprop", 0),
        ("rmsprop", 1),
    ]


def test_a_dotted_set_reaches_into_that_component_alone(sweep):
    loaded = sweep(["optimizer.adam.beta1=0.9", "network.mlp.width=8"])
    assert {
        (run.config.optimizer.name, getattr(run.config.optimizer, "beta1", None))
        for run in loaded.runs
    } == {("adam", 0.9), ("rmsprop", None)}
    assert {run.config.network.width for run in loaded.runs} == {8}
    assert {run.config.optimizer.lr for run in loaded.runs} == {1e-4, 1e-3, 5e-5}


def test_a_dotted_set_reaches_a_recipes_component_and_a_default(sweep):
    text = "name: x\ngrid: {recipe: [gan, wgan_gp]}"
    loaded = sweep(["lipschitz.gradient_penalty.weight=[1, 2]", "network.dcgan.width=4"], text=text)
    assert [(run.label, run.config.network.width) for run in loaded.runs] == [
        ("gan, none", 4),
        ("wgan_gp, gradient_penalty(weight=1)", 4),
        ("wgan_gp, gradient_penalty(weight=2)", 4),
    ]


def test_a_dotted_set_reaches_one_method_of_a_combination(sweep):
    text = "name: x\ngrid: {lipschitz: {all: [spectral_norm, gradient_penalty]}}"
    loaded = sweep(["lipschitz.gradient_penalty.every=4"], text=text)
    assert [method.every for method in loaded.runs[0].config.lipschitz] == [1, 4]


def test_set_reaches_the_sections(sweep):
    run = sweep(["evaluate.every=10", "evaluate.metrics=[modes]", "record.log_every=2"]).runs[0]
    assert (run.evaluate.every, run.evaluate.metrics, run.log_every) == (10, ("modes",), 2)


def test_an_exclusion_that_set_leaves_without_work_is_only_noted(sweep):
    text = TEXT + "exclude: [{where: {recipe: gan}, reason: r}]\n"
    loaded = sweep(["recipe=wgan"], text=text)
    assert len(loaded.runs) == 6
    assert len(loaded.notes) == 1
    assert loaded.notes[0].endswith(
        "s.yaml:9: no run matches recipe: gan: nothing to exclude (there are: wgan)"
    )


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("steps", "must be key=value, for example --set seed=0"),
        ("=3", "must be key=value, for example --set seed=0"),
        ("steps=-1", "steps: -1 is not allowed: must be a whole number >= 0"),
        ("steps=", "'steps' has no value"),
        ("seed=[]", "the list is empty: give at least one value"),
        ("seed=3..1", "'3..1' is empty: the range must rise, as in 1..3"),
        ("optimizer.adma.lr=1", "unknown optimizer 'adma'; did you mean 'adam'? (allowed: "),
        ("optimizer.adam.lrr=1", "unknown field 'lrr'; did you mean 'lr'? (allowed: "),
        (
            "optimizer.adam=1",
            "must be family.name.field=value, as in optimizer.adam.lr=...",
        ),
        ("optimizer.adam.lr=-1", "-1.0 is not allowed: must be a number > 0"),
        ("lipschitz.spectral_norm.every=2", "no run's lipschitz is spectral_norm"),
        ("stps=1", "unknown key 'stps'; did you mean 'steps'? (allowed: "),
        ("evaluate.evry=1", "unknown field 'evry'; did you mean 'every'? (allowed: "),
        ("evaluate.every=0", "every: 0 is not allowed: must be a whole number >= 1"),
        (
            "evaluate.metrics=[fid]",
            "evaluate.metrics: 'fid' does not fit the dataset ring8 (density); what fits: ",
        ),
        ("network=dcgan", "network: dcgan cannot make samples of shape (2,): "),
        ("steps=[1", "not valid YAML: "),
        ("name=y", "unknown key 'name'"),
    ],
)
def test_a_wrong_set_is_answered_with_the_option(sweep, option, expected):
    with pytest.raises(SweepError) as caught:
        sweep([option])
    assert str(caught.value).startswith(f"--set {option}: {expected}")


@pytest.mark.parametrize(
    ("only", "count"),
    [
        (["seed=0"], 6),
        (["seed=0..5"], 12),
        (["recipe=gan"], 6),
        (["recipe=gan,wgan"], 12),
        (["recipe=[gan, wgan]"], 12),
        (["recipe=gan", "recipe=wgan"], 12),
        (["recipe=gan", "seed=1", "optimizer=rmsprop"], 1),
        (["optimizer=adam"], 8),
        (["optimizer.adam.lr=1e-3"], 4),
        (["lipschitz=weight_clipping"], 6),
        (["lipschitz.weight_clipping.limit=0.01"], 6),
        (["label=gan, rmsprop"], 2),
        (["steps=9.0"], 12),
    ],
)
def test_only_keeps_what_matches(sweep, only, count):
    assert len(sweep(only=only).runs) == count


def test_only_finds_a_run_by_the_beginning_of_its_id(sweep):
    wanted = sweep().runs[5]
    assert sweep(only=[f"id={wanted.run_id[:6]}"]).runs == [wanted]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (
            ["recipe=gann"],
            "--only recipe=gann: no run has recipe 'gann'; did you mean 'gan'? "
            "(there are: gan, wgan)",
        ),
        (
            ["recipe=gan", "recipe=wgann"],
            "--only recipe=wgann: no run has recipe 'wgann'; did you mean 'wgan'? "
            "(there are: gan, wgan)",
        ),
        (["seed=2"], "--only seed=2: no run has seed '2' (there are: 0, 1)"),
        (
            ["label=gan, rmspro"],
            "--only label=gan, rmspro: no run has label 'gan, rmspro'; "
            "did you mean 'gan, rmsprop'? "
            "(there are: gan, adam(lr=0.0001); gan, adam(lr=0.001); gan, rmsprop; "
            "wgan, adam(lr=0.0001); wgan, adam(lr=0.001); wgan, rmsprop)",
        ),
        (["steps.x=1"], "--only steps.x=1: 'steps' has no parts: write steps=value"),
        (["seed"], "--only seed: must be key=value, for example --only seed=0"),
        (
            ["lipschitz=none", "recipe=wgan"],
            "--only lipschitz=none --only recipe=wgan: each matches some run, "
            "but no run matches them all",
        ),
    ],
)
def test_an_only_that_matches_nothing_says_what_there_is(sweep, only, expected):
    with pytest.raises(SweepError) as caught:
        sweep(only=only)
    assert str(caught.value) == expected


def test_an_unknown_key_of_only_names_the_nearest(sweep):
    with pytest.raises(SweepError) as caught:
        sweep(only=["sed=1"])
    assert str(caught.value).startswith("--only sed=1: unknown key 'sed'; did you mean 'seed'?")
