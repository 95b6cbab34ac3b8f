"""What previews draw."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
from source_files import write_source_files

from clip_shards import film
from tessera.imaging.encode import write_video
from tessera.imaging.images import read_image, write_image
from tessera.imaging.masks import encode_rle
from tessera.imaging.sheets import RenderSettings, contact_sheet, write
from tessera.records.tables.annotation import Annotations, PredictedFrames
from tessera.records.tables.footage import Sources
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.detectors.rendering import (
    Mark,
    colour_of,
    draw_marks,
    render_previews,
)

HEIGHT, WIDTH = 120, 200


def mark(score: float = 0.9) -> Mark:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[60:100, 40:120] = 255
    return Mark("nsfw", score, (40, 60, 120, 100), mask)


def test_the_mask_is_tinted_the_box_is_drawn_and_nothing_else_changes() -> None:
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    drawn = draw_marks(image, [mark()], 1000)
    assert (image == 90).all()
    assert (drawn[60, 40:120] == colour_of("nsfw")).all()
    inside = drawn[62:98, 42:118]
    assert (inside == inside[0, 0]).all()
    assert (inside[0, 0] != 90).any()
    below = drawn[100:]
    assert (below == 90).all()
    assert (drawn[44:60, 42:60] != 90).any(), "the name stands above the box"


def test_a_box_without_a_mask_is_drawn_without_a_tint() -> None:
    drawn = draw_marks(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), [mark()._replace(mask=None)], 1000)
    assert (drawn[62:98, 42:118] == 90).all()
    assert (drawn[60, 40:120] == colour_of("nsfw")).all()


def test_marks_shrink_with_the_picture() -> None:
    drawn = draw_marks(np.full((HEIGHT, WIDTH, 3), 90, np.uint8), [mark()], 100)
    assert drawn.shape == (60, 100, 3)
    assert (drawn[49, 20:60] == colour_of("nsfw")).all()
    assert (drawn[51:] == 90).all()


@pytest.mark.parametrize("corner", [(-50, -50), (500, 500), (0, 0)])
@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH, 3), (5, 7, 3)])
def test_text_stays_inside_any_picture_at_any_corner(corner: tuple[int, int], shape: tuple[int, ...]) -> None:
    image = np.full(shape, 90, np.uint8)
    write(image, "ü \n 漢 text", corner, 20)
    assert (image != 90).any()


def test_a_sheet_has_every_tile_under_its_heading() -> None:
    tiles = [(np.full((50, 200, 3), 10 * number, np.uint8), str(number)) for number in range(1, 8)]
    sheet = contact_sheet("title", {"first": tiles[:5], "second": tiles[5:]}, 200, 3)
    found = [number for number in range(1, 8) if (sheet == 10 * number).all(axis=2).sum() >= 50 * 200]
    assert found == list(range(1, 8))


def test_colours_depend_only_on_the_label() -> None:
    assert colour_of("nsfw") == colour_of("nsfw")
    assert len({colour_of(str(number)) for number in range(50)}) == 6


@pytest.fixture
def shard(tmp_path: Path) -> list[Path]:
    """The tables of a shard: a video of 20 frames, every other one with predictions, and a folder of images."""
    write_video(tmp_path / "v.mp4", (np.full((HEIGHT, WIDTH, 3), 10 * grey, np.uint8) for grey in range(20)), 10)
    (tmp_path / "stills").mkdir()
    for number, shape in enumerate([(30, 60, 3), (60, 30, 3)]):
        write_image(tmp_path / "stills" / f"{number}.png", np.full(shape, 90, np.uint8))
    empty: dict[str, Any] = dict.fromkeys(types(Sources))
    texts = dict.fromkeys(["shard", "rights", "consent", "split", "series", "sha256", "kind"], "")
    rows = [
        {"source": "a video", "path": str(tmp_path / "v.mp4"), "kind": "video"},
        {"source": "stills", "path": str(tmp_path / "stills"), "kind": "folder"},
    ]
    table = pl.DataFrame(
        [{**empty, **texts, "content": "general", "use": [], "size": 1, **row} for row in rows], types(Sources)
    )
    write_table(table, Sources, tmp_path / "sources.parquet")
    frames = [
        {
            "key": f"v-{i}",
            "source": "a video",
            "index": i,
            "name": None,
            "pts": i,
            "time": i / 10,
            "width": WIDTH,
            "height": HEIGHT,
        }
        for i in range(0, 20, 2)
    ]
    frames += [
        {"key": "s-0", "source": "stills", "index": 0, "name": "0.png", "pts": None, "time": None, "width": 60, "height": 30},
        {"key": "s-1", "source": "stills", "index": 1, "name": "1.png", "pts": None, "time": None, "width": 30, "height": 60},
    ]
    write_table(pl.DataFrame(frames, types(PredictedFrames)), PredictedFrames, tmp_path / "frames.parquet")
    rle = encode_rle(mark().mask)  # type: ignore[arg-type]
    regions = [
        {"key": f"v-{i}", "number": 0, "label": "nsfw", "polygons": None, "rle": rle, "x0": 40.0, "y0": 60.0}
        | {"x1": 120.0, "y1": 100.0, "crowd": False, "score": score}
        for i, score in ((8, 0.8), (12, 0.2))
    ]
    write_table(pl.DataFrame(regions, types(Annotations)), Annotations, tmp_path / "predictions.parquet")
    write_source_files(tmp_path / "stills.parquet", stills=tmp_path / "stills")
    return [tmp_path / f"{name}.parquet" for name in ("sources", "stills", "frames", "predictions")]


def test_a_video_gets_an_overlay_at_its_speed_and_each_source_a_sheet(shard: list[Path], tmp_path: Path) -> None:
    settings = RenderSettings(tile=200, columns=2, rows=2)
    render_previews(*shard, 0.25, settings, tmp_path / "overlays", tmp_path / "sheets")
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == ["a video.mp4"]
    with av.open(str(tmp_path / "overlays" / "a video.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert float(container.streams.video[0].average_rate) == pytest.approx(5)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 10
    tinted = [bool(np.ptp(frame[70, 80].astype(int)) > 30) for frame in frames]
    assert tinted == [False] * 4 + [True] + [False] * 5, "a region below the confidence does not count"
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["a video.jpg", "stills.jpg"]
    sheet = read_image(tmp_path / "sheets" / "a video.jpg").astype(int)
    assert sheet.shape[1] == 2 * 208 + 8


def test_equal_tables_give_equal_previews(shard: list[Path], tmp_path: Path) -> None:
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        render_previews(*shard, 0.25, RenderSettings(), tmp_path / run / "overlays", tmp_path / run / "sheets")
    for path in (tmp_path / "first").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()


def test_an_overlay_keeps_the_size_of_its_first_frame_where_the_video_changes_it(shard: list[Path], tmp_path: Path) -> None:
    sizes = [(HEIGHT, WIDTH)] * 4 + [(WIDTH, HEIGHT)] * 4 + [(60, 100)] * 2
    parts, start = [], 0
    for height, width in dict.fromkeys(sizes):
        frames = [np.full((height, width, 3), 200, np.uint8)] * (2 * sizes.count((height, width)))
        times = [100 * (start + number) for number in range(len(frames))]
        parts.append(film(tmp_path / f"{start}.ts", frames, pts=times, bf="0").read_bytes())
        start += len(frames)
    (tmp_path / "v.mp4").write_bytes(b"".join(parts))
    of_video = (
        read_table(shard[2], PredictedFrames)
        .filter(pl.col("source") == "a video")
        .with_columns(pl.Series("height", [height for height, _ in sizes]), pl.Series("width", [width for _, width in sizes]))
    )
    write_table(of_video, PredictedFrames, shard[2])
    write_table(read_table(shard[3], Annotations).clear(), Annotations, shard[3])
    render_previews(*shard, 0.25, RenderSettings(), tmp_path / "overlays", tmp_path / "sheets")
    with av.open(str(tmp_path / "overlays" / "a video.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [image.shape for image in shown] == [(HEIGHT, WIDTH, 3)] * 10
    bright = [(image[20] > 150).all(axis=1) for image in shown]  # a row without caption
    assert all(row.all() for row in bright[:4] + bright[8:])
    # A picture on edge: 72 of 200 columns, in the middle.
    assert all(70 <= row.sum() <= 74 and row[64 + 2 : 136 - 2].all() for row in bright[4:8])
