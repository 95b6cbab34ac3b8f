"""Evaluate a restoration model on clips that it was not trained on, and compare it with baselines that need no model."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.core.ledger import Ledger, read_ledger, summarise
from tessera.core.messages import pluralize
from tessera.core.pool import ahead
from tessera.core.progress import progress
from tessera.core.seeds import generator as random_generator
from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image
from tessera.learning.block_network import BlockNetwork, read_network
from tessera.learning.weights.purpose import check_purpose
from tessera.records.lada.clips import Clip, read_clips
from tessera.stages.restoration.blocks import restore_mosaic
from tessera.stages.restoration.consistency import Motion, flicker, motion_of, seam, warping_error
from tessera.stages.restoration.metrics import Distance, Values, bicubic, measure, temporal_median
from tessera.stages.restoration.samples import Sample, fixed_sample
from tessera.stages.restoration.settings import CLEAN, RESTORED, DataSettings, GeneratorSettings, MetricsSettings
from tessera.stages.restoration.summary import Measured, gain, region_psnr, summarise_samples, tabulate_frames

if TYPE_CHECKING:
    import torch

    from tessera.stages.restoration.models import Generator as Network

    # Takes and returns float32 (N, T, C, H, W), RGB, from 0 to 1.
    Generator = Callable[[torch.Tensor], torch.Tensor]

GAP = 4  # pixels between the pictures of a triptych
PROBE = 2, 64, 64, 3  # frames, height, width and channels of what a model restores before it is compared
LEAST = 32  # pixels, shortest side of the input of AlexNet
QUALITY = 16  # constant rate factor of x264 for the example videos
SUFFIXES = (".mp4", ".png", ".mask.png")
WORST, WORST_SAMPLES = "worst", 10  # the folder of the samples with the smallest gain, and how many there are


class Prepared(NamedTuple):
    """A sample, what methods without a model make of it, and its true motion."""

    sample: Sample
    baselines: dict[str, np.ndarray]
    motion: Motion


def check_restorers(compared: Mapping[str, Path], report: Path) -> None:
    """Check that each of the `compared` models can be measured, so that none ends an evaluation. They restore random pictures.

    `compared`: by name, the file of a generator or of a block network. `report`: JSON with the number of parameters of each.
    Raises `TesseraError` that names the model whose file has neither, or another architecture, or whose output is not finite.
    """
    probe = np.random.default_rng(0).integers(0, 256, PROBE, np.uint8)
    counts = {}
    for name, path in compared.items():
        model = _load(name, path)
        with _naming(name):
            _restore(model, probe, np.full(probe.shape[:3], 255, np.uint8))
        counts[name] = _parameters(model)
    _write(report, counts)


def evaluate_restoration(
    folders: Mapping[str, Path],
    checkpoint: Path,
    compared: Mapping[str, Path],
    metrics: Path,
    frames: Path,
    ledger: Path,
    pictures: Path,
    speed: Path,
    *,
    generator: GeneratorSettings,
    data: DataSettings,
    settings: MetricsSettings,
    sources: Mapping[str, str],
    lpips: Path | None,
    seed: int,
    threads: int,
) -> None:
    """Evaluate the generator in `checkpoint` and the `compared` ones, on the GPU if there is one; see `evaluate`.

    `compared`: by name, weights of generators of any size, or of block networks. `lpips`: the file of the declared weights of
    AlexNet; if it is None, LPIPS is left out. Raises `TesseraError` that names the compared model whose file has neither, or
    another architecture.
    """
    import torch

    from tessera.stages.restoration.models import load_generator

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    models = {RESTORED: load_generator(checkpoint, generator), **{name: _load(name, path) for name, path in compared.items()}}
    evaluate(
        folders,
        {name: model if isinstance(model, BlockNetwork) else model.to(device) for name, model in models.items()},
        metrics,
        frames,
        ledger,
        pictures,
        speed,
        data=data,
        settings=settings,
        sources=sources,
        parameters={name: _parameters(model) for name, model in models.items()},
        distance=perceptual_distance(lpips, device) if lpips else None,
        device=device,
        seed=seed,
        threads=threads,
    )


def evaluate(
    folders: Mapping[str, Path],
    generators: "Mapping[str, Generator | BlockNetwork]",
    metrics: Path,
    frames: Path,
    ledger: Path,
    pictures: Path,
    speed: Path,
    *,
    data: DataSettings,
    settings: MetricsSettings,
    sources: Mapping[str, str],
    parameters: Mapping[str, int] | None = None,
    distance: Distance | None = None,
    device: "torch.device | str" = "cpu",
    seed: int,
    threads: int,
) -> None:
    """Evaluate `generators` on the fixed sample of each clip in `folders`, by split.

    `generators`: by name, and block networks; `restored` is the one that was trained. All of them get the same samples, each of
    which is made once. The metrics are those of the modules `metrics` and `consistency`. `sources`: the source of each clip, by
    its key.
    `parameters`: the number of parameters of each generator.

    `metrics`: JSON with, for each split, a summary of the `ledger` and those of the module `summary`, of these methods:
    `mosaicked`, the input; `bicubic` and `temporal_median`, the baselines; and the generators. The consistency of the `clean`
    clips is there, too. `frames`: the table `RestoredFrames`. `ledger`: has one row per clip,
    with the key SPLIT/KEY. `pictures`: folder that gets, for a random choice of samples of each split, and for those with the
    smallest gain, a video and a frame with mosaicked, restored and clean side by side, and the mask of the frame; pictures.json
    lists them. `speed`: JSON with the milliseconds per frame of each generator in each split, the median over
    samples, because the first call takes longer; they differ from run to run.

    Raises `TesseraError` if there are clips but none could be measured, if the output of a generator is not finite, or if
    the GPU is out of memory.
    """
    measured: dict[str, list[Measured]] = {}
    shown: list[dict[str, Any]] = []
    worst: list[dict[str, Any]] = []
    seconds: dict[str, dict[str, list[float]]] = {split: {name: [] for name in generators} for split in folders}
    (pictures / WORST).mkdir(parents=True)
    with Ledger(ledger) as writer, ThreadPoolExecutor(threads) as pool:
        for split, folder in folders.items():
            clips, measured[split] = _shuffled(read_clips(folder), split, seed), []
            (pictures / split).mkdir()
            draw = partial(_prepare, data=data, settings=settings, seed=seed)
            for clip, drawn in progress(ahead(pool, draw, clips, threads), len(clips), f"samples of {split}"):
                with writer.item(f"{split}/{clip.key}"):
                    sample, made, motion = drawn.result()
                    for name, generator in generators.items():
                        start = time.monotonic()
                        with _naming(name):
                            made[name] = _restore(generator, sample.mosaicked, sample.mask, device)
                        seconds[split][name].append(time.monotonic() - start)
                    values = _measure(made, sample, motion, distance, pool)
                    result = Measured(
                        split, clip.key, sources[clip.key], sample.block, sample.degradations, motion.length, values
                    )
                    picture = {"split": split, "key": clip.key, "block": sample.block, "psnr": region_psnr(result)}
                    if len(measured[split]) < settings.pictures:
                        name = f"{split}/{sample.block:05.1f}px-{file_name(clip.key)}"
                        _draw(sample, made[RESTORED], clip.rate, pictures, name)
                        shown.append({"sheet": split, "name": name, **picture})
                    if settings.pictures and (len(worst) < WORST_SAMPLES or gain(result) < worst[-1]["gain"]):
                        name = f"{WORST}/{split}-{file_name(clip.key)}"
                        _draw(sample, made[RESTORED], clip.rate, pictures, name)
                        worst.append({"sheet": WORST, "name": name, **picture, "gain": gain(result)})
                        worst.sort(key=lambda row: (row["gain"], row["name"]))
                        _remove(worst[WORST_SAMPLES:], pictures)
                        del worst[WORST_SAMPLES:]
                    measured[split].append(result)
    ledger_rows = read_ledger(ledger)
    if ledger_rows and not any(measured.values()):
        first = ledger_rows[0]
        raise TesseraError(
            f"none of {pluralize(len(ledger_rows), 'clips')} could be measured; the first, {first['key']}:"
            f" {first['reason']} {first['detail']}"
        )
    # A file of their own, so that the metrics are the same in each run.
    milliseconds = {
        split: {name: round(1000 * median(each) / settings.frames, 3) for name, each in seconds[split].items()}
        for split, samples in measured.items()
        if samples
    }
    _write(speed, {"pixels": data.size, "device": str(device), "milliseconds": milliseconds})
    splits = {
        split: {
            "samples": summarise([row for row in ledger_rows if row["key"].startswith(f"{split}/")]),
            **summarise_samples(samples, settings, seed),
        }
        for split, samples in measured.items()
    }
    models = {name: {"parameters": count} for name, count in (parameters or {}).items()}
    tabulate_frames([each for samples in measured.values() for each in samples], frames)
    _write(metrics, {"frames": settings.frames, "models": models, "splits": splits})
    _write(pictures / "pictures.json", [*sorted(shown, key=lambda row: str(row["name"])), *worst])


def _restore(
    model: "Generator | BlockNetwork", clip: np.ndarray, masks: np.ndarray, device: "torch.device | str" = "cpu"
) -> np.ndarray:
    """Return `clip` with its mosaic in `masks` restored. Only block networks need to know where it is."""
    return restore_mosaic(model, clip, masks) if isinstance(model, BlockNetwork) else restore(model, clip, device)


def restore(
    generator: "Generator",
    clip: np.ndarray,
    device: "torch.device | str" = "cpu",
    fix: str = "lower `restoration.metrics.frames`",
) -> np.ndarray:
    """Return `clip`, uint8 or uint16 (T, H, W, 3), RGB, restored by `generator`, with the same shape and dtype.

    Values are clipped to those of the dtype. Raises `TesseraError` if the output is not finite, or if the GPU is out of memory,
    for which it advises `fix`.
    """
    import torch

    with torch.inference_mode():
        # PyTorch has few functions for uint16.
        given, most = torch.from_numpy(clip if clip.dtype == np.uint8 else clip.astype(np.int32)), int(np.iinfo(clip.dtype).max)
        frames = given.to(device).permute(0, 3, 1, 2)[None].float().div_(most)
        try:
            restored = generator(frames)[0]
        except torch.OutOfMemoryError:
            raise TesseraError(
                f"the GPU is out of memory with {pluralize(len(clip), 'frames')} of {clip.shape[2]} by {clip.shape[1]} pixels;"
                f" {fix}"
            ) from None
        # NaN is the extreme of all values that include it. A test of each value takes four times as long.
        if not torch.stack(restored.aminmax()).isfinite().all():
            raise TesseraError(
                "the output of the model is not finite (NaN or infinite): use other weights, or train it again with a lower"
                " learning rate"
            )
        levels = (restored.float() * most).round_().clamp_(0, most).to(given.dtype)
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy(), clip.dtype)


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


def _load(name: str, path: Path) -> "Network | BlockNetwork":
    """Return the generator or the block network in `path`, the compared model `name`. Raises `TesseraError` that names it."""
    from tessera.stages.restoration.models import load_generator

    with _naming(name):
        check_purpose(path, "restoration model")
        return read_network(path) or load_generator(path)


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Name the compared model in errors of the block. The one that was trained needs no name."""
    try:
        yield
    except TesseraError as error:
        if name == RESTORED:
            raise
        raise TesseraError(f"{name!r} in `comparisons.mosaic_restoration`: {error}") from error


