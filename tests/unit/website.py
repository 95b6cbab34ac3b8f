"""A web server on this machine, with pages that tests give it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    path: str
    agent: str
    key: str
    time: float


class Page(NamedTuple):
    """What the server sends: a status, a body, further headers; and the length that it states, None for the true one."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012
    stated: int | None = None


Answer = Page | Callable[["Handler"], Page | None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: "Server"

    def do_GET(self) -> None:
        headers = self.headers
        request = Request(self.path, headers.get("User-Agent", ""), headers.get("X-Api-Key", ""), time.monotonic())
        self.server.requests.append(request)
        answer = self.server.pages.get(self.path.partition("?")[0], Page(status=404))
        page = answer(self) if callable(answer) else answer
        if page is not None:
            self.send_page(page)

    def send_page(self, page: Page) -> None:
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page.body) if page.stated is None else page.stated))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(page.body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Answer] = {}
        self.requests: list[Request] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self) -> list[str]:
        """Return the paths that were asked for, without robots.txt, in order."""
        return [request.path for request in self.requests if request.path != "/robots.txt"]


@contextmanager
def website() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
