"""Imports: label files, each judged by itself, become tables of the hub."""

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import check_there, file_name, open_file
from tessera.core.job import progress
from tessera.core.ledger import Ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.footage import read_footage
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image, write_image
from tessera.pipeline.labels.settings import LABEL_SUFFIX, LabelSet, frame_label_files, frame_label_folders, label_files
from tessera.records.annotation.formats.labelme import embedded_image, image_path, load_labelme, read_labelme
from tessera.records.annotation.hub import Origin, write_hub
from tessera.records.annotation.model import ImageAnnotations, Loss, remark
from tessera.records.blocklist import read_blocklist
from tessera.records.material import LABELS
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.table import read_table

EMBEDDED = {b"\xff\xd8": ".jpg", b"\x89P": ".png"}  # what labelme embeds, by its first bytes


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

    `ledger` gets a row per image, by its key `SET+NAME`: the name with the folders below the set, without suffix. No key of a
    frame has a `+`. An `ok` with a reason lost a part of its labels. An image that is missing is taken from its label file if
    that carries it, and stored in the folder `embedded`, which will lie at `place`.
    What matches `blocklist`, by its bytes or in all but `blocklist_distance` bits of its perceptual hash, is left out.
    Raises `TesseraError` where the folder of the set is not there, or the blocklist cannot be read.
    """
    root = label_set.path
    check_there(f"annotations.labels: {label_set.name!r}", root, folder=True)
    listed = read_blocklist(blocklist)
    embedded.mkdir()
    items: dict[str, list[Path]] = {}
    for file in label_files(root):
        # Some file systems do not tell cases apart, and labelme does not tell suffixes apart.
        items.setdefault(file.relative_to(root).with_suffix("").as_posix().casefold(), []).append(file)
    labelled: dict[Path, str] = {}
    found: list[tuple[ImageAnnotations, Origin]] = []

    def read(label: Path, key: str) -> list[Loss]:
        document = load_labelme(label)
        path = stored = image_path(document, label, root)
        losses = []
        if labelled.setdefault(path.resolve(), key) != key:
            raise Failed(
                "image is labelled twice", f"{str(path)!r} has the labels {labelled[path.resolve()]} and {key}; keep one"
            )
        if not os.path.exists(path):  # noqa: PTH110 (unlike Path.exists it takes whatever a label file may name)
            path, stored = _take_embedded(document, path, embedded / key, place / key)
            losses = [Loss(key, "image missing, the copy in its label file was taken", str(path.name), kept=True)]
        with open_file(path) as file:
            listed.check_file(hashlib.file_digest(file, "sha256").hexdigest(), path.name)
        image = read_image(path)
        listed.check_picture(image, repr(path.name), blocklist_distance)
        annotated, lost = read_labelme(document, key, image.shape[1], image.shape[0], list(classes), min_area)
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
                    raise Failed("several files of one name", f"{', '.join(path.name for path in paths)}; rename all but one")
                remark(note, read(labels[0], key))
        # A label file may name an image that is called otherwise.
        for key, path in alone:
            if path.resolve() not in labelled:
                rows.row(key, "dropped", "unlabelled", f"{path.name} has no label file")
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

    `frames`: `tables.Frames`. `sources`: `tables.Sources`. `pictures`: the folder of the images of the frames. `folder`:
    holds folders of label files (`frame_label_folders`), each file named as the key of the frame it is for. `ledger` gets a
    row per label file, by that key; an `ok` with a reason lost a part of its labels. A frame that was labelled but not
    sampled is read from its source at full size and stored in the folder `unsampled`, which will lie at `place`. What a
    detector proposed and nobody touched is left out.
    """
    unsampled.mkdir()
    frame_of: dict[str, dict[str, Any]] = {
        frame["key"]: {**frame, "path": pictures / frame["file"]} for frame in read_table(frames, Frames).iter_rows(named=True)
    }
    found: list[tuple[ImageAnnotations, Origin]] = []
    with Ledger(ledger) as rows:
        for source in read_table(sources, Sources).iter_rows(named=True):
            labels = sorted(frame_label_files(folder, source["source"]), key=lambda path: (path.stem, path))
            missing = {label.stem for label in labels} - frame_of.keys()
            frame_of |= {frame["key"]: frame for frame in _read_unsampled(source, missing, unsampled, place)}
            proposed = {line for name in frame_label_folders(source["source"]) for line in _proposed(folder, name)}
            seen: set[str] = set()
            for label in progress(labels, unit="label files"):
                with rows.item(label.stem) as note:
                    frame = frame_of.get(label.stem)
                    if source["status"] != "admitted":
                        raise Dropped("source refused", f"{label.name}: {source['reason']}")
                    if frame is None or frame["source"] != source["source"]:
                        called = f"{file_name(source['source'])}-{0:07d}"
                        raise Dropped("no such frame", f"{label.name}: the source has none of this name; its first is {called}")
                    if label.stem in seen:
                        raise Failed("frame is labelled twice", f"{str(label)!r} is the second file of this name; keep one")
                    seen.add(label.stem)
                    document = load_labelme(label)  # before its digest: it may be no file that ends
                    if f"{sha256_file(label)}  {label.name}" in proposed:
                        raise Dropped("proposed, not reviewed", f"{label.name}: open it in labelme, correct it and save it")
                    annotated, losses = read_labelme(
                        document, frame["key"], frame["width"], frame["height"], list(classes), min_area
                    )
                    path = frame["path"].as_posix()
                    origin = Origin(source["source"], path, frame["phash"], source["split"], source["rights"])
                    found.append((annotated, origin))
                    remark(note, losses)
    write_hub(annotations, images, found)


def _read_unsampled(source: dict[str, Any], keys: Collection[str], folder: Path, place: Path) -> Iterator[dict[str, Any]]:
    """Store the frames of `source` named by `keys` in `folder`, and yield what `import_frame_labels` needs of each.

    A key that names none is passed over. Raises `TesseraError` where the footage cannot be read any more.
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
            f"source {source['source']!r}, {source['path']!r}: {fault}; mend the file or remove the source"
        ) from None


def _proposed(folder: Path | None, name: str) -> set[str]:
    """Return the sha256 and the names of the files that were proposed in `folder / name`, as it lists them."""
    if folder is None:
        return set()
    try:
        return set((folder / name / "SHA256SUMS").read_text(encoding="utf-8", errors="replace").split("\n"))
    except FileNotFoundError:
        return set()


def _take_embedded(document: dict[str, Any], missing: Path, file: Path, place: Path) -> tuple[Path, Path]:
    """Store the image that `document` carries as `file`; return where it lies and where it will lie."""
    data = embedded_image(document)
    suffix = EMBEDDED.get(data[:2]) if data else None
    if data is None or suffix is None:
        raise Failed("image missing", f"{str(missing)!r} is not there, and the label file carries no copy of it")
    # Not `with_suffix`: a key may hold dots.
    file, place = Path(f"{file}{suffix}"), Path(f"{place}{suffix}")
    file.write_bytes(data)
    return file, place


def _text(path: Path) -> str:
    """Return `path` as text for a table. Raises `Failed` where it is not UTF-8."""
    text = path.as_posix()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Failed("file name is not UTF-8", f"{text!r}; rename it") from None
    return text
