"""Quality on halves of the samples and on further sets: right numbers, and nothing else changed."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tiny_runs import TIMES, frozen, state_of, tiny, weights_of

from bench import worker
from bench.collect import CURVE_TYPES, to_parquet
from bench.evaluate import EvaluateError, Evaluator, points
from bench.grid import load
from bench.grid.source import SweepError
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec, RunSpec
from bench.store import Store
from wgan import checkpoint
from wgan.components import ConfigError
from wgan.data import Dataset
from wgan.diagnostics import fresh_sets, generate
from wgan.exact import exact_w1
from wgan.random import stream
from wgan.train import new_state

QUALITY = {"digits": "fid", "ring8": "exact_w1", "gaussians": "sliced_wasserstein"}
DATA: dict[str, Any] = {
    "digits": "digits",
    "ring8": "ring8",
    "gaussians": {"shifted_gaussians": {"dimension": 5}},
}
BESIDE = ("step_cost", "halves", "fresh_sets")


def evaluator(name: str, cache: Path, **asked: Any) -> Evaluator:
    dataset = Dataset.from_plain(DATA[name])
    return Evaluator(EvaluateSpec(samples=200, **asked), dataset, dataset.load(), cache)


def samples(name: str, seed: int = 0, count: int = 200) -> torch.Tensor:
    return Dataset.from_plain(DATA[name]).load().batch(count, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", DATA)
def test_a_half_s_quality_is_what_a_set_of_that_half_alone_has(name: str, tmp_path: Path) -> None:
    fake, quality = samples(name), QUALITY[name]
    with_halves = evaluator(name, tmp_path, halves=True)
    scores = with_halves.score(fake)
    scorer = with_halves._scorer
    assert scores[f"{quality}_first_half"] == pytest.approx(scorer.quality(fake[:100]), rel=1e-5)
    assert scores[f"{quality}_second_half"] == pytest.approx(scorer.quality(fake[100:]), rel=1e-5)
    # They share nothing: other samples in one half change that half alone.
    changed = fake.clone()
    changed[100:] = samples(name, seed=1)[100:]
    other = with_halves.score(changed)
    assert other[f"{quality}_first_half"] == scores[f"{quality}_first_half"]
    assert other[f"{quality}_second_half"] != scores[f"{quality}_second_half"]


@pytest.mark.parametrize("name", DATA)
def test_halves_change_no_other_score_and_no_protocol(name: str, tmp_path: Path) -> None:
    plain = evaluator(name, tmp_path)
    asked = evaluator(name, tmp_path, halves=True, fresh_sets=3, step_cost=True)
    assert json.dumps(asked.protocol) == json.dumps(plain.protocol)
    fake, quality = samples(name), QUALITY[name]
    scores, more = plain.score(fake), asked.score(fake)
    assert {column: more[column] for column in scores} == scores
    assert set(more) - set(scores) == {f"{quality}_first_half", f"{quality}_second_half"}
    assert asked.columns == plain.columns == tuple(scores)


def test_exact_w1_of_a_half_is_against_as_many_reals(tmp_path: Path) -> None:
    fake = samples("ring8")
    asked = evaluator("ring8", tmp_path, halves=True)
    reference = Dataset.from_plain("ring8").load().sampler(200, stream(0, "score_reference"))
    assert asked.score(fake)["exact_w1_second_half"] == exact_w1(fake[100:], reference[:100])


def test_with_many_points_the_first_half_is_all_that_exact_w1_sees_and_the_second_is_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "W1_POINTS", 100)
    asked, fake = evaluator("ring8", tmp_path, halves=True), samples("ring8")
    scores = asked.score(fake)
    assert asked.protocol["w1_points"] == 100
    assert scores["exact_w1_first_half"] == scores["exact_w1"] == asked._scorer.quality(fake[:100])
    assert scores["exact_w1_second_half"] == asked._scorer.quality(fake[100:])
    assert scores["exact_w1_second_half"] != scores["exact_w1"]


def test_samples_that_are_not_finite_have_no_halves_either(tmp_path: Path) -> None:
    fake = samples("ring8")
    fake[0] = math.inf
    scores = evaluator("ring8", tmp_path, halves=True).score(fake)
    assert {"exact_w1_first_half", "exact_w1_second_half"} <= set(scores)
    assert all(math.isnan(value) for value in scores.values())


@pytest.mark.parametrize("name", DATA)
def test_further_sets_are_scored_one_by_one_with_the_divisor_less_one(
    name: str, tmp_path: Path
) -> None:
    plain, quality = evaluator(name, tmp_path), QUALITY[name]
    sets = [samples(name, seed) for seed in range(4)]
    found = plain.score_sets(iter(sets))
    values = [plain.score(fake)[quality] for fake in sets]
    assert found == {
        f"{quality}_fresh_mean": pytest.approx(statistics.mean(values), rel=1e-9),
        f"{quality}_fresh_sd": pytest.approx(statistics.stdev(values), rel=1e-6),
        "fresh_sets": 4,
    }
    assert found[f"{quality}_fresh_sd"] > 0


def test_further_sets_are_disjoint_and_from_a_stream_of_their_own() -> None:
    spec = tiny()
    state = new_state(spec.config, (data := spec.config.dataset.load()))
    sets = list(fresh_sets(spec.config, state, 3, 40, data))
    again = list(fresh_sets(spec.config, state, 2, 40, data))
    assert all(torch.equal(one, two) for one, two in zip(sets, again, strict=False))
    rows = torch.cat([generate(spec.config, state, 40), *sets])
    assert len(rows.unique(dim=0)) == 160
    rng = stream(spec.config.seed, "evaluation:fresh")
    assert torch.equal(sets[0], generate(spec.config, state, 40, data, rng))


# In a run.


def looked(spec: RunSpec, **asked: Any) -> RunSpec:
    return dataclasses.replace(spec, evaluate=dataclasses.replace(spec.evaluate, **asked))


PLAIN = tiny("wgan_gp")
CLOSER = looked(PLAIN, halves=True, fresh_sets=3, step_cost=True)


def rows_of(path: Path, what: str) -> list[dict[str, Any]]:
    (file,) = path.glob(what)
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One run, trained without looking closer and with."""
    folders = []
    for spec in (PLAIN, CLOSER):
        (path,) = frozen(tmp_path_factory.mktemp("results"), spec)
        worker.run([path])
        assert state_of(path)["state"] == "done"
        folders.append(path)
    return folders[0], folders[1]


