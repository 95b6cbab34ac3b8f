"""What the review page knows, and what a request of it does: the items, the tables of decisions, and the history."""

import errno
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from math import isnan, nan
from pathlib import Path
from typing import Any

import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.pages.review.actions import ACCEPT, LABELLED, Action, actions_of, applies, log_of, row_of
from tessera.pages.review.history import Change, History, Target
from tessera.pages.review.items import FILTERS, Items
from tessera.pages.review.labelling import accept, export_to_label_studio, open_in_labelme, outlines, take_back
from tessera.pages.review.media import NotShown, Proxies, inside, picture_type
from tessera.pages.review.plan import ask_snakemake, plan
from tessera.pages.review.tables import Conflict, DecisionTable, Lost, Written
from tessera.records import decisions, identities
from tessera.records.face_decisions import find_faces
from tessera.records.frame_keys import for_frames
from tessera.records.tables.review import CLIPS, FACES, FALSE_POSITIVES, FRAMES, IDENTITIES, REGIONS

DIGITS = 12  # of a number in a request, fewer
PAGE = 200  # items that are sent at a time
LONGEST_NAME = 100  # characters of the name of a person
BATCHES = 50  # of the history that are sent
PEOPLE = "people.json"  # keys that each person chose


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
    except Lost as error:
        raise Refused(HTTPStatus.CONFLICT, error=f"{start}: {error}.") from None
    except (NotShown, TesseraError) as error:
        raise Refused(status, error=f"{start}: {error}") from None
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        status = HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.LOCKED
        raise Refused(status, error=f"{start}: {error.strerror}. Fix this, then try again.") from None


