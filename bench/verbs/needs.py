"""What runs need before anything is written: their data, read once, and the scores' weights."""

from __future__ import annotations

from collections.abc import Sequence

from bench.evaluate import EvaluateError, check_enough
from bench.evaluate.classifiers import choose
from bench.grid import Sweep, SweepError
from bench.store import Planned
from bench.verbs.show import note
from wgan.data import DataError, Dataset, Images
from wgan.data.places import at_home
from wgan.precision import check_precision


def check_weights_named(sweep: Sweep) -> None:
    """Refuse a file of Inception weights that is not there.

    Raises:
        SweepError: names the file.
    """
    for weights in {run.evaluate.inception_weights for run in sweep.runs} - {""}:
        if not at_home(weights).is_file():
            raise SweepError(
                f"{sweep.weights_place}: evaluate.inception_weights: there is no file "
                f"{weights!r}; give the path of torch-fidelity's Inception weights, or "
                "nothing for its own download"
            )


def check_data(sweep: Sweep, planned: Sequence[Planned]) -> None:
    """Refuse, before anything is trained, data sets that are not where the sweep says.

    Raises:
        SweepError: what is missing and how to get it.
    """
    for dataset in _datasets([item for item in planned if item.action in ("run", "resume")]):
        try:
            dataset.check_present()
        except DataError as error:
            raise SweepError(f"{_dataset_place(sweep, dataset)}: dataset: {error}") from None


def read_data(sweep: Sweep, wanted: Sequence[Planned]) -> None:
    """Have each image set read, those that lie in files into the cache, once for all runs.

    Raises:
        SweepError: one cannot be had, or is too small to score with; nothing has been trained.
    """
    for dataset in _datasets(wanted):
        if type(dataset).check_present is not Dataset.check_present:
            note(f"reading {dataset.label}")
        if len(dataset.shape) == 3:
            try:
                data = dataset.load()
                if isinstance(data, Images):
                    check_enough(dataset, data)
            except DataError as error:
                raise SweepError(f"{_dataset_place(sweep, dataset)}: dataset: {error}") from None
            except EvaluateError as error:
                raise SweepError(f"{_dataset_place(sweep, dataset)}: {error}") from None


def have_weights(sweep: Sweep, wanted: Sequence[Planned]) -> None:
    """Have the Inception weights, downloaded if need be, where images are scored with them.

    Raises:
        SweepError: they cannot be had; nothing has been trained.
    """
    for item in wanted:
        spec, dataset = item.spec.evaluate, item.spec.config.dataset
        if len(dataset.shape) == 3 and choose(spec.extractor, dataset.name) == "inception":
            from bench.evaluate.extractors import inception_weights

            try:
                inception_weights(spec.inception_weights)
            except EvaluateError as error:
                raise SweepError(f"{sweep.weights_place}: {error}") from None
            return


def check_precisions(wanted: Sequence[Planned], *, on_gpus: bool) -> None:
    """Refuse runs in a number format that what they are to be trained on does not have.

    Raises:
        ConfigError: names the format and what has it.
    """
    for item in wanted:
        check_precision(item.spec.config.precision, "cuda" if on_gpus else "cpu")


def _dataset_place(sweep: Sweep, dataset: Dataset) -> str:
    return sweep.dataset_places.get(str(dataset.to_plain()), str(sweep.path))


def _datasets(planned: Sequence[Planned]) -> list[Dataset]:
    """The data sets of these runs, those that are equal but lie elsewhere included."""
    found = {str(item.spec.config.dataset.to_plain()): item.spec.config.dataset for item in planned}
    return list(found.values())
