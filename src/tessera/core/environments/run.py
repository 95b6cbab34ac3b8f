"""Call functions in another virtual environment, in a process of its own."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, Self

import tessera
from tessera.core.errors import TesseraError
from tessera.core.job import terminal, use_terminal

Request = tuple[str, tuple[Any, ...], dict[str, Any]]  # a function and its arguments
SOURCES = Path(tessera.__file__).parents[1]


class Inside:
    """Calls functions in the Python of an environment, inside a `with` block: all in one process, which the first call starts.

    Its output goes to the log of the job, and messages of `tell` also to the terminal. It ends with the block, or with this
    process.
    """

    def __init__(self, environment: Path) -> None:
        """Prepare calls in `environment`. Raises `TesseraError` if there is no such environment."""
        self._python = Path(environment).absolute() / "bin" / "python"
        if not self._python.exists():
            raise TesseraError(f"{environment}: there is no environment here; remove this folder, and run again")
        self._opened = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def __call__(self, function: str, *values: Any, **arguments: Any) -> Any:
        """Call `function`, named as `package.module:name`, with `values` and `arguments`, and return its result.

        Both must be picklable, and `environment` must have the types of the arguments. `TesseraError` and `OSError` are raised
        here as they are, any other exception as a `RuntimeError` with its text. Raises `TesseraError` if the process ends
        without an answer.
        """
        process = self._process or self._start()
        try:
            _send(self._requests, (function, values, arguments))
            error, result = pickle.load(self._answers)  # noqa: S301 (of our own process)
        except EOFError:
            raise TesseraError(f"{function} {_end_of(process.wait())}; the log may say more") from None
        if error:
            raise error
        return result

    def _start(self) -> "subprocess.Popen[bytes]":
        descriptor, title = terminal()
        (requests, request), (answer, answers) = os.pipe(), os.pipe()
        # `-P` keeps the working folder off the module path: files in it must not be imported by accident.
        process = self._process = subprocess.Popen(
            [self._python, "-P", "-m", __name__, title, *map(str, (requests, answers, descriptor))],
            stdin=subprocess.DEVNULL,
            pass_fds=[requests, answers, descriptor],
            env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONNOUSERSITE": "1"},
        )
        os.close(requests)
        os.close(answers)
        self._requests, self._answers = os.fdopen(request, "wb"), os.fdopen(answer, "rb")
        for end in (self._requests.close, self._answers.close, process.wait, process.kill):
            self._opened.callback(end)
        return process


def run_inside(environment: Path, function: str, **arguments: Any) -> None:
    """Call `function` with `arguments` in the Python of `environment`; see `Inside`."""
    with Inside(environment) as call:
        call(function, **arguments)


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
    """Call the functions that `Inside` sends, and send back the error or None, and the result, of each."""
    # An interrupt also reaches the process that sends them, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_terminal(descriptor, title)
    coming: SimpleQueue[Request] = SimpleQueue()
    threading.Thread(target=_receive, args=[requests, coming], daemon=True).start()
    with os.fdopen(answers, "wb") as answered:
        while True:
            (name, values, arguments), error, result = coming.get(), None, None
            try:
                module, _, function = name.partition(":")
                result = getattr(import_module(module), function)(*values, **arguments)
            except BaseException as raised:
                traceback.print_exc()
                # The caller may not have the types of exceptions of libraries.
                is_system = isinstance(raised, OSError) and type(raised).__module__ == "builtins"
                is_known = isinstance(raised, TesseraError) or is_system
                error = raised if is_known else RuntimeError(f"{type(raised).__name__}: {raised}")
            sys.stdout.flush()
            sys.stderr.flush()
            _send(answered, (error, result))


def _receive(requests: int, coming: "SimpleQueue[Request]") -> None:
    """Put what comes from the pipe `requests` into the queue; end this process when the other end of the pipe is closed."""
    try:
        with os.fdopen(requests, "rb") as requested:
            while True:
                coming.put(pickle.load(requested))  # noqa: S301 (of our own process)
    except EOFError:
        pass
    except BaseException:  # of types that this environment does not have
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        # The exit handlers of libraries could only crash or delay the process.
        os._exit(1)


if __name__ == "__main__":
    _serve(sys.argv[1], *map(int, sys.argv[2:]))
