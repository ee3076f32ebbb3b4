"""Image metrics on features, through torch-fidelity's own functions.

Features are extracted once per evaluation and serve all metrics; the statistics of the real images
come from the cache. The numbers are those of torch-fidelity's `calculate_metrics` on the same
images and extractor.

Degenerate samples: a generator that gives one image has a zero covariance and a finite FID, because
torch-fidelity sums the roots of the eigenvalues of the product of the covariances and takes no
matrix root. Precision is then 0 or 1 and recall about 0, the inception score 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.data.torchvision_operators import declare_missing_operators

declare_missing_operators()

import torch_fidelity  # noqa: E402
from torch_fidelity.metric_fid import (  # noqa: E402
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric  # noqa: E402
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric  # noqa: E402
from torch_fidelity.metric_prc import (  # noqa: E402
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

TORCH_FIDELITY_VERSION: str = torch_fidelity.__version__

# torch-fidelity's defaults, written out because they belong to the protocol.
KID_SUBSETS = 100
INCEPTION_SCORE_SPLITS = 10
NEIGHBOURS = 3
RNG_SEED = 2020  # of KID's subsets and of the shuffling before the inception score's splits


@dataclass(frozen=True)
class Features:
    """What an extractor gives for N images: float32, shapes (N, D) and (N, K), on the CPU.

    Where it reads each channel by itself, `logits` has the shape (N, C, K).
    """

    features: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Real:
    """The reference of every score.

    Attributes:
        mean, covariance: of the features of all its images, shapes (D,) and (D, D).
        features: of a part of them, shape (n, D): what KID, precision and recall compare with.
    """

    mean: NDArray[np.float32]
    covariance: NDArray[np.float64]
    features: Tensor


def statistics(features: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Mean and covariance of features, shape (N, D)."""
    found = fid_features_to_statistics(features)
    return found["mu"], found["sigma"]


def fid(fake: Tensor, real: Real) -> float:
    """The Frechet distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of features, shape (N, D).

    Heusel et al. 2017, arXiv:1706.08500, equation 6. It reads too high by about b / N, with real
    images too: only equal counts compare.
    """
    mean, covariance = statistics(fake)
    value = fid_statistics_to_metric(
        {"mu": mean, "sigma": covariance},
        {"mu": real.mean, "sigma": real.covariance},
        verbose=False,
    )
    return float(value[KEY_METRIC_FID])


def kid(fake: Tensor, real: Real, subset_size: int) -> float:
    """The mean over subsets of the unbiased MMD^2 with kernel (x.y / D + 1)^3.

    Binkowski et al. 2018, arXiv:1801.01401, section 4.
    """
    value = kid_features_to_metric(
        fake,
        real.features,
        kid_subsets=KID_SUBSETS,
        kid_subset_size=subset_size,
        rng_seed=RNG_SEED,
        verbose=False,
    )
    return float(value[KEY_METRIC_KID_MEAN])


def inception_score(logits: Tensor) -> float:
    """exp(mean KL(p(y|x) || p(y))), the mean over splits.

    Salimans et al. 2016, arXiv:1606.03498, section 4. Of images read channel by channel a class is
    one of each channel's: p(y|x) is the product of the channels'. It never exceeds the number of
    samples in a split.
    """
    value = isc_features_to_metric(_joint(logits), splits=INCEPTION_SCORE_SPLITS, rng_seed=RNG_SEED)
    return float(value[KEY_METRIC_ISC_MEAN])


def _joint(logits: Tensor) -> Tensor:
    """Logits (N, K), or (N, C, K) as those of all combinations of classes, shape (N, K^C)."""
    if logits.dim() == 2:
        return logits
    joint = logits[:, 0]
    for channel in logits.unbind(1)[1:]:
        joint = (joint[:, :, None] + channel[:, None, :]).flatten(1)
    return joint


def precision_recall(fake: Tensor, real: Real) -> tuple[float, float]:
    """The share of fakes among the reals and of reals among the fakes, by nearest-neighbour balls.

    Kynkaanniemi et al. 2019, arXiv:1904.06991, equations 1 and 2.
    """
    value = prc_features_to_metric(fake, real.features, prc_neighborhood=NEIGHBOURS, verbose=False)
    return float(value[KEY_METRIC_PRECISION]), float(value[KEY_METRIC_RECALL])


def image_scores(
    fake: Features, real: Real, metrics: tuple[str, ...], kid_subset_size: int
) -> dict[str, float]:
    """The chosen metrics of `fake` against `real`, by column name."""
    scores: dict[str, float] = {}
    if "fid" in metrics:
        scores["fid"] = fid(fake.features, real)
    if "kid" in metrics:
        scores["kid"] = kid(fake.features, real, kid_subset_size)
    if "inception_score" in metrics:
        scores["inception_score"] = inception_score(fake.logits)
    if "precision_recall" in metrics:
        scores["precision"], scores["recall"] = precision_recall(fake.features, real)
    return scores


def extrapolated_fid(held_out: Tensor, real: Real, count: int) -> tuple[float, float] | None:
    """What `fid(held_out, real)` would be with `count` held-out samples, and its standard error.

    FID falls with the number of samples as a + b / n to first order (Chong and Forsyth 2020,
    arXiv:1911.07023, section 3); a and b come from all N samples and from ten pairs of halves, the
    error from the differences within the pairs. None where N / 2 does not exceed the number of
    features: covariances are then singular and the law does not hold.
    """
    total, size = held_out.shape
    half = total // 2
    if half <= size:
        return None
    rng = torch.Generator().manual_seed(RNG_SEED)
    orders = [torch.randperm(total, generator=rng) for _ in range(10)]
    pairs = np.array(
        [
            [fid(held_out[order[:half]], real), fid(held_out[order[half : 2 * half]], real)]
            for order in orders
        ]
    )
    whole = fid(held_out, real)
    slope = (pairs.mean() - whole) / (1 / half - 1 / total)
    # Half the mean squared difference is the variance at N / 2; that at N is half of it.
    error = np.sqrt(np.square(pairs[:, 0] - pairs[:, 1]).mean() / 4)
    return float(whole + slope * (1 / count - 1 / total)), float(error)
