"""What a sweep's evaluations ask of its runs: refused at load where a run cannot give it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from bench.grid.overrides import Overrides
from bench.grid.settings import flow
from bench.grid.source import Keys, Source, SweepError
from bench.spec import EvaluateSpec
from wgan.config import TrainConfig
from wgan.lipschitz import LipschitzMethod


def check_looks(
    source: Source, sets: Overrides, evaluate: EvaluateSpec, configs: Sequence[TrainConfig]
) -> None:
    """Refuse a promised bound where there is none, and a profile that does not fit the data.

    Raises:
        SweepError: which run cannot give it, why, and what could.
    """
    for config in configs:
        if evaluate.require_bound and config.bound is None:
            raise _error(source, sets, "require_bound", _no_bound(config))
        if "value_surface" in evaluate.profiles and config.dataset.shape != (2,):
            raise _error(
                source,
                sets,
                "profiles",
                f"'value_surface' does not fit the dataset {config.dataset} of shape "
                f"{config.dataset.shape}: it is drawn over the plane, for shape (2,) only",
            )
        if "value_surface" in evaluate.profiles and config.critic_norm == "batch":
            raise _error(
                source,
                sets,
                "profiles",
                "'value_surface' is not allowed with critic_norm batch: a point's score then "
                "depends on its whole batch, so that the plane has no values",
            )


def _error(source: Source, sets: Overrides, name: str, problem: str) -> SweepError:
    given = sets.sections.get("evaluate", {}).get(name)
    where: tuple[Source, Keys] = (given[1], ()) if given else (source, ("evaluate", name))
    return where[0].error(where[1], f"evaluate.{name}: {problem}")


def _no_bound(config: TrainConfig) -> str:
    if config.critic_norm != "none" and any(m.bound is not None for m in config.lipschitz):
        why = f"beside critic_norm {config.critic_norm}, which has no Lipschitz constant"
    else:
        why = "for a critic"
    return (
        f"the runs with lipschitz {config.method} promise no Lipschitz constant {why}; "
        f"methods that promise one: {', '.join(_promising())}"
    )


def _promising() -> Iterator[str]:
    for name in sorted(LipschitzMethod.registry):
        for settings, _ in promises(LipschitzMethod.named(name)):
            yield f"{name}: {flow(settings)}" if settings else name


def promises(made: type[LipschitzMethod]) -> list[tuple[dict[str, str], float]]:
    """The Lipschitz constants that a method promises for a layer, each with what earns it.

    The settings are empty where the defaults earn it; else the one choice of a field that does.
    """
    choices = [
        {item.name: choice}
        for item in dataclasses.fields(made)
        for choice in item.metadata["range"].choices or ()
    ]
    default = made().bound
    if default is not None:
        return [({}, default)]
    bounds = [(settings, made(**settings).bound) for settings in choices]
    return [(settings, bound) for settings, bound in bounds if bound is not None]
