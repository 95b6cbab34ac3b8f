"""Select the pictures of an image set by rules over tables."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.seeds import fraction
from tessera.extras.image_sets.settings import FRAMES, SelectionSettings
from tessera.imaging.images import read_image
from tessera.imaging.near_hashes import find_duplicates
from tessera.imaging.sharpness import luma, sharpness
from tessera.records.decisions import Decision
from tessera.records.eligibility import NOT_ADMITTED, refusal
from tessera.records.frame_keys import for_frames
from tessera.records.identities import CLUSTER
from tessera.records.limits import IGNORED, ignored_limits, values_of
from tessera.records.tables.crops import Crops
from tessera.records.tables.footage import Frames, Replaced, Sources
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import SetPictures
from tessera.records.tables.table import read_columns, read_table, types, write_table
from tessera.records.tables.tags import Tags
from tessera.records.tags import read_tags, same_tag, unknown_tags

FRAME = "frame"  # the step of a whole frame
HEAD = "head"  # the step whose crops are heads
CONTENT = ("tags", "identity")  # the rules on what a picture shows; pictures for regularisation meet all others
Verdict = tuple[str, str]  # reason and detail why a picture is left out, for a ledger
NOT_BESIDE: Verdict = "adult source", "another picture of the set shows an identity"


class Candidate(NamedTuple):
    """A frame or a crop of one."""

    key: str
    source: str
    frame: str  # key of its frame
    step: str  # step of a crop, or `FRAME`
    parent: str  # key of the frame or crop that it was found in; empty for a frame
    path: Path
    width: int
    height: int
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in the frame, pixels, half-open
    phash: int
    sharpness: float | None  # None: not measured yet
    found_height: float  # height of the region that the crop was made for, pixels of the frame


class Shown(NamedTuple):
    """What the pictures show, by their keys."""

    identities: Mapping[str, Mapping[str, str]]  # the appearance of each identity
    heads: Mapping[str, float]  # height of the highest head as a fraction of the picture
    tags: Mapping[str, Collection[str]]  # as `same_tag` writes them
    steps: Mapping[str, Collection[str]]  # of the crops in it and, of a crop, its own


def select_set(
    frames: Sequence[Path],
    crops: Sequence[Path],
    identities: Sequence[Path],
    tags: Sequence[Path],
    scored: Mapping[str, Sequence[Path]],
    metrics: Sequence[Path],
    duplicates: Sequence[Path],
    sources: Path,
    decisions: Mapping[str, Decision],
    uses: str,
    series: str | None,
    settings: SelectionSettings,
    distance: int,
    seed: int,
    selected: Path,
    ledger: Path,
    threads: int = 1,
    tag_list: Path | None = None,
) -> None:
    """Write the pictures of an image set to the table `selected` (`tables.SetPictures`), sorted by key.

    `frames`, `crops`: files of `tables.Frames` and `tables.Crops`, each beside the folder `images` with its pictures.
    `identities`: files of `tables.Identities`. `tags`: files of `tables.Tags`. `tag_list`: that of the tagger, which is given
    where the settings were not compared with it before the jobs started. `scored`: files of `tables.Scored` of frames, by
    classifier. `metrics`: see `ignored_limits`. `duplicates`: files with the columns of `tables.Replaced`. `sources`:
    `tables.Sources`. `decisions`: of people, by the key of the frame. `uses`: the name of the set in the column `use` of the
    manifest. `series`: the only one whose sources feed the set; None for any. `distance`: bits in which perceptual hashes of
    pictures that look alike differ at most.

    The rules are applied in this order: the source, decisions, the size, what it contains, the sharpness, the scores, the tags,
    the identities. A crop has the scores of its frame. A picture shows the identities of the crops in it. If one that is left
    shows an identity, those of sources whose content is not general are left out. Of pictures that look alike, one is selected.
    Then `settings.others` pictures that only the rules of tags or identities leave out are drawn for regularisation; the draw
    depends on the seed, the set and the keys. `ledger` gets one row per candidate.

    Raises `TesseraError` if no picture is left, or if an identity is of a source whose content is not general.
    """
    for message in unknown_tags(settings.tags.stated(f"image_sets.{uses}"), read_tags(tag_list)) if tag_list else ():
        tell(message)
    pool = {each.key: each for each in _candidates(frames, crops)}
    decisions = for_frames(decisions, {each.frame for each in pool.values()})
    origins = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    clusters = None if settings.keep_unnamed else settings.identities if isinstance(settings.identities, tuple) else ()
    shown = _shown(pool, identities, tags, {name: row["content"] for name, row in origins.items()}, clusters)
    chosen = [key for key, each in pool.items() if (FRAMES if each.step == FRAME else each.step) in settings.of]
    own_series = None if series is None else (series,)
    values = {name: values_of(scored[name], name, limit.label) for name, limit in settings.scores.items()}
    measured = dict(_measure([pool[key] for key in chosen], settings, threads)) if settings.sharpness else {}
    ignored = ignored_limits(settings.scores, metrics)
    verdicts = {
        key: _fault(
            pool[key], origins, decisions, uses, own_series or settings.series, values, measured, shown, settings, ignored
        )
        for key in chosen
    }
    wanted = sorted(key for key in chosen if not verdicts[key][0])
    others = [key for key in chosen if verdicts[key][0] in CONTENT] if settings.others else []
    others.sort(key=lambda key: (fraction(f"others of {uses} {seed}", key), key))
    if any(shown.identities.get(key) for key in (*wanted, *others)):
        refused = {key: NOT_BESIDE for key in (*wanted, *others) if origins[pool[key].source]["content"] != "general"}
        verdicts |= refused
        wanted, others = ([key for key in keys if key not in refused] for keys in (wanted, others))
    if settings.unique:
        alike = _alike([*wanted, *others], len(wanted), pool, duplicates, distance)
        verdicts |= {key: ("near-duplicate", other) for key, other in alike.items() if not verdicts[key][0]}
        wanted, others = ([key for key in keys if key not in alike] for keys in (wanted, others))
    if not wanted:
        reasons = (
            format_counts(Counter(reason for reason, _ in verdicts.values())) or f"there are none of {', '.join(settings.of)}"
        )
        raise TesseraError(
            f"the image set {uses!r} has no pictures ({reasons}); change `image_sets.{uses}.select`, or let sources feed it"
            " (column `use` of the manifest)"
        )
    if len(others) < settings.others:
        tell(f"`others` is {settings.others:,}, and there are {pluralize(len(others), 'pictures')} to draw from: all are used")
    regular = set(others[: settings.others])
    with Ledger(ledger) as entries:
        for key, (reason, detail) in sorted(verdicts.items()):
            if key in regular:
                entries.row(key, "ok", "drawn for regularisation", reason)
            elif reason:
                entries.row(key, "dropped", reason, detail)
            else:
                frame = pool[key].frame
                passed = [name for name in ignored if settings.scores[name].complaint(name, values[name][frame])[0]]
                entries.row(key, "ok", f"{IGNORED} {', '.join(passed)}" if passed else "")
    rows = []
    for key in sorted([*wanted, *regular]):
        each, names = pool[key], shown.identities.get(key, {})
        rows.append(
            {
                **{name: getattr(each, name) for name in ("key", "source", "frame", "step", "width", "height")},
                "split": origins[each.source]["split"],
                "series": origins[each.source]["series"],
                "path": str(each.path),
                "identities": sorted(names),
                "appearances": [names[name] for name in sorted(names)],
                "head": shown.heads.get(key),
                "is_regular": key in regular,
            }
        )
    write_table(pl.DataFrame(rows, schema=types(SetPictures)), SetPictures, selected)


def _candidates(frames: Iterable[Path], crops: Iterable[Path]) -> Iterator[Candidate]:
    for table in frames:
        for row in read_table(table, Frames).iter_rows(named=True):
            path, size = table.parent / "images" / row["file"], (row["width"], row["height"])
            yield Candidate(
                row["key"], row["source"], row["key"], FRAME, "", path, *size, (0, 0, *size), row["phash"], None, 0.0
            )
    for table in crops:
        for row in read_table(table, Crops).iter_rows(named=True):
            box = (row["x0"], row["y0"], row["x1"], row["y1"])
            path = table.parent / "images" / row["file"]
            names = (row["key"], row["source"], row["frame"], row["step"], row["parent"])
            height = row["found_height"] or float(box[3] - box[1])
            yield Candidate(*names, path, row["width"], row["height"], box, row["phash"], row["sharpness"], height)


def _shown(
    pool: Mapping[str, Candidate],
    identities: Iterable[Path],
    tags: Iterable[Path],
    contents: Mapping[str, str],
    clusters: Collection[str] | None,
) -> Shown:
    """Return what the pictures in `pool` show.

    `contents`: the content of each source. `clusters`: those that nobody named and that are identities; None: all of them.

    A picture shows the identities of the crops in it. A crop without any, such as a head in a person, shows that of the nearest
    crop around it.
    """
    identity_of_crop: dict[str, tuple[str, str]] = {}
    for table in identities:
        for row in read_table(table, Identities).iter_rows(named=True):
            if contents.get(row["source"]) != "general":
                raise TesseraError(
                    f"{table}: {row['key']!r} has an identity, and the content of its source {row['source']!r} is not general."
                    " Identities are made of general footage alone; delete the table and run again"
                )
            if clusters is not None and row["identity"] not in clusters and re.search(CLUSTER, row["identity"]):
                continue
            if row["identity"] and row["key"] in pool:
                identity_of_crop[row["key"]] = row["identity"], row["appearance"]
    identities_of_picture: dict[str, dict[str, str]] = {}
    heads: dict[str, float] = {}
    steps: dict[str, set[str]] = {}
    for key, each in pool.items():
        for around in _around(each, pool):
            steps.setdefault(around.key, set()).add(each.step)
            if key in identity_of_crop:
                name, appearance = identity_of_crop[key]
                names = identities_of_picture.setdefault(around.key, {})
                # Of several appearances in one picture, the first by name that is known.
                names[name] = min(filter(None, (names.get(name, ""), appearance)), default="")
            if each.step == HEAD:
                ratio = min(1.0, each.found_height / (around.box[3] - around.box[1]))
                heads[around.key] = max(ratio, heads.get(around.key, 0.0))
    for key, each in pool.items():
        if key not in identities_of_picture:
            inside = (around.key for around in _around(each, pool) if around.key in identity_of_crop)
            nearest = next((identity_of_crop[crop] for crop in inside), None)
            if nearest:
                identities_of_picture[key] = dict([nearest])
    tags_of_picture: dict[str, set[str]] = {}
    for table in tags:
        rows = read_table(table, Tags).select("key", "tag")
        written = {tag: same_tag(tag) for tag in rows["tag"].unique()}
        for key, tag in rows.iter_rows():
            tags_of_picture.setdefault(key, set()).add(written[tag])
    return Shown(identities_of_picture, heads, tags_of_picture, steps)


def _around(each: Candidate, pool: Mapping[str, Candidate]) -> Iterator[Candidate]:
    """Yield `each`, the crops around it from the inside to the outside, and the frame."""
    yield each
    while each.parent in pool:
        each = pool[each.parent]
        yield each


def _measure(candidates: Sequence[Candidate], settings: SelectionSettings, threads: int) -> Iterator[tuple[str, float]]:
    """Yield the key and the sharpness of each of `candidates` that are large enough. Those of crops are known."""

    def work(each: Candidate) -> float:
        if each.sharpness is not None:
            return each.sharpness
        try:
            return sharpness(luma(read_image(each.path)))
        except (Failed, FileNotFoundError) as error:
            reason = error.detail if isinstance(error, Failed) else "it is missing"
            raise TesseraError(f"the picture {each.key!r}: {each.path}: {reason}; delete its folder and run again") from None

    large = [each for each in candidates if min(each.width, each.height) >= settings.minimum]
    with ThreadPoolExecutor(threads) as pool:
        for each, value in ahead(pool, work, progress(large, unit="pictures"), 2 * threads):
            yield each.key, value.result()


def _fault(
    each: Candidate,
    origins: Mapping[str, Mapping[str, object]],
    decisions: Mapping[str, Decision],
    uses: str,
    series: Sequence[str] | None,
    values: Mapping[str, Mapping[str, float]],
    measured: Mapping[str, float],
    shown: Shown,
    settings: SelectionSettings,
    ignored: Collection[str],
) -> Verdict:
    """Return the first rule that leaves a picture out, and a detail; two empty texts if none does.

    The limits of the scores of `ignored` classifiers are no rules.
    """
    origin = origins.get(each.source)
    refused = refusal(origin, [uses]) if origin else NOT_ADMITTED
    if origin is None or any(refused):
        return refused
    if settings.sources is not None and each.source not in settings.sources:
        return "other source", ""
    if series is not None and origin["series"] not in series:
        return "other series", str(origin["series"])
    decision = decisions.get(each.frame)
    if decision and decision.decision == "drop":
        return "dropped by decision", str(decision)
    size = f"{each.width} x {each.height}"
    if min(each.width, each.height) < settings.minimum:
        return "too small", size
    if settings.maximum is not None and max(each.width, each.height) > settings.maximum:
        return "too large", size
    if missing := [step for step in settings.contains if step not in shown.steps[each.key]]:
        return "contains", f"no {missing[0]}"
    if settings.sharpness and measured[each.key] < settings.sharpness:
        return "not sharp", f"{measured[each.key]:.3g} < {settings.sharpness:g}"
    for name, limit in settings.scores.items():
        if each.frame not in values[name]:
            return f"no score of {name}", ""
        reason, detail = limit.complaint(name, values[name][each.frame])
        if reason and name not in ignored:
            return reason, detail
    tags = shown.tags.get(each.key, ())
    if missing := [tag for tag in settings.tags.all if same_tag(tag) not in tags]:
        return "tags", f"without {missing[0]}"
    if unwanted := [tag for tag in settings.tags.none if same_tag(tag) in tags]:
        return "tags", f"with {unwanted[0]}"
    names = shown.identities.get(each.key, {})
    if settings.identities == "any" and not names:
        return "identity", "none"
    if isinstance(settings.identities, tuple) and not names.keys() & set(settings.identities):
        return "identity", ", ".join(sorted(names)) or "none"
    return "", ""


def _alike(
    keys: Sequence[str], first: int, pool: Mapping[str, Candidate], duplicates: Iterable[Path], distance: int
) -> dict[str, str]:
    """Return those of `keys` that look like another, each with the key of that one. Earlier keys are kept.

    Of frames that look alike, one is used, with its crops: the one that the tables of `duplicates` keep, if it is among the
    `first` of `keys`, which go before the others. Then perceptual hashes are compared, because crops look alike where frames
    differ.
    """
    representatives: dict[str, str] = {}
    for table in duplicates:
        # A table is about the frames that the tables before it keep.
        duplicate_of = dict(read_columns(table, Replaced).select("key", "duplicate_of").iter_rows())
        representatives = {key: duplicate_of.get(other, other) for key, other in representatives.items()} | {
            key: other for key, other in duplicate_of.items() if key not in representatives
        }
    used: dict[str, str] = {}  # the frame that is used of each group
    alike: dict[str, str] = {}
    for some in (keys[:first], keys[first:]):
        for frame in sorted({pool[key].frame for key in some}, key=lambda frame: (frame in representatives, frame)):
            used.setdefault(representatives.get(frame, frame), frame)
    for key in keys:
        frame = pool[key].frame
        if (other := used[representatives.get(frame, frame)]) != frame:
            alike[key] = other
    # Whole pictures before their parts.
    order = sorted(range(len(keys)), key=lambda number: (number >= first, pool[keys[number]].step != FRAME, number))
    left = [keys[number] for number in order if keys[number] not in alike]
    near, _ = find_duplicates(np.array([pool[key].phash for key in left], np.uint64), distance)
    return alike | {key: left[other] for key, other in zip(left, near.tolist(), strict=True) if left[other] != key}
