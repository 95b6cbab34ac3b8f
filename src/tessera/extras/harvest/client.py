"""A polite client of web servers: it says who asks, keeps to a rate, obeys robots.txt, and gives up in the end."""

import io
import re
import socket
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, IncompleteRead
from math import inf
from threading import Event, Lock
from typing import IO, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit

from tessera import __version__
from tessera.core.errors import Dropped, Failed
from tessera.core.ledger import SYSTEMIC
from tessera.core.web import Deadline, check_public, copy_within, is_web_address, open_address
from tessera.extras.harvest.robots import PRINTABLE, READ, Robots, opt_out, read_robots
from tessera.extras.harvest.settings import ClientSettings

AGENT = "Tessera"
BACKOFF = 2.0  # seconds before the second attempt, doubled before each further one
MAX_WAIT = 120.0  # seconds; a server that asks for a longer wait is asked in a later run
LONGEST = 1e9  # seconds, of a wait that is believed
PASSING = {408, 425, 429}  # HTTP status of a server that may answer later, as do those from 500
ROBOTS_AGE = 86_400.0  # seconds for which a robots.txt holds (RFC 9309, section 2.4)
NO_RULES = Robots((), 0.0)
PORTS = {"http": 80, "https": 443}
# Why a picture that was cut off is not used. It came whole if its length was stated.
CUT_OFF = {"empty file", "image cannot be decoded"}


class Refused(Failed):
    """A server answers that it does not give what it was asked for."""


class NoAnswer(Failed):
    """A server does not answer. It may be asked again after `wait` seconds; `inf` if not in this run."""

    def __init__(self, reason: str, detail: str, wait: float = 0.0) -> None:
        again = (
            "later" if wait <= MAX_WAIT or wait == inf else f"after {datetime.now(UTC) + timedelta(seconds=wait):%F %H:%M} UTC"
        )
        super().__init__(reason, f"{detail}; run again {again}")
        self.wait = wait


class CutShort(NoAnswer):
    """Only the beginning of an answer came."""


class Waits(NoAnswer):
    """A server was not asked, because it wants to be left alone for longer than a run waits."""


class Answer(NamedTuple):
    """What came with an answer."""

    tags: list[str]  # the headers X-Robots-Tag
    is_whole: bool  # whether the server stated where it ends, and it came up to there


