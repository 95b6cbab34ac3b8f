"""The part of the metrics of a classifier that compares it with chance."""

import json
from pathlib import Path


def write_chance(path: Path, is_better: bool | None) -> Path:
    """Write the metrics of a classifier that `is_better` than chance, or of which nobody knows."""
    chance = {
        "is_better": is_better,
        "intervals": {"balanced_accuracy": [0.4, 0.7]},
        "guessed": {"balanced_accuracy": 0.5, "average_precision": 0.5},
        "by": "sources",
    }
    path.write_text(json.dumps({"splits": {"val": {"chance": chance}}}))
    return path
