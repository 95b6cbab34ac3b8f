"""Figures: the pictures and tables of the report."""

import base64
import csv
import html
import io
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import unquote

import numpy as np
from pydantic import Field

from tessera.errors import Failed, TesseraError
from tessera.geometry import Box
from tessera.seeds import generator
from tessera.settings import Settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPLITS = ("train", "val", "test")
# Okabe and Ito: told apart by people with any colour vision.
BLUE, ORANGE, RED, GREEN, SKY, PURPLE = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9", "#CC79A7"
INK, QUIET = "#222222", "#8a8a8a"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    # Names of sources are text, whatever they hold.
    "text.parse_math": False,
    # Equal figures are equal files.
    "svg.hashsalt": "tessera",
}
BLUR_SIDE = 6  # what is left of a blurred picture: so many blocks along its longer side
TILE_SIDE = 300  # pixels, longer side of a sample in a contact sheet
TILE_COLUMNS = 4
CAPTION_LINES = 3
PREVIEW_SIDE = 200  # pixels, longer side of an animated preview
PREVIEW_RATE = 8  # pictures per second
PREVIEW_SECONDS = 4


class ReportSettings(Settings):
    """What the report shows."""

    blur: bool = Field(True, description="make the pictures unrecognisable, leaving the outlines of the masks")
    samples: int = Field(12, ge=1, le=100, description="pictures shown of each split")


class Step(NamedTuple):
    """A step on the way from sources to samples, and what became of each item: in = ok + dropped + failed.

    `partly` are those of the ok items that have a reason: most lost a part. They, the dropped and the failed are counted by it.
    """

    name: str
    unit: str
    rows: int
    ok: int
    partly: dict[str, int]
    dropped: dict[str, int]
    failed: dict[str, int]


class Bar(NamedTuple):
    """A bar of a figure: its name, its parts with their length and colour, and what is written beside it."""

    name: str
    parts: Sequence[tuple[float, str]]
    text: str


class Picture(NamedTuple):
    """A picture, RGB uint8 (H, W, 3), and the masks of its regions, uint8 (H, W), each with what it is drawn as."""

    name: str
    image: np.ndarray
    regions: list[tuple[str, np.ndarray]]
    caption: str = ""


