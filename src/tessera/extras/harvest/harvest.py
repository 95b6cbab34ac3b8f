"""Fetch the pictures that tables of addresses list, where the rights to them are known."""

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from tessera.core.errors import Dropped, Failed
from tessera.core.files import PICTURE_SUFFIXES, file_name, link_or_copy
from tessera.core.ledger import SYSTEMIC, Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.core.store import Store
from tessera.extras.harvest.addresses import Address, read_addresses, write_rows
from tessera.extras.harvest.client import Client, CutShort, NoAnswer, Waits, check_tags, host_of
from tessera.extras.harvest.settings import ClientSettings
from tessera.records.blocklist import Blocklist, read_blocklist
from tessera.records.image_checks import check_image
from tessera.records.rights import check_rights, missing_rights

# The files of an item of the store. DAY has the day of the fetch, and TAGS the headers X-Robots-Tag as JSON, if there were any.
PICTURE, DAY, TAGS = "picture", "fetched", "tags"
TABLE = "pictures.tsv"
COLUMNS = ["path", "label", "url", "rights", "consent", "credit", "source", "sha256", "bytes", "width", "height", "fetched"]
GIVE_UP = 5  # addresses in a row without an answer, after which a host is asked no more
SHOWN = 10  # placeholders that are named
SOURCE_COLUMNS = ["source", "path", "content", "rights", "consent", "adults_verified"]
# The first suffix of each format; an MPO file is a JPEG with more pictures behind it.
SUFFIXES = {"MPO": ".jpg"} | {str(format_): suffix for suffix, format_ in reversed([*PICTURE_SUFFIXES.items()])}


class Picture(NamedTuple):
    """A picture that was fetched and may be used."""

    suffix: str  # of its format, with a dot
    sha256: str
    bytes: int
    width: int  # pixels
    height: int  # pixels
    fetched: str  # the day, such as 2026-01-31


Check: TypeAlias = Callable[[Path, str], Picture]


def harvest_pictures(
    tables: Sequence[Path],
    blocklist: Path,
    blocklist_distance: int,
    settings: ClientSettings,
    placeholder_addresses: int | None,
    cache: Path,
    final_folder: Path,
    general: Path,
    adult: Path,
    sources: Path,
    ledger: Path,
) -> None:
    """Fetch the pictures at the addresses in `tables` (`addresses.Address`), and write them to two folders by their content.

    A picture becomes `SOURCE/HASH.EXT` in `general` or `adult`; HASH is the sha256 of its address, and EXT follows from its
    content. `pictures.tsv` in each folder has a row for each of its pictures, with the rights and the address; `sources` is a
    table of the folders SOURCE in the format of the manifest. `final_folder` is the final path of the folder of both.

    `ledger` gets one row per address. Nothing is fetched without a statement of rights or, for adult content, of consent and
    verified adults. A picture must not be on the `blocklist` (`sha256`, or perceptual hash within `blocklist_distance` bits),
    and must not be a placeholder: a file that at least `placeholder_addresses` addresses of one host give; None allows all.

    What was fetched is stored in the `Store` in the folder `cache` under the sha256 of its address, and not fetched again. The
    result does not depend on the order of the addresses, or on how often the job was killed.

    Raises `TesseraError` if a table or the blocklist has faults.
    """
    addresses = read_addresses(tables)
    check = partial(_checked, listed=read_blocklist(blocklist), distance=blocklist_distance, denied=settings.x_robots_tag)
    store = Store(cache, "pictures")
    allowed = [url for url, address in addresses.items() if isinstance(address, Address) and not missing_rights(address)]
    outcomes = _take_all(allowed, store, Client(settings), check)
    placeholders = _placeholders(outcomes, placeholder_addresses or len(outcomes) + 1)
    folders = {"general": general, "adult": adult}
    used: list[tuple[Address, dict[str, Any]]] = []
    with Ledger(ledger) as entries:
        for url, address in addresses.items():
            with entries.item(url):
                if isinstance(address, Failed):
                    raise address
                check_rights(address)
                picture = outcomes[url]
                if isinstance(picture, Exception):
                    raise picture
                if url in placeholders:
                    raise Dropped("placeholder picture", placeholders[url])
                used.append((address, {"path": _path_of(address, picture), **address.model_dump(), **picture._asdict()}))
    for content, folder in folders.items():
        folder.mkdir()
        rows = [row for address, row in used if address.content == content]
        for row in rows:
            (folder / row["path"]).parent.mkdir(exist_ok=True)
            link_or_copy(store.item(_name_of(row["url"])) / PICTURE, folder / row["path"])
        write_rows(rows, COLUMNS, folder / TABLE)
    write_rows(_sources([address for address, _ in used], final_folder), SOURCE_COLUMNS, sources)
    store.keep({_name_of(address.url) for address, _ in used})


