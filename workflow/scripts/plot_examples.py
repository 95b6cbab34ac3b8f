"""Draw pictures that a classifier is right and wrong about, with heat maps."""

from tessera.core.job import job
from tessera.learning.classification.classifier import read_classifier
from tessera.pages.report.classifiers import draw_examples
from tessera.pages.report.settings import ReportSettings
from tessera.pages.report.tiles import find_clear

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
