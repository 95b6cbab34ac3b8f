"""Evaluate a restoration model on clips that it was not trained on, and compare it with baselines that need no model."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.core.job import ahead, progress
from tessera.core.ledger import Ledger, read_ledger, summarise
from tessera.core.messages import counted
from tessera.core.seeds import generator as random_generator
from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image
from tessera.pipeline.restoration.metrics import Distance, bicubic, bin_of, bins, mean_of, measure, temporal_median
from tessera.pipeline.restoration.samples import Sample, fixed_sample
from tessera.pipeline.restoration.settings import DataSettings, GeneratorSettings, MetricsSettings
from tessera.records.lada.clips import Clip, read_clips

if TYPE_CHECKING:
    import torch

    # Takes and returns float32 (N, T, C, H, W), RGB, from 0 to 1.
    Generator = Callable[[torch.Tensor], torch.Tensor]

GAP = 4  # pixels between the pictures of a triptych
LEAST = 32  # pixels, shortest side of the input of AlexNet
QUALITY = 16  # constant rate factor of x264 for the example videos


class Measured(NamedTuple):
    """The metrics of a sample, by method and area, and the side of its blocks in pixels."""

    block: float
    values: dict[str, dict[str, dict[str, float]]]


def evaluate_restoration(
    folders: Mapping[str, Path],
    checkpoint: Path,
    metrics: Path,
    ledger: Path,
    pictures: Path,
    *,
    generator: GeneratorSettings,
    data: DataSettings,
    settings: MetricsSettings,
    lpips: Path | None,
    seed: int,
    threads: int,
) -> None:
    """Evaluate the generator in `checkpoint`, on the GPU if there is one; see `evaluate`.

    `lpips`: the file of the declared weights of AlexNet; if it is None, LPIPS is left out.
    """
    import torch

    from tessera.pipeline.restoration.models import load_generator

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    evaluate(
        folders,
        load_generator(checkpoint, generator).to(device),
        metrics,
        ledger,
        pictures,
        data=data,
        settings=settings,
        distance=perceptual_distance(lpips, device) if lpips else None,
        device=device,
        seed=seed,
        threads=threads,
    )


def evaluate(
    folders: Mapping[str, Path],
    generator: "Generator",
    metrics: Path,
    ledger: Path,
    pictures: Path,
    *,
    data: DataSettings,
    settings: MetricsSettings,
    distance: Distance | None = None,
    device: "torch.device | str" = "cpu",
    seed: int,
    threads: int,
) -> None:
    """Evaluate `generator` on the fixed sample of each clip in `folders`, by split, with the metrics of the module `metrics`.

    `metrics`: JSON with, for each split, a summary of the `ledger`, and the means over all samples and over the samples in each
    bin of block sizes, of four methods: `mosaicked`, the input; `bicubic` and `temporal_median`, the baselines; and
    `restored`, the output of the generator. `ledger`: has one row per clip, with the key SPLIT/KEY. `pictures`: folder that
    gets, for some samples, a video and a frame with mosaicked, restored and clean side by side, and the mask of the frame;
    pictures.json lists them.
    Raises `TesseraError` if there are clips but none could be measured, if the output of the generator is not finite, or if
    the GPU is out of memory.
    """
    measured: dict[str, list[Measured]] = {}
    shown: list[dict[str, Any]] = []
    with Ledger(ledger) as book, ThreadPoolExecutor(threads) as pool:
        for split, folder in folders.items():
            clips, measured[split] = _shuffled(read_clips(folder), split, seed), []
            (pictures / split).mkdir(parents=True)
            draw = partial(fixed_sample, settings=data, frames=settings.frames, seed=seed)
            for clip, drawn in progress(ahead(pool, draw, clips, threads), len(clips), f"samples of {split}"):
                with book.item(f"{split}/{clip.key}"):
                    sample = drawn.result()
                    made = {**baselines(sample, settings), "restored": restore(generator, sample.mosaicked, device)}
                    values = pool.map(partial(_measure, sample=sample, distance=distance), made.values())
                    found = Measured(sample.block, dict(zip(made, values, strict=True)))
                    if len(measured[split]) < settings.pictures:
                        name = f"{split}/{sample.block:05.1f}px-{file_name(clip.key)}"
                        _draw(sample, made["restored"], clip.rate, pictures, name)
                        psnr = {method: areas["region"]["psnr"] for method, areas in found.values.items()}
                        shown.append({"split": split, "key": clip.key, "name": name, "block": sample.block, "psnr": psnr})
                    measured[split].append(found)
    rows = read_ledger(ledger)
    if rows and not any(measured.values()):
        first = rows[0]
        raise TesseraError(
            f"none of {counted(len(rows), 'clips')} could be measured; the first, {first['key']}:"
            f" {first['reason']} {first['detail']}"
        )
    splits = {
        split: {
            "samples": summarise([row for row in rows if row["key"].startswith(f"{split}/")]),
            **_by_block(samples, settings.block_edges),
        }
        for split, samples in measured.items()
    }
    _write(metrics, {"frames": settings.frames, "splits": splits})
    _write(pictures / "pictures.json", sorted(shown, key=lambda row: str(row["name"])))


def restore(
    generator: "Generator",
    clip: np.ndarray,
    device: "torch.device | str" = "cpu",
    fix: str = "lower `restoration.metrics.frames`",
) -> np.ndarray:
    """Return `clip`, uint8 (T, H, W, 3), RGB, restored by `generator`, with the same shape and dtype. Values are clipped.

    Raises `TesseraError` if the output is not finite, or if the GPU is out of memory, for which it advises `fix`.
    """
    import torch

    with torch.inference_mode():
        frames = torch.from_numpy(clip).to(device).permute(0, 3, 1, 2)[None].float() / 255
        try:
            restored = generator(frames)[0]
        except torch.OutOfMemoryError:
            raise TesseraError(
                f"the GPU is out of memory with {counted(len(clip), 'frames')} of {clip.shape[2]} by {clip.shape[1]} pixels;"
                f" {fix}"
            ) from None
        if not restored.isfinite().all():
            raise TesseraError(
                "the output of the model is not finite (NaN or infinite): train it again with a lower learning rate"
            )
        levels = (restored * 255).round().clamp(0, 255).byte()
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())


def baselines(sample: Sample, settings: MetricsSettings) -> dict[str, np.ndarray]:
    """Return the results without a model, by name: the mosaicked clip itself, and the output of simple methods."""
    return {
        "mosaicked": sample.mosaicked,
        "bicubic": bicubic(sample.mosaicked, sample.mask, sample.content, sample.block),
        "temporal_median": temporal_median(sample.mosaicked, sample.mask, settings.median_frames),
    }


def perceptual_distance(weights: Path, device: "torch.device | str" = "cpu") -> Distance:
    """Return a function for the distance LPIPS 0.1 with AlexNet, at each pixel of two images.

    Zhang, Isola, Efros, Shechtman and Wang, The unreasonable effectiveness of deep features as a perceptual metric (2018).
    `weights`: the state of AlexNet as published by torchvision; the linear layers are part of the package lpips.
    Raises `TesseraError` if `weights` are of another model.
    """
    import lpips
    import torch

    # Without its pretrained weights, which it would download.
    model = lpips.LPIPS(net="alex", pnet_rand=True, spatial=True, verbose=False)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        for name, parameter in model.net.named_parameters():
            with torch.no_grad():
                # `slice2.3.weight` in lpips is `features.3.weight` in AlexNet.
                parameter.copy_(state[f"features.{name.partition('.')[2]}"])
    except Exception as error:  # files from others raise exceptions of many types
        raise TesseraError(
            f"{weights}: not the weights of AlexNet ({error}); declare those published by torchvision in"
            " `restoration.metrics.lpips`"
        ) from error
    model = model.to(device).requires_grad_(False)

    def distance(image: np.ndarray, clean: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        # AlexNet needs at least `LEAST` pixels per side; smaller images are extended by mirroring.
        pads = (0, max(0, LEAST - height)), (0, max(0, LEAST - width)), (0, 0)
        pair = torch.from_numpy(np.stack([np.pad(each, pads, "symmetric") for each in (image, clean)]))
        with torch.inference_mode():
            levels = pair.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            values: np.ndarray = model(levels[:1], levels[1:])[0, 0].double().cpu().numpy()
        return values[:height, :width]

    return distance


def _measure(clip: np.ndarray, sample: Sample, distance: Distance | None) -> dict[str, dict[str, float]]:
    return measure(clip, sample.clean, sample.mask, sample.content, distance)


def _shuffled(clips: Sequence[Clip], split: str, seed: int) -> list[Clip]:
    """Return `clips` in random order, so that the example pictures, which are of the first clips, are a random choice."""
    return [clips[place] for place in random_generator(seed, "restoration pictures", split).permutation(len(clips))]


def _draw(sample: Sample, restored: np.ndarray, rate: float, folder: Path, name: str) -> None:
    """Write the triptych NAME.mp4, its frame with the largest mosaic as NAME.png, and the mask of that as NAME.mask.png."""
    gap = np.full((*sample.clean.shape[:2], GAP, 3), 255, np.uint8)
    triptych = np.concatenate([sample.mosaicked, gap, restored, gap, sample.clean], axis=2)
    place = int(sample.mask.sum(axis=(1, 2)).argmax())
    write_video(folder / f"{name}.mp4", triptych, rate, quality=QUALITY)
    write_image(folder / f"{name}.png", triptych[place])
    write_image(folder / f"{name}.mask.png", sample.mask[place])


def _by_block(samples: Sequence[Measured], edges: Sequence[float]) -> dict[str, Any]:
    """Return the means over all `samples`, and over the samples in each bin of block sizes."""
    of_bin: dict[str, list[Measured]] = {name: [] for name in bins(edges)}
    for sample in samples:
        of_bin[bin_of(sample.block, edges)].append(sample)
    return {"all": _means(samples), "blocks": {name: _means(each) for name, each in of_bin.items()}}


def _means(samples: Sequence[Measured]) -> dict[str, Any]:
    """Return the number of `samples` and, if there are any, the mean metrics of each method."""
    if not samples:
        return {"samples": 0}
    areas = {
        area: {
            method: {
                name: round(value, 6) for name, value in mean_of([sample.values[method][area] for sample in samples]).items()
            }
            for method in samples[0].values
        }
        for area in ("region", "frame")
    }
    return {"samples": len(samples), **areas}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
