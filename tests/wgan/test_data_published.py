"""Published sets, faked in their own layouts: pixels, places, downloads, and their mistakes."""

from __future__ import annotations

import gzip
import logging
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from data_fakes import FAKES, TEST, TRAIN, at_hand, labels, pixels, write_idx, write_mnist
from PIL import Image

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.data import (
    CIFAR10,
    KMNIST,
    MNIST,
    STL10,
    SVHN,
    CelebA,
    DataError,
    Dataset,
    FashionMNIST,
    StackedMNIST,
)
from wgan.data.published import PublishedSet, datasets

PUBLISHED = [made for _, made in sorted(Dataset.registry.items()) if issubclass(made, PublishedSet)]
every_published_set = pytest.mark.parametrize("made", PUBLISHED, ids=lambda made: made.name)


@pytest.fixture
def offline(monkeypatch):
    """No download succeeds; returns the sets that were asked for."""
    asked = []

    def refuse(self, root):
        asked.append((self.name, root))
        raise OSError("no network")

    for made in PUBLISHED:
        monkeypatch.setattr(made, "download", refuse)
    return asked


def few(made: type[PublishedSet]) -> PublishedSet:
    return made(count=50) if made is StackedMNIST else made()


# Pixels.


def test_mnist_s_pixels_and_labels_are_those_of_the_files(places):
    data = at_hand(MNIST, places).load()
    assert np.array_equal(data.train[:, 0].numpy(), pixels(1, TRAIN, 28, 28))
    assert np.array_equal(data.held_out[:, 0].numpy(), pixels(51, TEST, 28, 28))
    assert np.array_equal(data.train_labels.numpy(), labels(TRAIN))
    assert np.array_equal(data.held_out_labels.numpy(), labels(TEST))


def test_a_border_of_background_makes_32_pixels_of_28(places):
    native, padded = at_hand(MNIST, places).load(), MNIST(size=32).load()
    assert torch.equal(padded.train[:, :, 2:30, 2:30], native.train)
    assert padded.train.long().sum() == native.train.long().sum()
    assert torch.equal(padded.held_out_labels, native.held_out_labels)


def test_cifar_s_rows_are_planes_of_red_green_and_blue(places):
    data = at_hand(CIFAR10, places).load()
    batches = [pixels(number, 5, 3, 32, 32) for number in range(5)]
    assert np.array_equal(data.train.numpy(), np.concatenate(batches))
    assert np.array_equal(data.held_out.numpy(), pixels(5, TEST, 3, 32, 32))
    assert data.train_labels.tolist() == [0, 7, 4, 1, 8] * 5


def test_svhn_s_pictures_stand_upright_and_ten_means_zero(places):
    data = at_hand(SVHN, places).load()
    theirs = pixels(0, 32, 32, 3, TRAIN)  # rows, columns, colours, images
    assert np.array_equal(data.train.numpy(), theirs.transpose(3, 2, 0, 1))
    assert np.array_equal(data.train_labels.numpy(), labels(TRAIN))


def test_stl10_s_columns_become_rows_and_96_pixels_become_48(places):
    native = at_hand(STL10, places, size=96).load()
    expected = pixels(1, 30, 3, 96, 96).transpose(0, 1, 3, 2)  # the unlabelled ones
    assert np.array_equal(native.train.numpy(), expected)
    assert native.train_labels is None
    small = STL10().load()
    assert small.train.shape == (30, 3, 48, 48)
    assert small.held_out.shape == (TEST, 3, 48, 48)
    # Antialiased: the mean of an image stays what it is, and its noise is averaged away.
    means = [part.train.double().mean(dim=(2, 3)) for part in (small, native)]
    torch.testing.assert_close(*means, rtol=0, atol=1.5)
    assert small.train.double().std() < 0.6 * native.train.double().std()


