"""Every region has a row, masks show the mosaics, and threads and order do not matter."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest

from tessera.core.ledger import read_ledger
from tessera.core.seeds import generator
from tessera.imaging.boxes import mask_box
from tessera.imaging.degradation.chain import Degraded
from tessera.imaging.images import read_image, resize, shrink, write_image
from tessera.imaging.masks import decode_rle, encode_rle
from tessera.imaging.mosaic.blocks import Mosaic, cover
from tessera.imaging.mosaic.drawing import draw_mosaic
from tessera.imaging.mosaic.settings import CLASSES, MosaicSettings
from tessera.records.annotation.annotation_tables import read_annotations
from tessera.records.tables.annotation import Annotations, Images
from tessera.records.tables.footage import Frames, Sources
from tessera.records.tables.mosaics import Mosaics
from tessera.records.tables.table import read_table, types, write_table
from tessera.stages.mosaics.masks import import_masks
from tessera.stages.mosaics.samples import pixelate_frames

Region = tuple[str, np.ndarray | str]
HEIGHT, WIDTH = 120, 160
# Every region is covered, and no mosaic is made harder to see.
NONE = dict.fromkeys(("uncovered", "fine", "rescaled", "blurred", "darkened", "bars"), 0.0)
ALL = dict.fromkeys(NONE, 0.5) | {"bars": 0.1}


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def region(top: int, left: int, bottom: int, right: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def same(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
    return Degraded(image, ())


def noisy(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
    noise = rng.integers(0, 64, image.shape, np.uint8) + min(round(block), 60)
    return Degraded((image // 2 + noise).astype(np.uint8), ("gaussian_noise",) if noise.sum() % 2 else ())


def begin(folder: Path, pictures: Mapping[str, np.ndarray | None], regions: Mapping[str, Sequence[Region]]) -> None:
    """Store frames (None for a broken one) and their chosen regions; frames without regions are backgrounds."""
    (folder / "pictures").mkdir(parents=True)
    frames, region_rows = [], []
    for index, (key, image) in enumerate(pictures.items()):
        height, width = (HEIGHT, WIDTH) if image is None else image.shape[:2]
        if image is None:
            (folder / "pictures" / f"{key}.png").write_text("no image")
        else:
            write_image(folder / "pictures" / f"{key}.png", image)
        row = {"key": key, "source": "film", "index": index, "file": f"{key}.png", "width": width, "height": height}
        frames.append({**dict.fromkeys(types(Frames)), **row, "phash": index})
        for number, (label, mask) in enumerate(regions.get(key, ())):
            rle = mask if isinstance(mask, str) else encode_rle(mask)
            box = dict.fromkeys(("x0", "y0", "x1", "y1"), 0.0)
            row = {"key": key, "number": number, "label": label, "rle": rle, **box, "crowd": False, "score": 0.9}
            region_rows.append({**dict.fromkeys(types(Annotations)), **row})
    write_table(pl.DataFrame(frames, schema=types(Frames)), Frames, folder / "frames")
    clean = [frame for frame in frames if frame["key"] not in regions]
    write_table(pl.DataFrame(clean, schema=types(Frames)), Frames, folder / "backgrounds")
    write_table(pl.DataFrame(region_rows, schema=types(Annotations)), Annotations, folder / "regions")


INPUTS = ("frames", "pictures", "regions", "backgrounds")
OUTPUTS = ("table", "images", "masks", "ledger", "mosaic_ledger")


def run(folder: Path, degrade: Any = same, threads: int = 1, seed: int = 0, **settings: Any) -> Path:
    out = folder / "out"
    while out.exists():
        out = out.with_name(out.name + "_")
    out.mkdir()
    paths = {name: folder / name for name in INPUTS} | {name: out / name for name in OUTPUTS}
    model = MosaicSettings.model_validate({"backgrounds": 1.0, **NONE, **settings})
    pixelate_frames(**paths, settings=model, seed=seed, degrade=degrade, threads=threads)
    return out


def statuses(ledger: Path) -> dict[str, str]:
    return {row["key"]: f"{row['status']} {row['reason']}".strip() for row in read_ledger(ledger)}


def samples(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for name in ("images", "masks") for path in (out / name).iterdir()}


def test_the_row_of_a_mosaic_reproduces_it_and_the_mask_is_its_place(tmp_path: Path) -> None:
    masks = {"a.b-0000000": region(20, 30, 90, 120), "c-0000001": region(0, 0, 300, 400, 300, 400)}
    images = {"a.b-0000000": picture(0), "c-0000001": picture(1, 300, 400)}
    begin(tmp_path, images, {key: [("nsfw", mask)] for key, mask in masks.items()})
    out = run(tmp_path, max_side=200, quality=90)
    assert statuses(out / "ledger") == dict.fromkeys(masks, "ok")
    assert statuses(out / "mosaic_ledger") == {f"{key}#0": "ok" for key in masks}
    rows = read_table(out / "table", Mosaics).to_dicts()
    assert [row["key"] for row in rows] == list(masks)
    for row in rows:
        image = shrink(images[row["key"]], 200)
        mask = np.where(shrink(masks[row["key"]], 200) > 127, 255, 0).astype(np.uint8)
        origin = int(row["origin_x"]), int(row["origin_y"])
        sizes = row["block_width"], row["block_height"], row["feather"], row["dilation"]
        mosaic = Mosaic(row["type"], *map(int, sizes), origin, row["incomplete"])
        drawn = draw_mosaic(generator(0, "mosaics", f"{row['key']}#0"), mask, MosaicSettings())
        assert drawn == mosaic, "its numbers depend on the region alone"
        expected = cover(image, mask, mosaic)
        write_image(tmp_path / "expected.jpg", image, 90)
        sample = out / "images" / f"{row['key']}.jpg"
        assert sample.read_bytes() == (tmp_path / "expected.jpg").read_bytes(), "scaled down, never up"
        shown = read_image(out / "masks" / f"{row['key']}.png")[..., 0]
        assert np.array_equal(shown, expected)
        assert mask_box(shown) == (row["x0"], row["y0"], row["x1"], row["y1"])


def test_each_label_has_its_own_mask_value_and_block_sizes(tmp_path: Path) -> None:
    labels = [("nsfw", region(5, 5, 55, 55)), ("face", region(5, 90, 55, 150)), ("head", region(65, 60, 115, 130))]
    begin(tmp_path, {"a-0000000": picture(0)}, {"a-0000000": labels})
    out = run(tmp_path, min_block=3, sfw_min_block=9, scale=(0.1, 0.2), sfw_scale=(0.1, 0.2), feathered=0)
    rows = read_table(out / "table", Mosaics)
    assert rows.select("label", "block_height").rows() == [("nsfw", 3), ("face", 9), ("head", 9)]
    values = read_image(out / "masks" / "a-0000000.png")[..., 0]
    assert set(np.unique(values)) == {0, 127, 192, 255}
    assert [values[30, 30], values[30, 120], values[90, 100]] == [255, 192, 127]


def test_a_region_without_a_mosaic_is_a_row(tmp_path: Path) -> None:
    pixel = region(50, 50, 51, 51)
    flat = region(40, 10, 70, 150)
    regions: dict[str, list[Region]] = {
        "some-0000000": [("nsfw", pixel), ("nsfw", region(20, 30, 90, 120))],
        "none-0000000": [("nsfw", pixel), ("nsfw", np.zeros_like(pixel))],
        "fit-0000000": [("nsfw", region(20, 30, 90, 120, 130, 160)), ("nsfw", "?"), ("tree", pixel)],
        "broken-0000000": [("nsfw", flat), ("nsfw", flat)],
        "whole-0000000": [("nsfw", np.full((HEIGHT, WIDTH), 255, np.uint8))],
    }
    images = {key: None if key.startswith("broken") else picture(seed) for seed, key in enumerate(regions)}
    begin(tmp_path, images, regions)
    out = run(tmp_path)
    small = "smaller than min_side"
    assert statuses(out / "ledger") == {
        "some-0000000": f"ok {small}",
        "none-0000000": "dropped no region is left",
        "fit-0000000": "dropped no region is left",
        "broken-0000000": "failed image cannot be decoded",
        "whole-0000000": "ok",
    }
    unfit = "failed region does not match its frame"
    assert statuses(out / "mosaic_ledger") == {
        "some-0000000#0": f"dropped {small}",
        "some-0000000#1": "ok",
        "none-0000000#0": f"dropped {small}",
        "none-0000000#1": f"dropped {small}",
        "fit-0000000#0": unfit,
        "fit-0000000#1": unfit,
        "fit-0000000#2": "failed unknown label",
        "broken-0000000#0": "failed its frame is unusable",
        "broken-0000000#1": "failed its frame is unusable",
        "whole-0000000#0": "ok",
    }
    assert sorted(path.stem for path in (out / "images").iterdir()) == ["some-0000000", "whole-0000000"]
    assert read_table(out / "table", Mosaics)["number"].to_list() == [1, 0]


def test_blocks_that_do_not_fit_into_a_region_are_a_row(tmp_path: Path) -> None:
    begin(tmp_path, {"a-0000000": picture(0)}, {"a-0000000": [("nsfw", region(50, 50, 62, 62))]})
    out = run(tmp_path, min_block=14, dilation=[0], incomplete=1)
    assert statuses(out / "mosaic_ledger") == {"a-0000000#0": "dropped no whole block"}
    assert statuses(run(tmp_path, min_block=4, dilation=[0], incomplete=1) / "mosaic_ledger") == {"a-0000000#0": "ok"}


def test_a_mosaic_that_nobody_can_see_has_no_label(tmp_path: Path) -> None:
    # The left half is flat but for faint noise, the right half has a texture.
    image = picture(0)
    image[:, : WIDTH // 2] = 90 + np.random.default_rng(0).integers(-1, 2, (HEIGHT, WIDTH // 2, 3))
    regions = [("nsfw", region(20, 10, 100, 60)), ("nsfw", region(20, 100, 100, 150))]
    begin(tmp_path, {"half-0000000": image}, {"half-0000000": regions})
    out = run(tmp_path)
    assert statuses(out / "mosaic_ledger") == {"half-0000000#0": "dropped mosaic not visible", "half-0000000#1": "ok"}
    assert statuses(out / "ledger") == {"half-0000000": "ok mosaic not visible"}
    mask = read_image(out / "masks" / "half-0000000.png")[..., 0]
    assert not mask[:, : WIDTH // 2].any() and mask[60, 125] == 255
    strict = run(tmp_path, min_change=100)
    assert set(statuses(strict / "mosaic_ledger").values()) == {"dropped mosaic not visible"}
    darkened = run(tmp_path, darkened=1, darken=(0.5, 0.5))
    assert set(statuses(darkened / "mosaic_ledger").values()) == {"ok"}, "a dark one is visible"


def test_all_backgrounds_become_samples_unless_none_are_wanted(tmp_path: Path) -> None:
    keys = [f"film-{index:07d}" for index in range(4)]
    begin(tmp_path, {key: picture(index) for index, key in enumerate(keys)}, {})
    for fraction, used in ((0.0, []), (0.1, keys), (1.0, keys)):
        out = run(tmp_path, degrade=noisy, backgrounds=fraction)
        assert statuses(out / "ledger") == {key: "ok" if key in used else "dropped background not used" for key in keys}
        assert sorted(path.stem for path in (out / "images").iterdir()) == used
        assert not any(read_image(path).any() for path in (out / "masks").iterdir())
        assert read_table(out / "table", Mosaics).is_empty()


@pytest.mark.parametrize("faint", [NONE, ALL])
def test_the_result_does_not_depend_on_threads_or_other_frames(tmp_path: Path, faint: dict[str, float]) -> None:
    keys = [f"film-{index:07d}" for index in range(10)]
    images = {key: picture(index) for index, key in enumerate(keys)}
    regions = {key: [("nsfw", region(20, 30, 90, 100)), ("face", region(5, 110, 50, 150))] for key in keys[::2]}
    begin(tmp_path / "all", images, regions)
    serial, parallel = (run(tmp_path / "all", degrade=noisy, threads=threads, **faint) for threads in (1, 4))
    assert samples(serial) == samples(parallel)
    drawn = read_table(serial / "table", Mosaics).filter(label="nsfw").select("type", "block_width", "block_height", "feather")
    assert drawn.n_unique() > 2, "each region draws its own"
    assert (serial / "table").read_bytes() == (parallel / "table").read_bytes()
    of_keys = read_table(serial / "table", Mosaics).group_by("key").agg(pl.col("degradations").unique())
    assert all(len(lists) == 1 for lists in of_keys["degradations"]), "the mosaics of an image share its degradations"
    begin(tmp_path / "some", {key: images[key] for key in reversed(keys[3:7])}, {key: regions[key] for key in keys[4:7:2]})
    some = samples(run(tmp_path / "some", degrade=noisy, **faint))
    assert len(some) == 8
    assert some == {name: data for name, data in samples(serial).items() if name in some}
    assert samples(run(tmp_path / "all", degrade=noisy, seed=1, **faint)) != samples(serial)


def test_a_frame_that_is_left_uncovered_is_a_background_unless_backgrounds_are_not_used(tmp_path: Path) -> None:
    keys = [f"f-{number:07d}" for number in range(40)]
    pictures = {key: picture(number) for number, key in enumerate(keys)}
    begin(tmp_path, pictures, {key: [("nsfw", region(20, 30, 90, 120))] for key in keys})
    all_covered, out = run(tmp_path), run(tmp_path, uncovered=0.3)
    reasons = {key: statuses(out / "mosaic_ledger")[f"{key}#0"] for key in keys}
    bare = [key for key, reason in reasons.items() if reason == "dropped frame left uncovered"]
    assert 4 < len(bare) < 20 and set(reasons.values()) == {"ok", "dropped frame left uncovered"}
    assert statuses(out / "ledger") == {key: "ok frame left uncovered" if key in bare else "ok" for key in keys}
    for key in keys:
        assert (read_image(out / "masks" / f"{key}.png").any() == 0) == (key in bare)
        is_same = samples(out)[f"images/{key}.jpg"] == samples(all_covered)[f"images/{key}.jpg"]
        assert is_same == (key not in bare)
    assert read_table(out / "table", Mosaics)["key"].to_list() == [key for key in keys if key not in bare]
    assert samples(run(tmp_path, uncovered=1, backgrounds=0)) == samples(all_covered)


def test_degradation_depends_on_the_smallest_block_of_a_picture(tmp_path: Path) -> None:
    images = {"both-0000000": picture(0), "clean-0000001": picture(1)}
    begin(tmp_path, images, {"both-0000000": [("nsfw", region(5, 5, 115, 70)), ("head", region(5, 80, 115, 155))]})
    blocks: list[float] = []

    def degrade(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
        blocks.append(block)
        return Degraded(np.full_like(image, 7), ("blur", "jpeg"))

    out = run(tmp_path, degrade=degrade)
    assert read_table(out / "table", Mosaics)["degradations"].to_list() == [["blur", "jpeg"]] * 2
    assert blocks[0] == read_table(out / "table", Mosaics)["block_height"].min()
    assert blocks[1] >= 3, "a clean one as if it had some"
    assert (read_image(out / "images" / "both-0000000.jpg") == 7).all()


def pixels(folder: Path, **settings: Any) -> tuple[list[np.ndarray], list[np.ndarray], list[dict[str, Any]]]:
    """Return the images before they are degraded, the masks, and the rows of the table, in the order of keys."""
    images: list[np.ndarray] = []

    def degrade(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
        images.append(image)
        return Degraded(image, ())

    out = run(folder, degrade=degrade, **settings)
    shown = [read_image(path)[..., 0] for path in sorted((out / "masks").iterdir())]
    return images, shown, read_table(out / "table", Mosaics).sort("key", "number").to_dicts()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Eight frames, each with a region."""
    keys = [f"film-{index:07d}" for index in range(8)]
    images = {key: picture(index, 180, 240) for index, key in enumerate(keys)}
    begin(tmp_path, images, {key: [("nsfw", region(20, 30, 150, 190, 180, 240))] for key in keys})
    return tmp_path


