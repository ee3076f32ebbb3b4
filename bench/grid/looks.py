"""What a sweep's evaluations ask of its runs: refused at load where a run cannot give it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from bench.grid.overrides import Overrides
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
    """The methods with a bound, and the one setting that earns it where the default has none."""
    for name, made in sorted(LipschitzMethod.registry.items()):
        if LipschitzMethod.from_plain(name).bound is not None:
            yield name
            continue
        for item in dataclasses.fields(made):
            for choice in item.metadata["range"].choices or ():
                chosen = LipschitzMethod.from_plain({name: {item.name: choice}})
                if chosen.bound is not None:
                    yield f"{name}: {{{item.name}: {choice}}}"
