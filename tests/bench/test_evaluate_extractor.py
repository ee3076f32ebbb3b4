"""The extractors: the shipped classifier's honesty, and Inception's weights wherever they are."""

import gzip
import hashlib
import os
import pickle
import urllib.error
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from bench.evaluate import EvaluateError, Evaluator
from bench.evaluate.classifiers import CLASSIFIERS, choose, counts_modes
from bench.evaluate.extractors import make_extractor
from bench.evaluate.small_cnn import WEIGHTS, classify, load_small_cnn, training_record
from bench.evaluate.train_digits_cnn import SETTINGS, main
from bench.evaluate.train_mnist_cnn import SETTINGS as MNIST_SETTINGS
from bench.evaluate.train_mnist_cnn import load_mnist, read_idx
from bench.evaluate.train_small_cnn import train, vary, write
from bench.spec import EXTRACTORS, EvaluateSpec
from wgan.data import Digits
from wgan.data.torchvision_operators import _library_loads, declare_missing_operators

SHIPPED = WEIGHTS / "digits_cnn.safetensors"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="module")
def digits():
    return Digits().load()


@pytest.fixture(scope="module")
def extractor():
    return make_extractor("digits_cnn", (1, 8, 8))


# digits_cnn.


def test_the_shipped_classifier_is_small_and_as_good_as_its_header_says(digits):
    network = load_small_cnn(SHIPPED, (1, 8, 8))
    accuracy, cross_entropy = classify(network, digits.held_out, digits.held_out_labels)
    record = training_record(SHIPPED)
    assert accuracy == record["held_out_accuracy"] >= 0.97
    # Moves as soon as pixels are scaled or layers ordered otherwise than in training.
    assert cross_entropy == pytest.approx(record["held_out_cross_entropy"], rel=1e-5)
    assert SHIPPED.stat().st_size < 300_000


def test_the_shipped_classifier_says_how_it_was_made():
    record = training_record(SHIPPED)
    assert record["command"] == "python -m bench.evaluate.train_digits_cnn"
    assert record["settings"] == SETTINGS
    assert record["data"] == "digits, training split"
    assert record["torch"]


def test_training_never_sees_the_held_out_digits_and_repeats_itself(digits):
    short = {**SETTINGS, "epochs": 1}
    blind = replace(digits, held_out=digits.held_out * 0, held_out_labels=None)
    first, second = train(digits, short).state_dict(), train(blind, short).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(
        first["head.weight"], train(digits, {**short, "seed": 1}).state_dict()["head.weight"]
    )


def test_equal_weights_make_an_equal_file(tmp_path):
    network = load_small_cnn(SHIPPED, (1, 8, 8))
    for name in ("a", "b"):
        write(network, tmp_path / name, training_record(SHIPPED))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == SHIPPED.read_bytes()


def test_the_variations_move_a_digit_a_little_and_to_no_side(digits):
    moved = vary(digits.train, SETTINGS, torch.Generator().manual_seed(0))
    still = {**SETTINGS, "turn_degrees": 0.0, "shift_pixels": 0.0, "zoom": 0.0, "noise": 0.0}
    same = vary(digits.train, still, torch.Generator().manual_seed(0))
    assert torch.allclose(same, digits.train.float(), atol=1e-2)
    difference = (moved - digits.train).abs().mean(dim=(1, 2, 3))
    assert 10 < difference.median() < 50
    # As much to one side as to the other.
    columns = torch.arange(8.0)
    centre, before = (
        (x.sum(dim=(1, 2)) @ columns / x.sum(dim=(1, 2, 3))).mean()
        for x in (moved, digits.train.float())
    )
    assert abs(centre - before) < 0.1


@pytest.mark.slow
def test_the_command_makes_a_classifier_as_good_as_the_shipped_one(tmp_path, monkeypatch, capsys):
    output = tmp_path / "digits_cnn.safetensors"
    monkeypatch.setattr("sys.argv", ["train_digits_cnn", "--output", str(output)])
    try:
        main()
    finally:
        torch.use_deterministic_algorithms(False)
    assert training_record(output)["held_out_accuracy"] >= 0.97
    assert str(output) in capsys.readouterr().out


# mnist_cnn.

SHIPPED_MNIST = WEIGHTS / "mnist_cnn.safetensors"


def test_the_shipped_mnist_classifier_says_how_it_was_made():
    record = training_record(SHIPPED_MNIST)
    assert record["held_out_accuracy"] >= 0.985
    assert record["command"] == "python -m bench.evaluate.train_mnist_cnn"
    assert record["settings"] == MNIST_SETTINGS
    assert record["data"] == "mnist, training split"
    assert (record["n_train"], record["n_held_out"]) == (60_000, 10_000)
    assert SHIPPED_MNIST.stat().st_size < 1_200_000


