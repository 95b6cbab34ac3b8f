"""Proposals: predictions for a person to correct, as labelme files or as tasks of Label Studio."""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from tessera.core.files import file_name
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.core.provenance import sha256_file
from tessera.core.settings import Settings
from tessera.core.tsv import write_sheet
from tessera.imaging.footage import read_footage
from tessera.imaging.images import write_image
from tessera.records.annotation.formats.label_studio import Prediction, labelling_config, local_address, write_task
from tessera.records.annotation.formats.labelme import write_labelme
from tessera.records.annotation.label_files import CHECKSUMS, LABEL_SUFFIX, is_unsaved, labelled_frames
from tessera.records.annotation.model import ImageAnnotations
from tessera.records.annotation.predictions import outlined
from tessera.records.frame_keys import meant_frames, source_of, video_key
from tessera.records.previews import summarise_sources
from tessera.records.stills import read_stills, stills_of

if TYPE_CHECKING:
    import polars as pl

SHOWN = 5  # edited files that a message lists
JOURNAL = "SHA256SUMS.journal"  # files that are being written; exists only during a job, or after a job was killed
PROPOSED = "proposed"
SPREAD = "proposed: evenly spaced, for too few are uncertain"
HARD = "proposed: the source shows none of what was found there"
EDITED = "edited by a person: kept"
DELETED = "deleted by a person: not proposed again"
LABELLED = "not proposed: the frame has a label"
ABSENT = "not predicted: the source has no such frame, or preview.predict leaves it out"


class ProposalSettings(Settings):
    """Which frames are proposed for correction, and in which folder."""

    folder: Path = Path("labels/proposed")
    """Folder of the proposals, with a folder per source. Files that a person edited are never changed."""
    format: Literal["labelme", "label_studio"] = "labelme"
    """`labelme` writes a label file beside each frame. `label_studio` writes a task of Label Studio, which shows the
    predictions.
    """
    choose: Literal["uncertain", "every", "list"] = "uncertain"
    """`uncertain` takes the frames with a region whose confidence is closest to `preview.confidence`, and fills up with evenly
    spaced ones. In footage that shows nothing (column `free_of` of the manifest), it takes the frames with the most confident
    mistakes. `every` takes each n-th predicted frame. `list` takes those in `frames`.
    """
    every_frames: PositiveInt = 30
    """Every n-th predicted frame is taken. Used if `choose` is `every`."""
    frames: dict[str, tuple[NonNegativeInt | str, ...]] = Field(default_factory=dict)
    """Frames by source, such as {my video: [0, 250, 1300], my album: [sea/a.jpg]}. Used if `choose` is `list`."""
    limit: PositiveInt = 20
    """Largest number of frames per source. It does not apply to `list`."""
    apart_seconds: float = Field(1.0, ge=0)
    """Smallest time between two frames in seconds. Used if `choose` is `uncertain`."""
    simplify: float = Field(1.5, ge=0)
    """Largest error of the outline of a region in pixels. Larger values give fewer points to correct."""


class Line(NamedTuple):
    """A line of SHA256SUMS."""

    digest: str
    name: str


class Proposal(NamedTuple):
    """A frame to correct. `image`: uint8 (H, W, 3), RGB."""

    image: np.ndarray
    regions: ImageAnnotations


