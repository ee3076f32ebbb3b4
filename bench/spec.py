"""RunSpec: one run of a sweep, the unit that is planned, dispatched and recorded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wgan.components import ConfigError, UnknownName, build, check_settings, plain_settings, setting
from wgan.config import TrainConfig
from wgan.diagnostics import PROFILES, Looks

IMAGE_METRICS = (
    "fid",
    "kid",
    "inception_score",
    "precision_recall",
    "density_coverage",
    "sliced_wasserstein",
    "modes",
)
DENSITY_METRICS = ("exact_w1", "sliced_wasserstein", "modes")
METRICS = tuple(dict.fromkeys(IMAGE_METRICS + DENSITY_METRICS))
EXTRACTORS = ("auto", "digits_cnn", "mnist_cnn", "inception")
_LISTS = {"metrics", "profiles"}


@dataclass(frozen=True)
class EvaluateSpec:
    """How the quality of a run is scored: what the score protocol is made from.

    `metrics` empty means the usual ones: for images FID, KID, inception score, precision and
    recall, and for stacked digits the modes; for densities exact W1 (above two dimensions sliced
    W1) and the modes where there are any. `extractor` "auto" is `digits_cnn` for digits and stacked
    digits, `mnist_cnn` for MNIST and stacked MNIST, and `inception` for every other image set.
    """

    every: int = setting(
        200,
        "generator updates between two evaluations; step 0 and the end are always scored",
        low=1,
    )
    samples: int = setting(
        2000, "generated samples per evaluation", unit="samples", low=16, high=10_000_000
    )
    metrics: tuple[str, ...] = ()
    extractor: str = setting("auto", "the network whose features are compared", choices=EXTRACTORS)
    kid_subset_size: int = setting(100, "samples per KID subset", unit="samples", low=2)
    inception_weights: str = setting(
        "", "path of torch-fidelity's Inception weights; empty: its own download"
    )
    inception_precision: str = setting(
        "float32",
        "arithmetic of Inception's convolutions; bf16 is faster and changes features by 0.4 %",
        choices=("float32", "bf16"),
    )
    critic_samples: int = setting(
        1000,
        "samples of each kind that the critic scores; fewer where there are fewer",
        unit="samples",
        low=2,
    )
    ascent_steps: int = setting(
        0, "gradient-ascent steps of the measured Lipschitz constant; 0: none", unit="steps", low=0
    )
    gap_updates: int = setting(
        0, "critic updates of the critic-optimality gap; 0: none", unit="updates", low=0
    )
    upper_bound: bool = setting(False, "whether the product of the layers' norms is computed")
    require_bound: bool = setting(
        False, "whether a run whose critic promises no Lipschitz constant is refused"
    )
    halves: bool = setting(
        False, "whether the quality metric is also taken on each half of the generated samples"
    )
    fresh_sets: int = setting(
        0,
        "further sets of samples, from other noise, that the final model's quality is taken on; "
        "0: none, else at least 2",
        unit="sets",
        low=0,
    )
    step_cost: bool = setting(
        False, "whether the arithmetic and memory of one critic update are counted, at step 0"
    )
    profiles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.fresh_sets == 1:
            raise ConfigError(
                ("fresh_sets",),
                "1 is not allowed: must be 0, or at least 2, since one set has no spread",
            )
        for profile in self.profiles:
            if not isinstance(profile, str) or profile not in PROFILES:
                raise UnknownName(("profiles",), "profile", profile, PROFILES)
        for metric in self.metrics:
            if metric not in METRICS:
                raise UnknownName(("metrics",), "metric", metric, METRICS)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> EvaluateSpec:
        """From plain values; `metrics` and `profiles` are lists of names.

        Raises:
            ConfigError: an unknown field or a value that is not allowed.
        """
        values = dict(plain) if isinstance(plain, Mapping) else plain
        for name in _LISTS & set(values) if isinstance(values, dict) else ():
            names = values[name]
            if not isinstance(names, list | tuple):
                raise ConfigError((name,), f"{names!r} is not allowed: must be a list of {name}")
            values[name] = tuple(names)
        return build(cls, values)

    def to_plain(self) -> dict[str, Any]:
        """The inverse of `from_plain`."""
        return {
            **plain_settings(self),
            **{name: list(getattr(self, name)) for name in sorted(_LISTS)},
        }

    @property
    def looks(self) -> Looks:
        """What diagnostics look at beyond the cheap figures."""
        return Looks(self.ascent_steps, self.gap_updates, self.upper_bound)


@dataclass(frozen=True)
class RunSpec:
    """One training and how it is watched.

    `label` names the setting without its seed, so that runs with one label differ in nothing but
    the seed; reports group by it. Only `config` enters the id: the rest cannot change the weights.
    """

    sweep: str
    label: str
    config: TrainConfig
    evaluate: EvaluateSpec = EvaluateSpec()
    recipe: str | None = None
    log_every: int = 50  # generator updates between two rows of train.jsonl
    checkpoint_seconds: float = 60.0  # between two checkpoints; 0: at each row and evaluation

    @property
    def run_id(self) -> str:
        """12 hex digits, from the training configuration alone."""
        return self.config.run_id

    @property
    def folder(self) -> str:
        """The run folder's name: readable, and unique by its id."""
        readable = re.sub(r"[^A-Za-z0-9_.=+-]+", "-", self.label).strip("-")[:80]
        return f"{readable}-seed{self.config.seed}--{self.run_id}"

    def to_plain(self) -> dict[str, Any]:
        """What `spec.json` holds."""
        return {
            "run_id": self.run_id,
            "sweep": self.sweep,
            "label": self.label,
            "recipe": self.recipe,
            "config": self.config.to_plain(),
            "evaluate": self.evaluate.to_plain(),
            "log_every": self.log_every,
            "checkpoint_seconds": self.checkpoint_seconds,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RunSpec:
        """The inverse of `to_plain`.

        Raises:
            ConfigError: content that is no run specification, or whose id is not that of its
            configuration.
        """
        try:
            spec = cls(
                sweep=plain["sweep"],
                label=plain["label"],
                config=TrainConfig.from_plain(plain["config"]),
                evaluate=EvaluateSpec.from_plain(plain["evaluate"]),
                recipe=plain["recipe"],
                log_every=plain["log_every"],
                checkpoint_seconds=plain["checkpoint_seconds"],
            )
        except (KeyError, TypeError) as error:
            raise ConfigError((), f"not a run specification: {error!r}") from None
        if plain.get("run_id") != spec.run_id:
            raise ConfigError(
                ("run_id",),
                f"{plain.get('run_id')!r} is not this configuration's id {spec.run_id!r}",
            )
        return spec
