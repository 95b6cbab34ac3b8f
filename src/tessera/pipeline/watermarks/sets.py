"""Sets of images with watermarks that others labelled, in YOLO layout, such as PITA: checked, and read into the hub.

What is in a set is hostile until it was checked. Nothing is unpacked as it is: each file is read by itself, within limits,
and an image is stored under a name of ours. Layouts: `SPLIT/images/…` and `SPLIT/labels/…`, `images/SPLIT/…` and
`labels/SPLIT/…`, or labels beside their images; PITA (bastienp/visible-watermark-pita) has a zip for each split with
`SPLIT-yolo/images` and `SPLIT-yolo/labels`, and the classes 0 logo and 1 text.
"""

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from tessera.core.errors import Dropped, Failed, TesseraError
from tessera.core.files import IMAGE_SUFFIXES, check_there, file_name, files_below, open_file
from tessera.core.job import progress
from tessera.core.ledger import SYSTEMIC, Ledger
from tessera.core.provenance import sha256_file
from tessera.imaging.boxes import Box, clip_box
from tessera.imaging.containers import IMAGE_FORMATS
from tessera.imaging.hashing import perceptual_hash
from tessera.imaging.images import read_image
from tessera.pipeline.watermarks.hub import write_boxes
from tessera.pipeline.watermarks.settings import WatermarkSet
from tessera.records.annotation.formats.yolo import box_of, parse_line
from tessera.records.blocklist import Blocklist, read_blocklist
from tessera.records.material import WATERMARKS

