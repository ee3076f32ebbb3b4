"""`speed` on a sweep of seconds: what it shows, keeps and leaves behind, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from test_speed_measure import INSIDE, SERVER, STEP, KnownShop

from bench import backends, limits
from bench.backends import packing
from bench.cli import main
from bench.speed import advice, measure
from bench.speed.kept import read_kept
from bench.speed.peaks import Peak
from bench.verbs import speed as verb

ROOT = Path(__file__).resolve().parents[2]
TINY = """
name: tiny
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: 40, batch_size: 8, noise_size: 4}
grid: {recipe: [gan, wgan_gp], seed: 0..1}
evaluate: {every: 20, samples: 32}
record: {log_every: 4}
"""
COMMAND = [sys.executable, "-c", "from bench.cli import main; main()"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WGAN_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


@pytest.fixture
def known(here: Path, monkeypatch: pytest.MonkeyPatch) -> KnownShop:
    """Trials whose times are known, made by nobody."""
    shop = KnownShop(slower=1.25)
    monkeypatch.setattr(packing.packed, "pays", lambda config, device: 1)
    monkeypatch.setattr(verb, "workshop", lambda results: contextlib.nullcontext(shop))
    monkeypatch.setattr(measure, "look_inside", lambda spec, device: INSIDE)
    monkeypatch.setattr(measure, "peak", lambda *asked: Peak(20.0, 10.0))
    monkeypatch.setattr(measure, "other_precisions", lambda spec, device: iter(()))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    for module in (measure, limits, advice):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)
    monkeypatch.setattr(backends, "usable_cores", lambda: 2)
    return shop


def speed(*options: str) -> Result:
    return call("speed", "tiny.yaml", *options)


def test_it_measures_predicts_and_keeps(known: KnownShop) -> None:
    answer = speed("--json", "--slots", "2")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [cell["name"] for cell in found["cells"]] == ["wgan_gp", "gan"]
    penalised, plain = found["cells"]
    assert penalised["iteration"]["middle"] == pytest.approx(STEP["wgan_gp"])
    assert plain["gflops"] == pytest.approx(6.0)
    assert plain["share_of_peak"] == pytest.approx(0.6)  # of that of convolutions
    assert penalised["problem"] is None
    assert found["side_by_side"]["training"] == pytest.approx(1.25)
    # Two rounds of two runs, side by side: first the dear ones, then the cheap.
    seconds = penalised["seconds_per_run"] + plain["seconds_per_run"]
    assert found["prediction"]["seconds"] == pytest.approx(SERVER + 1.25 * seconds, rel=0.05)
    (kept,) = read_kept()
    assert kept.options == "--slots 2"
    assert set(kept.cells) == {cell["key"] for cell in found["cells"]}
    planned = json.loads(call("plan", "tiny.yaml", "--json").stdout)["estimate"]
    assert planned["seconds"] == pytest.approx(found["prediction"]["seconds"])
    assert planned["options"] == "--slots 2"


def test_runs_that_train_as_one_model_are_measured_and_predicted_so(
    known: KnownShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan makes packs of two; the trial of one is 0.7 + 2 * 0.3 times as long as of a run."""
    monkeypatch.setattr(packing.packed, "unpackable", lambda config: None)
    monkeypatch.setattr(packing.packed, "pays", lambda config, device: 16)
    found = json.loads(speed("--json", "--slots", "1").stdout)
    for cell in found["cells"]:
        assert cell["pack"] == 2
        assert cell["packed"]["middle"] == pytest.approx(1.3 * cell["iteration"]["middle"])
    shown = speed("--plain", "--slots", "1").stdout
    assert "2 runs of gan as one model: an iteration of all takes 1.3 ms, 1.5 times" in shown
    apart = json.loads(speed("--json", "--slots", "1", "--no-pack").stdout)
    assert [cell["pack"] for cell in apart["cells"]] == [2, 1]  # to tell what it would gain
    of_one, of_each = (
        one["prediction"]["seconds"] - one["prediction"]["server"] for one in (found, apart)
    )
    assert of_one < of_each
    assert any("leave `--no-pack` out" in text for text in apart["advice"])
    assert speed("--slots", "1", "--no-pack").stdout.endswith("--slots 1 --no-pack\n")


