"""The SLURM backend against programs that answer what is written here; the real one: tests/slurm.

What matters: the text of the submission file, how many calls there are, and that silence is never
taken for an end.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_slurm import FakeSlurm, fake_slurm
from tiny_runs import frozen, state_of, tiny

from bench.backends import slurm as slurm_backend
from bench.backends.base import mark
from bench.backends.slurm import Slurm, parameters
from bench.backends.slurm_states import Answer, SlurmError, ask, expand
from bench.cli import main
from bench.clusters import Cluster
from bench.environment import code_hash
from bench.files import write_json
from bench.queues import SeldomAsked, closed_submissions, outputs_of, read_queue
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned, Store
from bench.submissions import announced, note_event, read_submissions
from bench.verbs.look import look, look_and_settle

SPECS = [tiny(seed=seed, steps=60 + seed) for seed in range(4)]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return fake_slurm(tmp_path, monkeypatch)


def submitted(
    results: Path, specs: list[RunSpec] = SPECS, **settings: object
) -> tuple[Store, Slurm]:
    """A sweep of which every run was handed to SLURM."""
    frozen(results, *specs)
    store = Store(results, "s")
    backend = Slurm(store, Cluster(**settings), "clusters/x.yaml")  # type: ignore[arg-type]
    backend.submit(store.plan(specs))
    return store, backend


def states(store: Store, specs: list[RunSpec] = SPECS) -> list[tuple[str, str, str]]:
    return [(item.state, item.action, item.reason) for item in look(store, specs)[0]]


def test_the_submission_file_asks_for_what_the_cluster_file_says(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, backend = submitted(
        tmp_path / "results",
        SPECS[:2],
        partition="gpu",
        account="lab",
        qos="long",
        constraint="a100",
        time=240,
        gpus=1,
        cpus=8,
        memory_gb=1.5,
        jobs_at_once=5,
        signal_seconds=120,
        python="/opt/the python",
        setup=("module load cuda",),
        options={"mail-user": "me", "exclusive": True},
    )
    (script,) = slurm.scripts()
    assert backend.submission is not None
    outputs = store.folder.absolute() / "submissions" / backend.submission.path.name / "jobs"
    assert script.splitlines() == [
        "#!/bin/bash",
        "",
        "# Parameters",
        "#SBATCH --account=lab",
        "#SBATCH --array=0-1%2",
        "#SBATCH --constraint=a100",
        "#SBATCH --cpus-per-task=8",
        f"#SBATCH --error={outputs}/%A_%a_0_log.err",
        "#SBATCH --exclusive",
        "#SBATCH --gpus-per-node=1",
        "#SBATCH --job-name=wgan-bench-s",
        "#SBATCH --mail-user=me",
        "#SBATCH --mem=1536M",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --open-mode=append",
        f"#SBATCH --output={outputs}/%A_%a_0_log.out",
        "#SBATCH --partition=gpu",
        "#SBATCH --qos=long",
        "#SBATCH --requeue",
        "#SBATCH --signal=USR2@120",
        "#SBATCH --time=240",
        "",
        "# setup",
        "module load cuda",
        "",
        "# command",
        "export SUBMITIT_EXECUTOR=slurm",
        f"srun --unbuffered --output {outputs}/%A_%a_%t_log.out --error "
        f"{outputs}/%A_%a_%t_log.err /opt/the python -u -m submitit.core._submit {outputs}",
    ]


def test_what_is_not_asked_for_is_left_to_the_site() -> None:
    asked = parameters(Cluster(), "name")
    assert not {"partition", "account", "qos", "constraint", "mem", "gpus_per_node"} & set(asked)
    assert asked["additional_parameters"] == {"requeue": True}


def test_arrays_are_split_at_the_site_s_limit_the_longest_runs_first(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, backend = submitted(tmp_path / "results")
    arrays = [next(x for x in s.splitlines() if "--array" in x) for s in slurm.scripts()[:1]]
    assert arrays == ["#SBATCH --array=0-2%3"]
    assert "--array" not in slurm.scripts()[1]  # one task is a job of its own
    ((submission,), notes) = read_submissions(store.folder)
    assert notes == []
    assert submission.jobs == ("12_0", "12_1", "12_2", "13")
    assert submission.tasks == tuple((spec.run_id,) for spec in reversed(SPECS))
    assert backend.submission == submission


def test_the_user_s_own_array_limit_goes_first(tmp_path: Path, slurm: FakeSlurm) -> None:
    submitted(tmp_path / "results", array_limit=2)
    assert ["--array=0-1" in script for script in slurm.scripts()] == [True, True]


def test_packed_runs_share_a_job(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", pack=3, side_by_side=3, threads=2)
    ((submission,), _) = read_submissions(store.folder)
    assert [len(task) for task in submission.tasks] == [3, 1]
    assert "#SBATCH --cpus-per-task=6" in slurm.scripts()[0]


def test_what_the_jobs_will_do_names_folders_and_nothing_of_the_sweep_file(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    ((submission,), _) = read_submissions(store.folder)
    (path,) = submission.outputs.glob("*_submitted.pkl")
    work = pickle.loads(path.read_bytes()).function.work
    assert work.run_dirs == (store.run_folder(SPECS[0]).name,)
    assert work.sweep_folder == store.folder.absolute()


def test_one_poll_costs_two_calls_however_many_runs(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results")
    slurm.says("squeue", "12_[0-2%3]|PENDING||Priority", "13|RUNNING|n1|None")
    found = states(store)
    assert [(state, action) for state, action, _ in found] == [("queued", "keep")] * 4
    assert found[0][2] == "job 13 is running on n1; this run's turn has not come"
    assert found[3][2] == "job 12_0 waits in SLURM (Priority)"
    assert len(slurm.calls("sacct")) == len(slurm.calls("squeue")) == 1
    assert "--jobs=12,13" in slurm.calls("sacct")[0]


def test_nobody_is_asked_when_every_run_is_finished(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    folder = RunFolder(store.run_folder(SPECS[0]))
    folder.train_rows.write_text("")
    mark(folder, SPECS[0].run_id, "diverged", "it grew")
    assert states(store, SPECS[:1]) == [("diverged", "keep", "diverged (a result): it grew")]
    assert slurm.calls("sacct") == slurm.calls("squeue") == []


@pytest.mark.parametrize(
    ("word", "state", "action", "reason"),
    [
        ("CANCELLED by 1000", "cancelled", "run", "job 12 was cancelled by user 1000"),
        ("TIMEOUT", "pending", "run", "job 12 ended on n1: TIMEOUT"),
        ("PREEMPTED", "pending", "run", "job 12 ended on n1: PREEMPTED"),
        ("NODE_FAIL", "pending", "run", "job 12 ended on n1: NODE_FAIL"),
        ("COMPLETED", "pending", "run", "job 12 was stopped on n1"),
        ("OUT_OF_MEMORY", "failed", "run", "job 12 ended on n1: OUT_OF_MEMORY; ask for more mem"),
        ("FAILED", "failed", "run", "job 12 ended on n1: FAILED"),
        ("PENDING", "pending", "run", "job 12 is over; SLURM no longer knows how it ended"),
        ("RUNNING", "pending", "run", "job 12 is over; SLURM no longer knows how it ended"),
    ],
)
def test_how_a_job_ended_says_what_became_of_its_run(
    tmp_path: Path, slurm: FakeSlurm, word: str, state: str, action: str, reason: str
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("sacct", f"12|{word}|n1", f"12.batch|{word}|n1", "12.0|FAILED|n1")
    ((found, todo, why),) = states(store, SPECS[:1])
    assert (found, todo) == (state, action)
    assert reason in why
    assert not (store.run_folder(SPECS[0]) / "state.json").exists()  # to plan writes nothing


def test_a_job_that_failed_before_its_run_began_shows_its_last_words(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    ((submission,), _) = read_submissions(store.folder)
    (submission.outputs / "12_0_log.err").write_text("line\nmodule: command not found\n\n")
    slurm.says("sacct", "12|FAILED|n1")
    assert "FAILED: module: command not found (all of it: " in states(store, SPECS[:1])[0][2]


def test_a_job_that_was_not_requeued_any_more_leaves_its_runs_interrupted(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    ((submission,), _) = read_submissions(store.folder)
    note_event(submission, 0, "start")
    note_event(submission, 0, "stop", reason="SIGUSR2")
    slurm.says("sacct", "12|FAILED|n1")
    assert states(store, SPECS[:1])[0][0] == "pending"


def test_the_controller_knows_better_than_accounting_what_goes_on(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    """A requeued job has an earlier, failed life in the accounts."""
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("sacct", "12|NODE_FAIL|n1")
    slurm.says("squeue", "12|PENDING||BeginTime")
    assert states(store, SPECS[:1])[0][0] == "queued"


@pytest.mark.parametrize("word", ["RUNNING", "FAILED", "CANCELLED by 0", ""])
def test_while_the_controller_is_down_nothing_is_concluded(
    tmp_path: Path, slurm: FakeSlurm, word: str
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("sacct", f"12|{word}|n1")
    slurm.is_down("squeue", "slurm_load_jobs error: Unable to contact slurm controller")
    planned, queue = look_and_settle(store, SPECS[:1])
    assert (planned[0].state, planned[0].action) == ("queued", "keep")
    assert "Unable to contact slurm controller; nothing is concluded" in queue.remarks[0]
    assert not (planned[0].folder / "state.json").exists()


def test_while_accounting_is_down_nothing_is_marked_failed(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:2])
    slurm.is_down("sacct", "sacct: error: Problem talking to the database: Connection refused")
    slurm.says("squeue", "12_0|PENDING||Resources")
    planned, queue = look_and_settle(store, SPECS[:2])
    assert [item.state for item in planned] == ["pending", "queued"]
    assert queue.remarks == [
        "SLURM's accounting cannot be asked how jobs ended: sacct: error: Problem talking to the "
        "database: Connection refused"
    ]
    assert not list(store.folder.glob("*/state.json"))


def test_no_slurm_on_this_machine_leaves_queued_runs_queued(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results folder was copied to a laptop, or the shell lacks the site's module."""
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    planned, queue = look(store, SPECS[:1])
    assert (planned[0].state, planned[0].action) == ("queued", "keep")
    assert "squeue is not on the PATH" in " ".join(queue.remarks)


