# Harvest: pictures from the web become files, with the rights to them. Nothing else depends on it.

from tessera.core.definitions import code_digest
from tessera.core.errors import TesseraError
from tessera.extras.harvest.settings import ClientSettings

GATES["harvest"] = {"harvest": ("addresses", ["<results>/harvest/ledger.jsonl"])}


localrules:
    harvest,


def client_settings(wildcards):
    """Return the settings of how servers are asked."""
    return {name: config["harvest"][name] for name in ClientSettings.model_fields}


def tables_of_addresses(wildcards):
    """Return the tables of addresses: that of the settings, and what searches find."""
    table, queries = config["harvest"]["table"], config["harvest"]["europeana"]
    return [
        *([table] if table else []),
        *(["<results>/harvest/europeana.tsv"] if queries else []),
    ]


def there_are_addresses(wildcards):
    """Return no files. Raises `TesseraError` if the settings name nothing to harvest."""
    if not tables_of_addresses(wildcards):
        raise TesseraError(
            "nothing to harvest: set `harvest.table` or `harvest.europeana` (see config/README.md)"
        )
    return []


rule search_europeana:
    output:
        table="<results>/harvest/europeana.tsv",
    log:
        "<logs>/search_europeana.log",
    benchmark:
        "<benchmarks>/search_europeana.jsonl"
    localrule: True
    params:
        queries=verbatim(lookup(dpath="harvest/europeana", within=config)),
        settings=client_settings,
        code=code_digest("tessera.extras.harvest.europeana:search_europeana"),
    script:
        "../scripts/search_europeana.py"


rule harvest_pictures:
    input:
        tables=tables_of_addresses,
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        general=directory("<results>/harvest/general"),
        adult=directory("<results>/harvest/adult"),
        sources="<results>/harvest/sources.tsv",
        ledger="<results>/harvest/ledger.jsonl",
    log:
        "<logs>/harvest_pictures.log",
    benchmark:
        "<benchmarks>/harvest_pictures.jsonl"
    localrule: True
    params:
        settings=client_settings,
        placeholder_addresses=lookup(
            dpath="harvest/placeholder_addresses", within=config
        ),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=code_digest("tessera.extras.harvest.harvest:harvest_pictures"),
    script:
        "../scripts/harvest_pictures.py"


rule harvest:
    input:
        there_are_addresses,
        rules.harvest_pictures.output,
        "<results>/gates/harvest.json",
