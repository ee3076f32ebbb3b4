"""Training on a part of a set: which images it is, and what stays the whole set's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from data_fakes import TRAIN, write_mnist
from small import DIGITS, small

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.data import MNIST, DataError, Digits, FashionMNIST, Images, as_float
from wgan.data.parts import part_order
from wgan.diagnostics import diagnose, generate
from wgan.diagnostics.samples import see
from wgan.train import new_state

COUNTS = torch.bincount(DIGITS.train_labels)


def numbers_of(part: Images) -> list[int]:
    """Where the part's training images stand in the whole split."""
    known = {image.numpy().tobytes(): index for index, image in enumerate(DIGITS.train)}
    assert len(known) == len(DIGITS.train), "equal images would make this ambiguous"
    found = [known[image.numpy().tobytes()] for image in part.train]
    assert torch.equal(DIGITS.train_labels[found], part.train_labels)
    return found


def test_the_neutral_part_is_the_whole_set_to_the_bit_and_changes_no_id():
    data = Digits(images=0, bias=0.0).load()
    assert data.whole is None
    assert data.scored_against is data
    assert torch.equal(data.train, DIGITS.train)
    assert torch.equal(data.train_labels, DIGITS.train_labels)
    ids = {small(dataset=plain).run_id for plain in ("digits", {"digits": {"images": 0}})}
    assert ids == {small().run_id}
    assert Digits().to_plain(for_id=True) == {"digits": {}}
    assert MNIST().to_plain(for_id=True) == {"mnist": {"size": 28}}


def test_a_part_is_a_configuration_of_its_own():
    plains = [{"images": 100}, {"images": 200}, {"bias": 0.5}, {"images": 100, "bias": 0.5}]
    ids = {small(dataset={"digits": plain}).run_id for plain in plains}
    assert len(ids | {small().run_id}) == 5
    config = small(dataset={"digits": plains[-1]})
    assert TrainConfig.from_plain(config.to_plain()).run_id == config.run_id


@pytest.mark.parametrize("count", [1, 16, 100, 101, 1000, 1437])
def test_so_many_images_are_balanced_over_the_classes_and_all_different(count):
    part = Digits(images=count).load()
    found = torch.bincount(part.train_labels, minlength=10)
    assert len(part.train) == len(set(numbers_of(part))) == count
    # As even as it can be: no class has two more than another that has images left.
    for label in range(10):
        if found[label] < COUNTS[label]:
            assert found.max() - found[label] <= 1


def test_fewer_images_are_the_first_of_more():
    long = Digits(images=500, bias=0.7).load()
    for count in (1, 100, 250):
        short = Digits(images=count, bias=0.7).load()
        assert torch.equal(short.train, long.train[:count])
        assert torch.equal(short.train_labels, long.train_labels[:count])


@pytest.mark.parametrize("bias", [0.1, 0.5, 0.9, 0.999])
def test_a_bias_leaves_out_its_share_of_each_of_the_classes_5_to_9(bias):
    part = Digits(bias=bias).load()
    found = torch.bincount(part.train_labels, minlength=10)
    assert torch.equal(found[:5], COUNTS[:5])
    for left, before in zip(found[5:].tolist(), COUNTS[5:].tolist(), strict=True):
        assert abs(left - (1 - bias) * before) <= (0.5 if left > 1 else 1)
        assert left >= 1
    assert set(numbers_of(Digits(bias=0.95).load())) <= set(numbers_of(Digits(bias=0.9).load()))


def test_few_biased_images_hold_the_classes_as_1_to_1_minus_bias():
    found = torch.bincount(Digits(images=300, bias=0.5).load().train_labels, minlength=10)
    assert found[:5].tolist() == [40] * 5
    assert found[5:].tolist() == [20] * 5


def test_the_order_takes_the_first_of_each_class_first():
    labels = torch.tensor([9, 0, 0, 9, 3, 0])
    assert part_order(labels, 0.0).tolist() == [1, 4, 0, 2, 3, 5]
    # At a bias of 1/2 one of two nines stays, and stands beside the second zero.
    assert part_order(labels, 0.5).tolist() == [1, 4, 2, 0, 5]


