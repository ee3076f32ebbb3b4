"""Going on where it would mix two things is refused: with both values, and with the ways out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from faults import usually
from test_worker_resume import stopped_at
from tiny_runs import rows_of, state_of, tiny

from bench import environment, session, worker
from bench.cli import main
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store, StoreError
from wgan.train import Pause

SPEC = tiny("wgan_gp")
OTHER = {
    "device": "cuda",
    "instructions": "AVX1024",
    "threads": 2,
    "torch": "1.0.0",
    "code": "0123456789ab",
}


def test_every_field_of_numerics_is_tried_here() -> None:
    assert environment.numerics("cpu", 1).keys() == OTHER.keys()


@pytest.mark.parametrize("name", usually(["threads"], sorted(OTHER.keys() - {"threads"})))
def test_going_on_under_other_numerics_is_refused_with_both_values(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stopped_at(tmp_path, 4, SPEC)
    rows, kept = rows_of(path), RunFolder(path).checkpoints()
    honest = environment.numerics
    was = honest("cpu", 1)[name]

    def elsewhere(device: str, threads: int) -> dict[str, Any]:
        return {**honest(device, threads), name: OTHER[name]}

    with monkeypatch.context() as there:
        there.setattr(environment, "numerics", elsewhere)
        worker.run([path])
        state = state_of(path)
        assert state["state"] == "failed"
        assert f"{name} was {was!r}, is {OTHER[name]!r}" in state["reason"]
        assert f"--allow-numerics {name}," in state["reason"]
        assert "another name" in state["reason"]
        # Nothing is lost by having been refused.
        assert rows_of(path) == rows
        assert RunFolder(path).checkpoints() == kept
        # Allowed by another name, it is not allowed.
        worker.run([path], allow_numerics=[other for other in OTHER if other != name])
        assert state_of(path)["state"] == "failed"

    (item,) = Store(tmp_path, "s").plan([SPEC])
    assert (item.state, item.action) == ("failed", "resume")
    assert f"{name} was {was!r}" in item.reason
    worker.run([path])
    assert state_of(path)["state"] == "done"


def test_all_that_differs_is_shown_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stopped_at(tmp_path, 4, SPEC)
    monkeypatch.setattr(environment, "numerics", lambda *_: dict(OTHER))
    worker.run([path])
    reason = state_of(path)["reason"]
    for value in OTHER.values():
        assert f"is {value!r}" in reason
    assert f"--allow-numerics {','.join(OTHER)}," in reason
    worker.run([path], allow_numerics=["all"])
    assert state_of(path)["state"] == "done"


def with_evaluate(**change: Any) -> RunSpec:
    return dataclasses.replace(SPEC, evaluate=dataclasses.replace(SPEC.evaluate, **change))


CHANGES: dict[str, RunSpec] = {
    "log_every": dataclasses.replace(SPEC, log_every=11),
    "evaluate.every": with_evaluate(every=29),
    "evaluate.samples": with_evaluate(samples=51),
    "evaluate.metrics": with_evaluate(metrics=("exact_w1",)),
    "evaluate.extractor": with_evaluate(extractor="digits_cnn"),
    "evaluate.kid_subset_size": with_evaluate(kid_subset_size=99),
    "evaluate.critic_samples": with_evaluate(critic_samples=999),
    "evaluate.ascent_steps": with_evaluate(ascent_steps=1),
    "evaluate.gap_updates": with_evaluate(gap_updates=1),
    "evaluate.require_bound": with_evaluate(require_bound=True),
    "evaluate.upper_bound": with_evaluate(upper_bound=True),
    "evaluate.halves": with_evaluate(halves=True),
    "evaluate.fresh_sets": with_evaluate(fresh_sets=2),
    "evaluate.step_cost": with_evaluate(step_cost=True),
    "evaluate.inception_precision": with_evaluate(inception_precision="bf16"),
    "evaluate.profiles": with_evaluate(profiles=("value_surface",)),
}
FREE = {"evaluate.inception_weights", "label", "recipe", "sweep", "checkpoint_seconds"}


def test_every_setting_outside_the_id_is_tried_here() -> None:
    fields = {item.name for item in dataclasses.fields(RunSpec)} - {"config", "evaluate"}
    looks = {f"evaluate.{item.name}" for item in dataclasses.fields(EvaluateSpec)}
    assert fields | looks == CHANGES.keys() | FREE


def plain(spec: RunSpec, name: str) -> Any:
    value: Any = spec.to_plain()
    for part in name.split("."):
        value = value[part]
    return value


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the run stopped midway; nothing here may change it."""
    results = tmp_path_factory.mktemp("interrupted")
    stopped_at(results, 4, SPEC)
    return results


@pytest.mark.parametrize("name", CHANGES)
def test_going_on_under_a_changed_setting_is_refused_with_both_values(
    interrupted: Path, name: str
) -> None:
    asked, store = CHANGES[name], Store(interrupted, "s")
    (item,) = store.plan([asked])
    assert (item.state, item.action) == ("interrupted", "refuse")
    shown = f"{name} is {plain(SPEC, name)!r} there, {plain(asked, name)!r} is asked for"
    assert shown in item.reason
    assert "Restore the setting, or give the sweep another name" in item.reason
    before = (item.folder / "spec.json").read_bytes()
    with pytest.raises(StoreError, match="other settings"):
        store.freeze([item], "", "")
    assert (item.folder / "spec.json").read_bytes() == before


def test_a_changed_configuration_is_another_run_beside_the_old_one(interrupted: Path) -> None:
    asked = tiny("wgan_gp", batch_size=9)
    (item,) = Store(interrupted, "s").plan([asked])
    assert (item.state, item.action) == ("pending", "run")
    assert item.folder != Store(interrupted, "s").run_folder(SPEC)


SWEEP = """
name: s
base: {dataset: ring8, network: {mlp: {width: 8}}, batch_size: 8, noise_size: 4, steps: 60}
grid: {recipe: wgan_gp, seed: 0}
evaluate: {every: 30, samples: 50}
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line, in a folder with a sweep file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SWEEP)

    def call(verb: str, *options: str) -> Result:
        return CliRunner().invoke(main, [verb, "s.yaml", *options])

    return call


def test_the_command_line_shows_the_difference_and_its_own_way_out(
    command: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained halfway with one thread per run, then asked to go on with two."""
    honest = session.Session.record

    def record(this: session.Session, pause: Pause) -> bool:
        if this.state.step:
            this.stop.ask("a test")
        return honest(this, pause)

    with monkeypatch.context() as halfway:
        halfway.setattr(session.Session, "record", record)
        assert command("run", "--backend", "inline").exit_code == 1

    refused = command("run", "--backend", "inline", "--threads", "2")
    assert refused.exit_code == 1
    assert "threads was 1, is 2" in refused.output
    assert "--allow-numerics threads" in refused.output
    assert "threads was 1, is 2" in command("status").output

    changed = command("plan", "--set", "evaluate.every=20")
    assert changed.exit_code == 2
    assert "evaluate.every is 30 there, 20 is asked for" in " ".join(changed.output.split())
    assert command("run", "--set", "evaluate.every=20").exit_code == 2

    allowed = ("--threads", "2", "--allow-numerics", "threads")
    assert command("run", "--backend", "inline", *allowed).exit_code == 0
    (log,) = tmp_path.glob("results/s/*/log.txt")
    assert "goes on under other numerics, as allowed: threads was 1, is 2" in log.read_text()
