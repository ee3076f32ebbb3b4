"""Scores of points: against closed forms and hand-made samples."""

import math

import pytest
import torch

from bench.evaluate import Evaluator
from bench.evaluate.modes import W1_POINTS, distance_to_reference, mode_scores
from bench.spec import EvaluateSpec
from wgan.data import Grid25, Ring8

MODES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_a_perfect_sample_in_the_plane_has_the_known_share():
    for density in (Ring8().load(), Grid25().load()):
        sample = density.batch(100_000, torch.Generator().manual_seed(0))
        covered, share = mode_scores(sample, density.modes, density.mode_std)
        assert covered == len(density.modes)
        assert share == pytest.approx(1 - math.exp(-4.5), abs=0.002)


def test_a_mode_is_covered_by_one_sample_within_three_standard_deviations():
    inside, outside = [10.0 + 2.99, 0.0], [0.0, 10.0 - 3.01]
    covered, share = mode_scores(torch.tensor([inside, outside, outside, outside]), MODES, 1.0)
    assert (covered, share) == (1, 0.25)


def test_distance_to_a_mode_is_over_all_coordinates():
    # Within 3 in each coordinate, beyond 3 in the plane.
    assert mode_scores(torch.tensor([[2.9, 2.9]]), MODES, 1.0) == (0, 0.0)


def test_samples_between_modes_cover_none():
    assert mode_scores(torch.full((50, 2), 5.0), MODES, 1.0) == (0, 0.0)


def test_a_collapsed_generator_covers_one_mode_with_full_share():
    assert mode_scores(MODES[:1].repeat(50, 1), MODES, 0.1) == (1, 1.0)


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