CLASSES = ("logo", "text")  # of PITA, whose zips do not say it
UNREAD_SUFFIXES = {".avif", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".mpo", ".pfm", ".tga"}  # of images too
MAX_FILES = 1_000_000  # in a set
MAX_BYTES = 2**38  # of all files of a set
MAX_RATIO = 100  # of the bytes in a zip file to those of the file: images hardly shrink
MAX_IMAGE_BYTES = 2**28
MAX_TEXT_BYTES = 2**20  # of a label file, or a description
MAX_PIXELS = 100_000_000  # of an image
LEAST_SIDE = 10  # pixels; ultralytics leaves smaller images out
SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLIT_FOLDER = re.compile(r"(train|training|val|valid|validation|test|testing)(?:[-_]?(?:yolo|set|split|\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file of a set."""

    name: str  # with the folders in the set above it
    size: int  # bytes, as declared
    read: Callable[[int], bytes]  # its content, or `Failed` where that has more bytes than this
    fault: str = ""  # why it must not be read

    @property
    def path(self) -> PurePosixPath:
        """The name as a path."""
        return PurePosixPath(self.name)


def import_watermarks(
    watermark_set: WatermarkSet,
    blocklist: Path,
    blocklist_distance: int,
    place: Path,
    images: Path,
    annotations: Path,
    pictures: Path,
    ledger: Path,
) -> None:
    """Write the images of `watermark_set` to the tables `images` and `annotations` of the hub, all classes as `watermark`.

    The images are stored, byte for byte, in the folder `pictures`, which will lie at `place`. A folder of the set that is
    named like a split is a source, `watermarks:SET/SPLIT`, and decides the split, unless the set states one for all; other
    images are a source each, `watermarks:SET/NAME`, so that a hash decides.
    `ledger` has a row per image, by its key `SET+NAME`, and one for every label file without an image and every entry that
    leaves the set or is no plain file. An empty label file says that an image is clean; an image without one is left out, for
    nobody says so. Of images that are the same file, one stays: of a test or validation split, if there is one.
    What matches `blocklist`, by its bytes or in all but `blocklist_distance` bits of its perceptual hash, is left out.
    Raises `TesseraError` where the set is not there, cannot be opened or is beyond the limits of this module.
    """
    listed = read_blocklist(blocklist)
    prefix = f"{file_name(watermark_set.name)}+"
    found: list[tuple[dict[str, Any], list[Box]]] = []
    seen: dict[str, str] = {}
    pictures.mkdir()

    def take(image: File, label: File | None, key: str, note: dict[str, str]) -> None:
        if label is None:
            raise Dropped("unlabelled", f"{image.name!r} has no label file; an empty one would say that it is clean")
        if image.path.suffix.lower() in UNREAD_SUFFIXES:
            raise Failed("image of a kind that is not read", f"{image.name!r}: convert it to PNG, or leave it out")
        file = pictures / f"{key}{image.path.suffix.lower()}"
        try:
            file.write_bytes(image.read(MAX_IMAGE_BYTES))
            first = seen.setdefault(sha256_file(file), image.name)
            if first != image.name:
                raise Dropped("the same image twice", f"{image.name!r} is {first!r}")
            picture = _check_image(file, image.name, listed, blocklist_distance)
            height, width = picture.shape[:2]
            boxes, clipped = read_boxes(label, classes, width, height)
            source, split = _origin(watermark_set, image.path)
            row = {"key": key, "source": source, "path": (place / file.name).as_posix(), "width": width, "height": height}
            row |= {"phash": perceptual_hash(picture), "split": split, "rights": watermark_set.rights}
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        found.append((row, boxes))
        if clipped:
            note |= {"reason": "a box was clipped", "detail": f"{label.name}: {clipped}"}

    with _open(watermark_set) as files, Ledger(ledger) as rows:
        for file in files:
            if file.fault:
                rows.row(f"{prefix}{file_name(file.name)}", "failed", file.fault, repr(file.name))
        files = [file for file in files if not file.fault]
        classes = len(watermark_set.classes) or _described_classes(files, watermark_set) or len(CLASSES)
        labels: dict[str, File] = {}
        for file in (file for file in files if file.path.suffix.lower() == ".txt"):
            if labels.setdefault(file.name.casefold(), file) is not file:
                rows.row(f"{prefix}{file_name(file.name)}", "failed", "several labels of one name", repr(file.name))
        items: dict[str, list[File]] = {}
        pictured = IMAGE_SUFFIXES | UNREAD_SUFFIXES
        for file in sorted((file for file in files if file.path.suffix.lower() in pictured), key=_order):
            # Labels do not tell suffixes apart, and some file systems do not tell cases apart.
            items.setdefault(file.path.with_suffix("").as_posix().casefold(), []).append(file)
        wanted = [_label_name(same[0].path) for same in items.values()]
        if wanted and labels.keys().isdisjoint(map(str.casefold, wanted)):
            raise TesseraError(
                f"watermarks.sets: {watermark_set.name!r}: none of its {len(wanted)} image(s) has a label file; labels are"
                f" looked for as {wanted[0]!r} and the like"
            )
        for same in progress(items.values(), len(items), "images"):
            image, key = same[0], f"{prefix}{file_name(same[0].path.with_suffix('').as_posix())}"
            label = labels.pop(_label_name(image.path).casefold(), None)
            with rows.item(key) as note:
                if len(same) > 1:
                    names = ", ".join(repr(file.name) for file in same)
                    raise Failed("several images of one name", f"{names}; rename or remove all but one")
                take(image, label, key, note)
        for label in labels.values():
            if "labels" in map(str.casefold, label.path.parts[:-1]) and label.path.name.lower() != "classes.txt":
                key = f"{prefix}{file_name(label.path.with_suffix('').as_posix())}"
                rows.row(key, "failed", "label without an image", repr(label.name))
    write_boxes(annotations, images, found)


def read_boxes(label: File, classes: int, width: int, height: int) -> tuple[list[Box], str]:
    """Return the boxes of the YOLO file `label` for an image of `width` by `height` pixels, and which of them were clipped.

    A line is `class x y w h`, or `class x y x y …` for a polygon, whose box is taken. One that is there twice is one box.
    Raises `Failed` that names file and line for anything else: a class that is not below `classes`, a number outside [0, 1] or
    not finite, a box without area.
    """
    try:
        lines = label.read(MAX_TEXT_BYTES).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise Failed("broken YOLO label", f"{label.name}: not UTF-8: {error.reason}") from None
    boxes: list[Box] = []
    clipped: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                box = _box(line.split(), classes, width, height)
                boxes.append(clip_box(box, width, height))
                # By a pixel, it is rounding.
                if max(abs(edge - inside) for edge, inside in zip(box, boxes[-1], strict=True)) > 1:
                    clipped.append(f"line {number}")
        except ValueError as error:
            raise Failed("broken YOLO label", f"{label.name}:{number}: {error}") from None
    return list(dict.fromkeys(boxes)), ", ".join(clipped)


def _box(fields: list[str], classes: int, width: int, height: int) -> Box:
    _, fractions = parse_line(fields, classes, {"detect", "segment"})
    box = box_of(fractions, width, height)
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("a box without area")
    return box


def _check_image(path: Path, name: str, listed: Blocklist, distance: int) -> np.ndarray:
    """Return the image `path`, uint8 (H, W, 3), RGB. Raises `Failed` or `Dropped`, with its `name`, where it must not stay."""
    from PIL import Image, UnidentifiedImageError

    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise Failed("empty file", f"{name!r} has no bytes; fetch the image again")
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html")):
        raise Failed("image is HTML", f"{name!r} is a web page; fetch the image again")
    listed.check_file(sha256_file(path), name)
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as header:
            width, height = header.size
    except MemoryError:
        raise
    except UnidentifiedImageError:  # whose text names the file as it is called for the moment
        raise Failed("image cannot be decoded", f"{name!r} is none of {', '.join(IMAGE_FORMATS)}") from None
    except Exception as error:  # decoders meet hostile bytes with exceptions of many kinds
        raise Failed("image cannot be decoded", f"{name!r}: {error}") from None
    if width * height > MAX_PIXELS:
        raise Failed("image too large", f"{name!r} has {width} by {height} pixels, {MAX_PIXELS:,} are allowed")
    if min(width, height) < LEAST_SIDE:
        raise Dropped("image too small", f"{name!r} has {width} by {height} pixels, {LEAST_SIDE} a side are needed")
    try:
        picture = read_image(path)
    except Failed as fault:
        raise Failed(fault.reason, f"{name!r}: {fault.detail}") from None
    listed.check_picture(picture, repr(name), distance)
    return picture


def _origin(watermark_set: WatermarkSet, path: PurePosixPath) -> tuple[str, str]:
    """Return the source and the fixed split of the image `path` of a set."""
    folder = _split_of(path)
    if watermark_set.split:
        return f"{WATERMARKS}{watermark_set.name}", watermark_set.split
    return f"{WATERMARKS}{watermark_set.name}/{folder or path.as_posix()}", folder


def _split_of(path: PurePosixPath) -> str:
    """Return the split that a folder of `path` is named for, the lowest first; nothing where none is."""
    for part in reversed(path.parts[:-1]):
        if match := SPLIT_FOLDER.fullmatch(part):
            name = match[1].lower()
            return SPLIT_NAMES.get(name, name)
    return ""


def _order(file: File) -> tuple[bool, str]:
    # Of two equal images, the one that measures stays.
    return _split_of(file.path) not in ("val", "test"), file.name


def _label_name(image: PurePosixPath) -> str:
    """Return the name of the label file of `image`: the last folder `images` in it becomes `labels`, as ultralytics has it."""
    parts = list(image.with_suffix(".txt").parts)
    for place in reversed(range(len(parts) - 1)):
        if parts[place].casefold() == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def _described_classes(files: list[File], watermark_set: WatermarkSet) -> int:
    """Return how many classes a YAML file of the set names, the topmost first; 0 where there is none."""
    described = [file for file in files if file.path.suffix.lower() in (".yaml", ".yml")]
    for file in sorted(described, key=lambda file: (len(file.path.parts), file.name)):
        try:
            # Counted as they stand, nothing is made of them: references to references would fill the memory.
            content = yaml.compose(file.read(MAX_TEXT_BYTES), yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, Failed) as error:
            raise TesseraError(
                f"watermarks.sets: {watermark_set.name!r}: {file.name!r} in {str(watermark_set.path)!r} cannot be read"
                f" ({' '.join(str(error).split())[:200]}); mend it, or set `classes` of the set and remove it"
            ) from None
        for key, names in content.value if isinstance(content, yaml.MappingNode) else ():
            if key.value == "names" and isinstance(names, yaml.CollectionNode) and names.value:
                return len(names.value)
    return 0


# What a set is made of.


@contextmanager
def _open(watermark_set: WatermarkSet) -> Iterator[list[File]]:
    """Yield the files of the set. Raises `TesseraError` where it cannot be opened, or is beyond the limits."""
    path = watermark_set.path
    place = f"watermarks.sets: {watermark_set.name!r}: {str(path)!r}"
    check_there(f"watermarks.sets: {watermark_set.name!r}", path)
    with ExitStack() as stack:
        if path.is_dir():
            most, files = MAX_BYTES, [_file_of_folder(file, path) for file in files_below(path)]
        else:
            try:
                archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(open_file(path))))
            except (zipfile.BadZipFile, NotImplementedError, ValueError, Failed) as error:
                reason = error.reason if isinstance(error, Failed) else error
                raise TesseraError(
                    f"{place} is no folder, and no zip file that can be read ({reason}); mend its path"
                ) from None
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)]
            most, files = min(MAX_BYTES, MAX_RATIO * path.stat().st_size), [_file_of_zip(entry, archive) for entry in entries]
        _check_limits(files, most, place)
        if not any(file.path.suffix.lower() in IMAGE_SUFFIXES for file in files):
            raise TesseraError(
                f"{place} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}); mend its path, or unpack what is in it"
            )
        yield files