def _take_all(urls: Sequence[str], store: Store, client: Client, check: Check) -> dict[str, Picture | Exception]:
    """Return the picture at each of `urls`, or why there is none.

    Several hosts are asked at a time, and the addresses of a host one after another.
    """
    hosts: dict[str, list[str]] = defaultdict(list)
    for url in urls:
        hosts[host_of(url)].append(url)
    results: SimpleQueue[tuple[str, Picture | Exception]] = SimpleQueue()
    outcomes: dict[str, Picture | Exception] = {}
    with ThreadPoolExecutor(client.settings.hosts) as pool:
        for same in hosts.values():
            pool.submit(_take_from_host, same, store, client, check, results)
        try:
            for _ in progress(urls, unit="addresses"):
                url, outcome = results.get()
                if isinstance(outcome, MemoryError) or (isinstance(outcome, OSError) and outcome.errno in SYSTEMIC):
                    raise outcome
                outcomes[url] = outcome
        finally:
            client.stopped.set()
    return outcomes


def _placeholders(outcomes: Mapping[str, Picture | Exception], least: int) -> dict[str, str]:
    """Return the addresses whose host gives the same file for at least `least` of them, each with a sentence about it."""
    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for url, picture in outcomes.items():
        if isinstance(picture, Picture):
            same[host_of(url), picture.sha256].append(url)
    groups = {key: sorted(urls) for key, urls in sorted(same.items()) if len(urls) >= least}
    lines = [f"{host} gives one file for {pluralize(len(urls), 'addresses')}" for (host, _), urls in groups.items()]
    details = [f"{line}, such as {urls[0]}" for line, urls in zip(lines, groups.values(), strict=True)]
    for line in truncate(details, SHOWN):
        tell(f"placeholder picture? {line}")
    fix = "correct the address; if the picture is meant, raise `harvest.placeholder_addresses`"
    return {url: f"{line}; {fix}" for line, urls in zip(lines, groups.values(), strict=True) for url in urls}


def _take_from_host(
    urls: Sequence[str], store: Store, client: Client, check: Check, results: SimpleQueue[tuple[str, Picture | Exception]]
) -> None:
    """Put the picture at each of `urls`, which are of one host, to `results`, or why there is none."""
    silent = 0
    for url in urls:
        if client.stopped.is_set():
            return
        name = _name_of(url)
        outcome: Picture | Exception
        try:
            if not store.holds(name):
                if silent >= GIVE_UP:
                    raise NoAnswer("host does not answer", f"it did not for {GIVE_UP} addresses in a row")
                _fetch(url, name, store, client, check)
                silent = 0
            outcome = check(store.item(name), url)
        except Waits as fault:
            outcome = fault
        except NoAnswer as fault:
            outcome = fault
            silent = 0 if isinstance(fault, CutShort) else silent + 1
        except Exception as error:
            outcome = error
            silent = 0
        results.put((url, outcome))


def _fetch(url: str, name: str, store: Store, client: Client, check: Check) -> None:
    """Add what is at `url` to `store`, as the item `name`, if it passes `check`. Otherwise, a later run fetches it again."""
    with store.make(name) as folder:
        (folder / DAY).write_text(datetime.now(UTC).date().isoformat(), encoding="utf-8")
        with (folder / PICTURE).open("wb") as file:
            headers = {"Accept": "image/*"}
            tags = client.get(url, file, client.settings.max_bytes, headers, check=lambda: check(folder, url))
        if tags:
            (folder / TAGS).write_text(json.dumps(tags), encoding="utf-8")


def _checked(item: Path, url: str, listed: Blocklist, distance: int, denied: Collection[str]) -> Picture:
    """Return the picture in the folder `item`, from `url`. Raises `Dropped` or `Failed` if it must not or cannot be used."""
    if (item / TAGS).exists():  # the settings may have changed since it was fetched
        check_tags(json.loads((item / TAGS).read_text(encoding="utf-8")), denied)
    path = item / PICTURE
    picture, sha256 = check_image(path, url, listed, distance)
    height, width = picture.pixels.shape[:2]
    suffix = SUFFIXES[picture.format]
    return Picture(suffix, sha256, path.stat().st_size, width, height, (item / DAY).read_text(encoding="utf-8"))


def _name_of(url: str) -> str:
    return sha256(url.encode()).hexdigest()


def _path_of(address: Address, picture: Picture) -> str:
    return f"{file_name(address.source)}/{_name_of(address.url)}{picture.suffix}"


def _sources(addresses: Sequence[Address], folder: Path) -> list[dict[str, str]]:
    """Return a row of a manifest for each source of `addresses`; its folder lies in that of its content in `folder`."""
    rows = []
    for name in sorted({address.source for address in addresses}):
        same = [address for address in addresses if address.source == name]
        content = same[0].content
        stated = {
            column: "; ".join(sorted({getattr(address, column) for address in same} - {""}))
            for column in ("rights", "consent", "adults_verified")
        }
        rows.append({"source": name, "path": (folder / content / file_name(name)).as_posix(), "content": content, **stated})
    return rows
