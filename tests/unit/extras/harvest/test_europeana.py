"""A search with the API of Europeana becomes a table of addresses with rights."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from website import Handler, Page, Server, website

from tessera.core.errors import Failed, TesseraError
from tessera.extras.harvest import europeana
from tessera.extras.harvest.addresses import Address, read_addresses
from tessera.extras.harvest.europeana import KEY, search_europeana
from tessera.extras.harvest.settings import ClientSettings, EuropeanaQuery

SETTINGS = ClientSettings(contact="tests", rate=1000, attempts=1, timeout=1, private=True)
CC0 = "http://creativecommons.org/publicdomain/zero/1.0/"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(KEY, "secret")
    monkeypatch.setattr(europeana, "PAGE", 2)
    with website() as server:
        yield server


def record(number: int, **more: Any) -> dict[str, Any]:
    known = {"guid": f"https://www.europeana.eu/item/{number}?utm_source=api", "rights": [CC0], "dataProvider": ["Museum"]}
    return {**known, "edmIsShownBy": [f"https://example.org/{number}.jpg"], "type": "IMAGE", **more}


def serve(site: Server, records: list[dict[str, Any]]) -> None:
    def answer(handler: Handler) -> Page:
        asked = parse_qs(urlsplit(handler.path).query)
        start, rows = int(asked["cursor"][0].replace("*", "0")), int(asked["rows"][0])
        body: dict[str, Any] = {"success": True, "totalResults": len(records), "items": records[start : start + rows]}
        if start + rows < len(records):
            body["nextCursor"] = str(start + rows)
        return Page(json.dumps(body).encode())

    site.pages["/search.json"] = answer


def search(site: Server, folder: Path, *queries: EuropeanaQuery) -> dict[str, Any]:
    search_europeana(queries, SETTINGS, folder / "found.tsv", f"{site.address}/search.json")
    return read_addresses([folder / "found.tsv"])


def test_all_pages_of_a_search_become_rows_with_rights(site: Server, tmp_path: Path) -> None:
    odd = record(3, dataProvider=["A\tMuseum\n"], rights=[], guid="")
    serve(site, [record(0), record(1, dataProvider=["MUSEUM"]), record(2, edmIsShownBy=[]), odd, record(4), record(5)])
    query = EuropeanaQuery(query="old maps", content="general", qf=["COUNTRY:sweden"], label="map", limit=5, random=7)
    found = search(site, tmp_path, query)
    assert list(found) == [f"https://example.org/{number}.jpg" for number in (0, 1, 3, 4)]
    assert found["https://example.org/0.jpg"] == Address(
        url="https://example.org/0.jpg",
        content="general",
        rights=CC0,
        source="museum",
        label="map",
        credit="https://www.europeana.eu/item/0",
    )
    assert (found["https://example.org/3.jpg"].rights, found["https://example.org/3.jpg"].source) == ("", "a museum")
    asked = [parse_qs(urlsplit(request.path).query) for request in site.requests]
    assert [(each["cursor"], each["rows"]) for each in asked] == [(["*"], ["2"]), (["2"], ["2"]), (["4"], ["1"])]
    assert all(each["sort"] == ["random_7 asc"] for each in asked), "a picture of each kind, not those that match best"
    assert all(each["query"] == ["old maps"] and each["qf"] == ["TYPE:IMAGE", "COUNTRY:sweden"] for each in asked)


def test_a_picture_of_several_records_is_one_address_with_one_page_as_credit(site: Server, tmp_path: Path) -> None:
    twice = [record(2, edmIsShownBy=["https://example.org/1.jpg"]), record(1), record(3)]
    serve(site, twice)
    query = EuropeanaQuery(query="map", content="general")
    found = search(site, tmp_path, query)
    credits = {url: address.credit for url, address in found.items()}
    assert credits == {f"https://example.org/{n}.jpg": f"https://www.europeana.eu/item/{n}" for n in (1, 3)}
    table = (tmp_path / "found.tsv").read_bytes()
    serve(site, twice[::-1])
    search(site, tmp_path, query, query)
    assert (tmp_path / "found.tsv").read_bytes() == table


def test_records_that_contradict_each_other_are_a_fault_of_the_address(site: Server, tmp_path: Path) -> None:
    serve(site, [record(1), record(2, edmIsShownBy=["https://example.org/1.jpg"], rights=["http://example.org/closed"])])
    fault = search(site, tmp_path, EuropeanaQuery(query="map", content="general"))["https://example.org/1.jpg"]
    assert isinstance(fault, Failed) and fault.reason == "address with two rows"
    assert f"rights: {CC0!r} and 'http://example.org/closed'" in fault.detail and "item/2" in fault.detail


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.data())
def test_a_search_that_finds_more_changes_no_row(site: Server, tmp_path: Path, data: st.DataObject) -> None:
    providers = st.sampled_from(["Museum", "MUSEUM", "museum", "Mus\u00e9e", "MUSE\u0301E", ""])
    records = [record(number, dataProvider=[data.draw(providers)]) for number in range(8)]
    serve(site, records[:4])
    query = EuropeanaQuery(query="map", content="general")
    few = search(site, tmp_path, query)
    serve(site, data.draw(st.permutations(records)))
    more = search(site, tmp_path, query)
    assert len(more) == 8 and {url: more[url] for url in few} == few
    assert {address.source for address in more.values()} <= {"museum", "mus\u00e9e", "harvest"}


def test_the_key_is_sent_in_a_header_alone(site: Server, tmp_path: Path) -> None:
    serve(site, [record(0)])
    search(site, tmp_path, EuropeanaQuery(query="map", content="general"))
    assert [(request.key, "secret" in request.path) for request in site.requests] == [("secret", False)]
    assert "secret" not in (tmp_path / "found.tsv").read_text()


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        (Page(b"{}", status=401), "HTTP status 401"),
        (Page(b"<html>"), "not as documented"),
        (Page(b'{"success": false, "error": "no"}'), "not as documented"),
        (Page(b'{"items": [{"rights": 7}]}'), "not as documented"),
        (Page(json.dumps({"items": [record(0, dataProvider=["labels:x"])]}).encode()), "not as documented"),
        (Page(status=302, headers={"Location": "http://localhost/steal"}), "redirects to another host"),
    ],
)
def test_an_answer_of_another_kind_is_one_clear_message(page: Page, fault: str, site: Server, tmp_path: Path) -> None:
    site.pages["/search.json"] = page
    with pytest.raises(TesseraError, match=f"Europeana's answer to 'map': {fault}.*; check the query and {KEY}"):
        search(site, tmp_path, EuropeanaQuery(query="map", content="general"))


def test_a_search_needs_a_key(site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    with pytest.raises(TesseraError, match=f"the environment has no {KEY}"):
        search(site, tmp_path, EuropeanaQuery(query="map", content="general"))
    assert not site.requests