@pytest.mark.parametrize(
    ("split", "count", "labelled"),
    [("unlabeled", 30, False), ("train", TRAIN, True), ("train+unlabeled", TRAIN + 30, False)],
)
def test_stl10_trains_on_the_split_that_is_named(places, split, count, labelled):
    data = at_hand(STL10, places, split=split, size=8).load()
    assert len(data.train) == count
    assert len(data.held_out) == TEST
    assert (data.train_labels is not None) == (data.held_out_labels is not None) == labelled
    if labelled:
        assert np.array_equal(data.held_out_labels.numpy(), labels(TEST))


def test_celeba_is_cut_out_of_the_middle(places):
    data = at_hand(CelebA, places, size=108, crop=108).load()
    assert data.train.shape == (10, 3, 108, 108)
    assert data.held_out.shape == (3, 3, 108, 108)
    for images, first in ((data.train, 1), (data.held_out, 13)):
        with Image.open(places / f"celeba/img_align_celeba/{first:06d}.jpg") as face:
            middle = np.asarray(face)[55:163, 35:143]
        assert np.array_equal(images[0].numpy(), middle.transpose(2, 0, 1))
    whole = CelebA(size=178).load()
    with Image.open(places / "celeba/img_align_celeba/000001.jpg") as face:
        assert np.array_equal(whole.train[0].numpy(), np.asarray(face)[20:198].transpose(2, 0, 1))


# Places.


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw", "mnist", "mnist/MNIST/raw"])
@pytest.mark.parametrize("named", [True, False])
def test_mnist_s_files_are_found_wherever_they_commonly_lie(places, offline, place, ending, named):
    write_mnist(places / place, ending)
    root = str(places) if named else ""
    for dataset in (MNIST(root=root), StackedMNIST(root=root, count=10)):
        dataset.check_present()
        dataset.load()
    assert not offline


def test_other_sets_with_mnist_s_file_names_are_not_taken_for_each_other(places, offline):
    """A folder that is everybody's does not say whose the bare files are."""
    write_mnist(places)
    for made in (FashionMNIST, KMNIST):
        with pytest.raises(DataError, match="not found"):
            made().load()
        assert len(made(root=str(places)).load().train) == TRAIN


