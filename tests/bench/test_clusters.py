"""Cluster files: strict, with file and line in every complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.clusters import Cluster, load_cluster, minutes
from bench.grid.source import SweepError
from wgan.components import ConfigError

ROOT = Path(__file__).parents[2]


def load(tmp_path: Path, text: str) -> Cluster:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load_cluster(str(path))[0]


def test_every_setting_is_read(tmp_path: Path) -> None:
    cluster = load(
        tmp_path,
        "partition: gpu\naccount: lab\nqos: long\nconstraint: a100\ntime: 2-12\ngpus: 1\ncpus: 8\n"
        "memory_gb: 32\npack: 6\nside_by_side: 3\nthreads: 2\njobs_at_once: 4\narray_limit: 100\n"
        "requeues: 7\nnode_failures: 2\nsignal_seconds: 120\npython: /opt/py\n"
        "setup: [module load cuda, 'export A=1']\noptions: {mail-user: me, exclusive: true}\n",
    )
    assert cluster.time == 60 * 60
    assert (cluster.cores, cluster.pack, cluster.gpus) == (8, 6, 1)
    assert cluster.setup == ("module load cuda", "export A=1")
    assert cluster.options == {"mail-user": "me", "exclusive": True}
    assert Cluster.from_plain(cluster.to_plain()) == cluster


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "# nothing\n") == Cluster()


def test_a_job_asks_for_the_cores_its_runs_own(tmp_path: Path) -> None:
    assert load(tmp_path, "pack: 8\nside_by_side: 4\nthreads: 2\n").cores == 8


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (90, 90),
        ("90", 90),
        ("1:30", 2),
        ("1:00:00", 60),
        ("0:59:01", 60),
        ("2-0", 2880),
        ("1-2:30", 1590),
        ("1-02:30:00", 1590),
    ],
)
def test_a_time_limit_is_read_as_slurm_reads_it(given: object, expected: int) -> None:
    """By sbatch's manual: minutes, minutes:seconds, hours:minutes:seconds, days-hours, ..."""
    assert minutes(given) == expected


@pytest.mark.parametrize("given", ["an hour", "1h", "-5", "1:2:3:4", 1.5, True, None, "1-"])
def test_any_other_time_limit_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match="must be MINUTES, HH:MM:SS"):
        minutes(given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition: a\npartion: b\n", "c.yaml:2: unknown field 'partion'; did you mean 'partit"),
        ("pack: 2\nside_by_side: 3\n", "c.yaml:2: side_by_side: 3 runs at once are more than a"),
        ("time: soon\n", "c.yaml:1: time: 'soon' is not allowed: must be MINUTES"),
        ("time: 3\n", "c.yaml:1: time: 3 min is not allowed: SLURM may warn 90 + 60 s before"),
        ("pack: 0\n", "c.yaml:1: pack: 0 is not allowed: must be a whole number >= 1"),
        ("pack: 4\nside_by_side: 4\ncpus: 2\n", "c.yaml:3: cpus: 2 is not allowed: 4 runs side"),
        ("gpus: 2\n", "c.yaml:1: gpus: 2 is not allowed: a run uses one GPU"),
        ("setup: {a: 1}\n", "c.yaml:1: setup: {'a': 1} is not allowed: must be a list of shell"),
        ("options: {array: 0-3}\n", "c.yaml:1: options: 'array' is not allowed: wgan-bench sets"),
        ("options: {partition: x}\n", "c.yaml:1: options: 'partition' is not allowed here"),
        ("options: {'a b': x}\n", "c.yaml:1: options: 'a b': 'x' is not allowed"),
        ("- pack\n", "c.yaml: must be a mapping of settings"),
        ("pack: 1\npack: 2\n", "c.yaml:2: duplicate key 'pack' (first on line 1)"),
    ],
)
def test_a_mistake_is_answered_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SweepError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_a_missing_file_names_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clusters").mkdir()
    (tmp_path / "clusters" / "jupiter.yaml").write_text("pack: 3\n")
    with pytest.raises(SweepError, match=r"clusters/jupitr.yaml: no such file; did you mean clus"):
        load_cluster("jupitr")
    assert load_cluster("jupiter")[0].pack == 3
    assert load_cluster(None) == (Cluster(), "the defaults (there is no clusters/slurm.yaml)")


def test_the_shipped_file_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    cluster, name = load_cluster(None)
    assert name == "clusters/slurm.yaml"
    text = (ROOT / name).read_text()
    assert [field for field in cluster.to_plain() if f"{field}:" not in text] == []
