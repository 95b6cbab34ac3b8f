"""Remove the results of sources that are no longer in the manifest."""

from pathlib import Path

from tessera.core.job import job
from tessera.stages.footage.withdrawal import remove_withdrawn

with job(snakemake) as (inputs, outputs, params):
    remove_withdrawn(
        folders=[Path(folder) for folder in params.folders],
        shards=params.shards,
        trainings=Path(params.trainings),
        sources=params.sources,
        switched_off={Path(listing): [Path(folder) for folder in folders] for listing, folders in params.switched_off.items()},
        made={Path(listing): [Path(folder) for folder in folders] for listing, folders in params.made.items()},
        refused=list(map(Path, params.refused)),
        embeddings={Path(folder): params.embeddings for folder in params.embedding_folders},
        **vars(outputs),
    )
