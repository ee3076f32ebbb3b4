"""Profiles and what is asked of diagnostics: recorded, collected, refused where unfit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_runs import frozen, tiny

from bench import worker
from bench.files import RowFile, read_profiles
from bench.run_folder import RunFolder
from bench.spec import EvaluateSpec
from bench.store import Store
from wgan.components import ConfigError

ASKED = EvaluateSpec(
    every=30,
    samples=50,
    ascent_steps=3,
    gap_updates=4,
    profiles=("value_surface", "layer_gradients", "weight_histogram"),
)


def test_what_is_asked_for_is_recorded_at_each_evaluation_and_collected(tmp_path: Path) -> None:
    spec = tiny("wgan", evaluate=ASKED)
    (path,) = frozen(tmp_path, spec)
    worker.run([path])
    lines = [json.loads(line) for line in RunFolder(path).profiles.read_text().splitlines()]
    assert [(line["step"], line["profile"]) for line in lines] == [
        (step, name) for step in (0, 30, 60) for name in ASKED.profiles
    ]
    records = Store(tmp_path, "s").collect([spec])
    last = records.profiles[spec.run_id]
    assert {name: profile["step"] for name, profile in last.items()} == dict.fromkeys(
        ASKED.profiles, 60
    )
    curves = records.curves[records.curves["step"] == 60]
    for column in ("lipschitz_ascent", "critic_gap", "critic_gap_held_out", "weights_at_limit"):
        assert curves[column].notna().all(), column
    stated = records.protocols[0]["diagnostics"]
    assert stated["lipschitz"]["ascent_steps"] == 3
    assert stated["critic_gap_updates"] == 4


def test_nothing_asked_nothing_recorded(tmp_path: Path) -> None:
    (path,) = frozen(tmp_path, tiny())
    worker.run([path])
    assert RunFolder(path).profiles.read_text() == ""
    assert Store(tmp_path, "s").collect([tiny()]).profiles == {}


def test_how_the_critic_is_looked_at_changes_no_protocol(tmp_path: Path) -> None:
    ids = []
    for name, spec in (("a", tiny()), ("b", tiny(evaluate=ASKED))):
        (path,) = frozen(tmp_path / name, spec)
        worker.run([path])
        ids.append(next(path.glob("protocol-*.json")).name)
    assert ids[0] == ids[1]


def test_a_torn_profile_is_dropped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "profiles.jsonl"
    file = RowFile(path)
    file.append([{"step": 1, "profile": "a", "values": [1.0, float("nan"), [float("inf")]]}])
    file.append([{"step": 2, "profile": "a", "values": [2.0]}])
    file.close()
    with path.open("ab") as torn:
        torn.write(b'{"step": 3, "prof')
    found, note = read_profiles(path)
    assert found == {"a": {"step": 2, "profile": "a", "values": [2.0]}}
    assert note == "profiles.jsonl: 1 unreadable line(s) dropped"
    first = json.loads(path.read_text().splitlines()[0])
    assert first["values"] == [1.0, None, [None]]
    assert first["nonfinite"] == ["values"]


def test_an_unknown_profile_is_refused_with_its_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown profile 'layer_gradient'; did you mean"):
        EvaluateSpec.from_plain({"profiles": ["layer_gradient"]})
    with pytest.raises(ConfigError, match="must be a list of profiles"):
        EvaluateSpec.from_plain({"profiles": "layer_gradients"})


def test_the_protocol_says_that_the_average_was_scored(tmp_path: Path) -> None:
    stated = {}
    for ema in (0.0, 0.9):
        (path,) = frozen(tmp_path / str(ema), tiny(ema=ema))
        worker.run([path])
        (protocol,) = path.glob("protocol-*.json")
        stated[ema] = json.loads(protocol.read_text())
    assert [stated[ema]["ema"] for ema in (0.0, 0.9)] == [False, True]
    assert stated[0.0]["id"] != stated[0.9]["id"]
