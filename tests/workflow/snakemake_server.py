"""A process that has imported Snakemake and large libraries, and forks for each run and each job.

A run of Snakemake takes a second to import what it needs, a job half a second, or three with PyTorch. Most of both is saved.
Each run and each job still has a process of its own, in which the same script runs. A fork takes the longer the more memory its
process has, and PyTorch has more than all the rest. So the jobs that may use it are forks of a second process, and only that
one has imported it.

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
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, BinaryIO, NoReturn

SOURCES = Path(__file__).parents[2] / "src"
SCRIPTS = SOURCES.parent / "workflow" / "scripts"
# Their imports start no threads. The checks of pandera import hypothesis, if it is installed. Ultralytics and ONNX Runtime are
# not among them: a job must prepare their import, see `offline`.
LIBRARIES = (
    "av cv2 matplotlib.pyplot nbformat numba numpy pandera.backends.polars.builtin_checks pandera.polars polars"
    " psutil pydantic rich scipy.optimize scipy.stats smart_open"
)
PYTORCH = ("torch", "torchvision")
USE_PYTORCH = {*PYTORCH, "ultralytics"}
MESSAGE = 1 << 16  # bytes of the longest message between two processes


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
    light = light_scripts()
    rules = Rules()
    # The garbage collectors of forks need not look at what is imported.
    gc.freeze()
    pytorch, served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        pytorch.close()
        serve_runs(served)
    served.close()
    for line in sys.stdin:
        with tempfile.TemporaryFile() as learned:
            pid = os.fork()
            if pid == 0:
                run(**json.loads(line), light=light, pytorch=pytorch, rules=rules, learned=learned)
            _, status = os.waitpid(pid, 0)
            if os.WIFEXITED(status):
                rules.learn(learned)
        print(os.waitstatus_to_exitcode(status), flush=True)
    # Those that have PyTorch end when this socket closes.
    os._exit(0)


def light_scripts() -> set[str]:
    """Return the names of the scripts of rules that cannot reach PyTorch, by the imports of all modules that they reach."""
    files = {".".join(path.relative_to(SOURCES).with_suffix("").parts): path for path in SOURCES.rglob("*.py")}

    @functools.cache
    def imports(path: Path) -> set[str]:
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return names

    def reached(script: Path) -> set[str]:
        found: set[str] = set()
        left = imports(script)
        while left:
            found |= left
            left = set().union(*(imports(files[name]) for name in left & files.keys())) - found
        return {name.partition(".")[0] for name in found}

    return {script.stem for script in SCRIPTS.glob("*.py") if not reached(script) & USE_PYTORCH}


class Rules:
    """What Snakemake makes of files with rules. A run learns what no run before it has met.

    Snakemake translates such a file to Python, which takes longer than all else that most runs do.
    """

    def __init__(self) -> None:
        from snakemake import parser, workflow

        self._known: dict[tuple[Any, ...], Any] = {}
        self._new: dict[tuple[Any, ...], Any] = {}
        self._parse = parser.parse
        workflow.parse = self._parsed
        workflow.compile = self._compiled

    def tell(self, file: BinaryIO) -> None:
        """Write what this run has learned to `file`."""
        marshal.dump(self._new, file)
        file.flush()

    def learn(self, file: BinaryIO) -> None:
        """Add what a run, which shares `file` and has ended, wrote to it."""
        file.seek(0)
        self._known |= marshal.load(file)

    def _remembered(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = self._new[key] = make()
        return self._known[key]

    def _parsed(self, path: Any, workflow: Any, linemap: dict[int, int], rulecount: int) -> tuple[str, int]:
        """Do what `snakemake.parser.parse` does, for any file."""

        def parse() -> tuple[str, int, dict[int, int]]:
            lines: dict[int, int] = {}
            return *self._parse(path, workflow, linemap=lines, rulecount=rulecount), lines

        with workflow.sourcecache.open(path) as file:
            text, count, lines = self._remembered((path.get_path_or_uri(secret_free=True), file.read(), rulecount), parse)
        linemap |= lines
        return text, count

    def _compiled(self, text: str, path: str, mode: str) -> CodeType:
        """Do what `compile` does, for any text."""
        return self._remembered((path, text), lambda: compile(text, path, mode))


def serve_runs(runs: socket.socket) -> NoReturn:
    """Fork for each of `runs` to serve its scripts, and end when there are no more. The first one has PyTorch imported.

    With a run comes a socket that names its scripts, see `serve_scripts`, and the file of its output.
    """
    while True:
        message, descriptors = socket.recv_fds(runs, MESSAGE, 2)[:2]
        if not message:
            os._exit(0)
        if PYTORCH[0] not in sys.modules:
            for library in PYTORCH:
                importlib.import_module(library)
            gc.freeze()
        if os.fork() == 0:
            runs.close()
            requests, output = descriptors
            enter(**json.loads(message), output=output)
            serve_scripts(socket.socket(fileno=requests))
        for descriptor in descriptors:
            os.close(descriptor)
        # Those that have ended.
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def enter(folder: str, environment: dict[str, str], output: int) -> None:
    """Make this process one in `folder`, with nothing but this `environment`, that prints to the descriptor `output`."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    own = Path(environment.get("PYTHONPATH", SOURCES))
    if own != SOURCES and texts(own) != texts(SOURCES):
        for name in [name for name in sys.modules if name.partition(".")[0] == "tessera"]:
            del sys.modules[name]
    tempfile.tempdir = None
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, number)