def test_a_mosaic_is_darkened_or_blurred_in_its_place(films: Path) -> None:
    plain, masks, rows = pixels(films)
    for effect in ("darkened", "blurred"):
        changed, same_masks, changed_rows = pixels(films, **{effect: 1})
        assert np.array_equal(masks, same_masks)
        for before, after, mask, old, row in zip(plain, changed, masks, rows, changed_rows, strict=True):
            assert old == row | {"blur": 0, "brightness": 1}, "nothing else is drawn differently"
            assert np.array_equal(after[mask == 0], before[mask == 0])
            if effect == "darkened":
                assert 0.4 <= row["brightness"] <= 0.9
                assert np.array_equal(after[mask > 0], np.rint(before[mask > 0] * row["brightness"]))
            else:
                assert 0.2 <= row["blur"] / row["block_height"] <= 1
                assert not np.array_equal(after, before)


def test_fine_blocks_have_the_size_of_the_settings_and_nothing_else_changes(films: Path) -> None:
    _, _, rows = pixels(films)
    _, _, fine = pixels(films, fine=1, fine_block=(2, 3.4))
    assert {row["block_height"] for row in fine} == {2, 3}
    for old, row in zip(rows, fine, strict=True):
        assert row["fine"]
        assert all(old[name] == row[name] for name in ("type", "incomplete", "dilation"))


