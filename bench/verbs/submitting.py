"""`run --backend slurm`: runs handed to a cluster, which go on without this terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.backends.slurm_states import SlurmError
from bench.clusters import Cluster, load_cluster
from bench.grid import Sweep
from bench.lease import LeaseHeld, take_lease
from bench.store import Planned, Store, StoreError
from bench.submissions import folder_of
from bench.verbs.launch import Launch
from bench.verbs.look import look
from bench.verbs.needs import check_precisions
from bench.verbs.planning import as_json, totals
from bench.verbs.request import Request
from bench.verbs.show import runs, say, show_json
from wgan.components import ConfigError

if TYPE_CHECKING:
    from bench.backends.slurm import Slurm


def submit(
    request: Request, launch: Launch, sweep: Sweep, store: Store, planned: Sequence[Planned]
) -> int:
    """Hand the runs to SLURM, and let go."""
    cluster, name = load_cluster(launch.cluster)
    slurm = _slurm(store, cluster, name, launch)
    store.check(planned)
    check_precisions(planned, on_gpus=cluster.gpus > 0)
    with _alone(store):
        # Another shell may have submitted some since the plan was made.
        now, queue = look(store, [item.spec for item in planned])
        taken = {item.spec.run_id: item for item in now if item.action not in ("run", "resume")}
        planned = [taken.get(item.spec.run_id, item) for item in planned]
        wanted = [item for item in planned if item.action in ("run", "resume")]
        store.freeze(planned, sweep.question, sweep.text)
        _hand_over(slurm, wanted)
    jobs = list(slurm.submission.jobs) if slurm.submission is not None else []
    if request.as_json:
        content = as_json(sweep, planned, queue)
        states = slurm.states() if wanted else {}
        for plain in content["runs"]:
            if plain["run_id"] in states:
                plain["state"], plain["reason"] = states[plain["run_id"]]
        show_json({**content, "folder": str(store.folder), "jobs": jobs})
        return 0
    say(totals(sweep, planned))
    _tell(request, planned, wanted, jobs, name)
    return 0


def _hand_over(slurm: Slurm, wanted: Sequence[Planned]) -> None:
    try:
        slurm.submit(wanted)
    except SlurmError as error:
        accepted = len(slurm.submission.jobs) if slurm.submission is not None else 0
        kept = f"; {accepted} job(s) were accepted before that, and stay" if accepted else ""
        raise SlurmError(f"{error}{kept}") from None


def _tell(
    request: Request,
    planned: Sequence[Planned],
    wanted: Sequence[Planned],
    jobs: Sequence[str],
    name: str,
) -> None:
    """What was done, and what to do next."""
    if wanted:
        arrays = ", ".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
        say(
            f"submitted {runs(len(wanted))} in {len(jobs):,} job(s) of SLURM ({arrays}), as {name} "
            f"asks; they go on without this terminal"
        )
        say(f"next: {request.command('status')} --watch")
        return
    waiting = sum(item.state in ("queued", "running") for item in planned)
    if waiting:
        say(f"nothing was submitted: {runs(waiting)} already wait or run")
        say(f"next: {request.command('status')} --watch")
    else:
        say("nothing was left to do")
        say(f"next: {request.command('report')}")


def _slurm(store: Store, cluster: Cluster, name: str, launch: Launch) -> Slurm:
    try:
        from bench.backends.slurm import Slurm
    except ModuleNotFoundError as error:
        if error.name != "submitit":
            raise
        raise ConfigError(
            ("backend",), "slurm needs submitit: pip install 'wgan-bench[slurm]'"
        ) from None
    return Slurm(store, cluster, name, launch.allow_numerics, packed=launch.packed)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Nobody else submits runs of this sweep meanwhile.

    Raises:
        StoreError: somebody does.
    """
    folder = folder_of(store.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lease = take_lease(folder)
    except LeaseHeld as held:
        raise StoreError(
            f"{held} is submitting runs of {store.sweep} just now; wait until it is done, then "
            f"look with `wgan-bench status`"
        ) from None
    with lease:
        lease.keep_alive()
        yield
