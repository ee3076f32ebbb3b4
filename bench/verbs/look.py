"""What a sweep looks like now: its plan, with what waits in queues, from one poll of SLURM."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from bench.backends import slurm_states
from bench.backends.base import mark
from bench.lease import LeaseHeld
from bench.queues import Ask, Queue, read_queue
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store


def look(
    store: Store, specs: Sequence[RunSpec], ask: Ask = slurm_states.ask
) -> tuple[list[Planned], Queue]:
    """The plan of these runs, and the queue by which it was made. Writes nothing.

    Args:
        ask: answers for SLURM's jobs.

    Raises:
        StoreError: the results folder cannot be read.
    """
    queue = read_queue(store.folder, store.finished(), ask)
    return store.plan(specs, queue.entries), queue


def look_and_settle(
    store: Store, specs: Sequence[RunSpec], ask: Ask = slurm_states.ask
) -> tuple[list[Planned], Queue]:
    """The same, and the ends that only SLURM knew are written into the runs' folders.

    SLURM forgets its jobs after a while; where nothing can be written the next look tries again.

    Raises:
        StoreError: the results folder cannot be read.
    """
    planned, queue = look(store, specs, ask)
    for item in planned:
        entry = queue.entries.get(item.spec.run_id)
        if entry is None or item.state != entry.state or item.state not in ("failed", "cancelled"):
            continue
        with contextlib.suppress(OSError, LeaseHeld):
            mark(
                RunFolder(item.folder),
                item.spec.run_id,
                item.state,
                entry.reason,
                over=("failed", "cancelled"),
            )
    return planned, queue
