"""Train a stage of the restoration model, or resume its training after a kill."""

from tessera.core.job import job
from tessera.learning.trainings import Trainings
from tessera.records.tables.splits import trained_on
from tessera.stages.restoration.settings import StageTraining, StartingWeights
from tessera.stages.restoration.training import train_stage

with job(snakemake) as (inputs, outputs, params):
    train_stage(
        dataset=inputs.checksums.parent,
        best=outputs.best,
        curves=outputs.curves,
        record=outputs.record,
        # Not a param, because the number of trainings that are kept changes no output.
        trainings=Trainings(
            outputs.best.parent / "runs",
            sources=trained_on(inputs.splits),
            **snakemake.config["trainings"],
        ),
        settings=StageTraining(
            stage=params.stage,
            data=params.data,
            generator=params.generator,
            discriminator=params.discriminator,
            training=params.training,
        ),
        weights=StartingWeights(
            base=inputs.base or None,
            load_from=inputs.load_from or None,
            spynet=inputs.spynet or None,
            vgg19=inputs.vgg19 or None,
        ),
        seed=params.seed,
        threads=snakemake.threads,
        gpus=max(snakemake.resources.gpu, 1),
        code=params.train_code,
    )