class Prediction(Protocol):
    """A region that a detector sees."""

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1 in pixels, half-open."""

    @property
    def mask(self) -> np.ndarray | None:
        """Its mask, uint8 (H, W), the size of the image; None where the detector knows boxes only."""


def count_step(name: str, unit: str, summary: Mapping[str, Any]) -> Step:
    """Return the step `name`, whose items are `unit`, as `summary` counts them; see `tessera.ledger.summarise`."""
    return Step(name, unit, summary["in"], summary["ok"], summary["partly"], summary["dropped"], summary["failed"])


def count_splits(splits: Path) -> dict[str, int]:
    """Return the number of samples in each split of the table of Splits at `splits`."""
    from tessera.tables import Splits, read_table

    column = read_table(splits, Splits)["split"]
    return {split: int((column == split).sum()) for split in SPLITS}


def draw_funnel(steps: Sequence[Step], splits: dict[str, int], path: Path, unit: str = "images") -> None:
    """Draw how many items each of `steps` takes in, passes on and leaves out, and how they end up in `splits`, as SVG.

    `unit`: what the samples are.
    """
    panels: dict[str, list[Bar]] = {}
    for step in steps:
        dropped, failed = sum(step.dropped.values()), sum(step.failed.values())
        text = f"{step.rows:,} = {step.ok:,} passed on + {dropped:,} dropped + {failed:,} failed"
        parts = [(step.ok, BLUE), (dropped, ORANGE), (failed, RED)]
        panels.setdefault(step.unit, []).append(Bar(step.name, parts, text))
    text = f"{sum(splits.values()):,} = {' + '.join(f'{splits[split]:,} {split}' for split in SPLITS)}"
    parts = [(splits["train"], SKY), (splits["val"], GREEN), (splits["test"], PURPLE)]
    panels.setdefault(unit, []).append(Bar("samples by split", parts, text))
    # Sources and pictures differ in number by orders: each unit has a scale of its own.
    heights = [len(bars) for bars in panels.values()]
    with _figure(path, 9.5, 0.9 + 0.55 * sum(heights) + 0.5 * len(panels)) as figure:
        places = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}).flat
        for axes, (unit, bars) in zip(places, panels.items(), strict=True):
            axes.set_title(unit)
            _draw_bars(axes, bars, 1.75)
        colours = {"passed on": BLUE, "dropped": ORANGE, "failed": RED, "train": SKY, "val": GREEN, "test": PURPLE}
        _legend(figure, colours)


def draw_dropped(steps: Sequence[Step], path: Path) -> None:
    """Draw how many items each of `steps` left out, or passed on with a remark, by reason, as SVG."""
    bars = [
        Bar(f"{step.name}: {_shorten(reason, 70)}", [(count, colour)], f"{count:,}")
        for step in steps
        for reasons, colour in ((step.partly, SKY), (step.dropped, ORANGE), (step.failed, RED))
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    with _figure(path, 9.5, 1.2 + 0.34 * max(len(bars), 2)) as figure:
        _draw_bars(figure.subplots(), bars or [Bar("nothing was left out", [], "")], 1.15)
        _legend(figure, {"passed on, with a remark": SKY, "dropped": ORANGE, "failed": RED})


def tabulate_steps(steps: Sequence[Step], splits: dict[str, int], path: Path, unit: str = "images") -> None:
    """Write the counts of `steps` and `splits` as an HTML table. `unit`: what the samples are."""
    rows: list[list[Any]] = []
    for step in steps:
        rows += [[step.name, step.unit, "in", "", step.rows], ["", "", "passed on", "", step.ok]]
        for became, reasons in (("of these in part", step.partly), ("dropped", step.dropped), ("failed", step.failed)):
            rows += [["", "", became, reason, count] for reason, count in reasons.items()]
    rows += [["samples", unit, split, "", count] for split, count in splits.items()]
    _write_page(path, "From sources to samples", _table(["step", "items", "became", "reason", "count"], rows))


def tabulate_refused(refused: Path, path: Path) -> None:
    """Write the tab-separated table of refused sources at `refused` as an HTML table."""
    with Path(refused).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file, delimiter="\t")) or [[]]
    body = _table(header, rows) if rows else "<p>No source was refused.</p>"
    _write_page(path, "Refused sources", body)


def tabulate_metrics(files: dict[str, Path], path: Path) -> None:
    """Write the values in the JSON `files`, by title, as an HTML page; what has the same names shares a table."""
    parts = []
    for title, file in files.items():
        parts.append(f"<h2>{html.escape(title)}</h2>")
        tables: dict[tuple[str, ...], list[list[str]]] = {}
        for place, values in _records(json.loads(Path(file).read_text(encoding="utf-8"))):
            tables.setdefault(tuple(values), []).append([place, *map(_number, values.values())])
        for names, rows in tables.items():
            if rows == [["", *rows[0][1:]]]:
                parts.append(_table([], list(zip(names, rows[0][1:], strict=True))))
            else:
                parts.append(_table(["", *names], rows))
    _write_page(path, "Metrics", "\n".join(parts))


def render_markdown(text: Path, path: Path) -> None:
    """Write the Markdown file `text` as an HTML page. HTML inside it is shown as text, pictures are links."""
    from markdown_it import MarkdownIt

    content = Path(text).read_text(encoding="utf-8")
    title = next((line.lstrip("# ") for line in content.splitlines() if line.startswith("#")), Path(text).name)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    _write_page(path, title, markdown.render(content), heading=False)


def show_pictures(folder: Path, title: str, path: Path) -> None:
    """Write an HTML page of the PNG files in `folder`, by name."""
    parts = []
    for file in sorted(Path(folder).glob("*.png")):
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        parts.append(f'<h2>{html.escape(file.stem.replace("_", " "))}</h2>\n<img alt="" src="data:image/png;base64,{data}">\n')
    _write_page(path, title, "".join(parts))


def draw_timings(benchmarks: Path, rules: dict[str, bool], shards: Sequence[str], path: Path) -> None:
    """Draw the seconds and the memory that the jobs of `rules` took, as SVG.

    `benchmarks` holds what was measured, as `RULE/JOB.jsonl` or `RULE.jsonl`. `rules` says of each rule whether it has a job
    per shard; files of shards that are not in `shards` are of footage that was withdrawn, and left out.
    """
    jobs = {rule: _benchmarks(benchmarks, rule, shards if by_shard else None) for rule, by_shard in rules.items()}
    jobs = {rule: records for rule, records in jobs.items() if records}
    seconds, memory = [], []
    for rule, records in jobs.items():
        total = sum(record["s"] for record in records)
        # There is no number where a job was over before it could be measured.
        largest = max((record["max_rss"] for record in records if isinstance(record["max_rss"], int | float)), default=0)
        count = f"{len(records):,} job{'s' if len(records) > 1 else ''}"
        seconds.append(Bar(rule, [(total, BLUE)], f"{_seconds(total)}, {count}"))
        memory.append(Bar(rule, [(largest, GREEN)], f"{largest:,.0f} MB" if largest else ""))
    with _figure(path, 9.5, 1.3 + 0.3 * max(len(jobs), 2)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 2]})
        for axes, title, bars in ((left, "time of all jobs", seconds), (right, "memory of the largest job", memory)):
            axes.set_title(title)
            _draw_bars(axes, bars or [Bar("nothing was measured", [], "")], 1.4)


def blur(image: np.ndarray) -> np.ndarray:
    """Return `image` with nothing left to recognise: the means of a few blocks, drawn smoothly at its size.

    `image`: uint8 (H, W, 3). What is lost is lost: the result depends on nothing but the means of `BLUR_SIDE` blocks along
    the longer side and as many of the same size as fit along the other.
    """
    import cv2

    height, width = image.shape[:2]
    scale = BLUR_SIDE / max(height, width)
    blocks = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(cv2.resize(image, blocks, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC)


def choose_samples(keys: Sequence[str], count: int, seed: int, name: str) -> list[str]:
    """Return `count` of `keys`, or all where there are fewer, drawn under `seed` for `name`; sorted, whatever their order."""
    ordered = sorted(keys)
    chosen = generator(seed, "figures", name).choice(len(ordered), min(count, len(ordered)), replace=False)
    return [ordered[i] for i in sorted(chosen)]


def describe_mosaics(tables: Sequence[Path]) -> dict[str, str]:
    """Return, per sample, the parameters of its mosaics. `tables`: `tables.Mosaics`."""
    from tessera.tables import Mosaics, read_tables

    texts: dict[str, list[str]] = {}
    for row in read_tables(list(tables), Mosaics).sort("key", "number").iter_rows(named=True):
        edge = f", feather {row['feather']}" if row["feather"] else ""
        grown = f", grown by {row['dilation']}" if row["dilation"] else ""
        cut = ", cut blocks" if row["incomplete"] else ""
        text = f"{row['version']} {row['type']} {row['block_width']} x {row['block_height']}{edge}{grown}{cut}"
        texts.setdefault(row["key"], []).append(text)
    return {key: "\n".join(lines) for key, lines in texts.items()}


def describe_marks(tables: Sequence[Path]) -> dict[str, str]:
    """Return, per sample, the parameters of the watermarks drawn on it. `tables`: `tables.Marks`."""
    from tessera.tables import Marks, read_tables

    texts: dict[str, list[str]] = {}
    for row in read_tables(list(tables), Marks).sort("key", "number").iter_rows(named=True):
        tiled = ", tiled" if row["tiled"] else ""
        text = f"{row['kind']} {row['size']} px, opacity {row['opacity']:.2f}, {row['angle']:.0f}°{tiled}"
        texts.setdefault(row["key"], []).append(text)
    return {key: "\n".join(lines) for key, lines in texts.items()}


def draw_samples(
    folder: Path,
    selected: Path,
    regions: Path,
    splits: Path,
    split: str,
    captions: Mapping[str, str],
    settings: ReportSettings,
    seed: int,
    path: Path,
) -> None:
    """Draw some samples of `split` with the outlines of their regions as a JPEG, blurred unless `settings` say otherwise.

    `folder` holds the images as `SPLIT/KEY.SUFFIX`. `selected`, `regions`, `splits`: `tables.Images`, `tables.Annotations`
    and `tables.Splits` of the dataset. `captions`: by key, what is written below the name of a sample.
    """
    samples = _read_samples(folder, selected, regions, splits, split, settings.samples, seed)
    tiles = [_tile(sample, settings.blur)._replace(caption=captions.get(sample.name, "")) for sample in samples]
    labels = sorted({label for tile in tiles for label, _ in tile.regions})
    colours = dict(zip(labels, (ORANGE, SKY, PURPLE, GREEN) * len(labels), strict=False))
    _draw_tiles(tiles, colours, f"no sample is in the split {split!r}", path)


def draw_predictions(
    folder: Path,
    selected: Path,
    regions: Path,
    splits: Path,
    predict: Callable[[Iterable[np.ndarray]], Iterable[Sequence[Prediction]]],
    settings: ReportSettings,
    seed: int,
    path: Path,
) -> None:
    """Draw the samples that `draw_samples` draws of `val` with what is labelled and what a detector sees, as a JPEG.

    `predict` gives what the detector sees in each of some images, RGB uint8 (H, W, 3), in their order. A prediction without
    a mask is drawn as its box. The rest is as in `draw_samples`.
    """
    samples = list(_read_samples(folder, selected, regions, splits, "val", settings.samples, seed))
    tiles = []
    for sample, predictions in zip(samples, predict(sample.image for sample in samples), strict=True):
        size = sample.image.shape[:2]
        labelled = [("labelled", mask) for _, mask in sample.regions]
        predicted = [("predicted", _box_mask(one.box, *size) if one.mask is None else one.mask) for one in predictions]
        tiles.append(_tile(Picture(sample.name, sample.image, labelled + predicted), settings.blur))
    _draw_tiles(tiles, {"labelled": SKY, "predicted": ORANGE}, "no sample is in the split 'val'", path)


def draw_clips(
    folder: Path, splits: Path, split: str, captions: Mapping[str, str], settings: ReportSettings, seed: int, path: Path
) -> None:
    """Draw some clips of `split` as a JPEG: a row of pictures each, from the first to the last, with the outlines of the masks.

    `folder` holds the clips of the split, as `tessera.clips.dataset` lays them out. The rest is as in `draw_samples`.
    """
    tiles = []
    for key in _choose(splits, split, settings.samples, seed):
        pictures = _read_clip(folder, key, _a_row)
        row = [_tile(picture, settings.blur) for picture in pictures]
        # A clip of fewer frames leaves the rest of its row empty.
        row += [Picture("", np.full((1, 1, 3), 255, np.uint8), [])] * (TILE_COLUMNS - len(row))
        tiles += [row[0]._replace(name=key, caption=captions.get(key, "")), *row[1:]]
    _draw_tiles(tiles, {"region": ORANGE}, f"no clip is in the split {split!r}", path)


def show_clips(
    folder: Path, splits: Path, split: str, captions: Mapping[str, str], settings: ReportSettings, seed: int, path: Path
) -> None:
    """Write an HTML page on which the clips that `draw_clips` draws move: the first seconds of each, as animated WebP."""
    import cv2
    from PIL import Image

    parts = []
    colour = tuple(int(ORANGE[place : place + 2], 16) for place in (1, 3, 5))
    for key in _choose(splits, split, settings.samples, seed):
        pictures = []
        for picture in _read_clip(folder, key, _in_motion):
            tile = _tile(picture, settings.blur, PREVIEW_SIDE)
            image = np.ascontiguousarray(tile.image)
            for _, mask in tile.regions:
                outlines, _ = cv2.findContours((mask > 127).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(image, outlines, -1, colour, 1)
            pictures.append(Image.fromarray(image))
        file = io.BytesIO()
        pictures[0].save(
            file, "WEBP", save_all=True, append_images=pictures[1:], duration=1000 // PREVIEW_RATE, loop=0, quality=70
        )
        data = base64.b64encode(file.getvalue()).decode("ascii")
        text = "<br>".join(map(html.escape, [unquote(key), *captions.get(key, "").splitlines()]))
        parts.append(f'<figure><img alt="" src="data:image/webp;base64,{data}"><figcaption>{text}</figcaption></figure>')
    body = f'<div class="clips">{"".join(parts)}</div>' if parts else f"<p>No clip is in the split {html.escape(split)}.</p>"
    _write_page(path, f"Clips of the split {split}", body)


def describe_clips(clips: Path) -> dict[str, str]:
    """Return, per clip, what is said of it in a figure. `clips`: `tables.Clips`."""
    from tessera.tables import Clips, read_table

    return {
        row["key"]: f"{row['frames']} frames, {row['frames'] / row['rate']:.1f} s, {row['width']} x {row['height']}"
        for row in read_table(clips, Clips).iter_rows(named=True)
    }


def make_report(snakefile: str, config: dict[str, Any], files: Sequence[Path], path: Path) -> None:
    """Write Snakemake's HTML report of `files`, finished outputs of the workflow `snakefile` under `config`.

    Snakemake is run once more, in the same folder, while the workflow runs: it reads and changes nothing.
    Raises `TesseraError` where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        # All of the configuration, so that it does not matter which files and options of the command line it came from.
        configuration = Path(folder) / "config.json"
        configuration.write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--configfile", str(configuration), "--nolock"]
        command += ["--profile", "none", "--workflow-profile", "none", "--report", str(path), "--", *map(str, files)]
        ran = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="backslashreplace")
        print(ran.stderr, file=sys.stderr)
        if ran.returncode != 0:
            *_, reason = ["no reason given", *filter(str.strip, ran.stderr.splitlines())]
            raise TesseraError(f"Snakemake could not make the report: {reason}")


