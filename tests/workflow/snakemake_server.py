"""A process that has imported Snakemake and large libraries, and forks for each run and each job.

A run of Snakemake takes a second to import what it needs, a job half a second, or three with PyTorch. Most of both is saved.
Each run and each job still has a process of its own, in which the same script runs.

It reads one request per line from standard input, as JSON, and answers with the exit status of the run. The settings of
Tessera are imported too; a run that uses a changed copy of Tessera forgets them. A job finds the run that it must end with by
looking for "snakemake" in the command lines of its parents; the name of this file satisfies that.
"""

import ast
import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

SOURCES = Path(__file__).parents[2] / "src"
# Their imports start no threads. The checks of pandera import hypothesis, if it is installed. Ultralytics is not among them: a
# job must prepare its import, see `offline`.
LIBRARIES = (
    "av cv2 matplotlib.pyplot numba numpy pandera.backends.polars.builtin_checks pandera.polars polars psutil pydantic"
    " scipy.optimize scipy.stats smart_open torch torchvision"
)


def main() -> None:
    """Serve requests until standard input ends."""
    # What is imported is not garbage, and runs of Snakemake make little.
    gc.set_threshold(100_000, 50, 50)
    from snakemake import cli

    # This imports the plugins too.
    cli.get_argument_parser()
    for library in LIBRARIES.split():
        importlib.import_module(library)
    sys.path.insert(0, str(SOURCES))
    importlib.import_module("tessera.configuration.read")
    sys.path.remove(str(SOURCES))
    # Each run parses the library for its digests of code. Only changed files are parsed again.
    ast.parse = functools.cache(ast.parse)
    for file in SOURCES.rglob("*.py"):
        ast.parse(file.read_text(encoding="utf-8"))
    # The garbage collector of a run need not look at any of this.
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(**json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    # Taken down in order, PyTorch would complain of itself.
    os._exit(0)


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str, timeout: int) -> None:
    """Run `python -m snakemake` in this process, in `folder`, with its output in the file `output`."""
    from snakemake import cli

    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    if environment.get("PYTHONPATH", str(SOURCES)) != str(SOURCES):
        for name in [name for name in sys.modules if name.partition(".")[0] == "tessera"]:
            del sys.modules[name]
    tempfile.tempdir = None
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, number in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(descriptor, number)
    status: Any = 0
    with forked_scripts():
        signal.alarm(timeout)
        sys.argv = ["snakemake", *arguments]
        try:
            cli.main(arguments)
        except SystemExit as ended:
            status = ended.code
    # To take down all that was imported would take longer, and PyTorch would complain.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


@contextlib.contextmanager
def forked_scripts() -> Iterator[None]:
    """Make Snakemake run scripts in forks of this process as it is now, instead of starting a Python for each.

    The forks come from a process without threads: after a fork, a lock that another thread held would never be released.
    """
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    requests, served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = os.fork()
    if server == 0:
        requests.close()
        serve_scripts(served)
    served.close()

    def execute_script(script: Any, path: str, edit: bool = False) -> None:
        ours, theirs = socket.socketpair()
        socket.send_fds(requests, [json.dumps({"path": path, "threads": script.threads}).encode()], [theirs.fileno()])
        theirs.close()
        with ours, ours.makefile() as answers:
            pid, record = int(answers.readline()), script.bench_record
            with benchmarked(pid, record) if record is not None else contextlib.nullcontext():
                status = int(answers.readline())
        if status:
            raise subprocess.CalledProcessError(status, [sys.executable, path])

    PythonScript.execute_script = execute_script
    try:
        yield
    finally:
        requests.close()
        os.waitpid(server, 0)


def serve_scripts(requests: socket.socket) -> NoReturn:
    """Fork for each script that is named by `requests`, and end when there are no more.

    With its name comes a socket. The process id of the script and its exit status are written to it. The process id stays
    valid until the other end is closed, because the resources of a script are measured even if it has ended already.
    """
    scripts: dict[
        int, tuple[int, int]
    ] = {}  # the process and the socket, by what is waited for: its end, then that of the socket
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    while True:
        for waited, _ in poll.poll():
            if waited == requests.fileno():
                received = socket.recv_fds(requests, 1 << 16, 1)
                if not received[0]:
                    # If the run was killed, this ends its jobs: they watch their parents.
                    os._exit(0)
                request, (answers,) = received[:2]
                pid = os.fork()
                if pid == 0:
                    requests.close()
                    for descriptor in {answers, *scripts, *(answer for _, answer in scripts.values())}:
                        os.close(descriptor)
                    run_script(**json.loads(request))
                os.write(answers, b"%d\n" % pid)
                descriptor = os.pidfd_open(pid)
                scripts[descriptor] = pid, answers
                poll.register(descriptor, select.POLLIN)
                continue
            poll.unregister(waited)
            pid, answers = scripts.pop(waited)
            if waited == answers:
                os.waitpid(pid, 0)
            else:
                ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                assert ended
                os.write(answers, b"%d\n" % (ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
                scripts[answers] = pid, answers
                poll.register(answers, select.POLLIN)
            os.close(waited)


def run_script(path: str, threads: int) -> NoReturn:
    """Do in this process what `python path` does for a job with so many `threads`."""
    import torch

    # PyTorch has read OMP_NUM_THREADS, by which the job would limit it.
    torch.set_num_threads(threads)
    sys.argv = [path]
    sys.path[0] = str(Path(path).parent)
    runpy.run_path(path, run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main()
