"""Call functions in another virtual environment, in a process of its own."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import tessera
from tessera.core.errors import TesseraError
from tessera.core.job import terminal, use_terminal

SOURCES = Path(tessera.__file__).parents[1]


def run_inside(environment: Path, function: str, **arguments: Any) -> None:
    """Call `function`, named as `package.module:name`, with `arguments` in the Python of `environment`.

    Its output goes to the log of the job, and messages of `tell` also to the terminal. Its process ends when this one ends.
    The arguments must be picklable, and `environment` must have their types. `TesseraError` and `OSError` are raised here as
    they are, any other exception as a `RuntimeError` with its text. Raises `TesseraError` if there is no such environment, or
    if its process ends without an answer.
    """
    python = Path(environment).absolute() / "bin" / "python"
    if not python.exists():
        raise TesseraError(f"{environment}: there is no environment here; remove this folder, and run again")
    descriptor, title = terminal()
    (requests, request), (answer, answers) = os.pipe(), os.pipe()
    # `-P` keeps the working folder off the module path: files in it must not be imported by accident.
    process = subprocess.Popen(
        [python, "-P", "-m", __name__, title, *map(str, (requests, answers, descriptor))],
        stdin=subprocess.DEVNULL,
        pass_fds=[requests, answers, descriptor],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONNOUSERSITE": "1"},
    )
    os.close(requests)
    os.close(answers)
    # The other process ends itself when this pipe is closed, so it stays open until the answer is read.
    with os.fdopen(request, "wb") as requested, os.fdopen(answer, "rb") as answered:
        try:
            _send(requested, (function, arguments))
            error = pickle.load(answered)  # noqa: S301 (of our own process)
        except EOFError:
            error = TesseraError(f"{function} {_end_of(process.wait())}; the log may say more")
        finally:
            process.kill()
            process.wait()
    if error:
        raise error


def _end_of(code: int) -> str:
    """Return how a process with the return code `code` ended, for a message."""
    if code >= 0:
        return f"ended with the status {code}"
    hint = ", as where the memory does not suffice" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


def _send(pipe: IO[bytes], message: Any) -> None:
    try:
        pickle.dump(message, pipe)
        pipe.flush()
    except BrokenPipeError:
        pass  # The process is gone. Its answer or its status says why.


def _serve(title: str, requests: int, answers: int, descriptor: int) -> None:
    """Call the function that `run_inside` sends, send back the error or None, and end this process."""
    # An interrupt also reaches the process that called `run_inside`, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_terminal(descriptor, title)
    requested = os.fdopen(requests, "rb")
    name, arguments = pickle.load(requested)  # noqa: S301 (of our own process)
    threading.Thread(target=_end_with, args=[requested], daemon=True).start()
    error: BaseException | None = None
    try:
        module, _, function = name.partition(":")
        getattr(import_module(module), function)(**arguments)
    except BaseException as raised:
        traceback.print_exc()
        # The caller may not have the types of exceptions of libraries.
        is_known = isinstance(raised, TesseraError) or (isinstance(raised, OSError) and type(raised).__module__ == "builtins")
        error = raised if is_known else RuntimeError(f"{type(raised).__name__}: {raised}")
    with os.fdopen(answers, "wb") as answered:
        pickle.dump(error, answered)
    sys.stdout.flush()
    sys.stderr.flush()
    # The exit handlers of libraries could only crash or delay the process.
    os._exit(0)


def _end_with(pipe: IO[bytes]) -> None:
    """End this process when the other end of `pipe` is closed."""
    pipe.read()
    os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
