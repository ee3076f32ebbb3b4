"""Logs of every kind are read as what they hold, and what is no log is refused in words."""

import gzip
import io
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from own_logs import own_log

from bench.ownlog import LogError, Question, analyse, read
from bench.ownlog.words import answers

ASKED = Question("step", "d_loss", "fid", group="seed")


@pytest.fixture
def frame():
    return own_log(seeds=2, evaluations=6)


def check(log, frame):
    np.testing.assert_array_equal(log.step, frame["step"])
    np.testing.assert_array_equal(log.loss, frame["d_loss"])
    np.testing.assert_array_equal(log.quality, frame["fid"])
    assert list(log.group) == [str(seed) for seed in frame["seed"]]


def refusal(path, question=ASKED):
    with pytest.raises(LogError) as caught:
        read(path, question)
    return str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
def test_every_separator_is_found_and_named(frame, tmp_path, separator):
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False, sep=separator)
    log = read(path, ASKED)
    check(log, frame)
    assert bool(log.notes) == (separator != ",")


def test_gzip_marks_and_wide_characters_are_seen_through(frame, tmp_path):
    text = frame.to_csv(index=False)
    for name, content in {
        "a.csv.gz": gzip.compress(text.encode()),
        "b.csv": b"\xef\xbb\xbf" + text.encode(),
        "c.txt": text.encode("utf-16"),
        "d.csv": text.replace("\n", "\r\n").encode(),
        "e.csv": b"\n\n" + text.encode(),
        "f.csv": b"# " + text.encode(),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        check(read(path, ASKED), frame)


def test_json_lines_give_nested_keys_by_dotted_names(frame, tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [
        {"seed": row["seed"], "at": {"step": row["step"]}, "m": {"d": {"loss": row["d_loss"]}}}
        | ({"eval.fid": row["fid"]} if place % 2 else {"eval": {"fid": row["fid"]}})
        for place, row in enumerate(frame.to_dict("records"))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    check(read(path, Question("at.step", "m.d.loss", "eval.fid", group="seed")), frame)
    message = refusal(path, Question("at.step", "loss", "eval.fid"))
    assert "no column 'loss' (did you mean 'm.d.loss'?)" in message
    assert "at.step, m.d.loss" in message


def test_a_key_that_only_late_rows_have_is_found(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [{"step": step, "d_loss": 1.0} for step in range(1500)]
    rows[-1]["fid"] = 2.0
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read(path, Question("step", "d_loss", "fid"))
    assert log.quality[-1] == 2.0
    assert np.isnan(log.quality[:-1]).all()


def test_a_json_list_serves_and_nulls_are_missing(tmp_path):
    path = tmp_path / "log.json"
    path.write_text('[{"step": 1, "d_loss": null, "fid": 3}, {"step": 2, "d_loss": 0.5}]')
    log = read(path, Question("step", "d_loss", "fid"))
    np.testing.assert_array_equal(log.loss, [np.nan, 0.5])
    np.testing.assert_array_equal(log.quality, [3, np.nan])


def test_a_torn_last_line_is_left_out_and_said(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "d_loss": 2, "fid": 3}\n{"step": 2, "d_lo')
    log = read(path, Question("step", "d_loss", "fid"))
    assert list(log.step) == [1]
    assert "torn" in log.notes[0]
    path.write_text('{"step": 1, "d_loss": 2, "fid": 3}\n{"step"\n{"step": 3}\n')
    assert "line 2 is no JSON object" in refusal(path)


def test_parquet_is_read_nested_columns_too(frame, tmp_path):
    path = tmp_path / "log.parquet"
    frame.to_parquet(path)
    check(read(path, ASKED), frame)
    nested = pd.DataFrame(
        {"seed": frame["seed"], "m": frame[["step", "d_loss", "fid"]].to_dict("records")}
    )
    nested.to_parquet(path)
    check(read(path, Question("m.step", "m.d_loss", "m.fid", group="seed")), frame)
    path.write_bytes(path.read_bytes()[:200])
    assert "damaged Parquet" in refusal(path)


def test_columns_with_spaces_and_slashes_are_taken_by_their_names(frame, tmp_path):
    path = tmp_path / "wandb.csv"
    names = {"step": "_step", "d_loss": "train/D loss, raw", "fid": "eval/FID 50k"}
    frame.rename(columns=names).to_csv(path, index=False)
    check(read(path, Question(*names.values(), group="seed")), frame)
    message = refusal(path, Question("_step", "train/D loss, raw", "fid 50k"))
    assert "no column 'fid 50k' (did you mean 'eval/FID 50k'?)" in message
    assert "there are: seed, _step, 'train/D loss, raw', 'eval/FID 50k'" in message


def test_a_missing_column_is_answered_with_the_nearest_and_all(frame, tmp_path):
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False)
    message = refusal(path, Question("Step", "critic", "FID", group="seeds"))
    for said in ("'Step' (did you mean 'step'?)", "'FID' (did you mean 'fid'?)", "'critic' or"):
        assert said in message
    assert message.endswith("there are: seed, step, d_loss, fid")


def test_a_single_curve_of_tensorboard_is_explained(tmp_path):
    path = tmp_path / "run-loss.csv"
    path.write_text("Wall time,Step,Value\n1.5,1,0.5\n")
    message = refusal(path, Question("Step", "loss", "fid"))
    assert "TensorBoard's export of a single curve" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"seed,step,d_loss,fid\n", "has columns and no rows"),
        (b"0,1,2,3\n0,2,3,4\n", "holds numbers, not names of columns"),
        (b"PK\x03\x04rest", "is a zip file"),
        (pickle.dumps({"step": 1}), "is a pickle, which is never opened"),
        (b"\x89PNG\r\n", "is a picture"),
        (b"\x00\x01\x02\x03", "no text"),
        (b"seed,step,d_loss,fid\n0,1,2,\xff\n", "line 2 is no text in UTF-8 (byte 0xff)"),
        (gzip.compress(b"seed,step", mtime=0)[:-4], "gzipped, and damaged"),
        (b'{"history": [1, 2]}', "no column"),
        (b'{\n"history": [1, 2]\n}', "one JSON object over the whole file (it has the lists hist"),
        (b"[1, 2]", "a JSON list of other things than objects"),
        (b"seed,step,d_loss,fid\n0,1,2,3\n0,1,2,3,4,5\n", "Expected 4 fields"),
        (b"seed,step,d_loss,fid\n0,1,2,3,9\n0,1,2,3,4\n", "more fields than the heading has"),
        (b"seed,step,d_loss,fid,fid\n0,1,2,3,4\n", "has 2 columns named 'fid'"),
        (b"just a sentence\n", "no columns"),
    ],
)
def test_what_is_no_log_is_refused_in_words(tmp_path, content, said):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(str(path))
    assert said in message


def test_a_pickle_is_never_opened(tmp_path):
    marker = tmp_path / "opened"

    class Bomb:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    for name, content in {
        "a.pkl": pickle.dumps(Bomb()),
        "b.pkl": pickle.dumps(Bomb(), protocol=0),
        "c.csv": pickle.dumps(Bomb(), protocol=2),
    }.items():
        (tmp_path / name).write_bytes(content)
        refusal(tmp_path / name)
    assert not marker.exists()


def test_no_file_and_a_folder_are_answered(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    assert f"did you mean {tmp_path / 'train.csv'}?" in refusal(tmp_path / "trian.csv")
    assert "is a folder" in refusal(tmp_path)


def test_a_value_that_is_no_number_is_named_with_its_row(frame, tmp_path):
    path = tmp_path / "log.csv"
    texts = frame.astype(object)
    texts.loc[[3, 7], "fid"] = "tensor(12.5)"
    texts.to_csv(path, index=False)
    message = refusal(path)
    assert "column 'fid' holds more than numbers" in message
    assert "row 4 below the heading has 'tensor(12.5)' (and 1 more rows)" in message


def test_missing_values_have_many_names_and_infinity_is_none_of_them(tmp_path):
    path = tmp_path / "log.csv"
    words = ["", "nan", "NaN", "null", "None", "N/A", "-"]
    lines = [f"{step},1,{word}" for step, word in enumerate(words, start=1)]
    path.write_text("\n".join(["step,d_loss,fid", *lines, "8,1,inf", "9, 1 , 2.5 "]) + "\n")
    log = read(path, Question("step", "d_loss", "fid"))
    np.testing.assert_array_equal(log.quality, [*[np.nan] * 7, np.inf, 2.5])


def test_numbers_in_quotation_marks_are_numbers_in_json_too(tmp_path):
    path = tmp_path / "log.jsonl"
    words = ["2.5", "null", "None", "nan", "-", " "]
    rows = [{"step": step, "d_loss": 1, "fid": word} for step, word in enumerate(words)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    log = read(path, Question("step", "d_loss", "fid"))
    np.testing.assert_array_equal(log.quality, [2.5, *[np.nan] * 5])


def test_a_heading_that_comes_again_is_left_out_and_counted(frame, tmp_path):
    path = tmp_path / "log.csv"
    head, tail = frame.iloc[:5].to_csv(index=False), frame.iloc[5:].to_csv(index=False)
    path.write_text(head + tail)
    log = read(path, ASKED)
    check(log, frame)
    assert "1 repeated heading lines are left out" in log.notes[0]


def test_decimal_commas_are_read_where_commas_separate_nothing(frame, tmp_path):
    path = tmp_path / "log.csv"
    frame.to_csv(path, index=False, sep=";", decimal=",")
    log = read(path, ASKED)
    check(log, frame)
    assert any("read as decimal points" in note for note in log.notes)


def test_damage_of_any_kind_is_answered_in_words(frame, tmp_path):
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    whole = [
        frame.to_csv(index=False).encode(),
        frame.to_csv(index=False, sep=";", decimal=",").encode(),
        frame.to_json(orient="records", lines=True).encode(),
        frame.to_json(orient="records").encode(),
        buffer.getvalue(),
        gzip.compress(frame.to_csv(index=False).encode()),
    ]
    inserts = [b"nan", b"inf", b'"', b"\n", b"{", b"null", b"1e999", b"10" * 200, b"\0", b"\xff"]
    draw = np.random.default_rng(0)
    path = tmp_path / "log.csv"
    analysed = 0
    for content in whole * 40:
        damaged = bytearray(content)
        for _ in range(draw.integers(1, 4)):
            at = int(draw.integers(0, len(damaged)))
            damaged[at : at + int(draw.integers(0, 20))] = inserts[draw.integers(len(inserts))]
        path.write_bytes(bytes(damaged))
        try:
            answers(analyse([read(path, ASKED)], ASKED))
            analysed += 1
        except LogError as error:
            assert str(error)  # noqa: PT017 - most are refused, some are not
    assert 0 < analysed < 240


def test_objects_without_end_and_letters_that_steer_terminals_are_harmless(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1, "d_loss": ' + '{"a": ' * 900 + "1" + "}" * 901)
    refusal(path)
    path.write_text('{"step": 1, "\\u001b[2J": 2}')
    assert "\x1b" not in refusal(path)
    path.write_text('{"step": 1, "d_loss": 2, "fid": 3, "seed": "\\u001b[2J"}')
    assert "\x1b" not in read(path, ASKED).group[0]


def test_groups_are_words_whatever_they_are(frame, tmp_path):
    path = tmp_path / "log.csv"
    assert list(dict.fromkeys(_groups(frame.assign(seed=[1.0] * 6 + [2.0] * 6), path))) == [
        "1",
        "2",
    ]
    assert list(dict.fromkeys(_groups(frame.assign(seed=["a"] * 6 + [None] * 6), path))) == [
        "a",
        None,
    ]


def _groups(frame, path):
    frame.to_csv(path, index=False)
    return read(path, ASKED).group


def test_a_group_without_bounds_or_made_of_lists_is_a_word(frame, tmp_path):
    path = tmp_path / "log.csv"
    groups = _groups(frame.assign(seed=[np.inf] * 6 + [2.0] * 6), path)
    assert set(groups) == {"inf", "2.0"}
    rows = frame.assign(seed=[[1, 2]] * 6 + [[3]] * 6)
    path.write_text(rows.to_json(orient="records", lines=True))
    assert list(dict.fromkeys(read(path, ASKED).group)) == ["[1, 2]", "[3]"]