class Review:
    """The page of all people who use it. Requests come from several threads."""

    def __init__(self, folder: Path, who: str) -> None:
        """Serve the items in `folder`. Decisions of a page without a name are those of `who`.

        Raises `TesseraError` if a file is damaged.
        """
        self.who = who
        self.proxies = Proxies(Path(folder) / "proxies")
        self.history = History(Path(folder))
        self._deciding = threading.RLock()  # the history has the order of the tables
        self._read: object = None  # what the index was made of
        self._open(folder)

    def _open(self, folder: Path) -> None:
        self.items = Items(folder)
        page = self.items.page
        self.results = page.results
        self.proxies.budget = page.proxies
        self.tables = {"decisions": DecisionTable(page.decisions, decisions.Decision, decisions.entry_of)}
        if page.identities:
            self.tables["identities"] = DecisionTable(
                page.identities, identities.IdentityDecision, identities.entry_of, identities.contradictions
            )

    def refresh(self) -> None:
        """Read again what changed on disk: the items and settings of another run, and the tables of decisions."""
        with self._deciding:
            state = self.items.state()
            if state is not None and state != self.items.seen:
                self._open(self.items.folder)
            for table in self.tables.values():
                table.refresh()
            read = self.items.version, [table.reads for table in self.tables.values()]
            if self._read != read:
                self._index()
                self._read = read

    def _index(self) -> None:
        """Find which decisions are on which items."""
        frame = self.items.frame
        self._followed, self.unmatched = follow(self.tables["decisions"].standing(), frame)
        faces, gone = follow_faces(self.tables["decisions"].standing(), frame)
        self._followed |= faces
        self.unmatched += gone
        if "identities" in self.tables:
            crops, lost = follow_crops(self.tables["identities"].standing(), frame)
            self._followed |= crops
            self.unmatched += lost
        columns = frame.select("queue", "key", "target", "classifier", "label").iter_rows()
        self._targets = [self._targets_of(*row) for row in columns]
        self._items_of: dict[Target, list[int]] = {}
        for number, targets in enumerate(self._targets):
            for each in targets:
                self._items_of.setdefault(each, []).append(number)
        known = {(name, *about) for name, table in self.tables.items() for about in table.targets()}
        self._decided = {number for target in known for number in self._items_of.get(target, ())}
        self._queues = frame["queue"].to_list()
        self._counts = Counter(self._queues[number] for number in self._decided)

    def _targets_of(self, queue: str, key: str, target: str, classifier: str, label: str) -> tuple[Target, ...]:
        """Return what decisions on an item of these columns are about.

        It is the item, under the key that its decisions stand under, and for a crop its whole identity too.
        """
        if queue != IDENTITIES:
            return (("decisions", self._followed.get((key, classifier), target), classifier),)
        crop = ("identities", self._followed.get((key, ""), target))
        return (crop, ("identities", label)) if label else (crop,)

    def person(self, given: Mapping[str, Any]) -> str:
        """Return who sends a request. Raises `Refused` if the name cannot stand in a table."""
        who = _text(given, "who").strip() or self.who
        if len(who) > LONGEST_NAME or not who.isprintable():
            raise Refused(HTTPStatus.BAD_REQUEST, error=f"A name has at most {LONGEST_NAME} letters, digits, marks and spaces.")
        return who

    def chosen(self, given: Mapping[str, Any], ids: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the items `ids` of the `version` of the items that a request names. Raises `Refused`."""
        items = self.items  # another run may replace them meanwhile
        if given.get("version") != items.version:
            raise Refused(
                HTTPStatus.GONE, error="The results changed, because the workflow ran again. The page loads them now."
            )
        try:
            return [items.item(each if type(each) is int else -1) for each in ids]
        except IndexError:
            raise Refused(HTTPStatus.NOT_FOUND, error="There is no such item.") from None

    def decided(self, number: int, who: str) -> list[dict[str, str]]:
        """Return what people decided about the item `number`: first, and latest first, the person `who`."""
        log_rows = [
            row for log, *about in self._targets[number] if (table := self.tables.get(log)) for row in table.about((*about,))
        ]
        return [row for _, row in sorted(log_rows, key=lambda each: (who not in _people(each[1]), -each[0]))]

    def labels(self, classifier: str) -> Any:
        """Return the classes of a classifier, or the range of its scores; None if there is no such classifier."""
        return self.items.page.classifiers.get(classifier)

    def actions(self, queue: str, classifier: str) -> list[Action]:
        """Return what can be decided about the items of `queue` that are about the `classifier`."""
        return actions_of(queue, self.labels(classifier), self.items.page.keys, may_label=self.items.page.labels is not None)

    def shown(self, item: Mapping[str, Any], who: str, sort: str = "") -> dict[str, Any]:
        """Return what the page needs to know of `item`. `sort`: that by which the items are shown; empty: none."""
        paths = ("picture", "clip", "mask", "beside", "outlines", "labelled")
        unsent = {"before", "after", "target", "sorts", "ranks", "sort_texts"}
        known = {name: value for name, value in item.items() if name not in unsent}
        return {
            **known,
            **{name: bool(item[name]) for name in paths},
            "decisions": self.decided(item["id"], who),
            "actions": [each.name for each in self.actions(item["queue"], item["classifier"]) if applies(each.name, item)],
            "neighbours": [item["before"], item["after"]],
            "sorted": dict(zip(item["sorts"], item["sort_texts"], strict=True)).get(sort, ""),
        }

    def state(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the page shows around the items."""
        who, queues = self.person(given), self.items.queues()
        for queue in queues:
            classifiers = self.items.frame.filter(pl.col("queue") == queue["name"])["classifier"].unique().to_list()
            queue["actions"] = {name: [each._asdict() for each in self.actions(queue["name"], name)] for name in classifiers}
            queue["decided"] = self._counts[queue["name"]]
        blurred = bool(self.items.frame["is_blurred"].any())
        known = {"who": who, "has_blurred": blurred, "keys": self._people().get(who, {}), "unmatched": self.unmatched}
        return {**self.pulse(given), **known, "queues": queues}

    def pulse(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return what changes if anybody, or any other program, changes what the page shows."""
        tables = list(self.tables.values())
        notices = [text for table in tables for text in table.notices]
        faults = [table.fault for table in tables if table.fault]
        return {"version": self.items.version, "tables": [each.state for each in tables], "notices": notices, "faults": faults}

    def ids(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the numbers of all items that the query `given` asks for, in order, and of those that are decided."""
        chosen = {name: given[name] for name in FILTERS if name in given}
        limits = _number(given, "least", 0.0), _number(given, "most", 1.0)
        queue, text, sort = (given.get(name, "") for name in ("queue", "find", "sort"))
        numbers = self.items.choose(queue, chosen, text, *limits, sort)["id"].to_list()
        if given.get("decided") in {"yes", "no"}:
            numbers = [number for number in numbers if (number in self._decided) == (given["decided"] == "yes")]
        elif given.get("decided") == "disputed":
            disputed = {(name, *about) for name, table in self.tables.items() for about in table.disputed()}
            numbers = [number for number in numbers if not disputed.isdisjoint(self._targets[number])]
        decided = [number for number in numbers if number in self._decided]
        return {"version": self.items.version, "ids": numbers, "decided": decided}

    def some(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the items with the numbers in the query `given`, at most `PAGE` of them."""
        who = self.person(given)
        numbers = [int(each) if _is_number(each) else -1 for each in given.get("ids", "").split(",")][:PAGE]
        items = [self.shown(item, who, given.get("sort", "")) for item in self.chosen(given, numbers)]
        return {"version": self.items.version, "items": items}

    # Decisions

    def decide(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Write one decision on some items, all at once. Return the number of the batch, which `undo` takes, and what changed.

        Items that could not be decided are `failed`, each with the reason. Raises `Refused` if nothing was written.
        """
        who, numbers = self.person(given), _numbers(given)
        items = self.chosen(given, numbers)
        values = given.get("values") or [_text(given, "value")] * len(items)
        if not items or len({log_of(item["queue"]) for item in items}) > 1 or len(values) != len(items):
            raise Refused(HTTPStatus.BAD_REQUEST, error="The items are none, or of different tables.")
        name, overrule = _text(given, "action"), given.get("overrule") is True
        failed: dict[int, dict[str, Any]] = {}
        rows: dict[Target, tuple[dict[str, Any], dict[str, str]]] = {}
        with self._deciding:
            for item, value in zip(items, values, strict=True):
                try:
                    row = self._row(item, name, value, _text(given, "reason"), who)
                    target = (log_of(item["queue"]), *self._about(item, row))
                    if target not in rows and name == ACCEPT:
                        self._label(item, value)
                    rows.setdefault(target, (item, row))
                except Refused as refused:
                    failed[item["id"]] = {"status": refused.status, **refused.content}
            answers = self._written(rows, overrule) if rows else {}
            made = []
            for target, (item, _) in rows.items():
                if isinstance(answer := answers[target], Written):
                    made.append((target, {each: item[each] for each in ("id", "queue", "key", "classifier", "source")}, answer))
                elif isinstance(answer, Conflict):
                    failed[item["id"]] = {"status": HTTPStatus.CONFLICT, "error": str(answer), "others": answer.others}
                else:
                    failed[item["id"]] = {"status": HTTPStatus.LOCKED, "error": f"Not saved: {answer}"}
            changed = self._changed([target for target, *_ in made], who)
            if failed and len(items) == 1:
                ((number, only),) = failed.items()
                status = only.pop("status")
                raise Refused(status, **only, changed=self._answer([number], who))
            batch = self.history.add(who, _text(given, "text") or name, made) if made else None
        failures = [{"id": number, **why} for number, why in failed.items()]
        return {"batch": batch, "saved": len(items) - len(failed), "failed": failures, **changed}

    def _row(self, item: Mapping[str, Any], name: str, value: Any, reason: str, who: str) -> dict[str, str]:
        if not isinstance(value, str):
            raise Refused(HTTPStatus.BAD_REQUEST, error="value is no text.")
        possible = self.actions(item["queue"], item["classifier"])
        fits = [each for each in possible if each.name == name and (each.asks or each.label == value)]
        if not fits or not applies(fits[0].name, item):
            raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name!r} cannot be decided about this item.")
        if fits[0].asks == "label" and (fault := decisions.unknown_label(value, self.labels(item["classifier"]))):
            raise Refused(HTTPStatus.BAD_REQUEST, error=f"{item['classifier']} {fault}.")
        row = row_of(item, name, value, reason, who)
        followed = self._targets[item["id"]][0][1]
        if "key" in row:
            row["key"] = followed
        elif row["target"] == item["target"]:
            row["target"] = followed
        return row

    @staticmethod
    def _about(item: Mapping[str, Any], row: Mapping[str, str]) -> tuple[str, ...]:
        return (row["target"],) if "target" in row else (row["key"], item["classifier"])

    def _written(
        self, rows: Mapping[Target, tuple[dict[str, Any], dict[str, str]]], overrule: bool
    ) -> dict[Target, Written | TesseraError | Conflict]:
        """Write rows of one table; return what became of each. Takes back labels that were made for those that were not."""
        answers: Sequence[Written | TesseraError | Conflict | None] = [None] * len(rows)
        try:
            with refusing("Not saved", HTTPStatus.LOCKED):
                found = self.tables[next(iter(rows))[0]].decide([row for _, row in rows.values()], overrule=overrule)
                answers = found
                return dict(zip(rows, found, strict=True))
        finally:
            for (item, row), answer in zip(rows.values(), answers, strict=True):
                if row.get("reason") == LABELLED and not isinstance(answer, Written):
                    self._take_back_label(item)

    def _label(self, item: Mapping[str, Any], value: str) -> None:
        numbers = [int(number) for number in value.split(",") if _is_number(number)]
        assert self.items.page.labels is not None
        with refusing("Not saved", HTTPStatus.CONFLICT):
            accept(item, numbers, self.results, self.items.page.labels)

    def _take_back_label(self, item: Mapping[str, Any]) -> None:
        if self.items.page.labels is not None:
            with refusing("The label is still there", HTTPStatus.LOCKED):
                take_back(item, self.items.page.labels)

    def undo(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take back a `batch` of decisions of a person, or else their last one about the only item: what was before stands.

        What was decided later about the same, in another tab, stays; so does what another program changed. Raises `Refused` if
        nothing was taken back.
        """
        who = self.person(given)
        with self._deciding:
            changes = self.history.of_batch(given.get("batch", 0), who) if "batch" in given else self._last(given, who)
            if not changes:
                raise Refused(HTTPStatus.CONFLICT, error="It is taken back already.")
            undone = [each for each in changes if each.number < 0 or not self.history.after(each)]
            later = len(changes) - len(undone)
            faults: dict[int, str] = {}
            for log in {each.target[0] for each in undone}:
                of_log = [each for each in undone if each.target[0] == log]
                with refusing("Not taken back", HTTPStatus.LOCKED):
                    answers = self._table(log).take_back([each.written for each in of_log])
                faults |= {each.number: str(why) for each, why in zip(of_log, answers, strict=True) if why}
            self.history.undo([each for each in changes if each.number > 0])
            for each in undone:
                is_other = all(row.get("reason") != LABELLED for row in self._standing(each.target))
                if each.number not in faults and each.row.get("reason") == LABELLED and is_other:
                    self._take_back_label(each.item)
            if len(faults) == len(changes):
                raise Refused(HTTPStatus.CONFLICT, error=f"Nothing was taken back: {next(iter(faults.values()))}.")
            changed = self._changed([each.target for each in changes], who)
        summary = {"taken": len(undone) - len(faults), "later": later, "failed": sorted(faults.values())}
        return {**summary, "item": changes[0].item, **changed}

    def _table(self, log: str) -> DecisionTable:
        if log not in self.tables:
            raise TesseraError("the table is not in the settings any more")
        return self.tables[log]

    def _standing(self, target: Target) -> list[dict[str, str]]:
        return [row for _, row in self.tables[target[0]].about(target[1:])] if target[0] in self.tables else []

    def _last(self, given: Mapping[str, Any], who: str) -> list[Change]:
        """Return the last decision of `who` about the only item of a request, as the history or else the table knows it."""
        (item,) = self.chosen(given, _numbers(given)[:1])
        stand = [
            (last[0], target, last[1])
            for target in self._targets[item["id"]]
            if target[0] in self.tables and (last := self.tables[target[0]].last_decision(target[1:], who))
        ]
        if not stand:
            raise Refused(HTTPStatus.CONFLICT, error=f"{who} decided nothing about it.")
        _, target, written = max(stand, key=lambda each: each[0])
        known = self.history.last_about(target, who)
        if known and known.row.items() <= {**written.row, "overrules": ""}.items():
            return [known]
        return [Change(-1, 0, 0.0, who, "", target, dict(item), *written)]

    def _changed(self, targets: Sequence[Target], who: str) -> dict[str, Any]:
        """Return what the page shows otherwise after what is decided about `targets` changed."""
        numbers = sorted({number for target in targets for number in self._items_of.get(target, ())})
        for number in numbers:
            is_decided = any(self._standing(target) for target in self._targets[number])
            self._counts[self._queues[number]] += is_decided - (number in self._decided)
            (self._decided.add if is_decided else self._decided.discard)(number)
        return {"changed": self._answer(numbers, who), "decided": dict(self._counts), "tables": self.pulse({})["tables"]}

    def _answer(self, numbers: Sequence[int], who: str) -> list[dict[str, Any]]:
        return [{"id": number, "decisions": self.decided(number, who)} for number in numbers]

    # Everything else

    def past(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the last batches of decisions of a person, which `undo` can take back, the latest first."""
        with self._deciding:
            return self.history.batches(self.person(given), BATCHES)

    def planned(self) -> dict[str, list[str]]:
        """Return what the decisions change in the next run, and those that match nothing, each with the reason."""
        if disputed := sum(len(table.disputed()) for table in self.tables.values()):
            return {
                "changes": [f"nothing: people disagree about {pluralize(disputed, 'items')}, see `decided: disputed`"],
                "unmatched": self.unmatched,
            }
        decided = ((self.items.item(number), self.decided(number, self.who)) for number in sorted(self._decided))
        return {"changes": plan((item, rows[0]) for item, rows in decided if rows), "unmatched": self.unmatched}

    def next_run(self) -> dict[str, Any]:
        """Return the jobs that a dry run of Snakemake plans, by rule, with the decisions as they are. It takes some seconds."""
        with refusing("Not known", HTTPStatus.FAILED_DEPENDENCY):
            return {"jobs": ask_snakemake(self.items.page.command)}

    def remap(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Save the keys that a person chose: for each key of the page the one that they press in its place."""
        who, keys = self.person(given), given.get("keys")
        texts = [*keys, *keys.values()] if isinstance(keys, dict) else [None]
        if not all(isinstance(each, str) and 0 < len(each) <= DIGITS for each in texts):
            raise Refused(HTTPStatus.BAD_REQUEST, error="keys are no keys.")
        with self._deciding, refusing("Not saved", HTTPStatus.LOCKED):
            path = self.items.folder / PEOPLE
            unfinished = path.with_name(f".{PEOPLE}")
            unfinished.write_text(json.dumps({**self._people(), who: keys}, indent=1), encoding="utf-8")
            unfinished.replace(path)
        return {"keys": keys}

    def _people(self) -> dict[str, Any]:
        try:
            people = json.loads((self.items.folder / PEOPLE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            people = {}
        return people if isinstance(people, dict) else {}

    def outlines(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return the outlines of the regions of an item, as `accept` saves them, and those of its label."""
        (item,) = self.chosen(given, [int(given["id"]) if _is_number(given.get("id", "")) else -1])
        with refusing("Not shown", HTTPStatus.NOT_FOUND):
            return outlines(item, self.results)

    def open(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Open an item in labelme, or export it to Label Studio, and return what happened. Raises `Refused`."""
        (item,) = self.chosen(given, _numbers(given)[:1])
        if not item["picture"]:
            raise Refused(
                HTTPStatus.BAD_REQUEST, error="A clip cannot be opened there. Its source's frames can: see the queue of frames."
            )
        with refusing("Not opened", HTTPStatus.FAILED_DEPENDENCY):
            if given.get("how") != "labelme":
                folder = self.items.folder / "label_studio"
                return {"message": export_to_label_studio(item, self.results, folder, self.items.page.classes)}
            if not item["boxes"]:
                raise TesseraError("only frames and their regions are labelled in labelme; export it for Label Studio instead")
            if self.items.page.labels is None:
                raise TesseraError("`annotations.frame_labels` names no folder for labels; set it, and run the workflow again")
            return {"message": open_in_labelme(item, self.results, self.items.page.labels)}

    def file(self, version: str, number: int, what: str) -> tuple[Path, str]:
        """Return the file and the content type of what the page shows of an item. Raises `Refused`."""
        (item,) = self.chosen({"version": version}, [number])
        with refusing("Not shown", HTTPStatus.NOT_FOUND):
            if what in {"picture", "beside"} and item[what]:
                path = inside(item[what], self.results)
                return path, picture_type(path)
            if what in {"clip", "outlined", "poster"} and item["clip"]:
                mask = inside(item["mask"], self.results) if what != "clip" and item["mask"] else None
                proxy, poster = self.proxies.of(inside(item["clip"], self.results), mask)
                return (poster, "image/jpeg") if what == "poster" else (proxy, "video/mp4")
        raise Refused(HTTPStatus.NOT_FOUND, error="The item has no such file.")


def follow(rows: Sequence[decisions.Decision], items: pl.DataFrame) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return under which key what is decided about an item stands, by the key and the classifier of the item, if under another.

    Clips and regions get other keys when they are made anew, and pictures when they are renamed. Decisions follow them,
    as in a run. Also returns the decisions on clips and regions that match none, each with the reason.
    """
    split = decisions.split_decisions(rows, items["source"].unique().to_list())
    clips = {}
    for key, target, source, frames in items.filter(queue=CLIPS).select("key", "target", "source", "frames").iter_rows():
        if match := decisions.CLIP.fullmatch(key):
            extent = decisions.extent_of(target)
            clips[key] = decisions.ClipExtent(source, int(match[2]), frames, extent.box if extent else None)
    on_clips, lost = decisions.find_clips(split.clips, clips) if clips else ({}, {})
    regions = {key: decisions.region_of(key) for key in items.filter(queue=REGIONS)["key"]}
    frames = set(items.filter(pl.col("queue").is_in([FRAMES, FALSE_POSITIVES]))["key"])
    on_regions, gone = decisions.find_regions(split.regions, regions, frames | {frame for frame, _ in regions.values()})
    nothing = lost | (gone if regions else {})
    unmatched = [f"{key}: {why or 'there is no such clip'}" for key, why in nothing.items()]
    moved = on_clips | on_regions | for_frames(split.frames, frames)
    return {(key, ""): each.key for key, each in moved.items()}, unmatched


def follow_faces(rows: Sequence[decisions.Decision], items: pl.DataFrame) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return under which key what is decided about a face of a set stands, by its key and the set, and the decisions on none.

    Decisions follow faces as in a run.
    """
    followed: dict[tuple[str, str], str] = {}
    unmatched = []
    for (name,), of_set in items.filter(queue=FACES).group_by("classifier", maintain_order=True):
        boxes = {key: decisions.region_of(target)[1] for key, target in of_set.select("key", "target").iter_rows()}
        found, lost = find_faces([each for each in rows if each.classifier == name], boxes)
        followed |= {(key, str(name)): each.key for key, each in found.items()}
        unmatched += [f"{key}: {why}" for key, why in lost.items()]
    return followed, unmatched


def follow_crops(
    rows: Sequence[identities.IdentityDecision], items: pl.DataFrame
) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return under which target what is decided about a crop stands, by its key, and the decisions on crops that are gone."""
    crops = items.filter(queue=IDENTITIES).select("key", "target").iter_rows()
    boxes = {key: decisions.region_of(target)[1] for key, target in crops if decisions.REGION.fullmatch(target)}
    targets = [each.target for each in rows]
    placed, lost = identities.find_crops(targets, boxes)
    plain = {(target, ""): target for target in targets if target in boxes}
    unmatched = [f"{target}: {why}" for target, why in lost.items()] if boxes else []
    return plain | {(key, ""): target for target, key in placed.items()}, unmatched


def _people(row: Mapping[str, str]) -> set[str | None]:
    return {row.get("who"), row.get("by")}


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name} is no text.")
    return value


def _number(given: Mapping[str, str], name: str, usual: float) -> float:
    try:
        value = float(given.get(name, usual))
    except ValueError:
        value = nan
    if isnan(value):
        raise Refused(HTTPStatus.BAD_REQUEST, error=f"{name} is no number.")
    return value


def _numbers(given: Mapping[str, Any]) -> list[Any]:
    ids = given.get("ids")
    return ids if isinstance(ids, list) else [None]


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < DIGITS
