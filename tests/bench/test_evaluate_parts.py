"""Scores of runs on a part of the data: against the whole of it, under the whole's protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_runs import frozen, state_of, tiny, weights_of

from bench import worker
from bench.evaluate import Evaluator
from bench.spec import EvaluateSpec
from wgan.data import Digits, Images, as_float

EVERYTHING = EvaluateSpec(
    samples=300,
    metrics=(
        *("fid", "kid", "inception_score", "precision_recall"),
        *("density_coverage", "sliced_wasserstein", "modes"),
    ),
)
PARTS = (Digits(images=60), Digits(bias=0.9), Digits(images=12, bias=0.5))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return Evaluator(EVERYTHING, Digits(), Digits().load(), tmp_path_factory.mktemp("cache"))


def drawn(data: Images, count: int = 300) -> torch.Tensor:
    return data.batch(count, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_protocol_and_scores_are_the_whole_set_s(
    part: Digits, whole: Evaluator, tmp_path: Path
) -> None:
    evaluator = Evaluator(EVERYTHING, part, part.load(), tmp_path)
    assert json.dumps(evaluator.protocol) == json.dumps(whole.protocol)
    assert evaluator.protocol["dataset"] == {"digits": {}}
    assert evaluator.protocol["n_real"] == 1437
    assert evaluator.protocol["n_floor"] == 300
    fake = drawn(Digits().load())
    assert evaluator.score(fake) == whole.score(fake)


def test_a_generator_that_knows_the_part_by_heart_has_the_part_s_quality(whole: Evaluator) -> None:
    """What the fewness of the images costs shows, since the reals are not the part's."""
    all_, few, biased = (
        whole.score(drawn(part.load())) for part in (Digits(), Digits(images=12), Digits(bias=0.95))
    )
    assert few["fid"] > 2 * all_["fid"]
    assert few["recall"] < 0.5 * all_["recall"]
    assert biased["mode_reverse_kl"] > 20 * all_["mode_reverse_kl"]
    assert all_["modes_covered"] == 10


def test_the_modes_of_a_biased_part_are_held_against_the_whole_set_s_shares(
    whole: Evaluator,
) -> None:
    part = Digits(bias=0.95).load()
    share = torch.bincount(Digits().load().train_labels).double() / 1437
    counts = torch.bincount(part.train_labels, minlength=10).double() / len(part.train)
    expected = float((counts * (counts / share).log()).sum())
    fake = as_float(part.train)[
        torch.randperm(len(part.train), generator=torch.Generator().manual_seed(0))[:300]
    ]
    assert whole.score(fake)["mode_reverse_kl"] == pytest.approx(expected, abs=0.15)
    assert expected > 0.4


def test_runs_on_parts_have_one_protocol_file_that_says_which_reals_it_is_about(
    tmp_path: Path,
) -> None:
    said, weights = [], []
    for part in ({}, {"images": 20}, {"images": 20, "bias": 0.9}):
        spec = tiny(
            dataset={"digits": part},
            steps=2,
            evaluate=EvaluateSpec(every=2, samples=20, metrics=("fid", "modes")),
        )
        (path,) = frozen(tmp_path / str(len(said)), spec)
        worker.run([path])
        assert state_of(path)["state"] == "done"
        (file,) = path.glob("protocol-*.json")
        said.append(file.read_text())
        weights.append(weights_of(path, spec)["c.1.weight"])
    assert said[0] == said[1] == said[2]
    protocol = json.loads(said[0])
    assert protocol["n_real"] == 1437
    assert "the whole training split, whatever part is trained on" in protocol["reals"]
    assert not torch.equal(weights[0], weights[1])  # trained on other images
    assert not torch.equal(weights[1], weights[2])


def test_an_image_set_too_small_to_train_much_on_can_still_be_scored(tmp_path: Path) -> None:
    """Sixteen images are needed to score with, and the whole set has them."""
    part = Digits(images=1)
    evaluator = Evaluator(EvaluateSpec(samples=50), part, part.load(), tmp_path)
    assert evaluator.score(drawn(part.load(), 50))["fid"] > 0
