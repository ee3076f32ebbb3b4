"""Which metrics a data set is scored by, which of them means quality, which columns they fill."""

from __future__ import annotations

from bench.evaluate.classifiers import choose, counts_modes, unreadable
from bench.evaluate.errors import EvaluateError
from bench.spec import DENSITY_METRICS, IMAGE_METRICS, EvaluateSpec
from wgan.data import Dataset, Density, Images, PartialSet

# The columns that each metric fills; high_quality_share is of points alone.
COLUMNS = {
    "fid": ("fid",),
    "kid": ("kid",),
    "inception_score": ("inception_score",),
    "precision_recall": ("precision", "recall"),
    "density_coverage": ("density", "coverage"),
    "exact_w1": ("exact_w1",),
    "sliced_wasserstein": ("sliced_wasserstein",),
    "modes": ("modes_covered", "high_quality_share", "mode_reverse_kl"),
}
# What images are scored by where nothing is named.
USUAL_IMAGE_METRICS = ("fid", "kid", "inception_score", "precision_recall")
FEWEST = 16  # images of a split that are scored with
W1_DIMENSIONS = 2  # above them exact W1 between samples is mostly error (see `points`)


def quality_metric(density: Density | None) -> str:
    """The metric that means quality; low is good. None stands for images.

    FID for images, exact W1 for densities of one or two dimensions, the sliced distance for those
    of more.
    """
    if density is None:
        return "fid"
    return "exact_w1" if density.shape[0] <= W1_DIMENSIONS else "sliced_wasserstein"


def chosen_metrics(
    spec: EvaluateSpec, dataset: Dataset, density: Density | None
) -> tuple[str, ...]:
    """The metrics of `spec`, in their standing order; the usual ones where it names none.

    Args:
        spec: the metrics and the extractor.
        dataset: the description of the data set.
        density: the density; None for images, which need not be loaded.

    Raises:
        EvaluateError: a metric that does not fit; names those that do. Or halves or fresh sets of
            a quality that is not measured.
    """
    if density is None:
        fitting, usual = _image_metrics(spec, dataset)
    else:
        fitting, usual = _density_metrics(density)
    for metric in spec.metrics:
        if metric not in fitting:
            raise EvaluateError(
                f"evaluate.metrics: {metric!r} does not fit the dataset {dataset} "
                f"({'images' if density is None else density.kind}); "
                f"what fits: {', '.join(fitting)}"
            )
    chosen = tuple(name for name in fitting if name in (spec.metrics or usual))
    quality = quality_metric(density)
    for asked, held in (("halves", spec.halves), ("fresh_sets", spec.fresh_sets)):
        if held and quality not in chosen:
            raise EvaluateError(
                f"evaluate.{asked}: {str(held).lower()} is not allowed where 'metrics' leaves out "
                f"{quality!r}, which means quality for the dataset {dataset}; add it, or leave "
                f"{asked} out"
            )
    return chosen


def check_extractor(spec: EvaluateSpec, dataset: Dataset) -> None:
    """Refuse an extractor that cannot read the images of the data set; a density has none.

    Raises:
        EvaluateError: what it reads.
    """
    if len(dataset.shape) == 3:
        problem = unreadable(choose(spec.extractor, dataset.name), dataset.shape)
        if problem is not None:
            raise EvaluateError(problem)


def check_enough(dataset: Dataset, data: Images) -> None:
    """Refuse an image set with too few images to score with.

    Raises:
        EvaluateError: how many there are, and how many are needed.
    """
    for split, pixels in (("training", data.train), ("held-out", data.held_out)):
        if len(pixels) < FEWEST:
            raise EvaluateError(
                f"dataset {dataset.name}: {len(pixels)} {split} images are too few to score "
                f"with; at least {FEWEST} are needed"
            )


def reals_of(dataset: Dataset) -> dict[str, str]:
    """Which reals scores compare with, in words, for a set of which a part can be trained on.

    It is the same whatever part that is, and so are the scores: no part of the protocol's id.
    """
    if not isinstance(dataset, PartialSet):
        return {}
    return {"reals": "the n_real images of the whole training split, whatever part is trained on"}


def _image_metrics(spec: EvaluateSpec, dataset: Dataset) -> tuple[list[str], list[str]]:
    """What fits images, and what is usual: modes only where a classifier knows them."""
    counted = counts_modes(spec.extractor, dataset.name)
    fitting = [name for name in IMAGE_METRICS if name != "modes" or counted]
    stacked = counted and dataset.shape[0] > 1
    usual = [*USUAL_IMAGE_METRICS, *(["modes"] if stacked else [])]
    return fitting, usual


def _density_metrics(density: Density) -> tuple[list[str], list[str]]:
    """What fits a density, and what is usual: modes only where they have a width."""
    has_modes = density.modes is not None and (density.mode_std or 0) > 0
    fitting = [name for name in DENSITY_METRICS if name != "modes" or has_modes]
    return fitting, [name for name in fitting if name in (quality_metric(density), "modes")]
