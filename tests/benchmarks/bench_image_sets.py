"""How fast the pictures of image sets are encoded, compared with a bare loop."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import polars as pl
import skimage.data
from PIL import Image
from timing import seconds

from tessera.extras.image_sets.resize import resize_set
from tessera.extras.image_sets.settings import PictureSettings
from tessera.records.tables.image_sets import SetPictures
from tessera.records.tables.table import types, write_table

PICTURES = 200
THREADS = 2


def test_pictures_are_encoded_at_85_percent_of_the_speed_of_a_bare_loop(tmp_path: Path) -> None:
    base = Image.fromarray(skimage.data.astronaut()).resize((1920, 1080), Image.Resampling.BICUBIC)
    rows = []
    for number in range(PICTURES):
        file = tmp_path / f"a-{number:07d}.jpg"
        Image.fromarray(np.roll(np.asarray(base), 31 * number, axis=1)).save(file, quality=95)
        row = {
            "key": file.stem,
            "source": "a",
            "split": "",
            "series": "",
            "frame": file.stem,
            "step": "frame",
            "path": str(file),
        }
        rows.append(
            row | {"width": 1920, "height": 1080, "identities": [], "appearances": [], "head": None, "is_regular": False}
        )
    selected = tmp_path / "selected.parquet"
    write_table(pl.DataFrame(rows, schema=types(SetPictures)), SetPictures, selected)
    numbers = count()

    def ours() -> None:
        folder = tmp_path / f"ours{next(numbers)}"
        folder.mkdir()
        made = {"images": folder / "images", "table": folder / "resized.parquet"}
        resize_set(selected, folder / "kept", PictureSettings(), code="", threads=THREADS, **made)

    def bare() -> None:
        folder = tmp_path / f"bare{next(numbers)}"
        folder.mkdir()

        def work(row: dict[str, object]) -> None:
            picture = Image.open(str(row["path"])).resize((1365, 768), Image.Resampling.LANCZOS)
            picture.save(folder / f"{row['key']}.webp", quality=95)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, rows))

    mine, loop = seconds(ours, bare)
    print(f"\n{PICTURES} pictures of 1080p as webp: {mine:.1f} s, a bare loop {loop:.1f} s: {loop / mine:.0%} (floor: 85 %)")
    assert loop / mine >= 0.85
