"""A digits sweep of 12 runs, from the command to the report, against the script without a harness.

The quickstart's four recipes and three seeds with the same evaluations, fewer steps. Ours is
`wgan-bench run` and `wgan-bench report` with nothing kept from before, on a slot for each core; the
script has torch's default threads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.speed.figure import Figure
from tests.speed.ratios import interleaved, ratios

ROOT = Path(__file__).resolve().parents[2]
STEPS, EVERY, SAMPLES, SEEDS, RUNS = 300, 50, 2000, 3, 12
ROUNDS = 3
SWEEP = """\
name: twelve
question: How long do twelve runs take?
base: {{dataset: digits, network: {{dcgan: {{width: 32}}}}, steps: {steps}, batch_size: 64}}
grid: {{recipe: [gan, wgan, wgan_gp, sngan], seed: 0..2}}
evaluate: {{every: {every}, samples: {samples}}}
"""
COMMAND = "from bench.cli import main; main()"


def called(words: list[str], folder: Path) -> None:
    """Run a command in `folder` as a user would, with this tree's code and no threads set.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    variables = {
        name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**variables, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}"
        )


def digits_sweep(
    threads: int, rounds: int = ROUNDS, steps: int = STEPS, every: int = EVERY
) -> dict[str, Figure]:
    """Wall clock of the script over that of the sweep with its report."""
    place = Path(tempfile.mkdtemp())
    turns = iter(range(10**6))

    def ours() -> None:
        folder = place / str(next(turns))
        folder.mkdir()
        text = SWEEP.format(steps=steps, every=every, samples=SAMPLES)
        (folder / "twelve.yaml").write_text(text)
        for verb in ("run", "report"):
            called(["-c", COMMAND, verb, "twelve.yaml"], folder)
        rows = sum(
            len(path.read_text().splitlines())
            for path in folder.glob("results/twelve/*/eval-*.jsonl")
        )
        if rows != RUNS * (steps // every + 1) or not list(folder.glob("reports/*/report.html")):
            raise RuntimeError(f"the sweep made {rows} evaluations, or no report")

    def script() -> None:
        folder = place / str(next(turns))
        folder.mkdir()
        words = [str(number) for number in (steps, every, SAMPLES, SEEDS)]
        called(["-m", "tests.speed.script", *words, str(folder)], folder)
        rows = (folder / "scores.csv").read_text().splitlines()
        if len(rows) != RUNS * (steps // every + 1):
            raise RuntimeError(f"the script made {len(rows)} evaluations")

    try:
        seconds = interleaved({"script": script, "sweep": ours}, rounds)
    finally:
        shutil.rmtree(place)
    return {
        "digits_sweep": Figure(
            ratios(seconds, "script", "sweep"),
            seconds,
            threads,
            remark=f"{RUNS} runs of {steps} steps, {steps // every + 1} evaluations of {SAMPLES} "
            "samples each; the script has torch's default threads, the sweep a slot of one thread "
            "on each core",
        )
    }
