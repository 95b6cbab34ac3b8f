"""Ask for the labels of the pictures from which a classifier learns most."""

from pathlib import Path

from tessera.core.job import job
from tessera.extras.active_learning.rounds import Answers, ask_round
from tessera.extras.active_learning.settings import AskSettings
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    ask_round(
        frames=inputs.frames,
        pictures=inputs.pictures,
        sources=inputs.sources,
        splits=inputs.splits,
        duplicates=inputs.duplicates,
        labels=[*inputs.labels, *([inputs.regions] if inputs.regions else [])],
        scores=inputs.scores,
        vectors=inputs.vectors,
        metrics=inputs.metrics or None,
        dataset=inputs.dataset or None,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        distance=params.distance,
        free=params.free,
        answers=Answers(**{**params.answers, "folder": Path(params.answers["folder"])}),
        settings=AskSettings(**params.settings),
        classes=params.classes,
        seed=params.seed,
        **vars(outputs),
    )
