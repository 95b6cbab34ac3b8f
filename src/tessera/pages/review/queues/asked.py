"""Pictures whose labels `snakemake ask` asked for, those first that the classifier was least certain of."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tessera.pages.review.queues.pictures import read_pictures
from tessera.records.label_sets import key_in_set, name_in_set
from tessera.records.rounds import read_rounds, round_name
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.review import ASKED
from tessera.records.tables.table import read_table


class Answers(NamedTuple):
    """The set of labelled images that the answers belong to."""

    name: str
    layout: str  # its format
    folder: Path  # with the rounds


def find_asked(
    answers: Answers, frames: Sequence[Path], frame_images: Sequence[Path], labels: Path | None
) -> Iterator[dict[str, Any]]:
    """Yield an item for each picture that was asked for.

    `frames`: `tables.Frames`, each with the folder of its pictures in `frame_images`. `labels`: `tables.ImageLabels` of the
    set, or None if it could not be read yet. A decision is worth 1 - margin, where `margin` is by how much the most probable
    class leads the second; 1 if there was no classifier yet; and nothing about a picture that has a label. What the classifier
    predicts of pictures to validate is not shown, because it could sway who measures it.
    """
    pictures = read_pictures(frames, frame_images)
    known = dict(read_table(labels, ImageLabels).select("key", "label").iter_rows()) if labels else {}
    for number, asked in enumerate(read_rounds(answers.folder), 1):
        for each in asked.asked:
            if each.key not in pictures:
                continue
            source, path = pictures[each.key]
            path_in_set = PurePosixPath(round_name(number), each.split, path.name)
            key = key_in_set(answers.name, name_in_set(answers.layout, path_in_set))
            label = known.get(key)
            yield {
                "queue": ASKED,
                "key": key,
                "classifier": asked.model,
                "source": source,
                "split": each.split,
                "value": 0.0 if label else 1.0 if each.margin is None else 1 - each.margin,
                "reason": each.why,
                "detail": round_name(number) if each.margin is None else f"{round_name(number)}, margin {each.margin:.3f}",
                "state": "kept" if label else "",
                "label": label or "",
                "suggested": (each.predicted or "") if each.split == "train" else "",
                "picture": path.as_posix(),
            }
