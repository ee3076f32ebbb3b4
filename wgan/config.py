"""TrainConfig: every number that can change a training's result, with its unit, range and default.

What only decides how often we look (evaluation interval, logging) or where it runs is not here: it
cannot change the weights, so it must not change the run's id.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from wgan.components import (
    Component,
    ConfigError,
    UnknownName,
    build,
    check_setting,
    check_settings,
    component,
    plain_settings,
    setting,
)
from wgan.data import Dataset, Digits
from wgan.generators import GeneratorKind, Trained
from wgan.lipschitz import LipschitzMethod, Unconstrained
from wgan.losses import Loss, Wasserstein
from wgan.networks import DCGAN, Network
from wgan.optimizers import Adam, Optimizer
from wgan.precision import DTYPES

CRITIC_NORMS = ("none", "batch", "layer", "instance", "group")
COMPONENTS: dict[str, type[Component]] = {
    "dataset": Dataset,
    "network": Network,
    "generator": GeneratorKind,
    "loss": Loss,
    "optimizer": Optimizer,
    "generator_optimizer": Optimizer,
}
OPTIONAL = ("generator_optimizer",)  # components that may be left to another field
SAME = "same"  # how a plain configuration says so
_SEED = "\0seed"  # stands for the seed where a text is the same for all seeds; no setting holds it


@dataclass(frozen=True)
class TrainConfig:
    """One training, completely described.

    Raises:
        ConfigError: a value that is not allowed, or a network that cannot make the data's shape.
    """

    dataset: Dataset = Digits()
    network: Network = DCGAN()
    generator: GeneratorKind = component(Trained(), neutral=Trained())
    loss: Loss = Wasserstein()
    lipschitz: tuple[LipschitzMethod, ...] = (Unconstrained(),)
    optimizer: Optimizer = Adam()
    generator_optimizer: Optimizer | None = component(None, neutral=None)
    learning_rate: str = setting(
        "constant",
        "how both learning rates go: linear falls to 0 along a line over the steps",
        choices=("constant", "linear"),
        neutral="constant",
    )
    steps: int = setting(2000, "generator updates", unit="steps", low=0)
    batch_size: int = setting(
        64, "images per update of either network", unit="images", low=1, high=2**20
    )
    critic_steps: int = setting(1, "critic updates per generator update", unit="updates", low=1)
    warm_up_steps: int = setting(
        0,
        "first generator updates that are each preceded by warm_up_critic_steps",
        unit="steps",
        low=0,
        neutral=0,
    )
    warm_up_every: int = setting(
        0,
        "every k-th generator update is preceded by warm_up_critic_steps too; 0: none",
        unit="steps",
        low=0,
        neutral=0,
    )
    warm_up_critic_steps: int = setting(
        100,
        "critic updates before a warm-up's generator update",
        unit="updates",
        low=1,
        neutral=100,
    )
    ema: float = setting(
        0.0,
        "decay per step of the generator's moving average, which is then what is scored; 0: none",
        low=0,
        below=1,
        neutral=0.0,
    )
    noise_size: int = setting(
        64, "length of the generator's noise vector, N(0, I)", low=1, high=2**20
    )
    critic_norm: str = setting(
        "none", "normalisation between the critic's layers", choices=CRITIC_NORMS
    )
    precision: str = setting(
        "float32",
        "number format of the training; with tf32 and bf16 weights are float32, products less",
        choices=tuple(DTYPES),
    )
    score_limit: float = setting(1e8, "a score beyond it in size counts as divergence", above=0)
    seed: int = setting(0, "gives every random stream", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
        if isinstance(self.lipschitz, list):
            object.__setattr__(self, "lipschitz", tuple(self.lipschitz))
        for name, family in COMPONENTS.items():
            if name not in OPTIONAL or getattr(self, name) is not None:
                _check_family(name, family, (getattr(self, name),))
        _check_family("lipschitz", LipschitzMethod, self.lipschitz)
        self._check_methods()
        self.network.check(self.dataset.shape, self.critic_norm, self.batch_size)
        self.generator.check(self.dataset)
        if self.ema and not self.generator.trains:
            raise ConfigError(
                ("ema",), f"{self.ema!r} is not allowed with a frozen generator: must be 0"
            )

    def _check_methods(self) -> None:
        """Refuse methods that cannot stand together, or not with this critic."""
        names = [method.name for method in self.lipschitz]
        if "none" in names and len(names) > 1:
            raise ConfigError(
                ("lipschitz",), f"{'+'.join(names)} is not allowed: none stands beside a method"
            )
        if len(set(names)) < len(names):
            raise ConfigError(
                ("lipschitz",), f"{'+'.join(names)} is not allowed: a method stands twice"
            )
        rebuilding = [method.name for method in self.lipschitz if method.normalises_layers]
        if len(rebuilding) > 1:
            raise ConfigError(
                ("lipschitz",),
                f"{'+'.join(names)} is not allowed: {' and '.join(rebuilding)} each rebuild the "
                "critic's layers; leave one",
            )
        for method in self.lipschitz:
            method.check(self.critic_norm)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TrainConfig:
        """A configuration from names and scalars, as a sweep file or `spec.json` holds them.

        Components are `name` or `{name: {field: value}}`; `lipschitz` may also be `{all: [method,
        ...]}` or a list.

        Raises:
            ConfigError: an unknown name or field or a value that is not allowed, with the path to
            it.
        """
        if not isinstance(plain, Mapping):
            raise ConfigError((), f"{plain!r} is not allowed: must be a mapping of fields")
        values = dict(plain)
        for name in COMPONENTS:
            if name in values:
                values[name] = parse_component(name, values[name])
        if "lipschitz" in values:
            values["lipschitz"] = _under("lipschitz", _methods, values["lipschitz"])
        return build(cls, values)

    def to_plain(self, *, for_id: bool = False) -> dict[str, Any]:
        """The inverse of `from_plain`: names and scalars only, ready for JSON.

        `for_id` leaves out the fields at their neutral value, which must not change an id.
        """
        plain = plain_settings(self, for_id=for_id)
        for name in COMPONENTS:
            if name in plain:
                part = plain[name]
                plain[name] = SAME if part is None else part.to_plain(for_id=for_id)
        plain["lipschitz"] = [method.to_plain(for_id=for_id) for method in self.lipschitz]
        return plain

    def with_seed(self, seed: int) -> Self:
        """The same training from another seed; what no seed can spoil is not checked again.

        Raises:
            ConfigError: a seed that is not allowed.
        """
        held = check_setting(type(self), "seed", seed)
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), seed=held, _canonical=self._canonical)
        vars(twin).pop("run_id", None)
        return twin

    @functools.cached_property
    def run_id(self) -> str:
        """12 hex digits: a hash of this configuration and of its components' versions."""
        before, after = self._canonical
        return hashlib.sha256(f"{before}{self.seed}{after}".encode()).hexdigest()[:12]

    @functools.cached_property
    def _canonical(self) -> tuple[str, str]:
        """The text that the id is a hash of, before and after the seed."""
        plain = self.to_plain(for_id=True)
        parts = {
            name: getattr(self, name) for name in COMPONENTS if getattr(self, name) is not None
        }
        counted = [part for name, part in parts.items() if name in plain or part.version > 1]
        versions = {
            f"{part.family}:{part.name}": part.version for part in (*counted, *self.lipschitz)
        }
        text = json.dumps(
            {"config": {**plain, "seed": _SEED}, "versions": versions},
            sort_keys=True,
            separators=(",", ":"),
        )
        before, after = text.split(json.dumps(_SEED))
        return before, after

    @property
    def bound(self) -> float | None:
        """The Lipschitz constant that the critic's methods promise with this network, or None.

        The smallest of the methods' promises for a layer, carried through the network. There is
        none with normalisation between the layers, which has no Lipschitz constant, or beside a
        method that rescales the whole critic.
        """
        promised = [method.bound for method in self.lipschitz if method.bound is not None]
        voided = any(method.voids_bounds for method in self.lipschitz)
        if not promised or voided or self.critic_norm != "none":
            return None
        return min(promised) * self.network.critic_bound(self.dataset.shape)

    @property
    def scores_are_independent(self) -> bool:
        """Whether no score of the critic depends on the other samples of its batch."""
        return self.critic_norm != "batch"

    def critic_steps_before(self, step: int) -> int:
        """Critic updates before the generator update that follows `step` others."""
        warm = step < self.warm_up_steps or (
            self.warm_up_every > 0 and step % self.warm_up_every == 0
        )
        return self.warm_up_critic_steps if warm else self.critic_steps

    def learning_rate_factor(self, step: int) -> float:
        """What both learning rates are multiplied by after `step` generator updates.

        Linear: 1 - step / steps (Gulrajani et al. 2017, arXiv:1704.00028, appendix F).
        """
        return 1 - step / self.steps if self.learning_rate == "linear" else 1.0

    @property
    def method(self) -> str:
        """The Lipschitz methods by name, joined by +: `spectral_norm+gradient_penalty`."""
        return "+".join(method.name for method in self.lipschitz)


