"""Draw validation samples with their labelled regions and the predictions of a detector."""

from tessera.core.job import job
from tessera.learning.detection.detector import Detector
from tessera.learning.detection.settings import InferenceSettings
from tessera.pages.report.samples import draw_predictions
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import choose_shown
from tessera.records.confidence import with_confidences

with job(snakemake) as (inputs, outputs, params):
    preview = with_confidences(settings=params.preview, part="preview", targets=params.targets, measured=inputs.measured)
    # The size of the training, rounded up as ultralytics does.
    size = -(-params.image_size // 32) * 32
    detector = InferenceSettings(confidence=preview["confidence"], image_size=size)
    shown = choose_shown(
        splits=inputs.splits,
        split="val",
        sources=inputs.sources,
        sets=params.sets,
        settings=ReportSettings(**params.settings),
        seed=params.seed,
        captions={},
        regions=inputs.regions,
    )
    draw_predictions(
        folder=inputs.images,
        selected=inputs.selected,
        regions=inputs.regions,
        predict=Detector(inputs.weights, inputs.checksums, detector).predict,
        shown=shown,
        path=outputs.figure,
    )
