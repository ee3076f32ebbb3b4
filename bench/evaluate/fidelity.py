"""Image metrics on features: torch-fidelity's numbers, with what is of the reals made once.

Features are extracted once per evaluation and serve all metrics; the statistics of the real images
come from the cache. The numbers are those of torch-fidelity's `calculate_metrics` on the same
images and extractor: the Frechet distance to 1e-9 of it (see `frechet` for where torch-fidelity's
own error is larger), the others bit for bit.

Degenerate samples: a generator that gives one image has a zero covariance and a finite FID, because
the singular values that are summed exist whatever the rank, and no matrix root is taken. Precision
is then 0 or 1 and recall about 0, the inception score 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.evaluate.frechet import Root, frechet_distance, spectral_root, triangular_root
from bench.evaluate.kernels import Draws, kernel_distance, kernel_subsets, real_kernel_sums
from bench.evaluate.neighbours import neighbour_radii
from bench.evaluate.neighbours import precision_recall as near_shares
from wgan.data.torchvision_operators import declare_missing_operators

declare_missing_operators()

import torch_fidelity  # noqa: E402
from torch_fidelity.metric_fid import fid_features_to_statistics  # noqa: E402
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric  # noqa: E402

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


Arrays = dict[str, NDArray[Any]]
# How what follows from the reals is had: what it is, what it follows from, how it is computed.
Derive = Callable[[str, Mapping[str, Any], Callable[[], Arrays]], Arrays]


def _computed(what: str, of: Mapping[str, Any], compute: Callable[[], Arrays]) -> Arrays:
    return compute()


@dataclass(frozen=True)
class Real:
    """The reference of every score, and what follows from it, each made when first wanted.

    Attributes:
        mean, covariance: of the features of all its images, shapes (D,) and (D, D).
        features: of a part of them, shape (n, D): what KID, precision and recall compare with.
        derive: where what is dear to compute comes from: a cache, or else the computation.
    """

    mean: NDArray[np.float32]
    covariance: NDArray[np.float64]
    features: Tensor
    derive: Derive = _computed
    _kernel_sums: dict[tuple[int, int], NDArray[np.floating[Any]]] = field(default_factory=dict)

    @cached_property
    def root(self) -> Root:
        """A root of the covariance.

        Cholesky's takes as long as reading it from a disk would (0.1 s for 2,048 features), and is
        made anew; that of a singular covariance takes ten times as long and is looked up.
        """
        quick = triangular_root(self.covariance)
        if quick is not None:
            return quick

        def compute() -> Arrays:
            return {"factor": spectral_root(self.covariance).factor}

        found = self.derive("spectral root", {"covariance": self.covariance}, compute)
        return Root(found["factor"], triangular=False)

    @cached_property
    def radii(self) -> Tensor:
        """The distance from each of `features` to its nearest neighbour but two, shape (n,)."""

        def compute() -> Arrays:
            return {"radii": neighbour_radii(self.features, NEIGHBOURS).numpy()}

        of = {"features": self.features, "neighbours": NEIGHBOURS}
        return torch.from_numpy(self.derive("neighbour radii", of, compute)["radii"])

    def kernel_sums(self, fakes: int, subset_size: int) -> NDArray[np.floating[Any]]:
        """KID's sums over the reals of each subset, where there are so many fakes."""
        key = (fakes, subset_size)
        if key not in self._kernel_sums:
            self._kernel_sums[key] = real_kernel_sums(
                self.features.numpy(), self.draws(fakes, subset_size)
            )
        return self._kernel_sums[key]

    def draws(self, fakes: int, subset_size: int) -> Draws:
        """KID's subsets."""
        return kernel_subsets(fakes, len(self.features), KID_SUBSETS, subset_size, RNG_SEED)


def statistics(features: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Mean and covariance of features, shape (N, D)."""
    found = fid_features_to_statistics(features)
    return found["mu"], found["sigma"]


def fid(fake: Tensor, real: Real) -> float:
    """The Frechet distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of features, shape (N, D).

    Heusel et al. 2017, arXiv:1706.08500, equation 6. It reads too high by about b / N, with real
    images too: only equal counts compare.
    """
    return frechet_distance(fake.numpy(), real.mean, real.covariance, real.root)


def kid(fake: Tensor, real: Real, subset_size: int) -> float:
    """The mean over subsets of the unbiased MMD^2 with kernel (x.y / D + 1)^3.

    Binkowski et al. 2018, arXiv:1801.01401, section 4.

    Raises:
        ValueError: fewer fakes or reals than a subset has.
    """
    return kernel_distance(
        fake.numpy(),
        real.features.numpy(),
        real.draws(len(fake), subset_size),
        real.kernel_sums(len(fake), subset_size),
    )


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
    return near_shares(fake, real.features, real.radii, NEIGHBOURS)


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
