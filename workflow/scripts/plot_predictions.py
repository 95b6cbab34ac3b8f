"""Draw what a detector sees in validation samples, and what is labelled there."""

from tessera.core.job import job
from tessera.imaging.detection.detector import Detector
from tessera.imaging.detection.settings import InferenceSettings
from tessera.pipeline.report.samples import draw_predictions
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    # The size of the training, rounded up as ultralytics does.
    size = -(-params.image_size // 32) * 32
    detector = InferenceSettings(confidence=params.confidence, image_size=size)
    settings = ReportSettings(**params.settings)
    draw_predictions(
        folder=inputs.images,
        selected=inputs.selected,
        regions=inputs.regions,
        splits=inputs.splits,
        predict=Detector(inputs.weights, inputs.checksums, detector).predict,
        clear=find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings),
        settings=settings,
        seed=params.seed,
        path=outputs.figure,
    )
