"""Check sets of images with watermarks that others labelled in YOLO layout, such as PITA, and import them into the hub.

The content of a set is hostile until it is checked. An archive is never extracted: each file is read on its own, within limits,
and each image is stored under a name made from its key.

Three layouts are read: `SPLIT/images/…` with `SPLIT/labels/…`, `images/SPLIT/…` with `labels/SPLIT/…`, and labels beside their
images. PITA (bastienp/visible-watermark-pita) has one zip file per split, with `SPLIT-yolo/images` and `SPLIT-yolo/labels`; its
classes are 0 logo and 1 text.
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
from tessera.core.messages import counted
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

CLASSES = ("logo", "text")  # of PITA, whose zip files do not name them
UNREAD_SUFFIXES = {".avif", ".dng", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".mpo", ".pfm", ".tga"}  # of images
MAX_FILES = 1_000_000  # in a set
MAX_BYTES = 2**38  # of all files in a set, unpacked
MAX_RATIO = 100  # unpacked to compressed bytes of a zip file; images hardly compress
MAX_IMAGE_BYTES = 2**28
MAX_TEXT_BYTES = 2**20  # of a label file or a YAML file
MAX_PIXELS = 100_000_000  # of an image
LEAST_SIDE = 10  # pixels; ultralytics leaves smaller images out
SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
SPLIT_FOLDER = re.compile(r"(train|training|val|valid|validation|test|testing)(?:[-_]?(?:yolo|set|split|\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file of a set."""

    name: str  # path below the top of the set
    size: int  # bytes, as declared
    read: Callable[[int], bytes]  # returns the content; raises `Failed` if it has more bytes than the argument
    fault: str = ""  # why it must not be read; empty if it may

    @property
    def path(self) -> PurePosixPath:
        """Return the name as a path."""
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

    Copies of the image files are stored unchanged in the folder `pictures`, whose final path is `place`.

    If the settings of the set name a split, all its images belong to one source, `watermarks:SET`, with that split. Otherwise,
    images in a folder with the name of a split belong to the source `watermarks:SET/SPLIT` and to that split. Every other image
    is a source of its own, `watermarks:SET/NAME`, and a hash decides its split.

    `ledger` gets one row per image, with the key `SET+NAME`, and one for each label file without an image and each entry that
    is outside the set or not a regular file. An empty label file means that the image has no watermark. An image without a
    label file is dropped, because nothing is known about it. Of identical image files one is kept, from the validation or test
    split if one of them is there. An image is dropped if its sha256 is in `blocklist`, or if its perceptual hash differs from a
    listed one in at most `blocklist_distance` bits.

    Raises `TesseraError` if the set does not exist, cannot be opened, exceeds the limits of this module, or has no image, no
    label file of any image, or a YAML file that cannot be read.
    """
    listed = read_blocklist(blocklist)
    prefix = f"{file_name(watermark_set.name)}+"
    found: list[tuple[dict[str, Any], list[Box]]] = []
    seen: dict[str, str] = {}
    pictures.mkdir()

    def take(image: File, label: File | None, key: str, note: dict[str, str]) -> None:
        if label is None:
            raise Dropped("unlabelled", f"{image.name!r} has no label file; if it has no watermark, add an empty one")
        if image.path.suffix.lower() in UNREAD_SUFFIXES:
            raise Failed("image of a kind that is not read", f"{image.name!r}: convert it to PNG, or leave it out")
        file = pictures / f"{key}{image.path.suffix.lower()}"
        try:
            file.write_bytes(image.read(MAX_IMAGE_BYTES))
            sha256 = sha256_file(file)
            if sha256 in seen:
                raise Dropped("the same image twice", f"{image.name!r} is {seen[sha256]!r}")
            picture = _check_image(file, image.name, listed, blocklist_distance)
            height, width = picture.shape[:2]
            boxes, clipped = read_boxes(label, classes, width, height)
            source, split = _origin(watermark_set, image.path)
            row = {"key": key, "source": source, "path": (place / file.name).as_posix(), "width": width, "height": height}
            row |= {"phash": perceptual_hash(picture), "split": split, "rights": watermark_set.rights}
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        # Not before, so that an image with a broken label does not replace a copy with a good one.
        seen[sha256] = image.name
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
            # A label file matches an image with any suffix, and some file systems ignore case.
            items.setdefault(file.path.with_suffix("").as_posix().casefold(), []).append(file)
        wanted = [_label_name(same[0].path) for same in items.values()]
        if wanted and labels.keys().isdisjoint(map(str.casefold, wanted)):
            raise TesseraError(
                f"watermarks.sets: {watermark_set.name!r}: none of its {counted(len(wanted), 'images')} has a label file; for"
                f" example, {wanted[0]!r} is missing. Add the label files, or correct the layout of the set"
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
    """Return the bounding boxes in the YOLO file `label`, in pixels, and the lines whose boxes were clipped, as text.

    `width`, `height`: size of the image in pixels. A line is `class x y w h`, or `class x y x y …` for a polygon, which gives
    its bounding box. Equal boxes are returned once.

    Raises `Failed`, which names the file and the line, for anything else: a class number of `classes` or more, a number that is
    not finite or outside [0, 1], or a box without area.
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
                # A difference of up to one pixel is rounding.
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
    """Return the image `path`, uint8 (H, W, 3), RGB. Raises `Failed` or `Dropped`, with its `name`, if it cannot be used."""
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
    except UnidentifiedImageError:  # its text contains a temporary path
        raise Failed("image cannot be decoded", f"{name!r} is none of {', '.join(IMAGE_FORMATS)}") from None
    except Exception as error:  # decoders raise exceptions of many types for hostile bytes
        raise Failed("image cannot be decoded", f"{name!r}: {error}") from None
    if width * height > MAX_PIXELS:
        raise Failed("image too large", f"{name!r} has {width} by {height} pixels, {MAX_PIXELS:,} are allowed")
    if min(width, height) < LEAST_SIDE:
        raise Dropped("image too small", f"{name!r} has {width} by {height} pixels, {LEAST_SIDE} a side are needed")
    picture = read_image(path, name)
    listed.check_picture(picture, repr(name), distance)
    return picture