def test_the_held_out_split_stays_the_whole_set_s():
    part = Digits(images=20, bias=0.9).load()
    assert torch.equal(part.held_out, DIGITS.held_out)
    assert torch.equal(part.held_out_labels, DIGITS.held_out_labels)
    assert torch.equal(part.scored_against.train, DIGITS.train)
    moved = part.to("cpu")
    assert torch.equal(moved.scored_against.train, DIGITS.train)
    assert len(moved.train) == 20


def test_batches_come_from_the_part_alone():
    part = Digits(images=30).load()
    known = {image.numpy().tobytes() for image in as_float(part.train)}
    drawn = part.batch(2000, torch.Generator().manual_seed(0))
    assert {image.numpy().tobytes() for image in drawn} == known


def test_the_known_counts_are_those_of_the_data():
    assert Digits.class_counts == tuple(COUNTS.tolist())
    assert sum(MNIST.class_counts) == sum(FashionMNIST.class_counts) == 60_000


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"images": 1438}, "images: 1438 is not allowed: must be at most the 1437 training images"),
        ({"images": 1000, "bias": 0.9}, "at most the 813 training images .* after a bias of 0.9"),
        ({"images": -1}, "images: -1 is not allowed: must be a whole number >= 0"),
        ({"images": 1.5}, "images: 1.5 is not allowed"),
        ({"bias": 1}, "bias: 1.0 is not allowed: must be a number >= 0 and < 1"),
        ({"bias": -0.1}, "bias: -0.1 is not allowed"),
        ({"image": 5}, "unknown field 'image'; did you mean 'images'"),
    ],
)
def test_nonsense_is_refused_in_words(settings, said):
    with pytest.raises(ConfigError, match=said):
        small(dataset={"digits": settings})


def test_the_most_that_a_bias_leaves_may_be_asked_for():
    assert len(Digits(bias=0.9).load().train) == 813
    assert len(Digits(images=813, bias=0.9).load().train) == 813


def test_parts_of_mnist_share_its_decoded_files_and_are_counted(places, monkeypatch):
    write_mnist(places / "MNIST/raw")
    whole = MNIST().load()
    part = MNIST(images=7).load()
    assert torch.equal(part.scored_against.train, whole.train)
    assert torch.equal(part.train, whole.train[part_order(whole.train_labels, 0.0)[:7]])
    decoded = list((places.parent / "cache").rglob("*-train.npy"))
    assert len(decoded) == 1  # one set serves all parts
    with pytest.raises(DataError, match=f"25 training images are asked for, and there are {TRAIN}"):
        MNIST(images=25).load()


# What the critic is looked at with.


def looked_at(**part: object):
    config = small(dataset={"digits": part}, steps=0)
    data = config.dataset.load()
    state = new_state(config, data)
    return config, state, data, generate(config, state, 400)


def test_estimates_are_on_the_part_and_on_the_whole_set_s_held_out_reals():
    few, all_ = (see(*looked_at(**part), 360) for part in ({"images": 30}, {}))
    assert torch.equal(few.held_out, all_.held_out)
    assert torch.equal(few.held_out_scores, all_.held_out_scores)
    assert len(few.train) == len(all_.train) == 360
    part = as_float(Digits(images=30).load().train)
    # Every image of the part, each as often as the others.
    rows = {image.numpy().tobytes(): 0 for image in part}
    for image in few.train:
        rows[image.numpy().tobytes()] += 1
    assert set(rows.values()) == {12}
    assert not torch.equal(few.train, all_.train)


def test_the_estimate_is_that_of_the_part_and_the_held_out_one_that_of_all():
    config, state, data, fake = looked_at(images=40)
    found = diagnose(config, state, data, fake, 360)
    whole = diagnose(*looked_at(), 360)
    assert found["estimate_held_out"] == whole["estimate_held_out"]
    assert found["estimate"] != whole["estimate"]
    with torch.no_grad():
        by_hand = (
            state.critic(as_float(data.train)).mean() - state.critic(fake[:360]).mean()
        ).item()
    assert config.loss.name == "wasserstein"
    assert found["estimate"] == pytest.approx(by_hand, rel=1e-4)


def test_a_training_split_as_large_as_the_look_is_seen_without_repeats():
    few = dataclasses.replace(DIGITS, train=DIGITS.train[:360])
    config, state, _, fake = looked_at()
    seen = see(config, state, few, fake, 360)
    assert len({image.numpy().tobytes() for image in seen.train}) == 360
