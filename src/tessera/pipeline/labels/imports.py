"""Import label files, one at a time, into tables of the hub."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import check_there, file_name, open_file, quoted
from tessera.core.job import progress, tell
from tessera.core.ledger import Ledger
from tessera.core.messages import counted, shortened, tallied
from tessera.imaging.footage import read_footage
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image, write_image
from tessera.pipeline.labels.settings import LabelSet
from tessera.records.annotation.formats.labelme import drawn_size, embedded_image, image_path, read_labelme, unknown_labels
from tessera.records.annotation.hub import Origin, write_hub
from tessera.records.annotation.label_files import LABEL_SUFFIX, frame_label_files, label_files, naming, read_label_file
from tessera.records.annotation.model import ImageAnnotations, Loss, remark
from tessera.records.blocklist import read_blocklist
from tessera.records.material import LABELS
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table

SHOWN = 5  # label files with unknown labels that a message lists
EMBEDDED = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}  # suffixes of embedded images, by their first two bytes


def import_labels(
    label_set: LabelSet,
    classes: Sequence[str],
    min_area: int,
    blocklist: Path,
    blocklist_distance: int,
    place: Path,
    images: Path,
    annotations: Path,
    embedded: Path,
    ledger: Path,
) -> None:
    """Write the labelled images of the folder of `label_set` to the tables `images` and `annotations` of the hub.

    `ledger` gets one row per image. Its key is `SET+NAME`; NAME is the path below the folder of the set, without suffix. The
    `+` keeps these keys apart from those of frames, which have none. A row that is `ok` with a reason lost some of its labels,
    or its image was taken from the label file.

    If an image is missing and its label file embeds a copy, the copy is stored in the folder `embedded`, whose final path is
    `place`. An image is dropped if its sha256 is in `blocklist`, or if its perceptual hash differs from a listed one in at most
    `blocklist_distance` bits.

    Raises `TesseraError` if the folder of the set does not exist or the blocklist cannot be read.
    """
    root = label_set.path
    check_there(f"annotations.labels: {label_set.name!r}", root, folder=True)
    listed = read_blocklist(blocklist)
    embedded.mkdir()
    items: dict[str, list[Path]] = {}
    for file in label_files(root):
        # Some file systems ignore case, and a label file matches an image with any suffix.
        items.setdefault(file.relative_to(root).with_suffix("").as_posix().casefold(), []).append(file)
    labelled: dict[Path, str] = {}
    found: list[tuple[ImageAnnotations, Origin]] = []
    unknown: dict[Path, list[str]] = {}

    def read(label: Path, key: str) -> list[Loss]:
        document = read_label_file(label)
        if labels := unknown_labels(document, classes):
            unknown[label] = labels
        path = stored = image_path(document, label, root)
        losses = []
        if labelled.setdefault(path.resolve(), key) != key:
            raise Failed(
                "image is labelled twice", f"{str(path)!r} has the labels {labelled[path.resolve()]} and {key}; keep one"
            )
        if not os.path.exists(path):  # noqa: PTH110 (Path.exists raises for some paths that a label file may contain)
            path, stored = _take_embedded(document, path, embedded / key, place / key)
            losses = [Loss(key, "image missing, the copy in its label file was taken", str(path.name), kept=True)]
        with open_file(path) as file:
            listed.check_file(hashlib.file_digest(file, "sha256").hexdigest(), path.name)
        image = read_image(path)
        listed.check_picture(image, repr(path.name), blocklist_distance)
        with naming(label):
            annotated, lost = read_labelme(document, key, image.shape[1], image.shape[0], classes, min_area)
        origin = Origin(f"{LABELS}{label_set.name}", _text(stored), perceptual_hash(image), label_set.split, label_set.rights)
        found.append((annotated, origin))
        return losses + lost

    with Ledger(ledger) as rows:
        alone: list[tuple[str, Path]] = []
        for paths in progress(items.values(), len(items), "images"):
            labels = [path for path in paths if path.suffix.lower() == LABEL_SUFFIX]
            key = f"{file_name(label_set.name)}+{file_name((labels or paths)[0].relative_to(root).with_suffix('').as_posix())}"
            if not labels and len(paths) == 1:
                alone.append((key, paths[0]))
                continue
            with rows.item(key) as note:
                if len(labels) > 1 or len(paths) - len(labels) > 1:
                    raise Failed("several files of one name", f"{', '.join(map(quoted, paths))}; rename all but one")
                remark(note, read(labels[0], key))
        # Known only now: a label file may refer to an image with a different name.
        for key, path in alone:
            if path.resolve() not in labelled:
                rows.row(key, "dropped", "unlabelled", f"{quoted(path)} has no label file; label it in labelme")
    _tell_unknown(unknown, classes)
    write_hub(annotations, images, found)


def import_frame_labels(
    frames: Path,
    sources: Path,
    pictures: Path,
    folder: Path | None,
    classes: Sequence[str],
    min_area: int,
    place: Path,
    images: Path,
    annotations: Path,
    unsampled: Path,
    ledger: Path,
) -> None:
    """Write the labelled frames of a shard to the tables `images` and `annotations` of the hub.

    `frames`: `tables.Frames`. `sources`: `tables.Sources`. `pictures`: the folder with the images of the frames. `folder`: the
    folder with the folders of label files, see `frame_label_files`. Each label file is named after the key of its frame.

    `ledger` gets one row per label file, with the key of the frame. A row that is `ok` with a reason lost some of its labels. A
    frame that was labelled but not sampled is read from its source at full size and stored in the folder `unsampled`, whose
    final path is `place`.

    Raises `TesseraError` if the footage of an admitted source cannot be read.
    """
    unsampled.mkdir()
    frame_of: dict[str, dict[str, Any]] = {
        frame["key"]: {**frame, "path": pictures / frame["file"]} for frame in read_table(frames, Frames).iter_rows(named=True)
    }
    found: list[tuple[ImageAnnotations, Origin]] = []
    unknown: dict[Path, list[str]] = {}
    with Ledger(ledger) as rows:
        for source in read_table(sources, Sources).iter_rows(named=True):
            labels = sorted(frame_label_files(folder, source["source"]), key=lambda path: (path.stem, path))
            missing = {label.stem for label in labels} - frame_of.keys()
            frame_of |= {frame["key"]: frame for frame in _read_unsampled(source, missing, unsampled, place)}
            seen: dict[str, Path] = {}
            for label in progress(labels, unit="label files"):
                with rows.item(label.stem) as note:
                    frame = frame_of.get(label.stem)
                    if source["status"] != "admitted":
                        raise Dropped("source refused", f"{label.name}: {source['reason']}")
                    if frame is None or frame["source"] != source["source"]:
                        called = f"{file_name(source['source'])}-{0:07d}"
                        raise Dropped(
                            "no such frame", f"{quoted(label)}: no frame has this name; rename it: the first frame is {called}"
                        )
                    document = read_label_file(label)
                    if seen.setdefault(label.stem, label) != label:
                        both = f"{quoted(seen[label.stem])} and {quoted(label)}"
                        raise Failed("frame is labelled twice", f"{both} have the same name; keep one")
                    if others := unknown_labels(document, classes):
                        unknown[label] = others
                    size = frame["width"], frame["height"]
                    with naming(label):
                        # It may be drawn on the frame at the size of the source, of the sample, or of an earlier sample.
                        drawn = drawn_size(document, *size)
                        annotated, losses = read_labelme(document, frame["key"], *drawn, classes, min_area)
                    annotated = annotated.scaled(*size)
                    path = frame["path"].as_posix()
                    origin = Origin(source["source"], path, frame["phash"], source["split"], source["rights"])
                    found.append((annotated, origin))
                    remark(note, losses)
    _tell_unknown(unknown, classes)
    write_hub(annotations, images, found)


def _tell_unknown(unknown: Mapping[Path, Sequence[str]], classes: Sequence[str]) -> None:
    """Print which label files have how many shapes with which `unknown` labels, and how to use them."""
    labels = Counter(label for found in unknown.values() for label in found)
    files = [f"{quoted(path)}: {tallied(Counter(f'{label!r:.40}' for label in found))}" for path, found in unknown.items()]
    if labels:
        lines = [f"{counted(labels.total(), 'shapes')} in {counted(len(files), 'label files')} left out, with unknown labels:"]
        tell(
            "\n  ".join([*lines, *shortened(files, SHOWN)]) + "\n"
            f"known are {', '.join(map(repr, classes))}: rename the shapes in labelme, or add the label to annotations.classes"
        )


def _read_unsampled(source: dict[str, Any], keys: Collection[str], folder: Path, place: Path) -> Iterator[dict[str, Any]]:
    """Store the frames of `source` with these `keys` in `folder`, and yield a row for each.

    A row is a dict with `key`, `source`, `width`, `height`, `phash` and `path`, the final path below `place`. Keys that match
    no frame are ignored. Raises `TesseraError` if the footage can no longer be read.
    """
    stem = file_name(source["source"])
    matches = (re.fullmatch(rf"{re.escape(stem)}-(\d{{7,12}})", key, re.ASCII) for key in keys)
    indices = sorted(int(match[1]) for match in matches if match)
    if source["status"] != "admitted" or not indices:
        return
    try:
        for frame in read_footage(Path(source["path"]), source["kind"], indices):
            image = frame.image()
            key = f"{stem}-{frame.index:07d}"
            write_image(folder / f"{key}.jpg", image)
            height, width = image.shape[:2]
            known = {"key": key, "source": source["source"], "width": width, "height": height}
            yield {**known, "phash": perceptual_hash(image), "path": place / f"{key}.jpg"}
    except Failed as fault:
        raise TesseraError(
            f"source {source['source']!r}, {source['path']!r}: {fault}; restore the file or remove the source"
        ) from None


def _take_embedded(document: dict[str, Any], missing: Path, file: Path, place: Path) -> tuple[Path, Path]:
    """Store the image embedded in `document` under the name `file` plus its suffix.

    Returns the path of the new file, and `place` with the same suffix, its final path. Raises `Failed` if there is no such
    image.
    """
    data = embedded_image(document)
    suffix = EMBEDDED.get(data[:2]) if data else None
    if data is None or suffix is None:
        raise Failed(
            "image missing", f"{str(missing)!r} does not exist, and its label file has no JPEG or PNG copy; restore it"
        )
    # `with_suffix` would cut off what follows a dot in the key.
    file, place = Path(f"{file}{suffix}"), Path(f"{place}{suffix}")
    file.write_bytes(data)
    return file, place


def _text(path: Path) -> str:
    """Return `path` as text for a table. Raises `Failed` if it is not valid UTF-8."""
    text = path.as_posix()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Failed("file name is not UTF-8", f"{text!r}; rename it") from None
    return text
