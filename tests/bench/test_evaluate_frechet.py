"""The Frechet distance by symmetric eigenvalues: torch-fidelity, 50 digits, closed forms."""

import mpmath
import numpy as np
import pytest
import torch

from bench.evaluate import fidelity, frechet
from bench.evaluate.fidelity import Real
from bench.evaluate.frechet import (
    Root,
    frechet_distance,
    root_of,
    spectral_root,
    triangular_root,
)
from wgan.data.torchvision_operators import declare_missing_operators


def rectified(count, size, seed, scale=1.0, mixing_seed=99):
    """Features like a classifier's: rectified, correlated, with variances over three decades."""
    mixing = np.random.default_rng(mixing_seed).standard_normal((size, size))
    mixing *= (np.arange(1, size + 1) ** -0.7)[:, None]
    rows = np.random.default_rng(seed).standard_normal((count, size)) @ mixing
    return np.maximum(scale * rows + 0.3, 0).astype(np.float32)


def statistics(features):
    declare_missing_operators()
    from torch_fidelity.metric_fid import fid_features_to_statistics

    found = fid_features_to_statistics(torch.from_numpy(features))
    return found["mu"], found["sigma"]


def theirs(features, real):
    declare_missing_operators()
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

    mean, covariance = statistics(features)
    own = {"mu": mean, "sigma": covariance}
    found = fid_statistics_to_metric(own, {"mu": real[0], "sigma": real[1]}, verbose=False)
    return found[KEY_METRIC_FID]


def in_fifty_digits(features, mean, covariance):
    """The distance with its trace by mpmath; the means' difference in float32 as torch-fidelity.

    tr (S S')^(1/2) = sum of the singular values of X F / sqrt(n - 1), from the eigenvalues of
    F' X'X F with more digits than their roots lose.
    """
    with mpmath.workdps(50):
        rows = mpmath.matrix(features.astype(np.float64).tolist())
        count, size = rows.rows, rows.cols
        for column in range(size):
            middle = mpmath.fsum(rows[:, column]) / count
            for row in range(count):
                rows[row, column] -= middle
        own = rows.T * rows / (count - 1)
        other = mpmath.matrix(covariance.tolist())
        values, vectors = mpmath.eigsy(other)
        root = vectors * mpmath.diag([mpmath.sqrt(max(value, 0)) for value in values])
        squares = mpmath.eigsy(root.T * own * root, eigvals_only=True)
        trace = mpmath.fsum(mpmath.sqrt(max(square, 0)) for square in squares)
        diagonal = mpmath.fsum(own[i, i] + other[i, i] for i in range(size))
        between = np.mean(features, axis=0) - mean
        return float(mpmath.mpf(float(between.dot(between))) + diagonal - 2 * trace)


@pytest.mark.parametrize("count", [41, 64, 120, 1000])
@pytest.mark.parametrize("scale", [0.3, 1.0, 10.0])
def test_it_is_torch_fidelity_s_number_for_as_many_samples_as_features_or_more(count, scale):
    real = statistics(rectified(2000, 40, seed=1))
    fake = rectified(count, 40, seed=2, scale=scale)
    assert frechet_distance(fake, *real) == pytest.approx(theirs(fake, real), rel=1e-9)


def test_a_large_one_is_torch_fidelity_s_too():
    real = statistics(rectified(900, 256, seed=1))
    fake = rectified(700, 256, seed=2)
    assert frechet_distance(fake, *real) == pytest.approx(theirs(fake, real), rel=1e-9)


def test_both_roots_give_the_same_number():
    mean, covariance = statistics(rectified(500, 40, seed=1))
    for count in (20, 300):
        fake = rectified(count, 40, seed=2)
        found = [
            frechet_distance(fake, mean, covariance, root(covariance))
            for root in (triangular_root, spectral_root)
        ]
        assert found[0] == pytest.approx(found[1], rel=1e-10)