def test_people_see_a_table_the_prediction_and_the_next_command(known: KnownShop) -> None:
    answer = speed("--plain", "--only", "recipe=gan", "--threads", "2")
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert "2 cores; 2 threads per run; torch" in lines[0]
    assert lines[1] == "peak in float32: 20 GFLOP/s in products of matrices, 10 in convolutions"
    assert re.search(r"^gan +2 +0.707 +8.49 +84.9% +0.12 +\S+$", answer.stdout, re.M)
    assert re.search(r"^predicted: 2 runs take \d+ s on 1 slot$", answer.stdout, re.M)
    assert lines[-1] == "next: wgan-bench run tiny.yaml --only recipe=gan --threads 2"
    assert "measuring gan (1 of 1)" in answer.stderr


def test_where_nothing_is_left_to_train_nothing_is_measured(known: KnownShop) -> None:
    assert call("run", "tiny.yaml", "--backend", "inline", "--plain").exit_code == 0
    answer = speed()
    assert answer.exit_code == 0
    assert "nothing is left to train" in answer.stdout
    assert json.loads(speed("--json").stdout)["runs"] == 0
    assert known.trained == []


def test_a_cell_that_fails_is_named_and_estimated_from_another(known: KnownShop) -> None:
    known.failing = ["gan"]
    answer = speed("--plain")
    assert answer.exit_code == 0, answer.output
    said = "~ gan: estimated from wgan_gp, by updates, images and samples (it failed while it was"
    assert said in answer.stdout
    # A third of the updates, and so a third of the time.
    assert re.search(r"^gan +2 +~3.33 +~", answer.stdout, re.M)


def test_where_nothing_can_be_measured_that_is_said(known: KnownShop) -> None:
    known.failing = ["gan", "wgan_gp"]
    answer = speed()
    assert answer.exit_code == 1
    assert "nothing could be measured" in answer.stderr
    assert "gan: it failed while it was measured: no reason" in answer.stderr
    assert read_kept() == []


def test_with_slurm_its_jobs_are_reckoned(known: KnownShop, here: Path) -> None:
    (here / "small.yaml").write_text("pack: 3\nside_by_side: 1\ntime: 4\n")
    words = ("--backend", "slurm", "--cluster", "small.yaml")
    found = json.loads(speed(*words, "--json").stdout)
    assert found["jobs"]["count"] == 2  # four runs, three and one
    dear, cheap = (cell["seconds_per_run"] for cell in found["cells"])
    assert found["jobs"]["longest_seconds"] == pytest.approx(SERVER + 2 * dear + cheap)
    assert found["jobs"]["total_seconds"] == pytest.approx(2 * (SERVER + dear + cheap))
    shown = speed(*words, "--plain").stdout
    assert "4 runs make 2 job(s), as small.yaml asks (3 runs each, 1 at once)" in shown
    assert "how long jobs wait in SLURM's queue is not known here" in shown
    assert read_kept() == []


