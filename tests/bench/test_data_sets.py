"""Data sets in the harness: refused before training, moved without harm, labelled by their name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from tiny_runs import tiny

from bench.cli import main
from bench.evaluate import Evaluator
from bench.refusals import refusal
from bench.run_folder import RunFolder
from bench.samples import picture
from bench.spec import EvaluateSpec
from bench.store import Store
from bench.worker import explain
from wgan.data import MNIST, DataError, Folder, Images, PointMass
from wgan.data.places import CACHE, DATA

SWEEP = """
name: pictures
base: {network: {dcgan: {width: 2}}, steps: 2, batch_size: 4, noise_size: 4}
grid: {seed: 0, dataset: [%s]}
evaluate: {every: 2, samples: 16, extractor: %s, metrics: [fid]}
record: {log_every: 1}
"""
ZOO = "{folder: {path: zoo, size: 8, channels: 1, held_out: 0.4}}"


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """The command line in a folder of the test's own, with a data folder and a cache there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DATA, str(tmp_path / "data"))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))

    def call(*arguments):
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    def sweep(*datasets, extractor="digits_cnn"):
        (tmp_path / "s.yaml").write_text(SWEEP % (", ".join(datasets), extractor))
        return call

    return sweep


def write_zoo(folder):
    folder.mkdir()
    for number in range(80):
        pixels = np.random.RandomState(number).randint(0, 256, size=(8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("folder:nowhere", "s.yaml:4: dataset: folder: 'nowhere' does not exist"),
        (
            "folder:~nobody-of-this-name/x",
            "s.yaml:4: dataset: folder: '~nobody-of-this-name/x' does",
        ),
        ("{mnist: {root: ~nobody-of-this-name/x}}", "s.yaml:4: dataset: mnist: train-images"),
        ("folder", "s.yaml:4: dataset: folder: no path is given"),
        ("{mnist: {root: nowhere}}", "s.yaml:4: dataset: mnist: train-images-idx3-ubyte, "),
    ],
)
def test_data_that_is_not_there_is_refused_before_anything_runs(cli, tmp_path, dataset, expected):
    call = cli("{folder: {path: zoo, size: 64}}", dataset, extractor="auto")
    write_zoo(tmp_path / "zoo")
    for verb in ("plan", "run"):
        answer = call(verb, "s.yaml")
        assert answer.exit_code == 2
        assert answer.stderr.startswith(expected)
        assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_too_few_images_are_refused_before_anything_is_written(cli, tmp_path):
    call = cli(ZOO)
    write_zoo(tmp_path / "zoo")
    for number in range(60):
        (tmp_path / "zoo" / f"{number}.png").unlink()
    assert call("plan", "s.yaml").exit_code == 0
    answer = call("run", "s.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.splitlines()[-1] == (
        "s.yaml:4: dataset folder: 9 training images are too few to score with; at least 16 are "
        "needed"
    )
    assert not (tmp_path / "results").exists()


