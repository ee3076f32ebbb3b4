"""Scores of points and of modes: against closed forms, scipy and hand-made samples."""

import math

import pytest
import torch
from scipy.stats import entropy, special_ortho_group

from bench.evaluate import Evaluator
from bench.evaluate.modes import class_mode_scores, class_shares, mode_scores, reverse_kl
from bench.evaluate.points import W1_POINTS, distance_to_reference
from bench.spec import EvaluateSpec
from wgan.data import Density, Grid25, Ring8

MODES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_a_perfect_sample_in_the_plane_has_the_known_share():
    for density in (Ring8().load(), Grid25().load()):
        sample = density.batch(100_000, torch.Generator().manual_seed(0))
        found = mode_scores(sample, density.modes, density.mode_std)
        assert found.covered == len(density.modes)
        assert found.high_quality_share == pytest.approx(1 - math.exp(-4.5), abs=0.002)
        assert found.reverse_kl < len(density.modes) / 100_000


def test_a_mode_is_covered_by_one_sample_within_three_standard_deviations():
    inside, outside = [10.0 + 2.99, 0.0], [0.0, 10.0 - 3.01]
    found = mode_scores(torch.tensor([inside, outside, outside, outside]), MODES, 1.0)
    assert found[:2] == (1, 0.25)


def test_distance_to_a_mode_is_over_all_coordinates():
    # Within 3 in each coordinate, beyond 3 in the plane.
    assert mode_scores(torch.tensor([[2.9, 2.9]]), MODES, 1.0)[:2] == (0, 0.0)


def test_samples_between_modes_cover_none():
    assert mode_scores(torch.full((50, 2), 5.0), MODES, 1.0) == (0, 0.0, math.log(3))


def test_a_collapsed_generator_covers_one_mode_with_full_share():
    found = mode_scores(MODES[:1].repeat(50, 1), MODES, 0.1)
    assert found == (1, 1.0, pytest.approx(math.log(3)))


# The reverse KL of modes.


def test_the_reverse_kl_is_scipy_s_relative_entropy():
    counts, shares = (
        torch.tensor([3, 0, 7, 1]),
        torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64),
    )
    assert reverse_kl(counts, shares) == pytest.approx(entropy(counts, shares), rel=1e-12)
    # The other way round it would be infinite: a mode is missed.
    assert math.isinf(entropy(shares, counts))


def test_the_reverse_kl_of_a_part_of_the_modes_is_the_log_of_how_many_there_are_for_each():
    uniform = torch.full((8,), 1 / 8).double()
    for covered in range(1, 9):
        counts = torch.tensor([25] * covered + [0] * (8 - covered))
        assert reverse_kl(counts, uniform) == pytest.approx(math.log(8 / covered), abs=1e-12)
    assert reverse_kl(torch.full((8,), 11), uniform) == 0
    assert reverse_kl(torch.zeros(8, dtype=torch.int64), uniform) == pytest.approx(math.log(8))


def test_the_reverse_kl_of_a_perfect_sample_is_about_the_modes_over_twice_the_samples():
    rng = torch.Generator().manual_seed(0)
    uniform = torch.full((25,), 1 / 25).double()
    found = [
        reverse_kl(torch.randint(25, (1000,), generator=rng).bincount(minlength=25), uniform)
        for _ in range(400)
    ]
    assert sum(found) / 400 == pytest.approx(24 / 2000, rel=0.1)


def test_only_samples_of_high_quality_count_for_the_modes_they_are_nearest_to():
    far, between = [[100.0, 3.0]] * 40, [[2.5, 0.0]] * 6  # near both, nearer the second
    modes = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    sample = torch.tensor([*far, *between, *[[0.0, 0.0]] * 2])
    expected = entropy([2, 6], [0.5, 0.5])
    assert mode_scores(sample, modes, 1.0).reverse_kl == pytest.approx(expected)


# Modes of images.


