"""A log's figures are those of the report; what is joined, turned or left out is said."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from fake_records import PROTOCOL, fake_records
from hypothesis import given, settings
from hypothesis import strategies as st
from own_logs import own_log

from bench.ownlog import LogError, Question, analyse, read
from bench.ownlog.tidy import MOST_RUNS
from bench.ownlog.words import answers, direction_hints, sign_sentence
from bench.stats import fisher_interval, time_adjusted, track
from bench.store import Store

ASKED = Question("step", "d_loss", "fid", group="seed")


@pytest.fixture
def analysed(tmp_path):
    """Analyses a table as a CSV."""

    def analysed(frame, question=ASKED):
        path = tmp_path / "log.csv"
        frame.to_csv(path, index=False)
        return analyse([read(path, question)], question)

    return analysed


def refusal(analysed, frame, question=ASKED):
    with pytest.raises(LogError) as caught:
        analysed(frame, question)
    return str(caught.value)


def said(analysis):
    return " ".join(
        [*analysis.notes, *(f"{item.sentence} {' '.join(item.rest)}" for item in answers(analysis))]
    ).replace("\N{NO-BREAK SPACE}", " ")


def test_a_run_s_figures_are_scipy_s_and_the_report_s(analysed):
    frame = own_log()
    (tracking,) = analysed(frame).trackings
    for seed in tracking.seeds:
        rows = frame[frame["seed"] == seed.seed]
        expected = scipy.stats.spearmanr(rows["d_loss"], rows["fid"]).statistic
        assert seed.raw == pytest.approx(expected, abs=1e-12)
        assert seed.adjusted == time_adjusted(rows["d_loss"], rows["fid"], rows["step"])
    assert tracking.raw == fisher_interval(seed.raw for seed in tracking.seeds)
    assert tracking.verdict.word == "tracks"
    assert tracking.swap_p <= 0.05


@pytest.mark.parametrize("seeds", [2, 5])
def test_our_own_curves_give_exactly_the_figures_of_our_report(tmp_path, seeds):
    records = fake_records(["gan", "wgan", "wgan_gp"], range(seeds), pictures=False)
    runs = records.runs.copy()
    runs.loc[0, "state"] = "diverged"
    runs.loc[1, "dead_critic"] = True
    curves = records.curves.copy()
    # A blind stretch, which only the floor of the protocol can tell from a good critic.
    blind = (curves["run_id"] == runs["run_id"].iloc[-1]) & curves["step"].between(80, 400)
    curves.loc[blind, "estimate_held_out"] = 1e-6
    curves.loc[blind, "estimate_held_out_error"] = 1.0
    records = replace(records, runs=runs, curves=curves)
    Store(tmp_path, "quickstart").write_tables(records)
    path = tmp_path / "quickstart" / "curves.parquet"
    question = Question("step", "estimate_held_out", "fid")
    found = analyse([read(path, question)], question)
    expected = track(runs, curves, "fid", floor=PROTOCOL["floor"]["fid"])
    assert repr(found.trackings) == repr(tuple(expected))  # NaN is equal to itself here
    assert found.trackings[-1].seeds[-1].left_out == 5
    assert "labels, seeds and states are those of" in found.notes[0]
    assert len(found.notes) == 1


def test_a_table_without_floors_says_so_and_takes_one(tmp_path):
    records = fake_records(["wgan"], range(2), pictures=False)
    curves = records.curves.assign(estimate_held_out_error=1e6)
    Store(tmp_path, "quickstart").write_tables(replace(records, curves=curves, protocols=[]))
    path = tmp_path / "quickstart" / "curves.parquet"
    question = Question("step", "estimate_held_out", "fid")
    without = analyse([read(path, question)], question)
    assert "The floor of fid is not in the table" in without.notes[1]
    assert {seed.left_out for seed in without.trackings[0].seeds} == {0}
    stated = replace(question, floor=7.0)
    given = analyse([read(path, stated)], stated)
    assert len(given.notes) == 1
    assert all(seed.left_out > 10 for seed in given.trackings[0].seeds)


def test_a_floor_is_refused_where_it_has_no_effect(analysed):
    assert "--floor is of use for" in refusal(analysed, own_log(), replace(ASKED, floor=7.0))


def test_our_own_curves_of_two_protocols_are_never_pooled(tmp_path):
    records = fake_records(["wgan"], range(4), pictures=False)
    other = records.runs["seed"] > 1
    ids = np.where(other, "ffff0000", "abcd1234")
    protocols = [PROTOCOL, PROTOCOL | {"id": "ffff0000", "floor": {"fid": 9.0}}]
    records = replace(records, runs=records.runs.assign(protocol_id=ids), protocols=protocols)
    Store(tmp_path, "mixed").write_tables(records)
    question = Question("step", "estimate_held_out", "fid")
    found = analyse([read(tmp_path / "mixed" / "curves.parquet", question)], question)
    assert [tracking.label for tracking in found.trackings] == [
        "wgan (protocol abcd1234)",
        "wgan (protocol ffff0000)",
    ]
    assert [len(tracking.seeds) for tracking in found.trackings] == [2, 2]


def test_our_own_curves_can_be_divided_otherwise(tmp_path):
    records = fake_records(["gan", "wgan"], range(3), pictures=False)
    Store(tmp_path, "quickstart").write_tables(records)
    question = Question("step", "critic_loss", "fid", group="seed", setting="loss")
    records = replace(
        records, curves=records.curves.assign(critic_loss=-1.0 * records.curves["estimate"])
    )
    Store(tmp_path, "quickstart").write_tables(records)
    found = analyse([read(tmp_path / "quickstart" / "curves.parquet", question)], question)
    assert [tracking.label for tracking in found.trackings] == ["nonsaturating", "wasserstein"]
    assert all(tracking.raw.center < 0 for tracking in found.trackings)
    assert "who diverged or has a dead critic is not looked at" in found.notes[0]


def test_several_files_are_runs_of_one_setting(tmp_path, analysed):
    frame = own_log()
    logs = []
    question = replace(ASKED, group=None)
    for seed, rows in frame.groupby("seed"):
        path = tmp_path / f"run{seed}.csv.gz"
        path.write_bytes(gzip.compress(rows.drop(columns="seed").to_csv(index=False).encode()))
        logs.append(read(path, question))
    (apart,) = analyse(logs, question).trackings
    (together,) = analysed(frame).trackings
    assert apart.raw == together.raw
    assert apart.adjusted == together.adjusted
    assert apart.swap_p == together.swap_p
    assert list(analyse(logs, question).runs["name"]) == [log.place for log in logs]


def test_settings_get_a_verdict_each(analysed):
    frame = pd.concat([own_log().assign(lr="1e-4"), own_log(link=-0.9).assign(lr="1e-3")])
    found = analysed(frame, replace(ASKED, setting="lr"))
    words = {tracking.label: tracking.verdict.word for tracking in found.trackings}
    assert words == {"0.0001": "tracks", "0.001": "misleads"}


def test_turning_a_column_turns_the_sign_and_nothing_else(analysed):
    frame = own_log()
    (plain,) = analysed(frame).trackings
    turned = frame.assign(d_loss=-frame["d_loss"])
    (same,) = analysed(turned, replace(ASKED, good_loss="high")).trackings
    assert same == plain
    quality = frame.assign(fid=-frame["fid"])
    (also,) = analysed(quality, replace(ASKED, good_quality="high")).trackings
    assert also == plain
    (against,) = analysed(frame, replace(ASKED, good_loss="high")).trackings
    assert against.raw.center == pytest.approx(-plain.raw.center, abs=1e-12)
    assert against.raw.low == pytest.approx(-plain.raw.high, abs=1e-12)
    assert against.verdict.word == "misleads"


def test_the_sign_is_said_for_every_direction():
    assert "+1 means that d_loss falls whenever fid falls" in sign_sentence(ASKED)
    both = replace(ASKED, good_loss="high", quality="is", good_quality="high")
    assert "+1 means that d_loss rises whenever is rises" in sign_sentence(both)
    assert "(d_loss: high is good; is: high is good)" in sign_sentence(both)
    mixed = replace(ASKED, good_quality="high")
    assert "+1 means that d_loss falls whenever fid rises" in sign_sentence(mixed)


def test_a_direction_that_looks_wrong_is_asked_about_and_never_guessed(analysed):
    frame = own_log().rename(columns={"fid": "Inception Score"})
    question = replace(ASKED, quality="Inception Score")
    found = analysed(frame.assign(d_loss=-frame["d_loss"]), question)
    hints = " ".join(direction_hints(found))
    assert "--good-quality high" in hints
    assert "--good-loss high" in hints
    stated = replace(question, good_loss="high", good_quality="high")
    assert direction_hints(analysed(frame.assign(d_loss=-frame["d_loss"]), stated)) == []
    assert direction_hints(analysed(own_log())) == []


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(5)), st.sampled_from([np.exp, np.arctan, lambda x: 3 * x - 7]))
def test_the_order_of_seeds_and_the_scale_of_the_loss_change_nothing(
    tmp_path_factory, order, scale
):
    frame = own_log()
    path = tmp_path_factory.mktemp("log") / "log.csv"

    def figures(table):
        table.to_csv(path, index=False)
        (tracking,) = analyse([read(path, ASKED)], ASKED).trackings
        return tracking

    plain = figures(frame)
    moved = pd.concat([frame[frame["seed"] == seed] for seed in order])
    other = figures(moved.assign(d_loss=scale(moved["d_loss"])))
    assert other.raw == plain.raw
    assert other.adjusted == plain.adjusted
    assert other.swap_p == plain.swap_p


def test_rows_are_joined_by_step_and_it_is_said(analysed):
    frame = own_log()
    (plain,) = analysed(frame).trackings
    loss, quality = frame.drop(columns="fid"), frame.drop(columns="d_loss")
    found = analysed(pd.concat([quality, loss]))
    assert found.trackings == (plain,)
    assert "d_loss and fid stand on different rows: they are joined by step (125 steps" in said(
        found
    )


def test_a_dense_loss_and_a_rare_score_meet_at_the_score_s_steps(analysed):
    frame = own_log()
    between = frame.assign(step=frame["step"] - 50, fid=np.nan, d_loss=99.0)
    found = analysed(pd.concat([frame, between]))
    assert found.trackings == analysed(frame).trackings
    assert "125 steps have d_loss and no fid: they are no evaluations" in said(found)


def test_a_loss_logged_just_before_its_score_is_found_when_asked_for(analysed):
    frame = own_log()
    loss = frame.drop(columns="fid").assign(step=frame["step"] - 1)
    log = pd.concat([loss, frame.drop(columns="d_loss")])
    message = refusal(analysed, log)
    assert "no step has both d_loss (at 99, 199, 299, …) and fid (at 100, 200, 300, …)" in message
    assert "--within N" in message
    found = analysed(log, replace(ASKED, within=1))
    assert found.trackings == analysed(frame).trackings
    assert "For 125 evaluations d_loss is the latest of at most 1 steps before" in said(found)
    late = frame.drop(columns="fid").assign(step=frame["step"] + 1)
    # At most a step before: never one after, and never one of another run.
    refusal(analysed, pd.concat([late, frame.drop(columns="d_loss")]), replace(ASKED, within=1))


def test_unsorted_steps_are_sorted_and_it_is_said(analysed):
    frame = own_log()
    shuffled = frame.sample(frac=1, random_state=3).sort_values("seed", kind="stable")
    found = analysed(shuffled)
    assert found.trackings == analysed(frame).trackings
    assert "not stand in the order of step: they are sorted" in said(found)
    assert "sorted" not in " ".join(analysed(frame).notes)


def test_runs_that_write_by_turns_are_not_called_unsorted(analysed):
    frame = own_log().sort_values("step", kind="stable")
    assert analysed(frame).notes == ()


def test_values_that_are_missing_are_left_out_counted_and_said(analysed):
    frame = own_log(evaluations=30)
    holed = frame.copy()
    holed.loc[3, "d_loss"] = np.nan
    holed.loc[40, "fid"] = np.inf
    holed.loc[70, "step"] = np.nan
    holed.loc[100, "seed"] = np.nan
    found = analysed(holed)
    text = said(found)
    assert "1 evaluations have no d_loss and are left out" in text
    assert "1 evaluations with an infinite value are left out" in text
    assert "1 row without step left out" in text
    assert "1 row without seed left out" in text
    (tracking,) = found.trackings
    kept = frame.drop(index=[3, 40, 70, 100])
    for seed in tracking.seeds:
        rows = kept[kept["seed"] == seed.seed]
        assert seed.evaluations == len(rows)
        assert seed.raw == pytest.approx(
            scipy.stats.spearmanr(rows["d_loss"], rows["fid"]).statistic, abs=1e-12
        )


def test_step_zero_is_left_out_and_said(analysed):
    frame = own_log()
    start = pd.DataFrame({"seed": range(5), "step": 0, "d_loss": 9.0, "fid": 0.1})
    found = analysed(pd.concat([start, frame]))
    assert found.trackings == analysed(frame).trackings
    assert "5 evaluations at step 0 or before are left out" in said(found)


def test_two_values_at_one_step_are_refused_with_what_to_do(analysed):
    frame = own_log()
    twice = pd.concat([frame, frame.iloc[[2, 30]].assign(fid=[1.0, 2.0])])
    message = refusal(analysed, twice)
    assert "step 300 of run '0' has 2 values of fid (" in message
    assert "1), and so for 1 more" in message
    assert "--duplicates last" in message
    ungrouped = refusal(analysed, frame, replace(ASKED, group=None))
    assert "step 100" in ungrouped
    assert "has 5 values of d_loss" in ungrouped
    assert "name the column that tells them apart" in ungrouped
    assert "--group" in ungrouped


@pytest.mark.parametrize(("rule", "value"), [("first", 40.0), ("last", 10.0), ("mean", 25.0)])
def test_what_counts_among_duplicates_can_be_said(analysed, rule, value):
    frame = own_log(seeds=1, evaluations=6).assign(fid=[90.0, 80.0, 70.0, 60.0, 50.0, 40.0])
    twice = pd.concat([frame, frame.iloc[[5]].assign(fid=10.0)])
    found = analysed(twice, replace(ASKED, duplicates=rule))
    assert found.curves["quality"].iloc[-1] == value
    assert f"1 steps have several values of fid: the {rule} counts" in said(found)


def test_equal_duplicates_are_no_trouble(analysed):
    frame = own_log()
    found = analysed(pd.concat([frame, frame]))
    assert found.trackings == analysed(frame).trackings


def test_a_constant_column_is_said_and_is_no_zero(analysed):
    (tracking,) = analysed(own_log().assign(d_loss=0.5)).trackings
    assert np.isnan(tracking.raw.center)
    found = analysed(own_log().assign(fid=3.0))
    assert "No correlation for runs 0, 1, 2, 3 and 4: fid is constant (3 at all 25" in said(found)
    found = analysed(own_log().assign(d_loss=0.5))
    assert "d_loss is constant (0.5 at all 25 evaluations)" in said(found)


def test_one_run_is_told_what_it_can_show(analysed):
    text = said(analysed(own_log(seeds=1)))
    assert "In this one run d_loss and fid have the rank correlation +0." in text
    assert "One run has no interval, no seed swap and no verdict" in text
    assert "at least 4 more live seeds" in text
    assert "nan" not in text


def test_few_evaluations_are_said(analysed):
    text = said(analysed(own_log(evaluations=12)))
    assert "cannot be adjusted for time, which takes 20 usable evaluations per run where" in text
    assert "at least 8 more usable evaluations per run" in text


def test_unequal_steps_are_said(analysed):
    frame = own_log()
    text = said(analysed(frame.assign(step=frame["step"] + frame["seed"])))
    assert "The seed swap could not be made: the runs share 0 evaluation steps" in text


def test_a_column_without_any_value_is_said(analysed):
    assert "column 'fid' has no value at all" in refusal(analysed, own_log().assign(fid=np.nan))
    assert "no row has step and a value" in refusal(analysed, own_log().assign(step=np.nan))


def test_too_many_runs_are_no_runs(analysed):
    frame = own_log(seeds=1, evaluations=MOST_RUNS + 1)
    message = refusal(analysed, frame, replace(ASKED, group="step"))
    assert "201 runs of one setting, at most 200" in message
    assert "has 201 values; at most 100 settings" in refusal(
        analysed, frame, replace(ASKED, group=None, setting="step")
    )


def test_column_names_may_be_any_words(analysed):
    frame = own_log().rename(columns={"d_loss": "quality", "fid": "loss"})
    found = analysed(frame, Question("step", "quality", "loss", group="seed"))
    plain = analysed(own_log()).trackings[0]
    assert found.trackings[0].raw == plain.raw
    frame = own_log().rename(columns={"d_loss": "label", "fid": "state", "step": "run_id"})
    found = analysed(frame, Question("run_id", "label", "state", group="seed"))
    assert found.trackings[0].raw == plain.raw
    with pytest.raises(LogError, match="name three columns"):
        Question("step", "fid", "fid")


def test_our_own_evaluation_rows_serve_as_they_lie(tmp_path, analysed):
    rows = own_log(seeds=1)
    path = tmp_path / "eval-abcd.jsonl"
    lines = [json.dumps(row) for row in rows.drop(columns="seed").to_dict("records")]
    lines[4] = lines[4].replace("}", ', "nonfinite": ["kid"], "kid": null}')
    path.write_text("\n".join(lines) + "\n")
    question = replace(ASKED, group=None)
    found = analyse([read(path, question)], question).trackings[0]
    assert found.seeds[0].raw == analysed(rows).trackings[0].seeds[0].raw
