"""Pictures from the web become files with their rights, whatever servers send, and whatever interrupts."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from label_sets import picture
from website import Handler, Page, Server, website

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.harvest import client
from tessera.extras.harvest.harvest import GIVE_UP, harvest_pictures
from tessera.extras.harvest.settings import ClientSettings, HarvestSettings
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image
from tessera.records.blocklist import Blocklist
from tessera.records.image_checks import check_image
from tessera.records.manifest import read_manifest
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table
from tessera.stages.labels.image_labels import import_image_labels
from tessera.stages.labels.settings import ImageLabelSet

FAST = ClientSettings(contact="tests", rate=1000, attempts=2, timeout=20, max_seconds=60, max_bytes=100_000, private=True)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(client, "BACKOFF", 0.001)
    with website() as server:
        yield server


def write_addresses(folder: Path, *rows: Mapping[str, str]) -> Path:
    """Write a table of addresses; a row is general content with rights if it says no more."""
    rows = tuple({"content": "general", "rights": "CC0", **row} for row in rows)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = ["\t".join(columns), *("\t".join(row.get(column, "") for column in columns) for row in rows)]
    (folder / "addresses.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "addresses.tsv"


class Harvested:
    """The result of a harvest in `folder`, which goes on with what earlier ones there have fetched."""

    def __init__(
        self,
        folder: Path,
        *rows: Mapping[str, str],
        settings: ClientSettings = FAST,
        blocked: str = "",
        least: int | None = None,
    ) -> None:
        table = write_addresses(folder, *rows)
        (folder / "blocklist.tsv").write_text(f"sha256\tphash\treason\n{blocked}", encoding="utf-8")
        self.out = folder / f"out {len(list(folder.glob('out *')))}"
        self.out.mkdir()
        made = {name: self.out / name for name in ("general", "adult", "sources", "ledger")}
        harvest_pictures([table], folder / "blocklist.tsv", 8, settings, least, folder / "kept", self.out, **made)
        rows_of_ledger = read_ledger(made["ledger"])
        self.reasons = {row["key"]: row["reason"] or row["status"] for row in rows_of_ledger}
        self.statuses = {row["key"]: row["status"] for row in rows_of_ledger}
        self.details = {row["key"]: row["detail"] for row in rows_of_ledger}
        assert len(self.reasons) == len(rows_of_ledger)
        read = [pl.read_csv(made[name] / "pictures.tsv", separator="\t", infer_schema=False) for name in ("general", "adult")]
        self.general, self.adult = ({row["url"]: row for row in table.iter_rows(named=True)} for table in read)
        kept = {path.name for path in (folder / "kept").glob("*")}
        assert kept == {name_of(url) for url, reason in self.reasons.items() if reason == "ok"}

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.out)): path.read_bytes() for path in self.out.rglob("*") if path.is_file()}


def name_of(url: str) -> str:
    return sha256(url.encode()).hexdigest()


def test_pictures_become_files_that_state_where_they_come_from(site: Server, tmp_path: Path) -> None:
    site.pages = {"/a.jpg": Page(picture(0)), "/b": Page(picture(1, kind="jpg")), "/n%C3%BC?x=%20": Page(picture(2))}
    one, two = f"{site.address}/a.jpg", f"{site.address}/b"
    released = {"content": "adult", "rights": "contract 7", "consent": "release 7", "adults_verified": "yes"}
    harvested = Harvested(
        tmp_path,
        {"url": one, "rights": "CC-BY-4.0", "credit": "A. Painter", "label": "sharp", "source": "a/../museum"},
        {"url": two, "source": "studio", **released},
    )
    assert harvested.reasons == {one: "ok", two: "ok"}
    row = harvested.general[one]
    # Its content decides about its suffix, and nothing of its name in the web is part of its name here.
    assert row["path"] == f"a%2F..%2Fmuseum/{name_of(one)}.png"
    assert (harvested.out / "general" / row["path"]).read_bytes() == picture(0)
    stated = {name: row[name] for name in ("label", "rights", "credit", "source", "sha256", "bytes", "width", "height")}
    assert stated == {
        "label": "sharp",
        "rights": "CC-BY-4.0",
        "credit": "A. Painter",
        "source": "a/../museum",
        "sha256": sha256(picture(0)).hexdigest(),
        "bytes": str(len(picture(0))),
        "width": "40",
        "height": "30",
    }
    assert row["fetched"] == datetime.now(UTC).date().isoformat()
    assert (harvested.out / "adult" / "studio" / f"{name_of(two)}.jpg").exists()
    assert harvested.adult[two]["consent"] == "release 7"


def test_a_harvest_is_a_manifest_of_sources_and_a_set_of_labelled_images(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{number}.png": Page(picture(number)) for number in range(3)}
    labels = ["soft", "sharp", ""]
    rows = [
        {"url": f"{site.address}/{number}.png", "label": label, "source": "s", "rights": f"CC{number}"}
        for number, label in enumerate(labels)
    ]
    harvested = Harvested(tmp_path, *rows)
    (source,) = read_manifest(harvested.out / "sources", [], [])
    assert (source.source, source.content, source.rights) == ("s", "general", "CC0; CC1; CC2")
    assert Path(source.path) == harvested.out / "general" / "s" and len(list(Path(source.path).iterdir())) == 3
    label_set = ImageLabelSet(name="h", path=harvested.out / "general", format="tsv", content="general", rights="stated in it")
    made = [tmp_path / name for name in ("labels.parquet", "pictures", "ledger.jsonl")]
    import_image_labels(label_set, tmp_path / "blocklist.tsv", 8, tmp_path, *made)
    assert sorted(read_table(made[0], ImageLabels)["label"]) == ["sharp", "soft"]


def test_nothing_is_asked_for_without_rights_or_consent(site: Server, tmp_path: Path) -> None:
    stated: dict[str, dict[str, str]] = {
        "no rights": {"rights": " "},
        "no consent": {"content": "adult", "adults_verified": "yes"},
        "adults not verified": {"content": "adult", "consent": "release", "adults_verified": "no"},
    }
    rows = [{"url": f"{site.address}/{name}", "source": name, **row} for name, row in stated.items()]
    harvested = Harvested(tmp_path, *rows)
    assert harvested.reasons == {f"{site.address}/{name}": name for name in stated}
    assert not site.requests


def test_a_resumed_harvest_asks_only_for_what_it_lacks(site: Server, tmp_path: Path) -> None:
    site.pages = {"/a.png": Page(picture(0)), "/b.png": Page(status=503)}
    rows = [{"url": f"{site.address}/{name}.png"} for name in "ab"]
    assert set(Harvested(tmp_path, *rows).reasons.values()) == {"ok", "HTTP status 503"}
    site.pages["/b.png"] = Page(picture(1))
    site.requests.clear()
    again = Harvested(tmp_path, *rows)
    assert set(again.reasons.values()) == {"ok"} and site.asked() == ["/b.png"]
    site.requests.clear()
    # A row that is gone, or that no longer states rights, takes its picture with it.
    assert Harvested(tmp_path, rows[0]).reasons == {f"{site.address}/a.png": "ok"}
    assert not Harvested(tmp_path, rows[0] | {"rights": ""}).general and not site.requests


def test_a_killed_harvest_loses_nothing(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{number}.png": Page(picture(number)) for number in range(6)}
    site.pages["/4.png"] = hang
    rows = [{"url": f"{site.address}/{number}.png"} for number in range(6)]
    child = os.fork()
    if not child:
        try:
            Harvested(tmp_path, *rows, settings=FAST.model_copy(update={"timeout": 60, "max_seconds": 60}))
        finally:
            os._exit(1)  # whatever happens: no other test is run here
    while "/4.png" not in site.asked():
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert site.asked() == [f"/{number}.png" for number in range(5)]
    site.pages["/4.png"] = Page(picture(4))
    site.requests.clear()
    harvested = Harvested(tmp_path, *rows)
    assert site.asked() == ["/4.png", "/5.png"] and set(harvested.reasons.values()) == {"ok"}
    (tmp_path / "other").mkdir()
    whole = Harvested(tmp_path / "other", *rows)
    assert [row | {"path": ""} for row in whole.general.values()] == [row | {"path": ""} for row in harvested.general.values()]


def test_the_order_of_the_table_and_repeated_rows_change_nothing(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{number}.png": Page(picture(number)) for number in range(4)}
    rows = [{"url": f"{site.address}/{number}.png", "label": str(number)} for number in range(4)]
    first = Harvested(tmp_path, *rows)
    second = Harvested(tmp_path, *rows[::-1], rows[2])
    drop_seconds = {"ledger": b""}  # the only thing that differs
    other = {
        name: content.replace(str(first.out).encode(), str(second.out).encode()) for name, content in first.files().items()
    }
    assert {**other, **drop_seconds} == {**second.files(), **drop_seconds}


def hang(handler: Handler) -> None:
    time.sleep(3)


def drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"\x89")
        handler.wfile.flush()
        time.sleep(0.05)


def drip_headers(handler: Handler) -> None:
    for _ in range(100):
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.05)


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"\x00\xff nonsense\r\n\r\n")


HOSTILE: dict[str, tuple[Any, str]] = {
    "endless.png": (endless, "file too large"),
    "3-gb.png": (Page(stated=3 << 30), "file too large"),
    "half.png": (Page(picture(0)[:100], stated=len(picture(0))), "cut short"),
    "nonsense.png": (nonsense, "no answer"),
    "page.jpg": (Page(b"\n<!DOCTYPE html><p>Sign in"), "image is HTML"),
    "text.png": (Page(b"no picture"), "image cannot be decoded"),
    "empty.png": (Page(), "empty file"),
    "gone.png": (Page(status=404), "HTTP status 404"),
    "busy.png": (Page(status=503), "HTTP status 503"),
    "small.png": (Page(picture(0, 5, 5)), "image too small"),
    "round.png": (Page(status=302, headers={"Location": "/round.png"}), "HTTP status 302"),
    "file.png": (Page(status=302, headers={"Location": "file:///etc/passwd"}), "HTTP status 302"),
    "ftp.png": (Page(status=302, headers={"Location": "ftp://127.0.0.1/a.png"}), "no answer"),
    "away.png": (Page(status=302, headers={"Location": "http://localhost/a.png"}), "redirects to another host"),
    "moved.png": (Page(status=301, headers={"Location": "/good.png"}), "ok"),
    "good.png": (Page(picture(0)), "ok"),
}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"timeout": 0.5, "max_seconds": 60}, "no answer"), ({"timeout": 60, "max_seconds": 0.4}, "too slow")],
)
def test_a_server_that_hangs_or_drips_is_left_alone_in_time(
    site: Server, tmp_path: Path, limits: dict[str, float], reason: str
) -> None:
    # Each limit alone, so that a busy machine cannot reach the other one first.
    site.pages = {"/0.png": hang} if reason == "no answer" else {"/0.png": drip, "/1.png": drip_headers}
    settings = FAST.model_copy(update={"attempts": 1, **limits})
    start = time.monotonic()
    harvested = Harvested(tmp_path, *({"url": f"{site.address}{path}"} for path in site.pages), settings=settings)
    assert time.monotonic() - start < 3
    assert harvested.reasons == dict.fromkeys((f"{site.address}{path}" for path in site.pages), reason)


def test_whatever_a_server_sends_is_a_row(site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessera.extras.harvest.harvest.GIVE_UP", 100)
    site.pages = {f"/{name}": answer for name, (answer, _) in HOSTILE.items()}
    settings = FAST.model_copy(update={"attempts": 1})
    harvested = Harvested(tmp_path, *({"url": f"{site.address}/{name}"} for name in HOSTILE), settings=settings)
    assert harvested.reasons == {f"{site.address}/{name}": reason for name, (_, reason) in sorted(HOSTILE.items())}
    assert "localhost" in harvested.details[f"{site.address}/away.png"]


def test_addresses_that_are_none_and_private_ones_are_not_asked(site: Server, tmp_path: Path) -> None:
    wrong = ["file:///etc/passwd", "ftp://example.org/a.png", "/etc/passwd", "http://", "http://[::1", "https://x:y/a.png"]
    secret = f"http://user:secret@127.0.0.1:{site.server_port}/a.png"
    private = [f"{site.address}/a.png", f"http://localhost:{site.server_port}/a.png", f"https://127.0.0.1:{site.server_port}/"]
    rows = [{"url": url} for url in [*wrong, secret, *private]]
    harvested = Harvested(tmp_path, *rows, settings=FAST.model_copy(update={"private": False}))
    reasons = {**dict.fromkeys(wrong, "no web address"), **dict.fromkeys(private, "private address")}
    assert harvested.reasons == {**reasons, secret: "address with a password"}
    assert not site.requests


def test_a_redirect_to_another_host_is_followed_only_if_the_settings_say_so(site: Server, tmp_path: Path) -> None:
    moved = f"http://localhost:{site.server_port}/a.png"
    site.pages = {"/moved.png": Page(status=302, headers={"Location": moved}), "/a.png": Page(picture(0))}
    row = {"url": f"{site.address}/moved.png"}
    assert set(Harvested(tmp_path, row).reasons.values()) == {"redirects to another host"}
    assert set(Harvested(tmp_path, row, settings=FAST.model_copy(update={"other_hosts": True})).reasons.values()) == {"ok"}


def test_a_host_is_asked_at_the_stated_rate_and_told_who_asks(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{number}.png": Page(picture(number)) for number in range(4)}
    rows = [{"url": f"{site.address}/{number}.png"} for number in range(4)]
    start = time.monotonic()
    Harvested(tmp_path, *rows, settings=FAST.model_copy(update={"rate": 20.0, "contact": "me@example.org"}))
    assert len(site.requests) == 5 and site.requests[-1].time - start >= 4 / 20
    assert all(request.agent.startswith("Tessera/") and "(me@example.org)" in request.agent for request in site.requests)


def test_robots_txt_is_obeyed(site: Server, tmp_path: Path) -> None:
    robots = b"User-agent: *\nDisallow: /\n\nUser-agent: tessera\nDisallow: /private\nCrawl-delay: 0.05\n"
    site.pages = {"/robots.txt": Page(robots), "/a.png": Page(picture(0)), "/private/b.png": Page(picture(1))}
    rows = [{"url": f"{site.address}/{name}"} for name in ("a.png", "private/b.png")]
    assert list(Harvested(tmp_path, *rows).reasons.values()) == ["ok", "forbidden by robots.txt"]
    assert site.asked() == ["/a.png"]
    ignoring = Harvested(tmp_path, *rows, settings=FAST.model_copy(update={"robots": False}))
    assert set(ignoring.reasons.values()) == {"ok"}
    # A redirect does not lead around it.
    site.pages["/moved.png"] = Page(status=302, headers={"Location": "/private/b.png"})
    site.requests.clear()
    assert list(Harvested(tmp_path, {"url": f"{site.address}/moved.png"}).reasons.values()) == ["forbidden by robots.txt"]
    assert site.asked() == ["/moved.png"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        *((Page(status=status), "ok") for status in (400, 401, 403, 404, 410, 451)),
        *((Page(status=status), f"HTTP status {status}") for status in (429, 500, 501, 503, 520)),
        (Page(status=302, headers={"Location": "/robots.txt"}), "ok"),  # without an end
        (lambda _: time.sleep(1), "no answer"),
        (Page(b"User-agent: *\nDisallow: /\n" + b"#" * 5_000_000), "forbidden by robots.txt"),
        (Page(b"User-agent: *\nCrawl-delay: 3600\n"), "forbidden by robots.txt"),
        (Page(b"User-agent: *\nDisallow: /\n", stated=100), "cut short"),
    ],
)
def test_a_robots_txt_that_is_not_there_allows_all_and_one_that_cannot_be_read_nothing(
    answer: Any, reason: str, site: Server, tmp_path: Path
) -> None:
    site.pages = {"/robots.txt": answer, "/a.png": Page(picture(0))}
    harvested = Harvested(tmp_path, {"url": f"{site.address}/a.png"}, settings=FAST.model_copy(update={"attempts": 1}))
    assert list(harvested.reasons.values()) == [reason]
    assert site.asked() == (["/a.png"] if reason == "ok" else [])
    assert reason == "ok" or f"{site.address}/robots.txt" in harvested.details[f"{site.address}/a.png"]


def test_robots_txt_is_followed_to_another_host_and_holds_for_a_day(
    site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops = {f"/{hop}": Page(status=301, headers={"Location": f"/{hop + 1}"}) for hop in range(4)}
    moved = f"http://localhost:{site.server_port}/rules"
    site.pages = {
        **hops,
        "/robots.txt": Page(status=301, headers={"Location": "/0"}),
        "/rules": Page(b"User-agent: *\nDisallow: /b"),
    }
    site.pages |= {"/4": Page(status=301, headers={"Location": moved}), "/a.png": Page(picture(0)), "/b.png": Page(picture(1))}
    rows = [{"url": f"{site.address}/{name}.png"} for name in "ab"]
    assert list(Harvested(tmp_path, *rows).reasons.values()) == ["ok", "forbidden by robots.txt"]
    assert [request.path for request in site.requests].count("/robots.txt") == 1
    monkeypatch.setattr(client, "ROBOTS_AGE", 0)
    site.requests.clear()
    Harvested(tmp_path, {"url": f"{site.address}/a.png?1"}, {"url": f"{site.address}/a.png?2"})
    assert [request.path for request in site.requests].count("/robots.txt") == 2


def test_the_delay_of_robots_txt_is_kept_between_all_requests(site: Server, tmp_path: Path) -> None:
    site.pages = {
        "/robots.txt": Page(b"User-agent: *\nCrawl-delay: 0.3\n"),
        "/a.png": Page(picture(0)),
        "/b.png": Page(picture(1)),
    }
    start = time.monotonic()
    Harvested(tmp_path, *({"url": f"{site.address}/{name}.png"} for name in "ab"))
    # Not the time between two requests: on a busy machine, the first one may arrive late.
    assert len(site.requests) == 3 and site.requests[-1].time - start > 2 * 0.3


def gaps(site: Server) -> list[float]:
    """Return the seconds between one request and the next."""
    return [later.time - earlier.time for earlier, later in pairwise(site.requests)]


def test_pictures_that_their_server_denies_are_dropped(site: Server, tmp_path: Path) -> None:
    told = {"a": "noai", "b": "noindex, nofollow", "c": "nofollow", "d": "googlebot: noai", "e": "none"}
    site.pages = {f"/{name}.png": Page(picture(ord(name)), headers={"X-Robots-Tag": tag}) for name, tag in told.items()}
    rows = [{"url": f"{site.address}/{name}.png"} for name in told]
    careful = Harvested(tmp_path, *rows)
    denied = ["X-Robots-Tag: noai", "X-Robots-Tag: noindex", "ok", "ok", "X-Robots-Tag: none"]
    assert list(careful.reasons.values()) == denied and "harvest.x_robots_tag" in careful.details[rows[0]["url"]]
    assert careful.statuses[rows[0]["url"]] == "dropped"
    # The settings decide also about what was fetched before.
    assert set(Harvested(tmp_path, *rows, settings=FAST.model_copy(update={"x_robots_tag": ()})).reasons.values()) == {"ok"}
    site.requests.clear()
    assert list(Harvested(tmp_path, *rows).reasons.values()) == denied and not site.asked()


def test_several_headers_x_robots_tag_count_before_anything_else_is_read(site: Server, tmp_path: Path) -> None:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        for tag in ("otherbot: noindex", "tessera: noimageai"):
            handler.send_header("X-Robots-Tag", tag)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()  # nobody waits for more

    site.pages = {"/a.png": answer}
    assert list(Harvested(tmp_path, {"url": f"{site.address}/a.png"}).reasons.values()) == ["X-Robots-Tag: noimageai"]


def test_a_busy_server_is_asked_again_when_it_says_so(site: Server, tmp_path: Path) -> None:
    answers = iter([Page(status=429, headers={"Retry-After": "0"}), Page(picture(0))])
    site.pages = {"/a.png": lambda _: next(answers), "/b.png": Page(status=503, headers={"Retry-After": "86400"})}
    rows = [{"url": f"{site.address}/{name}.png"} for name in "ab"]
    assert list(Harvested(tmp_path, *rows).reasons.values()) == ["ok", "HTTP status 503"]
    assert site.asked() == ["/a.png", "/a.png", "/b.png"], "nobody waits for a day"


def test_a_server_that_does_not_answer_is_asked_again_after_a_pause(
    site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.3)
    site.pages = {"/a.png": Page(status=503)}
    Harvested(tmp_path, {"url": f"{site.address}/a.png"})
    assert site.asked() == ["/a.png"] * 2 and gaps(site)[1] > 0.1


@pytest.mark.parametrize("form", ["{seconds}", "{date}"])
def test_a_server_that_asks_for_a_long_wait_is_asked_no_more_in_this_run(form: str, site: Server, tmp_path: Path) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    busy = Page(status=429, headers={"Retry-After": form.format(seconds=600, date=later)})
    names = [f"{site.address}/{number}.png" for number in range(7)]
    rows = [{"url": url} for url in names]
    site.pages = {f"/{number}.png": busy for number in range(7)}
    harvested = Harvested(tmp_path, *rows)
    assert site.asked() == ["/0.png"]
    assert list(harvested.reasons.values()) == ["HTTP status 429"] + ["server asks to wait"] * 6
    assert all("run again after 20" in detail for detail in harvested.details.values())
    assert all(f"when it was asked for {names[0]};" in harvested.details[url] for url in names[1:])
    assert set(harvested.statuses.values()) == {"failed"}
    site.pages = {f"/{number}.png": Page(picture(number)) for number in range(7)}
    assert set(Harvested(tmp_path, *rows).reasons.values()) == {"ok"}


def test_a_server_that_asks_to_wait_holds_no_other_server(site: Server, tmp_path: Path) -> None:
    with website() as second:
        busy, other = sorted([site, second], key=lambda each: each.address)  # in this order, they are asked
        busy.pages = {"/a.png": Page(status=503, headers={"Retry-After": "600"}), "/b.png": Page(picture(1))}
        other.pages = {"/a.png": Page(picture(0))}
        urls = [f"{busy.address}/a.png", f"{busy.address}/b.png", f"{other.address}/a.png"]
        reasons = Harvested(tmp_path, *({"url": url} for url in urls)).reasons
    assert [reasons[url] for url in urls] == ["HTTP status 503", "server asks to wait", "ok"]


def test_no_two_requests_are_nearer_than_the_server_asked(site: Server, tmp_path: Path) -> None:
    site.pages = {f"/{name}.png": Page(status=429, headers={"Retry-After": "0.3"}) for name in "abc"}
    harvested = Harvested(tmp_path, *({"url": f"{site.address}/{name}.png"} for name in "abc"))
    assert set(harvested.reasons.values()) == {"HTTP status 429"}
    assert len(site.asked()) == 3 * FAST.attempts and min(gaps(site)[1:]) > 0.1


def test_the_time_to_wait_is_a_number_or_a_date() -> None:
    def seconds(text: str, **more: str) -> float:
        headers = Message()
        headers["Retry-After"] = text
        for name, value in more.items():
            headers[name] = value
        return client._retry_after(headers)

    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert (seconds("120"), seconds(" 1.5 "), seconds("9" * 400)) == (120, 1.5, client.LONGEST)
    assert 50 < seconds(format_datetime(soon, usegmt=True)) <= 60
    assert 50 < seconds(soon.strftime("%A, %d-%b-%y %H:%M:%S GMT")) <= 60
    assert 50 < seconds(soon.strftime("%a %b %d %H:%M:%S %Y")) <= 60
    # The clock of the server counts, however wrong.
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT", Date="Wed, 21 Oct 2015 07:27:00 GMT") == 60
    assert {seconds(text) for text in ("Wed, 21 Oct 2015 07:28:00 GMT", "soon", "", "-1", "nan", "inf", "\u0661")} == {0}


def without_length(body: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def in_chunks(body: bytes, *, ends: bool) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if ends else b""))

    return answer


HALF = picture(0, kind="jpg")[:-400]


@pytest.mark.parametrize(
    "cut",
    [
        Page(HALF, stated=len(HALF) + 400),
        without_length(HALF),
        without_length(b""),
        in_chunks(HALF, ends=False),
        in_chunks(picture(0), ends=False),
    ],
)
def test_an_answer_that_was_cut_short_is_asked_for_again(cut: Any, site: Server, tmp_path: Path) -> None:
    answers = iter([cut, without_length(picture(0))])

    def first_cut(handler: Handler) -> Page | None:
        answer = next(answers)
        return answer(handler) if callable(answer) else answer

    site.pages = {"/a.png": first_cut} | {f"/{number}.png": cut for number in range(GIVE_UP + 1)}
    rows = [{"url": f"{site.address}/{name}.png"} for name in ("a", *range(GIVE_UP + 1))]
    harvested = Harvested(tmp_path, *rows)
    assert list(harvested.reasons.values()) == ["cut short"] * (GIVE_UP + 1) + ["ok"]
    assert len(site.asked()) == (GIVE_UP + 2) * FAST.attempts


@pytest.mark.parametrize(
    "whole",
    [
        (Page(HALF), "image cannot be decoded"),
        (in_chunks(HALF, ends=True), "image cannot be decoded"),
        (without_length(b"<html>"), "image is HTML"),
        (without_length(picture(0, 5, 5)), "image too small"),
        (without_length(picture(0)), "ok"),
        (in_chunks(picture(0), ends=True), "ok"),
    ],
)
def test_an_answer_that_came_whole_is_asked_for_once(whole: tuple[Any, str], site: Server, tmp_path: Path) -> None:
    site.pages = {"/a.png": whole[0]}
    assert list(Harvested(tmp_path, {"url": f"{site.address}/a.png"}).reasons.values()) == [whole[1]]
    assert site.asked() == ["/a.png"]


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "bmp", "tiff"])
def test_no_part_of_a_picture_passes_for_the_whole(kind: str, tmp_path: Path) -> None:
    content = picture(0, kind=kind)
    (tmp_path / "a").write_bytes(content)
    right = read_image(tmp_path / "a")
    for size in range(1, len(content), max(1, len(content) // 60)):
        (tmp_path / "a").write_bytes(content[:size])
        try:
            found = check_image(tmp_path / "a", "a", Blocklist(), 0)
        except Failed as fault:
            assert fault.reason in client.CUT_OFF
        else:
            assert (found == right).all()


def test_a_host_that_does_not_answer_is_given_up(site: Server, tmp_path: Path) -> None:
    rows = [{"url": f"{site.address}/{number}.png"} for number in range(GIVE_UP + 2)]
    site.pages = {f"/{number}.png": Page(status=503) for number in range(GIVE_UP + 2)}
    harvested = Harvested(tmp_path, *rows)
    assert list(harvested.reasons.values()) == ["HTTP status 503"] * GIVE_UP + ["host does not answer"] * 2
    assert len(site.asked()) == GIVE_UP * FAST.attempts


def test_pictures_on_the_blocklist_are_dropped_also_later(site: Server, tmp_path: Path) -> None:
    site.pages = {"/a.png": Page(picture(0)), "/b.png": Page(picture(1))}
    rows = [{"url": f"{site.address}/{name}.png"} for name in "ab"]
    (tmp_path / "b.png").write_bytes(picture(1))
    by_file = f"{sha256(picture(0)).hexdigest()}\t\tnot this\n"
    by_look = f"\t{perceptual_hash(read_image(tmp_path / 'b.png')):016x}\tnor this\n"
    assert set(Harvested(tmp_path, *rows).reasons.values()) == {"ok"}
    reasons = Harvested(tmp_path, *rows, blocked=by_file + by_look).reasons
    assert list(reasons.values()) == ["on the blocklist", "looks like a picture on the blocklist"]


def test_a_file_that_many_addresses_of_a_host_give_is_a_placeholder(
    site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("tessera.extras.harvest.harvest.tell", told.append)
    gone, mine = [f"{site.address}/gone/{number}" for number in range(3)], [f"{site.address}/{number}" for number in range(3)]
    site.pages = {f"/gone/{number}": Page(picture(9)) for number in range(3)}
    site.pages |= {f"/{number}": Page(picture(number // 2)) for number in range(3)}
    elsewhere = f"http://localhost:{site.server_port}/gone/0"
    rows = [{"url": url} for url in [*gone, *mine, elsewhere]]
    harvested = Harvested(tmp_path, *rows, least=3)
    assert harvested.reasons == {**dict.fromkeys(gone, "placeholder picture"), **dict.fromkeys([*mine, elsewhere], "ok")}
    assert {harvested.statuses[url] for url in gone} == {"dropped"}
    assert "127.0.0.1 gives one file for 3 addresses; " in harvested.details[gone[0]]
    assert told == [f"placeholder picture? 127.0.0.1 gives one file for 3 addresses, such as {gone[0]}"]
    assert set(Harvested(tmp_path, *rows, least=4).reasons.values()) == {"ok"}
    assert set(Harvested(tmp_path, *rows, least=None).reasons.values()) == {"ok"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.data())
def test_a_harvest_that_grows_renames_nothing(
    site: Server, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("growing")
    kinds, sources = st.sampled_from(["png", "jpg"]), st.sampled_from(["", "b", "a museum"])
    site.pages = {f"/{number}": Page(picture(number, kind=data.draw(kinds))) for number in range(8)}
    rows = [{"url": f"{site.address}/{number}", "source": data.draw(sources)} for number in range(8)]
    rows = data.draw(st.permutations(rows))
    before = Harvested(folder, *rows[:3])
    after = Harvested(folder, *data.draw(st.permutations(rows)))
    assert len(before.general) == 3 and len(after.general) == 8
    assert {url: after.general[url] for url in before.general} == before.general
    pictures = {name: content for name, content in before.files().items() if name.startswith("general") and "tsv" not in name}
    assert pictures.items() <= after.files().items() and len(pictures) == 3


def test_two_rows_that_say_different_things_of_an_address_fail_it(site: Server, tmp_path: Path) -> None:
    url = f"{site.address}/a.png"
    harvested = Harvested(tmp_path, {"url": url, "label": "soft"}, {"url": url, "label": "sharp"})
    assert harvested.reasons == {url: "address with two rows"}
    assert "line 2 of " in harvested.details[url] and "line 3 of " in harvested.details[url]
    assert "label: 'soft' and 'sharp'" in harvested.details[url]


def test_all_faults_of_a_table_are_named_with_their_lines(tmp_path: Path) -> None:
    rows = [
        {"url": "https://example.org/1", "content": "nice"},
        {"url": ""},
        {"url": "https://example.org/2", "source": "labels:mine"},
        {"url": "https://example.org/3", "source": "Museum"},
        {"url": "https://example.org/4", "source": "museum"},
        {"url": "https://example.org/5", "source": "Museum", "content": "adult"},
    ]
    with pytest.raises(TesseraError) as raised:
        Harvested(tmp_path, *rows)
    lines = str(raised.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["line 2", "line 3", "line 4", "line 6", "line 7"]
    assert "differs only in case from 'Museum'" in lines[4] and "name another for adult content" in lines[5]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"url\tcontent\n\xff\tgeneral\n", "not UTF-8"),
        (b"url,content\nhttps://example.org,general\n", "separated by ','"),
        (b'url\tcontent\n"https://example.org\tgeneral\n', "a quote that is not closed"),
        (b'url\tcontent\n"https://example.org/a\tb"\tgeneral\n', "control characters"),
        (b"url\tpath\nhttps://example.org\ta\n", "unknown column 'path'"),
    ],
)
def test_a_broken_table_is_one_clear_message(content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(TesseraError, match=rf"a\.tsv.*{fault}|a\.tsv(.|\n)*{fault}"):
        harvest_pictures([tmp_path / "a.tsv"], Path(), 8, FAST, None, *[tmp_path / name for name in "bcdefg"])


def test_servers_are_told_who_asks() -> None:
    with pytest.raises(ValueError, match="`contact` is empty"):
        HarvestSettings(table="a.tsv")
    with pytest.raises(ValueError, match="pattern"):
        HarvestSettings(contact="me\r\nX-Header: 1")