@pytest.mark.slow
def test_real_trials_are_measured_and_leave_nothing(here: Path) -> None:
    answer = speed("--backend", "inline", "--seconds", "300", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    for cell in found["cells"]:
        assert 0 < cell["iteration"]["low"] <= cell["iteration"]["middle"]
        assert 0 < cell["evaluation"]["middle"] < cell["seconds_per_run"]
        assert 0 < cell["share_of_peak"] < 1
    assert found["peaks"]["float32"]["matrices_gflops"] > 0
    assert [path.name for path in (here / "results").iterdir()] in ([], [".cache"])


BAD: dict[str, tuple[list[str], str]] = {
    "no file": (["speed", "none.yaml"], "none.yaml"),
    "no such backend": (["speed", "tiny.yaml", "--backend", "clouds"], "unknown backend 'clouds'"),
    "no time": (["speed", "tiny.yaml", "--seconds", "0"], "0"),
    "time that is none": (["speed", "tiny.yaml", "--seconds", "nan"], "no finite number"),
    "too many threads": (["speed", "tiny.yaml", "--threads", "9999"], "9999 is not allowed"),
    "cluster without slurm": (["speed", "tiny.yaml", "--cluster", "x"], "slurm only"),
    "no GPU": (["speed", "tiny.yaml", "--gpus", "all"], "gpus: there is none"),
}


def test_a_cluster_with_gpus_is_not_measured_without_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (here / "big.yaml").write_text("gpus: 1\n")
    answer = speed("--backend", "slurm", "--cluster", "big.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("cluster: big.yaml asks for GPUs, and this machine has none")
    assert "call speed on a node that has one" in answer.stderr


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_is_refused_in_a_sentence(
    here: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    words, said = BAD[case]
    answer = call(*words)
    assert answer.exit_code == 2
    assert said in answer.stderr
    assert not (here / "results").exists()


def test_a_gpu_that_torch_cannot_use_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi = here / "nvidia-smi"
    smi.write_text('#!/bin/sh\necho "GPU 0: NVIDIA H100 (UUID: GPU-1234)"\n')
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(here))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    answer = call("speed", "tiny.yaml", "--gpus", "all")
    assert answer.exit_code == 2
    assert "gpus: torch cannot use them; `wgan-bench doctor` says why" in answer.stderr


@pytest.mark.parametrize("backend", ["inline", "local"])
def test_a_results_folder_that_cannot_be_written_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(measure, "peak", lambda *asked: Peak(20.0, 10.0))
    (here / "file").write_text("")
    answer = speed("--results", "file/results", "--backend", backend)
    assert answer.exit_code == 2
    assert "file" in answer.stderr


def environment(here: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "WGAN_BENCH_CACHE": str(here / "cache")}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "inline"])
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(here: Path, backend: str) -> None:
    words = [*COMMAND, "speed", "tiny.yaml", "--backend", backend, "--plain"]
    with subprocess.Popen(
        words, env=environment(here), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("measuring wgan_gp"):
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(60) == 130
    assert rest.endswith("stopped\n")
    assert [path.name for path in (here / "results").iterdir()] in ([], [".cache"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_prediction_is_what_the_run_then_takes(here: Path) -> None:
    """Within a factor of 1.5, either way.

    Others may disturb it at any time. So it is predicted before the run and after it, which are
    taken together, and the second of two trials may make good what the first could not show.
    """
    (here / "tiny.yaml").write_text(TINY.replace("steps: 40", "steps: 600"))
    assert any(abs(math.log(factor(here, number))) < math.log(1.5) for number in range(2))


def factor(here: Path, number: int) -> float:
    """Predicted over real seconds."""
    before = predicted(here, f"before-{number}")
    said = ask(here, "run", "--plain", "--results", f"real-{number}")
    after = predicted(here, f"after-{number}")
    match = re.search(r"4 done in ([\d,]+) s;", said)
    assert match is not None
    real = float(match[1].replace(",", ""))
    sys.stdout.write(f"\npredicted {before:.1f} s and {after:.1f} s, took {real:.0f} s\n")
    return math.sqrt(before * after) / real


def predicted(here: Path, results: str) -> float:
    answer = ask(here, "speed", "--seconds", "40", "--json", "--results", results)
    return float(json.loads(answer)["prediction"]["seconds"])


def ask(here: Path, verb: str, *options: str) -> str:
    words = [*COMMAND, verb, "tiny.yaml", *options]
    done = subprocess.run(words, env=environment(here), capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.gpu
@pytest.mark.timeout(600)
def test_a_gpu_is_measured_and_its_runs_predicted(here: Path) -> None:
    """Digits, so that both networks convolve; two runs at once, and four as the alternative."""
    (here / "tiny.yaml").write_text(
        TINY.replace(
            "dataset: ring8, network: {mlp: {width: 8}}", "dataset: digits, network: dcgan"
        )
        .replace("steps: 40", "steps: 400")
        .replace("every: 20, samples: 32", "every: 100, samples: 200")
    )
    words = [*COMMAND, "speed", "tiny.yaml", "--gpus", "all", "--per-gpu", "2", "--json"]
    words += ["--seconds", "120"]
    done = subprocess.run(words, env=environment(here), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["gpu"]
    assert found["arrangement"]["slots"] == 2 * len(found["arrangement"]["gpus"])
    assert found["side_by_side"]["training"] >= 1
    for cell in found["cells"]:
        assert cell["problem"] is None
        assert 0 < cell["share_of_peak"] < 1
        assert 0 < cell["iteration"]["middle"] < 1
    assert 0 < found["prediction"]["seconds"] < 600
