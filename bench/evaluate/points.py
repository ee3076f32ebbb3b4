"""Scoring generated points against a density: the protocol, the floor, the scores."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bench.evaluate.modes import NEAR, W1_POINTS, distance_to_reference, mode_scores
from bench.spec import EvaluateSpec
from wgan.data import Density
from wgan.random import stream


class PointScorer:
    """Scores points against one fixed sample of the density and against its modes.

    All runs meet the same real sample, so that differences between runs are free of its noise.

    Attributes:
        settings: what the scores depend on.
        measured: `floor`, the scores of another, independent real sample of the same size as a
            generator's; `baselines`, empty.
    """

    quality = "exact_w1"

    def __init__(self, spec: EvaluateSpec, data: Density, metrics: tuple[str, ...]) -> None:
        self.metrics = metrics
        self.data = data
        points = min(W1_POINTS, spec.samples)
        self.reference = data.sampler(points, stream(0, "score_reference"))
        self.settings: dict[str, Any] = {
            "split": "fresh samples",
            "n_fake": spec.samples,
            "n_floor": spec.samples,
            "floor_split": "a further real sample",
            "ema": False,
        }
        if "exact_w1" in metrics:
            self.settings |= {
                "n_real": points,
                "w1_points": points,
                "w1": "exact, by assignment: the first w1_points fakes, one fixed real sample",
            }
        if "modes" in metrics:
            self.settings["mode_radius"] = f"{NEAR:g} standard deviations"
        floor = self.score(data.sampler(spec.samples, stream(0, "score_floor")))
        self.measured: dict[str, dict[str, Any]] = {"floor": floor, "baselines": {}}

    def score(self, fake: Tensor) -> dict[str, float]:
        """The metrics of points, shape (N, d)."""
        fake, scores = fake.detach().cpu(), {}
        if "exact_w1" in self.metrics:
            scores["exact_w1"] = distance_to_reference(fake, self.reference)
        if "modes" in self.metrics:
            assert self.data.modes is not None
            assert self.data.mode_std is not None
            covered, share = mode_scores(fake, self.data.modes, self.data.mode_std)
            scores["modes_covered"], scores["high_quality_share"] = float(covered), share
        return scores