def parse_component(name: str, plain: object) -> Component | None:
    """The component of the field `name` from a plain value; None for the word "same" where allowed.

    Raises:
        ConfigError: an unknown name or field, or a value that is not allowed, with its path.
    """
    if name in OPTIONAL and plain == SAME:
        return None
    part: Component = _under(name, COMPONENTS[name].from_plain, plain)
    return part


def field_names() -> list[str]:
    """The names of all fields of a training configuration."""
    return [item.name for item in dataclasses.fields(TrainConfig)]


def _check_family(name: str, family: type[Component], parts: object) -> None:
    if parts == ():
        raise ConfigError((name,), "an empty list is not allowed: name a method, or none")
    if not isinstance(parts, tuple) or not all(isinstance(part, family) for part in parts):
        raise ConfigError(
            (name,), f"{parts!r} is not allowed: must be of the family {family.family}"
        )


def _methods(plain: object) -> tuple[LipschitzMethod, ...]:
    if isinstance(plain, Mapping) and list(plain) == ["all"]:
        try:
            return _methods(plain["all"])
        except ConfigError as error:
            raise error.under("all") from None
    entries = plain if isinstance(plain, list | tuple) else [plain]
    try:
        return tuple(LipschitzMethod.from_plain(entry) for entry in entries)
    except UnknownName as error:
        raise ConfigError(
            error.path, error.problem.replace("unknown lipschitz", "unknown Lipschitz method")
        ) from None


def _under(name: str, parse: Any, plain: object) -> Any:
    try:
        return parse(plain)
    except ConfigError as error:
        raise error.under(name) from None
