"""The server of the review page: what it answers to the requests that `guard` lets through."""

import errno
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from math import isnan, nan
from pathlib import Path
from typing import Any

import polars as pl
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tessera.core.errors import TesseraError
from tessera.core.messages import counted
from tessera.pipeline.review.actions import ACCEPT, LABELLED, Action, actions_of, applies, log_of, row_of, undo_of
from tessera.pipeline.review.guard import LONGEST, Guard
from tessera.pipeline.review.items import FILTERS, Items
from tessera.pipeline.review.labelling import accept, export_to_label_studio, open_in_labelme, take_back
from tessera.pipeline.review.media import NotShown, Proxies, inside, picture_type
from tessera.pipeline.review.plan import plan
from tessera.pipeline.review.tables import Conflict, DecisionTable
from tessera.records import decisions, identities
from tessera.records.frame_keys import for_frames
from tessera.records.tables.review import CLIPS, FALSE_POSITIVES, FRAMES, IDENTITIES, REGIONS

STATIC = Path(__file__).parent / "static"
FILES = {"": "index.html"} | {name: name for name in ("review.css", "page.js", "draw.js", "review.js", "icon.svg")}
DIGITS = 12  # of a number in a request, fewer
PAGE = 200  # items that are sent at a time
Target = tuple[str, str]  # key and classifier
Answer = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request that is answered with `status` and `content`, JSON."""

    def __init__(self, status: HTTPStatus, **content: Any) -> None:
        super().__init__(str(content))
        self.status, self.content = status, content


@contextmanager
def refusing(start: str, status: HTTPStatus) -> Iterator[None]:
    """Refuse the request with `status` and a text that begins with `start` if the block fails in a way that a user can fix."""
    try:
        yield
    except (NotShown, TesseraError) as error:
        raise Refused(status, error=f"{start}: {error}") from None
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        status = HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.LOCKED
        raise Refused(status, error=f"{start}: {error.strerror}. Fix this, then try again.") from None


class Review:
    """The page: its items, the tables of decisions, and who decides."""

    def __init__(self, folder: Path, who: str) -> None:
        """Serve the items in `folder`, with decisions of the person `who`. Raises `TesseraError` if a file is damaged."""
        self.who = who
        self.proxies = Proxies(Path(folder) / "proxies")
        self._followed: dict[Target, Target] = {}
        self._read: object = None  # what that was found with
        self._open(folder)

    def _open(self, folder: Path) -> None:
        self.items = Items(folder)
        page = self.items.page
        self.results = page.results
        self.tables = {"decisions": DecisionTable(page.decisions, decisions.Decision, decisions.entry_of)}
        if page.identities:
            self.tables["identities"] = DecisionTable(
                page.identities, identities.IdentityDecision, identities.entry_of, identities.contradictions
            )

    def refresh(self) -> None:
        """Read again what changed on disk: the items and settings of another run, and the tables of decisions."""
        state = self.items.state()
        if state is not None and state != self.items.seen:
            self._open(self.items.folder)
        for table in self.tables.values():
            table.refresh()
        own = self.tables["decisions"]
        if self._read != (state, own.reads):
            self._followed, self._read = follow(own.standing(), self.items.frame), (state, own.reads)

    def item(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the item that a request names by its `id` and the `version` of the items. Raises `Refused`."""
        items, number = self.items, given.get("id")  # another run may replace them meanwhile
        if given.get("version") != items.version:
            raise Refused(
                HTTPStatus.GONE, error="The results changed, because the workflow ran again. The page loads them now."
            )
        try:
            return items.item(number if isinstance(number, int) else -1)
        except IndexError:
            raise Refused(HTTPStatus.NOT_FOUND, error="There is no such item.") from None

    def decided(self, item: Mapping[str, Any]) -> list[dict[str, str]]:
        """Return what people decided about `item`: first, and latest first, the person who uses the page."""
        table = self.tables.get(log_of(item["queue"]))
        if table is None:
            return []
        if item["queue"] == IDENTITIES:
            found = table.about((item["key"],)) + (table.about((item["label"],)) if item["label"] else [])
        else:
            found = table.about(self._target(item))
        return [row for _, row in sorted(found, key=lambda each: (not self._is_own(each[1]), -each[0]))]

    def _is_own(self, row: Mapping[str, str]) -> bool:
        return self.who in {row.get("who"), row.get("by")}

    def _target(self, item: Mapping[str, Any]) -> Target:
        """Return what the table of decisions calls `item`."""
        target = item["key"], item["classifier"]
        return self._followed.get(target, target)

    def labels(self, classifier: str) -> Any:
        """Return the classes of a classifier, or the range of its scores; None if there is no such classifier."""
        return self.items.page.classifiers.get(classifier)

    def actions(self, queue: str, classifier: str) -> list[Action]:
        """Return what can be decided about the items of `queue` that are about the `classifier`."""
        return actions_of(queue, self.labels(classifier), self.items.page.keys, may_label=self.items.page.labels is not None)

    def shown(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the page needs to know of `item`."""
        paths = ("picture", "clip", "mask", "beside")
        known = {name: value for name, value in item.items() if name not in {"before", "after"}}
        return {
            **known,
            **{name: bool(item[name]) for name in paths},
            "decisions": self.decided(item),
            "actions": [each.name for each in self.actions(item["queue"], item["classifier"]) if applies(each.name, item)],
            "neighbours": [item["before"], item["after"]],
        }

    def state(self) -> dict[str, Any]:
        """Return what the page shows around the items."""
        queues = self.items.queues()
        for queue in queues:
            own = self.items.frame.filter(pl.col("queue") == queue["name"])["classifier"].unique().to_list()
            queue["actions"] = {name: [each._asdict() for each in self.actions(queue["name"], name)] for name in own}
            queue["decided"] = int(self._is_decided(self.items.frame.filter(queue=queue["name"])).sum())
        faults = [table.fault for table in self.tables.values() if table.fault]
        blurred = bool(self.items.frame["is_blurred"].any())
        tables = [table.state for table in self.tables.values()]
        known = {"version": self.items.version, "tables": tables, "who": self.who, "has_blurred": blurred}
        return {**known, "queues": queues, "faults": faults}

    def page(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the items that the query `given` asks for, at most `PAGE` of them, and how many there are."""
        chosen = {name: given[name] for name in FILTERS if name in given}
        limits = _number(given, "least", 0.0), _number(given, "most", 1.0)
        found = self.items.choose(given.get("queue", ""), chosen, given.get("find", ""), *limits)
        if given.get("decided") in {"yes", "no"}:
            found = found.filter(self._is_decided(found) == (given["decided"] == "yes"))
        elif given.get("decided") == "disputed":
            found = found.filter(self._is_decided(found, only_disputed=True))
        # Not by their number, because decided items may leave the selection while somebody goes through it.
        rows = found.filter(pl.col("id") > _number(given, "after", -1)).head(PAGE).iter_rows(named=True)
        return {"version": self.items.version, "total": found.height, "items": [self.shown(row) for row in rows]}

    def _is_decided(self, found: pl.DataFrame, *, only_disputed: bool = False) -> pl.Series:
        if found.is_empty():
            return pl.Series([], dtype=pl.Boolean)
        is_of_crops = found["queue"][0] == IDENTITIES
        table = self.tables.get(log_of(found["queue"][0]))
        targets = (table.disputed() if only_disputed else table.targets()) if table else set()
        if is_of_crops:
            return pl.Series(
                [(key,) in targets or (label,) in targets for key, label in found.select("key", "label").iter_rows()]
            )
        return pl.Series([self._followed.get(row, row) in targets for row in found.select("key", "classifier").iter_rows()])

    def decide(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write the decision `given` and return the item. Raises `Refused`."""
        item = self.item(given)
        name, value = _text(given, "action"), _text(given, "value")
        possible = self.actions(item["queue"], item["classifier"])
        fits = [each for each in possible if each.name == name and (each.asks or each.label == value)]
        if not fits or not applies(fits[0].name, item):
            raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name!r} cannot be decided about this item.")
        if fits[0].asks == "label" and (fault := decisions.unknown_label(value, self.labels(item["classifier"]))):
            raise Refused(HTTPStatus.BAD_REQUEST, error=f"{item['classifier']} {fault}.")
        row = row_of(item, name, value, _text(given, "reason"), self.who)
        if "key" in row:
            row["key"] = self._target(item)[0]
        if name == ACCEPT:
            self._label(item, value)
        try:
            self._append(item, row, overrule=given.get("overrule") is True)
        except Refused:
            if name == ACCEPT:
                self._take_back_label(item)
            raise
        return self.shown(item)

    def _label(self, item: Mapping[str, Any], value: str) -> None:
        numbers = [int(number) for number in value.split(",") if number.isdecimal() and len(number) < DIGITS]
        assert self.items.page.labels is not None
        with refusing("Not saved", HTTPStatus.CONFLICT):
            accept(item, numbers, self.results, self.items.page.labels)

    def _take_back_label(self, item: Mapping[str, Any]) -> None:
        if self.items.page.labels is not None:
            with refusing("The label is still there", HTTPStatus.LOCKED):
                take_back(item, self.items.page.labels)

    def undo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take back the last decision of this person about an item, and return the item. Raises `Refused`."""
        item = self.item(given)
        own = [row for row in self.decided(item) if self._is_own(row)]
        if not own:
            raise Refused(HTTPStatus.CONFLICT, error=f"{self.who} decided nothing about it.")
        self._append(item, undo_of(own[0]))
        # Somebody else may have accepted the same.
        if own[0].get("reason") == LABELLED and all(row.get("reason") != LABELLED for row in self.decided(item)):
            self._take_back_label(item)
        return self.shown(item)

    def _append(self, item: Mapping[str, Any], row: Mapping[str, str], *, overrule: bool = False) -> None:
        try:
            with refusing("Not saved", HTTPStatus.LOCKED):
                self.tables[log_of(item["queue"])].append(row, overrule=overrule)
        except Conflict as conflict:
            told = {"others": conflict.others, "item": self.shown(item)}
            raise Refused(HTTPStatus.CONFLICT, error="Somebody else decided otherwise.", **told) from None

    def planned(self) -> list[str]:
        """Return what the next run will do with the decisions."""
        if disputed := sum(len(table.disputed()) for table in self.tables.values()):
            return [f"nothing: people disagree about {counted(disputed, 'items')}, see `decided: disputed`"]
        queues = self.items.frame.partition_by("queue", maintain_order=True)
        decided = (item for queue in queues for item in queue.filter(self._is_decided(queue)).iter_rows(named=True))
        return plan((item, rows[0]) for item in decided if (rows := self.decided(item)))

    def open(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Open an item in labelme, or export it to Label Studio, and return what happened. Raises `Refused`."""
        item = self.item(given)
        if not item["picture"]:
            raise Refused(
                HTTPStatus.BAD_REQUEST, error="A clip cannot be opened there. Its source's frames can: see the queue of frames."
            )
        with refusing("Not opened", HTTPStatus.FAILED_DEPENDENCY):
            if given.get("how") != "labelme":
                folder = self.items.folder / "label_studio"
                return {"told": export_to_label_studio(item, self.results, folder, self.items.page.classes)}
            if not item["boxes"]:
                raise TesseraError("only frames and their regions are labelled in labelme; export it for Label Studio instead")
            if self.items.page.labels is None:
                raise TesseraError("`annotations.frame_labels` names no folder for labels; set it, and run the workflow again")
            return {"told": open_in_labelme(item, self.results, self.items.page.labels)}

    def file(self, version: str, number: int, what: str) -> tuple[Path, str]:
        """Return the file and the content type of what the page shows of an item. Raises `Refused`."""
        item = self.item({"version": version, "id": number})
        with refusing("Not shown", HTTPStatus.NOT_FOUND):
            if what in {"picture", "beside"} and item[what]:
                path = inside(item[what], self.results)
                return path, picture_type(path)
            if what in {"clip", "outlined"} and item["clip"]:
                mask = inside(item["mask"], self.results) if what == "outlined" and item["mask"] else None
                return self.proxies.of(inside(item["clip"], self.results), mask), "video/mp4"
        raise Refused(HTTPStatus.NOT_FOUND, error="The item has no such file.")


def follow(decided: Sequence[decisions.Decision], items: pl.DataFrame) -> dict[Target, Target]:
    """Return what the table of decisions calls those of `items` that it names differently, by what they are called now.

    Clips and regions get other keys when they are made anew, and pictures when they are renamed. Decisions follow them,
    as in a run.
    """
    if {each.key for each in decided} <= set(items["key"]):
        return {}
    split = decisions.split_decisions(decided, items["source"].unique().to_list())
    columns = items.filter(queue=CLIPS).select("key", "source", "frames").iter_rows()
    clips = {
        key: decisions.Place(source, int(place[2]), frames)
        for key, source, frames in columns
        if (place := decisions.CLIP.fullmatch(key))
    }
    found, _ = decisions.find_clips(split.clips, clips)
    regions = {key: decisions.region_of(key) for key in items.filter(queue=REGIONS)["key"]}
    frames = set(items.filter(pl.col("queue").is_in([FRAMES, FALSE_POSITIVES]))["key"])
    found |= decisions.find_regions(split.regions, regions, frames | {frame for frame, _ in regions.values()})[0]
    found |= for_frames(split.frames, frames)
    return {(key, ""): (each.key, "") for key, each in found.items() if key != each.key}


def _text(given: Mapping[str, Any], name: str) -> str:
    found = given.get(name, "")
    if not isinstance(found, str):
        raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name} is no text.")
    return found


def _number(given: Mapping[str, str], name: str, usual: float) -> float:
    try:
        found = float(given.get(name, usual))
    except ValueError:
        found = nan
    if isnan(found):
        raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name} is no number.")
    return found


def make_app(review: Review, token: str, hosts: Callable[[], set[str]]) -> ASGIApp:
    """Return the application that serves `review` below `/{token}/`. `hosts`: see `Guard`."""

    def answer(work: Callable[[Request, Mapping[str, Any]], Any]) -> Answer:
        async def given(request: Request) -> Response:
            try:
                content = await _body(request) if request.method == "POST" else dict(request.query_params)
                await run_in_threadpool(review.refresh)
                return JSONResponse(await run_in_threadpool(work, request, content))
            except Refused as refused:
                return JSONResponse(refused.content, refused.status.value)
            except TesseraError as error:
                return JSONResponse({"error": str(error)}, HTTPStatus.LOCKED.value)

        return given

    async def file(request: Request) -> Response:
        try:
            given = request.path_params
            number = int(given["id"]) if given["id"].isdecimal() and len(given["id"]) < DIGITS else -1
            path, kind = await run_in_threadpool(review.file, given["version"], number, given["what"])
        except Refused as refused:
            return JSONResponse(refused.content, refused.status.value)
        # The address has the version of the results, so that what it shows never changes.
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, max-age=86400"})

    async def static(request: Request) -> Response:
        name = FILES.get(request.path_params.get("name", ""))
        if name is None:
            return PlainTextResponse("404 Not Found\n", HTTPStatus.NOT_FOUND.value)
        return FileResponse(STATIC / name)

    routes = [
        Route("/{token}/", static),
        Route("/{token}/{name}", static),
        Route("/{token}/api/state", answer(lambda _, __: review.state())),
        Route("/{token}/api/items", answer(lambda _, given: review.page(given))),
        Route("/{token}/api/plan", answer(lambda _, __: review.planned())),
        Route("/{token}/api/decide", answer(lambda _, given: review.decide(given)), methods=["POST"]),
        Route("/{token}/api/open", answer(lambda _, given: review.open(given)), methods=["POST"]),
        Route("/{token}/api/undo", answer(lambda _, given: review.undo(given)), methods=["POST"]),
        Route("/{token}/media/{version}/{id}/{what}", file),
    ]
    return Guard(Starlette(routes=routes), token, hosts)


async def _body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object that a request sends. Raises `Refused` if it is none, or too long."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LONGEST:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error="The request is too long.")
    try:
        found = json.loads(content)
        # Half of a character cannot be written to a table.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, error="The request is no JSON object.")
    return found
