"""SLURM: whether its commands are here and its servers answer, for --backend slurm only.

Nothing found here is a failure: runs train on this machine without it.
"""

from __future__ import annotations

import getpass
import importlib.util
import shutil
from collections import Counter
from importlib import metadata

from bench.doctor.check import OK, WARN, Answer, Check, ask

_COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "sinfo")
_ANSWER_SECONDS = 10.0
_AGAIN = "wait a minute and try again, then ask those who run the cluster"
_NOT_ANSWERING = f"--backend slurm does not work until it does: {_AGAIN}"
_UNCONFIGURED = "configuration source"  # of the message of commands that know no cluster


def check_slurm() -> list[Check]:
    """The commands, the controller, the queue, the accounting, and submitit."""
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if len(missing) == len(_COMMANDS):
        found = "not installed: --backend slurm is not available here"
        return [Check("SLURM", OK, found)]
    checks = []
    if missing:
        advice = "put SLURM's commands on the PATH; its client package holds all of them"
        checks.append(Check("SLURM", WARN, f"not on the PATH: {', '.join(missing)}", advice))
    if "sinfo" not in missing:
        answer = ask(["sinfo", "-h", "-o", "%R|%a|%D|%t"], _ANSWER_SECONDS)
        checks.append(_check_partitions(answer))
        if answer.code != 0:
            missing.append("squeue")  # which asks the same server
        if _UNCONFIGURED in answer.errors:
            return checks
    if "squeue" not in missing:
        user = getpass.getuser()
        words = ["squeue", "-h", "-r", "-u", user, "-o", "%T"]
        checks.append(_check_queue(ask(words, _ANSWER_SECONDS), user))
    if "sacct" not in missing:
        words = ["sacct", "-n", "-X", "-P", "-o", "JobID", "-S", "now-1minutes"]
        checks.append(_check_accounting(ask(words, _ANSWER_SECONDS)))
    return [*checks, _check_submitit()]


def _check_partitions(answer: Answer) -> Check:
    if answer.code != 0:
        advice = _NOT_ANSWERING
        if _UNCONFIGURED in answer.errors:
            advice = "its commands know no cluster: set SLURM_CONF, or work on its login node"
        return Check("SLURM", WARN, _said("sinfo", answer), advice)
    nodes: dict[str, Counter[str]] = {}
    down = set()
    for line in answer.output.splitlines():
        name, up, count, state = [*line.strip().split("|"), "", "", ""][:4]
        nodes.setdefault(name, Counter())[state] += int(count) if count.isdigit() else 0
        if up != "up":
            down.add(name)
    told = [
        f"{name} ({'down' if name in down else ', '.join(f'{n} {s}' for s, n in states.items())})"
        for name, states in nodes.items()
    ]
    if not nodes or len(down) == len(nodes):
        advice = "no partition takes jobs now: ask those who run the cluster"
        return Check("SLURM", WARN, f"partitions: {', '.join(told) or 'none'}", advice)
    return Check("SLURM", OK, f"partitions: {', '.join(told)}")


def _check_queue(answer: Answer, user: str) -> Check:
    if answer.code != 0:
        return Check("SLURM queue", WARN, _said("squeue", answer), _NOT_ANSWERING)
    states = Counter(answer.output.split())
    told = ", ".join(f"{count:,} {state.lower()}" for state, count in states.items())
    return Check("SLURM queue", OK, f"jobs of {user}: {told or 'none'}")


def _check_accounting(answer: Answer) -> Check:
    """Without it nobody can say how a job ended that has left the queue."""
    if answer.code == 0:
        return Check("SLURM accounting", OK, "sacct answers")
    off = "disabled" in (answer.errors + answer.output).lower()
    advice = (
        "how jobs have ended is then read from their run folders alone: have accounting "
        "(slurmdbd) switched on, if you can"
        if off
        else f"--backend slurm cannot tell how jobs ended until it answers: {_AGAIN}"
    )
    return Check("SLURM accounting", WARN, _said("sacct", answer), advice)


def _said(command: str, answer: Answer) -> str:
    """The command and its complaint, which begins with the command or does not."""
    return f"{command}: {answer.why.removeprefix(f'{command}: ')}"


def _check_submitit() -> Check:
    if importlib.util.find_spec("submitit") is None:
        advice = "pip install 'wgan-bench[slurm]'"
        return Check("submitit", WARN, "not installed, and --backend slurm needs it", advice)
    return Check("submitit", OK, metadata.version("submitit"))