def test_too_few_stacks_are_refused_before_anything_is_written(cli, tmp_path):
    answer = cli("{stacked_digits: {count: 50}}")("run", "s.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("s.yaml:4: dataset stacked_digits: 10 held-out images are too")
    assert not (tmp_path / "results").exists()


def test_unreadable_images_are_refused_before_anything_is_written(cli, tmp_path):
    call = cli(ZOO)
    write_zoo(tmp_path / "zoo")
    (tmp_path / "zoo" / "7.png").write_bytes(b"no image")
    answer = call("run", "s.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.splitlines()[-1].startswith("s.yaml:4: dataset: folder: in ")
    assert "7.png (cannot identify image file)" in answer.stderr
    assert not (tmp_path / "results").exists()


def test_inception_weights_that_cannot_be_had_are_refused_before_anything_is_written(
    cli, tmp_path, monkeypatch
):
    def offline(*arguments, **settings):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    answer = cli("digits", extractor="inception")("run", "s.yaml")
    assert answer.exit_code == 2
    assert answer.stderr.startswith("s.yaml:5: torch-fidelity's Inception weights are missing")
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_an_extractor_that_cannot_read_the_images_is_refused_at_load(cli, tmp_path):
    for verb in ("plan", "run"):
        answer = cli("mnist")(verb, "s.yaml")
        assert answer.exit_code == 2
        assert answer.stderr == (
            "s.yaml:5: evaluate.extractor: 'digits_cnn' reads images of shape (1, 8, 8), not "
            "(1, 28, 28); use 'inception' or 'auto' (for the dataset mnist)\n"
        )
    assert not (tmp_path / "results").exists()


def test_data_that_would_be_downloaded_passes_the_plan(cli):
    assert cli("mnist", "cifar10", extractor="auto")("plan", "s.yaml").exit_code == 0


def test_a_folder_is_trained_on_and_its_finished_runs_need_it_no_more(cli, tmp_path):
    write_zoo(tmp_path / "zoo")
    call = cli(ZOO)
    ran = call("run", "s.yaml", "--backend", "inline", "--plain")
    assert ran.exit_code == 0, ran.output
    assert ran.stderr.count("reading folder:zoo\n") == 1
    (protocol,) = (tmp_path / "results").rglob("protocol-*.json")
    assert json.loads(protocol.read_text())["dataset"]["folder"]["path"] == "zoo"
    collected = json.loads(call("status", "s.yaml", "--json").stdout)
    assert [run["state"] for run in collected["runs"]] == ["done"]
    shutil.rmtree(tmp_path / "zoo")
    planned = call("plan", "s.yaml")
    assert planned.exit_code == 0, planned.output
    assert "done" in planned.stdout


def test_scores_of_a_folder_are_labelled_with_its_name(cli, tmp_path):
    write_zoo(tmp_path / "zoo")
    cli(ZOO)("run", "s.yaml", "--backend", "inline", "--plain")
    store = Store(tmp_path / "results", "pictures")
    config = {"dataset": {"folder": {"path": "zoo", "size": 8, "channels": 1, "held_out": 0.4}}}
    spec = tiny(sweep="pictures", steps=2, batch_size=4, network={"dcgan": {"width": 2}}, **config)
    (row,) = store.collect([spec]).runs.to_dict("records")
    assert row["dataset"] == "folder:zoo"


def test_data_that_has_moved_is_the_same_run_and_the_same_protocol(tmp_path):
    def run_at(root, size=28):
        dataset = {"mnist": {"root": root, "size": size}}
        return tiny(dataset=dataset, network={"dcgan": {"width": 2}})

    here, there = run_at("/here"), run_at("/there")
    assert here.run_id == there.run_id
    store = Store(tmp_path, "s")
    store.freeze(store.plan([here]), "", "")
    folder = RunFolder(store.run_folder(here))
    assert refusal(there, folder) is None
    assert refusal(run_at("/here", size=32), folder) is not None
    # What is frozen next says where the data lies now.
    store.freeze(store.plan([there]), "", "")
    assert json.loads(folder.spec.read_text())["config"]["dataset"]["mnist"]["root"] == "/there"


def test_where_data_lies_is_no_part_of_a_protocol(tmp_path):
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (40, 1, 8, 8), dtype=torch.uint8, generator=rng)
    data = Images("mnist", pixels, pixels[:20])
    spec = EvaluateSpec(samples=16, metrics=("fid",), extractor="digits_cnn")
    one, two = (
        Evaluator(spec, MNIST(root=root), data, tmp_path).protocol for root in ("/here", "/there")
    )
    assert one == two
    assert one["dataset"] == {"mnist": {"size": 28}}


def test_missing_data_ends_a_run_in_a_sentence():
    assert explain(DataError("mnist: not found"), Path("r")) == ("mnist: not found", True)


def test_points_on_a_line_are_drawn_too():
    data = PointMass(theta=0.5).load()
    assert data.counterpart is not None
    drawn = picture(data.counterpart(20, torch.Generator()), data)
    assert drawn.startswith(b"\x89PNG")
    assert drawn != picture(torch.zeros(20, 1), data)


def test_a_folder_s_identity_is_its_path():
    assert Folder(path="a") != Folder(path="b")
