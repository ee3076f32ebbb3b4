"""The command line from end to end on a sweep of seconds, and what it answers to mistakes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.records import CURVE_COLUMNS, RUN_COLUMNS
from wgan.recipes import RECIPES

TINY = """
name: tiny
question: Does it work?
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: 6, batch_size: 8, noise_size: 4}
grid:
  recipe: [gan, wgan_gp]
  seed: 0..1
exclude: [{where: {recipe: wgan_gp, seed: 1}, reason: enough}]
evaluate: {every: 3, samples: 32}
record: {log_every: 2}
"""


def call(*arguments):
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False)


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """The command line in an empty folder that holds tiny.yaml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return call


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder in which `run` has been called, and what it answered."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.yaml").write_text(TINY)
        return folder, call("run", "tiny.yaml", "--backend", "inline", "--plain")


@pytest.fixture
def trained(cli, once, tmp_path):
    """The command line in a copy of that folder, and the answer."""
    folder, ran = once
    assert ran.exit_code == 0, ran.output
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return cli, ran


def test_a_sweep_goes_from_its_plan_to_its_report(trained, tmp_path):
    cli, ran = trained
    assert "tiny: 3 runs: 3 to run" in ran.stdout
    assert "3 runs: 3 done in" in ran.stdout
    assert "results in results/tiny" in ran.stdout
    assert ran.stdout.endswith("next: wgan-bench report tiny.yaml\n")

    assert "tiny: 3 runs: 3 done" in cli("status", "tiny.yaml").stdout

    collected = cli("collect", "tiny.yaml")
    assert collected.exit_code == 0
    assert "results/tiny/runs.parquet: 3 runs: 3 done" in collected.stdout
    runs = pd.read_parquet("results/tiny/runs.parquet")
    curves = pd.read_parquet("results/tiny/curves.parquet")
    assert tuple(runs.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert tuple(curves.columns[: len(CURVE_COLUMNS)]) == CURVE_COLUMNS
    assert list(runs["label"]) == ["gan", "gan", "wgan_gp"]

    report = cli("report", "tiny.yaml", "--reports", "out")
    assert report.exit_code == 0
    assert report.stdout == "out/tiny/report.html\nout/tiny/report.md\n"
    assert "Does it work?" in (tmp_path / "out/tiny/report.html").read_text()
    markdown = (tmp_path / "out/tiny/report.md").read_text()
    assert "Does it work?" in markdown
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", markdown)
    assert pictures
    assert all((tmp_path / "out/tiny" / name).is_file() for name in pictures)

    again = cli("run", "tiny.yaml", "--backend", "inline", "--plain")
    assert again.exit_code == 0
    assert "3 runs: 3 done; nothing was left to do; results in results/tiny" in again.stdout

    (run_id,) = runs["run_id"][2:]
    logs = cli("logs", run_id[:6], "-n", 3)
    assert logs.exit_code == 0
    assert f"--{run_id}: done" in logs.stdout
    assert "last training row: step=6 " in logs.stdout
    assert "last evaluation: step=6 " in logs.stdout


def test_json_is_all_that_stands_on_standard_output(trained):
    cli, _ = trained
    plan = json.loads(cli("plan", "tiny.yaml", "--json").stdout)
    assert [run["action"] for run in plan["runs"]] == ["keep"] * 3
    assert plan["excluded"] == [
        {"where": "recipe: wgan_gp, seed: 1", "reason": "enough", "runs": 1}
    ]
    run = json.loads(cli("run", "tiny.yaml", "--backend", "inline", "--json").stdout)
    assert [item["state"] for item in run["runs"]] == ["done"] * 3
    assert not run["interrupted"]
    status = json.loads(cli("status", "tiny.yaml", "--json").stdout)
    assert status["counts"] == {"done": 3}
    assert [item["step"] for item in status["runs"]] == [6] * 3
    collected = json.loads(cli("collect", "tiny.yaml", "--json").stdout)
    assert collected["files"] == ["results/tiny/runs.parquet", "results/tiny/curves.parquet"]
    logs = json.loads(cli("logs", plan["runs"][0]["run_id"], "--json").stdout)
    assert logs["state"] == "done"
    assert logs["training"][0]["step"] == 6
    written = json.loads(cli("report", "tiny.yaml", "--json").stdout)
    assert written["files"] == ["reports/tiny/report.html", "reports/tiny/report.md"]


def test_a_run_that_stands_with_other_settings_is_refused(trained):
    cli, _ = trained
    refused = cli("run", "tiny.yaml", "--backend", "inline", "--set", "evaluate.every=2")
    assert refused.exit_code == 2
    assert "evaluate.every is 3 there, 2 is asked for" in refused.stderr
    plan = cli("plan", "tiny.yaml", "--set", "evaluate.every=2")
    assert plan.exit_code == 2
    assert "tiny: 3 runs: 3 refused" in plan.stdout
    assert "next:" not in plan.stdout
    assert cli("plan", "tiny.yaml", "--set", "evaluate.every=2", "--json").exit_code == 2


def test_a_changed_sweep_file_is_said_to_have_changed(trained, tmp_path):
    cli, _ = trained
    (tmp_path / "tiny.yaml").write_text(TINY.replace("seed: 0..1", "seed: 0..2"))
    plan = cli("plan", "tiny.yaml")
    assert "tiny: 5 runs: 2 to run, 3 done" in plan.stdout
    assert plan.stderr == "note: tiny.yaml has changed since the last run of tiny\n"


def test_the_plan_shows_runs_exclusions_and_totals(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("WGAN_BENCH_CACHE", str(tmp_path / "cache"))  # where nothing was measured
    plan = cli("plan", "tiny.yaml", "--plain")
    assert plan.exit_code == 0
    lines = plan.stdout.splitlines()
    assert lines[0].split() == ["label", "seed", "id", "state", "action", "reason"]
    assert [line.split()[0] for line in lines[1:4]] == ["gan", "gan", "wgan_gp"]
    assert all("pending  run     not begun" in line for line in lines[1:4])
    assert lines[5:] == [
        "excluded: 1 run with recipe: wgan_gp, seed: 1: enough",
        "tiny: 3 runs: 3 to run",
        "time: wgan-bench speed tiny.yaml",
        "next: wgan-bench run tiny.yaml",
    ]
    assert not Path("results").exists()


def test_the_next_command_repeats_the_options(cli):
    plan = cli(
        "plan", "tiny.yaml", "--only", "seed=0", "--set", "steps=4", "--results", "my results"
    )
    assert "tiny: 2 runs (of 3): 2 to run" in plan.stdout
    assert plan.stdout.endswith(
        "next: wgan-bench run tiny.yaml --set steps=4 --only seed=0 --results 'my results'\n"
    )


def test_help_shows_its_commands_line_by_line(cli):
    lines = [line.strip() for line in cli("--help").stdout.splitlines()]
    assert "wgan-bench run    sweeps/quickstart.yaml" in lines
    assert "\\b" not in cli("--help").stdout


def test_a_path_of_weights_that_leads_nowhere_is_refused_before_anything_runs(cli, tmp_path):
    (tmp_path / "bad.yaml").write_text(
        "name: bad\ngrid: {seed: 0}\n"
        "evaluate: {extractor: inception, inception_weights: nowhere.pth}\n"
    )
    for verb in ("plan", "run"):
        answer = cli(verb, "bad.yaml")
        assert answer.exit_code == 2
        assert "there is no file 'nowhere.pth'" in answer.stderr
    assert not (tmp_path / "results").exists()


def test_a_failed_run_ends_with_1_and_its_reason(cli, tmp_path):
    (tmp_path / "nowhere.pth").write_bytes(b"these are no weights")
    (tmp_path / "bad.yaml").write_text(
        "name: bad\nbase: {network: {dcgan: {width: 2}}, steps: 2, batch_size: 4}\n"
        "grid: {seed: 0}\n"
        "evaluate: {samples: 16, extractor: inception, inception_weights: nowhere.pth}\n"
    )
    ran = cli("run", "bad.yaml", "--backend", "inline", "--plain")
    assert ran.exit_code == 1
    assert "1 run: 1 failed" in ran.stdout
    assert "nowhere.pth" in ran.stderr
    assert "next: wgan-bench run bad.yaml" in ran.stdout
    assert "Traceback" not in ran.output
    status = cli("status", "bad.yaml")
    assert status.exit_code == 0
    assert "failed: " in status.stdout
    assert "nowhere.pth" in status.stdout
    assert "more: wgan-bench logs " in status.stdout


@pytest.mark.parametrize("verb", ["plan", "run", "status", "collect", "report"])
def test_a_wrong_sweep_file_ends_with_2_and_one_sentence(cli, tmp_path, verb):
    (tmp_path / "bad.yaml").write_text("name: bad\nbase:\n  steps: -1\ngrid: {seed: 0}\n")
    answer = cli(verb, "bad.yaml")
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr == ("bad.yaml:3: steps: -1 is not allowed: must be a whole number >= 0\n")
    missing = cli(verb, "tini.yaml")
    assert missing.exit_code == 2
    assert missing.stderr == "tini.yaml: no such file; did you mean tiny.yaml?\n"


def test_results_that_cannot_be_written_end_with_2(cli, tmp_path):
    (tmp_path / "taken").write_text("")
    answer = cli("run", "tiny.yaml", "--results", "taken", "--backend", "inline")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("results folder 'taken/tiny' cannot be written: ")
    assert answer.stderr.count("\n") == 1


def test_reports_that_cannot_be_written_end_with_2(cli, tmp_path):
    (tmp_path / "taken").write_text("")
    answer = cli("report", "tiny.yaml", "--reports", "taken")
    assert answer.exit_code == 2
    assert "reports folder 'taken/tiny' cannot be written: Not a directory" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["run", "tiny.yaml", "--backend", "lcal"],
            "unknown backend 'lcal'; did you mean 'local'?",
        ),
        (["run", "tiny.yaml", "--slots", "0"], "'--slots': 0 is not in the range x>=1."),
        (["plan"], "Missing argument 'SWEEP.yaml'."),
        (["plan", "tiny.yaml", "--set", "steps"], "--set steps: must be key=value"),
        (["plan", "tiny.yaml", "--only", "seed=9"], "no run has seed '9' (there are: 0, 1)"),
        (["logs", "abc"], "no run 'abc': there is no results folder 'results'"),
        (["list", "method"], "unknown kind 'method'; did you mean 'methods'?"),
        (["pla", "tiny.yaml"], "No such command 'pla'."),
    ],
)
def test_wrong_usage_ends_with_2(cli, arguments, expected):
    answer = cli(*arguments)
    assert answer.exit_code == 2
    assert expected in answer.stderr
    assert not Path("results").exists()


