"""`python -m tests.speed [GROUP ...]`: measure, and write reports/speed.

A group is measured in a process of its own with its own number of threads, one after another. With
no group all are; `table` alone writes the report from what is kept. A figure that misses what is
required is told and fails nothing, unless `--strict`; one whose measuring fails ends with exit
code 1, after all others.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.speed import chart
from tests.speed.groups import GROUPS, threads_of
from tests.speed.kept import Kept
from tests.speed.machine import ROOT, commit, machine
from tests.speed.required import ROWS
from tests.speed.table import readme, unreached, values_csv, verdict

TABLE = "table"
_FAILED, _USAGE = 1, 2


def asked(words: list[str] | None = None) -> argparse.Namespace:
    """The command line; exits with 2 at an unknown group."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join([*GROUPS, TABLE]))
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "speed")
    parser.add_argument("--rounds", type=int, default=0, help="of each group; 0: its own number")
    parser.add_argument(
        "--gpu",
        type=Path,
        action="append",
        default=[],
        help="figures made on a GPU, to be taken up",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a row is missed")
    told = parser.parse_args(words)
    for group in told.groups:
        if group not in (*GROUPS, TABLE):
            parser.error(f"there is no group {group!r}: {', '.join([*GROUPS, TABLE])}")
    return told


def main(words: list[str] | None = None) -> int:
    """The exit code."""
    told = asked(words)
    groups = told.groups or ([TABLE] if told.gpu else list(GROUPS))
    kept, here = Kept.load(told.out), machine()
    for path in told.gpu:
        kept.take_device(json.loads(path.read_text(encoding="utf-8")))
    if groups != [TABLE]:
        if not told.groups:
            kept = forget_figures(kept)
        elif kept.machine and kept.machine != here:
            sys.stderr.write(
                f"{told.out} holds figures of another machine or other versions; measure all of "
                "them (make bench), or write elsewhere (--out)\n"
            )
            return _USAGE
        kept.machine = here
    failed = [
        group
        for group in groups
        if group != TABLE and not measured(group, kept, told.rounds, told.out)
    ]
    write(kept, told.out)
    missed = unreached(kept)
    sys.stdout.write(f"{told.out / 'README.md'}: {len(missed)} required rows are not reached\n")
    for row in missed:
        sys.stdout.write(f"  {row.name}: {verdict(row, kept.figures.get(row.name))}\n")
    if failed:
        sys.stdout.write(f"measuring failed: {', '.join(failed)}\n")
    return _FAILED if failed or (told.strict and missed) else 0


def forget_figures(kept: Kept) -> Kept:
    """What stays where all is measured anew: the accelerators' figures."""
    return Kept(
        figures={name: figure for name, figure in kept.figures.items() if figure.device},
        stamps={name: {} for name, figure in kept.figures.items() if figure.device},
        devices=kept.devices,
    )


def measured(group: str, kept: Kept, rounds: int, out: Path) -> bool:
    """Measure a group and keep it at once; whether it did not fail."""
    sys.stdout.write(f"{group} ... ")
    sys.stdout.flush()
    began = time.perf_counter()
    threads = str(threads_of(group))
    variables = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        done = subprocess.run(
            [sys.executable, "-m", "tests.speed.groups", group, str(path), str(rounds)],
            cwd=ROOT,
            env={**os.environ, **variables},
            check=False,
        )
        if done.returncode != 0:
            kept.unavailable[group] = f"its measuring ended with {done.returncode}"
            sys.stdout.write(f"failed with {done.returncode}\n")
            return False
        found = json.loads(path.read_text())
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    kept.add(group, found, {"commit": commit(), "date": today})
    kept.save(out)
    sys.stdout.write(f"{time.perf_counter() - began:.0f} s\n")
    tell(group, kept)
    return True


def tell(group: str, kept: Kept) -> None:
    """What was found, a line a row."""
    if group in kept.unavailable:
        sys.stdout.write(f"  {kept.unavailable[group]}\n")
    for row in ROWS:
        figure = kept.figures.get(row.name)
        if row.group != group or figure is None:
            continue
        spread = figure.spread
        busy = "" if kept.stamps[row.name]["company"]["quiet"] else "; the machine was busy"
        required = f", {verdict(row, figure)} ({row.required})" if row.required else ""
        sys.stdout.write(
            f"  {row.name}: {row.shown(spread.median)} ({row.shown(spread.low)} to "
            f"{row.shown(spread.high)}, {spread.trials} rounds){required}{busy}\n"
        )


def write(kept: Kept, folder: Path) -> None:
    """All files of the report."""
    kept.save(folder)
    kept.save_devices(folder)
    (folder / "README.md").write_text(readme(kept), encoding="utf-8")
    (folder / "figures.csv").write_text(values_csv(kept), encoding="utf-8")
    chart.write(kept, folder)


if __name__ == "__main__":
    sys.exit(main())
