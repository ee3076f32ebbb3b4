"""The Frechet distance of 2,048 features against torch-fidelity's, from features to the number.

The statistics of the reals, and our root of their covariance, are made once and belong to neither
side, as in an evaluation.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.evaluate.frechet import frechet_distance, root_of
from tests.speed.figure import Figure
from tests.speed.ratios import interleaved, ratios
from wgan.data.torchvision_operators import declare_missing_operators

declare_missing_operators()

from torch_fidelity.metric_fid import (  # noqa: E402
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

SIZE, REALS = 2048, 10_000
COUNTS = (5000, 1000)
ROUNDS = 5
ALLOWED = {5000: 1e-9, 1000: 1e-5}  # relative difference; see `bench.evaluate.frechet`


def features(count: int, size: int, seed: int) -> torch.Tensor:
    """Correlated and not negative, as pooled activations are; float32, (count, size)."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).standard_normal((size, size)) / np.sqrt(size)
    scales = np.geomspace(1, 0.01, size)
    drawn = rng.standard_normal((count, size)) * scales @ mixing
    return torch.from_numpy(np.abs(drawn + 0.1 * (seed + 1)).astype(np.float32))


def frechet(
    threads: int, rounds: int = ROUNDS, size: int = SIZE, counts: tuple[int, ...] = COUNTS
) -> dict[str, Figure]:
    """For each number of fakes how many times as long torch-fidelity takes."""
    torch.set_num_threads(threads)
    real = fid_features_to_statistics(features(REALS, size, 1))
    root = root_of(real["sigma"])
    found = {}
    for count in counts:
        fakes = features(count, size, 2)
        given = {}

        def theirs(fakes: torch.Tensor = fakes, given: dict[str, float] = given) -> None:
            statistics = fid_features_to_statistics(fakes)
            metric = fid_statistics_to_metric(statistics, real, verbose=False)
            given["theirs"] = float(metric[KEY_METRIC_FID])

        def ours(fakes: torch.Tensor = fakes, given: dict[str, float] = given) -> None:
            given["ours"] = frechet_distance(fakes.numpy(), real["mu"], real["sigma"], root)

        ours()
        seconds = interleaved({"torch-fidelity": theirs, "ours": ours}, rounds)
        apart = abs(given["ours"] / given["theirs"] - 1)
        found[f"frechet_{count}"] = Figure(
            ratios(seconds, "torch-fidelity", "ours"),
            seconds,
            threads,
            remark=f"relative difference {apart:.1e}",
            sound=apart <= ALLOWED.get(count, 1e-5),
        )
    return found