def logits_of(*digits):
    """Certain logits (N, C, 10) of stacks of digits."""
    return 9.0 * torch.eye(10)[torch.tensor(digits)]


def test_the_modes_of_stacks_are_their_three_digits_in_order():
    uniform = torch.full((1000,), 1e-3).double()
    assert class_mode_scores(logits_of((0, 1, 2), (2, 1, 0), (0, 1, 2)), uniform)[0] == 2
    rare = uniform.clone()
    rare[[12, 210]] = torch.tensor([0.3, 0.1]).double()
    kl = class_mode_scores(logits_of((0, 1, 2), (0, 1, 2)), rare)[1]
    assert kl == pytest.approx(-math.log(0.3))
    assert class_mode_scores(logits_of((2, 1, 0)), rare)[1] == pytest.approx(-math.log(0.1))


def test_the_modes_of_digits_are_the_ten_classes():
    shares = torch.arange(1.0, 11.0).double() / 55
    found = class_mode_scores(logits_of(*[[d] for d in (3, 3, 7)]).squeeze(1), shares)
    assert found == (2, pytest.approx(entropy([2, 1], [4 / 55, 8 / 55]) - math.log(12 / 55)))


def test_a_perfect_generator_of_a_thousand_modes_covers_as_many_as_its_samples_allow():
    rng = torch.Generator().manual_seed(0)
    uniform = torch.full((1000,), 1e-3).double()
    digits = torch.randint(10, (2000, 3), generator=rng)
    covered, kl = class_mode_scores(torch.eye(10)[digits], uniform)
    assert covered == pytest.approx(1000 * (1 - 0.999**2000), abs=30)
    assert kl == pytest.approx(999 / 4000, rel=0.25)


def test_shares_of_stacks_are_the_products_of_their_channels():
    labels = torch.tensor([123, 123, 143, 523])
    shares = class_shares(labels, 3)
    assert shares.shape == (1000,)
    assert shares.sum() == pytest.approx(1)
    assert shares[123] == pytest.approx(0.75 * 0.75 * 1)
    assert shares[543] == pytest.approx(0.25 * 0.25 * 1)  # never seen, and possible
    assert shares[321] == 0
    alone = class_shares(torch.tensor([0, 0, 9, 4]), 1)
    assert alone.tolist() == [0.5, 0, 0, 0, 0.25, 0, 0, 0, 0, 0.25]


# Points in a space.


class Space:
    """A stand-in for the description of a density."""

    name, version, shape = "space", 1, (16,)

    def to_plain(self, **_):
        return {"space": {}}

    def whole(self):
        return self

    def __str__(self):
        return "space"


def gaussian(size=16, scale=1.0, modes=None):
    def sampler(count, rng):
        return scale * torch.randn(count, size, generator=rng)

    return Density("space", (size,), sampler, modes, 1.0 if modes is not None else None)


def test_above_two_dimensions_quality_is_the_sliced_distance(tmp_path):
    data = gaussian()
    evaluator = Evaluator(EvaluateSpec(samples=500), Space(), data, tmp_path)
    assert evaluator.protocol["metrics"] == ["sliced_wasserstein"]
    assert evaluator.protocol["quality"] == "sliced_wasserstein"
    assert set(evaluator.protocol["floor"]) == {"sliced_wasserstein"}
    perfect = evaluator.score(data.batch(500, torch.Generator().manual_seed(3)))
    assert evaluator.quality(perfect) == pytest.approx(evaluator.floor_quality, rel=0.3)
    # E|theta_1| on the sphere, for a shift of 2; the floor is small beside it.
    shifted = data.batch(500, torch.Generator().manual_seed(3))
    shifted[:, 0] += 2
    mean = math.gamma(8) / (math.sqrt(math.pi) * math.gamma(8.5))
    assert evaluator.quality(evaluator.score(shifted)) == pytest.approx(2 * mean, rel=0.15)
    with_modes = gaussian(modes=torch.zeros(1, 16))
    protocol = Evaluator(EvaluateSpec(samples=50), Space(), with_modes, tmp_path).protocol
    assert protocol["metrics"] == ["sliced_wasserstein", "modes"]


