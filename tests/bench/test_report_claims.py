"""`report --claims`, and the claims in a report: from runs really trained to a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bench.claims import claim as claims_module
from bench.claims.claim import Claim
from bench.claims.contrasts import all_of, paired, single
from bench.claims.evidence import Evidence
from bench.claims.measures import final
from bench.cli import main

SWEEP = """
name: claims_small
question: Does it work?
base: {dataset: ring8, network: {mlp: {width: 8}}, steps: 4, batch_size: 8, noise_size: 4}
grid:
  lipschitz: [{weight_clipping: {limit: 0.01}}, gradient_penalty]
  seed: 0..9
evaluate: {every: 2, samples: 32}
record: {log_every: 2}
claims: [pile, steep, hinged]
"""
CLIP: dict[str, Any] = {"lipschitz": "weight_clipping"}
PENALTY: dict[str, Any] = {"lipschitz": "gradient_penalty"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the claims' sweep, trained, while these claims are the only ones declared."""
    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims_module, "CLAIMS", {})
        patch.setattr("bench.claims.CLAIMS", claims_module.CLAIMS)
        patch.setattr("bench.claims.declared.load", lambda: None)
        patch.chdir(folder)
        _declare()
        (folder / "sweeps/claims").mkdir(parents=True)
        (folder / "sweeps/claims/claims_small.yaml").write_text(SWEEP)
        trained = call("run", "sweeps/claims/claims_small.yaml", "--backend", "inline", "--plain")
        assert trained.exit_code == 0, trained.output
        yield folder


def _declare() -> None:
    heaps = final("weights_at_limit")
    Claim(
        "pile",
        "clipping",
        "A clipped critic's weights lie <within> the limit",
        "ring8, four steps",
        "a test",
        "claims_small",
        single("share at the limit", heaps, CLIP, claimed="above", margin=0.01),
    )
    slope = final("lipschitz_lower_bound")
    Claim(
        "steep",
        "clipping",
        "The penalty's critic is flatter, and less so",
        "ring8",
        "a test",
        "claims_small",
        all_of(
            paired("K under the penalty over K", slope, PENALTY, CLIP, claimed="below", margin=1.1),
            paired("K over K under it", slope, CLIP, PENALTY, claimed="below", margin=1.1),
        ),
    )
    Claim(
        "hinged",
        "penalty",
        "Nothing is here",
        "ring8",
        "a test",
        "claims_small",
        single("x", slope, {"loss": "hinge"}, claimed="above", margin=1),
    )
    Claim(
        "known",
        "divergences",
        "One is above nought",
        "arithmetic",
        "a test",
        "",
        lambda _: [Evidence("one", (1.0, 1.5), "above", 0.1, exact=True)],
    )
    Claim(
        "elsewhere", "coverage", "X.", "y", "z", "claims_other", lambda seen: list(seen.where({}))
    )


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def test_all_claims_are_judged_by_the_sweeps_that_were_run(home: Path) -> None:
    told = call("report", "--claims", "--json")
    assert told.exit_code == 0
    found = {item["claim"]: item for item in json.loads(told.stdout)["claims"]}
    words = {name: item["verdict"] for name, item in found.items()}
    assert words == {
        "known": "supported",
        "elsewhere": "no data",
        "pile": "supported",
        "steep": "refuted",  # both cannot be flatter than the other
        "hinged": "no data",
    }
    assert found["elsewhere"]["why"] == "the sweep claims_other has not been run"
    assert found["hinged"]["why"] == "no run has loss hinge"
    assert found["known"]["p_holm"] is None
    assert found["pile"]["evidence"][0]["seeds"] == 10
    shown = call("report", "--claims")
    assert "hinged: no data, no run has loss hinge" in shown.stderr
    assert "elsewhere" not in shown.stderr  # its sweep has no file here; the table says "no data"
    # Two claims of one family: the least p counts twice.
    assert found["pile"]["p_holm"] == pytest.approx(2 * found["pile"]["p"])


def test_every_number_of_the_page_is_the_verdicts_own(home: Path) -> None:
    found = json.loads(call("report", "--claims", "--json").stdout)["claims"]
    html = (home / "reports/claims/report.html").read_text()
    text = (home / "reports/claims/report.md").read_text()
    share = next(item for item in found if item["claim"] == "pile")["evidence"][0]["value"]
    assert f"Share at the limit: {share:.3g}" in html
    assert f"Share at the limit: {share:.3g}" in text
    assert "Of 5 claims: 2 supported, 1 refuted and 2 without data." in html
    assert "wgan-bench run sweeps/claims/claims_other.yaml" in html
    assert "&lt;within&gt; the limit." in html
    assert "One: 1.25 (1.00 to 1.50), 2 cases." in html


def test_the_report_on_one_sweep_shows_its_own_claims(home: Path) -> None:
    told = call("report", "sweeps/claims/claims_small.yaml", "--claims", "--plain")
    assert told.exit_code == 0
    assert [line.split()[:2] for line in told.stdout.splitlines()[1:4]] == [
        ["pile", "supported"],
        ["steep", "refuted"],
        ["hinged", "no"],
    ]
    html = (home / "reports/claims_small/report.html").read_text()
    assert "Of 3 claims: 1 supported, 1 refuted and 1 without data." in html
    assert "One is above nought" not in html
    assert "wgan-bench run sweeps/claims/claims_small.yaml\n" in html  # as it was named
    assert "sweeps/claims_small.yaml" not in html


def test_the_same_records_give_the_same_bytes(home: Path) -> None:
    def written() -> list[bytes]:
        assert call("report", "--claims").exit_code == 0
        return [path.read_bytes() for path in sorted((home / "reports/claims").glob("report.*"))]

    assert written() == written()


def test_a_claim_that_does_not_exist_is_answered_with_the_nearest(home: Path) -> None:
    (home / "wrong.yaml").write_text(SWEEP.replace("claims: [pile,", "claims: [pyle,"))
    told = call("plan", "wrong.yaml")
    assert told.exit_code == 2
    assert told.stderr.startswith(
        "wrong.yaml:10: claims: unknown claim 'pyle'; did you mean 'pile'? (allowed: elsewhere,"
    )


def test_wrong_usage_is_answered_in_words(home: Path, tmp_path: Path) -> None:
    neither = call("report")
    assert neither.exit_code == 2
    assert "or --claims for all claims" in neither.stderr
    some = call("report", "--claims", "--only", "seed=1")
    assert some.exit_code == 2
    assert "--set and --only need a sweep file" in some.stderr
    empty = call("report", "--claims", "--claim-sweeps", str(tmp_path))
    assert empty.exit_code == 2
    assert "holds no sweep file" in empty.stderr


def test_without_any_result_there_are_no_data_and_a_whole_page(home: Path, tmp_path: Path) -> None:
    told = call("report", "--claims", "--results", str(tmp_path), "--reports", str(tmp_path))
    assert told.exit_code == 0
    assert (
        "claims_small has not been run: wgan-bench run sweeps/claims/claims_small.yaml"
        in told.stderr
    )
    assert (
        "Of 5 claims: 1 supported and 4 without data."
        in (tmp_path / "claims/report.html").read_text()
    )
