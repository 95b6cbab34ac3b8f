"""Select the pictures that feed a classifier."""

from tessera.core.job import job
from tessera.records.decisions import Decision
from tessera.stages.datasets.pictures import select_pictures
from tessera.stages.datasets.settings import OfDataset
from tessera.stages.datasets.splits import SplitSettings

with job(snakemake) as (inputs, outputs, params):
    select_pictures(
        labels=inputs.labels,
        imported=inputs.imported,
        regions=(inputs.region_images, inputs.regions, OfDataset(**params.settings["regions"])) if inputs.regions else None,
        sources=inputs.sources,
        divided=inputs.divided,
        frame_decisions={row["key"]: Decision(**row) for row in params.frame_decisions},
        decisions={row["key"]: Decision(**row) for row in params.decisions},
        # A score has a range.
        classes=params.labels if isinstance(params.labels, list) else None,
        dataset=snakemake.wildcards.dataset,
        remedy=params.remedy,
        distance=params.distance,
        settings=SplitSettings(**params.splits),
        selected=outputs.pictures,
        ledger=outputs.ledger,
        matched=outputs.matched,
    )
