"""A sweep file that is missing, no text, too large, or written elsewhere."""

import pytest

from bench.grid import SweepError, load


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfen\x00", "1: not a text in UTF-8 (byte 0xff); is this a sweep file?"),
        (b"name: x\nbase: \xe9\n", "2: not a text in UTF-8 (byte 0xe9); is this a sweep file?"),
        (b"\x89PNG\r\n\x1a\n", "1: not a text in UTF-8 (byte 0x89); is this a sweep file?"),
    ],
)
def test_a_file_that_is_no_text_is_said_to_be_none(content, expected, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(SweepError) as caught:
        load(path)
    assert str(caught.value) == f"{path}:{expected}"


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"#" * 2_000_001)
    with pytest.raises(SweepError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: 2,000,001 bytes: a sweep file may have 2,000,000 at most"
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(ending, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + f"name: x{ending}grid: {{seed: 1}}{ending}".encode())
    assert len(load(path).runs) == 1


def test_a_missing_file_names_the_nearest_beside_it(tmp_path):
    for name in ("quickstart.yaml", "smoke.yaml", "notes.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(SweepError) as caught:
        load(tmp_path / "quikstart.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/quikstart.yaml: no such file; did you mean {tmp_path}/quickstart.yaml?"
    )
    with pytest.raises(SweepError) as caught:
        load(tmp_path / "zzz.yml")
    assert str(caught.value) == (
        f"{tmp_path}/zzz.yml: no such file ({tmp_path} has quickstart.yaml, smoke.yaml)"
    )
    with pytest.raises(SweepError) as caught:
        load(tmp_path / "nowhere" / "a.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/nowhere/a.yaml: no such file, and no folder {tmp_path}/nowhere"
    )


def test_a_folder_is_no_sweep_file(tmp_path):
    (tmp_path / "a.yaml").write_text("")
    with pytest.raises(SweepError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is a folder, not a sweep file (it has a.yaml)"