def test_an_unknown_run_is_answered_with_those_there_are(trained):
    cli, _ = trained
    answer = cli("logs", "zzz")
    assert answer.exit_code == 2
    assert answer.stderr.startswith(
        "no run in results has an id or a folder that begins with 'zzz'; there are 3:\n"
    )
    assert answer.stderr.count("--") == 3
    ambiguous = cli("logs", "gan-seed")
    assert ambiguous.exit_code == 2
    assert ambiguous.stderr.startswith("'gan-seed' means 2 runs: give more of the id\n")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom bench.cli import main\n"
        "main(['run', '--help'], standalone_mode=False)\nmain(['--help'], standalone_mode=False)\n"
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "wgan-bench plan   sweeps/quickstart.yaml" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "pandas", "numpy", "matplotlib", "scipy", "sklearn", "pyarrow"}


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_has_seen_enough_is_not_bothered(unbuffered):
    # A light stand-in for a verb's module: what is tested is the command line around it.
    code = (
        "import sys, types\nfrom bench.cli import main\n"
        "module = types.ModuleType('bench.verbs.listing')\n"
        "module.listing = lambda kind, as_json: print('a line') or 0\n"
        "sys.modules['bench.verbs.listing'] = module\nmain(['list'])"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("quickstart", 12),
        ("smoke", 12),
        ("smoke_recipes", len(RECIPES)),
        ("recipes_digits", 5 * len(RECIPES)),
        ("exact_w1", 105),
        ("point_mass", 102),
    ],
)
def test_the_sweeps_that_come_along_load(cli, name, runs):
    sweep = Path(__file__).parents[2] / "sweeps" / f"{name}.yaml"
    plan = json.loads(cli("plan", sweep, "--json").stdout)
    assert plan["sweep"] == name
    assert len(plan["runs"]) == runs
    labels = {run["label"] for run in plan["runs"]}
    if name == "quickstart":
        assert labels == {"gan", "wgan", "wgan_gp", "sngan"}
    if "recipes" in name:
        assert labels == set(RECIPES)


@pytest.mark.slow
def test_every_recipe_goes_from_its_plan_to_its_report(cli):
    sweep = Path(__file__).parents[2] / "sweeps" / "smoke_recipes.yaml"
    ran = cli("run", sweep, "--plain")
    assert ran.exit_code == 0, ran.output
    assert f"{len(RECIPES)} done" in ran.stdout
    reported = cli("report", sweep)
    assert reported.exit_code == 0, reported.output
