"""The data sets against their sources and known moments."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from data_fakes import at_hand
from sklearn.datasets import load_digits, make_swiss_roll
from small import DIGITS, registered, rng

from wgan.components import ConfigError
from wgan.data import (
    Dataset,
    Density,
    Digits,
    Grid25,
    Images,
    PointMass,
    Ring8,
    SwissRoll,
    as_float,
    as_pixels,
    digits,
)
from wgan.random import stream

every_data_set = pytest.mark.parametrize("made", registered(Dataset), ids=lambda made: made.name)


@every_data_set
def test_a_data_set_gives_batches_of_its_shape_from_its_stream_alone(made, places):
    dataset = at_hand(made, places)
    data = dataset.load()
    assert isinstance(data, Images | Density)
    assert data.shape == dataset.shape
    assert data.name == dataset.label
    before = torch.get_rng_state()
    for batch in (data.batch, data.held_out_batch):
        drawn = batch(9, rng(1))
        assert drawn.shape == (9, *data.shape)
        assert drawn.dtype == torch.float32
        assert torch.equal(batch(9, rng(1)), drawn)
        assert made is PointMass or not torch.equal(batch(9, rng(2)), drawn)
        if isinstance(data, Images):
            assert drawn.min() >= -1
            assert drawn.max() <= 1
    assert torch.equal(torch.get_rng_state(), before)


@every_data_set
def test_an_image_set_is_uint8_in_two_splits_that_share_no_image(made, places):
    data = at_hand(made, places).load()
    if isinstance(data, Density):
        return
    for pixels, labels in (
        (data.train, data.train_labels),
        (data.held_out, data.held_out_labels),
    ):
        assert pixels.dtype == torch.uint8
        assert pixels.shape[1:] == data.shape
        assert len(pixels) > 0
        if labels is not None:
            assert labels.shape == (len(pixels),)
            assert labels.dtype == torch.int64
            assert labels.min() >= 0
    trained_on = {image.numpy().tobytes() for image in data.train}
    assert not any(image.numpy().tobytes() in trained_on for image in data.held_out)


@every_data_set
def test_a_data_set_is_the_same_when_loaded_again(made, places):
    dataset = at_hand(made, places)
    first, second = dataset.load(), dataset.load()
    for batch in ("batch", "held_out_batch"):
        assert torch.equal(getattr(first, batch)(5, rng()), getattr(second, batch)(5, rng()))


@every_data_set
def test_what_is_there_is_said_to_be_there(made, places):
    at_hand(made, places).check_present()


def test_digits_are_scikit_learns_and_the_splits_share_none():
    ink, labels = load_digits(return_X_y=True)
    assert DIGITS.train.shape == (1437, 1, 8, 8)
    assert DIGITS.held_out.shape == (360, 1, 8, 8)
    assert DIGITS.train.dtype == DIGITS.held_out.dtype == torch.uint8
    # Ink 0..16 to pixels 0..255, undone; every image of scikit-learn's stands in one split, once,
    # with its label.
    ours = [
        (tuple(np.rint(image.double().numpy().ravel() * 16 / 255).astype(int)), int(label))
        for images, classes in (
            (DIGITS.train, DIGITS.train_labels),
            (DIGITS.held_out, DIGITS.held_out_labels),
        )
        for image, label in zip(images, classes, strict=True)
    ]
    theirs = [(tuple(row.astype(int)), int(label)) for row, label in zip(ink, labels, strict=True)]
    assert sorted(ours) == sorted(theirs)
    assert not set(ours[:1437]) & set(ours[1437:])
    assert set(DIGITS.held_out_labels.tolist()) == set(range(10))


def test_digits_are_read_without_scikit_learn_and_with_it_alike(monkeypatch):
    code = (
        "import sys; from wgan.data import Digits; Digits().load(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    ink, labels = digits._read()
    their_ink, their_labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(ink, their_ink)
    np.testing.assert_array_equal(labels, their_labels)
    monkeypatch.setattr(digits, "_numbers", lambda text: None)  # of a release with another file
    again = Digits().load()
    for name in ("train", "held_out", "train_labels", "held_out_labels"):
        assert torch.equal(getattr(again, name), getattr(DIGITS, name))


@pytest.mark.parametrize(
    "text", [b"", b"1,2", b"1,2.0\n", b"1, 2\n", b"1,,2\n", b"1,200\n", b"1,2\n3\n", b"1,-2\n"]
)
def test_what_is_no_table_of_small_numbers_is_not_read_as_one(text):
    assert digits._numbers(text) is None


def test_a_table_of_small_numbers_is_read():
    assert digits._numbers(b"0,16,7\n99,5,10\n").tolist() == [[0, 16, 7], [99, 5, 10]]


def test_digits_are_split_alike_every_time():
    again = Digits().load()
    assert torch.equal(again.train, DIGITS.train)
    assert torch.equal(again.held_out_labels, DIGITS.held_out_labels)
    order = np.random.RandomState(0).permutation(1797)
    ink = load_digits().images[order[0]]
    assert torch.equal(DIGITS.held_out[0, 0], torch.from_numpy(np.rint(ink * 255 / 16)).byte())


def test_ink_16_is_white_and_ink_0_is_black():
    assert DIGITS.train.min() == 0
    assert DIGITS.train.max() == 255
    batch = DIGITS.batch(64, rng())
    assert batch.min() == -1
    assert batch.max() == 1


def test_all_256_values_survive_the_round_trip():
    pixels = torch.arange(256, dtype=torch.uint8)
    floats = as_float(pixels)
    assert floats.dtype == torch.float32
    expected = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    torch.testing.assert_close(floats.double(), expected, rtol=0, atol=1e-7)
    assert torch.equal(as_pixels(floats), pixels)
    assert torch.equal(pixels, torch.arange(256, dtype=torch.uint8))


def test_pixels_are_rounded_to_the_nearest_and_clamped():
    floats = torch.tensor([-3.0, -1.0, -0.997, 0.0, 0.9961, 1.0, 2.0])
    before = floats.clone()
    assert as_pixels(floats).tolist() == [0, 0, 0, 128, 255, 255, 255]
    assert torch.equal(floats, before)
    step = 2 / 255
    centres = torch.arange(256, dtype=torch.float64) * step - 1
    for nudge in (-0.49, 0.49):
        assert torch.equal(as_pixels(centres + nudge * step), torch.arange(256).byte())


def test_batches_are_drawn_with_replacement_from_the_training_split_only():
    data = Images(
        "few", torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1), torch.full((2, 1, 1, 1), 9)
    )
    drawn = as_pixels(data.batch(4000, rng()))
    counts = torch.bincount(drawn.flatten().long(), minlength=10)
    assert scipy.stats.chisquare(counts[:4].numpy()).pvalue > 0.01
    assert counts[4:].sum() == 0
    assert set(as_pixels(data.held_out_batch(50, rng())).flatten().tolist()) == {9}


def test_the_order_of_the_data_is_the_streams_own_integers():
    chosen = torch.randint(1437, (16,), generator=stream(3, "data"))
    assert torch.equal(DIGITS.batch(16, stream(3, "data")), as_float(DIGITS.train[chosen]))


def sample(made: Dataset, count: int = 40_000) -> torch.Tensor:
    return made.load().batch(count, rng(7)).double()


def test_ring_has_eight_equal_modes_on_its_circle():
    ring, points = Ring8(radius=3.0, std=0.1).load(), sample(Ring8(radius=3.0, std=0.1))
    assert ring.modes.shape == (8, 2)
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    circle = 3 * torch.stack([angles.cos(), angles.sin()], 1)
    torch.testing.assert_close(ring.modes.double(), circle, rtol=0, atol=1e-6)
    check_mixture(points, circle, 0.1)
    # E |x|^2 = radius^2 + 2 std^2.
    assert points.square().sum(1).mean().item() == pytest.approx(9.02, rel=0.005)


def test_grid_has_25_equal_modes():
    grid, points = Grid25().load(), sample(Grid25())
    centres = torch.tensor([[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]).double()
    assert torch.equal(grid.modes.double(), centres)
    assert grid.mode_std == 0.05
    check_mixture(points, centres, 0.05)
    assert points.var(0).mean().item() == pytest.approx(8 + 0.05**2, rel=0.01)


def check_mixture(points: torch.Tensor, centres: torch.Tensor, std: float) -> None:
    distances = torch.cdist(points, centres)
    nearest = distances.argmin(1)
    counts = torch.bincount(nearest, minlength=len(centres))
    assert scipy.stats.chisquare(counts.numpy()).pvalue > 0.001
    offsets = (points - centres[nearest]) / std
    assert offsets.mean(0).abs().max() < 0.02
    assert offsets.std(0).tolist() == pytest.approx([1, 1], rel=0.02)
    assert scipy.stats.kstest(offsets[:, 0].numpy(), "norm").pvalue > 0.001


def test_noiseless_swiss_roll_is_the_spiral():
    points = 7.5 * sample(SwissRoll(noise=0.0))
    t = points.norm(dim=1)
    assert (t >= 1.5 * math.pi - 1e-4).all()
    assert (t <= 4.5 * math.pi + 1e-4).all()
    torch.testing.assert_close(
        points, torch.stack([t * t.cos(), t * t.sin()], 1), rtol=0, atol=1e-4
    )
    uniform = (t / math.pi - 1.5) / 3
    assert scipy.stats.kstest(uniform.numpy(), "uniform").pvalue > 0.001


def test_noise_is_added_to_the_roll_before_it_is_scaled():
    """E |x|^2 = (E t^2 + 2 noise^2) / 7.5^2 with E t^2 = 9.75 pi^2 for t ~ U[1.5 pi, 4.5 pi]."""
    for noise in (0.0, 10.0):
        expected = (9.75 * math.pi**2 + 2 * noise**2) / 7.5**2
        found = sample(SwissRoll(noise=noise)).square().sum(1).mean().item()
        assert found == pytest.approx(expected, rel=0.015)


def test_swiss_roll_is_distributed_as_scikit_learns():
    """Gulrajani et al.'s code: make_swiss_roll(noise=.25)[:, [0, 2]] / 7.5."""
    ours = sample(SwissRoll(), 4000).numpy()
    theirs = make_swiss_roll(4000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
    for direction in ([1, 0], [0, 1], [0.6, 0.8]):
        assert scipy.stats.ks_2samp(ours @ direction, theirs @ direction).pvalue > 0.001


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"radius: 0\.0 is not allowed: must be a number > 0"):
        Ring8(radius=0)
    with pytest.raises(ConfigError, match=r"std: -1\.0 is not allowed: must be a number >= 0"):
        Grid25(std=-1)
