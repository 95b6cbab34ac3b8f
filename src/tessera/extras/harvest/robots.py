"""What a web server asks of robots: its robots.txt, by RFC 9309, and headers X-Robots-Tag."""

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

READ = 500 * 1024  # bytes of a robots.txt; RFC 9309, section 2.5, asks for at least as many
PRINTABLE = "".join(map(chr, range(33, 127)))
LINE_END = re.compile(rb"\r\n?|\n")
# The rules that count, also as they are often misspelt, and a space instead of the colon.
LINE = re.compile(
    rb"[ \t]*(?:(?P<agent>user[ -]?agent)|(?P<allow>allow)|(?P<disallow>diss?all?[ao]w|diasllow)|(?P<delay>crawl[ -]delay))"
    rb"[ \t]*[: \t](?P<value>[^#]*)",
    re.IGNORECASE,
)
TOKEN = re.compile(rb"\*(?!\S)|[a-z_-]*")  # a version, or anything else after it, does not belong to it
SECONDS = re.compile(rb"\d{1,9}(\.\d*)?")
# The directives of X-Robots-Tag that have a value. Before another colon stands the name of a robot.
WITH_VALUE = {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}


class Rule(NamedTuple):
    """Says whether the paths that match a pattern may be asked for."""

    octets: int  # of the pattern: a path follows the longest pattern that it matches
    allows: bool  # sorts last, because among equally long patterns, one that allows wins
    parts: tuple[str, ...]  # what stands between wildcards in the pattern, which covers whole paths


class Robots(NamedTuple):
    """The rules of a robots.txt for one robot."""

    rules: tuple[Rule, ...]
    delay: float  # seconds between two requests

    def allows(self, path: str) -> bool:
        """Return whether the robot may ask for `path`, which begins with `/` and includes the query."""
        path = _normalised(path)
        return max((rule for rule in self.rules if _matches(rule.parts, path)), default=Rule(0, True, ())).allows


def read_robots(content: bytes, agent: str) -> Robots:
    """Return the rules of the robots.txt `content` for the robot `agent`, its product token in lower case.

    Groups of rules for the same robot are one. Those for all robots count where there is none for `agent`. What follows
    `READ` bytes, and every line that is no rule, is ignored.
    """
    lines = LINE_END.split(content[:READ].removeprefix(b"\xef\xbb\xbf"))
    if len(content) > READ:
        lines.pop()  # not whole
    rules: dict[str, list[Rule]] = {}
    delays: dict[str, float] = {}
    named: list[str] = []
    is_complete = True  # whether the next line that names a robot begins a group
    for match in filter(None, map(LINE.match, lines)):
        value = match["value"].strip()
        if match["agent"]:
            named = [*([] if is_complete else named), _token(value)]
            rules.setdefault(named[-1], [])
            is_complete = False
        elif match["delay"]:
            seconds = float(number[0]) if (number := SECONDS.match(value)) else 0.0
            delays.update({name: max(seconds, delays.get(name, 0.0)) for name in named})
        else:
            is_complete = True
            for name in named if value else []:
                rules[name].append(_rule(value, allows=bool(match["allow"])))
    name = agent if agent in rules else "*"
    return Robots(tuple(rules.get(name, [])), delays.get(name, 0.0))


def opt_out(tags: Iterable[str], agent: str, counted: Collection[str]) -> str:
    """Return the first directive of the headers X-Robots-Tag `tags` that is among `counted`; empty if there is none.

    `none` stands for `noindex`. Directives after the name of a robot are for that one alone; the robot here is called `agent`,
    in lower case.
    """
    for tag in tags:
        name = agent
        for part in tag.lower().split(","):
            before, colon, after = (each.strip() for each in part.partition(":"))
            if colon and before not in WITH_VALUE:
                name, before = before, after
            if name in {agent, "*"} and ("noindex" if before == "none" else before) in counted:
                return before
    return ""


def _token(value: bytes) -> str:
    match = TOKEN.match(value.lower())
    assert match is not None
    return match[0].decode()


def _rule(pattern: bytes, *, allows: bool) -> Rule:
    is_anchored = pattern.endswith(b"$")
    parts = tuple(_normalised(part) for part in pattern.removesuffix(b"$").split(b"*"))
    octets = len("*".join(parts)) + is_anchored
    return Rule(octets, allows, parts if is_anchored else (*parts, ""))


def _normalised(text: str | bytes) -> str:
    """Return `text` with each octet in one way: printable ASCII but `%` as it is, all else percent-encoded.

    By RFC 9309, section 2.2.2, a reserved character such as `/` and its encoded form are the same.
    """
    return quote(unquote_to_bytes(text), safe=PRINTABLE.replace("%", ""))


def _matches(parts: tuple[str, ...], path: str) -> bool:
    """Return whether `path` consists of `parts` with anything between them."""
    first, *others = parts
    if not others:
        return path == first
    if not path.startswith(first):
        return False
    start = len(first)
    for part in others[:-1]:
        start = path.find(part, start)
        if start < 0:
            return False
        start += len(part)
    return len(path) - len(others[-1]) >= start and path.endswith(others[-1])
