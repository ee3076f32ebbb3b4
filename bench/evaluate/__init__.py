"""Quality scores, each with the protocol that made it.

`Evaluator` scores generated samples against a data set; what it reports is only comparable within
one `protocol["id"]`. Importing this package loads no metric library: images load torch-fidelity on
first use, densities never do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.evaluate.choice import (
    COLUMNS,
    check_enough,
    check_extractor,
    chosen_metrics,
    quality_metric,
    reals_of,
)
from bench.evaluate.errors import EvaluateError
from bench.evaluate.halves import half_columns, over_sets, stated
from bench.evaluate.keys import short_hash
from bench.spec import EvaluateSpec
from wgan.data import Data, Dataset, Density, Images

if TYPE_CHECKING:
    from bench.evaluate.images import ImageScorer
    from bench.evaluate.points import PointScorer

__all__ = [
    "COLUMNS",
    "EvaluateError",
    "Evaluator",
    "check_enough",
    "check_extractor",
    "chosen_metrics",
    "reals_of",
    "stated",
]


class Evaluator:
    """Scores a generator's samples against one data set under one protocol.

    Args:
        spec: which metrics, how many samples, which extractor.
        dataset, data: the description of the data set and the data itself.
        cache: a folder for what is computed of the real data; made when needed, shared by any
            number of processes.
        device: where images are turned into features.
        ema: whether the samples to be scored come from an average of the generator's weights.

    Attributes:
        protocol: JSON-able: all that the scores depend on; `id`, 8 hex digits of that; and what was
            measured under it: `floor` (real against real), `baselines`, and for images
            `floor_extrapolated` (the floor's FID at the generator's number of samples, estimated)
            with its standard error, `floor_extrapolated_error`.
        floor_quality: the floor of the quality number, or None where that metric was not chosen.

    Raises:
        EvaluateError: a metric or an extractor that does not fit the data, or weights that cannot
            be had.
    """

    def __init__(
        self,
        spec: EvaluateSpec,
        dataset: Dataset,
        data: Data,
        cache: Path,
        device: str = "cpu",
        *,
        ema: bool = False,
    ) -> None:
        density = data if isinstance(data, Density) else None
        self._metrics = chosen_metrics(spec, dataset, density)
        self._quality = quality_metric(density)
        self._halves = half_columns(self._quality) if spec.halves else ()
        self._shape = (spec.samples, *data.shape)
        self._scorer: ImageScorer | PointScorer
        if isinstance(data, Images):
            from bench.evaluate.images import ImageScorer

            self._scorer = ImageScorer(spec, dataset, data, self._metrics, cache, device)
        else:
            from bench.evaluate.points import PointScorer

            self._scorer = PointScorer(spec, data, self._metrics)
        settings: dict[str, Any] = {
            # Of the whole set, as are the reals: what part of it is trained on changes no score.
            "dataset": dataset.whole().to_plain(for_id=True),
            "dataset_version": dataset.version,
            "kind": data.kind,
            "metrics": list(self._metrics),
            "quality": self._quality,
            **self._scorer.settings,
            "ema": ema,
        }
        self.protocol: dict[str, Any] = {
            "id": short_hash(settings, 8),
            **settings,
            **self._scorer.measured,
        }
        self.floor_quality = self.quality(self._scorer.measured["floor"])

    def score(self, fake: Tensor) -> dict[str, float]:
        """The chosen metrics of generated samples, by column name; of halves too, where asked for.

        Samples that are not all finite have no scores: every metric is then NaN.

        Args:
            fake: float images in [-1, 1], shape (N, C, H, W), or points, shape (N, d); N is the
                protocol's `n_fake`.

        Raises:
            EvaluateError: another shape or number, which would be scored under a protocol that it
                does not follow.
        """
        self._check_shape(fake)
        if not torch.isfinite(fake).all():
            return dict.fromkeys((*self.columns, *self._halves), math.nan)
        return self._scorer.score(fake, halves=bool(self._halves))

    def score_sets(self, sets: Iterable[Tensor]) -> dict[str, float]:
        """Mean and standard deviation of the quality number over sets of samples, and their number.

        Args:
            sets: at least two, each of the shape that `score` takes.

        Raises:
            EvaluateError: another shape or number.
        """
        return over_sets(self._quality, map(self._quality_of, sets))

    def _quality_of(self, fake: Tensor) -> float:
        self._check_shape(fake)
        return self._scorer.quality(fake) if bool(torch.isfinite(fake).all()) else math.nan

    def _check_shape(self, fake: Tensor) -> None:
        if tuple(fake.shape) != self._shape:
            raise EvaluateError(
                f"samples of shape {tuple(fake.shape)} cannot be scored: "
                f"the protocol says {self._shape}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the chosen metrics: what every evaluation has."""
        return tuple(self._scorer.measured["floor"])

    def quality(self, scores: Mapping[str, float]) -> float | None:
        """The number that quality means; low is good.

        FID for images, exact W1 for densities of one or two dimensions, sliced W1 for those of
        more. None where that metric was not chosen.
        """
        return scores.get(self._quality)