@pytest.mark.mnist
def test_the_shipped_mnist_classifier_is_as_good_as_its_header_says():
    data = load_mnist(mnist())
    network = load_small_cnn(SHIPPED_MNIST, (1, 28, 28))
    accuracy, cross_entropy = classify(network, data.held_out, data.held_out_labels)
    record = training_record(SHIPPED_MNIST)
    assert accuracy == record["held_out_accuracy"]
    assert cross_entropy == pytest.approx(record["held_out_cross_entropy"], rel=1e-4)


@pytest.mark.mnist
def test_mnist_s_own_classifier_gives_a_low_floor_and_counts_ten_modes(tmp_path):
    data = load_mnist(mnist())
    part = replace(data, train=data.train[:6000], train_labels=data.train_labels[:6000])
    spec = EvaluateSpec(samples=1000, metrics=("fid", "density_coverage", "modes"))
    evaluator = Evaluator(spec, Described("mnist", (1, 28, 28)), part, tmp_path)
    floor, worse = evaluator.protocol["floor"], evaluator.protocol["baselines"]["class_gaussian"]
    assert evaluator.protocol["extractor"] == "mnist_cnn"
    assert floor["fid"] < worse["fid"] / 2
    assert floor["density"] == pytest.approx(1, abs=0.15)
    assert floor["coverage"] == pytest.approx(evaluator.protocol["coverage_expected"], abs=0.05)
    assert floor["modes_covered"] == 10
    assert floor["mode_reverse_kl"] < 0.03


def mnist():
    """Where real MNIST lies."""
    root = os.environ.get("WGAN_BENCH_TEST_DATA")
    if not root or not (Path(root) / "mnist").is_dir():
        pytest.skip("real MNIST is not under WGAN_BENCH_TEST_DATA")
    return Path(root) / "mnist"


def idx(*shape):
    content = bytes(range(torch.Size(shape).numel()))
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + content


def test_idx_files_are_read_packed_or_not(tmp_path):
    (tmp_path / "plain").write_bytes(idx(2, 3, 4))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(2, 3, 4)))
    expected = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    assert torch.equal(read_idx(tmp_path, "plain"), expected)
    assert torch.equal(read_idx(tmp_path, "packed"), expected)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path, "nowhere")
    for broken in (idx(2, 3, 4)[:-1], b"", b"<html>", b"\0\0\x0b" + idx(2, 3)[3:], b"\0\0\x08\0"):
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(ValueError, match=r"broken in .* is no idx file"):
            read_idx(tmp_path, "broken")


def test_training_in_another_memory_layout_writes_the_same_kind_of_file(tmp_path, digits):
    few = replace(digits, train=digits.train[:128], train_labels=digits.train_labels[:128])
    settings = {**SETTINGS, "epochs": 1}
    plain, other = (train(few, {**settings, "channels_last": last}) for last in (False, True))
    write(other, tmp_path / "other", {})
    loaded = load_small_cnn(tmp_path / "other", (1, 8, 8))
    assert all(weights.is_contiguous() for weights in loaded.parameters())
    for a, b in zip(plain.parameters(), loaded.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-4)


@pytest.mark.parametrize(("name", "side"), [("digits_cnn", 8), ("mnist_cnn", 28)])
def test_pooling_by_comparing_gives_torch_s_bits(name, side):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 1, side, side), generator=rng, dtype=torch.uint8)
    network = load_small_cnn(WEIGHTS / f"{name}.safetensors", (1, side, side))
    for layout in (torch.contiguous_format, torch.channels_last):
        network = network.to(memory_format=layout)
        by_torch = network(images)  # gradients are on
        with torch.no_grad():
            by_comparing = network(images)
        assert all(torch.equal(a, b) for a, b in zip(by_torch, by_comparing, strict=True))


# Channel by channel.


@pytest.mark.parametrize(("name", "side"), [("digits_cnn", 8), ("mnist_cnn", 28)])
def test_a_stack_has_the_features_and_logits_of_each_of_its_channels(name, side):
    rng = torch.Generator().manual_seed(0)
    stack = torch.randint(0, 256, (7, 3, side, side), generator=rng, dtype=torch.uint8)
    alone, together = (make_extractor(name, (c, side, side)) for c in (1, 3))
    found = together(stack)
    assert found.features.shape == (7, together.feature_size) == (7, 192)
    assert found.logits.shape == (7, 3, 10)
    for channel in range(3):
        expected = alone(stack[:, channel : channel + 1])
        part = found.features[:, 64 * channel : 64 * (channel + 1)]
        assert torch.allclose(part, expected.features, rtol=1e-4, atol=1e-4)
        assert torch.allclose(found.logits[:, channel], expected.logits, rtol=1e-4, atol=1e-4)
    assert "each channel by itself" in together.resizing
    assert alone.resizing == f"none, native {side}x{side}"


