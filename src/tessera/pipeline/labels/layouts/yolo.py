"""Sets in YOLO layout."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

import yaml

from tessera.core.archives import File
from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import counted
from tessera.core.names import folded, pair_names
from tessera.pipeline.labels.layouts.item import (
    Item,
    Regions,
    by_stem,
    check_not_empty,
    class_name,
    failed,
    given,
    several,
    stem,
    unannotated,
)
from tessera.pipeline.labels.pictures import is_picture
from tessera.records.annotation.formats.yolo import parse_yolo
from tessera.records.material import LabelledSet

MAX_LABEL_BYTES = 2**20  # of a label file or a YAML file
UNNAMED = 1000  # class numbers of a set that names no classes


def read_set(files: Sequence[File], label_set: LabelledSet, classes: Sequence[str]) -> list[Item[Regions]]:
    """A text file for each image, see `parse_yolo`.

    Three layouts are read: `SPLIT/images/…` with `SPLIT/labels/…`, `images/SPLIT/…` with `labels/SPLIT/…`, and labels beside
    their images. PITA (bastienp/visible-watermark-pita) has one zip file per split, with `SPLIT-yolo/images` and
    `SPLIT-yolo/labels`.
    """
    names = _described_classes(files, label_set)
    names = [class_name(number, names, label_set, classes) for number in range(len(names) or UNNAMED)]
    labels: dict[str, list[File]] = defaultdict(list)
    for file in files:
        if file.suffix == ".txt":
            labels[file.name].append(file)
    items = [several(same[1].name, same[1:], "labels") for same in labels.values() if len(same) > 1]
    grouped = by_stem([file for file in files if is_picture(file)])
    wanted = [_label_name(same[0].path) for same in grouped.values()]
    label_of = pair_names(wanted, labels)
    if wanted and not label_of:
        raise TesseraError(
            f"{label_set.name!r}: none of its {counted(len(wanted), 'images')} has a label file; for example, {wanted[0]!r} is"
            " missing. Add the label files, or correct the layout of the set"
        )
    for same, wants in zip(grouped.values(), wanted, strict=True):
        label = next(iter(labels.pop(label_of.get(wants, ""), ())), None)
        name = stem(same[0])
        if len(same) > 1:
            items.append(several(name, same, "images"))
        elif label is None:
            items.append(unannotated(name, same[0], label_set, "no label file", "add an empty one"))
        else:
            items.append(Item(name, partial(given, same[0]), partial(_yolo_regions, label, names, label_set), tuple(same)))
    left = [same[0] for same in labels.values() if "labels" in map(folded, same[0].path.parts[:-1])]
    items += [
        failed(stem(file), Failed("label without an image", f"{file.shown}; restore its image, or remove it"))
        for file in left
        if file.path.name.lower() != "classes.txt"
    ]
    return items


def _yolo_regions(label: File, names: Sequence[str], label_set: LabelledSet, key: str, width: int, height: int) -> Regions:
    content = label.read(MAX_LABEL_BYTES)
    found = parse_yolo(content, str(label.local or label.name), key, width, height, names, {"detect", "segment"})
    return check_not_empty(found, label_set, label.shown)


def _label_name(image: PurePosixPath) -> str:
    """Return the name of the label file of `image`, with the last folder `images` replaced by `labels`, as in ultralytics."""
    parts = list(image.with_suffix(".txt").parts)
    for place in reversed(range(len(parts) - 1)):
        if folded(parts[place]) == "images":
            parts[place] = "labels"
            break
    return "/".join(parts)


def _described_classes(files: Sequence[File], label_set: LabelledSet) -> list[str]:
    """Return the class names in the topmost YAML file of the set that states any; none if there is no such file."""
    described = [file for file in files if file.suffix in (".yaml", ".yml")]
    for file in sorted(described, key=lambda file: (len(file.path.parts), file.name)):
        try:
            # Nodes are read without building objects from them: nested aliases could fill the memory.
            content = yaml.compose(file.read(MAX_LABEL_BYTES), yaml.BaseLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, Failed) as error:
            raise TesseraError(
                f"{label_set.name!r}: {file.shown} in {str(label_set.path)!r} cannot be read"
                f" ({' '.join(str(error).split())[:200]}); correct it, or remove it and set `classes` of the set"
            ) from None
        for key, names in content.value if isinstance(content, yaml.MappingNode) else ():
            if key.value == "names" and isinstance(names, yaml.CollectionNode) and names.value:
                nodes = [each[1] if isinstance(names, yaml.MappingNode) else each for each in names.value]
                return [node.value if isinstance(node, yaml.ScalarNode) else str(number) for number, node in enumerate(nodes)]
    return []