@pytest.mark.parametrize("root", [triangular_root, spectral_root])
def test_a_root_times_its_transpose_is_the_covariance(root):
    _, covariance = statistics(rectified(500, 40, seed=1))
    factor = root(covariance).factor
    assert np.allclose(factor @ factor.T, covariance, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("count", [2, 5, 11, 12, 13, 30])
def test_with_fewer_samples_than_features_it_is_right_to_nine_digits(count):
    mean, covariance = statistics(rectified(200, 12, seed=1))
    fake = rectified(count, 12, seed=2)
    truth = in_fifty_digits(fake, mean, covariance)
    assert frechet_distance(fake, mean, covariance) == pytest.approx(truth, rel=1e-12)


def test_where_a_covariance_is_singular_it_is_nearer_the_truth_than_torch_fidelity():
    mean, covariance = statistics(rectified(400, 14, seed=1))
    ours, other = [], []
    for seed in range(2, 6):
        fake = rectified(8, 14, seed=seed)
        truth = in_fifty_digits(fake, mean, covariance)
        ours.append(abs(frechet_distance(fake, mean, covariance) / truth - 1))
        other.append(abs(theirs(fake, (mean, covariance)) / truth - 1))
    assert max(ours) < 1e-12
    assert 1e-9 < np.median(other) < 1e-5


def test_few_samples_of_many_features_differ_from_torch_fidelity_by_its_rounding_alone():
    real = statistics(rectified(900, 256, seed=1))
    fake = rectified(100, 256, seed=2)
    assert frechet_distance(fake, *real) == pytest.approx(theirs(fake, real), rel=1e-5)


def known_features(count, deviations, mean):
    """Features whose covariance is diagonal, with these standard deviations, but for rounding."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((count, len(deviations)))
    columns, _ = np.linalg.qr(rows - rows.mean(0))
    return mean + columns * np.sqrt(count - 1) * deviations


@pytest.mark.parametrize(("count", "rank"), [(60, 20), (15, 14), (60, 5), (20, 1)])
def test_commuting_covariances_have_a_closed_form(count, rank):
    # S = diag(a^2), S' = diag(b^2): |m - m'|^2 + sum (a - b)^2, where a is 0 beyond the rank.
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.1, 3, 20), rng.uniform(0.1, 3, 20)
    a[rank:] = 0
    shift = rng.standard_normal(20)
    fake = np.zeros((count, 20)) + shift
    fake[:, :rank] += known_features(count, a[:rank], 0.0)
    expected = shift @ shift + ((a - b) ** 2).sum()
    found = frechet_distance(fake, np.zeros(20), np.diag(b**2))
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_mean_counts_and_the_number_of_samples_enters_the_covariance_less_one():
    fake = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    # S = diag(2, 8) / 3.
    found = frechet_distance(fake + np.array([3.0, 0.0]), np.zeros(2), np.eye(2))
    expected = 9 + (np.sqrt(2 / 3) - 1) ** 2 + (np.sqrt(8 / 3) - 1) ** 2
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("count", [30, 300])
@pytest.mark.parametrize("distinct", [1, 2, 7])
def test_a_collapsed_generator_has_a_finite_distance_right_to_nine_digits(count, distinct):
    mean, covariance = statistics(rectified(300, 12, seed=1))
    some = rectified(distinct, 12, seed=2)
    fake = some[np.arange(count) % distinct]
    truth = in_fifty_digits(fake, mean, covariance)
    assert frechet_distance(fake, mean, covariance) == pytest.approx(truth, rel=1e-9)


def test_features_that_never_change_are_no_matter_on_either_side():
    real, fake = rectified(300, 12, seed=1), rectified(200, 12, seed=2)
    dead = np.zeros((300, 3), np.float32)
    for count in (8, 200):
        expected = frechet_distance(fake[:count], *statistics(real))
        mean, covariance = statistics(np.hstack([real, dead]))
        assert triangular_root(covariance) is None
        found = frechet_distance(np.hstack([fake[:count], dead[:count]]), mean, covariance)
        assert found == pytest.approx(expected, rel=1e-11)
        mean, covariance = statistics(np.hstack([real, rectified(300, 3, seed=3)]))
        found = frechet_distance(np.hstack([fake[:count], dead[:count]]), mean, covariance)
        truth = in_fifty_digits(np.hstack([fake[:count], dead[:count]]), mean, covariance)
        assert found == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("count", [6, 20, 60])
def test_fewer_reals_than_features_are_no_matter(count):
    mean, covariance = statistics(rectified(9, 12, seed=1))
    fake = rectified(count, 12, seed=2)
    truth = in_fifty_digits(fake, mean, covariance)
    assert frechet_distance(fake, mean, covariance) == pytest.approx(truth, rel=1e-6)


def test_reals_that_are_all_alike_leave_the_mean_and_the_fakes_own_spread():
    fake = rectified(50, 6, seed=2)
    own_mean, own = statistics(fake)
    found = frechet_distance(fake, np.zeros(6, np.float32), np.zeros((6, 6)))
    assert found == pytest.approx(float(own_mean @ own_mean) + np.trace(own), rel=1e-6)
    alike = np.zeros((20, 6), np.float32)
    assert frechet_distance(alike, np.zeros(6, np.float32), np.zeros((6, 6))) == 0


@pytest.mark.parametrize("count", [10, 300])
def test_the_reals_themselves_are_at_no_distance(count):
    real = rectified(count, 12, seed=1)
    mean, covariance = statistics(real)
    found = frechet_distance(real, mean, covariance)
    # The rank-deficient root is that of a covariance which rounding has touched: 1e-8 of the trace.
    assert abs(found) < (1e-12 if count > 12 else 1e-7) * np.trace(covariance)


def test_the_order_of_the_samples_is_no_matter():
    real = statistics(rectified(300, 30, seed=1))
    for count in (20, 200):
        fake = rectified(count, 30, seed=2)
        mixed = np.random.default_rng(0).permutation(fake)
        # The mean in float32 is summed in their order.
        assert frechet_distance(fake, *real) == pytest.approx(
            frechet_distance(mixed, *real), rel=1e-6
        )


def test_for_few_samples_nothing_is_made_of_features_by_features(monkeypatch):
    real = statistics(rectified(300, 200, seed=1))
    root = root_of(real[1])
    shapes = []
    for name in ("dsyrk", "_eigenvalues"):
        made = getattr(frechet, name)

        def seen(*args, made=made, **kwargs):
            found = made(*args, **kwargs)
            shapes.append(found.shape)
            return found

        monkeypatch.setattr(frechet, name, seen)
    monkeypatch.setattr(frechet, "dsygst", None)
    frechet_distance(rectified(20, 200, seed=2), *real, root)
    assert shapes == [(19, 19), (19,)]


def test_the_rounding_of_a_null_eigenvalue_stays_below_what_is_taken_for_it():
    """A root of such rounding is up to 1e-8; where there is one, singular values are taken."""
    worst = 0.0
    for size, distinct, seed in ((64, 20, 0), (200, 10, 1), (400, 300, 2)):
        _, covariance = statistics(rectified(3 * size, size, seed=seed))
        some = rectified(distinct, size, seed=seed + 10).astype(np.float64)
        fake = some[np.arange(3 * size) % distinct]
        product = frechet._between_roots(fake - fake.mean(0), triangular_root(covariance))
        values = frechet._eigenvalues(product)
        null = np.abs(values[: size - distinct + 1]).max()
        worst = max(worst, null / (np.finfo(float).eps * values[-1]))
    assert 0 < worst < 8
    assert frechet._ROUNDING / np.finfo(float).eps == 16


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(bad):
    fake = rectified(50, 6, seed=2)
    fake[3, 4] = bad
    with pytest.raises(ValueError, match="finite features"):
        frechet_distance(fake, *statistics(rectified(50, 6, seed=1)))


def test_a_root_at_hand_is_used():
    mean, covariance = statistics(rectified(300, 12, seed=1))
    fake = rectified(100, 12, seed=2)
    half = root_of(covariance)
    quarter = Root(half.factor / 2, triangular=True)  # of a covariance a quarter as large
    whole, less = (frechet_distance(fake, mean, covariance, root) for root in (half, quarter))
    trace = np.trace(covariance) + np.trace(np.cov(fake, rowvar=False))
    apart = np.square(fake.mean(0) - mean).sum()
    assert less - trace - apart == pytest.approx((whole - trace - apart) / 2, rel=1e-4)


def test_the_root_of_a_reference_is_made_once(monkeypatch):
    features = torch.from_numpy(rectified(100, 6, seed=1))
    reference = Real(*fidelity.statistics(features), features)
    made, make = [], fidelity.triangular_root
    monkeypatch.setattr(
        fidelity, "triangular_root", lambda covariance: made.append(1) or make(covariance)
    )
    for seed in (2, 3):
        fidelity.fid(torch.from_numpy(rectified(100, 6, seed=seed)), reference)
    assert len(made) == 1
