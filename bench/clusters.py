"""Cluster files: what a site's SLURM is to be asked for, as YAML in `clusters/`.

Read as strictly as a sweep file: every mistake is answered with file, line and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.grid.source import Source, read
from wgan.components import ConfigError, UnknownName, build, check_settings, setting

FOLDER = Path("clusters")
DEFAULT = "slurm"
# Between the signal and the end: SLURM may send it 60 s early, and saving takes some seconds more.
_EARLY_SECONDS = 60
_SAVING_SECONDS = 30

# What this file or submitit sets itself; a second line in the submission file would undo it.
_OURS = ("array", "job-name", "open-mode", "output", "error", "requeue", "no-requeue", "signal")
_FORMS = "MINUTES, HH:MM:SS, D-HH or D-HH:MM:SS"


@dataclass(frozen=True)
class Cluster:
    """What each job asks for, and how many runs share it."""

    partition: str = setting("", "partition; empty: the site's default")
    account: str = setting("", "account to be charged; empty: the user's default")
    qos: str = setting("", "quality of service; empty: the site's default")
    constraint: str = setting("", "features that the nodes must have")
    time: int = setting(60, "time limit of a job; also HH:MM:SS or D-HH:MM:SS", unit="min", low=1)
    gpus: int = setting(0, "GPUs of a job; 0: the runs train on cores", low=0)
    cpus: int = setting(0, "cores of a job; 0: side_by_side x threads", low=0)
    memory_gb: float = setting(0.0, "memory of a job; 0: the site's default", unit="GB", low=0)
    pack: int = setting(1, "runs in one job", low=1)
    side_by_side: int = setting(1, "of these, how many at once", low=1)
    threads: int = setting(1, "CPU threads that each run owns", low=1)
    jobs_at_once: int = setting(1000, "jobs of one array that may run at once", low=1)
    array_limit: int = setting(0, "tasks of one array; 0: SLURM's own MaxArraySize", low=0)
    requeues: int = setting(100, "how often a job goes on after its time limit", low=0)
    node_failures: int = setting(3, "how often a job starts again that ended unsaved", low=0)
    signal_seconds: int = setting(90, "USR2 comes so long before the time limit", unit="s", low=5)
    python: str = setting("", "Python on the nodes; empty: the one that submits")
    setup: tuple[str, ...] = ()
    options: Mapping[str, str | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the numbers one by one and together.

        Raises:
            ConfigError: a value that is not allowed.
        """
        check_settings(self)
        if self.side_by_side > self.pack:
            raise ConfigError(
                ("side_by_side",),
                f"{self.side_by_side} runs at once are more than a job has: pack is {self.pack}",
            )
        needed = self.side_by_side * self.threads
        if self.cpus and self.cpus < needed:
            raise ConfigError(
                ("cpus",),
                f"{self.cpus} is not allowed: {self.side_by_side} runs side by side with "
                f"{self.threads} threads each own {needed} cores",
            )
        if self.gpus > self.side_by_side:
            raise ConfigError(
                ("gpus",),
                f"{self.gpus} is not allowed: a run uses one GPU, and {self.side_by_side} run "
                f"side by side",
            )
        shortest = self.signal_seconds + _EARLY_SECONDS + _SAVING_SECONDS
        if self.time * 60 <= shortest:
            raise ConfigError(
                ("time",),
                f"{self.time} min is not allowed: SLURM may warn {self.signal_seconds} + "
                f"{_EARLY_SECONDS} s before the end, so that nothing could be trained; take more "
                f"than {shortest // 60} min, or fewer signal_seconds",
            )

    @property
    def cores(self) -> int:
        """The cores that a job asks for."""
        return self.cpus or self.side_by_side * self.threads

    def to_plain(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {**asdict(self), "setup": list(self.setup), "options": dict(self.options)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Cluster:
        """The inverse of `to_plain`; also what a cluster file holds.

        Raises:
            ConfigError: an unknown field, or a value that is not allowed.
        """
        values = dict(plain)
        if "time" in values:
            values["time"] = minutes(values["time"])
        if "setup" in values:
            values["setup"] = _lines(values["setup"])
        if "options" in values:
            values["options"] = _options(values["options"])
        return build(cls, values)


def load_cluster(wanted: str | None) -> tuple[Cluster, str]:
    """The cluster that the user names, and the name of its file for messages.

    Args:
        wanted: a file, or the name of one in `clusters/`; None: `clusters/slurm.yaml` where it
            stands, else what `Cluster` has by default.

    Raises:
        SweepError: there is no such file, or it holds what is not allowed; names the line.
    """
    if wanted is None:
        path = FOLDER / f"{DEFAULT}.yaml"
        if not path.is_file():
            return Cluster(), f"the defaults (there is no {path})"
    else:
        path = Path(wanted)
        if path.suffix not in (".yaml", ".yml") and not path.exists():
            path = FOLDER / f"{wanted}.yaml"
    source = read(path, "cluster file")
    return _build(source), str(path)


def minutes(value: object) -> int:
    """A time limit in whole minutes, rounded up, from a number of minutes or SLURM's own notation.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value)
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not isinstance(value, str) or match is None:
        raise ConfigError(("time",), f"{value!r} is not allowed: must be {_FORMS}")
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, mins, secs = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, mins, secs = parts
    else:
        hours, mins, secs = 0, *(*parts, 0)[:2]
    seconds = ((int(days or 0) * 24 + hours) * 60 + mins) * 60 + secs
    return -(-seconds // 60)


def _build(source: Source) -> Cluster:
    data = {} if source.data is None else source.data
    if not isinstance(data, dict):
        raise source.error((), "must be a mapping of settings")
    try:
        return Cluster.from_plain(data)
    except ConfigError as error:
        known = not isinstance(error, UnknownName)
        raise source.error(error.path[:1], str(error) if known else error.problem) from None


def _lines(value: object) -> tuple[str, ...]:
    lines = value if isinstance(value, list | tuple) else [value]
    for line in lines:
        if not isinstance(line, str) or "\n" in line:
            raise ConfigError(("setup",), f"{line!r} is not allowed: must be a list of shell lines")
    return tuple(lines)


def _options(value: object) -> dict[str, str | bool]:
    if not isinstance(value, Mapping):
        raise ConfigError(
            ("options",), f"{value!r} is not allowed: must be a mapping of sbatch's options"
        )
    own = {item.name for item in fields(Cluster)}
    options: dict[str, str | bool] = {}
    for key, given in value.items():
        name = str(key).lstrip("-").replace("_", "-")
        if name in _OURS:
            raise ConfigError(("options",), f"{key!r} is not allowed: wgan-bench sets it itself")
        if name in own or name in ("mem", "cpus-per-task", "gpus-per-node"):
            raise ConfigError(
                ("options",), f"{key!r} is not allowed here: it is a setting of its own"
            )
        if not isinstance(given, str | int | float) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise ConfigError(
                ("options",), f"{key!r}: {given!r} is not allowed: must be an option of sbatch"
            )
        options[name] = given if given is True else str(given)
    return options