def _parameters(model: "Network | BlockNetwork") -> int:
    module = model.module if isinstance(model, BlockNetwork) else model
    return sum(each.numel() for each in module.parameters())


def _prepare(clip: Clip, data: DataSettings, settings: MetricsSettings, seed: int) -> Prepared:
    sample = fixed_sample(clip, settings=data, frames=settings.frames, seed=seed)
    return Prepared(sample, baselines(sample, settings), motion_of(sample.clean, sample.mask, sample.content))


def _measure(
    made: Mapping[str, np.ndarray], sample: Sample, motion: Motion, distance: Distance | None, pool: Executor
) -> dict[str, Values]:
    """Return the values of what each method `made` of `sample`, and the consistency of the clean clip."""
    values = measure(made, sample.clean, sample.mask, sample.content, distance, pool)
    consistent = pool.map(partial(_consistency, sample=sample, motion=motion), [*made.values(), sample.clean])
    for method, consistency in zip([*made, CLEAN], consistent, strict=True):
        values.setdefault(method, {})["consistency"] = consistency
    del values[CLEAN]["consistency"]["seam"]  # always 0
    return values


def _consistency(clip: np.ndarray, sample: Sample, motion: Motion) -> dict[str, np.ndarray]:
    return {
        "warping": warping_error(clip, motion),
        "flicker": flicker(clip, motion),
        # In clean surroundings. In those of a degraded input, most of the step would be the degradation outside.
        "seam": seam(clip, sample.clean, sample.clean, sample.mask, sample.content),
    }


def _shuffled(clips: Sequence[Clip], split: str, seed: int) -> list[Clip]:
    """Return `clips` in random order, so that the example pictures, which are of the first clips, are a random choice."""
    return [clips[index] for index in random_generator(seed, "restoration pictures", split).permutation(len(clips))]


def _draw(sample: Sample, restored: np.ndarray, rate: float, folder: Path, name: str) -> None:
    """Write the triptych NAME.mp4, its frame with the largest mosaic as NAME.png, and the mask of that as NAME.mask.png."""
    gap = np.full((*sample.clean.shape[:2], GAP, 3), 255, np.uint8)
    triptych = np.concatenate([sample.mosaicked, gap, restored, gap, sample.clean], axis=2)
    index = int(sample.mask.sum(axis=(1, 2)).argmax())
    video, picture, mask = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
    write_video(video, triptych, rate, quality=QUALITY)
    write_image(picture, triptych[index])
    write_image(mask, sample.mask[index])


def _remove(pictures: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Remove the files of `pictures`, which `_draw` wrote."""
    for row in pictures:
        for suffix in SUFFIXES:
            (folder / f"{row['name']}{suffix}").unlink()


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
