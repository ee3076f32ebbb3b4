"""The combinations of a sweep's grid, from the file to checked configurations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.grid.expansion import expand, product_size, refuse_axes
from bench.grid.overrides import Overrides, Patch
from bench.grid.settings import (
    FAMILIES,
    FIELDS,
    Setting,
    as_mapping,
    check_keys,
    of_recipe,
    sentence,
    settle,
    short,
)
from bench.grid.source import Keys, Source, SweepError
from wgan.components import ConfigError
from wgan.config import TrainConfig


@dataclass(frozen=True, eq=False)
class Draft:
    """A combination of the grid: its settings, not yet checked against each other."""

    settings: dict[str, Setting]  # all that are written; recipe among them
    chosen: tuple[Setting, ...]  # those the grid chose
    place: Keys

    def __str__(self) -> str:
        return ", ".join(map(str, self.chosen))


def drafts(source: Source, file: dict[str, Any], sets: Overrides) -> Iterator[Draft]:
    """Every combination of the grid, in the order of the file, the last axis fastest.

    Raises:
        SweepError: a value that is not allowed, an empty or too large grid, a `--set` that fits
            no run.
    """
    fixed = _base(source, file)
    blocks = [({**axes, **sets.axes}, place) for axes, place in _axes(source, file)]
    size = sum(
        product_size((*map(len, axes.values()), *map(len, sets.patches)), source, place)
        for axes, place in blocks
    )
    product_size([size], source, ("grid",))
    recipes: dict[Setting, dict[str, Setting]] = {}
    used: set[Patch] = set()
    for axes, place in blocks:
        for chosen in itertools.product(*axes.values()):
            settings = {**fixed, **{one.name: one for one in chosen}}
            if "recipe" in settings:
                recipe = settings["recipe"]
                if recipe not in recipes:
                    recipes[recipe] = of_recipe(recipe)
                settings = {**recipes[recipe], **settings}
            for patches in itertools.product(*sets.patches):
                patched = dict(settings)
                used |= {patch for patch in patches if patch.apply(patched)}
                yield Draft(patched, chosen, place)
    for patch in itertools.chain.from_iterable(sets.patches):
        if patch not in used:
            raise SweepError(f"{patch.option}: no run's {patch.family} is {patch.name}")


def _base(source: Source, file: dict[str, Any]) -> dict[str, Setting]:
    base = as_mapping(file.get("base", {}), FIELDS, source, ("base",), "base")
    fixed: dict[str, Setting] = {}
    for name, value in base.items():
        refuse_axes(value, source, ("base", name))
        (choice,) = expand(value, source, ("base", name))
        fixed[name] = settle(name, choice)
    return fixed


def _axes(source: Source, file: dict[str, Any]) -> Iterator[tuple[dict[str, list[Setting]], Keys]]:
    """The axes of each part of the grid, every value checked, and where the part stands."""
    if "grid" not in file:
        raise SweepError(f"{source.name}: 'grid' is missing: the axes, e.g. grid: {{seed: 0..2}}")
    grid = file["grid"]
    parts: list[tuple[Any, Keys]] = [(grid, ("grid",))]
    if isinstance(grid, list):
        parts = [(part, ("grid", index)) for index, part in enumerate(grid)]
    if not grid:
        raise source.error(("grid",), "the grid is empty: give at least one axis, e.g. seed: 0..2")
    for part, keys in parts:
        if not isinstance(part, dict) or not part:
            raise source.error(
                keys,
                f"{short(part)} is not allowed: grid must be a mapping of axes, or a list of them",
            )
        check_keys(part, FIELDS, source, keys, "field")
        yield (
            {
                name: [settle(name, choice) for choice in expand(value, source, (*keys, name))]
                for name, value in part.items()
            },
            keys,
        )


def configurations(source: Source, drafts: Sequence[Draft]) -> list[TrainConfig]:
    """The training configurations of the combinations, in their order.

    Those that differ in nothing but the seed are checked once.

    Raises:
        SweepError: the values of one do not fit each other.
    """
    made: dict[tuple[Setting, ...], TrainConfig] = {}
    configs = []
    for draft in drafts:
        settings = tuple(one for name, one in draft.settings.items() if name != "seed")
        seed = draft.settings.get("seed")
        if settings not in made:
            made[settings] = _configuration(source, draft)
        alike = made[settings]
        configs.append(alike if seed is None else alike.with_seed(seed.ready))
    return configs


def _configuration(source: Source, draft: Draft) -> TrainConfig:
    ready = {name: one.ready for name, one in draft.settings.items() if name != "recipe"}
    try:
        return TrainConfig(**ready)
    except ConfigError as error:
        # Each value is allowed by itself, so two of them do not fit: name the run.
        names = (*map(str, error.path), "dataset")
        culprits = [draft.settings[name] for name in names if name in draft.settings]
        culprits.sort(key=lambda one: one.choice.source.numbered)  # --set before the file
        place = culprits[0].place if culprits else source.place(draft.place)
        raise SweepError(f"{place}: {sentence(error)} ({_circumstance(draft, error)})") from None


def _circumstance(draft: Draft, error: ConfigError) -> str:
    unset = [name for name in error.path if name in FAMILIES and name not in draft.settings]
    default = "".join(f"; {name} is not set: its default is used" for name in unset)
    return f"in the run {draft}{default}"


def unique(
    source: Source, drafts: list[Draft], configs: list[TrainConfig], *, merge: bool
) -> list[int]:
    """The indices of the runs that no earlier one repeats.

    Raises:
        SweepError: two are the same run; unless `merge`, for those that `--set` has made the same.
    """
    first: dict[str, int] = {}
    for index, config in enumerate(configs):
        other = first.setdefault(config.run_id, index)
        if other != index and not merge:
            raise _same_run(source, drafts[other], drafts[index])
    return sorted(first.values())


def _same_run(source: Source, first: Draft, second: Draft) -> SweepError:
    if first.place != second.place:
        where = source.line(first.place)
        return source.error(
            second.place,
            f"the run {second} is already made by the part of the grid on line {where}: "
            "leave one of them out",
        )
    pairs = zip(first.chosen, second.chosen, strict=True)
    differing = [(one, two) for one, two in pairs if one is not two]
    alike = " and ".join(
        f"{two} (line {two.line}) makes the same run as {one} (line {one.line})"
        for one, two in differing
    )
    return SweepError(f"{differing[-1][1].place}: {alike}: leave one of them out")


def recipe_of(draft: Draft) -> str | None:
    """The name of the recipe that the combination begins from."""
    recipe = draft.settings.get("recipe")
    return None if recipe is None else str(recipe.ready)
