"""A number format that a device does not have is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_runs import tiny

from bench.cli import main
from bench.store import Planned
from bench.verbs.needs import check_precisions
from wgan.components import ConfigError

SWEEP = """name: t
question: Does it?
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: 5, batch_size: 8, recipe: wgan_gp}
grid: {precision: [float32, tf32]}
evaluate: {every: 5, samples: 32}
"""


@pytest.mark.parametrize("backend", ["local", "inline"])
def test_tf32_on_cores_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text(SWEEP)
    done = CliRunner().invoke(main, ["run", "t.yaml", "--backend", backend])
    assert done.exit_code == 2
    assert "precision: 'tf32' is not allowed on a CPU" in done.stderr
    assert "take float32 or bf16" in done.stderr
    assert not Path("results").exists()


def test_tf32_is_for_gpus_alone() -> None:
    item = Planned(tiny("wgan", precision="tf32"), Path("x"), "pending", "run", "new")
    check_precisions([item], on_gpus=True)
    with pytest.raises(ConfigError, match="tf32"):
        check_precisions([item], on_gpus=False)
