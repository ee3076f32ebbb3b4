"""A folder of images: what is read, what is left out, what is refused, what is held out."""

from __future__ import annotations

import logging
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
import torch
from data_fakes import pixels, write_folder
from PIL import Image

from wgan.components import ConfigError
from wgan.config import TrainConfig
from wgan.data import DataError, Dataset, Folder

SIDE = 16


@pytest.fixture
def pictures(places):
    return write_folder(places / "pictures")


def folder(path, **settings) -> Folder:
    return Folder(path=str(path), **{"size": SIDE, **settings})


def save(path, width, height, mode="RGB", seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "LA": (2,), "CMYK": (4,)}[mode]
    Image.fromarray(pixels(seed, height, width, *channels), mode=None).convert(mode).save(
        path, **options
    )


def images_of(data) -> set[bytes]:
    return {image.numpy().tobytes() for part in (data.train, data.held_out) for image in part}


# What is read.


def test_every_image_stands_in_one_split_as_it_is_in_its_file(pictures):
    data = folder(pictures, held_out=0.3).load()
    assert len(data.train) + len(data.held_out) == 60
    expected = {pixels(number, SIDE, SIDE, 3).transpose(2, 0, 1).tobytes() for number in range(60)}
    assert images_of(data) == expected
    assert data.train_labels is None
    assert data.held_out_labels is None


def test_class_folders_give_labels_in_the_order_of_their_names(places):
    write_folder(places / "zoo", classes=("cat", "ant", "bee/small"))
    data = folder(places / "zoo", held_out=0.3).load()
    for images, labels in (
        (data.train, data.train_labels),
        (data.held_out, data.held_out_labels),
    ):
        for image, label in zip(images, labels.tolist(), strict=True):
            (number,) = (
                n
                for n in range(60)
                if image.numpy().tobytes() == pixels(n, SIDE, SIDE, 3).transpose(2, 0, 1).tobytes()
            )
            assert label == [2, 0, 1][number % 3]


@pytest.mark.parametrize("classes", [("only",), ("", "one")])
def test_one_class_folder_or_images_beside_it_give_no_labels(places, classes):
    write_folder(places / "zoo", classes=classes)
    assert folder(places / "zoo").load().train_labels is None


def test_grey_is_the_luma_of_colour_and_colour_of_grey_is_three_times_it(places):
    save(places / "x/a.png", SIDE, SIDE)
    save(places / "x/b.png", SIDE, SIDE, "L")
    for number in range(2, 40):
        save(places / f"x/{number}.png", SIDE, SIDE, seed=number)
    grey, colour = (folder(places / "x", channels=channels).load() for channels in (1, 3))
    rgb = pixels(0, SIDE, SIDE, 3).astype(float)
    luma = np.abs(rgb @ [0.299, 0.587, 0.114] - np.concatenate([grey.train, grey.held_out])[:, 0])
    assert luma.max(axis=(1, 2)).min() <= 1
    assert grey.shape == (1, SIDE, SIDE)
    flat = np.repeat(pixels(0, SIDE, SIDE)[None], 3, axis=0)
    assert flat.tobytes() in images_of(colour)


def test_jpegs_of_all_colours_and_any_spelling_are_read(places):
    for number, (name, mode) in enumerate(
        [("a.JPG", "RGB"), ("b.jpeg", "L"), ("c.jpg", "CMYK"), ("d.PNG", "RGBA"), ("e.png", "LA")]
        * 8
    ):
        save(places / f"x/{number}{name}", SIDE, SIDE, mode, seed=number)
    data = folder(places / "x").load()
    assert len(data.train) + len(data.held_out) == 40


