"""Image metrics: against torch-fidelity's own pipeline, closed forms and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import linalg

from bench.evaluate import Evaluator, fidelity
from bench.evaluate.fidelity import Features, Real
from bench.evaluate.small_cnn import WEIGHTS, load_small_cnn
from bench.spec import EvaluateSpec
from wgan.data import Digits, as_float


def reference(features):
    return Real(*fidelity.statistics(features), features)


def gaussian(count, size=6, seed=0, mean=0.0, scale=1.0):
    rng = torch.Generator().manual_seed(seed)
    return mean + scale * torch.randn(count, size, generator=rng)


class Pixels(torch.utils.data.Dataset):
    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        return self.pixels[index]


@pytest.fixture(scope="module")
def registered():
    """digits_cnn as a feature extractor of torch-fidelity's own pipeline."""
    import torch_fidelity

    class DigitsCNN(torch_fidelity.FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)
            self.network = load_small_cnn(WEIGHTS / "digits_cnn.safetensors", (1, 8, 8))

        @staticmethod
        def get_provided_features_list():
            return "features", "logits"

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, images):
            features, logits = self.network(images)
            found = {"features": features, "logits": logits}
            return tuple(found[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor("digits-cnn-under-test", DigitsCNN)
    return "digits-cnn-under-test"


@pytest.mark.parametrize("kind", ["noisy digits", "noise", "constant"])
def test_scores_equal_torch_fidelity_s_own_on_the_same_images(kind, registered, tmp_path):
    import torch_fidelity

    data = Digits().load()
    rng = torch.Generator().manual_seed(3)
    pixels = {
        "noisy digits": (
            (data.train[:500].float() + 40 * torch.randn(500, 1, 8, 8, generator=rng)).clamp(0, 255)
        ).to(torch.uint8),
        "noise": torch.randint(0, 256, (500, 1, 8, 8), generator=rng, dtype=torch.uint8),
        "constant": torch.full((500, 1, 8, 8), 77, dtype=torch.uint8),
    }[kind]
    theirs = torch_fidelity.calculate_metrics(
        input1=Pixels(pixels),
        input2=Pixels(data.train),
        feature_extractor=registered,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=60,
        cuda=False,
        cache=False,
        save_cpu_ram=True,  # no loader processes
        verbose=False,
    )
    evaluator = Evaluator(
        EvaluateSpec(samples=500, kid_subset_size=60), Digits(), data, tmp_path / "cache"
    )
    ours = evaluator.score(as_float(pixels))
    for name, key in (
        ("fid", torch_fidelity.KEY_METRIC_FID),
        ("kid", torch_fidelity.KEY_METRIC_KID_MEAN),
        ("inception_score", torch_fidelity.KEY_METRIC_ISC_MEAN),
        ("precision", torch_fidelity.KEY_METRIC_PRECISION),
        ("recall", torch_fidelity.KEY_METRIC_RECALL),
    ):
        assert ours[name] == pytest.approx(theirs[key], rel=1e-6), name


def test_fid_of_a_shift_is_its_square():
    real = gaussian(500)
    shift = torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0, 0.0])
    assert fidelity.fid(real + shift, reference(real)) == pytest.approx(5.25, rel=1e-4)


def test_fid_of_a_scaling_is_known():
    # S' = s^2 S, equal means: tr(S + s^2 S - 2 s S) = (1 - s)^2 tr S.
    real = gaussian(500).double()
    real = (real - real.mean(0)).float()
    trace = float(np.trace(np.cov(real.numpy(), rowvar=False)))
    assert fidelity.fid(3 * real, reference(real)) == pytest.approx(4 * trace, rel=1e-4)


def test_fid_equals_scipy_s_matrix_root():
    mixing = gaussian(6, seed=4)
    real, fake = gaussian(400), gaussian(300, seed=1) @ mixing + 0.3
    a, b = (np.cov(sample.double().numpy(), rowvar=False) for sample in (real, fake))
    distance = (real.double().mean(0) - fake.double().mean(0)).square().sum().item()
    expected = distance + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert fidelity.fid(fake, reference(real)) == pytest.approx(expected, rel=1e-5)


