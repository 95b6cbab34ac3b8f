"""Detect regions in the frames of a shard, choose some, draw mosaics over them, and write the masks as labels."""

from functools import partial
from pathlib import Path

from tessera.core.job import job
from tessera.imaging.degradation.chain import degrade
from tessera.imaging.degradation.settings import DegradationSettings
from tessera.imaging.mosaic.settings import CLASSES, MosaicSettings
from tessera.learning.detection.settings import RegionDetectionSettings
from tessera.learning.weights.resolve import expected_digest
from tessera.records.confidence import with_confidences
from tessera.records.decisions import Decision
from tessera.stages.mosaics.choose import RegionSettings, choose_regions
from tessera.stages.mosaics.find import find_regions
from tessera.stages.mosaics.masks import import_masks
from tessera.stages.mosaics.samples import pixelate_frames

with job(snakemake) as (inputs, outputs, params):
    cache = Path(snakemake.output.regions).parent / "kept"
    detectors = {name: RegionDetectionSettings(**detector) for name, detector in params.detectors.items()}
    files = iter(inputs.weights)  # regions that are anywhere have none
    for (name, settings), table, ledger in zip(detectors.items(), outputs.seen, outputs.looked, strict=True):
        weights = None if settings.weights == "anywhere" else next(files)
        find_regions(
            frames=inputs.frames,
            images=inputs.pictures,
            sources=inputs.sources,
            weights=weights,
            expected=expected_digest(params.detectors[name]["weights"], weights.parent / "SHA256SUMS") if weights else "",
            datasets=params.datasets,
            settings=settings,
            cache=cache / name,
            code=params.detect_code,
            threads=snakemake.threads,
            seed=params.seed,
            table=table,
            ledger=ledger,
        )
    choose_regions(
        frames=inputs.frames,
        detectors=list(detectors),
        tables=outputs.seen,
        ledgers=outputs.looked,
        settings=RegionSettings(
            **with_confidences(settings=params.choose, part="regions.choose", targets=params.targets, measured=inputs.measured)
        ),
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        seed=params.seed,
        regions=outputs.regions,
        backgrounds=outputs.backgrounds,
        ledger=outputs.frame_ledger,
        detections=outputs.detection_ledger,
        matched=outputs.matched,
        anywhere="anywhere" in [settings.weights for settings in detectors.values()],
    )
    pixelate_frames(
        frames=inputs.frames,
        pictures=inputs.pictures,
        regions=outputs.regions,
        backgrounds=outputs.backgrounds,
        table=outputs.mosaics,
        images=outputs.pictures,
        masks=outputs.masks,
        ledger=outputs.ledger,
        mosaic_ledger=outputs.mosaic_ledger,
        settings=MosaicSettings(**params.settings),
        seed=params.seed,
        degrade=partial(degrade, chain=DegradationSettings(**params.degradations).detection),
        threads=snakemake.threads,
    )
    import_masks(
        masks=outputs.masks,
        pictures=outputs.pictures,
        final_folder=Path(snakemake.output.pictures),
        frames=inputs.frames,
        sources=inputs.sources,
        values=CLASSES,
        min_area=params.min_area,
        images=outputs.images,
        annotations=outputs.annotations,
        ledger=outputs.mask_ledger,
    )
