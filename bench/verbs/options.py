"""Options that several verbs share, as a `Request` or a `Launch`. Imports nothing heavy."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from bench.verbs.guard import guarded
from bench.verbs.launch import Launch
from bench.verbs.request import DEFAULT_RESULTS, NO_SWEEP, Request

FOLDER = click.Path(path_type=Path)


def shown(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The options on how to print."""
    verb = click.option("--plain", is_flag=True, help="No colours, lines or live tables.")(verb)
    return click.option("--json", "as_json", is_flag=True, help="Print JSON only.")(verb)


def results_folder(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The option on where results lie."""
    return click.option(
        "--results",
        type=FOLDER,
        default=DEFAULT_RESULTS,
        show_default=True,
        metavar="DIR",
        help="The folder of all results.",
    )(verb)


def takes_sweep(verb: Callable[..., int], *, required: bool = True) -> Callable[..., Any]:
    """The sweep file (`NO_SWEEP` where it may lack) and the common options, as a `Request`."""

    @functools.wraps(verb)
    def call(
        sweep: Path | None,
        overrides: tuple[str, ...],
        only: tuple[str, ...],
        results: Path,
        as_json: bool,
        plain: bool,
        **rest: Any,
    ) -> int:
        return verb(Request(sweep or NO_SWEEP, overrides, only, results, as_json, plain), **rest)

    wrapped: Callable[..., Any] = results_folder(shown(guarded(call)))
    wrapped = click.option(
        "--only",
        multiple=True,
        metavar="KEY=VALUE",
        help="Keep the runs that match: label, id, recipe, seed or any other field.",
    )(wrapped)
    wrapped = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override the file: steps=100, seed=0..4, evaluate.every=10, optimizer.adam.lr=1e-3.",
    )(wrapped)
    name = "SWEEP.yaml" if required else "[SWEEP.yaml]"
    return click.argument("sweep", type=FOLDER, metavar=name, required=required)(wrapped)


def launched(verb: Callable[..., int]) -> Callable[..., Any]:
    """The options on where and how to train, handed on as a `Launch`."""

    @functools.wraps(verb)
    def call(request: Request, **given: Any) -> int:
        asked = {item.name: given.pop(item.name) for item in fields(Launch)}
        return verb(request, Launch(**asked), **given)

    wrapped: Callable[..., Any] = call
    for option in reversed(_LAUNCH_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_LAUNCH_OPTIONS = (
    click.option(
        "--backend",
        default="local",
        show_default=True,
        metavar="NAME",
        help="local: a process per run; inline: in this process, one after another; slurm: jobs "
        "of a cluster, which go on without this terminal.",
    ),
    click.option(
        "--cluster",
        metavar="FILE",
        help="What SLURM is asked for: a file, or a name in clusters/.  [default: clusters/"
        "slurm.yaml]",
    ),
    click.option(
        "--slots",
        type=click.IntRange(min=1),
        help="Runs at once on cores.  [default: the cores that may be used, over the threads]",
    ),
    click.option(
        "--gpus",
        metavar="all|0,2,...",
        help="Train on these GPUs (local), by number or UUID; every run sees one of them.",
    ),
    click.option(
        "--per-gpu", type=click.IntRange(min=1), help="Runs at once on each GPU.  [default: 1]"
    ),
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="CPU threads that each run owns.",
    ),
    click.option(
        "--no-pack",
        "packed",
        is_flag=True,
        callback=lambda _, __, forbidden: not forbidden,
        help="Train every run by itself, also where runs that differ in their seed alone would "
        "train faster as one model.",
    ),
    click.option("--fail-fast", is_flag=True, help="Stop the others when a run fails."),
    click.option(
        "--allow-numerics",
        multiple=True,
        metavar="NAME",
        help="Resume although NAME (torch, threads, pack, code, ..., or all) differs; bits may "
        "then differ.",
    ),
)