def _choose(splits: Path, split: str, count: int, seed: int) -> list[str]:
    """Return the keys of `count` samples of `split`, drawn under `seed`. `splits`: `tables.Splits`."""
    from tessera.tables import Splits, read_table

    return choose_samples(read_table(splits, Splits).filter(split=split)["key"].to_list(), count, seed, split)


def _a_row(time: np.ndarray) -> np.ndarray:
    """Return which of the frames at `time`, seconds, fill a row of a contact sheet: from the first to the last."""
    return np.linspace(0, len(time) - 1, min(len(time), TILE_COLUMNS)).round().astype(int)


def _in_motion(time: np.ndarray) -> np.ndarray:
    """Return which of the frames at `time`, seconds, an animated preview shows, at an even pace."""
    return np.unique(np.searchsorted(time, np.arange(0, min(float(time[-1]), PREVIEW_SECONDS) + 1e-6, 1 / PREVIEW_RATE)))


def _read_clip(folder: Path, key: str, choose: Callable[[np.ndarray], np.ndarray]) -> Iterator[Picture]:
    """Yield those frames of a clip with their masks that `choose` names by their place, given the time of all, in seconds."""
    from tessera.media.video import read_frames, read_packets

    video, masks = folder / "crop_unscaled_img" / f"{key}.mp4", folder / "crop_unscaled_mask" / f"{key}.mkv"
    try:
        packets, mask_packets = read_packets(video), read_packets(masks)
        wanted = choose(packets.time).tolist()
        for frame, mask in zip(read_frames(video, packets, wanted), read_frames(masks, mask_packets, wanted), strict=True):
            yield Picture(key, frame.image(), [("region", np.ascontiguousarray(mask.image()[..., 0]))])
    except Failed as error:
        raise TesseraError(f"{video}: {error}; delete the folder {folder.parent} and run again") from error


