"""The README is run: its commands, its sweep, its example method, its links and its columns."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.grid import load
from bench.records import CURVE_COLUMNS, RUN_COLUMNS
from wgan.config import TrainConfig
from wgan.lipschitz import LipschitzMethod
from wgan.train import new_state, train

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The contents of the README's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
MAKE = [line for line in COMMANDS if line.startswith("make ")]
BENCH = [line for line in COMMANDS if line.startswith("wgan-bench ")]


def test_every_command_of_the_readme_is_known_to_this_test():
    assert sorted(MAKE + BENCH) == sorted(COMMANDS)
    assert MAKE == ["make quickstart", "make test"]
    assert len(BENCH) >= 7


@pytest.mark.parametrize("command", MAKE)
def test_the_readme_s_make_commands_exist(command):
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_s_commands_run_one_after_another(tmp_path, monkeypatch):
    # A copy of the sweeps, so that results and reports are not written into the project.
    for name in ("sweeps", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for command in BENCH:
        result = CliRunner().invoke(main, [*shlex.split(command)[1:]])
        assert result.exit_code == 0, f"{command}\n{result.output}"
    assert (tmp_path / "results" / "smoke" / "runs.parquet").is_file()
    assert (tmp_path / "results" / "smoke" / "curves.parquet").is_file()
    assert (tmp_path / "reports" / "smoke" / "report.html").is_file()
    assert (tmp_path / "reports" / "smoke" / "report.md").is_file()


def test_the_readme_s_sweeps_load_and_make_the_runs_it_says(tmp_path):
    sweeps = {}
    for text in blocks("yaml"):
        path = tmp_path / "sweep.yaml"
        path.write_text(text, encoding="utf-8")
        sweeps[load(path).name] = load(path)
    # Three limits and one penalty at five seeds, less seed 4 of each clipped setting.
    assert len(sweeps["clipping"].runs) == 3 * 4 + 5
    frozen = [run.config for run in sweeps["how_near"].runs]
    assert [config.generator.known_w1(config.dataset.load()) for config in frozen] == [2.0] * 3


def test_the_readme_s_example_is_a_whole_lipschitz_method():
    (text,) = blocks("python")
    try:
        exec(compile(text, "README.md", "exec"), {"__name__": "wgan.lipschitz.zero_penalty"})
        config = TrainConfig.from_plain(
            {
                "lipschitz": {"zero_penalty": {"weight": 5}},
                "network": {"dcgan": {"width": 2}},
                "steps": 2,
                "batch_size": 4,
            }
        )
        data = config.dataset.load()
        pauses = list(train(config, data, new_state(config, data), lambda: False, log_every=1))
        assert pauses[-1].diverged is None
        assert pauses[-1].rows[0]["penalty"] > 0
    finally:
        LipschitzMethod.registry.pop("zero_penalty", None)


def test_every_local_link_of_the_readme_leads_somewhere():
    targets = re.findall(r"\]\(([^)#]+)", README)
    local = [target for target in targets if "://" not in target]
    assert local
    assert not [target for target in local if not (ROOT / target).exists()]


def test_the_readme_names_every_promised_column():
    missing = [name for name in (*RUN_COLUMNS, *CURVE_COLUMNS) if name not in README]
    assert missing == []
