"""Run a detector on the sources of a shard."""

from tessera.core.job import job
from tessera.learning.detection.grids import GridSettings
from tessera.learning.weights.resolve import expected_digest
from tessera.stages.detectors.predict import Meant, PreviewDetectionSettings, predict_previews

with job(snakemake) as (inputs, outputs, params):
    settings = PreviewDetectionSettings(**params.settings)
    expected = expected_digest(params.weights, inputs.checksums)
    predict_previews(
        sources=inputs.sources,
        admission=inputs.admission,
        stills=inputs.stills,
        weights=inputs.weights,
        expected=expected,
        wanted=params.wanted,
        settings=settings,
        meant=Meant(**params.meant),
        mosaics=GridSettings(**params.mosaics) if params.mosaics else None,
        **vars(outputs),
    )
