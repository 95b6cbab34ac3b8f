"""A robots.txt means what RFC 9309 says, and headers X-Robots-Tag what servers mean by them."""

import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessera.extras.harvest.robots import READ, opt_out, read_robots

ALL = ["noai", "noindex"]


def allows(robots: str | bytes, path: str, agent: str = "tessera") -> bool:
    return read_robots(robots if isinstance(robots, bytes) else robots.encode(), agent).allows(path)


def allowed(rules: str, *paths: str) -> list[str]:
    return [path for path in paths if allows(f"User-agent: *\n{rules}", path)]


def test_the_case_of_an_image_server() -> None:
    rules = "Allow: /\nDisallow: /private/\nDisallow: /*/full/\nDisallow: /*.webp$\n\nUser-agent: Bingbot\nDisallow:\n"
    assert allowed(rules, "/a.png", "/private/b.png", "/x/full/c.png", "/d.webp", "/d.webp?x") == ["/a.png", "/d.webp?x"]


# The examples of RFC 9309, by section.


def test_2_2_1_groups_for_one_robot_are_one_and_no_other_group_counts() -> None:
    robots = """
    User-Agent: *
    Disallow: *.gif$
    Disallow: /example/
    Allow: /publications/

    User-Agent: foobot
    Disallow:/
    Allow:/example/page.html
    Allow:/example/allowed.gif

    User-Agent: barbot
    User-Agent: bazbot
    Disallow: /example/page.html

    User-Agent: quxbot
    """
    paths = ["/", "/example/page.html", "/example/allowed.gif", "/a.gif"]
    found = {
        agent: [allows(robots, path, agent) for path in paths] for agent in ("foobot", "barbot", "bazbot", "quxbot", "otherbot")
    }
    assert found == {
        "foobot": [False, True, True, False],
        "barbot": [True, False, True, True],
        "bazbot": [True, False, True, True],
        "quxbot": [True, True, True, True],
        "otherbot": [True, False, False, False],
    }
    merged = "user-agent: ExampleBot\ndisallow: /foo\n\nuser-agent: a\ndisallow: /a\n\nUSER-AGENT: examplebot\ndisallow: /bar\n"
    assert [allows(merged, path, "examplebot") for path in ("/foo", "/bar", "/a")] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "is_meant"),
    [
        *((name, True) for name in ("Tessera", "TESSERA/1.0", "tessera*", "Tessera # ours", "*", "* # all")),
        *((name, False) for name in ("Tess", "Tessera-image", "era", "", "*bot", "**")),
    ],
)
def test_2_2_1_a_group_is_meant_for_the_whole_product_token(name: str, is_meant: bool) -> None:
    assert allows(f"User-agent: {name}\nDisallow: /", "/a") is not is_meant


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz"),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84"),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84"),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz"),
    ],
)
def test_2_2_2_octets_are_the_same_however_they_are_encoded(rule: str, path: str) -> None:
    assert not allows(f"User-agent: *\nDisallow: {rule}", path) and not allows(f"User-agent: *\nDisallow: {path}", path)
    assert allows(f"User-agent: *\nDisallow: {rule}", path[:-1])


def test_2_2_2_the_longest_rule_counts_and_one_that_allows_wins_a_tie() -> None:
    rules = "Disallow: /\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
    assert allowed(rules, "/a", "/example/page/", "/example/page/disallowed.gif") == ["/example/page/"]
    assert allowed("Disallow: /a\nAllow: /a", "/a") == allowed("Allow: /a\nDisallow: /a", "/a") == ["/a"]
    assert allowed("Disallow: /\nAllow: /$", "/", "/a") == ["/"]
    assert allowed("Allow: /a\nDisallow: /a$", "/a", "/ab") == ["/ab"]
    assert allowed("Disallow: /%E3%83%84\nAllow: /*.png$", "/%E3%83%84.png") == [], "encoded octets count as they are sent"


def test_2_2_3_special_characters() -> None:
    assert allowed("Disallow: /a#b", "/a", "/b") == ["/b"]
    assert allowed("Disallow: /this/path/exactly$", "/this/path/exactly", "/this/path/exactly/not") == [
        "/this/path/exactly/not"
    ]
    assert allowed("Disallow: /this/*/exactly", "/this/a/b/exactly?c", "/this/exactly") == ["/this/exactly"]
    assert allowed("Disallow: /file-with-a-%2A.html", "/file-with-a-*.html", "/file-with-a-b.html") == ["/file-with-a-b.html"]
    assert allowed("Disallow: /%25E3", "/%25E3", "/%E3") == ["/%E3"]
    assert allowed("Disallow: /foo-%24", "/foo-$", "/foo-$x", "/foo-") == ["/foo-"]


def test_2_2_4_other_lines_do_not_separate_groups() -> None:
    for line in ("Sitemap: https://example.org/map.xml", "Crawl-delay: 3", "Unknown: x", "", "# so", "nonsense"):
        assert not allows(f"User-agent: other\n{line}\nUser-agent: *\nDisallow: /", "/a", "other")


def test_5_examples() -> None:
    rules = "Allow: /example/page/\nDisallow: /example/page/*.gif$"
    assert allowed(rules, "/example/page/a.gif", "/example/page/a") == ["/example/page/a"]