def test_an_end_that_only_slurm_knew_is_written_down_once(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("sacct", "12|CANCELLED by 0|n1")
    look_and_settle(store, SPECS[:1])
    final = state_of(store.run_folder(SPECS[0]))
    assert (final["state"], final["reason"]) == ("cancelled", "job 12 was cancelled by user 0")
    slurm.says("sacct")  # SLURM has forgotten it
    assert states(store, SPECS[:1])[0][:2] == ("cancelled", "run")


def test_a_run_is_judged_by_its_newest_submission(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("sacct", "12|FAILED|n1")
    look_and_settle(store, SPECS[:1])
    planned, _ = look(store, SPECS[:1])
    assert planned[0].state == "failed"
    os.utime(planned[0].folder / "state.json", (1.7e9, 1.7e9))  # the failure was long ago
    again = Slurm(store, Cluster())
    again.submit(planned)
    slurm.says("squeue", "13|PENDING||None")
    assert states(store, SPECS[:1])[0] == ("queued", "keep", "job 13 waits in SLURM")


def test_queued_runs_are_not_frozen_anew_and_a_difference_is_shown(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    """The sweep file was edited while its runs wait."""
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    slurm.says("squeue", "12|PENDING||None")
    before = (store.run_folder(SPECS[0]) / "spec.json").read_text()
    edited = tiny(seed=0, steps=60, log_every=7)
    planned: list[Planned] = look(store, [edited])[0]
    assert planned[0].action == "refuse"
    assert "log_every is 10 there, 7 is asked for" in planned[0].reason
    relabelled = tiny(seed=0, steps=60, label="other")
    store.freeze(look(store, [relabelled])[0], "", "")
    assert (store.run_folder(SPECS[0]) / "spec.json").read_text() == before


def test_a_refusal_is_told_in_the_words_of_sbatch_and_leaves_nothing(
    tmp_path: Path, slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
) -> None:
    (slurm.folder / "sbatch.refuses").write_text("sbatch: error: invalid partition specified: x\n")
    with pytest.raises(SlurmError) as caught:
        submitted(tmp_path / "results")
    assert str(caught.value) == (
        "SLURM refused what clusters/x.yaml asks for: sbatch: error: invalid partition specified: x"
    )
    assert read_submissions(tmp_path / "results" / "s") == ([], [])
    assert capsys.readouterr().err == ""


def test_arrays_accepted_before_a_refusal_stay_known(tmp_path: Path, slurm: FakeSlurm) -> None:
    (slurm.folder / "sbatch.refuses-then").write_text("sbatch: error: QOSMaxSubmitJobPerUserLimit")
    with pytest.raises(SlurmError, match="QOSMaxSubmitJobPerUserLimit"):
        submitted(tmp_path / "results")
    store = Store(tmp_path / "results", "s")
    ((submission,), _) = read_submissions(store.folder)
    assert submission.jobs == ("12_0", "12_1", "12_2")
    slurm.says("squeue", "12_[0-2]|PENDING||None")
    assert [state for state, _, _ in states(store)] == ["pending", "queued", "queued", "queued"]


def test_without_slurm_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SlurmError, match="srun and sbatch are not on the PATH; submit from a log"):
        submitted(tmp_path / "results")
    assert not (tmp_path / "results" / "s" / "submissions").exists()


def test_a_damaged_record_is_named_and_the_others_stand(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    bad = store.folder / "submissions" / "20260101-000000-abcdef"
    bad.mkdir()
    (bad / "submission.json").write_text('{"jobs": [')
    slurm.says("squeue", "12|PENDING||None")
    planned, queue = look(store, SPECS[:1])
    assert planned[0].state == "queued"
    assert queue.remarks == [
        f"{bad / 'submission.json'} is torn or holds no JSON; its jobs are not known here"
    ]


def test_other_code_at_the_start_is_shown(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    ((submission,), _) = read_submissions(store.folder)
    note_event(submission, 0, "start")
    (submission.events(0).parent / "code-0123456789ab").touch()
    slurm.says("squeue", "12|RUNNING|n1|None")
    (remark,) = look(store, SPECS[:1])[1].remarks
    assert f"with other code than was submitted: it was {code_hash()}, is 0123456789ab" in remark


def test_cancelling_takes_out_jobs_that_wait_for_nothing_else(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    _, backend = submitted(tmp_path / "results", pack=2)
    slurm.says("squeue", "12_[0-1]|PENDING||None")
    backend.cancel({SPECS[3].run_id})  # it shares its job with another
    assert slurm.calls("scancel") == []
    backend.cancel({SPECS[3].run_id, SPECS[2].run_id})
    assert slurm.calls("scancel") == ["12_0"]


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("12", ["12"]),
        ("12_3", ["12_3"]),
        ("12_[0-2,5%4]", ["12_0", "12_1", "12_2", "12_5"]),
        ("12_[7]", ["12_7"]),
        ("12_[1-3]", ["12_1", "12_2", "12_3"]),
    ],
)
def test_the_numbers_that_slurm_writes_as_one_are_read(text: str, jobs: list[str]) -> None:
    assert list(expand(text)) == jobs


def test_a_controller_that_knows_none_of_the_jobs_has_answered(slurm: FakeSlurm) -> None:
    slurm.is_down("squeue", "slurm_load_jobs error: Invalid job id specified")
    answer = ask(["12"])
    assert (answer.certain, answer.remarks) == (True, ())


def test_a_record_of_the_future_is_not_misread(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    ((submission,), _) = read_submissions(store.folder)
    record = submission.path / "submission.json"
    write_json(record, {**json.loads(record.read_text()), "format": 2})
    queue = read_queue(store.folder, store.finished())
    assert queue.entries == {}
    assert "is not of this program" in queue.remarks[0]


def test_who_watches_asks_seldom_but_at_once_for_what_is_new() -> None:
    now, asked = [0.0], []

    def ask_slurm(jobs: object) -> Answer:
        asked.append(jobs)
        return Answer({})

    seldom = SeldomAsked(20.0, ask_slurm, lambda: now[0])
    for seconds, jobs in ((0, ["1", "2"]), (5, ["1"]), (19, ["2"]), (21, ["1"]), (22, ["1", "3"])):
        now[0] = seconds
        seldom(jobs)
    assert asked == [["1", "2"], ["1"], ["1", "3"]]


def test_the_output_of_a_run_s_newest_job_is_found(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:1])
    again = Slurm(store, Cluster())
    again.submit(store.plan(SPECS[:1]))
    first, second = read_submissions(store.folder)[0]
    for submission, job in ((first, "12"), (second, "13")):
        (submission.outputs / f"{job}_0_log.err").write_text("words")
    found = outputs_of(store.folder, SPECS[0].run_id)
    assert found == [second.outputs / "13_0_log.err"]
    result = CliRunner().invoke(
        main, ["logs", SPECS[0].run_id, "--results", str(store.results), "--plain"]
    )
    assert f"its job's own output: {found[0]}" in result.output
    assert outputs_of(store.folder, "0123456789ab") == []


def test_a_submission_is_closed_when_nobody_needs_it(tmp_path: Path, slurm: FakeSlurm) -> None:
    store, _ = submitted(tmp_path / "results", SPECS[:2])
    assert closed_submissions(store.folder, store.finished()) == []
    Slurm(store, Cluster()).submit(store.plan(SPECS[:1]))  # one of the two again
    first, second = read_submissions(store.folder)[0]
    assert closed_submissions(store.folder, store.finished()) == []
    for spec in SPECS[:2]:
        folder = RunFolder(store.run_folder(spec))
        folder.train_rows.write_text("")
        mark(folder, spec.run_id, "diverged", "it grew")
        wanted = [first.path, second.path] if spec is SPECS[1] else [second.path]
        assert closed_submissions(store.folder, store.finished()) == wanted
    with announced(store.folder, ["x"]):
        (living,) = set((store.folder / "submissions").iterdir()) - {*wanted}
        assert living not in closed_submissions(store.folder, store.finished())


def test_jobs_that_cannot_be_written_down_are_taken_back(
    tmp_path: Path, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(slurm_backend, "with_jobs", full)
    with pytest.raises(OSError, match="No space left"):
        submitted(tmp_path / "results", SPECS[:2])
    assert slurm.calls("scancel") == ["12_0 12_1"]


def test_among_runs_of_one_length_the_labels_take_turns_seed_by_seed(
    tmp_path: Path, slurm: FakeSlurm
) -> None:
    """As on this machine: a sweep that is cut short leaves whole comparisons."""
    specs = [
        tiny(seed=seed, label=label, **changes)
        for label, changes in (("a", {}), ("b", {"ema": 0.5}))
        for seed in (0, 1)
    ]
    store, _ = submitted(tmp_path / "results", specs)
    ((submission,), _) = read_submissions(store.folder)
    by_id = {spec.run_id: (spec.config.seed, spec.label) for spec in specs}
    sent = [by_id[run_id] for (run_id,) in submission.tasks]
    assert sent == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
