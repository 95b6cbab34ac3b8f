"""A polite client of web servers: it says who asks, keeps to a rate, obeys robots.txt, and gives up in the end."""

import io
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from math import inf
from threading import Event, Lock
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.robotparser import RobotFileParser

from tessera import __version__
from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import SYSTEMIC
from tessera.core.web import Deadline, check_public, copy_within, is_web_address, open_address
from tessera.pipeline.harvest.settings import ClientSettings

AGENT = "Tessera"
BACKOFF = 2.0  # seconds before the second attempt, doubled before each further one
MAX_WAIT = 120.0  # seconds; a server that asks for a longer wait is asked in a later run
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP status of a server that may answer later
ROBOTS_BYTES = 512_000  # at least as much as RFC 9309, section 2.5, asks for
PRINTABLE = "".join(map(chr, range(33, 127)))  # the characters of an address that are not quoted, as it may be quoted already


class Refused(Failed):
    """A server answers that it does not give what it was asked for."""


class NoAnswer(Failed):
    """A server does not answer. It may be asked again after `wait` seconds; `inf` if not in this run."""

    def __init__(self, reason: str, detail: str, wait: float = 0.0) -> None:
        super().__init__(reason, f"{detail}; run again later")
        self.wait = wait


class Client:
    """Asks servers. Threads may share a client, so that it keeps to the rate of a host. A `stopped` client asks no more."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.stopped = Event()
        self._lock = Lock()
        self._gaps: dict[str, float] = {}  # seconds between two requests, where robots.txt asks for more than the settings
        self._free: dict[str, float] = {}  # when a host may be asked again, on the monotonic clock
        self._robots: dict[str, RobotFileParser] = {}

    def get(
        self, url: str, file: IO[bytes], most: int, headers: Mapping[str, str] | None = None, *, obeys: bool = True
    ) -> None:
        """Write what the server sends for `url`, at most `most` bytes, to the empty `file`.

        `obeys`: whether robots.txt decides if it is asked, where the settings say so.

        Raises `Dropped` if robots.txt forbids it, `NoAnswer` if the server gave no whole answer in any attempt, and `Failed` if
        it may not be asked, or its answer is an error or too large.
        """
        url = _checked(url)
        if obeys:
            self._obey(url)
        for attempt in range(1, self.settings.attempts + 1):
            file.seek(0)
            file.truncate()
            try:
                self._ask(url, file, most, headers or {}, obeys)
                return
            except NoAnswer as fault:
                wait = max(fault.wait, BACKOFF * 2 ** (attempt - 1))
                if attempt == self.settings.attempts or wait > MAX_WAIT:
                    raise
                with self._lock:
                    self._free[host_of(url)] = time.monotonic() + wait

    def _ask(self, url: str, file: IO[bytes], most: int, headers: Mapping[str, str], obeys: bool) -> None:
        def follow(old: str, new: str) -> None:
            if host_of(new) != host_of(old):
                if not self.settings.other_hosts:
                    fix = "if the rights hold for that address, list it, or set `harvest.other_hosts`"
                    raise Failed("redirects to another host", f"to {new!r:.500}; {fix}")
                if obeys:
                    self._obey(new)
            self._wait_for(host_of(new))

        def connect(connection: socket.socket) -> None:
            if not self.settings.private:
                check_public(connection)
            deadline.watch(connection)

        self._wait_for(host_of(url))
        headers = {"User-Agent": f"{AGENT}/{__version__} ({self.settings.contact})", **headers}
        with Deadline(self.settings.max_seconds) as deadline:
            try:
                with open_address(url, self.settings.timeout, headers, follow, connect) as answer:
                    stated = answer.length  # bytes; None if the server does not say
                    size = stated or 0
                    if size <= most:
                        size, _ = copy_within(answer, file, most)
                    if size > most:
                        raise Failed("file too large", f"more than {most:,} bytes; raise `harvest.max_bytes`, or leave it out")
                    if stated is not None and size < stated:
                        raise NoAnswer("cut short", f"{size:,} of {stated:,} bytes came")
            except (OSError, HTTPException, ValueError, NoAnswer) as error:
                if isinstance(error, OSError) and error.errno in SYSTEMIC:
                    raise
                if not deadline.is_over:
                    raise _fault(error) from None
            if deadline.is_over:
                raise NoAnswer("too slow", f"it takes more than {self.settings.max_seconds:g} seconds", inf)

    def _wait_for(self, host: str) -> None:
        """Wait until `host` may be asked."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free.get(host, now))
            self._free[host] = start + max(1 / self.settings.rate, self._gaps.get(host, 0.0))
        if self.stopped.wait(start - now):
            raise Failed("stopped")

    def _obey(self, url: str) -> None:
        """Raise `Dropped` if the server of `url` does not allow robots to ask for it. Raises `Failed` if that is not known."""
        if not self.settings.robots:
            return
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}/robots.txt"
        if place not in self._robots:
            robots, file = RobotFileParser(), io.BytesIO()
            try:
                self.get(place, file, ROBOTS_BYTES, obeys=False)
            except Refused:
                # By RFC 9309, section 2.3.1.3, a server without this file allows everything.
                file.truncate(0)
            robots.parse(file.getvalue().decode(errors="replace").splitlines())
            self._gaps[host_of(url)] = min(float(robots.crawl_delay(AGENT) or 0), MAX_WAIT)
            self._robots[place] = robots
        if not self._robots[place].can_fetch(AGENT, url):
            raise Dropped("forbidden by robots.txt", f"{place}; ask those who run the server")


def _checked(url: str) -> str:
    """Return `url` in the form that requests have. Raises `Failed` if it is no address of a web server, or has a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.netloc.encode("idna").decode(), parts.port
    except ValueError:  # a UnicodeError is one
        parts, host = urlsplit(""), ""
    if not (is_web_address(url) and parts.hostname):
        raise Failed("no web address", "it should start with https:// or http:// and a host; correct it")
    if parts.username or parts.password:
        raise Failed("address with a password", "remove the user name and the password: they would appear in tables")
    path, query = (quote(part, safe=PRINTABLE) for part in (parts.path, parts.query))
    return urlunsplit((parts.scheme, host, path, query, ""))


def host_of(url: str) -> str:
    """Return the host of `url`, without the `www.` that many servers add or remove; empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def _fault(error: Exception) -> Failed:
    """Return what `error` says about a server."""
    if isinstance(error, Failed):
        return error
    if not isinstance(error, HTTPError):
        return NoAnswer("no answer", f"{getattr(error, 'reason', error)!s:.300}")
    with error:
        status = f"HTTP status {error.code}"
        if error.code in PASSING:
            return NoAnswer(status, f"{error.reason!s:.300}", _retry_after(error.headers.get("Retry-After", "")))
        return Refused(status, f"{error.reason!s:.300}; correct the address, or leave it out")


def _retry_after(text: str) -> float:
    """Return the seconds in the value `text` of a header Retry-After: a number, or a date. 0 if it is neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