def test_images_are_turned_upright(places):
    write_folder(places / "x")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    save(places / "x/turned.png", SIDE, SIDE, seed=99, exif=exif)
    turned = np.rot90(pixels(99, SIDE, SIDE, 3), -1).transpose(2, 0, 1)
    assert turned.tobytes() in images_of(folder(places / "x").load())


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "LA", "RGBA"])
def test_resizing_keeps_an_image_s_mean_and_does_not_alias(places, mode):
    """Fine stripes become grey, where the nearest pixel would be 0 or 255."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    for number in range(30):
        place = places / f"x/{number}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(stripes).convert(mode).save(place)
    data = folder(places / "x", size=8).load()
    assert (data.train.double() - 127.5).abs().max() < 20
    assert data.train.double().mean() == pytest.approx(127.5, abs=1)


# Odd sizes.


@pytest.fixture
def odd(places):
    """60 images of the right size, and one that is 40 x 20 with a left half of 0."""
    write_folder(places / "x")
    wide = np.zeros((20, 40, 3), dtype=np.uint8)
    wide[:, 20:] = 200
    Image.fromarray(wide).save(places / "x/wide.png")
    return places / "x"


def wide_one(data) -> torch.Tensor:
    regular = {pixels(n, SIDE, SIDE, 3).transpose(2, 0, 1).tobytes() for n in range(60)}
    images = torch.cat([data.train, data.held_out])
    (other,) = (image for image in images if image.numpy().tobytes() not in regular)
    return other


def test_an_odd_image_is_cropped_or_stretched_as_the_option_says(odd):
    cropped = wide_one(folder(odd).load()).double()  # columns 10 to 30 of 40: half and half
    stretched = wide_one(folder(odd, odd_sizes="resize").load()).double()
    for image in (cropped, stretched):
        assert image[:, :, :6].max() == 0
        assert image[:, :, -6:].min() == 200
        assert image.mean() == pytest.approx(100, abs=1)
    tall = np.zeros((60, 20, 3), dtype=np.uint8)
    tall[20:40] = 200  # the square in the middle
    Image.fromarray(tall).save(odd / "wide.png")
    assert wide_one(folder(odd).load()).min() == 200
    assert wide_one(folder(odd, odd_sizes="resize").load()).double().mean() == pytest.approx(
        200 / 3, abs=2
    )


def test_an_odd_image_is_skipped_or_refused_by_name(odd, caplog):
    with caplog.at_level(logging.WARNING):
        data = folder(odd, odd_sizes="skip").load()
    assert len(data.train) + len(data.held_out) == 60
    assert "skipped 1 files that are not 16 x 16: wide.png (40 x 20)" in caplog.text
    with pytest.raises(DataError, match=r"wide\.png \(40 x 20\)\. .* odd_sizes: skip"):
        folder(odd, odd_sizes="refuse").load()


# Unreadable files.


def damage(pictures):
    """Eight bad files of every kind."""
    (pictures / "000.png").write_bytes((pictures / "000.png").read_bytes()[:200])
    (pictures / "001.png").write_bytes(b"")
    (pictures / "002.png").write_text("<html>not found</html>")
    Image.fromarray(pixels(0, SIDE, SIDE)).save(pictures / "003.png", format="GIF")
    Image.fromarray(pixels(0, SIDE, SIDE).astype(np.uint16) * 256).save(pictures / "004.png")
    save(pictures / "005.jpg", SIDE, SIDE)
    content = (pictures / "005.jpg").read_bytes()
    (pictures / "005.jpg").write_bytes(content[: len(content) // 2])
    content = bytearray((pictures / "006.png").read_bytes())
    content[60] ^= 255
    (pictures / "006.png").write_bytes(content)
    content = bytearray((pictures / "007.png").read_bytes())
    content[16:24] = struct.pack(">II", 20_000, 20_000)  # a bomb: 400 million pixels, it says
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (pictures / "007.png").write_bytes(content)


def test_unreadable_files_are_refused_and_the_first_are_named(pictures):
    damage(pictures)
    with pytest.raises(DataError) as caught:
        folder(pictures, held_out=0.01).load()
    message = str(caught.value)
    for name in ("000.png", "001.png", "002.png", "003.png", "004.png"):
        assert name in message
    assert "005.jpg" not in message
    assert "unreadable: skip" in message
    assert "more than 8 bits" in message


def test_unreadable_files_are_skipped_with_a_word(pictures, caplog):
    damage(pictures)
    with caplog.at_level(logging.WARNING):
        data = folder(pictures, unreadable="skip").load()
    # 005.jpg was added to the 60.
    assert len(data.train) + len(data.held_out) == 61 - 8
    assert "skipped 8 files that are no whole JPEG or PNG: " in caplog.text
    assert caplog.text.count(".png (") + caplog.text.count(".jpg (") == 5
    expected = {
        pixels(number, SIDE, SIDE, 3).transpose(2, 0, 1).tobytes()
        for number in range(60)
        if number not in (0, 1, 2, 3, 4, 6, 7)
    }
    assert images_of(data) == expected


def test_hidden_files_and_other_kinds_are_left_out_and_counted(pictures, tmp_path, caplog):
    before = images_of(folder(pictures).load())
    shutil.copy(pictures / "001.png", pictures / "._001.png")
    (pictures / ".hidden").mkdir()
    shutil.copy(pictures / "001.png", pictures / ".hidden/x.png")
    (pictures / "notes.txt").write_text("x")
    (pictures / "clip.gif").write_text("x")
    os.mkfifo(pictures / "pipe.png")
    (pictures / "loop").symlink_to(pictures, target_is_directory=True)
    caplog.clear()
    os.utime(pictures / "001.png", ns=(5, 5))
    with caplog.at_level(logging.WARNING):
        assert images_of(folder(pictures).load()) == before
    assert "left out: 2 hidden, 4 of other kinds than JPEG and PNG" in caplog.text


# Held out.


def test_more_images_move_none_of_those_that_are_there(pictures):
    before = folder(pictures, held_out=0.3).load()
    for number in range(60, 90):
        Image.fromarray(pixels(number, SIDE, SIDE, 3)).save(pictures / f"a{number}.png")
    after = folder(pictures, held_out=0.3).load()
    for split in ("train", "held_out"):
        old, new = (
            {image.numpy().tobytes() for image in getattr(data, split)} for data in (before, after)
        )
        assert old < new


def test_the_share_held_out_is_as_asked_and_a_larger_one_contains_a_smaller(places):
    write_folder(places / "x", count=400)
    sets = [folder(places / "x", held_out=share).load() for share in (0.1, 0.5)]
    for data, share in zip(sets, (0.1, 0.5), strict=True):
        assert len(data.held_out) == pytest.approx(400 * share, abs=4 * (400 * 0.25) ** 0.5 * share)
    small, large = ({image.numpy().tobytes() for image in data.held_out} for data in sets)
    assert small < large


def test_a_split_without_images_is_refused(places):
    write_folder(places / "x", count=3)
    with pytest.raises(DataError, match=r"3 are left to train on and 0 held out.*share held_out"):
        folder(places / "x", held_out=1e-6).load()


# Places and names.


def test_the_short_form_is_a_folder():
    assert Dataset.from_plain("folder:some/where") == Folder(path="some/where")
    assert Dataset.from_plain({"folder": {"path": "some/where"}}) == Folder(path="some/where")
    config = TrainConfig.from_plain({"dataset": "folder:some/where"})
    assert TrainConfig.from_plain(config.to_plain()) == config
    assert config.run_id != TrainConfig.from_plain({"dataset": "folder:some/other"}).run_id
    with pytest.raises(ConfigError, match="unknown dataset 'folders:x'"):
        Dataset.from_plain("folders:x")


def test_a_relative_path_begins_at_the_current_folder(pictures, monkeypatch):
    monkeypatch.chdir(pictures.parent)
    data = Folder(path="pictures", size=SIDE).load()
    assert images_of(data) == images_of(folder(pictures).load())
    assert data.name == "folder:pictures"


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/data/cifar10-jpeg75", "folder:cifar10-jpeg75"),
        ("/data/faces/", "folder:faces"),
        ("/data/faces/train", "folder:faces/train"),
        ("/data/faces/x/..", "folder:faces"),
        ("", "folder"),
    ],
)
def test_scores_are_labelled_with_the_folder_s_name(path, label):
    assert Folder(path=path).label == label


def test_a_folder_called_like_a_known_set_is_not_taken_for_it():
    assert Folder(path="/data/cifar10").label != Dataset.named("cifar10")().label


def test_what_is_no_folder_of_images_is_refused_at_once(places, monkeypatch):
    (places / "file.png").write_text("x")
    (places / "empty").mkdir()
    (places / "text").mkdir()
    (places / "text/notes.txt").write_text("x")
    monkeypatch.chdir(places)
    for path, expected in (
        ("", "no path is given"),
        ("nowhere", rf"'nowhere' does not exist \({places}/nowhere\)"),
        ("file.png", "'file.png' is a file"),
        ("empty", r"holds no \.jpg"),
        ("text", r"holds no \.jpg"),
    ):
        for refused in (Folder(path=path).check_present, Folder(path=path).load):
            with pytest.raises(DataError, match=expected):
                refused()


def test_folders_that_look_like_splits_are_not_taken_for_classes(places):
    write_folder(places / "x", classes=("train", "test"))
    with pytest.raises(DataError, match=r"test and train, which look like splits.*x/test"):
        folder(places / "x").load()
    assert len(folder(places / "x/train", held_out=0.3).load().train) > 10


def test_a_changed_image_is_decoded_anew(pictures):
    folder(pictures).load()
    Image.fromarray(pixels(77, SIDE, SIDE, 3)).save(pictures / "000.png")
    assert pixels(77, SIDE, SIDE, 3).transpose(2, 0, 1).tobytes() in images_of(
        folder(pictures).load()
    )


def test_the_shape_is_known_without_looking():
    assert Folder(path="/nowhere", size=48, channels=1).shape == (1, 48, 48)
    with pytest.raises(ConfigError, match=r"size: 2000 is not allowed"):
        Folder(size=2000)
    with pytest.raises(ConfigError, match=r"channels: 2 is not allowed: .* one of 1, 3"):
        Folder(channels=2)
