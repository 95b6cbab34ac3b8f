"""Measure the clips of a shard."""

from functools import partial

from tessera.core.job import job
from tessera.imaging.detection.detector import Predictor
from tessera.imaging.detection.settings import TrainedFinderSettings
from tessera.pipeline.filters.scoring import score_clips

with job(snakemake) as (inputs, outputs, params):
    finders = {name: TrainedFinderSettings(**params.settings["detectors"][name]) for name in params.scorers}
    expected = {
        name: path.parent / "SHA256SUMS" if finder.weights == "trained" else finder.weights.sha256
        for (name, finder), path in zip(finders.items(), inputs.weights, strict=True)
    }
    score_clips(
        clips=inputs.clips,
        images=inputs.images,
        detectors={
            name: partial(Predictor, path, expected[name], finders[name])
            for name, path in zip(finders, inputs.weights, strict=True)
        },
        quality=inputs.quality or None,
        **vars(outputs),
        samples=params.settings["samples"],
        nsfw_classes=params.settings["nsfw_classes"],
        threads=snakemake.threads,
    )