@pytest.mark.parametrize("fine", [0, 1])
def test_a_rescaled_sample_is_its_frame_drawn_at_another_size_and_scaled(films: Path, fine: int) -> None:
    images, masks, rows = pixels(films, rescaled=1, fine=fine, max_side=200, feathered=0.5)
    assert min(row["scale"] for row in rows) < 0.8
    assert max(row["scale"] for row in rows) > 1.1
    for index, (image, mask, row) in enumerate(zip(images, masks, rows, strict=True)):
        size = round(150 / row["scale"]), round(200 / row["scale"])
        frame = resize(picture(index, 180, 240), *size)
        region_mask = np.where(resize(region(20, 30, 150, 190, 180, 240), *size) > 127, 255, 0).astype(np.uint8)
        width, height, feather, dilation, x, y = (
            round(row[name] / row["scale"])
            for name in ("block_width", "block_height", "feather", "dilation", "origin_x", "origin_y")
        )
        shown = cover(frame, region_mask, Mosaic(row["type"], width, height, feather, dilation, (x, y), row["incomplete"]))
        assert np.array_equal(image, resize(frame, 150, 200))
        assert np.array_equal(mask > 0, resize(shown, 150, 200) > 127)
        assert mask_box(mask) == (row["x0"], row["y0"], row["x1"], row["y1"])