def propose_labels(
    sources: Path,
    stills: Path,
    frames: Path,
    predictions: Path,
    labels: Path | None,
    confidence: float,
    settings: ProposalSettings,
    model: str,
    classes: Sequence[str],
    free: Collection[str],
    moved: Mapping[str, str],
    report: Path,
    labelling: Path,
) -> None:
    """Propose frames of a shard for correction: an image and a label file each, in one folder per source.

    `sources`: `tables.Sources`. `stills`: `tables.SourceFiles`. `frames`: `tables.PredictedFrames`. `predictions`:
    `tables.Annotations`. `labels`: the folder with the labels of frames; a frame that has one is not proposed, so that no
    copied proposal replaces it. Label files have all predicted regions, because it is quicker to delete a region than to draw
    one. Files that a person edited or deleted stay as they are. Of sources in `free`, which show nothing that the model finds,
    the frames with the most confident mistakes are proposed in place of uncertain ones, and all without regions.

    If `settings.format` is `label_studio`, a label file is a task with the regions as the prediction of `model`. `labelling`
    gets the labelling configuration of Label Studio for `classes`, and `report` one tab-separated row per frame: source, key,
    status.
    """
    import polars as pl

    from tessera.records.tables.annotation import Annotations, PredictedFrames
    from tessera.records.tables.footage import Sources
    from tessera.records.tables.table import read_table

    labelling.write_text(labelling_config(classes, {}), encoding="utf-8")
    write = write_proposal if settings.format == "labelme" else partial(write_proposed_task, settings.folder, model)
    predicted, detections = read_table(frames, PredictedFrames), read_table(predictions, Annotations)
    rows: list[tuple[str, str, str]] = []
    held = read_stills(stills)
    for source in progress(list(read_table(sources, Sources).iter_rows(named=True)), unit="sources"):
        name = source["source"]
        of_source = predicted.filter(pl.col("source") == name)
        if of_source.is_empty():
            continue
        known = meant_frames(labelled_frames(labels, name), of_source["key"].to_list(), moved).now
        labelled = pl.col("key").is_in(list(known.values()))
        unlabelled = of_source.filter(~labelled)
        regions = unlabelled.select("key").join(detections, on="key", maintain_order="left_right")
        listed = settings.frames.get(name, ())
        is_free = name in free
        # Whatever counts there is false: the closer to certainty, the worse.
        doubtful = (regions.filter(pl.col("score") >= confidence), 1.0) if is_free else (regions, confidence)
        indices = choose(unlabelled, *doubtful, settings, listed)
        spaced_indices = fill_up(unlabelled, indices, settings) if settings.choose == "uncertain" and not is_free else []
        chosen = unlabelled.filter(pl.col("index").is_in([*indices, *spaced_indices]))
        proposals = _proposals(source, held.get(name, []), chosen, regions.clear() if is_free else regions, settings.simplify)
        status_of = dict(update_proposals(settings.folder / file_name(name), proposals, write))
        spaced = set(unlabelled.filter(pl.col("index").is_in(spaced_indices))["key"])
        status_of |= {key: SPREAD for key in spaced if status_of[key] == PROPOSED}
        if is_free and settings.choose == "uncertain":
            status_of |= {key: HARD for key, status in status_of.items() if status == PROPOSED}
        if settings.choose == "list":
            status_of = dict.fromkeys(of_source.filter(labelled & _is_listed(listed))["key"], LABELLED) | status_of
            known_ones = {*of_source.filter(pl.col("name").is_null())["index"], *of_source["name"].drop_nulls()}
            absent = (each for each in dict.fromkeys(listed) if each not in known_ones)
            rows += [(name, video_key(name, each) if isinstance(each, int) else each, ABSENT) for each in absent]
        rows += [(name, key, status) for key, status in status_of.items()]
    write_sheet(report, ["source", "key", "status"], sorted(rows))


def gate_previews(
    ledgers: Sequence[Path],
    reports: Sequence[Path],
    sheets: Sequence[Path],
    previewed: Sequence[str],
    asked: Sequence[str],
    proposals: Path,
    *,
    summary: Path,
) -> None:
    """Write the summary of all `ledgers` to `summary`, as JSON; see `summarise`. Print where the previews of all shards lie.

    `reports`: of `propose_labels`, for each shard. `sheets`: the folders with contact sheets; none if nothing was drawn.
    `proposals`: the folder of the proposals. `summary` lies beside the shards.
    Raises `TesseraError` if a source cannot be previewed; see `summarise_sources`.
    """
    fix = "fix these, or list only the others in preview.sources"
    summarise_sources(ledgers, previewed, asked, summary, done="previewed", fix=fix)
    count = sum(f"\t{PROPOSED}" in line for path in reports for line in path.read_text(encoding="utf-8").splitlines())
    drawn = f"overlay videos and contact sheets in {summary.parent}/SHARD, and " if sheets else ""
    tell(f"written: {drawn}{pluralize(count, 'frames')} to correct in {proposals}/SOURCE")


def choose(
    frames: "pl.DataFrame", regions: "pl.DataFrame", confidence: float, settings: ProposalSettings, listed: Sequence[int | str]
) -> list[int]:
    """Return the indices of the frames of one source to propose, ascending. `settings.choose` decides which.

    `uncertain`: the frames with a region whose score is closest to `confidence`, the closest first, `settings.apart_seconds` or
    more from each other. Frames without a region are left out. `every`: every `settings.every_frames`-th of the predicted
    frames; if these are more than `settings.limit`, evenly spaced ones of them. `list`: all predicted frames in `listed`.
    `uncertain` and `every` give at most `settings.limit` frames.
    """
    indices = frames["index"].to_list()
    if settings.choose == "list":
        return frames.filter(_is_listed(listed))["index"].to_list()
    if settings.choose == "every":
        return _evenly_spaced(indices[:: settings.every_frames], settings.limit)
    doubt: dict[str, float] = {}
    for key, score in regions.select("key", "score").iter_rows():
        doubt[key] = min(doubt.get(key, 1.0), abs(score - confidence))
    doubtful = [row for row in frames.iter_rows(named=True) if row["key"] in doubt]
    chosen: list[dict[str, Any]] = []
    for row in sorted(doubtful, key=lambda row: (doubt[row["key"]], row["index"])):
        if len(chosen) == settings.limit:
            break
        if row["time"] is None or all(abs(row["time"] - other["time"]) >= settings.apart_seconds for other in chosen):
            chosen.append(row)
    return sorted(row["index"] for row in chosen)


