"""Scoring generated images: the protocol, the floor, the baseline, the scores."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from bench.evaluate import density_coverage as balls
from bench.evaluate import fidelity, patches
from bench.evaluate.choice import check_enough
from bench.evaluate.class_gaussian import SEED, class_gaussian, class_pixel_gaussian
from bench.evaluate.classifiers import choose
from bench.evaluate.errors import EvaluateError
from bench.evaluate.extractors import Extractor, make_extractor
from bench.evaluate.fidelity import Features
from bench.evaluate.halves import by_half, halved
from bench.evaluate.keys import tensor_hash
from bench.evaluate.modes import class_mode_scores, class_shares
from bench.evaluate.real import (
    Arrays,
    cached_arrays,
    fixed_part,
    numerics,
    real_reference,
)
from bench.evaluate.sliced_wasserstein import Projections
from bench.spec import EvaluateSpec
from wgan.data import Dataset, Images, as_pixels

_MOST_PATCHED = 5000  # images whose projected patches are kept: 80 MB for each level of a pyramid


class ImageScorer:
    """Scores images against the training split, in the features of one extractor.

    Where a part of it is trained on, scores are against the whole split all the same: quality is
    measured against the distribution that the data came from.

    Attributes:
        settings: what the scores depend on.
        measured: `floor`, the held-out images' own scores against the training split;
            `floor_extrapolated`, its FID at as many samples as a generator gives, estimated, with
            its standard error `floor_extrapolated_error` (both empty where the floor has as many,
            or where there are too few to say); `baselines`, with `class_gaussian` and
            `class_pixel_gaussian` where there are labels.

    Raises:
        EvaluateError: an extractor that cannot be had or does not fit, or too few images.
    """

    def __init__(
        self,
        spec: EvaluateSpec,
        dataset: Dataset,
        data: Images,
        metrics: tuple[str, ...],
        cache: Path,
        device: str,
    ) -> None:
        data = data.scored_against
        check_enough(dataset, data)
        self.metrics = metrics
        self.extractor: Extractor = make_extractor(
            choose(spec.extractor, dataset.name),
            data.shape,
            spec.inception_weights,
            device,
            spec.inception_precision,
        )
        self.real = real_reference(cache, data.train, self.extractor)
        self.n_floor = min(len(data.held_out), spec.samples)
        self.kid_subset_size = min(spec.kid_subset_size, self.n_floor, len(self.real.features))
        self._prepare(spec, data)
        self.settings = self._settings(spec, data)
        self._score_reals(spec, data, cache)

    def score(self, fake: Tensor, *, halves: bool = False) -> dict[str, float]:
        """The metrics of float images in [-1, 1], shape (N, C, H, W); of each half FID alone."""
        pixels = as_pixels(fake)
        found = self.extractor(pixels)
        scores = self._score_features(pixels, found)
        if halves:
            both = halved(found.features)
            scores |= by_half("fid", (fidelity.fid(half, self.real) for half in both))
        return scores

    def quality(self, fake: Tensor) -> float:
        """FID alone."""
        return fidelity.fid(self.extractor(as_pixels(fake)).features, self.real)

    def _prepare(self, spec: EvaluateSpec, data: Images) -> None:
        """What the chosen metrics compare with, beside `real`: no more reals than fakes."""
        if "density_coverage" in self.metrics:
            self.centres = fixed_part(self.real.features, spec.samples)
            self.radii = balls.ball_radii(self.centres)
        if "sliced_wasserstein" in self.metrics:
            self.real_pixels = fixed_part(data.train, spec.samples).cpu()
        if "modes" in self.metrics:
            self.mode_shares = _mode_shares(data)

    @cached_property
    def _real_patches(self) -> Tensor | list[Projections]:
        """The reals' patches, projected once where that fits in memory."""
        few = len(self.real_pixels) <= _MOST_PATCHED
        return patches.projected_patches(self.real_pixels) if few else self.real_pixels

    def _score_pixels(self, pixels: Tensor) -> dict[str, float]:
        return self._score_features(pixels, self.extractor(pixels))

    def _score_features(self, pixels: Tensor, found: Features) -> dict[str, float]:
        """The chosen metrics of uint8 images and what the extractor gives for them."""
        scores = fidelity.image_scores(found, self.real, self.metrics, self.kid_subset_size)
        if "density_coverage" in self.metrics:
            scores["density"], scores["coverage"] = balls.density_coverage(
                found.features, self.centres, self.radii
            )
        if "sliced_wasserstein" in self.metrics:
            scores["sliced_wasserstein"] = patches.image_distance(pixels, self._real_patches)
        if "modes" in self.metrics:
            covered, kl = class_mode_scores(found.logits, self.mode_shares)
            scores["modes_covered"], scores["mode_reverse_kl"] = float(covered), kl
        return scores

    def _settings(self, spec: EvaluateSpec, data: Images) -> dict[str, Any]:
        """What the scores depend on; of the metrics' own settings those of the chosen ones.

        `torch_fidelity` names whose definitions and numbers these are. FID is computed otherwise,
        by `frechet`, to within 1e-9 of the same number (see there for singular covariances), which
        makes no other protocol: scores from before and after compare.
        """
        settings: dict[str, Any] = {
            "split": "train",
            "n_real": len(data.train),
            "n_fake": spec.samples,
            "n_floor": self.n_floor,
            "floor_split": "held out",
            "real_pixels": tensor_hash(data.train),
            "held_out_pixels": tensor_hash(data.held_out),
            "extractor": self.extractor.name,
            "weights_hash": self.extractor.weights_hash,
            "feature_size": self.extractor.feature_size,
            "image_range": "uint8, 0 to 255",
            "quantisation": "127.5 x + 127.5, rounded half to even, clamped",
            "resizing": self.extractor.resizing,
            "torch_fidelity": fidelity.TORCH_FIDELITY_VERSION,
        }
        # Left out where it is the plain one, so that protocols from before it keep their ids.
        if self.extractor.precision != "float32":
            settings["inception_precision"] = self.extractor.precision
        if "kid" in self.metrics:
            settings |= {
                "kid_subset_size": self.kid_subset_size,
                "kid_subsets": fidelity.KID_SUBSETS,
                "kid_kernel": "(x.y / D + 1)^3",
            }
        if "inception_score" in self.metrics:
            settings["inception_score_splits"] = fidelity.INCEPTION_SCORE_SPLITS
        if "precision_recall" in self.metrics:
            settings["neighbours"] = fidelity.NEIGHBOURS
        if {"kid", "precision_recall"} & set(self.metrics):
            settings["n_real_features"] = len(self.real.features)
        if {"kid", "inception_score"} & set(self.metrics):
            settings["rng_seed"] = fidelity.RNG_SEED
        settings |= self._further_settings(spec)
        if data.train_labels is not None:
            settings["class_gaussian"] = (
                f"mean and covariance of each class's training pixels, n_fake samples, seed {SEED}"
            )
            settings["class_pixel_gaussian"] = "the same with the variances alone"
        return settings

    def _further_settings(self, spec: EvaluateSpec) -> dict[str, Any]:
        """Those of the metrics that are ours."""
        settings: dict[str, Any] = {}
        if "density_coverage" in self.metrics:
            settings |= {
                "density_coverage_neighbours": balls.NEIGHBOURS,
                "density_coverage_reals": len(self.centres),
                "coverage_expected": round(
                    balls.expected_coverage(len(self.centres), spec.samples), 4
                ),
            }
        if "sliced_wasserstein" in self.metrics:
            settings |= {
                "sliced_wasserstein": patches.DESCRIPTION,
                "sliced_wasserstein_reals": len(self.real_pixels),
            }
        if "modes" in self.metrics:
            settings |= {
                "modes": len(self.mode_shares),
                "mode_reverse_kl": "KL(shares || training labels' shares) in nats, of all samples, "
                "each in the extractor's likeliest class",
            }
        return settings

    def _score_reals(self, spec: EvaluateSpec, data: Images, cache: Path) -> None:
        """Fill `measured`, from the cache where it has them."""

        def compute() -> Arrays:
            pixels = fixed_part(data.held_out, self.n_floor)
            held_out = self.extractor(pixels)
            scores = self._score_features(pixels, held_out)
            found = {f"floor:{name}": value for name, value in scores.items()}
            if "fid" in self.metrics and self.n_floor < spec.samples:
                estimated = fidelity.extrapolated_fid(held_out.features, self.real, spec.samples)
                if estimated is not None:
                    found["floor_extrapolated:fid"] = estimated[0]
                    found["floor_extrapolated_error:fid"] = estimated[1]
            if data.train_labels is not None:
                for baseline in (class_gaussian, class_pixel_gaussian):
                    drawn = baseline(data.train.cpu(), data.train_labels.cpu(), spec.samples)
                    scores = self._score_pixels(drawn)
                    found |= {f"{baseline.__name__}:{name}": scores[name] for name in scores}
            return {"names": np.array(list(found)), "values": np.array(list(found.values()))}

        key = {
            "what": "scores of reals",
            "settings": self.settings,
            "metrics": list(self.metrics),
            "labels": tensor_hash(data.train_labels),
            **numerics(self.extractor),
        }
        found = cached_arrays(cache, key, ("names", "values"), compute)
        grouped: dict[str, dict[str, float]] = {}
        for name, value in zip(found["names"].tolist(), found["values"].tolist(), strict=True):
            group, metric = name.split(":")
            grouped.setdefault(group, {})[metric] = value
        self.measured: dict[str, dict[str, Any]] = {
            "floor": grouped.pop("floor"),
            "floor_extrapolated": grouped.pop("floor_extrapolated", {}),
            "floor_extrapolated_error": grouped.pop("floor_extrapolated_error", {}),
            "baselines": grouped,
        }


def _mode_shares(data: Images) -> Tensor:
    """How likely each mode is in the training split.

    Raises:
        EvaluateError: there are no labels to tell by, or modes that never occur, against which no
            generator that makes them could be scored.
    """
    if data.train_labels is None:
        raise EvaluateError("evaluate.metrics: 'modes' needs labels, and the dataset has none")
    shares = class_shares(data.train_labels.cpu(), data.shape[0])
    if not bool((shares > 0).all()):
        raise EvaluateError(
            f"evaluate.metrics: 'modes': {int((shares == 0).sum())} of the {len(shares)} modes "
            f"never occur in the {len(data.train_labels)} training images; take more of them"
        )
    return shares
