"""Select the pictures of an image set."""

from tessera.core.job import job
from tessera.extras.image_sets.select import select_set
from tessera.extras.image_sets.settings import SelectionSettings
from tessera.records.decisions import Decision

with job(snakemake) as (inputs, outputs, params):
    select_set(
        frames=inputs.frames,
        crops=inputs.crops,
        identities=inputs.identities,
        tags=inputs.tags,
        # The tables of each classifier, one after another.
        scored={
            name: inputs.scores[number :: len(params.settings["scores"])]
            for number, name in enumerate(params.settings["scores"])
        },
        metrics=inputs.metrics,
        duplicates=inputs.duplicates,
        sources=inputs.sources,
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        uses=params.uses,
        series=params.series,
        settings=SelectionSettings(**params.settings),
        distance=params.distance,
        seed=params.seed,
        selected=outputs.pictures,
        ledger=outputs.ledger,
        tag_list=inputs.tag_list or None,
        threads=snakemake.threads,
    )