def _is_listed(listed: Sequence[int | str]) -> "pl.Expr":
    """Return whether a frame is in `listed`: a frame of a video by its index, a picture of a folder by its name."""
    import polars as pl

    indices, names = ([each for each in listed if isinstance(each, kind)] for kind in (int, str))
    return pl.col("name").is_in(names) | (pl.col("name").is_null() & pl.col("index").is_in(indices))


def fill_up(frames: "pl.DataFrame", chosen: Collection[int], settings: ProposalSettings) -> list[int]:
    """Return the indices of evenly spaced frames that fill the frames `chosen` of one source up to `settings.limit`, ascending.

    Each is `settings.apart_seconds` or more from all others.
    """
    rows = list(frames.select("index", "time").iter_rows())
    taken = [time for index, time in rows if index in chosen]
    free = []
    for index, time in rows:
        if index not in chosen and (time is None or all(abs(time - other) >= settings.apart_seconds for other in taken)):
            free.append(index)
            taken.append(time)
    return _evenly_spaced(free, settings.limit - len(chosen))


def _evenly_spaced(indices: Sequence[int], most: int) -> list[int]:
    count = min(most, len(indices))
    return [indices[number * len(indices) // count] for number in range(count)]


def write_proposal(regions: ImageAnnotations, path: Path, picture: str) -> None:
    """Write `regions` to `path` as a labelme file that is marked as a proposal. `picture`: the name of the image beside it."""
    write_labelme(regions, path, picture, proposal=True)


def write_proposed_task(folder: Path, model: str, regions: ImageAnnotations, path: Path, picture: str) -> None:
    """Write `regions` to `path` as a task of Label Studio, with the prediction of `model`.

    `picture`: the name of the image beside it. `folder`: the folder with the folders of all sources, see `local_address`.
    """
    task, _ = write_task(regions, local_address(folder / path.parent.name / picture), Prediction(model, {}))
    path.write_text(json.dumps(task) + "\n", encoding="utf-8")


Writer = Callable[[ImageAnnotations, Path, str], None]


def update_proposals(folder: Path, proposals: Iterable[Proposal], write: Writer = write_proposal) -> list[tuple[str, str]]:
    """Update `folder` to hold exactly `proposals`, and return the key and the status of each frame in it.

    A proposal is a pair of files, `KEY.jpg` and `KEY.json`, the latter written by `write`. Pairs that are no longer proposed
    are removed. A pair is replaced or removed only if the sha256 of each of its files was recorded when it was written here. So
    a pair with a file that a person made or edited is never touched, and a label file that a person deleted is not written
    again. If the process is killed at any moment, the next call completes the work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".*.partial.*"):
        leftover.unlink()
    settled = _read_checksums(folder / CHECKSUMS)
    ours = settled | _read_checksums(folder / JOURNAL)
    status: dict[str, str] = {}
    lines: set[Line] = set()
    with (folder / JOURNAL).open("a", encoding="utf-8") as journal:
        journal.write("\n")  # ends a line that a kill cut short
        for image, regions in proposals:
            key = regions.key
            if _edited(folder, key, ours):
                status[key] = EDITED
            elif _deleted(folder, key, settled):
                status[key] = DELETED
            else:
                status[key] = PROPOSED
                lines |= _write_pair(folder, image, regions, journal, write)
        gone = {_key(name) for _, name in ours} - set(status)
        status |= {key: EDITED for key in gone if _edited(folder, key, ours)}
        lines |= {line for line in ours if status.get(_key(line.name)) in (EDITED, DELETED)}
        journal.writelines(f"{digest}  {name}\n" for digest, name in sorted(settled - lines))
    # From here on, a pair that is no longer proposed is not in CHECKSUMS, so that its removal does not look like one by a
    # person.
    _write_checksums(lines, folder / CHECKSUMS)
    for key in gone - set(status):
        for name in _pair(key):
            (folder / name).unlink(missing_ok=True)
    (folder / JOURNAL).unlink()
    if not any(folder.iterdir()):
        folder.rmdir()
    return sorted(status.items())


def withdraw_proposals(folder: Path, sources: Iterable[str], *, withdrawn: Path) -> None:
    """Remove untouched proposals for sources other than `sources` from `folder`, and list them in `withdrawn`, tab-separated.

    Files that a person edited stay. They are listed too, and a message asks to delete them.
    """
    removed, edited = withdraw(folder, sources)
    rows = [(str(path), "untouched proposals removed") for path in removed]
    rows += [(str(path), "edited by a person: left") for path in edited]
    write_sheet(withdrawn, ["path", "status"], rows)
    if edited:
        shown = ", ".join(truncate([repr(str(path)) for path in edited], SHOWN, f", in {withdrawn.name}"))
        tell(f"edited proposals for sources that are no longer in the manifest were kept: {shown}; delete them yourself")


def withdraw(folder: Path, sources: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """Remove untouched proposals for sources other than `sources` from `folder`.

    Returns the folders of these sources, and the files that are left in them because a person edited them.
    """
    current = {file_name(source) for source in sources}
    withdrawn = sorted(folder.iterdir()) if folder.is_dir() else []
    withdrawn = [path for path in withdrawn if path.name not in current and not path.is_symlink() and _is_ours(path)]
    for path in withdrawn:
        update_proposals(path, ())
    return withdrawn, [file for path in withdrawn if path.exists() for file in sorted(path.iterdir()) if file.name != CHECKSUMS]


def _is_ours(folder: Path) -> bool:
    """Return whether `folder` lists checksums, all of them of frames of the source that it is named after."""
    lines = _read_checksums(folder / CHECKSUMS) | _read_checksums(folder / JOURNAL)
    return bool(lines) and all(source_of(_key(line.name), by_hand=False) == folder.name for line in lines)


def _write_pair(folder: Path, image: np.ndarray, regions: ImageAnnotations, journal: TextIO, write: Writer) -> set[Line]:
    """Write the image and the label file, and return their checksums; `journal` gets each before the file is renamed."""
    picture, label = _pair(regions.key)
    lines = set()
    for name in (picture, label):
        unfinished = folder / f".{os.getpid()}.partial.{name}"
        if name == picture:
            write_image(unfinished, image)
        else:
            write(regions, unfinished, picture)
        line = Line(sha256_file(unfinished), name)
        journal.write(f"{line.digest}  {line.name}\n")
        journal.flush()
        unfinished.replace(folder / name)
        lines.add(line)
    return lines


def _edited(folder: Path, key: str, ours: set[Line]) -> bool:
    """Return whether one of the files of `key` exists with a content that was not written here.

    A label file that is still a proposal was not edited, even if another program changed its line ends or its layout.
    """
    paths = [folder / name for name in _pair(key)]
    changed = [path for path in paths if path.exists() and Line(sha256_file(path), path.name) not in ours]
    return any(path.suffix != LABEL_SUFFIX or not is_unsaved(path) for path in changed)


def _deleted(folder: Path, key: str, settled: set[Line]) -> bool:
    label = _pair(key)[1]
    return not (folder / label).exists() and any(name == label for _, name in settled)


def _pair(key: str) -> tuple[str, str]:
    return f"{key}.jpg", f"{key}.json"


def _key(name: str) -> str:
    return name.rpartition(".")[0]


def _read_checksums(path: Path) -> set[Line]:
    """Return the lines of `path` with valid names of proposed files; all other lines are ignored."""
    if not path.exists():
        return set()
    text = path.read_text(encoding="utf-8", errors="replace")
    return {Line(*match) for match in re.findall(r"^([0-9a-f]{64})  ([\w%.~-]+\.(?:jpg|json))$", text, re.ASCII | re.MULTILINE)}


def _write_checksums(lines: set[Line], path: Path) -> None:
    if lines:
        unfinished = path.with_name(f".{os.getpid()}.partial.{path.name}")
        unfinished.write_text(
            "".join(f"{digest}  {name}\n" for digest, name in sorted(lines, key=lambda line: (line.name, line.digest))),
            encoding="utf-8",
        )
        unfinished.replace(path)
    else:
        path.unlink(missing_ok=True)


def _proposals(
    source: dict[str, Any], files: list[dict[str, Any]], frames: "pl.DataFrame", regions: "pl.DataFrame", simplify: float
) -> Iterator[Proposal]:
    of_key = {str(key): rows.to_dicts() for (key,), rows in regions.group_by("key", maintain_order=True)}
    path = Path(source["path"])
    footage = read_footage(path, source["kind"], frames["index"].to_list(), stills_of(path, files))
    for row, frame in zip(frames.iter_rows(named=True), footage, strict=True):
        annotations = tuple(outlined(region, row["width"], row["height"], simplify) for region in of_key.get(row["key"], ()))
        yield Proposal(frame.square_image(), ImageAnnotations(row["key"], row["width"], row["height"], annotations))
