"""Work that is done in an environment of its own, by a process there."""

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
from tessera.core.job import tell_for, terminal

SOURCES = Path(tessera.__file__).parents[1]


def run_inside(environment: Path, function: str, **arguments: Any) -> None:
    """Call `function`, named as `package.module:name`, with `arguments` in the Python of `environment`.

    What it prints goes to the log of the job, what it tells to the terminal too; it ends when this process does. The arguments
    are anything that pickle takes and whose type is known there. A `TesseraError` or an `OSError` that it raises is raised
    here, and of any other exception a `RuntimeError` with its text; `TesseraError` where its process ends without an answer.
    """
    python = Path(environment).absolute() / "bin" / "python"
    if not python.exists():
        raise TesseraError(f"{environment}: there is no environment; remove what is there, and run again")
    descriptor, title = terminal()
    (requests, request), (answer, answers) = os.pipe(), os.pipe()
    # Without the folder that it runs in: what lies there by chance is no module.
    process = subprocess.Popen(
        [python, "-P", "-m", __name__, title, *map(str, (requests, answers, descriptor))],
        stdin=subprocess.DEVNULL,
        pass_fds=[requests, answers, descriptor],
        env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONNOUSERSITE": "1"},
    )
    os.close(requests)
    os.close(answers)
    # The pipe stays open for as long as this process lives, and wants the answer.
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
    """Return what became of a process that ended with `code`."""
    if code >= 0:
        return f"ended with the status {code}"
    hint = ", as where the memory does not suffice" if code == -signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"


def _send(pipe: IO[bytes], message: Any) -> None:
    try:
        pickle.dump(message, pipe)
        pipe.flush()
    except BrokenPipeError:
        pass  # Its process is gone; what is read from it, or its status, says why.


def _serve(title: str, requests: int, answers: int, descriptor: int) -> None:
    """Do what `run_inside` asks of this process, answer with the error or None, and end."""
    # The process that asks is told of an interrupt as well, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell_for(descriptor, title)
    requested = os.fdopen(requests, "rb")
    name, arguments = pickle.load(requested)  # noqa: S301 (of our own process)
    threading.Thread(target=_end_with, args=[requested], daemon=True).start()
    error: BaseException | None = None
    try:
        module, _, function = name.partition(":")
        getattr(import_module(module), function)(**arguments)
    except BaseException as raised:
        traceback.print_exc()
        # Of what libraries raise, the type may not be known to who asked.
        is_known = isinstance(raised, TesseraError) or (isinstance(raised, OSError) and type(raised).__module__ == "builtins")
        error = raised if is_known else RuntimeError(f"{type(raised).__name__}: {raised}")
    with os.fdopen(answers, "wb") as answered:
        pickle.dump(error, answered)
    sys.stdout.flush()
    sys.stderr.flush()
    # What libraries do at a plain exit can only crash it, or hold it up.
    os._exit(0)


def _end_with(pipe: IO[bytes]) -> None:
    """End this process when `pipe` is closed, at which its other end is gone."""
    pipe.read()
    os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
