"""Import the label files of sampled frames into annotation tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import file_name, quoted
from tessera.core.ledger import Ledger, read_ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.progress import progress
from tessera.imaging.footage import read_footage
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import write_image
from tessera.records.annotation.annotation_tables import Origin, write_annotations
from tessera.records.annotation.formats.label_studio import read_task
from tessera.records.annotation.formats.labelme import drawn_size, read_labelme
from tessera.records.annotation.label_files import frame_answers, frame_label_files, naming, read_label_file
from tessera.records.annotation.model import ImageAnnotations, remark
from tessera.records.decisions import Decision
from tessera.records.frame_keys import VIDEO_KEY, Meant, meant_frames, source_of, video_key
from tessera.records.stills import read_stills, stills_of
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table
from tessera.stages.labels.sets import usable_regions
from tessera.stages.labels.unknown import SHOWN, describe_unknown

NO_FRAME = "no such frame"
FIX = "rename the shapes, or add the label to annotations.classes"


def import_frame_labels(
    frames: Path,
    sources: Path,
    admission: Path,
    stills: Path,
    pictures: Path,
    folder: Path | None,
    classes: Sequence[str],
    min_area: int,
    negatives: Mapping[str, Decision],
    moved: Mapping[str, str],
    final_folder: Path,
    images: Path,
    annotations: Path,
    unsampled: Path,
    ledger: Path,
) -> None:
    """Write the labelled frames of a shard to the annotation tables `images` and `annotations`.

    `frames`: `tables.Frames`. `sources`: `tables.Sources`. `admission`: the ledger of `admit_sources`; labels of a refused
    source are dropped. `stills`: `tables.SourceFiles`. `pictures`: the folder with the images of the frames. `folder`: the
    folder with the folders of label files, see `frame_label_files`, and with exports of Label Studio, see `frame_answers`. Each
    label file is named after the key of its frame, and each task of an export states it. `negatives`: decisions, by the keys of
    frames, that these frames show no region. A frame with a label keeps it. For renamed pictures and `moved`, see
    `frame_keys.meant_frames`.

    `ledger` gets one row per label file or task, with the key that it has or states. A row that is `ok` with a reason has a
    remark. A frame of a video that was labelled but not sampled is read from its source at full size and stored in the folder
    `unsampled`, whose final path is `final_folder`.

    Raises `TesseraError` if the footage of an admitted source or an export cannot be read.
    """
    unsampled.mkdir()
    frame_of: dict[str, dict[str, Any]] = {
        frame["key"]: {**frame, "path": pictures / frame["file"]} for frame in read_table(frames, Frames).iter_rows(named=True)
    }
    labelled: list[tuple[ImageAnnotations, Origin]] = []
    unknown: dict[str, list[str]] = {}
    held = read_stills(stills)
    admitted = {row["source"]: row for row in read_table(sources, Sources).iter_rows(named=True)}
    empty: list[str] = []
    with Ledger(ledger) as rows:
        for entry in read_ledger(admission):
            source = admitted.get(entry["key"], {"source": entry["key"]})
            labels = sorted(frame_label_files(folder, source["source"]), key=lambda path: (path.stem, path))
            answers = frame_answers(folder, source["source"])
            decided = {key: decision for key, decision in negatives.items() if source_of(key) == file_name(source["source"])}
            keys = [*(label.stem for label in labels), *answers, *decided]
            held_here = held.get(source["source"], [])
            if entry["status"] == "ok":
                more = _read_unsampled(source, held_here, {*keys} - frame_of.keys(), unsampled, final_folder)
                frame_of |= {frame["key"]: frame for frame in more}
            of_source = {key: frame for key, frame in frame_of.items() if frame["source"] == source["source"]}
            own_frames = _FramesOfSource(source, entry, of_source, meant_frames(keys, of_source, moved))
            for label in progress(labels, unit="label files"):
                with rows.item(label.stem) as note:
                    frame = own_frames.find(label.stem, quoted(label))
                    document = read_label_file(label)
                    own_frames.claim(frame["key"], quoted(label))
                    size = frame["width"], frame["height"]
                    if not document["shapes"] and (document.get("flags") or {}).get("sfw") is not True:
                        empty.append(quoted(label))
                    with naming(label):
                        # It may be drawn on the frame at the size of the source, of the sample, or of an earlier sample.
                        drawn = drawn_size(document, *size, frame["aspect"] or 1.0)
                        annotated, losses = read_labelme(document, frame["key"], *drawn)
                    # Its area is that in the drawn picture.
                    used, remarks = usable_regions(annotated, losses, {}, classes, min_area, quoted(label), unknown)
                    labelled.append((used.scaled(*size), _origin(frame, source)))
                    remark(note, remarks)
            for key, task in answers.items():
                with rows.item(key) as note:
                    frame = own_frames.find(key, task.where)
                    if task.result is None:
                        raise Dropped("unlabelled", f"{task.where} has no annotation; submit one, or leave it out")
                    own_frames.claim(frame["key"], task.where)
                    answer, losses = read_task(task, frame["key"], frame["width"], frame["height"])
                    used, remarks = usable_regions(answer, losses, {}, classes, min_area, repr(task.where), unknown)
                    labelled.append((used, _origin(frame, source)))
                    remark(note, remarks)
            for key in sorted(decided):
                if own_frames.is_labelled(key):
                    continue
                with rows.item(key) as note:
                    frame = own_frames.find(key, f"the decision on {key!r}", "change its key in the table of decisions")
                    own_frames.claim(frame["key"], f"the decision on {key!r}")
                    labelled.append((ImageAnnotations(frame["key"], frame["width"], frame["height"]), _origin(frame, source)))
                    note |= {"reason": "negative by decision", "detail": str(decided[key])}
    if any(unknown.values()):
        tell(describe_unknown(unknown, "shapes", "label files", classes, FIX))
    if lost := [row["detail"] for row in read_ledger(ledger) if row["reason"] == NO_FRAME]:
        tell("\n  ".join([f"{pluralize(len(lost), 'labels')} left out, of frames that are not there:", *truncate(lost, SHOWN)]))
    if empty:
        message = (
            f"{pluralize(len(empty), 'label files')} with neither a shape nor the flag `sfw` left out: draw the regions, or set"
            " `sfw` if the frame shows nothing; `accept` states that proposed regions are right, not that there are none:"
        )
        tell("\n  ".join([message, *truncate(empty, SHOWN)]))
    write_annotations(annotations, images, labelled)


@dataclass
class _FramesOfSource:
    """The frames of a source by their keys, to find the one that a label is for.

    `decided`: its row in the ledger of `admit_sources`. `meant`: what the keys of labels mean.
    """

    source: dict[str, Any]
    decided: Mapping[str, Any]
    frames: Mapping[str, dict[str, Any]]
    meant: Meant
    labelled: dict[str, str] = field(default_factory=dict)  # where the label of a frame is, by the key of the frame

    def find(self, key: str, where: str, fix: str = "") -> dict[str, Any]:
        """Return the frame that `key` means. Raises `Dropped`, which names `where` the label is, if none may be used.

        `fix`: what to do then; by default, that of a label.
        """
        if self.decided["status"] != "ok":
            raise Dropped("source refused", f"{where}: {self.decided['reason']}")
        if key in self.meant.now:
            return self.frames[self.meant.now[key]]
        raise Dropped(NO_FRAME, f"{where}: {self.meant.lost[key]}; {fix or _renaming(self.source)}")

    def claim(self, key: str, where: str) -> None:
        """Raise `Failed` if the frame `key` has another label than that at `where`."""
        if self.labelled.setdefault(key, where) != where:
            raise Failed("frame is labelled twice", f"{self.labelled[key]} and {where} are for {key!r}; keep one")

    def is_labelled(self, key: str) -> bool:
        """Return whether the frame that `key` means has a label."""
        return self.meant.now.get(key) in self.labelled


def _renaming(source: dict[str, Any]) -> str:
    """Return how to name a label for a frame of `source`."""
    if source["kind"] == "folder":
        return "delete it, or rename it after the frame that it is for, such as a file in `results/frames/SHARD/images`"
    return f"rename it: the first frame is {video_key(source['source'], 0)}"


def _origin(frame: dict[str, Any], source: dict[str, Any]) -> Origin:
    return Origin(source["source"], frame["path"].as_posix(), frame["phash"], source["split"], source["rights"])


def _read_unsampled(
    source: dict[str, Any], files: list[dict[str, Any]], keys: Collection[str], folder: Path, final_folder: Path
) -> Iterator[dict[str, Any]]:
    """Store the frames of `source` with these `keys` in `folder`, and yield a row for each.

    `files`: the rows of the source in `tables.SourceFiles`.

    A row is a dict with `key`, `source`, `width`, `height`, `aspect`, `phash` and `path`, the final path below `final_folder`.
    Keys that match no frame are ignored. All pictures of a folder are sampled. Raises `TesseraError` if the footage can no
    longer be read.
    """
    matches = (VIDEO_KEY.fullmatch(key) for key in keys)
    indices = sorted(int(match["index"]) for match in matches if match and match["source"] == file_name(source["source"]))
    if source["kind"] == "folder" or not indices:
        return
    path = Path(source["path"])
    try:
        for frame in read_footage(path, source["kind"], indices, stills_of(path, files)):
            image = frame.square_image()
            key = video_key(source["source"], frame.index)
            write_image(folder / f"{key}.jpg", image)
            height, width = image.shape[:2]
            known = {"key": key, "source": source["source"], "width": width, "height": height, "aspect": frame.aspect}
            yield {**known, "phash": perceptual_hash(image), "path": final_folder / f"{key}.jpg"}
    except Failed as fault:
        raise TesseraError(
            f"source {source['source']!r}, {source['path']!r}: {fault}; restore the file or remove the source"
        ) from None
