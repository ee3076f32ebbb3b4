"""The sliced Wasserstein distance of points and of images: against scipy and closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import wasserstein_distance

from bench.evaluate import patches
from bench.evaluate.patches import (
    doubled,
    halved,
    image_distance,
    laplacian_pyramid,
    normalised_patches,
    projected_patches,
)
from bench.evaluate.sliced_wasserstein import projections, random_directions, sliced_wasserstein
from wgan.exact import exact_w1


def gaussian(count, size=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=rng, dtype=torch.float64)


def images(count, channels, side, seed=0):
    rng = torch.Generator().manual_seed(seed)
    shape = (count, channels, side, side)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


# On points.


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 30), (7, 64), (1, 9), (33, 34)])
def test_it_is_scipy_s_distance_of_every_projection(n, m):
    x, y = gaussian(n), 1.5 * gaussian(m, seed=1) + 0.3
    directions = random_directions(3, 70)
    expected = [wasserstein_distance(x @ line, y @ line) for line in directions]
    assert sliced_wasserstein(x, y, directions) == pytest.approx(np.mean(expected), rel=1e-10)


def test_equal_samples_are_at_no_distance_in_any_order_and_repeated():
    x, directions = gaussian(40), random_directions(3)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert sliced_wasserstein(x, x, directions) == 0
    assert sliced_wasserstein(x, x[order], directions) == pytest.approx(0, abs=1e-14)
    assert sliced_wasserstein(x, x.repeat(3, 1), directions) == pytest.approx(0, abs=1e-14)


def test_the_distance_of_a_shift_is_its_mean_length_along_a_line():
    for size in (2, 16):
        shift = torch.zeros(size, dtype=torch.float64)
        shift[1] = 2.0
        directions, x = random_directions(size, 20_000), gaussian(5, size)
        found = sliced_wasserstein(x, x + shift, directions)
        assert found == pytest.approx((directions @ shift).abs().mean().item(), rel=1e-12)
        # E|theta_1| on the sphere.
        mean = math.gamma(size / 2) / (math.sqrt(math.pi) * math.gamma((size + 1) / 2))
        assert found == pytest.approx(2 * mean, rel=0.02)


def test_the_distance_of_a_scaling_is_known():
    x, directions = gaussian(60), random_directions(3)
    mean = (directions @ x.T).abs().mean().item()
    assert sliced_wasserstein(x, 2.5 * x, directions) == pytest.approx(1.5 * mean, rel=1e-12)


def test_on_a_line_it_is_exact_w1_and_never_more_than_it():
    x, y = gaussian(40, 1), 2 * gaussian(40, 1, seed=1)
    assert sliced_wasserstein(x, y, random_directions(1)) == pytest.approx(exact_w1(x, y))
    x, y = gaussian(40), 2 * gaussian(40, seed=1) + 1
    assert sliced_wasserstein(x, y, random_directions(3)) < exact_w1(x, y)


def test_directions_are_unit_vectors_to_all_sides_and_always_the_same():
    directions = random_directions(5, 20_000)
    assert torch.allclose(directions.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    assert torch.allclose(directions.T @ directions / 20_000, torch.eye(5).double() / 5, atol=0.01)
    assert torch.allclose(directions.mean(0), torch.zeros(5).double(), atol=0.02)
    assert torch.equal(random_directions(5), random_directions(5))


# Pyramids.

FILTER = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def down(image):
    return ndimage.convolve(image, FILTER, mode="mirror")[::2, ::2]


def up(image):
    spread = np.zeros((2 * image.shape[0], 2 * image.shape[1]))
    spread[::2, ::2] = image
    return ndimage.convolve(spread, 4 * FILTER, mode="mirror")


def each_plane(function, stack):
    return np.stack([[function(plane) for plane in image] for image in stack.numpy()])


def test_halving_and_doubling_equal_scipy_s_convolutions():
    stack = images(2, 3, 32).double()
    assert np.allclose(halved(stack), each_plane(down, stack), atol=1e-10)
    assert np.allclose(doubled(stack), each_plane(up, stack), atol=1e-10)


@pytest.mark.parametrize(
    ("shape", "sides"),
    [
        ((8, 8), [8]),
        ((28, 28), [28]),
        ((31, 31), [31]),
        ((32, 32), [32, 16]),
        ((64, 64), [64, 32, 16]),
        ((48, 48), [48, 24]),
        ((64, 32), [64, 32]),
    ],
)
def test_levels_are_halved_down_to_sixteen_pixels(shape, sides):
    stack = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    levels = laplacian_pyramid(stack)
    assert [level.shape[2] for level in levels] == sides
    whole = levels[-1]
    for level in reversed(levels[:-1]):
        whole = doubled(whole) + level
    assert torch.allclose(whole, stack, atol=1e-5)


def test_a_flat_image_has_nothing_in_its_finer_levels():
    levels = laplacian_pyramid(torch.full((1, 1, 64, 64), 100.0))
    assert all(torch.allclose(level, torch.zeros(1), atol=1e-4) for level in levels[:-1])
    assert torch.allclose(levels[-1], torch.tensor(100.0))


# Patches.


def test_a_patch_is_a_window_of_seven_by_seven_pixels():
    ramp = 10.0 * torch.arange(28.0)[:, None] + torch.arange(28.0)
    cut = normalised_patches(ramp.expand(3, 1, 28, 28)).view(-1, 7, 7)
    assert len(cut) == 3 * patches.PATCHES
    down, right = cut[:, 1:] - cut[:, :-1], cut[:, :, 1:] - cut[:, :, :-1]
    assert torch.allclose(down, down[0, 0, 0], rtol=1e-3)
    assert torch.allclose(right, right[0, 0, 0], rtol=1e-3)
    assert down[0, 0, 0] == pytest.approx(10 * right[0, 0, 0].item(), rel=1e-3)


def test_patches_reach_every_place_and_no_further():
    ramp = 100.0 * torch.arange(12.0)[:, None] + torch.arange(12.0)
    cut = normalised_patches(ramp.expand(400, 1, 12, 12), patches=8).view(-1, 7, 7)
    assert cut[:, 0, 0].unique().numel() == 6 * 6


def test_an_image_with_few_places_gives_each_once():
    cut = normalised_patches(images(5, 3, 8).float())
    assert cut.shape == (5 * 2 * 2, 3 * 49)
    assert normalised_patches(images(5, 1, 5).float()).shape == (5, 25)


def test_patches_have_mean_zero_and_deviation_one_in_each_channel():
    scale = torch.tensor([1.0, 5.0, 0.1]).view(1, 3, 1, 1)
    cut = normalised_patches(scale * images(40, 3, 16).float() + 7).view(-1, 3, 49)
    assert torch.allclose(cut.mean(dim=(0, 2)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(cut.std(dim=(0, 2), correction=0), torch.ones(3), atol=1e-5)


def test_a_channel_that_never_changes_is_zero():
    stack = images(4, 3, 16).float()
    stack[:, 1] = 9.0
    cut = normalised_patches(stack).view(-1, 3, 49)
    assert torch.equal(cut[:, 1], torch.zeros(len(cut), 49))
    assert torch.isfinite(cut).all()


# On images.


def test_the_distance_of_images_is_that_of_the_definition_step_by_step():
    fake, real = images(5, 3, 32), images(4, 3, 32, seed=1) // 2
    distances = []
    for level in range(2):
        projected = []
        for stack in (fake, real):
            fine, coarse = stack.double(), torch.from_numpy(each_plane(down, stack.double()))
            planes = [fine - torch.from_numpy(each_plane(up, coarse)), coarse][level].numpy()
            columns = planes.shape[3] - 6
            rng = torch.Generator().manual_seed(patches.SEED)
            place = torch.randint(columns**2, (len(stack), patches.PATCHES), generator=rng)
            cut = np.stack(
                [
                    planes[k, :, p // columns : p // columns + 7, p % columns : p % columns + 7]
                    for k in range(len(stack))
                    for p in place[k].tolist()
                ]
            )
            cut -= cut.mean(axis=(0, 2, 3), keepdims=True)
            cut /= cut.std(axis=(0, 2, 3), keepdims=True)
            projected.append(cut.reshape(len(cut), -1))
        lines = random_directions(147, patches.DIRECTIONS).numpy()
        distances.append(
            np.mean([wasserstein_distance(projected[0] @ x, projected[1] @ x) for x in lines])
        )
    assert image_distance(fake, real) == pytest.approx(np.mean(distances), rel=1e-4)


@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 28), (3, 32)])
def test_equal_images_are_at_no_distance_and_brightness_is_not_seen(channels, side):
    stack = images(20, channels, side) // 2
    assert image_distance(stack, stack) == 0
    assert image_distance(stack, 2 * stack) == pytest.approx(0, abs=1e-5)
    assert image_distance(stack, 2 * stack + 1) == pytest.approx(0, abs=1e-5)


def test_blurred_images_are_far_and_constant_ones_have_a_finite_distance():
    stack, other = images(60, 1, 28), images(60, 1, 28, seed=1)
    blurred = patches._blurred(stack.float()).to(torch.uint8)
    floor = image_distance(other, stack)
    assert image_distance(blurred, stack) > 2 * floor
    for value in (0, 128, 255):
        constant = torch.full_like(stack, value)
        assert 2 * floor < image_distance(constant, stack) < 1
        assert image_distance(constant, constant) == 0


def test_the_order_of_the_images_hardly_matters():
    stack, other = images(200, 1, 28), images(200, 1, 28, seed=1) // 2
    order = torch.randperm(200, generator=torch.Generator().manual_seed(5))
    first, second = image_distance(other, stack), image_distance(other[order], stack)
    assert second == pytest.approx(first, rel=0.1, abs=2e-3)
    assert image_distance(stack, other) == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("count", [50, 80])
def test_reals_that_are_projected_once_give_the_same_distances(count):
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 5, generator=rng, dtype=torch.float64) for n in (count, 80))
    directions = random_directions(5, 100)
    kept = projections(y, directions)
    for fake in (x, 2 * x):  # nothing that is kept is changed
        assert sliced_wasserstein(fake, kept, directions) == sliced_wasserstein(fake, y, directions)
    fake, real = images(6, 3, 32), images(4, 3, 32, seed=1)
    kept_patches = projected_patches(real)
    for _ in range(2):
        assert image_distance(fake, kept_patches) == image_distance(fake, real) > 0