class Client:
    """Asks servers. Threads may share a client, so that it keeps to the rate of a host. A `stopped` client asks no more."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.stopped = Event()
        self._lock = Lock()
        self._gaps: dict[
            str, float
        ] = {}  # seconds between two requests to a host, where robots.txt asks for more than the settings
        # On the monotonic clock:
        self._asked: dict[str, float] = {}  # when a host was asked last, or will be
        # Until when a server is not asked, because it said so or did not answer, and for which address that was.
        self._held: dict[str, tuple[float, str]] = {}
        self._robots: dict[str, tuple[float, Robots]] = {}  # when robots.txt was read, and what it says

    def get(
        self,
        url: str,
        file: IO[bytes],
        most: int,
        headers: Mapping[str, str] | None = None,
        *,
        obeys: bool = True,
        check: Callable[[], object] = lambda: None,
    ) -> list[str]:
        """Write what the server sends for `url`, at most `most` bytes, to the empty `file`. Return its headers X-Robots-Tag.

        `obeys`: whether robots.txt and these headers decide if it is used, where the settings say so. `check` raises what it
        finds wrong with the content of `file`. If that can be because it was cut off, the server is asked again.

        Raises `Dropped` if the server forbids it, `NoAnswer` if the server gave no whole answer in any attempt, and `Failed` if
        it may not be asked, or its answer is an error or too large.
        """
        url = _checked(url)
        if obeys:
            self._obey(url)
        return self._get(url, file, most, headers or {}, check, obeys=obeys)

    def _get(
        self,
        url: str,
        file: IO[bytes],
        most: int,
        headers: Mapping[str, str],
        check: Callable[[], object] = lambda: None,
        *,
        obeys: bool = False,
        is_robots: bool = False,
    ) -> list[str]:
        """Do the same for a valid `url`. If `is_robots`, it is a robots.txt, of which only `most` bytes are wanted."""
        for attempt in range(1, self.settings.attempts + 1):
            file.seek(0)
            file.truncate()
            try:
                answer = self._ask(url, file, most, headers, obeys, is_robots)
                file.flush()
                try:
                    check()
                except Failed as fault:
                    if answer.is_whole or fault.reason not in CUT_OFF:
                        raise
                    raise CutShort("cut short", f"{file.tell():,} bytes came, and {fault}") from None
                return answer.tags
            except NoAnswer as fault:
                wait = max(fault.wait, BACKOFF * 2 ** (attempt - 1))
                if attempt == self.settings.attempts or wait > MAX_WAIT:
                    raise
                self._hold(url, wait)
        raise AssertionError("there is at least one attempt")

    def _ask(self, url: str, file: IO[bytes], most: int, headers: Mapping[str, str], obeys: bool, is_robots: bool) -> Answer:
        def follow(old: str, new: str) -> None:
            # By RFC 9309, section 2.3.1.2, a robots.txt may lie at another host.
            if host_of(new) != host_of(old) and not (self.settings.other_hosts or is_robots):
                fix = "if the rights hold for that address, list it, or set `harvest.other_hosts`"
                raise Failed("redirects to another host", f"to {new!r:.500}; {fix}")
            if obeys:
                self._obey(new)
            self._wait_for(new)

        def connect(connection: socket.socket) -> None:
            if not self.settings.private:
                check_public(connection)
            deadline.watch(connection)

        self._wait_for(url)
        headers = {"User-Agent": f"{AGENT}/{__version__} ({self.settings.contact})", **headers}
        with Deadline(self.settings.max_seconds) as deadline:
            try:
                with open_address(url, self.settings.timeout, headers, follow, connect) as answer:
                    tags = answer.headers.get_all("X-Robots-Tag", [])
                    if obeys:
                        check_tags(tags, self.settings.x_robots_tag)
                    stated = answer.length  # bytes; None if the server does not say
                    size = stated or 0
                    if size <= most or is_robots:
                        size, _ = copy_within(answer, file, most)
                    if size > most and not is_robots:
                        raise Failed("file too large", f"more than {most:,} bytes; raise `harvest.max_bytes`, or leave it out")
                    if stated is not None and size < stated and size <= most:
                        raise CutShort("cut short", f"{size:,} of {stated:,} bytes came")
                    result = Answer(tags, is_whole=stated is not None or answer.chunked)
            except (OSError, HTTPException, ValueError, NoAnswer) as error:
                if isinstance(error, OSError) and error.errno in SYSTEMIC:
                    raise
                if isinstance(error, HTTPError) and (wait := _retry_after(error.headers)):
                    self._hold(error.url, wait)
                if not deadline.is_over:
                    raise _fault(error) from None
            if deadline.is_over:
                raise NoAnswer("too slow", f"it takes more than {self.settings.max_seconds:g} seconds", inf)
        return result

    def _hold(self, url: str, wait: float) -> None:
        """Let nobody ask the server of `url` for `wait` seconds."""
        server = _server_of(url)
        with self._lock:
            self._held[server] = max((time.monotonic() + wait, url), self._held.get(server, (0.0, "")))

    def _wait_for(self, url: str) -> None:
        """Wait until the server of `url` may be asked. Raises `Waits` if that takes longer than a run waits."""
        host, server = host_of(url), _server_of(url)
        with self._lock:
            now = time.monotonic()
            held, other = self._held.get(server, (now, ""))
            if held - now > MAX_WAIT:
                raise Waits("server asks to wait", f"it did when it was asked for {other:.500}", held - now)
            _, robots = self._robots.get(server, (now, NO_RULES))
            gap = max(1 / self.settings.rate, min(robots.delay, MAX_WAIT))
            start = max(now, held, self._asked.get(host, -inf) + gap)
            self._asked[host] = start
        if self.stopped.wait(start - now):
            raise Failed("stopped")

    def _obey(self, url: str) -> None:
        """Raise `Dropped` if the server of `url` does not allow robots to ask for it. Raises `Failed` if that is not known."""
        if not self.settings.robots:
            return
        parts, server = urlsplit(url), _server_of(url)
        robots_txt = f"{parts.scheme}://{parts.netloc}/robots.txt"
        read, robots = self._robots.get(server, (-inf, NO_RULES))
        if time.monotonic() - read > ROBOTS_AGE:
            robots = self._read_robots(robots_txt)
            self._robots[server] = time.monotonic(), robots
        if robots.delay > MAX_WAIT:
            detail = f"{robots_txt} asks for {robots.delay:,.0f} seconds between requests, and a run waits for {MAX_WAIT:g}"
        elif not robots.allows(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"):
            detail = robots_txt
        else:
            return
        raise Dropped("forbidden by robots.txt", f"{detail}; ask those who run the server")

    def _read_robots(self, url: str) -> Robots:
        """Return the rules at the address `url`. Raises `NoAnswer` if the server does not say whether there are any."""
        file = io.BytesIO()
        try:
            self._get(url, file, READ, {}, is_robots=True)
        except Refused:
            # By RFC 9309, section 2.3.1.3, a server without this file allows everything.
            return NO_RULES
        except NoAnswer as fault:
            fault.detail = f"{url}: {fault.detail}"
            raise
        return read_robots(file.getvalue(), AGENT.lower())


def check_tags(tags: Iterable[str], counted: Collection[str]) -> None:
    """Raise `Dropped` if one of the headers X-Robots-Tag `tags` has a directive for this client that is among `counted`."""
    if directive := opt_out(tags, AGENT.lower(), counted):
        fix = "ask those who run the server, or take it out of `harvest.x_robots_tag`"
        raise Dropped(f"X-Robots-Tag: {directive}", f"the server says so of this picture; {fix}")


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


def _server_of(url: str) -> str:
    """Return the scheme, the host and the port of the valid `url`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def _fault(error: Exception) -> Failed:
    """Return what `error` says about a server."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, IncompleteRead):
        return CutShort("cut short", "the connection ended within the answer")
    if not isinstance(error, HTTPError):
        return NoAnswer("no answer", f"{getattr(error, 'reason', error)!s:.300}")
    with error:
        status = f"HTTP status {error.code}"
        if error.code in PASSING or error.code >= 500:
            return NoAnswer(status, f"{error.reason!s:.300}", _retry_after(error.headers))
        return Refused(status, f"{error.reason!s:.300}; correct the address, or leave it out")


def _retry_after(headers: Message) -> float:
    """Return the seconds that Retry-After asks for: a number, or a date by the clock of the server. 0 without one."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return min(float(text), LONGEST)
    until, now = _moment(text), _moment(headers.get("Date", "")) or datetime.now(UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST) if until else 0.0


def _moment(text: str) -> datetime | None:
    """Return the date `text` of a header, in one of its three forms; None if it is in another."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
