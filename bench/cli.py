"""The command line, `wgan-bench`: options, verbs, exit codes. Heavy imports stand inside the verbs.

Exit codes: 0 all well, 1 some runs failed, 2 wrong usage or configuration, 130 stopped by the user.
"""

from __future__ import annotations

import functools
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from bench import server
from bench.verbs.guard import guarded, loading
from bench.verbs.launch import Launch
from bench.verbs.options import FOLDER, launched, results_folder, shown, takes_sweep
from bench.verbs.request import DEFAULT_REPORTS, NO_SWEEP, Request


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        try:
            version = metadata.version("wgan-bench")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        click.echo(f"wgan-bench {version}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Does a Wasserstein GAN's critic loss track sample quality?

    Write a sweep file, look at its plan, run it, read the report:

    \b
      wgan-bench plan   sweeps/quickstart.yaml
      wgan-bench run    sweeps/quickstart.yaml
      wgan-bench report sweeps/quickstart.yaml

    Exit codes: 0 all well, 1 some runs failed, 2 wrong usage or configuration.
    """  # noqa: D301 - click wants the character itself


@main.command()
@takes_sweep
def plan(request: Request) -> int:
    """Show every run: its state, what `run` would do, and why."""
    with loading():
        from bench.verbs import planning

    return planning.plan(request)


@main.command()
@takes_sweep
@launched
def run(request: Request, launch: Launch) -> int:
    """Train what is missing. A second call trains nothing twice."""
    server.begin_ahead(launch)
    with loading():
        from bench.verbs import training

    return training.run(request, launch)


@main.command()
@takes_sweep
@launched
def retry(request: Request, launch: Launch) -> int:
    """Train again what failed or was cancelled, from its checkpoint, and nothing else."""
    with loading():
        from bench.verbs import training

    return training.retry(request, launch)


@main.command()
@takes_sweep
def cancel(request: Request) -> int:
    """Take back what waits, ask what runs to save and stop. Both can be taken up again."""
    with loading():
        from bench.verbs import cancel as verb

    return verb.cancel(request)


class _Watched(click.Command):
    """Takes `--watch` with or without its number, which click alone would read off the sweep."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, a bare `--watch` written out."""
        for index, word in enumerate(args):
            if word == "--watch" and not _is_number(args[index + 1 : index + 2]):
                args[index] = "--watch=0"
        return super().parse_args(ctx, args)


def _is_number(words: list[str]) -> bool:
    try:
        return bool(words) and math.isfinite(float(words[0]))
    except ValueError:
        return False


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no finite number")
    return value


@main.command(cls=_Watched)
@takes_sweep
@click.option(
    "--watch",
    "watched",
    type=click.FloatRange(0, 86400),
    callback=_finite,
    metavar="[SECONDS]",
    help="Look again until everything is finished or Ctrl-C; every 2 s, off a terminal 10 s.",
)
@click.option(
    "--by",
    type=click.Choice(["auto", "method", "label"]),
    default="auto",
    show_default=True,
    help="A row per method and optimizer or per label; auto: per label where these are few.",
)
def status(request: Request, watched: float | None, by: str) -> int:
    """Show how the runs stand: counts, speed, time left, who is at work, what failed and why.

    Exit code 0 whenever that could be read, whatever has failed.
    """
    with loading():
        from bench.verbs import status as verb

    return verb.status(request, by=by, watched=watched)


@main.command()
@takes_sweep
@click.argument("others", nargs=-1, type=FOLDER, metavar="[DIR]...")
def collect(request: Request, others: tuple[Path, ...]) -> int:
    """Write runs.parquet, curves.parquet and profiles.json into the sweep's results.

    DIR: results folders of other machines, or the sweep's folder in one. Their runs are copied here
    first: finished ones go before unfinished ones, equal ones stay as they are here, and two
    finished ones that differ are a conflict, which refuses everything.
    """
    with loading():
        from bench.verbs import collecting

    return collecting.collect(request, others)


@main.command()
@functools.partial(takes_sweep, required=False)
@click.option(
    "--reports",
    type=FOLDER,
    default=DEFAULT_REPORTS,
    show_default=True,
    metavar="DIR",
    help="The folder of all reports.",
)
@click.option("--claims", is_flag=True, help="Show the verdicts on the field's claims too.")
@click.option(
    "--claim-sweeps",
    type=FOLDER,
    default=Path("sweeps/claims"),
    show_default=True,
    metavar="DIR",
    help="Without a sweep file: the folder of the sweeps that supply the claims' data.",
)
def report(request: Request, reports: Path, claims: bool, claim_sweeps: Path) -> int:
    """Write report.html and report.md, with tables/ and figures/, from what the runs left.

    With --claims and no sweep file: the report on all claims, from those sweeps in sweeps/claims
    that have been run.
    """
    if request.sweep == NO_SWEEP:
        if not claims:
            raise click.UsageError("Missing argument 'SWEEP.yaml' (or --claims for all claims).")
        if request.overrides or request.only:
            raise click.UsageError("--set and --only need a sweep file.")
    with loading():
        import bench.report.content  # noqa: F401 - what the verbs would load later
        from bench.verbs import claims as all_claims
        from bench.verbs import reading

    if request.sweep == NO_SWEEP:
        return all_claims.report_claims(request, reports, claim_sweeps)
    return reading.report(request, reports, claims=claims)


@main.command()
@click.argument("files", nargs=-1, required=True, type=FOLDER, metavar="FILE...")
@click.option("--step", required=True, metavar="COL", help="The column of training steps.")
@click.option("--loss", required=True, metavar="COL", help="The column of the loss or estimate.")
@click.option(
    "--quality", required=True, metavar="COL", help="The column of the quality measure, e.g. fid."
)
@click.option("--group", metavar="COL", help="The column that tells runs (seeds) apart.")
@click.option(
    "--setting", metavar="COL", help="The column that tells settings apart: a verdict for each."
)
@click.option(
    "--good-loss",
    type=click.Choice(["low", "high"]),
    default="low",
    show_default=True,
    help="Which end of the loss means good samples. An estimate f(real) - f(fake): low; a critic's "
    "loss f(fake) - f(real): high.",
)
@click.option(
    "--good-quality",
    type=click.Choice(["low", "high"]),
    default="low",
    show_default=True,
    help="Which end of the quality measure means good samples. FID: low; inception score: high.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["refuse", "first", "last", "mean"]),
    default="refuse",
    show_default=True,
    help="Which counts where one step of one run has several values.",
)
@click.option(
    "--within",
    type=click.FloatRange(min=0),
    callback=_finite,
    default=0,
    metavar="STEPS",
    help="Take the latest loss at most so many steps before each score.  [default: the same step]",
)
@click.option(
    "--floor",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    metavar="SCORE",
    help="Quality of real data against real data. Our own tables know it.",
)
@click.option("--out", type=FOLDER, metavar="DIR", help="Write a report and its tables there.")
@shown
@guarded
def correlate(
    files: tuple[Path, ...], as_json: bool, plain: bool, out: Path | None, **asked: Any
) -> int:
    """Say whether the loss tracks sample quality in a log of YOUR training.

    FILE: CSV (any separator, also gzipped), JSON lines or Parquet. Several files are runs of one
    setting, a seed each; in one file --group names the column that tells runs apart. The analysis
    is that of the report: rank correlation within each run, as it is and beyond the trend over
    time, an interval over runs, and a verdict.

    \b
      wgan-bench correlate run1.csv run2.csv --step step --loss d_loss --quality fid
    """  # noqa: D301 - click wants the character itself
    with loading():
        from bench.ownlog import Question
        from bench.verbs import correlating

    question = Question(**asked)
    return correlating.correlate(files, question, out, as_json=as_json, plain=plain)


@main.command()
@click.argument("run_id", metavar="ID")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Last lines to begin with.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended, or Ctrl-C.")
@click.option("--rows", is_flag=True, help="Show training rows and scores as well as the log.")
@results_folder
@shown
@guarded
def logs(
    run_id: str,
    lines: int,
    follow: bool,
    rows: bool,
    results: Path,
    as_json: bool,
    plain: bool,
) -> int:
    """Show the end of a run's log. ID: the first characters of its id, or its folder.

    With --follow and --json each new line is an object, and so is each change of the run's state.
    """
    with loading():
        from bench.verbs import logs as verb

    return verb.logs(run_id, results, lines, follow=follow, rows=rows, as_json=as_json)


@main.command()
@takes_sweep
@click.option(
    "--checkpoints",
    is_flag=True,
    help="Also the checkpoints of finished runs; scoring them anew then takes training anew.",
)
@click.option("--samples", is_flag=True, help="Also finished runs' pictures but their last.")
@click.option("--failed", is_flag=True, help="Also failed runs, which then begin at step 0.")
@click.option(
    "--unlisted", is_flag=True, help="Also runs that the file does not list, results included."
)
@click.option("--yes", "-y", is_flag=True, help="Remove it without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and remove nothing.")
def clean(request: Request, yes: bool, dry_run: bool, **kinds: bool) -> int:
    """Remove what killed writers left behind, and what else is asked for; asks before it does.

    A run that somebody is or may be at is left alone. Results of finished runs go with --unlisted
    only.
    """
    with loading():
        from bench.verbs import clean as verb

    chosen = [kind for kind, wanted in kinds.items() if wanted]
    return verb.clean(request, chosen, yes=yes, dry_run=dry_run)


@main.command("list")
@click.argument("kind", required=False)
@shown
@guarded
def list_parts(kind: str | None, as_json: bool, plain: bool) -> int:
    """List what a sweep file can choose from.

    KIND: recipes, methods, losses, optimizers, networks, generators, datasets, metrics, profiles,
    published, claims or fields.
    """
    with loading():
        from bench.verbs import listing

    return listing.listing(kind, as_json=as_json)


@main.command()
@takes_sweep
@launched
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    callback=_finite,
    default=60.0,
    show_default=True,
    help="How long to measure; the runs that cost most come first.",
)
def speed(request: Request, launch: Launch, seconds: float) -> int:
    """Measure this machine and the sweep's runs: how long will it take, and what would be faster?

    Every kind of run is trained for a few steps, as `run` would train it, and forgotten. `plan`
    uses the figures for its estimate.
    """
    with loading():
        from bench.verbs import speed as verb

    return verb.speed(request, launch, seconds)


@main.command()
@results_folder
@shown
@guarded
def doctor(results: Path, as_json: bool, plain: bool) -> int:
    """Check this machine: cores, memory, disk, packages, data, weights."""
    with loading():
        from bench.verbs import doctor as verb

    return verb.doctor(results, as_json=as_json, plain=plain)


if __name__ == "__main__":
    main()
