"""The evaluator: what it scores, under which protocol, and what it refuses."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.evaluate import EvaluateError, Evaluator
from bench.evaluate.class_gaussian import class_gaussian, class_pixel_gaussian
from bench.evaluate.keys import short_hash
from bench.records import CURVE_COLUMNS
from bench.spec import EvaluateSpec
from wgan.data import Digits, Images, Ring8, SwissRoll, as_float, as_pixels

SPEC = EvaluateSpec(samples=400)
MEASURED = {"id", "floor", "floor_extrapolated", "floor_extrapolated_error", "baselines"}


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def evaluator(digits, cache):
    return Evaluator(SPEC, Digits(), digits, cache)


def noise(count=400, seed=0):
    return 2 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) - 1


def some(data, count, seed=0):
    return data.batch(count, torch.Generator().manual_seed(seed))


def test_every_score_has_a_column_of_its_own(evaluator, digits, cache):
    images = evaluator.score(noise())
    points = Evaluator(SPEC, Ring8(), Ring8().load(), cache).score(some(Ring8().load(), 400))
    assert set(images) == {"fid", "kid", "inception_score", "precision", "recall"}
    assert set(points) == {
        "exact_w1",
        "modes_covered",
        "high_quality_share",
        "mode_reverse_kl",
    }
    assert {*images, *points} <= set(CURVE_COLUMNS)
    assert all(type(value) is float for value in (*images.values(), *points.values()))


def test_better_samples_score_better(evaluator, digits):
    real = evaluator.score(some(digits, 400))
    noisy = evaluator.score(some(digits, 400) + 0.5 * noise())
    bad = evaluator.score(noise())
    gaussian = evaluator.protocol["baselines"]["class_gaussian"]
    for metric in ("fid", "kid"):
        assert real[metric] < noisy[metric] < bad[metric]
        assert evaluator.protocol["floor"][metric] < gaussian[metric] < bad[metric]
    assert real["inception_score"] > noisy["inception_score"] > bad["inception_score"]
    assert real["precision"] == 1 > noisy["precision"] > bad["precision"]


def test_the_reference_is_the_training_split(digits, cache):
    spec = EvaluateSpec(samples=len(digits.train), metrics=("fid", "precision_recall"))
    evaluator = Evaluator(spec, Digits(), digits, cache)
    itself = evaluator.score(as_float(digits.train))
    assert itself["fid"] == pytest.approx(0, abs=1e-3)
    assert (itself["precision"], itself["recall"]) == (1, 1)
    assert evaluator.protocol["n_real"] == len(digits.train) == 1437


def test_the_floor_is_the_held_out_split_scored_as_if_generated(evaluator, digits, cache):
    protocol = Evaluator(replace(SPEC, samples=360), Digits(), digits, cache).protocol
    assert protocol["n_floor"] == protocol["n_fake"] == 360
    same = Evaluator(replace(SPEC, samples=360), Digits(), digits, cache)
    assert same.score(as_float(digits.held_out)) == pytest.approx(protocol["floor"], rel=1e-9)
    assert same.floor_quality == protocol["floor"]["fid"]
    assert protocol["floor_extrapolated"] == {}  # equal counts already


def test_a_floor_of_fewer_samples_says_so_and_is_extrapolated(evaluator):
    protocol = evaluator.protocol
    assert (protocol["n_floor"], protocol["n_fake"]) == (360, 400)
    estimated = protocol["floor_extrapolated"]
    assert estimated["fid"] < protocol["floor"]["fid"]
    assert 0 < protocol["floor_extrapolated_error"]["fid"] < protocol["floor"]["fid"]


def test_a_large_held_out_split_gives_a_floor_at_equal_counts(digits, cache):
    swapped = replace(
        digits,
        train=digits.held_out,
        held_out=digits.train,
        train_labels=digits.held_out_labels,
        held_out_labels=digits.train_labels,
    )
    protocol = Evaluator(EvaluateSpec(samples=200), Digits(), swapped, cache).protocol
    assert protocol["n_floor"] == protocol["n_fake"] == 200


def test_scoring_twice_gives_the_same_and_touches_nothing(evaluator):
    fake, state, numpy_state = noise(), torch.get_rng_state(), np.random.get_state()[1].copy()
    before = fake.clone()
    assert evaluator.score(fake) == evaluator.score(fake)
    assert torch.equal(fake, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_building_an_evaluator_leaves_the_global_streams_alone(digits, tmp_path):
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    Evaluator(replace(SPEC, samples=64), Digits(), digits, tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_fakes_are_scored_as_the_pixels_they_would_be_saved_as(evaluator):
    fake = 1.3 * noise()
    assert evaluator.score(fake) == evaluator.score(as_float(as_pixels(fake)))


def test_a_warm_cache_changes_no_number(evaluator, digits, cache):
    again = Evaluator(SPEC, Digits(), digits, cache)
    assert again.protocol == evaluator.protocol
    assert again.score(noise()) == evaluator.score(noise())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_samples_that_are_not_finite_have_no_scores(evaluator, cache, bad):
    fake = noise()
    fake[3, 0, 2, 2] = bad
    scores = evaluator.score(fake)
    assert set(scores) == set(evaluator.score(noise()))
    assert all(math.isnan(value) for value in scores.values())
    points = some(Ring8().load(), 400)
    points[7, 1] = bad
    ring = Evaluator(SPEC, Ring8(), Ring8().load(), cache)
    assert all(math.isnan(value) for value in ring.score(points).values())


def test_a_constant_generator_has_finite_scores(evaluator):
    for value in (-1.0, 0.0, 1.0):
        scores = evaluator.score(torch.full((400, 1, 8, 8), value))
        assert all(math.isfinite(score) for score in scores.values())
        assert scores["fid"] > 10 * evaluator.floor_quality
        assert scores["inception_score"] == pytest.approx(1, abs=1e-6)


def test_another_number_or_shape_of_samples_is_refused(evaluator):
    for fake in (noise(399), torch.zeros(400, 3, 8, 8), torch.zeros(400, 64)):
        with pytest.raises(EvaluateError, match=r"the protocol says \(400, 1, 8, 8\)"):
            evaluator.score(fake)


def test_quality_is_fid_for_images_and_w1_for_points(evaluator, digits, cache):
    assert evaluator.quality({"fid": 2.0, "kid": 3.0}) == 2
    ring = Evaluator(SPEC, Ring8(), Ring8().load(), cache)
    assert ring.quality({"exact_w1": 0.5, "modes_covered": 8.0}) == 0.5
    without = Evaluator(replace(SPEC, metrics=("kid",)), Digits(), digits, cache)
    assert without.floor_quality is None
    assert without.quality(without.score(noise())) is None


# The protocol.


def test_the_protocol_is_plain_json_and_its_id_is_that_of_what_scores_depend_on(evaluator):
    protocol = json.loads(json.dumps(evaluator.protocol, allow_nan=False))
    assert protocol == evaluator.protocol
    settings = {key: value for key, value in protocol.items() if key not in MEASURED}
    assert protocol["id"] == short_hash(settings, 8)
    assert {
        "dataset",
        "split",
        "n_real",
        "n_fake",
        "n_floor",
        "extractor",
        "weights_hash",
        "image_range",
        "resizing",
        "quantisation",
        "kid_subset_size",
        "kid_subsets",
        "torch_fidelity",
        "ema",
    } <= set(settings)


def test_only_what_scores_depend_on_changes_the_id(evaluator, digits, cache):
    def protocol_id(data=digits, **changes):
        return Evaluator(replace(SPEC, **changes), Digits(), data, cache).protocol["id"]

    own = evaluator.protocol["id"]
    everything = ("precision_recall", "inception_score", "kid", "fid")
    assert protocol_id(every=7, metrics=everything, extractor="digits_cnn") == own
    other = replace(digits, train=digits.train.flip(0))
    ids = [
        own,
        protocol_id(samples=401),
        protocol_id(kid_subset_size=50),
        protocol_id(metrics=("fid",)),
        protocol_id(data=other),
    ]
    assert len(set(ids)) == len(ids)
    assert protocol_id(metrics=("fid",), kid_subset_size=50) == protocol_id(metrics=("fid",))


def test_a_density_s_settings_are_part_of_its_protocol(cache):
    near, far = Ring8(radius=1.0), Ring8()
    ids = {Evaluator(SPEC, ring, ring.load(), cache).protocol["id"] for ring in (near, far)}
    assert len(ids) == 2


def test_kid_subsets_are_no_larger_than_what_is_there(digits, cache):
    spec = EvaluateSpec(samples=40, kid_subset_size=1000, metrics=("kid",))
    evaluator = Evaluator(spec, Digits(), digits, cache)
    assert evaluator.protocol["kid_subset_size"] == 40
    assert math.isfinite(evaluator.score(noise(40))["kid"])


def test_what_digits_and_densities_without_modes_were_scored_by_keeps_its_id(evaluator, cache):
    # Run folders of earlier versions hold these: the usual metrics and their settings are the same.
    digits = Evaluator(EvaluateSpec(), Digits(), Digits().load(), cache).protocol
    settings = {key: value for key, value in digits.items() if key not in MEASURED}
    assert short_hash({**settings, "torch_fidelity": "0.4.0"}, 8) == "dd11ec9c"
    roll = Evaluator(EvaluateSpec(), SwissRoll(), SwissRoll().load(), cache).protocol
    assert roll["id"] == "db50418a"
    # A ring's modes have one column more, which earlier rows lack.
    ring = Evaluator(EvaluateSpec(), Ring8(), Ring8().load(), cache).protocol
    assert ring["id"] != "0b9f8a88"


def test_averaged_weights_are_part_of_the_protocol_and_change_no_score(evaluator, digits, cache):
    averaged = Evaluator(SPEC, Digits(), digits, cache, ema=True)
    assert averaged.protocol["ema"] is True
    assert evaluator.protocol["ema"] is False
    assert averaged.protocol["id"] != evaluator.protocol["id"]
    assert averaged.score(noise()) == evaluator.score(noise())
    ring = Ring8().load()
    ids = {
        Evaluator(SPEC, Ring8(), ring, cache, ema=ema).protocol["id"] for ema in (False, True, True)
    }
    assert len(ids) == 2


# Metrics on request.

EVERY = ("fid", "density_coverage", "sliced_wasserstein", "modes")


@pytest.fixture(scope="module")
def full(digits, cache):
    return Evaluator(replace(SPEC, metrics=EVERY), Digits(), digits, cache)


def test_metrics_on_request_fill_their_columns_and_say_how(full, evaluator):
    scores = full.score(noise())
    assert set(scores) == {
        "fid",
        "density",
        "coverage",
        "sliced_wasserstein",
        "modes_covered",
        "mode_reverse_kl",
    }
    assert set(scores) <= set(CURVE_COLUMNS)
    assert full.protocol["density_coverage_neighbours"] == 5
    assert full.protocol["density_coverage_reals"] == full.protocol["n_fake"] == 400
    assert full.protocol["sliced_wasserstein_reals"] == 400
    assert full.protocol["coverage_expected"] == pytest.approx(0.97, abs=0.002)
    assert "7x7" in full.protocol["sliced_wasserstein"]
    assert full.protocol["modes"] == 10
    assert not {"sliced_wasserstein", "modes", "coverage_expected"} & set(evaluator.protocol)


def test_better_samples_score_better_by_the_metrics_on_request(full, digits):
    real = full.score(some(digits, 400))
    noisy = full.score(some(digits, 400) + 0.5 * noise())
    bad = full.score(noise())
    assert real["density"] > noisy["density"] > bad["density"]
    assert real["coverage"] > noisy["coverage"] > bad["coverage"]
    assert real["sliced_wasserstein"] < noisy["sliced_wasserstein"] < bad["sliced_wasserstein"]
    assert real["mode_reverse_kl"] < 0.05 < bad["mode_reverse_kl"]
    assert real["modes_covered"] == 10
    assert full.protocol["floor"]["density"] == pytest.approx(1, abs=0.15)
    assert full.protocol["floor"]["modes_covered"] == 10


def test_dropping_classes_shows_in_modes_and_coverage_and_not_in_density(full, digits):
    zeros = digits.train[digits.train_labels == 0]
    chosen = torch.randint(len(zeros), (400,), generator=torch.Generator().manual_seed(0))
    scores = full.score(as_float(zeros[chosen]))
    assert scores["modes_covered"] == 1
    share = (digits.train_labels == 0).double().mean().item()
    assert scores["mode_reverse_kl"] == pytest.approx(-math.log(share))
    assert scores["coverage"] < 0.15
    assert scores["density"] > 0.8


def test_metrics_on_request_are_finite_for_a_constant_generator(full):
    for value in (-1.0, 0.0, 1.0):
        scores = full.score(torch.full((400, 1, 8, 8), value))
        assert all(math.isfinite(score) for score in scores.values())
        assert scores["modes_covered"] == 1
        assert scores["coverage"] < 0.05


class Stacked:
    """A stand-in for the description of the stacked digits."""

    name, version, shape = "stacked_digits", 1, (3, 8, 8)

    def to_plain(self, **_):
        return {"stacked_digits": {}}

    def whole(self):
        return self


@pytest.fixture(scope="module")
def stacks(digits):
    def draw(pixels, labels, count, seed):
        rng = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(pixels), (count, 3), generator=rng)
        return pixels[chosen, 0], labels[chosen] @ torch.tensor([100, 10, 1])

    train, labels = draw(digits.train, digits.train_labels, 1500, 0)
    held_out, held_out_labels = draw(digits.held_out, digits.held_out_labels, 300, 1)
    return Images("stacked_digits", train, held_out, labels, held_out_labels)


def test_stacks_are_scored_by_their_thousand_modes_too(stacks, tmp_path):
    evaluator = Evaluator(EvaluateSpec(samples=300), Stacked(), stacks, tmp_path)
    protocol = evaluator.protocol
    assert protocol["metrics"] == ["fid", "kid", "inception_score", "precision_recall", "modes"]
    assert (protocol["extractor"], protocol["feature_size"]) == ("digits_cnn", 192)
    assert protocol["modes"] == 1000
    floor = protocol["floor"]
    # 300 draws of 1,000 equally likely modes.
    assert floor["modes_covered"] == pytest.approx(1000 * (1 - 0.999**300), rel=0.1)
    assert 1 < floor["mode_reverse_kl"] < 1.5
    assert 20 < floor["inception_score"] < 30  # at most the samples in a split
    same = as_float(stacks.train[:1].expand(300, -1, -1, -1))
    collapsed = evaluator.score(same)
    assert collapsed["modes_covered"] == 1
    assert collapsed["mode_reverse_kl"] == pytest.approx(math.log(1000), abs=0.5)
    assert collapsed["inception_score"] == pytest.approx(1, abs=1e-5)


# What is refused.


@pytest.mark.parametrize(
    ("dataset", "metric", "fits"),
    [
        (
            Digits(),
            "exact_w1",
            "fid, kid, inception_score, precision_recall, density_coverage, sliced_wasserstein, "
            "modes",
        ),
        (Ring8(), "fid", "exact_w1, sliced_wasserstein, modes"),
        (Ring8(), "density_coverage", "exact_w1, sliced_wasserstein, modes"),
        (SwissRoll(), "modes", "exact_w1, sliced_wasserstein"),
        (Ring8(std=0.0), "modes", "exact_w1, sliced_wasserstein"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_those_that_do(dataset, metric, fits, tmp_path):
    with pytest.raises(EvaluateError, match=rf"{metric}.*{dataset.name}.*what fits: {fits}$"):
        Evaluator(EvaluateSpec(metrics=(metric,)), dataset, dataset.load(), tmp_path)


def test_modes_are_left_out_where_there_are_none(tmp_path):
    roll = Evaluator(SPEC, SwissRoll(), SwissRoll().load(), tmp_path)
    assert roll.protocol["metrics"] == ["exact_w1"]
    assert set(roll.score(some(SwissRoll().load(), 400))) == {"exact_w1"}


def test_modes_of_images_need_their_own_classifier(digits, tmp_path):
    spec = EvaluateSpec(metrics=("modes",), extractor="inception")
    with pytest.raises(EvaluateError, match=r"'modes' does not fit the dataset digits \(images\)"):
        Evaluator(spec, Digits(), digits, tmp_path)


def test_modes_of_images_need_labels_and_all_of_them(digits, tmp_path):
    spec = EvaluateSpec(samples=64, metrics=("modes",))
    unlabelled = Images("digits", digits.train, digits.held_out)
    with pytest.raises(EvaluateError, match="'modes' needs labels, and the dataset has none"):
        Evaluator(spec, Digits(), unlabelled, tmp_path)
    known = digits.train_labels != 4
    no_four = replace(digits, train=digits.train[known], train_labels=digits.train_labels[known])
    with pytest.raises(EvaluateError, match="1 of the 10 modes never occur in the 12"):
        Evaluator(spec, Digits(), no_four, tmp_path)


def test_too_few_images_are_refused_with_their_number(digits, tmp_path):
    few = replace(digits, held_out=digits.held_out[:5])
    with pytest.raises(EvaluateError, match="5 held-out images are too few"):
        Evaluator(SPEC, Digits(), few, tmp_path)


def test_images_without_labels_have_no_class_baseline(digits, cache):
    unlabelled = Images("digits", digits.train, digits.held_out)
    protocol = Evaluator(SPEC, Digits(), unlabelled, cache).protocol
    assert protocol["baselines"] == {}
    assert protocol["floor"]["fid"] > 0


# The baseline.


def test_a_class_gaussian_has_the_classes_means_covariances_and_shares():
    rng = torch.Generator().manual_seed(1)
    mixing = torch.tensor([[20.0, 0.0], [15.0, 5.0]])
    classes = [
        (torch.randn(n, 2, generator=rng) @ mixing.T + torch.tensor(centre)).round().to(torch.uint8)
        for n, centre in ((300, [90.0, 90.0]), (100, [160.0, 160.0]))
    ]
    pixels = torch.cat(classes).view(-1, 1, 1, 2)
    labels = torch.tensor([0] * 300 + [1] * 100)
    drawn = class_gaussian(pixels, labels, 40_000).view(-1, 2).double()
    for part, members in ((drawn[:30_000], classes[0]), (drawn[30_000:], classes[1])):
        members = members.double()
        assert torch.allclose(part.mean(0), members.mean(0), atol=0.7)
        # Rounding adds 1/12 to each variance.
        assert torch.allclose(torch.cov(part.T), torch.cov(members.T), rtol=0.05, atol=0.3)


def test_a_class_pixel_gaussian_has_each_pixels_mean_and_variance_and_nothing_else():
    rng = torch.Generator().manual_seed(1)
    first = 100 + 30 * torch.randn(400, 1, generator=rng)
    pixels = torch.cat([first, 0.5 * first + 40], dim=1).round().to(torch.uint8)
    drawn = class_pixel_gaussian(pixels.view(-1, 1, 1, 2), torch.zeros(400), 40_000).view(-1, 2)
    drawn, pixels = drawn.double(), pixels.double()
    assert torch.allclose(drawn.mean(0), pixels.mean(0), atol=0.5)
    assert torch.allclose(drawn.std(0), pixels.std(0), rtol=0.03)
    assert torch.corrcoef(pixels.T)[0, 1] > 0.99
    assert abs(torch.corrcoef(drawn.T)[0, 1]) < 0.02


def test_a_class_gaussian_gives_exactly_the_number_asked_and_never_leaves_the_range(digits):
    for count in (1, 7, 401):
        assert class_gaussian(digits.train, digits.train_labels, count).shape == (count, 1, 8, 8)
    constant = torch.full((20, 1, 8, 8), 255, dtype=torch.uint8)
    assert torch.equal(
        class_gaussian(constant, torch.zeros(20), 30), constant[:1].expand(30, 1, 8, 8)
    )


# Imports.

LIGHT = """
import sys
from pathlib import Path
from bench.evaluate import Evaluator
from bench.spec import EvaluateSpec
from wgan.data import Ring8
Evaluator(EvaluateSpec(samples=50), Ring8(), Ring8().load(), Path("unused"))
heavy = {"torch_fidelity", "torchvision", "sklearn", "pandas"} & set(sys.modules)
assert not heavy, heavy
from wgan.data.torchvision_operators import declare_missing_operators
declare_missing_operators()
import torch_fidelity, torchvision.transforms
"""


def test_densities_load_no_metric_library_and_loading_it_warns_of_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIGHT], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
