"""Searches with the API of Europeana, whose results are a table of addresses."""

import io
import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.core.errors import Failed, TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.extras.harvest.addresses import CONTROL, Address, write_rows
from tessera.extras.harvest.client import Client
from tessera.extras.harvest.settings import ClientSettings, EuropeanaQuery

API = "https://api.europeana.eu/record/v2/search.json"
KEY = "EUROPEANA_API_KEY"
PAGE = 100  # results at a time; the API gives no more
MOST = 1 << 26  # bytes of an answer


class Item(BaseModel):
    """A record that was found. Fields have several values, and the first is the main one."""

    guid: str = ""  # the page that shows it
    rights: tuple[str, ...] = ()  # the address of the licence or statement
    provider: tuple[str, ...] = Field((), alias="dataProvider")  # the museum, library or archive
    picture: tuple[str, ...] = Field((), alias="edmIsShownBy")  # its address


class Page(BaseModel):
    """An answer of the API."""

    model_config = ConfigDict(populate_by_name=True)

    items: tuple[Item, ...]
    cursor: str | None = Field(None, alias="nextCursor")  # for the next answer; None after the last


def search_europeana(queries: Sequence[EuropeanaQuery], settings: ClientSettings, table: Path, api: str = API) -> None:
    """Write the pictures that `queries` find to `table`, in the format of a table of addresses, sorted by address.

    Records without a picture are left out, and a picture that several records have becomes one row. Each museum, library or
    archive is a source of its own. Its name is in lower case, because records differ in that, and names that differ only in
    case would be one folder on some disks. So a search that finds more gives no other source another name. The key of the API
    is read from the environment, where it is called `EUROPEANA_API_KEY`; it is not part of addresses, and so of no log.

    The API: https://europeana.atlassian.net/wiki/spaces/EF/pages/2385739812. Raises `TesseraError` if there is no key, or if
    the API does not answer as documented.
    """
    key = os.environ.get(KEY, "").strip()
    if not key:
        raise TesseraError(f"the environment has no {KEY}: request a key at https://apis.europeana.eu, and `export {KEY}=…`")
    client = Client(settings)
    addresses: list[Address] = []
    for query in queries:
        try:
            items = [_address(item, query) for item in _results(query, client, key, api) if item.picture]
        except (Failed, ValidationError) as error:
            reason = "not as documented" if isinstance(error, ValidationError) else error
            raise TesseraError(f"Europeana's answer to {query.query!r}: {reason}; check the query and {KEY}") from None
        tell(f"{query.query!r}: {pluralize(len(items), 'pictures')}")
        addresses += items
    # A picture can be in several records, such as those of both sides of a sheet: the first page is its credit. Records that
    # say different things about it stay several rows, which is a fault of the address.
    rows = {(each.url, each.rights, each.label): each for each in sorted(addresses, key=_order, reverse=True)}
    write_rows([rows[key].model_dump() for key in sorted(rows)], list(Address.model_fields), table)


def _results(query: EuropeanaQuery, client: Client, key: str, api: str) -> Iterator[Item]:
    """Yield at most `query.limit` records."""
    cursor: str | None = "*"
    left = query.limit
    while cursor and left > 0:
        asked = [("query", query.query), ("reusability", query.reusability), ("media", "true"), ("profile", "rich")]
        asked += [("sort", f"random_{query.random} asc")] if query.random is not None else []
        asked += [("qf", each) for each in ("TYPE:IMAGE", *query.qf)]
        asked += [("rows", str(min(left, PAGE))), ("cursor", cursor)]
        file = io.BytesIO()
        client.get(f"{api}?{urlencode(asked)}", file, MOST, {"X-Api-Key": key}, obeys=False)
        page = Page.model_validate_json(file.getvalue())
        yield from page.items[:left]
        left -= len(page.items)
        cursor = page.cursor if page.items and page.cursor != cursor else None


def _address(item: Item, query: EuropeanaQuery) -> Address:
    url, rights, provider, page = (
        " ".join(CONTROL.sub(" ", values[0]).split()) if values else ""
        for values in (item.picture, item.rights, item.provider, [item.guid.partition("?")[0]])
    )
    source = unicodedata.normalize("NFC", provider).casefold()
    return Address(url=url, content=query.content, rights=rights, source=source, label=query.label, credit=page)


def _order(address: Address) -> tuple[bool, str, str]:
    """Return what decides whose page is the credit of a picture: an address that has one comes first."""
    return not address.credit, address.credit, address.source
