"""Search for pictures with the API of Europeana."""

from tessera.core.job import job
from tessera.extras.harvest.europeana import search_europeana
from tessera.extras.harvest.settings import ClientSettings, EuropeanaQuery

with job(snakemake) as (_, outputs, params):
    search_europeana(
        queries=[EuropeanaQuery(**query) for query in params.queries],
        settings=ClientSettings(**params.settings),
        table=outputs.table,
    )