@pytest.mark.parametrize("scale", [0.3, 0.73, 1.4])
@pytest.mark.parametrize(("least", "small"), [(2, {"fine": 1, "fine_block": (2, 2)}), (3, {"scale": (0, 0), "min_block": 3})])
def test_no_block_gets_too_small_to_be_seen(films: Path, least: int, small: dict[str, Any], scale: float) -> None:
    blocks: list[float] = []

    def degrade(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
        blocks.append(block)
        return Degraded(image, ())

    rows = read_table(run(films, degrade=degrade, rescaled=1, rescale=(scale, scale), **small) / "table", Mosaics)
    assert blocks == rows["block_height"].to_list()
    assert all(least <= block < least + scale for block in blocks)


def test_backgrounds_are_rescaled_and_degraded_like_samples_with_mosaics(tmp_path: Path) -> None:
    keys = [f"film-{index:07d}" for index in range(30)]
    begin(tmp_path, {key: picture(index) for index, key in enumerate(keys)}, {})
    blocks: list[float] = []

    def degrade(image: np.ndarray, *, rng: np.random.Generator, block: float) -> Degraded:
        blocks.append(block)
        return Degraded(image, ())

    images, _, _ = pixels(tmp_path, rescaled=0.5)
    changed = [not np.array_equal(image, picture(index)) for index, image in enumerate(images)]
    assert 5 < sum(changed) < 25
    run(tmp_path, degrade=degrade, fine=1, fine_block=(2, 2))
    assert set(blocks) == {2}


def test_a_bar_takes_the_place_of_a_mosaic(films: Path) -> None:
    images, masks, rows = pixels(films, bars=1, rescaled=0.5, darkened=1, blurred=1, bar_opacity=(1, 1))
    assert {row["bar_colour"] for row in rows} == {"black", "white", "mean"}
    for image, mask, row in zip(images, masks, rows, strict=True):
        assert row["type"] == "bar"
        assert row["block_height"] is row["whole_blocks"] is None
        inside = cv2.erode(mask, np.ones((9, 9), np.uint8), borderValue=0) > 0
        assert np.ptp(image[inside], axis=0).max() <= 1, "one colour, away from edges that were scaled"
        assert 0.2 < (mask > 0).sum() / (130 * 160) < 1.1


def test_frames_without_regions_are_no_error(tmp_path: Path) -> None:
    begin(tmp_path, {}, {})
    out = run(tmp_path)
    assert samples(out) == {}
    assert read_table(out / "table", Mosaics).is_empty()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    known = {"source": "film", "shard": "film", "path": "film.mp4", "kind": "video", "content": "general"}
    known |= {"reason": "", "rights": "CC0", "consent": "", "use": [], "split": "val", "series": "", "sha256": "", "size": 1}
    rows = [{**dict.fromkeys(types(Sources)), **known}]
    write_table(pl.DataFrame(rows, schema=types(Sources)), Sources, tmp_path / "sources")
    return tmp_path


def label(folder: Path, out: Path) -> Path:
    tables = folder / "tables"
    tables.mkdir()
    paths = {name: tables / name for name in ("images", "annotations", "ledger")}
    import_masks(out / "masks", out / "images", out / "images", folder / "frames", folder / "sources", CLASSES, 16, **paths)
    return tables


def test_masks_become_labels_with_the_rights_of_their_source(film: Path) -> None:
    ring = region(10, 10, 70, 70) - region(30, 30, 50, 50)
    regions = {"film-0000000": [("nsfw", ring), ("face", region(20, 90, 70, 150))]}
    begin(film, {"film-0000000": picture(0), "film-0000001": picture(1)}, regions)
    out = run(film, feathered=0, dilation=[0], incomplete=1)
    for folder in ("images", "masks"):
        (out / folder / ".snakemake_timestamp").touch()
    hub = label(film, out)
    assert statuses(hub / "ledger") == {"film-0000000": "ok", "film-0000001": "ok"}
    images = read_table(hub / "images", Images)
    assert images.select("key", "source", "split", "rights", "width", "height", "phash").rows() == [
        ("film-0000000", "film", "val", "CC0", WIDTH, HEIGHT, 0),
        ("film-0000001", "film", "val", "CC0", WIDTH, HEIGHT, 1),
    ]
    assert images["path"].to_list() == [(out / "images" / f"film-000000{number}.jpg").as_posix() for number in (0, 1)]
    first, second = read_annotations(hub / "annotations", hub / "images")
    assert [annotation.label for annotation in first.annotations] == ["sfw", "nsfw"]
    assert first.annotations[1].rle is not None
    assert np.array_equal(decode_rle(first.annotations[1].rle, HEIGHT, WIDTH), ring), "with its hole"
    assert second.annotations == ()


def test_masks_that_do_not_fit_are_rows(film: Path) -> None:
    keys = [f"film-{index:07d}" for index in range(6)]
    begin(film, {key: picture(index) for index, key in enumerate(keys)}, {})
    out = run(film)
    write_image(out / "masks" / f"{keys[0]}.png", np.zeros((HEIGHT, WIDTH + 1), np.uint8))
    (out / "masks" / f"{keys[1]}.png").unlink()
    (out / "images" / f"{keys[2]}.jpg").unlink()
    (out / "masks" / f"{keys[3]}.png").write_bytes(b"no image")
    write_image(out / "masks" / f"{keys[4]}.png", np.full((HEIGHT, WIDTH), 3, np.uint8))
    write_image(out / "masks" / f"{keys[5]}.png", region(0, 0, 3, 3))
    for folder, suffix in (("images", ".jpg"), ("masks", ".png")):
        write_image(out / folder / f"other-0000000{suffix}", picture(0) if suffix == ".jpg" else region(0, 0, 9, 9))
    hub = label(film, out)
    assert statuses(hub / "ledger") == {
        keys[0]: "failed mask does not match its image",
        keys[1]: "failed image without a mask",
        keys[2]: "failed mask without an image",
        keys[3]: "failed not a PNG picture",
        keys[4]: "failed unknown value in mask",
        keys[5]: "dropped region lost: smaller than min_area",
        "other-0000000": "failed no such frame",
    }
    assert read_table(hub / "images", Images).is_empty()
