"""What a report of 1,000 runs of 100 evaluations costs, and one of 10,000.

The seconds, on a quiet machine: `python -m pytest -m bench tests/bench/test_report_speed.py -s`.
What is asserted is the time of the processor, which other processes disturb least; the command
is one process of one thread, so on a quiet machine it takes no longer than that.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from large_records import large_records
from many_runs import finish_all
from test_ten_thousand_runs import VERB

from bench.grid import load
from bench.report import render

ROOT = Path(__file__).resolve().parents[2]
SWEEP = """\
name: scale
base: {{dataset: ring8, network: mlp, recipe: wgan_gp, steps: 990}}
grid:
  lipschitz: {{gradient_penalty: {{weight: [{weights}]}}}}
  seed: 0..9
evaluate: {{every: 10, samples: 100, metrics: [exact_w1]}}
record: {{log_every: 10, checkpoint_seconds: 1000}}
"""


@pytest.mark.bench
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("settings", "limit"), [(100, 60), (1000, 600)])
def test_seconds_of_a_report_command(tmp_path: Path, settings: int, limit: float) -> None:
    weights = ", ".join(f"{1 + place / 100:.6g}" for place in range(settings))
    sweep = tmp_path / "scale.yaml"
    sweep.write_text(SWEEP.format(weights=weights))
    finish_all(tmp_path / "results", load(sweep))
    words = ["report", str(sweep), "--json", "--results", str(tmp_path / "results")]
    words += ["--reports", str(tmp_path / "reports")]
    said = tmp_path / "said.txt"
    started = time.perf_counter()
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", VERB, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors
        )
        answer, _ = process.communicate()
    seconds = time.perf_counter() - started
    assert process.returncode == 0, said.read_text()
    cpu = float(re.findall(r"cpu_seconds (\S+)", said.read_text())[0])
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", said.read_text())
    page = Path(json.loads(answer)["files"][0])
    sys.stdout.write(
        f"\nreport of {settings * 10:,} runs of 100 evaluations: {cpu:.1f} s of CPU, "
        f"{seconds:.1f} s in all, {int(peak) / 1024:,.0f} MiB at most, a page of "
        f"{page.stat().st_size / 1e6:.1f} MB, with a load of {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores\n"
    )
    assert cpu < limit


@pytest.mark.bench
def test_seconds_of_rendering_alone() -> None:
    records = large_records(100, 10)
    started = time.process_time()
    rendered = render(records)
    spent = time.process_time() - started
    sys.stdout.write(f"\nrendering 1,000 runs of 100 evaluations: {spent:.1f} s of CPU\n")
    assert len(rendered.html) > 1e6
    assert spent < 50
