"""TrainConfig: every number that can change a training's result, with its unit, range and default.

What only decides how often we look (evaluation interval, logging) or where it runs is not here: it
cannot change the weights, so it must not change the run's id.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wgan.components import (
    Component,
    ConfigError,
    UnknownName,
    build,
    check_settings,
    plain_settings,
    setting,
)
from wgan.data import Dataset, Digits
from wgan.lipschitz import LipschitzMethod, Unconstrained
from wgan.losses import Loss, Wasserstein
from wgan.networks import DCGAN, Network
from wgan.optimizers import Adam, Optimizer

CRITIC_NORMS = ("none", "batch", "layer", "instance", "group")
COMPONENTS: dict[str, type[Component]] = {
    "dataset": Dataset,
    "network": Network,
    "loss": Loss,
    "optimizer": Optimizer,
}


@dataclass(frozen=True)
class TrainConfig:
    """One training, completely described.

    Raises:
        ConfigError: a value that is not allowed, or a network that cannot make the data's shape.
    """

    dataset: Dataset = Digits()
    network: Network = DCGAN()
    loss: Loss = Wasserstein()
    lipschitz: tuple[LipschitzMethod, ...] = (Unconstrained(),)
    optimizer: Optimizer = Adam()
    steps: int = setting(2000, "generator updates", unit="steps", low=0)
    batch_size: int = setting(64, "images per update of either network", unit="images", low=1)
    critic_steps: int = setting(1, "critic updates per generator update", unit="updates", low=1)
    noise_size: int = setting(64, "length of the generator's noise vector, N(0, I)", low=1)
    critic_norm: str = setting(
        "none", "normalisation between the critic's layers", choices=CRITIC_NORMS
    )
    precision: str = setting(
        "float32", "number format of the training", choices=("float32", "float64")
    )
    score_limit: float = setting(1e8, "a score beyond it in size counts as divergence", above=0)
    seed: int = setting(0, "gives every random stream", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        check_settings(self)
        if isinstance(self.lipschitz, list):
            object.__setattr__(self, "lipschitz", tuple(self.lipschitz))
        for name, family in COMPONENTS.items():
            _check_family(name, family, (getattr(self, name),))
        _check_family("lipschitz", LipschitzMethod, self.lipschitz)
        names = [method.name for method in self.lipschitz]
        if "none" in names and len(names) > 1:
            raise ConfigError(
                ("lipschitz",), f"{'+'.join(names)} is not allowed: none stands beside a method"
            )
        if len(set(names)) < len(names):
            raise ConfigError(
                ("lipschitz",), f"{'+'.join(names)} is not allowed: a method stands twice"
            )
        self.network.check(self.dataset.shape, self.critic_norm, self.batch_size)

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
        for name, family in COMPONENTS.items():
            if name in values:
                values[name] = _under(name, family.from_plain, values[name])
        if "lipschitz" in values:
            values["lipschitz"] = _under("lipschitz", _methods, values["lipschitz"])
        return build(cls, values)

    def to_plain(self, *, for_id: bool = False) -> dict[str, Any]:
        """The inverse of `from_plain`: names and scalars only, ready for JSON.

        `for_id` leaves out the fields at their neutral value, which must not change an id.
        """
        plain = plain_settings(self, for_id=for_id)
        for name in COMPONENTS:
            plain[name] = plain[name].to_plain(for_id=for_id)
        plain["lipschitz"] = [method.to_plain(for_id=for_id) for method in self.lipschitz]
        return plain

    @property
    def run_id(self) -> str:
        """12 hex digits: a hash of this configuration and of its components' versions."""
        parts = [getattr(self, name) for name in COMPONENTS]
        versions = {
            f"{part.family}:{part.name}": part.version for part in (*parts, *self.lipschitz)
        }
        canonical = json.dumps(
            {"config": self.to_plain(for_id=True), "versions": versions},
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]

    @property
    def method(self) -> str:
        """The Lipschitz methods by name, joined by +: `spectral_norm+gradient_penalty`."""
        return "+".join(method.name for method in self.lipschitz)


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
