"""What labelme 6.3.1 does to a label file when a person changes something and it saves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

OF_SHAPES = ("label", "points", "group_id", "description", "shape_type", "flags", "mask")
OF_FILES = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")


def save_in_labelme(path: Path, change: Callable[[dict[str, Any]], None] = lambda document: None) -> None:
    """Save `path` as `write_label_file` of labelme does, after `change`: it keeps all fields except its own, and all flags."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    shapes = [
        {name: value for name, value in shape.items() if name not in OF_SHAPES} | {name: shape.get(name) for name in OF_SHAPES}
        for shape in document["shapes"]
    ]
    own = {name: document.get(name) for name in OF_FILES} | {"version": "6.3.1", "shapes": shapes}
    others = {name: value for name, value in document.items() if name not in OF_FILES}
    path.write_text(json.dumps(own | others, ensure_ascii=False, indent=2), encoding="utf-8")