NEW_EVERYWHERE = {"exact_w1_first_half", "exact_w1_second_half"}
NEW_AT_THE_END = {"exact_w1_fresh_mean", "exact_w1_fresh_sd", "fresh_sets"}
NEW_AT_FIRST = {"critic_step_bytes", "critic_step_flops"}


def test_looking_closer_changes_no_weight_and_no_other_figure(both: tuple[Path, Path]) -> None:
    plain, closer = both
    ours, theirs = weights_of(plain, PLAIN), weights_of(closer, CLOSER)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert (plain / "samples").exists()
    for what in ("train.jsonl", "eval-*.jsonl"):
        rows, more = rows_of(plain, what), rows_of(closer, what)
        for row, wide in zip(rows, more, strict=True):
            held = [name for name in row if name not in TIMES]
            assert {name: row[name] for name in held} == {name: wide[name] for name in held}
    assert RunFolder(plain).standing(PLAIN.run_id, None).state == "done"  # type: ignore[arg-type]
    assert PLAIN.run_id == CLOSER.run_id
    assert state_of(plain)["protocol"] == state_of(closer)["protocol"]


def test_each_figure_stands_where_it_was_asked_for(both: tuple[Path, Path]) -> None:
    plain, closer = both
    first, *middle, last = rows_of(closer, "eval-*.jsonl")
    before = [set(row) for row in rows_of(plain, "eval-*.jsonl")]
    assert set(first) - before[0] == NEW_EVERYWHERE | NEW_AT_FIRST
    assert all(set(row) - before[1] == NEW_EVERYWHERE for row in middle)
    assert set(last) - before[-1] == NEW_EVERYWHERE | NEW_AT_THE_END
    assert last["fresh_sets"] == 3
    assert 0 < last["exact_w1_fresh_sd"] < last["exact_w1_fresh_mean"]
    assert first["critic_step_flops"] > first["critic_step_bytes"] > 0


def test_the_final_model_s_figures_are_its_own(both: tuple[Path, Path], tmp_path: Path) -> None:
    _, closer = both
    state = new_state(CLOSER.config, (data := CLOSER.config.dataset.load()))
    checkpoint.load(RunFolder(closer).checkpoints()[0], state)
    judge = Evaluator(CLOSER.evaluate, CLOSER.config.dataset, data, tmp_path)
    sets = list(fresh_sets(CLOSER.config, state, 3, CLOSER.evaluate.samples, data))
    last = rows_of(closer, "eval-*.jsonl")[-1]
    expected = judge.score_sets(sets)
    assert {name: last[name] for name in expected} == expected


def test_what_is_taken_beside_is_stated_with_the_protocol(both: tuple[Path, Path]) -> None:
    said = [json.loads(next(path.glob("protocol-*.json")).read_text()) for path in both]
    assert said[0]["id"] == said[1]["id"]
    assert "fresh_sets" not in said[0]["diagnostics"]
    assert "3 further sets of n_fake samples" in said[1]["diagnostics"]["fresh_sets"]
    assert "n_fake // 2" in said[1]["diagnostics"]["halves"]


