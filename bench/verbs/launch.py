"""The options of `run` and `retry` on where and how to train. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """Where and how to train: the options of `run` and `retry`.

    Attributes:
        backend: one of bench.backends.BACKENDS.
        slots, threads, gpus, per_gpu: see `make_backend`.
        cluster: the cluster file that the user named, or None.
        fail_fast: stop the others when a run fails.
        allow_numerics: names of `numerics` that may differ at a resume.
        packed: train runs that differ in their seed alone as one model, where that pays.
    """

    backend: str = "local"
    slots: int | None = None
    threads: int = 1
    gpus: str | None = None
    per_gpu: int | None = None
    cluster: str | None = None
    fail_fast: bool = False
    allow_numerics: tuple[str, ...] = ()
    packed: bool = True

    def check(self) -> None:
        """Refuse options that mean nothing together.

        Raises:
            ConfigError: names the option and what it needs.
        """
        from wgan.components import ConfigError

        if self.backend != "slurm" and self.cluster is not None:
            raise ConfigError(("cluster",), "is for --backend slurm only")
        if self.backend == "slurm":
            for name, given in (("slots", self.slots is not None), ("fail-fast", self.fail_fast)):
                if given:
                    raise ConfigError((name,), "is not for --backend slurm, which runs by itself")
            for name, given in (
                ("threads", self.threads != 1),
                ("gpus", self.gpus is not None),
                ("per-gpu", self.per_gpu is not None),
            ):
                if given:
                    raise ConfigError((name,), "stands in the cluster file with --backend slurm")
