"""Atomic writes and JSON lines."""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path

import pytest

from bench import files
from bench.files import FileError, RowFile, last_row, read_json, read_rows, write_bytes, write_json


def test_a_failing_write_leaves_the_older_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"half")
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_synced_and_then_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    path, fsync = tmp_path / "a.json", files.os.fsync

    def note(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", note)
    write_json(path, {"a": 1})
    assert synced == [(False, False), (True, True)]
    write_json(path, {"a": 2}, sync=False)
    assert len(synced) == 2


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b'{"a": ', "is torn"), (b"[1]", "no JSON object")]
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"state.json .*{message}"):
        read_json(path)


def test_numbers_that_are_not_finite_are_null_and_named(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append([{"step": 1, "a": math.nan, "b": -math.inf, "c": 0.1}])
    rows.close()
    text = (tmp_path / "rows.jsonl").read_text()
    row = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert row == {"step": 1, "a": None, "b": None, "c": 0.1, "nonfinite": ["a", "b"]}


def test_floats_survive_to_the_last_bit(tmp_path: Path) -> None:
    value = 0.1 + 0.2
    rows = RowFile(tmp_path / "rows.jsonl")
    rows.append([{"step": 1, "a": value}])
    rows.close()
    assert read_rows(tmp_path / "rows.jsonl")[0] == [{"step": 1, "a": value}]


def test_a_row_that_holds_words_or_no_step_is_dropped_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"step": 1, "fid": "b"}\n{"step": "a"}\n{"fid": 2}\n{"step": 2, "fid": null}\n'
    )
    rows, note = read_rows(path)
    assert rows == [{"step": 2, "fid": None}]
    assert note == "rows.jsonl: 3 unreadable line(s) dropped"


def test_a_torn_last_line_is_dropped_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    rows, note = read_rows(path)
    assert rows == [{"step": 1}, {"step": 2}]
    assert note is not None
    assert "torn last line" in note
    assert last_row(path) == {"step": 2}


def test_a_line_of_zeros_in_the_middle_is_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step": 1}\n\0\0\0\0\n{"step": 3}\n')
    rows, note = read_rows(path)
    assert [row["step"] for row in rows] == [1, 3]
    assert note is not None
    assert "1 unreadable" in note


def test_a_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.jsonl") == ([], None)
    assert last_row(tmp_path / "none.jsonl") is None


def test_reopening_cuts_to_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = RowFile(path)
    rows.append([{"step": 1}])
    recorded = rows.size
    rows.append([{"step": 2}])
    rows.close()

    again = RowFile(path, recorded)
    again.append([{"step": 3}])
    again.close()
    assert [row["step"] for row in read_rows(path)[0]] == [1, 3]


def test_rows_are_synced_whenever_there_are_new_ones_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(files.os, "fsync", synced.append)
    rows = RowFile(tmp_path / "rows.jsonl")
    for new, syncs in (([], 0), ([{"step": 1}], 1), ([], 1), ([{"step": 2}, {"step": 3}], 2)):
        rows.append(new)
        rows.append([])
        rows.sync()
        rows.sync()
        assert len(synced) == syncs
    rows.close()
    cut = RowFile(tmp_path / "rows.jsonl", size=12)
    cut.sync()
    assert len(synced) == 3
    cut.close()


def test_reopening_a_file_that_lost_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(FileError, match="holds 3 of 100"):
        RowFile(path, 100)
