"""The splits that a set of labelled images already has: in its data.yaml, in lists of images, and in the names of folders."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from tessera.core.archives import File
from tessera.core.errors import Failed
from tessera.core.files import without_suffix
from tessera.core.messages import pluralize
from tessera.records.label_sets import LabelledSet
from tessera.stages.labels.layouts.item import Item, failed
from tessera.stages.labels.layouts.names import common_end, darknet_files, described_files, scalars, text_of
from tessera.stages.labels.pictures import is_picture, split_name, split_of

MAX_LIST_BYTES = 2**28
KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# Words beside that of a split in the name of a folder, such as train_images, images_val or obj_train_data.
AROUND = {"data", "image", "images", "img", "imgs", "obj", "set", "yolo"}


class OwnSplits:
    """The splits that the files of a set state.

    What `data.yaml`, `*.data` of darknet and lists such as `train.txt` state goes before the names of folders. `faults` has a
    row for each list that names images which are not there.
    """

    def __init__(self, files: Sequence[File], label_set: LabelledSet) -> None:
        self.faults: list[Item[Any]] = []
        self._stated: dict[str, dict[str, str]] = defaultdict(dict)  # by image, where each of its splits is stated
        self._is_used = label_set.own_splits and not label_set.split
        self._label_set = label_set
        self._files = files if self._is_used else ()
        for split, path, beside in self._statements():
            self._take(split, path, beside)

    @cached_property
    def _named(self) -> dict[str, list[File]]:
        """The images, by their names without suffix in lower case."""
        named: dict[str, list[File]] = defaultdict(list)
        for file in filter(is_picture, self._files):
            named[file.path.stem.casefold()].append(file)
        return named

    @cached_property
    def _folders(self) -> set[PurePosixPath]:
        return {folder for same in self._named.values() for file in same for folder in file.path.parents}

    def of(self, path: PurePosixPath) -> str:
        """Return the split of the image at `path`, with or without its suffix, or an empty string.

        Raises `Failed` if the files of the set state several.
        """
        if not self._is_used:
            return ""
        stated = self._stated.get(path.as_posix(), {})
        if len(stated) > 1:
            claims = " and ".join(f"in {split} by {where}" for split, where in sorted(stated.items()))
            raise Failed("image is in several splits", f"{path}: {claims}; correct it, or set `own_splits: false` of the set")
        return next(iter(stated), None) or split_of(path) or _folder_split(path)

    def is_held_out(self, path: PurePosixPath) -> bool:
        """Return whether the image at `path` is for validation or tests."""
        try:
            return self.of(path) in {"val", "test"}
        except Failed:
            return False

    def _statements(self) -> Iterator[tuple[str, str, File]]:
        """Yield each split, the path that is stated for it, and the file that states it."""
        is_yolo = self._label_set.format == "yolo"
        for file, content in described_files(self._files, self._label_set) if is_yolo else ():
            for key, node in content:
                for path in scalars(node) if key in KEYS else ():
                    yield KEYS[key], path, file
        for file, values in darknet_files(self._files, self._label_set) if is_yolo else ():
            for key in sorted(KEYS.keys() & values.keys()):
                for path in values[key]:
                    yield KEYS[key], path, file
        for file in self._files:
            split = split_name(file.path.stem) if file.suffix == ".txt" else ""
            # Otherwise, it may be the label file of an image of this name.
            if split and file.path.stem.casefold() not in self._named:
                yield split, file.name, file

    def _take(self, split: str, stated: str, beside: File) -> None:
        """Note the images of a `split` for which the file `beside` states a folder or a list."""
        path = PurePosixPath(stated.replace("\\", "/"))
        parts = [part for part in path.parts if part not in {".", "..", "/"}]
        if path.suffix.lower() == ".txt":
            lists = [file for file in self._files if file.suffix == ".txt" and common_end(file.path.parts, parts)]
            for file in sorted(lists, key=lambda file: -common_end(file.path.parts, parts))[:1]:
                self._take_list(split, file)
        else:
            folder = self._folder(parts, beside, split)
            for file in (each for same in self._named.values() for each in same):
                if folder is not None and folder in file.path.parents:
                    self._note(file, split, beside)

    def _note(self, image: File, split: str, where: File) -> None:
        # Also without its suffix, as in the names of items.
        for path in (image.path, without_suffix(image.path)):
            self._stated[path.as_posix()].setdefault(split, where.shown)

    def _folder(self, parts: Sequence[str], beside: File, split: str) -> PurePosixPath | None:
        """Return the folder of images that a path with these `parts` means: beside the file that states it, or by its end.

        An absolute path is that of another machine. Its last part alone would be too little, unless it names the split.
        """
        near = beside.path.parent.joinpath(*parts)
        if near in self._folders:
            return near
        for first in range(len(parts)):
            end = parts[first:]
            matches = [folder for folder in self._folders if folder.parts[-len(end) :] == tuple(end)]
            if len(matches) == 1 and (first == 0 or len(end) > 1 or split_name(end[0]) == split):
                return matches[0]
        return None

    def _take_list(self, split: str, file: File) -> None:
        missing: list[str] = []
        lines = [line.strip() for line in text_of(file, self._label_set, MAX_LIST_BYTES).splitlines() if line.strip()]
        for line in lines:
            # Lists of VOC name images without suffix, and some have a number after the name.
            image = self._image(line, file) or self._image(re.sub(r"\s+-?[01]$", "", line), file)
            if image:
                self._note(image, split, file)
            else:
                missing.append(line)
        # A file without any image is no such list.
        if missing and len(missing) < len(lines):
            detail = f"{file.shown}: {len(missing):,} of {pluralize(len(lines), 'images')} are not in the set, such as"
            detail += f" {missing[0]!r:.200}"
            self.faults.append(failed(f"{file.name}#images", Failed("listed images are missing", detail)))

    def _image(self, line: str, beside: File) -> File | None:
        """Return the image that a `line` of the list `beside` names: the one whose path ends most like it."""
        path = PurePosixPath(line.replace("\\", "/"))
        parts = [part.casefold() for part in path.parts if part not in {".", "..", "/"}]
        named = [file for stem in {path.stem.casefold(), path.name.casefold()} for file in self._named.get(stem, ())]
        matches = []
        for file in named:
            image_parts = [part.casefold() for part in file.path.parts]
            if image_parts[-1] != path.name.casefold():
                image_parts[-1] = file.path.stem.casefold()
            common = common_end(image_parts, parts)
            if common and (common > 1 or common == min(len(image_parts), len(parts))):
                matches.append(
                    (common, common_end(image_parts[:-1][::-1], list(map(str.casefold, beside.path.parts[:-1]))[::-1]), file)
                )
        matches.sort(key=lambda each: each[:2], reverse=True)
        if len(matches) > 1 and matches[0][:2] == matches[1][:2]:
            return None
        return matches[0][2] if matches else None


def _folder_split(path: PurePosixPath) -> str:
    """Return the split in the name of the innermost folder of `path` that has other words of such folders around it."""
    for folder in reversed(path.parts[:-1]):
        words = [word.casefold() for word in re.split("[-_]", folder)]
        splits = [split for word in words if (split := split_name(word))]
        if (
            len(splits) == 1
            and len(words) > 1
            and all(split_name(word) or word in AROUND or word.isdecimal() for word in words)
        ):
            return splits[0]
    return ""
