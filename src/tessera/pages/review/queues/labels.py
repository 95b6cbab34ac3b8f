"""Labels of classifiers that may be wrong, the strongest findings first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tessera.records.tables.classification import LabelErrors, Pictures, picture_files
from tessera.records.tables.review import LABELS
from tessera.records.tables.table import read_table


class Checked(NamedTuple):
    """The files of a classifier whose labels were checked."""

    errors: Path  # `tables.LabelErrors`
    pictures: Path  # `tables.Pictures`
    images: Path  # the folder of its pictures


def find_labels(checked: Mapping[str, Checked]) -> Iterator[dict[str, Any]]:
    """Yield an item for each picture with a label that may be wrong: its strongest finding. `checked`: by classifier."""
    for classifier, files in checked.items():
        paths = {key: file for (_, key), file in picture_files(files.images).items()}
        known = {row["key"]: row for row in read_table(files.pictures, Pictures).iter_rows(named=True)}
        findings = read_table(files.errors, LabelErrors).sort("strength", "key", descending=[True, False])
        for row in findings.unique("key", keep="first", maintain_order=True).iter_rows(named=True):
            if row["key"] not in paths or row["key"] not in known:
                continue
            other = row["other"] if row["other"] in paths else None
            yield {
                "queue": LABELS,
                "key": row["key"],
                "classifier": classifier,
                "source": row["source"],
                "split": known[row["key"]]["split"],
                "value": row["strength"],
                "reason": row["kind"],
                "detail": f"strength {row['strength']:.3f}",
                "state": "kept",
                "label": _shown(row["label"], row["score"]),
                "suggested": _shown(row["suggested"], row["suggested_score"]),
                "picture": paths[row["key"]].as_posix(),
                "beside": paths[other].as_posix() if other else "",
                "beside_text": f"{_shown(known[other]['label'], known[other]['score'])}: {other}" if other else "",
            }


def _shown(label: str | None, score: float | None) -> str:
    return label if label is not None else "" if score is None else f"{score:.4g}"
