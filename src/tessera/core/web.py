"""Read from the web, over HTTP and HTTPS alone, and within limits."""

import hashlib
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from ipaddress import IPv6Address, ip_address
from threading import Timer
from typing import IO, Any, Self
from urllib.error import URLError
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from tessera.core.errors import Failed

CHUNK = 1 << 20  # bytes


def is_web_address(text: str) -> bool:
    """Return whether `text` starts like an address of HTTP or HTTPS."""
    return text.lower().startswith(("https://", "http://"))


def open_address(
    address: str,
    timeout: float,
    headers: Mapping[str, str] | None = None,
    followed: Callable[[str, str], None] | None = None,
    connected: Callable[[socket.socket], None] | None = None,
) -> HTTPResponse:
    """Return the answer to a GET of `address`, after redirects to other web addresses. The caller closes it.

    `timeout`: seconds without an answer. `followed` is called with the old and the new address before a redirect is followed,
    and `connected` with each connection before anything is sent over it; what they raise is raised. With `connected`, proxies
    are not used, because a connection then shows which machine is asked.

    Raises `OSError`, `http.client.HTTPException` or `ValueError` if there is no such answer; `urllib.error.HTTPError`, an
    `OSError`, has the status of an answer that is an error.
    """
    handlers: list[Any] = [_Redirects(followed)]
    if connected is not None:
        handlers += [ProxyHandler({}), _Watched(connected)]
    answer: HTTPResponse = build_opener(*handlers).open(Request(address, headers=dict(headers or {})), timeout=timeout)
    return answer


def copy_within(stream: IO[bytes], file: IO[bytes], max_bytes: int) -> tuple[int, str]:
    """Copy `stream` to `file`, and return the number of bytes and their sha256. Stops soon after `max_bytes` bytes."""
    size = 0
    hashed = hashlib.sha256()
    while size <= max_bytes and (chunk := stream.read(CHUNK)):
        size += len(chunk)
        hashed.update(chunk)
        file.write(chunk)
    return size, hashed.hexdigest()


def is_page(start: bytes) -> bool:
    """Return whether a file that begins with `start` is a web page, whatever its name."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html"))


def check_public(connection: socket.socket) -> None:
    """Raise `Failed` if the other end of `connection` is this machine or one in its network.

    The connection is checked, and not a name: a name can mean another machine the next time that it is looked up.
    """
    address = ip_address(connection.getpeername()[0].partition("%")[0])
    embedded = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if not (embedded or address).is_global:
        raise Failed("private address", f"{address} is no public address; set `harvest.private` to ask machines of your own")


class Deadline:
    """A time after which the connections of a block are ended, however slowly their servers send."""

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._watched: list[socket.socket] = []
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for connection in self._watched:
            connection.close()

    def watch(self, connection: socket.socket) -> None:
        """End `connection` when the time is over."""
        # A copy, because TLS takes over the original.
        self._watched.append(connection.dup())
        if self.is_over:
            self._end()

    def _end(self) -> None:
        self.is_over = True
        for connection in self._watched:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Redirects(HTTPRedirectHandler):
    """A handler that follows redirects to web addresses only."""

    def __init__(self, followed: Callable[[str, str], None] | None) -> None:
        self._followed = followed

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        if not is_web_address(newurl):
            raise URLError(f"redirects to {newurl!r}")
        if self._followed is not None:
            self._followed(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    connected: Callable[[socket.socket], None]

    def connect(self) -> None:
        super().connect()
        try:
            self.connected(self.sock)
        except BaseException:
            self.close()
            raise


class _SecureConnection(HTTPSConnection, _Connection):
    # In this order, `HTTPSConnection.connect` calls that of `_Connection`, and begins with TLS after it.
    pass


class _Watched(HTTPHandler, HTTPSHandler):
    """A handler that calls `connected` with each connection before it is used."""

    def __init__(self, connected: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._connected = connected

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, _Connection), req)

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(partial(self._connection, _SecureConnection), req)

    def _connection(self, kind: type[_Connection], *arguments: Any, **options: Any) -> _Connection:
        connection = kind(*arguments, **options)
        connection.connected = self._connected
        return connection
