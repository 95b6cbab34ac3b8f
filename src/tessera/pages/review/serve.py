"""Serve the review page until Ctrl-C: `python -m tessera.pages.review.serve results/review/items.parquet`."""

import argparse
import fcntl
import getpass
import os
import resource
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tessera.core.errors import TesseraError
from tessera.pages.review.server import make_app
from tessera.pages.review.state import Review

HOST = "127.0.0.1"
FILES = 16_384  # open at a time
LOCK = "lock"  # file in the folder of the items that the server holds


def main() -> None:
    """Serve the page, and end with the exit status 0 on Ctrl-C, or 1 if it cannot be served."""
    parser = argparse.ArgumentParser(description="Serve the review page on this machine alone, until Ctrl-C.")
    parser.add_argument("table", type=Path, help="results/review/items.parquet, which `snakemake gather_review` makes")
    parser.add_argument("--port", type=int, default=0, help="port on loopback; 0: any that is free")
    parser.add_argument("--who", default="", help="who decides; by default the user name that git knows, or of the system")
    arguments = parser.parse_args()
    try:
        serve(arguments.table, arguments.port, arguments.who or user())
    except TesseraError as error:
        sys.exit(f"review: {error}")


def serve(table: Path, port: int, who: str) -> None:
    """Serve the items in `table` on `port` of loopback, with decisions of the person `who`, until an interrupt.

    Raises `TesseraError` if the items are missing, the port is in use, or another server serves them.
    """
    if not table.is_file():
        raise TesseraError(f"{table} is not there; run `snakemake … -- gather_review` first, or `make review`")
    folder = table.parent
    # Each request has a file open, and each browser several.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    with sole_server(folder) as lock, listening(port) as listener:
        number = listener.getsockname()[1]
        token = secrets.token_urlsafe(16)
        address = f"http://{HOST}:{number}/{token}/"
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()}, port {number}\n".encode())
        app = make_app(Review(folder, who), token, lambda: {f"{HOST}:{number}", f"localhost:{number}"})
        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
        Server(config, f"Review as {who!r}: {address}\nCtrl-C ends it.").run(sockets=[listener])
    print("The review page has ended; all decisions are saved.", flush=True)


class Server(uvicorn.Server):
    """A server that prints `message` as soon as it serves, and ends with Ctrl-C as if nothing had happened."""

    def __init__(self, config: uvicorn.Config, message: str) -> None:
        super().__init__(config)
        self._message = message

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve `sockets`. From before that on, the server takes Ctrl-C."""
        await super().startup(sockets)
        print(self._message, flush=True)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """End at once: what is not answered yet is not saved, and the page says so."""
        self.should_exit = self.force_exit = True


@contextmanager
def sole_server(folder: Path) -> Iterator[int]:
    """Hold the lock of `folder` inside the block. Raises `TesseraError` if another server has it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    except BlockingIOError:
        other = os.read(descriptor, 100).decode(errors="replace").strip()
        raise TesseraError(f"another review page serves {folder} ({other}); use that one, or end it") from None
    finally:
        os.close(descriptor)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens on `port` of loopback. Raises `TesseraError` if the port cannot be used."""
    # Without the protocol, asyncio does not send the rest of an answer before its head is acknowledged, which takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise TesseraError(f"port {port} cannot be used ({error}); leave `--port` out, or give another") from None
        listener.listen(1024)
        yield listener


def user() -> str:
    """Return the name that git knows of the user, or else that of the system."""
    try:
        asked = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        asked = ""
    try:
        return asked or getpass.getuser()
    except (KeyError, OSError):
        raise TesseraError("the system does not know who you are; state it with `--who`") from None


if __name__ == "__main__":
    main()
