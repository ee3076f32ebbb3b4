"""Stacked digits: what stands in which channel, under which label, from which split."""

from __future__ import annotations

import scipy.stats
import torch
from data_fakes import TEST, TRAIN, labels, pixels, write_mnist
from small import DIGITS

from wgan.data import MNIST, StackedDigits, StackedMNIST


def rows(images: torch.Tensor) -> dict[bytes, int]:
    return {image.numpy().tobytes(): index for index, image in enumerate(images)}


def test_every_channel_is_a_digit_of_its_split_and_the_label_reads_them_in_order():
    data = StackedDigits(count=500).load()
    for stacks, numbers, digits, classes in (
        (data.train, data.train_labels, DIGITS.train, DIGITS.train_labels),
        (data.held_out, data.held_out_labels, DIGITS.held_out, DIGITS.held_out_labels),
    ):
        known = rows(digits)
        for stack, number in zip(stacks, numbers, strict=True):
            # A KeyError here would be a channel that is no digit of the split.
            a, b, c = (int(classes[known[channel.numpy().tobytes()]]) for channel in stack)
            assert number == 100 * a + 10 * b + c
    assert data.train.shape == (500, 3, 8, 8)
    assert data.held_out.shape == (100, 3, 8, 8)


def test_the_digits_of_a_stack_are_independent_and_all_modes_occur():
    data = StackedDigits().load()
    assert len(data.train) == 20_000
    assert len(data.held_out) == 4_000
    assert len(data.train_labels.unique()) == 1000
    # Each channel has the classes as often as the digits have, whatever the others hold.
    share = torch.bincount(DIGITS.train_labels) / len(DIGITS.train_labels)
    expected = (share[:, None] * share).flatten().double() * 20_000
    for channels in ((100, 10), (10, 1), (100, 1)):
        first, second = (data.train_labels // place % 10 for place in channels)
        counts = torch.bincount(first * 10 + second, minlength=100).double()
        expected *= counts.sum() / expected.sum()
        assert scipy.stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 0.001


def test_the_list_is_fixed_and_a_shorter_one_is_its_beginning():
    long, short = StackedDigits(count=1000).load(), StackedDigits(count=50).load()
    assert torch.equal(long.train[:50], short.train)
    assert torch.equal(long.held_out_labels[:10], short.held_out_labels)


def test_stacked_mnist_is_made_of_mnist_in_the_same_way(places):
    write_mnist(places / "MNIST/raw")
    digits, data = MNIST(size=32).load(), StackedMNIST(size=32, count=200).load()
    assert data.name == "stacked_mnist"
    assert data.train.shape == (200, 3, 32, 32)
    assert data.held_out.shape == (40, 3, 32, 32)
    for split, count in (("train", TRAIN), ("held_out", TEST)):
        known = rows(getattr(digits, split))
        assert len(known) == count
        classes = getattr(digits, f"{split}_labels")
        pairs = zip(getattr(data, split), getattr(data, f"{split}_labels"), strict=True)
        for stack, number in pairs:
            a, b, c = (int(classes[known[channel.numpy().tobytes()]]) for channel in stack)
            assert number == 100 * a + 10 * b + c


def test_the_fake_digits_of_these_tests_are_all_different():
    assert len(rows(torch.from_numpy(pixels(1, TRAIN, 28, 28)))) == TRAIN
    assert set(labels(TRAIN)) == set(range(10))
