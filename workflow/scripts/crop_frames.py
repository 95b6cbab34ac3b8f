"""Cut crops out of the sampled frames of a shard."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.crops.crop import crop_frames
from tessera.extras.crops.settings import CropSettings
from tessera.imaging.images import SUFFIX
from tessera.learning.weights.resolve import expected_digest

with job(snakemake) as (inputs, outputs, params):
    settings = CropSettings(**params.settings)
    files = iter(inputs.weights)
    weights = [next(files) if step.weights else None for step in settings.steps]
    declared = [step["weights"] for step in params.settings["steps"]]
    crop_frames(
        frames=inputs.frames,
        images=inputs.pictures,
        labels=inputs.labels,
        weights=weights,
        expected=[
            expected_digest(each, file.parent / "SHA256SUMS") if file else ""
            for each, file in zip(declared, weights, strict=True)
        ],
        settings=settings,
        suffix=SUFFIX[params.stored["format"]],
        quality=params.stored["quality"],
        cache=Path(snakemake.output.table).parent / "kept",
        code=params.crop_code,
        threads=snakemake.threads,
        **vars(outputs),
    )
