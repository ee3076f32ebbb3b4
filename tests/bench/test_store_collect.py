"""Reading a sweep back: fixed columns and types, merged curves, damage noted."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from tiny_runs import diverging, frozen, tiny

from bench import worker
from bench.collect import merge_rows
from bench.records import CURVE_COLUMNS, RUN_COLUMNS, Records
from bench.store import Store

SPECS = (tiny(), tiny("wgan_gp", seed=1), diverging(), tiny(seed=9))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, one that diverged, one never begun."""
    results = tmp_path_factory.mktemp("results")
    worker.run(frozen(results, *SPECS)[:3])
    return results


@pytest.fixture(scope="module")
def records(results: Path) -> Records:
    return Store(results, "s").collect(SPECS)


def test_runs_have_the_promised_columns_first(records: Records) -> None:
    assert tuple(records.runs.columns[: len(RUN_COLUMNS)]) == RUN_COLUMNS
    assert tuple(records.curves.columns[: len(CURVE_COLUMNS)]) == CURVE_COLUMNS


def test_every_run_of_the_sweep_has_a_row(records: Records) -> None:
    runs = records.runs.set_index("run_id")
    assert runs["state"].tolist() == ["done", "done", "diverged", "pending"]
    assert runs["steps"].tolist()[0] == 60
    assert runs["images_seen"].tolist()[:2] == [60 * 8, 60 * 8 * 5]
    assert runs["steps"].tolist()[3] == 0
    assert math.isnan(runs["training_seconds"].tolist()[3])
    assert "largest_score" in runs["reason"].tolist()[2]


def test_a_run_s_row_says_what_part_of_the_data_it_trains_on(tmp_path: Path) -> None:
    spec = tiny(dataset={"digits": {"images": 100, "bias": 0.5}})
    (row,) = Store(tmp_path, "s").collect([spec]).runs.to_dict("records")
    assert row["dataset"] == "digits"
    assert json.loads(row["dataset_settings"]) == {"digits": {"images": 100, "bias": 0.5}}


def test_a_curve_has_one_row_per_step(records: Records) -> None:
    curve = records.curves[records.curves["run_id"] == SPECS[0].run_id].set_index("step")
    assert curve.index.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert curve["exact_w1"].notna().tolist() == [True, False, False, True, False, False, True]
    assert curve["critic_loss"].notna().tolist() == [False, True, True, True, True, True, True]
    assert curve["images_seen"].tolist() == [8 * step for step in range(0, 70, 10)]


def test_the_curve_of_a_diverged_run_is_kept(records: Records) -> None:
    curve = records.curves[records.curves["run_id"] == SPECS[2].run_id]
    assert curve["step"].tolist() == [0, 10]
    assert curve["largest_score"].tolist()[-1] > 100


def test_merging_keeps_the_training_rows_figure() -> None:
    merged = merge_rows(
        [{"step": 2, "a": 1.0, "b": None}], [{"step": 2, "a": 9.0, "b": 3.0}, {"step": 0, "c": 1}]
    )
    assert merged == [{"step": 0, "c": 1}, {"step": 2, "a": 1.0, "b": 3.0}]


def test_what_comes_with_the_tables(records: Records, results: Path) -> None:
    run_id = SPECS[0].run_id
    assert records.question == "Why?"
    assert records.specs[run_id] == SPECS[0].to_plain()
    assert records.environments[run_id]["numerics"]["threads"] == 1
    assert (results / records.folders[run_id] / "state.json").exists()
    assert [protocol["kind"] for protocol in records.protocols] == ["density"]
    assert Image.open(io.BytesIO(records.samples[run_id])).size == (384, 384)
    assert SPECS[3].run_id not in records.samples
    assert records.notes == []


def test_the_best_score_is_the_smallest_finite_one(results: Path) -> None:
    store = Store(results, "s")
    path = next(store.run_folder(SPECS[0]).glob("eval-*.jsonl"))
    before = path.read_text()
    rows = [json.loads(line) for line in before.splitlines()]
    for row, fid in zip(rows, (5.0, 3.0, None), strict=True):
        row["fid"] = fid
    rows[-1]["nonfinite"] = ["fid"]
    # As long as before and longer: the file must not look cut.
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = store.collect(SPECS[:1]).runs.iloc[0]
    path.write_text(before)
    assert run["fid_best"] == 3.0
    assert math.isnan(run["fid_last"])


def test_a_torn_last_line_is_noted_and_the_rest_read(results: Path) -> None:
    store = Store(results, "s")
    path = store.run_folder(SPECS[0]) / "train.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + b'{"step": 70, "crit')
    records = store.collect(SPECS[:1])
    path.write_bytes(before)
    assert records.curves["step"].max() == 60
    assert any("torn last line" in note for note in records.notes)


def test_tables_have_the_same_types_whatever_they_hold(results: Path, tmp_path: Path) -> None:
    full, empty = Store(results, "s"), Store(tmp_path, "empty")
    paths = full.write_tables(full.collect(SPECS))
    empty_paths = empty.write_tables(empty.collect([]))
    for path, empty_path in zip(paths, empty_paths, strict=True):
        some, none = pd.read_parquet(path), pd.read_parquet(empty_path)
        assert len(some) > 0
        assert len(none) == 0
        assert none.dtypes.to_dict() == some.dtypes.to_dict()
    runs = pd.read_parquet(paths[0])
    assert runs["seed"].dtype == "int64"
    assert runs["dead_critic"].dtype == "bool"
    assert runs["fid_last"].dtype == "float64"


def test_tables_survive_parquet(results: Path) -> None:
    store = Store(results, "s")
    records = store.collect(SPECS)
    runs, curves = store.write_tables(records)
    pd.testing.assert_frame_equal(pd.read_parquet(runs), records.runs)
    pd.testing.assert_frame_equal(pd.read_parquet(curves), records.curves)


def test_without_pictures_the_tables_are_the_same(records: Records, results: Path) -> None:
    bare = Store(results, "s").collect(SPECS, pictures=False)
    assert bare.samples == {}
    assert len(records.samples) == 3
    pd.testing.assert_frame_equal(bare.runs, records.runs)
    pd.testing.assert_frame_equal(bare.curves, records.curves)
    assert (bare.specs, bare.notes, bare.folders) == (records.specs, records.notes, records.folders)


def test_a_row_without_its_whole_numbers_stops_nothing(results: Path) -> None:
    store = Store(results, "s")
    path = store.run_folder(SPECS[0]) / "train.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + b'{"step": 70, "penalty": 0.5}\n{"step": 80, "fid": 1' + b"0" * 400)
    with path.open("ab") as file:
        file.write(b"}\n")
    curve = store.collect(SPECS[:1]).curves.set_index("step")
    path.write_bytes(before)
    assert curve["images_seen"].tolist()[-3:] == [480, 0, 0]
    assert curve["penalty"][70] == 0.5
    assert math.isnan(curve["fid"][80])
