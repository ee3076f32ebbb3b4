"""The settings of the test cluster: two nodes on this host, everything on 127.0.0.1.

Each setting that differs from SLURM's default is there so that a fault shows within seconds, or so
that no system service and no cgroup is needed.
"""

from __future__ import annotations

import os
import pwd
import socket
import zlib
from dataclasses import dataclass
from pathlib import Path

from tests.slurm.processes import ClusterError

NODES = ("n1", "n2")
ADDRESS = "127.0.0.1"
CORES = 2  # each node claims them, whatever the host has
ARRAY_LIMIT = 11  # tasks of one job array at most
GRACE_SECONDS = 10  # between the signal of a preemption and the kill
KILL_SECONDS = 10  # between a time-out's TERM and its KILL
REQUEUE_SECONDS = 10  # a requeued job may start after about this long
NODE_SECONDS = 15  # a node that does not answer is down after about this long

_FIRST_PORT, _LAST_PORT = 20_000, 32_000  # below those that Linux gives to outgoing connections

_SLURM = """\
ClusterName=wgan
SlurmctldHost={host}({address})
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# What a requeued job waits is the life of its old credential.
AuthInfo=socket={run}/munge.socket,cred_expire={requeue}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller}
SlurmctldPidFile={run}/slurmctld.pid
SlurmctldLogFile={log}/slurmctld.log
SlurmdPidFile={run}/slurmd.%n.pid
SlurmdLogFile={log}/slurmd.%n.log
SlurmdSpoolDir={state}/spool/%n
StateSaveLocation={state}/controller
MailProg=/bin/true
PropagateResourceLimits=NONE

# No cgroups: a container has none to give.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=10

AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={address}
AccountingStoragePort={accounting}
AccountingStoragePass={run}/munge.socket
AccountingStorageEnforce=associations
JobCompType=jobcomp/none

SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=512
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MaxArraySize={array_limit}
OverTimeLimit=0
KillWait={kill}

SlurmctldTimeout=10
SlurmdTimeout={node}
SlurmdParameters=config_overrides
ReturnToService=2
GresTypes=gpu

{nodes}
PartitionName=DEFAULT Nodes=ALL DefaultTime=60 MaxTime=INFINITE State=UP
PartitionName=main Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=urgent PriorityTier=10 PreemptMode=OFF
"""

_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr={address} Port={port} "
    "CPUs={cores} RealMemory=8192 Gres=gpu:1"
)

_ACCOUNTING = """\
DbdHost=localhost
DbdAddr={address}
DbdPort={accounting}
SlurmUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge.socket
CommunicationParameters=NoInAddrAny
PidFile={run}/slurmdbd.pid
LogFile={log}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost={address}
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

# Small: the accounting of some hundred jobs, on a machine that has other work.
_DATABASE = """\
[client]
socket={run}/mariadb.socket
user={user}

[mysqld]
user={user}
datadir={state}/database
socket={run}/mariadb.socket
pid-file={run}/mariadb.pid
bind-address={address}
port={database}
skip-name-resolve
skip-log-bin
innodb-buffer-pool-size=32M
innodb-log-file-size=16M
innodb-flush-log-at-trx-commit=0
innodb-lock-wait-timeout=900
key-buffer-size=1M
performance-schema=OFF
max-connections=30
"""

# SLURM counts GPUs by their device files. This one is no GPU: jobs get CUDA_VISIBLE_DEVICES=0.
_GPUS = "Name=gpu File=/dev/null\n"


@dataclass(frozen=True)
class Ports:
    """Where the daemons listen."""

    database: int
    accounting: int
    controller: int
    nodes: tuple[int, ...]


def user_name() -> str:
    """Who runs this process, whatever the environment says."""
    return pwd.getpwuid(os.getuid()).pw_name


def host_name() -> str:
    """This host's short name.

    Raises:
        ClusterError: the name stands for another address than 127.0.0.1. SLURM listens where its
            host's name leads, and srun is called back at 127.0.0.1, so that 127.0.1.1 serves not.
    """
    host = socket.gethostname().partition(".")[0]
    try:
        address = socket.gethostbyname(host)
    except OSError:
        address = "no address"
    if address != ADDRESS:
        raise ClusterError(
            f"the test cluster listens on {ADDRESS} only, but this host's name, {host}, stands for "
            f"{address}; add the line '{ADDRESS} {host}' to the top of /etc/hosts"
        )
    return host


def free_ports(state: Path) -> Ports:
    """Ports that nobody uses now, sought from a place that differs between state directories."""
    start = zlib.crc32(str(state).encode()) % (_LAST_PORT - _FIRST_PORT)
    order = (*range(start, _LAST_PORT - _FIRST_PORT), *range(start))
    free = (_FIRST_PORT + offset for offset in order if _is_free(_FIRST_PORT + offset))
    database, accounting, controller, *nodes = (next(free) for _ in range(3 + len(NODES)))
    return Ports(database, accounting, controller, tuple(nodes))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def write_settings(state: Path, ports: Ports, password: str) -> None:
    """Write slurm.conf, slurmdbd.conf, gres.conf and mariadb.conf.

    Args:
        state: the directory of the cluster, in which `run` and `log` lie.
        ports: where the daemons listen.
        password: of the accounting's user in the database.

    Raises:
        ClusterError: this host's name does not stand for 127.0.0.1.
    """
    words = {
        "host": host_name(),
        "address": ADDRESS,
        "user": user_name(),
        "password": password,
        "state": state,
        "run": state / "run",
        "log": state / "log",
        "database": ports.database,
        "accounting": ports.accounting,
        "controller": ports.controller,
        "array_limit": ARRAY_LIMIT,
        "grace": GRACE_SECONDS,
        "kill": KILL_SECONDS,
        "node": NODE_SECONDS,
        "requeue": REQUEUE_SECONDS,
    }
    nodes = [
        _NODE.format(name=name, port=port, cores=CORES, **words)
        for name, port in zip(NODES, ports.nodes, strict=True)
    ]
    _write(state / "slurm.conf", _SLURM.format(nodes="\n".join(nodes), **words))
    _write(state / "slurmdbd.conf", _ACCOUNTING.format(**words))
    _write(state / "gres.conf", _GPUS)
    _write(state / "mariadb.conf", _DATABASE.format(**words))


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)  # slurmdbd refuses a file that others can read
    path.write_text(text)
