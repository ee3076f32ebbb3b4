"""Precision, recall and KID with the reals' part kept: torch-fidelity's numbers to the last bit."""

import numpy as np
import pytest
import torch

from bench.evaluate import fidelity, kernels, neighbours
from bench.evaluate.fidelity import Real
from bench.evaluate.kernels import kernel_distance, kernel_subsets, real_kernel_sums
from bench.evaluate.neighbours import neighbour_radii, precision_recall
from wgan.data.torchvision_operators import declare_missing_operators


def features(count, size, seed, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(count, size, generator=rng) + 0.2).relu()


def prc(fake, real, k=3, block=10_000, save_cpu_ram=False):
    declare_missing_operators()
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION as PRECISION
    from torch_fidelity.metric_prc import KEY_METRIC_RECALL as RECALL
    from torch_fidelity.metric_prc import prc_features_to_metric

    found = prc_features_to_metric(
        fake,
        real,
        prc_neighborhood=k,
        prc_batch_size=block,
        save_cpu_ram=save_cpu_ram,
        verbose=False,
    )
    return found[PRECISION], found[RECALL]


def kid(fake, real, size, subsets=100, seed=2020):
    declare_missing_operators()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    found = kid_features_to_metric(
        fake, real, kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[KEY_METRIC_KID_MEAN]


def near(fake, real, k=3):
    return precision_recall(fake, real, neighbour_radii(real, k), k)


@pytest.mark.parametrize(("fakes", "reals", "size"), [(500, 300, 8), (60, 400, 64), (20, 20, 200)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_torch_fidelity_s_bit_for_bit(fakes, reals, size, k):
    real, fake = features(reals, size, 0), features(fakes, size, 1, scale=0.8)
    found = near(fake, real, k)
    assert found == prc(fake, real, k)
    assert found == prc(fake, real, k, save_cpu_ram=True)
    assert 0 < min(found) < 1 or size == 200


@pytest.mark.parametrize("block", [7, 50, 128])
def test_they_are_so_in_several_blocks_too(block, monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    real, fake = features(300, 6, 0), features(131, 6, 1, scale=0.8)
    assert near(fake, real) == prc(fake, real, block=block)


@pytest.mark.parametrize("k", [1, 3])
def test_they_are_so_with_copies_among_the_samples(k):
    real = features(120, 6, 0)
    fakes = {
        "one image": real[:1].repeat(90, 1),
        "a few reals": real[torch.arange(100) % 9],
        "nothing": torch.zeros(50, 6),
        "the reals": real,
    }
    for name, fake in fakes.items():
        assert near(fake, real, k) == prc(fake, real, k), name
        assert near(real, fake, k) == prc(real, fake, k), name


def test_a_radius_is_the_distance_to_the_kth_nearest_other():
    points = torch.tensor([[0.0], [1.0], [3.0], [7.0], [15.0]])
    assert neighbour_radii(points, 1).tolist() == [1, 1, 2, 4, 8]
    assert neighbour_radii(points, 3).tolist() == [7, 6, 4, 7, 14]


@pytest.mark.parametrize("size", [2, 50, 100])
def test_kid_is_torch_fidelity_s_bit_for_bit(size):
    real, fake = features(150, 32, 0), features(220, 32, 1, scale=1.1)
    draws = kernel_subsets(220, 150, 100, size, 2020)
    sums = real_kernel_sums(real.numpy(), draws)
    expected = kid(fake, real, size)
    assert kernel_distance(fake.numpy(), real.numpy(), draws, sums) == expected
    assert fidelity.kid(fake, Real(np.zeros(32), np.eye(32), real), size) == expected


def test_the_reals_sums_are_kept_by_how_many_fakes_and_how_large_a_subset(monkeypatch):
    real = Real(np.zeros(8), np.eye(8), features(90, 8, 0))
    made, make = [], fidelity.real_kernel_sums
    monkeypatch.setattr(
        fidelity, "real_kernel_sums", lambda rows, draws: made.append(1) or make(rows, draws)
    )
    for _ in range(2):  # each of them when it is there and when it is not
        for fakes, size in ((80, 30), (81, 30), (80, 31)):
            fake = features(fakes, 8, 1)
            assert fidelity.kid(fake, real, size) == kid(fake, real.features, size)
    assert len(made) == 3


def test_too_few_for_a_subset_are_refused():
    with pytest.raises(ValueError, match="larger sample than population"):
        kernels.kernel_subsets(20, 10, 3, 11, 0)
