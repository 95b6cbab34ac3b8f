"""Sets in YOLO layout."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize
from tessera.core.names import folded
from tessera.records.annotation.formats.yolo import Shape, lines_of, parse_yolo
from tessera.records.label_sets import ANY, LabelledSet
from tessera.stages.labels.layouts.item import (
    Items,
    Regions,
    by_stem,
    check_not_empty,
    failed,
    pair_stems,
    paired_items,
    stem,
)
from tessera.stages.labels.layouts.names import (
    LISTS,
    MAX_TEXT_BYTES,
    Described,
    check_numbers,
    numbered,
    read_described,
    stated_labels,
)
from tessera.stages.labels.pictures import is_picture

CACHED_BYTES = 2**28  # of label files, which are read to see which classes they use, and kept until their images are read
SAMPLED = 50  # lines of a set whose numbers are read
POSES = 10  # lines that look like poses and are no accident
IMAGES = re.compile(r"(?<![^-_ ])images?(?![^-_ ])", re.IGNORECASE)  # in names of folders, such as images, train_images


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> Items[Regions]:
    """A text file for each image, see `parse_yolo`.

    Three layouts are read: `SPLIT/images/…` with `SPLIT/labels/…`, `images/SPLIT/…` with `labels/SPLIT/…`, and labels beside
    their images. PITA (bastienp/visible-watermark-pita) has one zip file per split, with `SPLIT-yolo/images` and
    `SPLIT-yolo/labels`.

    Raises `TesseraError` if no image has a label file, if the classes have no names and the set states none, or if the shape of
    the lines is not clear.
    """
    texts: dict[str, list[File]] = defaultdict(list)
    for file in files:
        if file.suffix == ".txt":
            texts[file.name].append(file)
    grouped = by_stem([file for file in files if is_picture(file)])
    labels = pair_stems({name: _label_names(same[0].path) for name, same in grouped.items()}, texts)
    described = read_described(files, label_set, set(labels.values()))
    if grouped and not labels:
        wanted = _label_names(next(iter(grouped.values()))[0].path)[0]
        raise TesseraError(
            f"{label_set.name!r}: none of its {pluralize(len(grouped), 'images')} has a label file; for example, {wanted!r} is"
            " missing. Add the label files, or correct the layout of the set"
        )
    scan = Scan()
    for name in labels.values():
        if len(texts[name]) == 1:
            scan.count(texts[name][0])
    described = _of_one_class(scan, described, label_set, classes)
    _check_named(scan, described, label_set, classes)
    check_numbers(label_set, described, scan.objects)
    read = partial(_regions, scan, numbered(described, label_set), _shape(scan, described, label_set), label_set)
    label_files = {name: texts.pop(label) for name, label in labels.items()}
    items = list(paired_items(grouped, label_files, read, label_set, "labels", "no label file", "add an empty one"))
    folders = {str(PurePosixPath(name).parent) for name in labels.values()}
    for same in texts.values():
        if _is_label(same[0], folders, scan):
            fault = Failed("label without an image", f"{same[0].shown}; restore its image, or remove it")
            items.append(failed(stem(same[0]), fault))
    return Items(items, stated_labels(described, label_set, scan.objects))


@dataclass
class Scan:
    """What the label files of a set have in common. Each is read once, unless all together are very large.

    `objects`, `images`: by class number. `counts`: of the lines with more than 4 numbers after the class, by their number.
    `sample`: the first of them.
    """

    objects: Counter[int] = field(default_factory=Counter)
    images: Counter[int] = field(default_factory=Counter)
    counts: Counter[int] = field(default_factory=Counter)
    sample: list[list[str]] = field(default_factory=list)
    _contents: dict[str, bytes] = field(default_factory=dict)
    _bytes: int = 0

    def read(self, file: File) -> bytes:
        """Return the content of a label file. Raises `Failed` if it is too large."""
        if file.name not in self._contents:
            content = file.read(MAX_TEXT_BYTES)
            if self._bytes + len(content) > CACHED_BYTES:
                return content
            self._contents[file.name] = content
            self._bytes += len(content)
        return self._contents[file.name]

    def count(self, file: File) -> None:
        """Count what is in a label file. One that cannot be read becomes a row later."""
        try:
            lines = lines_of(self.read(file), file.name)
        except Failed:
            return
        numbers = Counter[int]()
        for fields in map(str.split, lines):
            if fields and fields[0].isdecimal() and len(fields[0]) < 10:
                numbers[int(fields[0])] += 1
                if len(fields) > 5:
                    self.counts[len(fields) - 1] += 1
                    if len(self.sample) < SAMPLED:
                        self.sample.append(fields[1:])
        self.objects += numbers
        self.images.update(numbers.keys())


def _regions(
    scan: Scan,
    label: Callable[[int], str | None],
    shape: Shape,
    label_set: LabelledSet,
    file: File,
    key: str,
    width: int,
    height: int,
) -> Regions:
    regions = parse_yolo(scan.read(file), str(file.local or file.name), key, width, height, label, shape)
    return check_not_empty(regions, label_set, file.shown)


def _label_names(image: PurePosixPath) -> list[str]:
    """Return the names that the label file of `image` may have: with `labels` in place of `images` in the name of its last such
    folder, as in ultralytics, or beside it.
    """
    parts = list(image.with_suffix(".txt").parts)
    beside = "/".join(parts)
    for number in reversed(range(len(parts) - 1)):
        if IMAGES.search(parts[number]):
            parts[number] = IMAGES.sub("labels", parts[number])
            break
    return list(dict.fromkeys(["/".join(parts), beside]))


def _is_label(file: File, folders: set[str], scan: Scan) -> bool:
    """Return whether a text file that belongs to no image is a label file: in a folder `labels`, or by its lines."""
    if file.path.name.casefold() in LISTS:
        return False
    if "labels" in map(folded, file.path.parts[:-1]):
        return True
    try:
        lines = lines_of(scan.read(file), file.name) if str(file.path.parent) in folders else []
    except Failed:
        return False
    return bool(lines) and all(len(fields) > 4 and fields[0].isdecimal() for line in lines if (fields := line.split()))


def _of_one_class(scan: Scan, described: Described, label_set: LabelledSet, classes: Sequence[str]) -> Described:
    """Return `described` with the one class of the dataset as the name of 0, if nothing names it and no other number is used.

    Such a set states one thing, as a black and white mask does.
    """
    if described.names or described.lost or label_set.classes or len(classes) > 1 or set(scan.objects) != {0}:
        return described
    tell(f"{label_set.name!r}: no file names its only class, 0: it is taken for {classes[0]!r}, the only class of the dataset")
    return replace(described, names={0: classes[0]})


def _check_named(scan: Scan, described: Described, label_set: LabelledSet, classes: Sequence[str]) -> None:
    """Raise `TesseraError` if nothing says what the class numbers of a set mean."""
    known = {int(key) for key in label_set.classes if key.isdecimal()}
    if scan.objects and not described.names and known.isdisjoint(scan.objects) and ANY not in label_set.classes:
        used = [
            f"{number} ({pluralize(scan.objects[number], 'objects')} in {pluralize(scan.images[number], 'images')})"
            for number in sorted(scan.objects)
        ]
        why = f"No file names them{described.lost and ': '}{described.lost}"
        example = ", ".join(f"{number}: …" for number in sorted(scan.objects)[:10])
        raise TesseraError(
            f"{label_set.name!r}: what do its classes {', '.join(used[:20])} mean? {why}. Add data.yaml or classes.txt, or"
            f" write in the settings of the set what each means, one of {', '.join(classes)}, or null if it is not wanted:\n"
            f"    classes: {{{example}}}"
        )


def _shape(scan: Scan, described: Described, label_set: LabelledSet) -> Shape:
    """Return the shape of the lines of a set. Raises `TesseraError` if it is not clear."""
    if described.keypoints or label_set.lines != "auto":
        return Shape(label_set.lines, described.keypoints)
    long = set(scan.counts)
    # Our own files repeat the last corner of a small region.
    if long == {6} and not any(numbers[2:4] == numbers[4:6] for numbers in scan.sample):
        raise TesseraError(
            f"{label_set.name!r}: {pluralize(scan.counts[6], 'lines')} have 6 numbers after the class: triangles, or boxes with"
            " their confidence and track. Write `lines: polygons` or `lines: detections` in the settings of the set"
        )
    (count, *others) = sorted(long) or [0]
    if not others and count >= 10 and count % 2 == 0 and len(scan.sample) >= POSES and all(map(_is_pose, scan.sample)):
        raise TesseraError(
            f"{label_set.name!r}: each of its lines has {count} numbers after the class, and seems to be a box with keypoints."
            " State `kpt_shape` in its data.yaml or, if they are outlines, `lines: polygons` in the settings of the set"
        )
    return Shape()


def _is_pose(numbers: Sequence[str]) -> bool:
    """Return whether the first four numbers can be a box inside the image that holds all points after it."""
    try:
        x, y, w, h, *points = map(float, numbers)
    except ValueError:
        return False
    box = x - w / 2, x + w / 2, y - h / 2, y + h / 2
    return (
        min(box) >= -0.01
        and max(box) <= 1.01
        and all(box[0] <= point <= box[1] for point in points[::2])
        and all(box[2] <= point <= box[3] for point in points[1::2])
    )