def test_files_whose_checksum_is_another_set_s_are_refused(places, monkeypatch):
    import hashlib

    write_mnist(places)
    name = "train-images-idx3-ubyte.gz"
    digest = hashlib.md5((places / name).read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(datasets().KMNIST, "resources", [(name, digest)])
    with pytest.raises(DataError, match=rf"mnist: .*{name} belongs to KMNIST"):
        MNIST().load()
    assert len(KMNIST(root=str(places)).load().train) == TRAIN


@every_published_set
def test_a_set_is_also_found_in_a_folder_of_its_own_name(made, places, offline):
    own = places / ("mnist" if made is StackedMNIST else made.name)
    own.mkdir()
    FAKES[made.name](own)
    made().check_present()
    few(made).load()
    assert not offline


@every_published_set
def test_a_named_root_without_the_set_is_refused_before_training(made, places, offline):
    dataset = made(root=str(places / "nowhere"))
    with pytest.raises(DataError) as caught:
        dataset.check_present()
    for part in (made.name, dataset.files[0], str(places / "nowhere"), "leave root out"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="leave root out"):
        dataset.load()
    assert not offline


@every_published_set
def test_one_missing_file_is_a_missing_set(made, places, offline):
    dataset = at_hand(made, places)
    named = made(root=str(places))
    named.check_present()
    path = next(iter(dataset.find().files.values()))
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(DataError):
        named.check_present()


def test_where_the_set_lies_changes_neither_id_nor_equality(places):
    here, there = (
        TrainConfig.from_plain({"dataset": {"mnist": {"root": root}}}) for root in ("/a", "/b")
    )
    assert here.run_id == there.run_id == TrainConfig(dataset=MNIST()).run_id
    assert here == there
    assert here.run_id != TrainConfig(dataset=MNIST(size=32)).run_id


def test_a_size_between_is_refused():
    with pytest.raises(ConfigError, match=r"size: 30 is not allowed: .* one of 28, 32"):
        MNIST(size=30)


# Downloads.


@every_published_set
def test_what_cannot_be_downloaded_is_named_with_the_ways_out(made, places, offline, caplog):
    made().check_present()  # a set to be downloaded passes
    with caplog.at_level(logging.WARNING), pytest.raises(DataError) as caught:
        made().load()
    for part in (made.name, "no network", str(places), "by hand", "root", "WGAN_BENCH_DATA"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(offline) == len(caplog.messages) == 1
    assert "fetching" in caplog.messages[0]
    assert list(places.iterdir()) == []
    assert socket.getdefaulttimeout() is None


@every_published_set
def test_a_download_arrives_in_its_place(made, places, monkeypatch):
    asked = []

    def serve(self, root):
        asked.append(Path(root))
        assert socket.getdefaulttimeout() is not None
        print("a bar")  # noqa: T201 - as torchvision does
        FAKES[made.name](Path(root))

    monkeypatch.setattr(made, "download", serve)
    first = few(made).load()
    again = few(made).load()
    assert len(asked) == 1
    assert asked[0].parent == places
    assert torch.equal(first.train, again.train)
    assert not [path for path in places.iterdir() if path.name.startswith(".")]


def test_two_downloads_at_once_leave_one_whole_set(places, monkeypatch):
    """The second arrives while the first is under way: both rename equal files into place."""

    def serve(self, root):
        FAKES["cifar10"](Path(root))
        if not (places / "cifar-10-batches-py").exists():
            FAKES["cifar10"](places)  # another process was faster

    monkeypatch.setattr(CIFAR10, "download", serve)
    assert len(CIFAR10().load().train) == 25
    assert [path.name for path in places.iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.filterwarnings("ignore:Python 3.14:DeprecationWarning")  # torchvision's extractall
def test_an_archive_that_lies_there_is_unpacked_without_a_network(places, tmp_path, monkeypatch):
    FAKES["cifar10"](tmp_path)
    with tarfile.open(places / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")

    def no_network(*args, **kwargs):
        raise AssertionError("nothing is to be downloaded")

    monkeypatch.setattr(datasets().utils, "_urlretrieve", no_network)
    monkeypatch.setattr(datasets().utils, "check_md5", lambda path, md5: True)
    dataset = CIFAR10(root=str(places))
    dataset.check_present()
    assert len(dataset.load().train) == 25
    assert not (places / "cifar-10-python.tar.gz").is_symlink()


# Damage.


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "labels", "sides"])
def test_damaged_mnist_is_refused_in_a_sentence(places, damage):
    write_mnist(places)
    images, classes = (places / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1"))
    if damage == "torn":
        images.write_bytes(images.read_bytes()[:-200])
    elif damage == "empty":
        images.write_bytes(b"")
    elif damage == "text":
        images.write_bytes(gzip.compress(b"<html>not found</html>"))
    elif damage == "labels":
        write_idx(classes, labels(TRAIN - 1))
    else:
        write_idx(images, pixels(0, TRAIN, 27, 28))
    with pytest.raises(DataError, match=rf"^mnist: .*{places}") as caught:
        MNIST().load()
    assert "\n" not in str(caught.value)


def test_files_with_a_wrong_checksum_are_refused(places, monkeypatch):
    at_hand(CIFAR10, places)
    monkeypatch.setattr(datasets().cifar, "check_integrity", lambda path, md5=None: False)
    with pytest.raises(DataError, match=r"cifar10: the files in .* cannot be read: .*corrupted"):
        CIFAR10().load()


def test_a_folder_that_may_not_be_looked_into_is_no_folder(places, offline, monkeypatch):
    def forbidden(self, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(DataError, match="not found"):
        SVHN(root=str(places)).check_present()
