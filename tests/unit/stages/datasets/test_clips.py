"""The dataset of clips reaches the trainer completely, and figures show it correctly."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clip_tables import clip, score, write_clips, write_scores
from PIL import Image
from small_report import pictures

from tessera.core.errors import TesseraError
from tessera.imaging.encode import VideoWriter
from tessera.pages.report.clips import PREVIEW_RATE, show_clips
from tessera.pages.report.clips import describe_clips as caption_clips
from tessera.pages.report.tiles import TILE_COLUMNS, Shown
from tessera.records.tables.clips import Clips, Scores
from tessera.records.tables.splits import Splits
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.datasets.clips import write_clip_dataset
from tessera.stages.datasets.datasheets import describe_clips, render_clips

FRAMES, RATE = 24, 12.0
SPLIT_OF = {"one-0000000-000": "train", "one-0000040-001": "train", "two-0000000-000": "val"}


def picture(number: int, shade: int) -> np.ndarray:
    image = np.full((48, 64, 3), shade, np.uint8)
    image[10:18, number : number + 8] = (250, 200, 40)
    return image


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Path]:
    """Three clips of two sources in the folders of two shards, and the dataset of them."""
    shades = dict(zip(SPLIT_OF, (20, 90, 160), strict=True))
    rows = []
    for key, shade in shades.items():
        folder = tmp_path / "shards" / key.split("-")[0]
        rows.append(clip(key, FRAMES, (64, 48), RATE))
        write_clips(folder, [rows[-1]], {key: [picture(number, shade) for number in range(FRAMES)]})
        (folder / "masks").mkdir(exist_ok=True)
        with VideoWriter(folder / "masks" / f"{key}.mkv", RATE, pixel_format="gray") as writer:
            for number in range(FRAMES):
                writer.write((picture(number, 0)[..., 0] == 250) * np.uint8(255))
    paths = {name: tmp_path / name for name in ("clips", "scores", "splits", "train", "val", "test", "table")}
    write_table(pl.DataFrame(rows, schema=types(Clips)), Clips, paths["clips"])
    write_scores(paths["scores"], [score(key, watermark=float(key.startswith("two"))) for key in SPLIT_OF])
    splits = [{"key": key, "source": key.split("-")[0], "split": split} for key, split in SPLIT_OF.items()]
    write_table(pl.DataFrame(splits, schema=types(Splits)), Splits, paths["splits"])
    return paths


def write(made: dict[str, Path]) -> None:
    folders = sorted((made["clips"].parent / "shards").iterdir())
    write_clip_dataset(
        made["clips"],
        made["scores"],
        made["splits"],
        [folder / "images" for folder in folders],
        [folder / "masks" for folder in folders],
        {split: made[split] for split in ("train", "val", "test")},
        made["table"],
    )


def test_every_clip_is_where_the_trainer_expects_it(made: dict[str, Path]) -> None:
    write(made)
    for key, split in SPLIT_OF.items():
        path = made[split] / "crop_unscaled_meta" / f"{key}.json"
        described = json.loads(path.read_text())
        assert described["version"] == 2 and described["frames_count"] == FRAMES
        for name in ("relative_nsfw_video_path", "relative_mask_video_path"):
            assert (path.parent / described[name]).resolve().stat().st_size > 0
        assert described["watermark_detected"] == (split == "val")
    assert not list(made["test"].iterdir())
    table = read_table(made["table"], Clips)
    assert dict(table.select("key", "split").iter_rows()) == SPLIT_OF


def test_a_clip_with_a_missing_file_is_named(made: dict[str, Path]) -> None:
    (made["clips"].parent / "shards/two/masks/two-0000000-000.mkv").unlink()
    with pytest.raises(TesseraError, match=r"'two-0000000-000' of 'two' has no file two-0000000-000\.mkv"):
        write(made)


def test_the_counts_in_a_datasheet_of_clips_add_up(made: dict[str, Path]) -> None:
    clips, scores, splits = (
        read_table(made[name], schema) for name, schema in (("clips", Clips), ("scores", Scores), ("splits", Splits))
    )
    sources = pl.DataFrame(
        [{"source": name, "content": "adult", "rights": "contract 7", "consent": "release 1"} for name in ("one", "two")]
    )
    filtering = [{"status": "ok", "reason": ""}] * 3 + [{"status": "dropped", "reason": "too dark"}]
    sheet = describe_clips("mosaic_restoration", clips, scores, splits, sources, filtering, {})
    assert [sheet["splits"][split]["clips"] for split in ("train", "val", "test")] == [2, 1, 0]
    assert sum(part["seconds"] for part in sheet["splits"].values()) == 3 * FRAMES / RATE
    for name in ("labels", "seconds", "sides", "origins"):
        assert sum(row["clips"] for row in sheet[name]) == 3, name
    assert sheet["measured"]["watermark"] == {"clips": 3, "least": 0.0, "median": 0.0, "largest": 1.0}
    assert "nsfw" not in sheet["measured"], "it was not measured"
    text = render_clips(json.loads(json.dumps(sheet)))
    assert re.search(r"left out: too dark \| +1", text) and "contract 7" in text


def colours(image: np.ndarray) -> int:
    """Return how many pixels have about the colour of the region in the clips."""
    return int((np.abs(image.astype(int) - (250, 200, 40)).max(axis=-1) < 30).sum())


@pytest.mark.slow
@pytest.mark.parametrize("blurred", [True, False])
def test_clips_are_shown_as_rows_of_frames_and_as_animations(made: dict[str, Path], tmp_path: Path, blurred: bool) -> None:
    write(made)
    captions = caption_clips(made["table"])
    assert captions["two-0000000-000"] == "24 frames, 2.0 s, 64 x 48"
    clear = () if blurred else SPLIT_OF
    for split, count in {"train": 2, "val": 1, "test": 0}.items():
        shown = Shown(split, [key for key in SPLIT_OF if SPLIT_OF[key] == split], clear, captions)
        show_clips(made[split], shown, tmp_path / "page.html")
        moving = re.findall(r'class="moving"[^>]* src="data:image/webp;base64,([^"]+)"', (tmp_path / "page.html").read_text())
        assert len(moving) == count
        for data in moving:
            with Image.open(io.BytesIO(base64.b64decode(data))) as animation:
                assert animation.n_frames == 2 * PREVIEW_RATE
                seen = []
                for number in (0, animation.n_frames - 1):
                    animation.seek(number)
                    seen.append(np.array(animation.convert("RGB")))
                assert (seen[0] != seen[1]).any(), "it moves"
                assert (colours(seen[0]) > 20) != blurred
        frames = pictures(tmp_path / "page.html")
        assert len(frames) == TILE_COLUMNS * count, "a row of each clip"
        assert all((colours(frame) > 100) != blurred for frame in frames)


def test_equal_clips_give_equal_figures(made: dict[str, Path], tmp_path: Path) -> None:
    write(made)
    shown = Shown("train", [key for key in SPLIT_OF if SPLIT_OF[key] == "train"], (), {})
    for name in ("a", "b"):
        show_clips(made["train"], shown, tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