def test_2_5_what_follows_the_limit_is_ignored_but_nothing_before_it() -> None:
    start, rule = b"User-agent: *\n", b"Disallow: /last\n"
    filling = b"#" * (READ - len(start) - len(rule) - 1) + b"\n"
    assert not allows(start + filling + rule, "/last")
    assert not allows(start + filling + rule + b"Allow: /last\n", "/last")
    assert not allows(start + b"Disallow: /\n" + b"#" * (READ - 35) + b"\nAllow: /abc", "/a"), (
        "a rule that is cut short is none"
    )


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_files_as_people_write_them(mark: bytes, end: bytes) -> None:
    lines = [
        b"User agent : *",
        b"\tdissalow /a # not that",
        b"Disallow:",
        b"ALLOW: /b ",
        b"Disallow: /b",
        b"Disallow: /\xff",
        b"x\x00",
    ]
    assert [path for path in ("/a", "/b", "/c", "/%FF", "/%FE") if allows(mark + end.join(lines), path)] == ["/b", "/c", "/%FE"]


def test_the_delay_is_that_of_the_group() -> None:
    robots = (
        b"User-agent: *\nCrawl-delay: 9\nDisallow: /a\n\nUser-agent: tessera\nCrawl-delay: 0.5\nUser-agent: b\nCrawl-delay: x"
    )
    assert [read_robots(robots, agent).delay for agent in ("tessera", "b", "c")] == [0.5, 0.0, 9.0]
    assert read_robots(b"User-agent: *\nCrawl-delay: nan\nCrawl-delay: -1\nCrawl-delay: inf", "a").delay == 0


PIECES = st.sampled_from([*"/*$aA?&=.%~", "%2F", "%2f", "%61", "%2A", "%24", "%25", "%E3", "é", "%C3%A9", "ab", "/a/"])
PATHS = st.lists(PIECES, max_size=5).map(lambda pieces: "/" + "".join(pieces))
RULES = st.lists(st.tuples(st.booleans(), st.one_of(PATHS, PATHS.map("*".__add__))), max_size=4)
NAMES = st.lists(st.sampled_from(["*", "tessera", "Tessera/2", "tess", "other"]), min_size=1, max_size=2)


def octets(text: str) -> bytes:
    return unquote_to_bytes(text.encode())


def obvious(groups: list[tuple[list[str], list[tuple[bool, str]]]], path: str) -> bool:
    """Decide by a regular expression per rule."""
    ours = [rules for names, rules in groups if {name.lower().split("/")[0] for name in names} & {"tessera"}]
    ours = ours or [rules for names, rules in groups if "*" in names]
    matching = []
    for is_allowed, pattern in (rule for rules in ours for rule in rules):
        body, end = (pattern[:-1], b"") if pattern.endswith("$") else (pattern, b".*")
        whole = b".*".join(re.escape(octets(part)) for part in body.split("*")) + end
        if re.fullmatch(whole, octets(path), re.DOTALL):
            length = sum(
                1 if 33 <= octet < 127 and octet != ord("%") else 3 for part in body.split("*") for octet in octets(part)
            )
            matching.append((length + body.count("*") + (end == b""), is_allowed))
    return max(matching, default=(0, True))[1]


@given(st.lists(st.tuples(NAMES, RULES), max_size=4), PATHS)
@example([(["*"], [(False, "/a*a$")])], "/a")
@example([(["*"], [(False, "/*ab*b")])], "/ab")
def test_decisions_are_those_of_the_obvious_reading(groups: list[tuple[list[str], list[tuple[bool, str]]]], path: str) -> None:
    lines = []
    for names, rules in groups:
        lines += [f"User-agent: {name}" for name in names]
        lines += [f"{'Allow' if is_allowed else 'Disallow'}: {pattern}" for is_allowed, pattern in rules]
        lines += [] if rules else ["Disallow:"]
    assert allows("\n".join(lines), path) is obvious(groups, path)


@given(st.binary(max_size=200), st.text(max_size=20))
def test_no_file_is_an_error(content: bytes, path: str) -> None:
    robots = read_robots(b"User-agent: *\nDisallow: " + content, "tessera")
    assert robots.allows("/" + path) in {True, False} and robots.delay >= 0


def test_a_hostile_file_takes_no_time() -> None:
    many = read_robots(b"User-agent: *\n" + b"Disallow: /*a*a*a*a*a*a*a*a*b\n" * 16_000, "tessera")
    assert len(many.rules) > 15_000 and many.allows("/" + "a" * 2000)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["noai"], "noai"),
        (["NoIndex, nofollow"], "noindex"),
        (["none"], "none"),
        (["all"], ""),
        ([], ""),
        (["nofollow", "noai"], "noai"),
        (["googlebot: noai"], ""),
        (["tessera: noai"], "noai"),
        (["*: noai"], "noai"),
        (["otherbot: nofollow, noai"], ""),
        (["noai, otherbot: noindex"], "noai"),
        (["otherbot: noindex, Tessera: noai"], "noai"),
        (["unavailable_after: 25 Jun 2040 15:00:00 GMT, noai"], "noai"),
        (["max-snippet: 20, max-image-preview:large , noindex"], "noindex"),
        (["noimageai"], ""),
    ],
)
def test_directives_count_for_everybody_or_for_us(tags: list[str], found: str) -> None:
    assert opt_out(tags, "tessera", ALL) == found
    assert opt_out(tags, "tessera", []) == ""
