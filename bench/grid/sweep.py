"""From a sweep file to its runs: strict parsing, expansion, exclusions with reasons, labels.

A setting is looked for in this order, the first wins: `--set`, `grid`, `base`, the recipe, the
default of `TrainConfig`. A component (`optimizer: {adam: {lr: 1e-3}}`) is replaced whole: its other
fields take their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.evaluate import EvaluateError, check_extractor, chosen_metrics
from bench.grid.drafts import configurations, drafts, recipe_of, unique
from bench.grid.exclusions import Excluded, exclude, read_rules
from bench.grid.labels import label_all
from bench.grid.looks import check_looks
from bench.grid.overrides import Overrides, parse_overrides
from bench.grid.selection import select
from bench.grid.settings import FIELDS, as_mapping, flow, nearest, sentence, short, unknown
from bench.grid.source import Source, SweepError, read
from bench.spec import EvaluateSpec, RunSpec
from wgan.components import ConfigError, build, check_settings, setting
from wgan.data import Dataset, Density

T = TypeVar("T")

_SECTIONS = ("name", "question", "base", "grid", "exclude", "evaluate", "record", "claims")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_TAKEN = ("reference",)  # folders of results/ and reports/ that are the repository's own


@dataclass(frozen=True)
class RecordSpec:
    """How often a run writes; the `record` section of a sweep file."""

    log_every: int = setting(50, "generator updates between two rows of train.jsonl", low=1)
    checkpoint_seconds: float = setting(
        60.0, "between two checkpoints; 0 at every pause", unit="seconds", low=0
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class Sweep:
    """A question and the runs that answer it.

    Attributes:
        runs: in the order of the file, the last axis fastest.
        excluded: by exclusion of the file, how many runs it took out and why.
        claims: the names of the claims that the sweep supplies data for, each declared.
        total: the number of runs before `--only` chose among them.
        dataset_places: by data set (`str` of its `to_plain`), where it is written, `file:line`.
        weights_place: where `evaluate.inception_weights` is written.
        notes: sentences for the user: what was read in a way that may surprise.
        path, text: the sweep file and its content.
    """

    name: str
    question: str
    runs: list[RunSpec]
    excluded: list[Excluded]
    claims: list[str]
    total: int
    dataset_places: dict[str, str]
    weights_place: str
    notes: list[str]
    path: Path
    text: str


def load(path: Path, overrides: Sequence[str] = (), only: Sequence[str] = ()) -> Sweep:
    """The sweep that the file at `path` describes.

    Args:
        path: a sweep file; its form stands in the README.
        overrides: `key=value` of `--set` (`bench.grid.overrides`).
        only: `key=value` of `--only` (`bench.grid.selection`).

    Raises:
        SweepError: anything that cannot be used: where it stands, the value, what is allowed.
    """
    source, sets = read(path), parse_overrides(overrides)
    file = _file(source)
    name, question = _name(source, file), _question(source, file)
    evaluate = _section(source, "evaluate", file, sets, EvaluateSpec.from_plain)
    record = _section(source, "record", file, sets, lambda plain: build(RecordSpec, plain))
    rules = read_rules(source, file.get("exclude", []))

    combined = list(drafts(source, file, sets))
    kept, notes = exclude(combined, rules, strict=not sets)
    if not kept:
        raise source.error(("exclude",), f"all {len(combined)} runs of the grid are excluded")
    configs = configurations(source, kept)
    first = unique(source, kept, configs, merge=bool(sets))
    settings = [(recipe_of(kept[index]), configs[index]) for index in first]
    _check_metrics(source, sets, evaluate, [config.dataset for _, config in settings])
    check_looks(source, sets, evaluate, [config for _, config in settings])
    runs = [
        RunSpec(
            sweep=name,
            label=label,
            config=config,
            evaluate=evaluate,
            recipe=recipe,
            log_every=record.log_every,
            checkpoint_seconds=record.checkpoint_seconds,
        )
        for (recipe, config), label in zip(settings, label_all(settings), strict=True)
    ]
    return Sweep(
        name=name,
        question=question,
        runs=select(runs, only),
        excluded=[rule.tally() for rule in rules],
        claims=_claims(source, file),
        total=len(runs),
        dataset_places={
            str(configs[index].dataset.to_plain()): kept[index].settings["dataset"].place
            for index in first
            if "dataset" in kept[index].settings
        },
        weights_place=_evaluate_place(source, sets, "inception_weights"),
        notes=notes,
        path=path,
        text=source.text,
    )


def _file(source: Source) -> dict[str, Any]:
    if source.data is None:
        raise SweepError(f"{source.name}: the file is empty (it holds {', '.join(_SECTIONS)})")
    for key in source.data if isinstance(source.data, dict) else ():
        if key in FIELDS:
            raise source.error((key,), f"{key!r} must stand under 'base' or 'grid'")
        meant = nearest(key, (*_SECTIONS, *FIELDS))
        if key not in _SECTIONS and meant in FIELDS:
            raise source.error(
                (key,), f"unknown field {key!r}; did you mean {meant!r} under 'base' or 'grid'?"
            )
    return as_mapping(source.data, _SECTIONS, source, (), "a sweep file")


def _name(source: Source, file: dict[str, Any]) -> str:
    if "name" not in file:
        raise SweepError(
            f"{source.name}: 'name' is missing: a word, the name of the results' folder"
        )
    name = file["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith("."):
        raise source.error(
            ("name",),
            f"name: {flow(name)!r} is not allowed: must be a word fit for a folder "
            "(letters, digits and _ . + -, a letter or digit first, 64 at most)",
        )
    if name in _TAKEN:
        raise source.error(("name",), f"name: {name!r} is taken by the repository's own results")
    return name


def _question(source: Source, file: dict[str, Any]) -> str:
    plain = file.get("question", "")
    if not isinstance(plain, str):
        raise source.error(("question",), f"question: {short(plain)} is not allowed: must be text")
    return plain.strip()


def _check_metrics(
    source: Source, sets: Overrides, evaluate: EvaluateSpec, datasets: Iterable[Dataset]
) -> None:
    """Refuse what a data set does not allow, which would fail every one of its runs."""
    for dataset in dict.fromkeys(datasets):
        try:
            check_extractor(evaluate, dataset)
        except EvaluateError as error:
            place = _evaluate_place(source, sets, "extractor")
            raise SweepError(f"{place}: {error} (for the dataset {dataset})") from None
        problem = _unfit(evaluate, dataset) if evaluate.metrics else None
        if problem is not None:
            place = _evaluate_place(source, sets, "metrics")
            raise SweepError(f"{place}: {problem}; without 'metrics' every run has the usual ones")


def _evaluate_place(source: Source, sets: Overrides, name: str) -> str:
    """`file:line` or option that gives the field `name` of `evaluate`."""
    given = sets.sections.get("evaluate", {}).get(name)
    return given[1].place() if given else source.place(("evaluate", name))


def _unfit(evaluate: EvaluateSpec, dataset: Dataset) -> str | None:
    # The data of a density is nothing but its formula; images are not worth loading here.
    data = dataset.load() if len(dataset.shape) == 1 else None
    try:
        chosen_metrics(evaluate, dataset, data if isinstance(data, Density) else None)
    except EvaluateError as error:
        return str(error)
    return None


def _claims(source: Source, file: dict[str, Any]) -> list[str]:
    plain = file.get("claims", [])
    if not isinstance(plain, list):
        raise source.error(
            ("claims",), f"claims: {short(plain)} is not allowed: must be a list of words"
        )
    for index, claim in enumerate(plain):
        if not isinstance(claim, str) or not claim.strip():
            raise source.error(
                ("claims", index), f"claims: {short(claim)} is not allowed: must be a word"
            )
    _check_claims(source, plain)
    return list(plain)


def _check_claims(source: Source, names: Sequence[str]) -> None:
    if not names:
        return
    from bench.claims import all_claims  # which imports this package, and scipy

    known = all_claims()
    for index, name in enumerate(names):
        if name not in known:
            raise source.error(("claims", index), f"claims: {unknown('claim', name, known)}")


def _section(
    source: Source,
    key: str,
    file: dict[str, Any],
    sets: Overrides,
    make: Callable[[Mapping[str, Any]], T],
) -> T:
    """The evaluate or record section, what `--set` says included."""
    plain = file.get(key, {})
    if not isinstance(plain, dict):
        raise source.error((key,), f"{short(plain)} is not allowed: {key} must be a mapping")
    given = sets.sections.get(key, {})
    try:
        return make({**plain, **{name: value for name, (value, _) in given.items()}})
    except ConfigError as error:
        culprit = str(error.path[0]) if error.path else ""
        if culprit in given:
            raise given[culprit][1].error((), sentence(error)) from None
        raise source.error((key, *error.path), sentence(error.under(key))) from None