def test_exact_w1_is_on_request_above_two_dimensions_and_the_sliced_one_below(tmp_path):
    spec = EvaluateSpec(samples=60, metrics=("exact_w1", "sliced_wasserstein"))
    for data in (gaussian(), gaussian(2)):
        floor = Evaluator(spec, Space(), data, tmp_path).protocol["floor"]
        assert floor["exact_w1"] > floor["sliced_wasserstein"] > 0


def test_the_sliced_distance_of_a_rotation_about_the_centre_is_the_floor_s(tmp_path):
    data = gaussian()
    evaluator = Evaluator(EvaluateSpec(samples=2000), Space(), data, tmp_path)
    rotation = torch.from_numpy(special_ortho_group.rvs(16, random_state=0)).float()
    turned = data.batch(2000, torch.Generator().manual_seed(3)) @ rotation
    assert evaluator.score(turned)["sliced_wasserstein"] == pytest.approx(
        evaluator.floor_quality, rel=0.2
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_point_mass_is_scored_without_a_crash(size, tmp_path):
    data = Density("space", (size,), lambda count, rng: torch.zeros(count, size))
    spec = EvaluateSpec(samples=100, metrics=("exact_w1", "sliced_wasserstein"))
    evaluator = Evaluator(spec, Space(), data, tmp_path)
    assert evaluator.protocol["floor"] == {"exact_w1": 0, "sliced_wasserstein": 0}
    assert evaluator.floor_quality == 0
    away = torch.zeros(100, size)
    away[:, 0] = 3.0
    scores = evaluator.score(away)
    assert scores["exact_w1"] == 3
    assert 0 < scores["sliced_wasserstein"] < 3 + 1e-9


def test_w1_of_a_shifted_sample_is_the_shift():
    density = Ring8().load()
    reference = density.batch(200, torch.Generator().manual_seed(0))
    shift = torch.tensor([0.3, -0.4])
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    assert distance_to_reference(reference[order] + shift, reference) == pytest.approx(
        0.5, rel=1e-5
    )


def test_w1_is_solved_for_a_capped_number_of_points(tmp_path):
    data = Ring8().load()
    many = Evaluator(EvaluateSpec(samples=1500), Ring8(), data, tmp_path)
    few = Evaluator(EvaluateSpec(samples=200), Ring8(), data, tmp_path)
    assert many.protocol["w1_points"] == W1_POINTS == 1000
    assert few.protocol["w1_points"] == 200
    fake = data.batch(1500, torch.Generator().manual_seed(5))
    changed = fake.clone()
    changed[1000:] = 100.0
    assert many.score(fake)["exact_w1"] == many.score(changed)["exact_w1"]


def test_the_floor_of_a_density_is_what_a_perfect_generator_scores(tmp_path):
    data = Ring8().load()
    evaluator = Evaluator(EvaluateSpec(samples=300), Ring8(), data, tmp_path)
    perfect = [
        evaluator.score(data.batch(300, torch.Generator().manual_seed(seed)))["exact_w1"]
        for seed in range(20)
    ]
    assert 0 < min(perfect) < evaluator.floor_quality < 2 * max(perfect)
    assert evaluator.protocol["n_floor"] == evaluator.protocol["n_fake"] == 300
    # Not the reference itself, which would score 0.
    assert evaluator.floor_quality > 0.3 * sum(perfect) / 20


def test_all_runs_meet_the_same_real_sample(tmp_path):
    first, second = (
        Evaluator(EvaluateSpec(samples=100), Ring8(), Ring8().load(), tmp_path) for _ in range(2)
    )
    fake = torch.zeros(100, 2)
    assert first.score(fake) == second.score(fake)
    # The modes lie on a circle of radius 2, so that the distance from its centre is known.
    assert first.score(fake)["exact_w1"] == pytest.approx(2, abs=0.01)
