"""A Slurm cluster of one node on this machine: munge, slurmctld and slurmd, from their configuration to their end.

This file is also the program that the daemons are children of. It ends them, and every process of every job, as soon as its
standard input ends: so nothing is left when the process that wanted the cluster is killed.
"""

import ctypes
import getpass
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue"
SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/sbin"  # programs for administrators, which the path of a user may leave out
SECONDS = 60  # that the cluster may take to start
DEVICES = "/dev/null", "/dev/zero"  # what Slurm takes for GPUs: it wants a device for each
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

CONFIGURATION = """\
ClusterName=tessera
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# A container may not have control groups, so the processes of a job are found by their parents.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
# A job that uses more memory than it requested is killed.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=5
KillWait=5
# Seconds for which a job that ended is known.
MinJobAge=3600
ReturnToService=2
GresTypes=gpu
# The node may have more than the machine, so that a job of eight threads starts on a machine of two cores.
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES
PartitionName=gpu Nodes={host}
"""


def missing_programs() -> list[str]:
    """Return the programs of Slurm and munge that are not installed on this machine."""
    return [program for program in PROGRAMS if not _found(program)]


@contextmanager
def cluster(folder: Path, cpus: int = 16, memory: int = 128_000) -> Iterator[dict[str, str]]:
    """Run a cluster inside the block; yield the environment variables with which Slurm's commands find it.

    Its only node has `cpus` cores, `memory` MB and two GPUs, whatever the machine has. Everything lies in the new folder
    `folder`, whose path must be short, because it contains sockets. At the end of the block, all jobs and daemons are killed.
    """
    for name in ("munge", "state", "spool", "bin"):
        (folder / name).mkdir(mode=0o700, parents=True)
    host = socket.gethostname().split(".")[0]
    values = {"folder": folder, "host": host, "user": getpass.getuser(), "cpus": cpus, "memory": memory, "gpus": len(DEVICES)}
    ports = dict(zip(("control_port", "node_port"), _free_ports(2), strict=True))
    configuration = folder / "slurm.conf"
    configuration.write_text(CONFIGURATION.format(**values, **ports))
    (folder / "gres.conf").write_text("".join(f"Name=gpu File={device}\n" for device in DEVICES))
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    # Inside a job, Snakemake's executor removes the variables of Slurm, also the one that names this configuration.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={configuration} exec {_found("srun")} "$@"\n')
    srun.chmod(0o755)
    environment = {"SLURM_CONF": str(configuration), "PATH": f"{srun.parent}:{os.environ['PATH']}"}

    command = [sys.executable, __file__, str(folder), host]
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin and process.stdout
        try:
            if process.stdout.readline() != b"ready\n":
                logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in sorted(folder.rglob("*.log")))
                raise RuntimeError(f"the cluster did not start\n{logs}")
            yield environment
        finally:
            process.stdin.close()


def main(folder: Path, host: str) -> None:
    """Start the daemons of the cluster in `folder`, print "ready", and kill everything when standard input ends."""
    # The processes of jobs leave their parents. They become children of this one.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    munge = folder / "munge"
    paths = {"key": "key", "socket": "socket", "pid": "munged.pid", "log": "munged.log", "seed": "seed"}
    names = {"socket": "--socket", **{name: f"--{name}-file" for name in ("key", "pid", "log", "seed")}}
    try:
        start(["munged", "--foreground", "--force", *(f"{names[name]}={munge / path}" for name, path in paths.items())], folder)
        wait(lambda: (munge / "socket").exists())
        start(["slurmctld", "-D", "-i"], folder)
        start(["slurmd", "-D", "-N", host], folder)
        wait(lambda: "idle" in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], 0.2)[0]:
            reap()
    finally:
        while children := psutil.Process().children(recursive=True):
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            reap()
            time.sleep(0.05)


def start(command: list[str], folder: Path) -> None:
    """Start a daemon, with its output in `folder`."""
    with (folder / f"{command[0]}.out.log").open("wb") as output:
        subprocess.Popen([str(_found(command[0])), *command[1:]], stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def wait(is_ready: Callable[[], bool]) -> None:
    """Return when `is_ready` returns true; raise `TimeoutError` after `SECONDS`."""
    end = time.monotonic() + SECONDS
    while not is_ready():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready after {SECONDS} seconds")
        time.sleep(0.2)


def reap() -> None:
    """Remove children that have ended from the table of processes."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in opened:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in opened]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