def texts(folder: Path) -> dict[Path, bytes]:
    """Return the modules below `folder`."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.py")}


def run(
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    output: str,
    timeout: int,
    light: Collection[str],
    pytorch: socket.socket,
    rules: Rules,
    learned: BinaryIO,
) -> NoReturn:
    """Run `python -m snakemake` in this process, in `folder`, with its output in the file `output`.

    The names of the scripts that do not use PyTorch are `light`. `pytorch` leads to `serve_runs`. What it learns of rules is
    written to `learned`.
    """
    from snakemake import cli

    enter(folder, environment, os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))

    def serve_with_pytorch(served: socket.socket) -> None:
        message = json.dumps({"folder": folder, "environment": environment}).encode()
        socket.send_fds(pytorch, [message], [served.fileno(), 1])

    status: Any = 0
    with forked_scripts(light, serve_with_pytorch):
        signal.alarm(timeout)
        sys.argv = ["snakemake", *arguments]
        try:
            cli.main(arguments)
        except SystemExit as ended:
            status = ended.code
    rules.tell(learned)
    # To take down all that was imported would take longer.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


@contextlib.contextmanager
def forked_scripts(light: Collection[str], serve_with_pytorch: Callable[[socket.socket], None]) -> Iterator[None]:
    """Make Snakemake run scripts in forks of this process as it is now, instead of starting a Python for each.

    Scripts that are not `light` are forks of another process, which `serve_with_pytorch` asks to serve a socket. The forks come
    from processes without threads: after a fork, a lock that another thread held would never be released.
    """
    import psutil
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    requests, served = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = os.fork()
    if server == 0:
        requests.close()
        serve_scripts(served)
    served.close()
    lock = threading.Lock()
    heavy: list[socket.socket] = []  # that to the scripts with PyTorch, if one has run

    def execute_script(script: Any, path: str, edit: bool = False) -> None:
        # Snakemake puts a random name before that of the script.
        is_light = Path(path).stem.partition(".")[2] in light
        with lock:
            if not is_light and not heavy:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                serve_with_pytorch(theirs)
                theirs.close()
                heavy.append(ours)
        ours, theirs = socket.socketpair()
        message = json.dumps({"path": path, "threads": script.threads}).encode()
        socket.send_fds(requests if is_light else heavy[0], [message], [theirs.fileno()])
        theirs.close()
        with ours, ours.makefile() as answers:
            pid, record = int(answers.readline()), script.bench_record
            with benchmarked(pid, record) if record is not None else contextlib.nullcontext():
                status = int(answers.readline())
        if status:
            raise subprocess.CalledProcessError(status, [sys.executable, path])

    def memory_full_info(process: psutil.Process) -> SimpleNamespace:
        # What a process shares with others is counted page by page, which takes as long as a fork. Tessera does not read it.
        info = process.memory_info()
        return SimpleNamespace(rss=info.rss, vms=info.vms, uss=info.rss, pss=info.rss)

    PythonScript.execute_script = execute_script
    psutil.Process.memory_full_info = memory_full_info
    try:
        yield
    finally:
        for each in (requests, *heavy):
            each.close()
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
                received = socket.recv_fds(requests, MESSAGE, 1)
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
    if torch := sys.modules.get("torch"):
        # PyTorch has read OMP_NUM_THREADS, by which the job would limit it.
        torch.set_num_threads(threads)
    sys.argv = [path]
    sys.path[0] = str(Path(path).parent)
    runpy.run_path(path, run_name="__main__")
    sys.exit()


if __name__ == "__main__":
    main()