def _read_samples(
    folder: Path, selected: Path, regions: Path, splits: Path, split: str, count: int, seed: int
) -> Iterator[Picture]:
    """Yield `count` samples of `split`, drawn under `seed`, with their labelled regions."""
    import polars as pl

    from tessera.media.images import read_image
    from tessera.tables import Annotations, Images, read_table

    keys = _choose(splits, split, count, seed)
    files = {file.stem: file for file in (Path(folder) / split).iterdir()} if keys else {}
    sizes = {key: size for key, *size in read_table(selected, Images).select("key", "height", "width").iter_rows()}
    shapes = read_table(regions, Annotations).filter(pl.col("key").is_in(keys))
    for key in keys:
        try:
            image = read_image(files[key])
        except Failed as error:
            raise TesseraError(f"{files[key]}: {error}; delete the folder {folder} and run again") from error
        yield Picture(
            key, image, [(row["label"], _mask(row, *sizes[key])) for row in shapes.filter(key=key).iter_rows(named=True)]
        )


def _mask(row: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Return the mask, uint8 (height, width), of a row of `tables.Annotations`; of its box where it has nothing else."""
    from tessera.geometry import Part, decode_rle, rasterize

    if row["rle"] is not None:
        return decode_rle(row["rle"], height, width)
    if row["polygons"] is None:
        return _box_mask((row["x0"], row["y0"], row["x1"], row["y1"]), height, width)
    parts = [[np.asarray(ring, dtype=np.float64).reshape(-1, 2) for ring in rings] for rings in row["polygons"]]
    return rasterize([Part(outer, tuple(holes)) for outer, *holes in parts], height, width)


def _box_mask(box: Box, height: int, width: int) -> np.ndarray:
    from tessera.geometry import Part, rasterize, rectangle

    return rasterize([Part(rectangle(box))], height, width)


def _tile(picture: Picture, blurred: bool, side: int = TILE_SIDE) -> Picture:
    """Return `picture` scaled down until its longer side has `side` pixels, its regions with it."""
    from tessera.media.images import shrink

    image = shrink(picture.image, side)
    regions = [(label, shrink(mask, side)) for label, mask in picture.regions]
    return Picture(picture.name, blur(image) if blurred else image, regions)


def _draw_tiles(tiles: Sequence[Picture], colours: dict[str, str], nothing: str, path: Path) -> None:
    """Draw `tiles` in rows as a JPEG, with the outlines of their regions in `colours` by label.

    `nothing` is written where there is no tile.
    """
    from matplotlib.patheffects import Normal, Stroke

    lines = max(1, math.ceil(len(tiles) / TILE_COLUMNS))
    with _figure(path, 3.1 * TILE_COLUMNS, 2.6 * lines + 0.3) as figure:
        places = list(figure.subplots(lines, TILE_COLUMNS, squeeze=False).flat)
        for axes in places:
            axes.set_axis_off()
        if not tiles:
            figure.text(0.5, 0.5, nothing, ha="center")
        for axes, tile in zip(places, tiles, strict=False):
            axes.imshow(tile.image)
            for label, mask in tile.regions:
                # A rim of nothing closes the outlines of what touches the border.
                mask = np.pad(mask, 1)
                if mask.max() > 127:
                    x, y = np.arange(mask.shape[1]) - 1, np.arange(mask.shape[0]) - 1
                    outline = axes.contour(x, y, mask, [127], colors=colours[label], linewidths=1.6)
                    outline.set_path_effects([Stroke(linewidth=3.4, foreground="white"), Normal()])
            title = [_shorten(line, 44) for line in (unquote(tile.name), *tile.caption.split("\n")[:CAPTION_LINES]) if line]
            axes.set_title("\n".join(title), fontsize=7, fontweight="normal")
            if tile.name and not tile.regions:
                axes.text(0.5, -0.02, "no region", fontsize=7, color=QUIET, ha="center", va="top", transform=axes.transAxes)
        if tiles and colours:
            _legend(figure, colours)


def _benchmarks(folder: Path, rule: str, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return what was measured of each job of `rule`; of those in `names` only, where they are given."""
    single = Path(folder) / f"{rule}.jsonl"
    files = [single] if single.exists() else sorted((Path(folder) / rule).rglob("*.jsonl"))
    files = [file for file in files if names is None or file.stem in names]
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@contextmanager
def _figure(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of `width` by `height` inches, and write it to `path` in the format that its suffix names."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        yield figure
        suffix = Path(path).suffix
        # Neither the date nor the version of the library is part of the picture.
        metadata = {"Date": None, "Creator": None} if suffix == ".svg" else None
        figure.savefig(path, dpi=100, metadata=metadata, facecolor="white")


def _draw_bars(axes: "Axes", bars: Sequence[Bar], room: float) -> None:
    """Draw horizontal `bars`, the first on top; the longest leaves `room`, a multiple of its length, for the text beside it."""
    longest = max(sum(length for length, _ in bar.parts) for bar in bars)
    for place, bar in enumerate(bars):
        end = 0.0
        for length, colour in bar.parts:
            axes.barh(place, length, left=end, height=0.6, color=colour)
            end += length
        axes.annotate(bar.text, (end, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    # Every bar has its number beside it: a scale would say nothing more.
    axes.set_xlim(0, longest * room or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _legend(figure: "Figure", colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 8), fontsize=9)


def _shorten(text: str, length: int) -> str:
    """Return `text` in one line of at most `length` characters; what is too long loses its middle."""
    text = " ".join(text.split())
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _records(value: dict[str, Any], place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the values that are directly in a JSON object and in each object inside it, with the place of the object."""
    values = {name: inner for name, inner in value.items() if not isinstance(inner, dict)}
    if values:
        yield place, values
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _records(inner, f"{place} · {name}" if place else name)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e6e6e6; }}
td {{ overflow-wrap: anywhere; white-space: pre-wrap; }}
img {{ max-width: 100%; }}
.clips {{ display: flex; flex-wrap: wrap; gap: 1rem; }}
figure {{ margin: 0; width: 14rem; font-size: 12px; overflow-wrap: anywhere; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
code, pre {{ font-size: 13px; background: #f5f5f5; overflow-x: auto; }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table; cells are text, whatever they hold."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in header) + "</tr>"]
    for row in rows:
        cells = [
            f'<td class="number">{cell:,}</td>' if isinstance(cell, int) else f"<td>{html.escape(cell)}</td>" for cell in row
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _write_page(path: Path, title: str, body: str, heading: bool = True) -> None:
    if heading:
        body = f"<h1>{html.escape(title)}</h1>\n{body}"
    Path(path).write_text(PAGE.format(title=html.escape(title), body=body), encoding="utf-8")