def test_mnist_with_a_border_is_read_in_its_middle():
    rng = torch.Generator().manual_seed(0)
    middle = torch.randint(0, 256, (5, 3, 28, 28), generator=rng, dtype=torch.uint8)
    padded = torch.nn.functional.pad(middle, (2, 2, 2, 2))
    for channels in (1, 3):
        native = make_extractor("mnist_cnn", (channels, 28, 28))(middle[:, :channels])
        bordered = make_extractor("mnist_cnn", (channels, 32, 32))
        found = bordered(padded[:, :channels])
        assert torch.equal(found.features, native.features)
        assert torch.equal(found.logits, native.logits)
        assert bordered.resizing.startswith("the middle 28x28 of 32x32")


@dataclass(frozen=True)
class Described:
    """A stand-in for the description of a data set."""

    name: str
    shape: tuple[int, ...]
    version = 1

    def to_plain(self, **_):
        return {self.name: {}}

    def whole(self):
        return self

    def __str__(self):
        return self.name


def test_features_lie_in_one_pass_with_the_logits(extractor, digits):
    found = extractor(digits.train[:70])
    assert found.features.shape == (70, extractor.feature_size) == (70, 64)
    assert found.logits.shape == (70, 10)
    assert found.features.dtype == found.logits.dtype == torch.float32
    assert not found.features.requires_grad
    network = load_small_cnn(SHIPPED, (1, 8, 8))
    assert torch.allclose(network.head(found.features), found.logits, atol=1e-5)
    assert torch.equal(found.logits, extractor(digits.train[:70]).logits)


def test_features_do_not_depend_on_the_batches(extractor, digits):
    whole = extractor(digits.train[:501]).features
    parts = replace(extractor, batch_size=7)(digits.train[:501]).features
    assert torch.allclose(whole, parts, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape", "at_once"),
    [
        ("digits_cnn", (1, 8, 8), 196),
        ("digits_cnn", (3, 8, 8), 65),
        ("mnist_cnn", (1, 28, 28), 16),
        ("mnist_cnn", (3, 32, 32), 5),
    ],
)
def test_passes_that_fit_the_cache_give_what_long_ones_do(name, shape, at_once):
    extractor = make_extractor(name, shape)
    assert extractor.batch_size == at_once
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2 * at_once + 3, *shape), generator=rng, dtype=torch.uint8)
    found, long = extractor(images), replace(extractor, batch_size=500)(images)
    assert torch.allclose(found.features, long.features, rtol=1e-6, atol=1e-6)
    assert torch.allclose(found.logits, long.logits, rtol=1e-6, atol=1e-5)


def test_the_weights_hash_is_that_of_the_file(extractor):
    assert extractor.weights_hash == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()


def test_auto_is_the_data_set_s_own_classifier_or_inception():
    own = {
        "digits": "digits_cnn",
        "stacked_digits": "digits_cnn",
        "mnist": "mnist_cnn",
        "stacked_mnist": "mnist_cnn",
    }
    for dataset, classifier in own.items():
        assert choose("auto", dataset) == classifier
        assert choose("inception", dataset) == "inception"
    for dataset in ("fashion_mnist", "kmnist", "cifar10", "celeba", "folder"):
        assert choose("auto", dataset) == "inception"
    assert set(own.values()) == set(CLASSIFIERS) == set(EXTRACTORS) - {"auto", "inception"}


def test_modes_are_counted_only_by_a_classifier_that_knows_the_classes():
    assert counts_modes("auto", "stacked_mnist")
    assert counts_modes("mnist_cnn", "mnist")
    assert not counts_modes("mnist_cnn", "fashion_mnist")
    assert not counts_modes("inception", "mnist")
    assert not counts_modes("auto", "cifar10")
    assert not counts_modes("digits_cnn", "mnist")


def test_images_of_another_shape_are_refused_with_what_fits():
    with pytest.raises(EvaluateError, match=r"\(1, 8, 8\), not \(3, 32, 32\); use 'inception'"):
        make_extractor("digits_cnn", (3, 32, 32))
    for shape in ((1, 30, 30), (1, 28, 32), (1, 36, 36), (1, 20, 20), (1, 29, 29)):
        with pytest.raises(EvaluateError, match=r"reads images of shape \(1, 28, 28\), not"):
            make_extractor("mnist_cnn", shape)
    with pytest.raises(EvaluateError, match=r"reads images of shape \(1, 8, 8\), not"):
        make_extractor("digits_cnn", (1, 12, 12))
    with pytest.raises(EvaluateError, match="1 or 3 channels, not 2"):
        make_extractor("inception", (2, 32, 32))


