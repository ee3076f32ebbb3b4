"""`speed`: measures this machine and a sweep on it, and keeps what it found for `plan`."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from bench.backends import make_backend
from bench.backends.gpus import ALL, VISIBLE, choose_gpus
from bench.backends.packing import Terms, shares
from bench.clusters import Cluster, load_cluster
from bench.limits import usable_cores
from bench.speed.advice import Findings, advise
from bench.speed.cells import Cell, group
from bench.speed.figures import CellFigures, SideBySide
from bench.speed.kept import Kept, keep
from bench.speed.likeness import fill_up
from bench.speed.measure import Measured, Measuring
from bench.speed.predict import predict
from bench.speed.trial import Arrangement, workshop
from bench.speed.units import Unit, units_of
from bench.verbs.launch import Launch
from bench.verbs.needs import have_weights, read_data
from bench.verbs.planning import planned_for, show_remarks
from bench.verbs.request import Request
from bench.verbs.show import note, say, show_json
from bench.verbs.speed_shown import Answer, Jobs, as_json, options_of, show
from wgan.components import ConfigError


def speed(request: Request, launch: Launch, seconds: float) -> int:
    """Measure, say what was found, and keep it for `plan`."""
    launch.check()
    arrangement, cluster = _arrangement(launch)
    sweep, store, planned, queue = planned_for(request)
    show_remarks(sweep, store, planned, queue)
    store.check(planned)
    cells = group(planned)
    if not cells:
        if request.as_json:
            show_json({"sweep": sweep.name, "runs": 0, "cells": []})
        else:
            say(f"{sweep.name}: nothing is left to train, and so there is nothing to measure")
        return 0
    wanted = [item for cell in cells for item in cell.runs]
    read_data(sweep, wanted)
    have_weights(sweep, wanted)
    gpu = _see_one(arrangement)
    with workshop(store.results) as shop, _telling(request) as tell:
        measured = Measuring(shop, arrangement, seconds, tell).go(
            cells, _packs_to_measure(cells, arrangement)
        )
    if not measured.cells:
        for cell in cells:
            note(f"{cell.name}: {measured.problems.get(cell.key, 'not measured')}")
        note("nothing could be measured; `--seconds` gives it more time")
        return 1
    terms = Terms(arrangement.slots, arrangement.device, (), arrangement.packed)
    units = units_of(planned, terms, ordered=launch.backend != "inline")
    answer = _reckon(arrangement, cluster, units, cells, measured, gpu)
    if launch.backend != "slurm":
        _keep(launch, answer)
    if request.as_json:
        show_json({"sweep": sweep.name, **as_json(answer)})
    else:
        show(request, launch, answer)
    return 0


def _arrangement(launch: Launch) -> tuple[Arrangement, tuple[Cluster, str] | None]:
    """Where the runs would be trained, and with SLURM the cluster's file.

    Raises:
        ConfigError, SweepError: they cannot be trained so, or what is asked for is not here.
    """
    if launch.backend == "slurm":
        cluster, name = load_cluster(launch.cluster)
        gpus = _like_a_node(cluster, name)
        side_by_side = min(cluster.side_by_side, max(1, usable_cores() // cluster.threads))
        per_gpu = -(-side_by_side // len(gpus)) if gpus else 1
        arrangement = Arrangement(
            "local", side_by_side, cluster.threads, gpus, per_gpu, launch.packed
        )
        return arrangement, (cluster, name)
    backend = make_backend(
        launch.backend,
        slots=launch.slots,
        threads=launch.threads,
        gpus=launch.gpus,
        per_gpu=launch.per_gpu,
        packed=launch.packed,
    )
    gpus = choose_gpus(launch.gpus) if launch.gpus is not None else ()
    arrangement = Arrangement(
        launch.backend, backend.slots, launch.threads, gpus, launch.per_gpu or 1, launch.packed
    )
    return arrangement, None


def _packs_to_measure(cells: Sequence[Cell], arrangement: Arrangement) -> dict[str, int]:
    """By cell, how many runs train as one model; where that is not wanted, of the costliest cell.

    What was not wanted may have been the faster way, and is then told.
    """
    terms = Terms(arrangement.slots, arrangement.device)
    sizes = {cell.key: max(unit.size for unit in units_of(cell.runs, terms)) for cell in cells}
    packs = {key: size for key, size in sizes.items() if size > 1}
    return packs if arrangement.packed else dict(list(packs.items())[:1])


def _like_a_node(cluster: Cluster, name: str) -> tuple[str, ...]:
    """As many GPUs of this machine as a job would have, or what there is.

    Raises:
        ConfigError: there is none.
    """
    try:
        return choose_gpus(ALL)[: cluster.gpus] if cluster.gpus else ()
    except ConfigError as error:
        raise ConfigError(
            ("cluster",),
            f"{name} asks for GPUs, and this machine has none to measure ({error.problem}); call "
            "speed on a node that has one",
        ) from None


def _see_one(arrangement: Arrangement) -> str:
    """The name of the first GPU, which this process sees from now on; empty on cores.

    Raises:
        ConfigError: torch cannot use it.
    """
    if not arrangement.gpus:
        return ""
    os.environ[VISIBLE] = arrangement.gpus[0]
    if not torch.cuda.is_available():
        raise ConfigError(("gpus",), "torch cannot use them; `wgan-bench doctor` says why")
    return torch.cuda.get_device_name(0)


def _reckon(
    arrangement: Arrangement,
    cluster: tuple[Cluster, str] | None,
    units: Sequence[Unit],
    cells: Sequence[Cell],
    measured: Measured,
    gpu: str,
) -> Answer:
    specs = {item.spec.label: item.spec for cell in cells for item in cell.runs}
    known = {
        item.spec.label: measured.cells[cell.key]
        for cell in cells
        if cell.key in measured.cells
        for item in cell.runs
    }
    figures = fill_up(specs, known)
    prediction = predict(units, figures, measured.beside, server=measured.server)
    found = Findings(
        arrangement,
        units,
        cells,
        figures,
        measured,
        prediction,
        {cell.name: _share(measured, measured.cells.get(cell.key), cell) for cell in cells},
    )
    jobs = None
    if cluster is not None:
        beside = dataclasses.replace(measured.beside, slots=cluster[0].side_by_side)
        jobs = _jobs(units, arrangement, figures, beside, measured.server, *cluster)
    return Answer(found, gpu, jobs, advise(found))


def _jobs(
    units: Sequence[Unit],
    arrangement: Arrangement,
    figures: dict[str, CellFigures],
    beside: SideBySide,
    server: float,
    cluster: Cluster,
    name: str,
) -> Jobs:
    """The jobs that SLURM would get, each with its share of the runs, as the backend makes them."""
    terms = Terms(cluster.side_by_side, arrangement.device, (), arrangement.packed)
    tasks = shares([item for unit in units for item in unit.items], cluster.pack, terms)
    seconds = [
        predict(units_of(task, terms), figures, beside, server=server).seconds for task in tasks
    ]
    return Jobs(name, cluster, seconds)


def _share(measured: Measured, figures: CellFigures | None, cell: Cell) -> float:
    """What part of the peak an iteration reaches; 0 where that is not known."""
    peak = measured.peaks.get(cell.spec.config.precision)
    if figures is None or peak is None:
        return 0.0
    most = peak.convolutions if figures.convolutional >= 0.5 else peak.matrices
    return figures.gflops / most


def _keep(launch: Launch, answer: Answer) -> None:
    measured, arrangement = answer.found.measured, answer.found.arrangement
    kept = Kept(
        shlex.join(options_of(launch)) or "--backend local",
        arrangement.slots,
        measured.server,
        measured.beside,
        measured.cells,
    )
    if not keep(kept):
        note("note: the figures could not be kept for `plan`: the cache cannot be written")


@contextmanager
def _telling(request: Request) -> Iterator[Callable[[str], None]]:
    """A way to say what is being measured: a line that changes on a terminal, else one each."""
    if request.as_json:
        yield lambda _: None
    elif request.plain or not sys.stderr.isatty():
        yield lambda text: note(f"measuring {text}")
    else:
        from rich.console import Console

        with Console(stderr=True).status("measuring") as status:
            yield lambda text: status.update(f"measuring {text}")
