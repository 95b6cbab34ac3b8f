# Searches for better settings of classifiers and detectors. `rule all` makes none of them.

from tessera.catalogue import CLASSIFIER, DETECTOR
from tessera.core.definitions import code_digest
from tessera.core.errors import TesseraError
from tessera.learning.weights.resolve import weights_file

SEARCHES = {
    name: each["model"]
    for name, each in config["search"].items()
    if each["model"] in MODELS
}


wildcard_constraints:
    search=any_of(SEARCHES),


def search_settings(wildcards):
    """Return the settings of a search."""
    return config["search"][wildcards.search]


rule search_classifier:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        images=of_model("<results>/datasets/{dataset}/images"),
        pictures=of_model("<results>/datasets/{dataset}/pictures.parquet"),
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
        vectors=vectors_of_classifier,
        checked="<results>/training/{model}/dataset.json",
        weights=lambda wildcards: weights_file(
            config["classifiers"][wildcards.model]["weights"]
        ),
    output:
        # The trials lie in <results>/training/{model}/searches/{search}/runs. They are no outputs, so that they survive.
        trials="<results>/search/{model}/{search}/trials.parquet",
        sheet="<results>/search/{model}/{search}/trials.tsv",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    log:
        "<logs>/search_classifier/{model}/{search}.log",
    benchmark:
        "<benchmarks>/search_classifier/{model}/{search}.jsonl"
    wildcard_constraints:
        model=of_kind(CLASSIFIER),
    threads: 8
    resources:
        gpu=1,
        # Minutes. A search that exceeds them continues when it runs again.
        runtime=1440,
    params:
        settings=NETWORK,
        search=search_settings,
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of a trial, as of any training.
        trained_by=code_digest("tessera.extras.classifiers.trainer:fit"),
        code=code_digest(
            "tessera.extras.classifiers.search:search_classifier",
            "tessera.records.tables.splits:trained_on",
        ),
    script:
        "../scripts/search_classifier.py"


rule search_detector:
    input:
        description=of_model("<results>/datasets/{dataset}/dataset.yaml"),
        parts=parts_of_dataset,
        checked="<results>/training/{model}/dataset.json",
        weights=declared_weights_of,
        splits=of_model("<results>/datasets/{dataset}/splits.parquet"),
    output:
        # The trials lie in <results>/training/{model}/searches/{search}/runs. They are no outputs, so that they survive.
        trials="<results>/search/{model}/{search}/trials.parquet",
        sheet="<results>/search/{model}/{search}/trials.tsv",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    log:
        "<logs>/search_detector/{model}/{search}.log",
    benchmark:
        "<benchmarks>/search_detector/{model}/{search}.jsonl"
    wildcard_constraints:
        model=of_kind(DETECTOR),
    threads: 8
    resources:
        gpu=1,
        # Minutes. A search that exceeds them continues when it runs again.
        runtime=1440,
    params:
        architecture=lookup(dpath="models/{model}/architecture", within=config),
        weights=lookup(dpath="models/{model}/weights", within=config),
        training=lookup(dpath="models/{model}/training", within=config),
        search=search_settings,
        seed=lookup(dpath="seed", within=config),
        # A part of the identity of a trial, as of any training.
        trained_by=code_digest("tessera.stages.detectors.train:fit"),
        code=code_digest(
            "tessera.stages.detectors.search:search_detector",
            "tessera.records.tables.splits:trained_on",
        ),
    script:
        "../scripts/search_detector.py"


rule show_search:
    input:
        trials="<results>/search/{model}/{search}/trials.parquet",
        summary="<results>/search/{model}/{search}/search.json",
        best="<results>/search/{model}/{search}/best.yaml",
    output:
        page="<results>/search/{model}/{search}/search.html",
    log:
        "<logs>/show_search/{model}/{search}.log",
    benchmark:
        "<benchmarks>/show_search/{model}/{search}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.pages.report.searches:show_search"),
    script:
        "../scripts/show_search.py"


def search_pages(wildcards):
    """Return the page of each search. Raises `TesseraError` if there is none."""
    if not config["search"]:
        raise TesseraError(
            "`search` names no search: state a model and a space, as in the example in config/config.yaml"
        )
    if not SEARCHES:
        footage(wildcards)
    return [
        f"<results>/search/{model}/{name}/search.html"
        for name, model in SEARCHES.items()
    ]


rule search:
    input:
        WITHDRAWN,
        search_pages,
    localrule: True
