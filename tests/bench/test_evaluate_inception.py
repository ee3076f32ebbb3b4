"""Inception with folded batch norms: the same features, sooner; in bfloat16 where asked for."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.evaluate import Evaluator
from bench.evaluate import images as choosing
from bench.evaluate.extractors import make_extractor
from bench.evaluate.inception import quickened
from bench.evaluate.real import numerics
from bench.spec import EvaluateSpec
from wgan.components import ConfigError
from wgan.data import Digits
from wgan.data.torchvision_operators import declare_missing_operators


def randomised(network, seed=0):
    """Batch norms as training leaves them, and weights that keep the signal's size."""
    rng = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3, generator=rng)
            layer.running_var.uniform_(0.3, 3, generator=rng)
            layer.weight.data.uniform_(0.5, 1.5, generator=rng)
            layer.bias.data.normal_(0, 0.3, generator=rng)
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
    return network


def plain_inception(monkeypatch):
    """torch-fidelity's network without its weights, which are a download."""
    declare_missing_operators()
    from torch_fidelity import FeatureExtractorInceptionV3, feature_extractor_inceptionv3

    class Empty(FeatureExtractorInceptionV3):
        def load_state_dict(self, state_dict):
            pass

    with monkeypatch.context() as patched, torch.random.fork_rng(devices=[]):
        patched.setattr(
            feature_extractor_inceptionv3, "load_state_dict_from_url", lambda *a, **k: {}
        )
        network = Empty("inception-v3-compat", ["2048", "logits_unbiased"], verbose=False)
    return randomised(network)


def images(count=3, side=32):
    rng = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, 3, side, side), generator=rng, dtype=torch.uint8)


def apart(found, expected):
    """The length of the difference, in that of the expected."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def block():
    declare_missing_operators()
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    return randomised(BasicConv2d(5, 7, kernel_size=3, padding=1)).eval().requires_grad_(False)


def test_a_block_without_its_batch_norm_computes_the_same():
    plain = block()
    maps = torch.randn(4, 5, 9, 9, generator=torch.Generator().manual_seed(1))
    expected = copy.deepcopy(plain).double()(maps.double())
    folded = quickened(nn.Sequential(copy.deepcopy(plain)))
    assert not [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert folded[0].conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert apart(folded(maps), expected) < 3e-7
    assert apart(plain(maps), expected) < 3e-7


@pytest.mark.slow
@pytest.mark.usefixtures("_no_grad")
def test_folded_features_are_those_of_the_plain_network(monkeypatch):
    plain = plain_inception(monkeypatch)
    expected = plain(images())
    in_double = copy.deepcopy(plain).double()
    in_double.feature_extractor_internal_dtype = torch.float64
    truth = in_double(images())
    found = quickened(plain)(images())
    for ours, theirs, exact in zip(found, expected, truth, strict=True):
        assert apart(ours, theirs) < 1e-6
        assert apart(ours, exact) < 1e-6
        assert ours.std() > 0.05  # the features are alive


@pytest.mark.slow
@pytest.mark.usefixtures("_no_grad")
def test_bf16_changes_features_by_no_more_than_it_must(monkeypatch):
    plain = plain_inception(monkeypatch)
    expected = plain(images())[0]
    found = quickened(plain, "bf16")(images())[0]
    assert found.dtype == torch.float32
    assert 1e-4 < apart(found, expected) < 2e-2
    # Averaged in float32: means are no numbers of bfloat16.
    assert not torch.equal(found, found.bfloat16().float())


@pytest.fixture
def _no_grad():
    with torch.no_grad():
        yield


@pytest.mark.slow
def test_the_extractor_gives_the_plain_network_s_features_and_logits(monkeypatch, tmp_path):
    plain, path = plain_inception(monkeypatch), tmp_path / "weights.pth"
    torch.save(plain.state_dict(), path)
    with torch.no_grad():
        features, logits = plain(images(5))
    extractor = replace(make_extractor("inception", (3, 32, 32), str(path)), batch_size=2)
    found = extractor(images(5))
    assert apart(found.features, features) < 1e-6
    assert apart(found.logits, logits) < 1e-6
    assert "folded" in numerics(extractor)["arithmetic"]

    rough = make_extractor("inception", (3, 32, 32), str(path), inception_precision="bf16")
    assert 1e-4 < apart(rough(images(5)).features, features) < 2e-2
    assert numerics(rough) != numerics(extractor)
    assert rough.weights_hash == extractor.weights_hash
    assert (extractor.precision, rough.precision) == ("float32", "bf16")


def test_a_protocol_names_the_precision_where_it_is_not_the_plain_one(tmp_path, monkeypatch):
    """So that the plain one's id is what it was before there was a choice."""
    data, plain = Digits().load(), make_extractor("digits_cnn", (1, 8, 8))
    found = {}
    for precision in ("float32", "bf16"):
        made = replace(plain, precision=precision, arithmetic=precision)
        monkeypatch.setattr(choosing, "make_extractor", lambda *args, made=made: made)
        found[precision] = Evaluator(
            EvaluateSpec(samples=20, metrics=("fid",)), Digits(), data, tmp_path
        ).protocol
    assert "inception_precision" not in found["float32"]
    assert found["bf16"]["inception_precision"] == "bf16"
    assert found["bf16"]["id"] != found["float32"]["id"]


def test_the_precision_of_inception_is_no_matter_to_other_extractors(tmp_path):
    data = Digits().load()
    one, two = (
        Evaluator(
            EvaluateSpec(samples=20, metrics=("fid",), inception_precision=precision),
            Digits(),
            data,
            tmp_path,
        )
        for precision in ("float32", "bf16")
    )
    assert one.protocol == two.protocol


def test_the_plain_classifier_s_cache_keys_say_nothing_of_arithmetic():
    assert "arithmetic" not in numerics(make_extractor("digits_cnn", (1, 8, 8)))


def test_another_precision_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"inception_precision.*fp8.*bf16, float32"):
        EvaluateSpec(inception_precision="fp8")


@pytest.mark.gpu
@pytest.mark.usefixtures("_no_grad")
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("bf16", 2e-2)])
def test_features_on_a_gpu_are_those_on_the_cpu(precision, most, monkeypatch, tmp_path):
    plain, path = plain_inception(monkeypatch), tmp_path / "weights.pth"
    torch.save(plain.state_dict(), path)
    expected = plain(images())
    extractor = make_extractor("inception", (3, 32, 32), str(path), "cuda", precision)
    found = extractor(images().cuda())
    assert found.features.device.type == found.logits.device.type == "cpu"
    assert apart(found.features, expected[0]) < most
    assert torch.equal(extractor(images()).features, found.features)  # wherever they come from
