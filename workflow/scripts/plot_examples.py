"""Draw pictures that a classifier is right and wrong about, with heat maps."""

from tessera.core.job import job
from tessera.imaging.classification.classifier import read_classifier
from tessera.pipeline.report.classifiers import draw_examples
from tessera.pipeline.report.settings import ReportSettings
from tessera.pipeline.report.tiles import find_clear

with job(snakemake) as (inputs, outputs, params):
    settings = ReportSettings(**params.settings)
    draw_examples(
        classifier=read_classifier(inputs.weights, inputs.checksums),
        predictions=inputs.predictions,
        images=inputs.images,
        clear=find_clear(splits=inputs.splits, sources=inputs.sources, sets=params.sets, settings=settings),
        count=settings.samples,
        path=outputs.figure,
    )
