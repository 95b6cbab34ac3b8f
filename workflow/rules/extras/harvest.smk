# Harvest: pictures from the web become files, with the rights to them. Nothing else depends on it.

from tessera.workflow.code import digest_of_script
from tessera.workflow.harvest import (
    client_settings,
    require_addresses,
    tables_of_addresses,
)
from tessera.workflow.project import literal_param, project_of

project = project_of(config)


localrules:
    harvest,


rule search_europeana:
    output:
        table="<results>/harvest/europeana.tsv",
    log:
        "<logs>/search_europeana.log",
    benchmark:
        "<benchmarks>/search_europeana.jsonl"
    localrule: True
    params:
        queries=literal_param(lookup(dpath="harvest/europeana", within=config)),
        settings=client_settings(project),
        code=digest_of_script("search_europeana"),
    script:
        "../../scripts/search_europeana.py"


rule harvest_pictures:
    input:
        tables=tables_of_addresses(project),
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
        settings=client_settings(project),
        placeholder_addresses=lookup(
            dpath="harvest/placeholder_addresses", within=config
        ),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=digest_of_script("harvest_pictures"),
    script:
        "../../scripts/harvest_pictures.py"


rule harvest:
    "pictures from the web, with the rights to them"
    input:
        project.of_job(require_addresses),
        rules.harvest_pictures.output,
        "<results>/gates/harvest.json",