def test_fid_is_finite_for_constant_and_for_fewer_samples_than_features():
    real = reference(gaussian(200, size=30))
    for fake in (torch.zeros(50, 30), torch.ones(50, 30), gaussian(10, size=30, seed=2)):
        value = fidelity.fid(fake, real)
        assert type(value) is float
        assert math.isfinite(value)


def test_the_inception_score_counts_the_classes():
    assert fidelity.inception_score(torch.zeros(500, 10)) == pytest.approx(1)
    certain = 50 * torch.eye(4)[torch.arange(4000) % 4]
    assert fidelity.inception_score(certain) == pytest.approx(4, rel=0.01)


def test_the_classes_of_stacks_are_all_combinations_of_their_channels():
    logits = torch.randn(200, 3, 10, generator=torch.Generator().manual_seed(0))
    p = logits.double().softmax(dim=2)
    joint = torch.einsum("na,nb,nc->nabc", *p.unbind(1)).reshape(200, 1000)
    ours = fidelity.inception_score(logits)
    assert ours == pytest.approx(fidelity.inception_score(joint.log()), rel=1e-5)
    certain = 50 * torch.eye(10)[torch.cartesian_prod(*[torch.arange(10)] * 3)]
    # Each of ten splits meets 100 modes, none twice.
    assert fidelity.inception_score(certain) == pytest.approx(100, rel=1e-4)


def test_kid_of_equal_distributions_is_about_zero_and_of_others_is_not():
    real = reference(gaussian(1000))
    assert abs(fidelity.kid(gaussian(1000, seed=1), real, 100)) < 0.02
    assert fidelity.kid(gaussian(1000, seed=1, mean=1.0), real, 100) > 0.5


def test_precision_is_about_fakes_and_recall_about_reals():
    real = torch.cat([gaussian(200), gaussian(200, seed=1, mean=100.0)])
    half = gaussian(200, seed=2, scale=0.5)  # lies within one half of the reals
    precision, recall = fidelity.precision_recall(half, reference(real))
    assert precision > 0.9
    assert recall < 0.5
    precision, recall = fidelity.precision_recall(real, reference(half))
    assert precision < 0.6
    assert recall > 0.9


def test_only_the_chosen_metrics_are_made():
    real = reference(gaussian(100))
    fake = Features(gaussian(100, seed=1), torch.zeros(100, 3))
    assert set(fidelity.image_scores(fake, real, ("precision_recall",), 10)) == {
        "precision",
        "recall",
    }
    assert set(fidelity.image_scores(fake, real, ("kid",), 10)) == {"kid"}


def test_the_extrapolated_fid_is_that_of_more_samples():
    real = reference(gaussian(5000, size=20))
    few = [gaussian(300, size=20, seed=seed) for seed in range(1, 21)]
    more = np.mean([fidelity.fid(gaussian(2000, size=20, seed=s), real) for s in range(50, 60)])
    estimates = np.array([fidelity.extrapolated_fid(sample, real, 2000) for sample in few])
    assert np.mean([fidelity.fid(sample, real) for sample in few]) > 4 * more
    assert estimates[:, 0].mean() == pytest.approx(more, abs=0.15)
    assert 0.4 < estimates[:, 1].mean() / estimates[:, 0].std(ddof=1) < 2.5


def test_nothing_is_extrapolated_from_singular_covariances():
    real = reference(gaussian(500, size=40))
    assert fidelity.extrapolated_fid(gaussian(80, size=40, seed=1), real, 2000) is None
    assert fidelity.extrapolated_fid(gaussian(82, size=40, seed=1), real, 2000) is not None


def test_scoring_prints_nothing(capfd):
    fake = Features(gaussian(100, seed=1), torch.zeros(100, 3))
    metrics = ("fid", "kid", "inception_score", "precision_recall")
    fidelity.image_scores(fake, reference(gaussian(100)), metrics, 10)
    assert capfd.readouterr() == ("", "")
