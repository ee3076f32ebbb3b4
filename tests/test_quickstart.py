"""The quickstart's promise, measured: what `make quickstart` trains is worth looking at."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.files import read_json
from bench.grid import load

ROOT = Path(__file__).resolve().parent.parent
SWEEP = str(ROOT / "sweeps" / "quickstart.yaml")


def test_the_quickstart_asks_for_four_recipes_three_seeds_and_enough_evaluations():
    runs = load(Path(SWEEP)).runs
    assert {run.recipe for run in runs} == {"gan", "wgan", "wgan_gp", "sngan"}
    assert {run.config.seed for run in runs} == {0, 1, 2}
    assert len(runs) == 12
    # A correlation is adjusted for time from 20 evaluations on; step 0 does not count.
    assert all(run.config.steps // run.evaluate.every >= 20 for run in runs)


@pytest.mark.slow
def test_penalty_and_spectral_norm_end_far_below_their_beginning_and_the_gaussian(tmp_path):
    arguments = ["run", SWEEP, "--results", str(tmp_path)]
    chosen = ["--only", "recipe=wgan_gp", "--only", "recipe=sngan", "--only", "seed=0"]
    assert CliRunner().invoke(main, arguments + chosen).exit_code == 0
    collected = CliRunner().invoke(main, ["collect", *arguments[1:]])
    assert collected.exit_code == 0, collected.output

    curves = pd.read_parquet(tmp_path / "quickstart" / "curves.parquet")
    (protocol,) = {path.name for path in tmp_path.glob("quickstart/*/protocol-*.json")}
    measured = read_json(next(tmp_path.glob(f"quickstart/*/{protocol}")))
    gaussian = measured["baselines"]["class_pixel_gaussian"]["fid"]
    scored = curves.dropna(subset="fid").sort_values("step").groupby("run_id").fid
    assert len(scored) == 2
    for _, fid in scored:
        assert fid.iloc[-1] <= fid.iloc[0] / 10
        assert measured["floor"]["fid"] < fid.iloc[-1] < gaussian
