"""Figures for runs that were not measured: those of the most similar one, scaled by its work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bench.spec import RunSpec
from bench.speed.figures import CellFigures


def fill_up(
    specs: Mapping[str, RunSpec], figures: Mapping[str, CellFigures]
) -> dict[str, CellFigures]:
    """Figures of every name: those that are known, and for the others the nearest, scaled.

    Args:
        specs: a run for each name; figures: of at least one of them.
    """

    def nearest_to(spec: RunSpec) -> str:
        return max(figures, key=lambda other: likeness(spec, specs[other]))

    nearest = {name: nearest_to(spec) for name, spec in specs.items() if name not in figures}
    return {
        **figures,
        **{
            name: scaled(figures[other], specs[other], specs[name])
            for name, other in nearest.items()
        },
    }


def likeness(one: RunSpec, other: RunSpec) -> tuple[bool, bool, bool]:
    """What two runs have in common, the weightiest first."""
    ours, theirs = one.config, other.config
    return (
        ours.dataset == theirs.dataset,
        ours.network == theirs.network,
        [method.name for method in ours.lipschitz] == [method.name for method in theirs.lipschitz],
    )


def scaled(figures: CellFigures, measured: RunSpec, wanted: RunSpec) -> CellFigures:
    """The figures of one run for another: by updates and images, and by samples."""
    ours, theirs = wanted.config, measured.config
    updates = (ours.critic_steps + 1) / (theirs.critic_steps + 1)
    work = updates * ours.batch_size / theirs.batch_size
    samples = wanted.evaluate.samples / measured.evaluate.samples
    return dataclasses.replace(
        figures,
        iteration=figures.iteration.times(work),
        packed=figures.packed.times(work),
        update=figures.update * work / updates,
        first_evaluation=figures.first_evaluation * samples,
        evaluation=figures.evaluation.times(samples),
        last_evaluation=figures.last_evaluation * samples,
        flops=0.0,
        like=measured.label,
    )