def _origin(watermark_set: WatermarkSet, path: PurePosixPath) -> tuple[str, str]:
    """Return the source and the fixed split of the image `path` of a set; the split is empty if none is fixed."""
    folder = _split_of(path)
    if watermark_set.split:
        return f"{WATERMARKS}{watermark_set.name}", watermark_set.split
    return f"{WATERMARKS}{watermark_set.name}/{folder or path.as_posix()}", folder


def _split_of(path: PurePosixPath) -> str:
    """Return the split named by the innermost such folder of `path`, or an empty string."""
    for part in reversed(path.parts[:-1]):
        if match := SPLIT_FOLDER.fullmatch(part):
            name = match[1].lower()
            return SPLIT_NAMES.get(name, name)
    return ""


def _order(file: File) -> tuple[bool, str]:
    # Images for validation and tests come first, because the first of several identical files is kept.
    return _split_of(file.path) not in ("val", "test"), file.name


def _label_name(image: PurePosixPath) -> str:
    """Return the name of the label file of `image`, with the last folder `images` replaced by `labels`, as in ultralytics."""
    parts = list(image.with_suffix(".txt").parts)
    for place in reversed(range(len(parts) - 1)):
        if parts[place].casefold() == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def _described_classes(files: list[File], watermark_set: WatermarkSet) -> int:
    """Return the number of classes in the topmost YAML file of the set that names any; 0 if there is none."""
    described = [file for file in files if file.path.suffix.lower() in (".yaml", ".yml")]
    for file in sorted(described, key=lambda file: (len(file.path.parts), file.name)):
        try:
            # Nodes are counted without building objects from them: nested aliases could fill the memory.
            content = yaml.compose(file.read(MAX_TEXT_BYTES), yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, Failed) as error:
            raise TesseraError(
                f"watermarks.sets: {watermark_set.name!r}: {file.name!r} in {str(watermark_set.path)!r} cannot be read"
                f" ({' '.join(str(error).split())[:200]}); correct it, or remove it and set `classes` of the set"
            ) from None
        for key, names in content.value if isinstance(content, yaml.MappingNode) else ():
            if key.value == "names" and isinstance(names, yaml.CollectionNode) and names.value:
                return len(names.value)
    return 0


@contextmanager
def _open(watermark_set: WatermarkSet) -> Iterator[list[File]]:
    """Yield the files of the set. Raises `TesseraError` if it cannot be opened, exceeds the limits or contains no image."""
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
                    f"{place} is neither a folder nor a readable zip file ({reason}); correct its path"
                ) from None
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)]
            most, files = min(MAX_BYTES, MAX_RATIO * path.stat().st_size), [_file_of_zip(entry, archive) for entry in entries]
        _check_limits(files, most, place)
        if not any(file.path.suffix.lower() in IMAGE_SUFFIXES for file in files):
            raise TesseraError(
                f"{place} contains no image ({', '.join(sorted(IMAGE_SUFFIXES))}); correct its path, or unpack archives in it"
            )
        yield files


def _check_limits(files: list[File], most: int, place: str) -> None:
    size = sum(file.size for file in files)
    if len(files) > MAX_FILES:
        raise TesseraError(f"{place} has {len(files):,} files, {MAX_FILES:,} are allowed; divide it into several sets")
    if size > most:
        raise TesseraError(
            f"{place} unpacks to {size:,} bytes, {most:,} are allowed: at most {MAX_BYTES:,}, and at most {MAX_RATIO} times the"
            " size of a zip file; check where it comes from, or divide it into several sets"
        )


def _file_of_folder(path: Path, root: Path) -> File:
    name = path.relative_to(root).as_posix()
    # Path.resolve raises if links form a loop.
    leaves = not Path(os.path.realpath(path)).is_relative_to(root.resolve())
    size = 0 if leaves or not path.is_file() else path.stat().st_size
    return File(name, size, partial(_read_file, path), "link leaves the set" if leaves else _fault(name))


def _read_file(path: Path, most: int) -> bytes:
    if path.is_file() and not path.stat().st_size:
        return b""
    with open_file(path) as file:
        return _within(file.read(most + 1), most)


def _file_of_zip(entry: zipfile.ZipInfo, archive: zipfile.ZipFile) -> File:
    # Some Windows programs write backslashes, and some programs start names with "./".
    name = PurePosixPath(entry.filename.replace("\\", "/")).as_posix()
    kind = stat.S_IFMT(entry.external_attr >> 16)
    fault = _fault(name) if kind in (0, stat.S_IFREG) else "no plain file"
    # Other methods decompress everything at once, whatever its size.
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
    """Return why the file `name` of a set must not be used, or an empty string."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
        return "path leaves the set"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return "file name is not UTF-8"
    return ""


def _hidden(name: str) -> bool:
    """Return whether the file `name` or a folder above it is hidden, or has the metadata that macOS adds to archives."""
    return any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in re.split(r"[/\\]", name))