def _check_limits(files: list[File], most: int, place: str) -> None:
    size = sum(file.size for file in files)
    if len(files) > MAX_FILES:
        raise TesseraError(f"{place} holds {len(files):,} files, {MAX_FILES:,} are allowed; divide it into several sets")
    if size > most:
        raise TesseraError(
            f"{place} unpacks to {size:,} bytes, {most:,} are allowed: {MAX_BYTES:,}, and {MAX_RATIO} times a zip file;"
            " do not use it, or divide it into several sets"
        )


def _file_of_folder(path: Path, root: Path) -> File:
    name = path.relative_to(root).as_posix()
    # Not by pathlib: it raises where links go round in a circle.
    leaves = not Path(os.path.realpath(path)).is_relative_to(root.resolve())
    size = 0 if leaves or not path.is_file() else path.stat().st_size
    return File(name, size, partial(_read_file, path), "link leaves the set" if leaves else _fault(name))


def _read_file(path: Path, most: int) -> bytes:
    if path.is_file() and not path.stat().st_size:
        return b""
    with open_file(path) as file:
        return _within(file.read(most + 1), most)


def _file_of_zip(entry: zipfile.ZipInfo, archive: zipfile.ZipFile) -> File:
    # Some programs for Windows write backslashes, and some begin with the folder that they are in.
    name = PurePosixPath(entry.filename.replace("\\", "/")).as_posix()
    kind = stat.S_IFMT(entry.external_attr >> 16)
    fault = _fault(name) if kind in (0, stat.S_IFREG) else "no plain file"
    # The others unpack all at once, however much that is.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fault = fault or "neither stored nor deflated"
    return File(name, entry.file_size, partial(_read_entry, entry, archive), fault)


def _read_entry(entry: zipfile.ZipInfo, archive: zipfile.ZipFile, most: int) -> bytes:
    try:
        with archive.open(entry) as file:
            return _within(file.read(most + 1), most)
    # An encrypted entry is a RuntimeError, an unknown method a NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in SYSTEMIC:
            raise
        raise Failed("cannot be unpacked", f"{entry.filename!r}: {error}") from None


def _within(content: bytes, most: int) -> bytes:
    if len(content) > most:
        raise Failed("file too large", f"{most:,} bytes are allowed")
    return content


def _fault(name: str) -> str:
    """Return why the file `name` of a set must not be used; nothing where it may."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        return "path leaves the set"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "file name is not UTF-8"
    return ""


def _hidden(name: str) -> bool:
    """Whether the file `name`, or a folder above it, is hidden, or holds what a Macintosh notes about the others."""
    return any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in re.split(r"[/\\]", name))
