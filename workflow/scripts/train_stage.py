"""Train a stage of the restoration model, from where a killed training was."""

from tessera.environments import run_inside
from tessera.job import job
from tessera.restoration.settings import (
    DataSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    StageSettings,
    TrainingSettings,
)

with job(snakemake) as (inputs, outputs, params):
    run_inside(
        inputs.environment,
        "tessera.restoration.training:train_stage",
        dataset=inputs.checksums.parent,
        checksums=inputs.checksums,
        best=outputs.best,
        curves=outputs.curves,
        run=outputs.best.parent / "run",
        stage=StageSettings(**params.stage),
        base=inputs.base or None,
        load_from=inputs.load_from or None,
        spynet=inputs.spynet or None,
        vgg19=inputs.vgg19 or None,
        data=DataSettings(**params.data),
        generator=GeneratorSettings(**params.generator),
        discriminator=DiscriminatorSettings(**params.discriminator),
        training=TrainingSettings(**params.training),
        seed=params.seed,
        threads=snakemake.threads,
        gpus=max(snakemake.resources.gpu, 1),
        code=params.trained_by,
    )