def test_tables_have_a_number_column_for_each(both: tuple[Path, Path], tmp_path: Path) -> None:
    _, closer = both
    records = Store(closer.parent.parent, CLOSER.sweep).collect([CLOSER])
    held = records.curves[sorted(NEW_EVERYWHERE | NEW_AT_FIRST | NEW_AT_THE_END)]
    assert set(held.dtypes) == {held["fresh_sets"].dtype} == {pd.Series([0.5]).dtype}
    assert held.notna().sum().to_dict() == {
        **dict.fromkeys(NEW_EVERYWHERE, 3),
        **dict.fromkeys(NEW_AT_FIRST, 1),
        **dict.fromkeys(NEW_AT_THE_END, 1),
    }
    path = tmp_path / "curves.parquet"
    path.write_bytes(to_parquet(records.curves, CURVE_TYPES))
    pd.testing.assert_frame_equal(pd.read_parquet(path)[held.columns], held)


def test_a_diverged_run_has_no_final_sets(tmp_path: Path) -> None:
    spec = looked(
        tiny("wgan_gp", lipschitz="none", optimizer={"rmsprop": {"lr": 10.0}}, score_limit=100.0),
        fresh_sets=2,
        halves=True,
    )
    (path,) = frozen(tmp_path, spec)
    worker.run([path])
    assert state_of(path)["state"] == "diverged"
    assert all("fresh_sets" not in row for row in rows_of(path, "eval-*.jsonl"))


def test_a_finished_run_that_was_looked_at_otherwise_is_refused_as_for_any_other_look(
    both: tuple[Path, Path],
) -> None:
    plain, _ = both
    store = Store(plain.parent.parent, PLAIN.sweep)
    assert store.plan([PLAIN])[0].action == "keep"
    for asked in ({"halves": True}, {"fresh_sets": 2}, {"step_cost": True}, {"gap_updates": 2}):
        (planned,) = store.plan([looked(PLAIN, **asked)])
        assert planned.action == "refuse"
        assert f"evaluate.{next(iter(asked))} is" in planned.reason


def test_a_run_from_before_there_was_any_of_this_is_kept(both: tuple[Path, Path]) -> None:
    plain, _ = both
    path = RunFolder(plain).spec
    text = path.read_text()
    old = json.loads(text)
    for name in BESIDE:
        del old["evaluate"][name]
    old["config"]["dataset"] = "ring8"
    path.write_text(json.dumps(old))
    try:
        assert Store(plain.parent.parent, PLAIN.sweep).plan([PLAIN])[0].action == "keep"
    finally:
        path.write_text(text)


# Nonsense.


def test_one_further_set_is_refused() -> None:
    with pytest.raises(ConfigError, match="fresh_sets: 1 is not allowed: must be 0, or at least 2"):
        EvaluateSpec(fresh_sets=1)
    for wrong in (-1, 1.5, "two"):
        with pytest.raises(ConfigError, match=r"fresh_sets: .* is not allowed: must be a whole"):
            EvaluateSpec(fresh_sets=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", [{"halves": True}, {"fresh_sets": 2}])
def test_halves_or_sets_of_a_quality_that_is_not_measured_are_refused(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    (name,) = asked
    with pytest.raises(EvaluateError, match=f"evaluate.{name}: .* leaves out 'exact_w1'"):
        evaluator("ring8", tmp_path, metrics=("modes",), **asked)
    path = tmp_path / "x.yaml"
    value = json.dumps(asked[name])
    path.write_text(
        "name: x\nbase: {dataset: digits}\n"
        f"grid: {{seed: 0..1}}\nevaluate:\n  {name}: {value}\n  metrics: [kid]\n"
    )
    with pytest.raises(SweepError, match=r"x.yaml:6: evaluate.*leaves out 'fid'"):
        load(path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{images: 2000}", "2000 is not allowed: must be at most the 1437 training images"),
        ("{bias: 1}", "1.0 is not allowed: must be a number >= 0 and < 1"),
    ],
)
def test_a_sweep_file_that_asks_for_an_impossible_part_is_answered_with_its_line(
    settings: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        f"name: x\nbase: {{loss: hinge}}\ngrid:\n  dataset:\n    - digits: {settings}\n"
    )
    with pytest.raises(SweepError, match=f"x.yaml:5: .*{said}"):
        load(path)


def test_a_set_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluateError, match="the protocol says"):
        evaluator("ring8", tmp_path).score_sets([samples("ring8", count=100)] * 2)