# Inception.


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def test_weights_that_cannot_be_downloaded_are_named_with_where_to_put_them(hub, monkeypatch):
    asked = []

    def offline(url, path, hash_prefix, progress):
        asked.append((url, hash_prefix))
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(EvaluateError) as caught:
        make_extractor("inception", (3, 32, 32))
    message = str(caught.value)
    ((url, prefix),) = asked
    assert url.endswith(INCEPTION_FILE)
    assert prefix == "6726825d"
    for part in ("missing", "no network", url, str(hub / INCEPTION_FILE), "inception_weights"):
        assert part in message


def test_a_download_with_a_wrong_hash_is_refused(hub, monkeypatch):
    def damaged(url, path, hash_prefix, progress):
        raise RuntimeError('invalid hash value (expected "6726825d", got "0")')

    monkeypatch.setattr(torch.hub, "download_url_to_file", damaged)
    with pytest.raises(EvaluateError, match="invalid hash value"):
        make_extractor("inception", (3, 32, 32))


def test_a_stated_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EvaluateError, match=r"inception_weights: there is no file '.*none.pth'"):
        make_extractor("inception", (3, 32, 32), str(tmp_path / "none.pth"))


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("content", ["text", "empty", "other weights", "tensor", "code"])
def test_a_file_that_holds_no_inception_weights_is_refused_and_runs_nothing(content, tmp_path):
    path, exploded = tmp_path / "weights.pth", tmp_path / "exploded"
    if content == "text":
        path.write_text("<html>not found</html>")
    elif content == "empty":
        path.touch()
    elif content == "other weights":
        torch.save({"fc.weight": torch.zeros(3)}, path)
    elif content == "tensor":
        torch.save(torch.zeros(3), path)
    else:
        path.write_bytes(pickle.dumps(Bomb(exploded), protocol=2))
    with pytest.raises(EvaluateError, match=r"does not hold.*Inception weights.*by hand"):
        make_extractor("inception", (3, 32, 32), str(path))
    assert not exploded.exists()


@pytest.mark.slow
def test_inception_scores_digits_as_torch_fidelity_s_own_extractor_does(
    hub, tmp_path, monkeypatch, digits
):
    declare_missing_operators()
    from torch_fidelity import FeatureExtractorInceptionV3, feature_extractor_inceptionv3

    # Random weights of the right shapes: the real ones are a download.
    stop = RuntimeError("weights wanted")

    def wanted(*args, **kwargs):
        raise stop

    class Empty(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict):
            pass

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        monkeypatch.setattr(
            feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *a, **k: {}
        )
        theirs = Empty("inception-v3-compat", ["2048", "logits_unbiased"], verbose=False)
        monkeypatch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", wanted)
    hub.mkdir(parents=True)
    torch.save(theirs.state_dict(), hub / INCEPTION_FILE)

    state = torch.get_rng_state()
    ours = make_extractor("inception", (1, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert ours.weights_hash == hashlib.sha256((hub / INCEPTION_FILE).read_bytes()).hexdigest()
    assert ours.feature_size == 2048
    assert "repeated to 3" in ours.resizing
    assert "299x299" in ours.resizing

    images = digits.train[:5]
    features, logits = theirs(images.repeat(1, 3, 1, 1))
    found = ours(images)
    assert torch.allclose(found.features, features, rtol=1e-5, atol=1e-6)
    assert torch.allclose(found.logits, logits, rtol=1e-5, atol=1e-6)

    # The whole way, with few images; the same file by its own path gives the same protocol.
    few = replace(
        digits,
        train=digits.train[:20],
        train_labels=digits.train_labels[:20],
        held_out=digits.held_out[:16],
    )
    spec = EvaluateSpec(samples=16, metrics=("kid", "inception_score"), extractor="inception")
    stated = replace(spec, inception_weights=str(hub / INCEPTION_FILE))
    one, two = (Evaluator(s, Digits(), few, tmp_path / "cache") for s in (spec, stated))
    assert one.protocol == two.protocol
    assert one.protocol["extractor"] == "inception"
    assert set(one.protocol["floor"]) == {"kid", "inception_score"}


# torchvision's operators.


def test_nothing_is_declared_where_torchvision_s_library_loads(tmp_path, monkeypatch):
    import _ctypes
    import importlib.util

    class Found:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Found())
    assert not _library_loads()
    (tmp_path / "_C.so").write_text("no library")
    assert not _library_loads()
    (tmp_path / "_C.so").unlink()
    (tmp_path / "_C.so").symlink_to(_ctypes.__file__)
    assert _library_loads()


def test_what_is_found_comes_off_the_device_once(monkeypatch, extractor, digits):
    fetched, fetch = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: fetched.append(len(self)) or fetch(self))
    found = replace(extractor, batch_size=16)(digits.train[:100])
    assert fetched == [100, 100]  # features and logits
    assert len(found.features) == len(found.logits) == 100
