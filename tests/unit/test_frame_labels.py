"""Labels of frames that were not sampled, and of frames that nobody has looked at."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from tessera.annotations.imports import import_frame_labels
from tessera.ledger import read_ledger
from tessera.media.encode import write_video
from tessera.media.images import read_image
from tessera.provenance import write_checksums
from tessera.tables import Frames, Images, Sources, read_table, types, write_table

HEIGHT, WIDTH = 32, 48


def write_label(path: Path) -> None:
    ring = [[2, 2], [20, 2], [20, 20], [2, 20]]
    shape = {"label": "nsfw", "points": ring, "shape_type": "polygon", "group_id": None, "flags": {}}
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    path.write_text(json.dumps({"shapes": [shape], "flags": {}, "imagePath": "frame.jpg", "imageData": None, **size}))


def test_a_labelled_frame_is_read_from_its_source_and_an_unseen_proposal_is_no_label(tmp_path: Path) -> None:
    shades = [np.full((HEIGHT, WIDTH, 3), 20 * index, np.uint8) for index in range(8)]
    write_video(tmp_path / "film.mp4", shades, 24)
    known = {"source": "film", "shard": "film", "path": str(tmp_path / "film.mp4"), "status": "admitted", "kind": "video"}
    known |= {
        "reason": "",
        "content": "general",
        "rights": "CC0",
        "consent": "",
        "use": [],
        "split": "",
        "sha256": "",
        "size": 1,
    }
    rows = [{**dict.fromkeys(types(Sources)), **known}]
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, tmp_path / "sources")
    write_table(pl.DataFrame(schema=types(Frames)), Frames, tmp_path / "frames")
    folder = tmp_path / "labels" / "film"
    folder.mkdir(parents=True)
    for index in (3, 5, 99):
        write_label(folder / f"film-{index:07d}.json")
    write_checksums([folder / "film-0000005.json"], folder, folder / "SHA256SUMS")

    place = Path("results/unsampled")
    names = ("images", "annotations", "unsampled", "ledger")
    outputs = {name: tmp_path / name for name in names}
    import_frame_labels(
        tmp_path / "frames", tmp_path / "sources", tmp_path / "pictures", folder.parent, ["nsfw"], 16, place, **outputs
    )

    reasons = {row["key"]: row["reason"] for row in read_ledger(outputs["ledger"])}
    proposed, beyond = "proposed, not reviewed", "no such frame"
    assert reasons == {"film-0000003": "", "film-0000005": proposed, "film-0000099": beyond}
    images = read_table(outputs["images"], Images)
    assert images["path"].to_list() == [(place / "film-0000003.jpg").as_posix()]
    assert abs(float(read_image(outputs["unsampled"] / "film-0000003.jpg").mean()) - 60) < 4
