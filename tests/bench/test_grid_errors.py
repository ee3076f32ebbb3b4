"""Every mistake is answered by file, line, value, what is allowed and the nearest match."""

import dataclasses

import pytest

from bench.grid import SweepError, load
from bench.grid.settings import FAMILIES, FIELDS
from bench.spec import EvaluateSpec
from wgan.components import Component
from wgan.recipes import RECIPES

HEAD = "name: x\nquestion: q\n"  # lines 1 and 2
GRID = "grid: {seed: 0..1}\n"


def listed(names):
    return f"(allowed: {', '.join(sorted(names))})"


def fields_of(component):
    return listed(item.name for item in dataclasses.fields(component))


def known(family):
    return listed(FAMILIES[family].registry)


ADAM, PENALTY = FAMILIES["optimizer"].named("adam"), FAMILIES["lipschitz"].named("gradient_penalty")
SECTIONS = "name, question, base, grid, exclude, evaluate, record, claims"

BAD = {
    # Keys
    "misspelt field": (
        HEAD + "base:\n  n_critc: 5\n" + GRID,
        f"4: unknown field 'n_critc'; did you mean 'critic_steps'? {listed(FIELDS)}",
    ),
    "misspelt field in the grid": (
        HEAD + "grid:\n  seed: 0\n  batchsize: 4\n",
        f"5: unknown field 'batchsize'; did you mean 'batch_size'? {listed(FIELDS)}",
    ),
    "what others call it": (
        HEAD + "grid: {lr: 1e-3}\n",
        f"3: unknown field 'lr'; did you mean 'optimizer'? {listed(FIELDS)}",
    ),
    "misspelt field of a component": (
        HEAD + "base:\n  optimizer:\n    adam:\n      lrr: 1\n" + GRID,
        f"6: optimizer.adam: unknown field 'lrr'; did you mean 'lr'? {fields_of(ADAM)}",
    ),
    "unknown section": (
        HEAD + GRID + "evalute: {every: 5}\n",
        f"4: unknown field 'evalute'; did you mean 'evaluate'? {listed(SECTIONS.split(', '))}",
    ),
    "a setting at the top": (
        HEAD + "steps: 5\n" + GRID,
        "3: 'steps' must stand under 'base' or 'grid'",
    ),
    "a misspelt setting at the top": (
        HEAD + "seeds: 5\n" + GRID,
        "3: unknown field 'seeds'; did you mean 'seed' under 'base' or 'grid'?",
    ),
    "duplicate key": (
        HEAD + "base:\n  steps: 1\n  steps: 2\n" + GRID,
        "5: duplicate key 'steps' (first on line 4)",
    ),
    "a list as a key": (
        HEAD + "? [a]\n: 1\n",
        "3: a list or mapping cannot be a key: must be a word",
    ),
    # Values
    "wrong type": (
        HEAD + "base: {steps: many}\n" + GRID,
        "3: steps: 'many' is not allowed: must be a whole number >= 0",
    ),
    "half a step": (
        HEAD + "base: {steps: 1.5}\n" + GRID,
        "3: steps: 1.5 is not allowed: must be a whole number >= 0",
    ),
    "negative steps": (
        HEAD + "base:\n  batch_size: 4\n  steps: -3\n" + GRID,
        "5: steps: -3 is not allowed: must be a whole number >= 0",
    ),
    "a number in quotes": (
        HEAD + "base: {optimizer: {adam: {lr: '1e-4'}}}\n" + GRID,
        "3: optimizer.adam.lr: '1e-4' is not allowed: must be a number > 0",
    ),
    "not a number": (
        HEAD + "base: {optimizer: {adam: {lr: .nan}}}\n" + GRID,
        "3: optimizer.adam.lr: nan is not allowed: must be a number > 0",
    ),
    "a number out of all range": (
        HEAD + "grid: {seed: 99999999999999999999}\n",
        "3: '99999999999999999999' is not allowed: no such number fits here",
    ),
    "no value": (HEAD + "base:\n  steps:\n" + GRID, "4: 'steps' has no value"),
    "unknown choice": (
        HEAD + "base: {critic_norm: bach}\n" + GRID,
        "3: critic_norm: unknown value 'bach'; did you mean 'batch'? "
        + listed(["none", "batch", "layer", "instance", "group"]),
    ),
    "a list where a number belongs": (
        HEAD + "base: {steps: [1, 2]}\n" + GRID,
        "3: steps: [1, 2] is not allowed here: a list belongs in 'grid'",
    ),
    "a list in a component outside the grid": (
        HEAD + "base: {optimizer: {adam: {lr: [1, 2]}}}\n" + GRID,
        "3: optimizer.adam.lr: [1, 2] is not allowed here: a list belongs in 'grid'",
    ),
    "a range outside the grid": (
        HEAD + "base: {seed: 0..4}\n" + GRID,
        "3: seed: '0..4' is not allowed here: a range belongs in 'grid'",
    ),
    "a list in a list": (
        HEAD + "grid: {seed: [[1, 2]]}\n",
        "3: seed: [1, 2] is not allowed: a list within a list",
    ),
    "a range that falls": (
        HEAD + "grid: {seed: 4..0}\n",
        "3: '4..0' is empty: the range must rise, as in 0..4",
    ),
    "the line of the entry at fault": (
        HEAD
        + "grid:\n  lipschitz:\n    - none\n    - weight_clipping:\n        limit:\n"
        + "          - 0.01\n          - 0\n",
        "9: lipschitz.weight_clipping.limit: 0.0 is not allowed: must be a number > 0",
    ),
    # Names
    "unknown data set": (
        HEAD + "base: {dataset: digts}\n" + GRID,
        f"3: unknown dataset 'digts'; did you mean 'digits'? {known('dataset')}",
    ),
    "unknown recipe": (
        HEAD + "grid:\n  recipe:\n    - gan\n    - wgan-gp\n",
        f"6: unknown recipe 'wgan-gp'; did you mean 'wgan_gp'? {listed(RECIPES)}",
    ),
    "unknown method": (
        HEAD + "grid: {lipschitz: spectralnorm}\n",
        "3: unknown Lipschitz method 'spectralnorm'; did you mean 'spectral_norm'? "
        + known("lipschitz"),
    ),
    "unknown method in a combination": (
        HEAD + "grid:\n  lipschitz:\n   - {all: [spectral_nrm, none]}\n",
        "5: lipschitz.all: unknown Lipschitz method 'spectral_nrm'; did you mean 'spectral_norm'? "
        + known("lipschitz"),
    ),
    "a method twice": (
        HEAD + "grid: {lipschitz: {all: [spectral_norm, spectral_norm]}}\n",
        "3: lipschitz: spectral_norm+spectral_norm is not allowed: a method stands twice",
    ),
    # Settings that do not fit each other
    "images for points": (
        HEAD + "base:\n  network: dcgan\ngrid:\n  dataset: [digits, ring8]\n",
        "4: network: dcgan cannot make samples of shape (2,): square images of 8, 16, 28, 32, 48, "
        "64 pixels only (in the run dataset: ring8)",
    ),
    "the default network for points": (
        HEAD + "base:\n  dataset: ring8\n" + GRID,
        "4: network: dcgan cannot make samples of shape (2,): square images of 8, 16, 28, 32, 48, "
        "64 pixels only (in the run seed: 0; network is not set: its default is used)",
    ),
    "a metric that does not fit": (
        HEAD + "grid: {dataset: digits}\nevaluate:\n  metrics: [fid, exact_w1]\n",
        "5: evaluate.metrics: 'exact_w1' does not fit the dataset digits (images); "
        "what fits: fid, kid, inception_score, precision_recall, density_coverage, "
        "sliced_wasserstein, modes; without 'metrics' every run has the usual ones",
    ),
    # Grids
    "no grid": (HEAD, ": 'grid' is missing: the axes, e.g. grid: {seed: 0..2}"),
    "an empty grid": (
        HEAD + "grid: {}\n",
        "3: the grid is empty: give at least one axis, e.g. seed: 0..2",
    ),
    "a grid of nothing": (
        HEAD + "grid:\n",
        "3: the grid is empty: give at least one axis, e.g. seed: 0..2",
    ),
    "an empty axis": (
        HEAD + "grid: {seed: []}\n",
        "3: seed: the list is empty: give at least one value",
    ),
    "an empty part of a grid": (
        HEAD + "grid:\n  - {seed: 0}\n  - {}\n",
        "5: '{}' is not allowed: grid must be a mapping of axes, or a list of them",
    ),
    "everything excluded": (
        HEAD + GRID + "exclude: [{where: {seed: 0..1}, reason: all}]\n",
        "4: all 2 runs of the grid are excluded",
    ),
    "too many runs": (
        HEAD + "grid: {seed: 0..999, steps: 1..999}\n",
        "3: grid makes 999,000 runs: at most 100,000 are allowed",
    ),
    "a range without end": (
        HEAD + "grid: {seed: 0..1000000000}\n",
        "3: seed makes 1,000,000,001 runs: at most 100,000 are allowed",
    ),
    # The same run twice
    "an entry twice": (
        HEAD + "grid:\n  recipe:\n    - gan\n    - gan\n  seed: 0..1\n",
        "6: recipe: gan (line 6) makes the same run as recipe: gan (line 5): leave one of them out",
    ),
    "a default written out": (
        HEAD + "grid:\n  optimizer:\n    - adam\n    - adam: {beta1: 0.5}\n",
        "6: optimizer: {adam: {beta1: 0.5}} (line 6) makes the same run as optimizer: adam "
        "(line 5): leave one of them out",
    ),
    "two parts of the grid overlap": (
        HEAD + "grid:\n  - {recipe: gan, seed: 0..2}\n  - {recipe: [gan, wgan], seed: 2}\n",
        "5: the run recipe: gan, seed: 2 is already made by the part of the grid on line 4: "
        "leave one of them out",
    ),
    # Exclusions
    "an exclusion of nothing": (
        HEAD + GRID + "exclude:\n  - where: {seed: 7}\n    reason: x\n",
        "5: no run matches seed: 7: nothing to exclude (there are: 0, 1)",
    ),
    "an exclusion with one wrong condition": (
        HEAD + "grid: {seed: 0..1, steps: [1, 2]}\n"
        "exclude: [{where: {seed: 0, steps: 3}, reason: x}]\n",
        "4: no run matches steps of seed: 0, steps: 3: nothing to exclude (there are: 1, 2)",
    ),
    "an exclusion whose conditions never meet": (
        HEAD + "grid: [{seed: 0, steps: 1}, {seed: 1, steps: 2}]\n"
        "exclude: [{where: {seed: 0, steps: 2}, reason: x}]\n",
        "4: no run has all of seed: 0, steps: 2: nothing to exclude",
    ),
    "an exclusion without a reason": (
        HEAD + GRID + "exclude: [{where: {seed: 0}}]\n",
        "4: an exclusion needs 'reason', a text that the report can show",
    ),
    "an exclusion without a condition": (
        HEAD + GRID + "exclude: [{reason: x}]\n",
        "4: an exclusion needs 'where', the settings that it means",
    ),
    "an exclusion that is no list": (
        HEAD + GRID + "exclude: {where: {seed: 0}}\n",
        "4: exclude must be a list of {where: {field: value}, reason: text}",
    ),
    "an exclusion of an unknown field": (
        HEAD + GRID + "exclude: [{where: {sed: 0}, reason: x}]\n",
        f"4: unknown field 'sed'; did you mean 'seed'? {listed(FIELDS)}",
    ),
    "an exclusion of a method's unknown field": (
        HEAD
        + GRID
        + "exclude: [{where: {lipschitz: {gradient_penalty: {weigth: 1}}}, reason: x}]\n",
        "4: lipschitz.gradient_penalty: unknown field 'weigth'; did you mean 'weight'? "
        + fields_of(PENALTY),
    ),
    "an exclusion of a value that cannot be": (
        HEAD + GRID + "exclude: [{where: {steps: -1}, reason: x}]\n",
        "4: steps: -1 is not allowed: must be a whole number >= 0",
    ),
    # Other sections
    "unknown field of evaluate": (
        HEAD + GRID + "evaluate: {evry: 3}\n",
        f"4: unknown field 'evry'; did you mean 'every'? {fields_of(EvaluateSpec)}",
    ),
    "evaluation at every 0 steps": (
        HEAD + GRID + "evaluate:\n  every: 0\n",
        "5: evaluate.every: 0 is not allowed: must be a whole number >= 1",
    ),
    "metrics that are no list": (
        HEAD + GRID + "evaluate: {metrics: fid}\n",
        "4: evaluate.metrics: 'fid' is not allowed: must be a list of metrics",
    ),
    "evaluate that is no mapping": (
        HEAD + GRID + "evaluate: [1]\n",
        "4: '[1]' is not allowed: evaluate must be a mapping",
    ),
    "logging at every 0 steps": (
        HEAD + GRID + "record: {log_every: 0}\n",
        "4: record.log_every: 0 is not allowed: must be a whole number >= 1",
    ),
    "claims that are no list": (
        HEAD + GRID + "claims: tracks\n",
        "4: claims: 'tracks' is not allowed: must be a list of words",
    ),
    "no name": (GRID, ": 'name' is missing: a word, the name of the results' folder"),
    "a name that leads elsewhere": (
        "name: ../up\n" + GRID,
        "1: name: '../up' is not allowed: must be a word fit for a folder "
        "(letters, digits and _ . + -, a letter or digit first, 64 at most)",
    ),
    "a name that is taken": (
        "name: reference\n" + GRID,
        "1: name: 'reference' is taken by the repository's own results",
    ),
    # Not YAML, or not ours
    "empty": ("", f": the file is empty (it holds {SECTIONS})"),
    "only a comment": ("# later\n", f": the file is empty (it holds {SECTIONS})"),
    "a list at the top": (
        "- a\n- b\n",
        ": '[a, b]' is not allowed: a sweep file must be a mapping",
    ),
    "a tab": ("name: x\ngrid:\n\tseed: 1\n", "3: a tab cannot indent YAML: use spaces"),
    "an open bracket": (
        "name: x\ngrid: {seed: 0\n",
        "3: not valid YAML: expected ',' or '}', but got '<stream end>' "
        "while parsing a flow mapping",
    ),
    "a colon too many": (
        "name: x: y\n",
        "1: not valid YAML: mapping values are not allowed here",
    ),
    "two documents": (
        HEAD + GRID + "---\na: b\n",
        "4: a second document begins here ('---'): a sweep file holds one",
    ),
    "an older YAML": (
        "%YAML 1.1\n---\nname: x\n" + GRID,
        "1: '%YAML 1.1' is not allowed: must be YAML 1.2",
    ),
    "a tag that runs code": (
        "name: !!python/name:os.system x\n" + GRID,
        "1: the tag '!!python/name:os.system' is not allowed: plain YAML only",
    ),
    "a tag of one's own": (
        "name: x\nbase: !mine {a: 1}\n" + GRID,
        "2: the tag '!mine' is not allowed: plain YAML only",
    ),
    "a control character": ("name: \x01x\n", r"1: the character '\x01' is not allowed"),
    "nested without end": (
        HEAD + "grid: " + "[" * 40 + "]" * 40,
        "3: nested deeper than 24 levels",
    ),
    "nested beyond the parser": (HEAD + "grid: " + "{a: " * 2000, ": nested deeper than 24 levels"),
    "an alias within itself": (
        HEAD + "base: &a {optimizer: *a}\n" + GRID,
        "3: nested deeper than 24 levels",
    ),
    "an alias bomb": (
        "name: x\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
        "2: more than 200,000 values, aliases written out",
    ),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_answered_with_its_place_and_what_is_allowed(mistake, tmp_path, monkeypatch):
    text, expected = BAD[mistake]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(SweepError) as caught:
        load((tmp_path / "s.yaml").relative_to(tmp_path))
    place = "s.yaml" if expected.startswith(":") else "s.yaml:"
    assert str(caught.value) == place + expected


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_refuses_an_unknown_name(family, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(f"name: x\ngrid: {{{family}: qqqq}}\n")
    with pytest.raises(SweepError, match=r"s\.yaml:2: unknown .* 'qqqq' \(allowed: "):
        load(path)
    assert issubclass(FAMILIES[family], Component)
