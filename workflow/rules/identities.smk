# Identities: who or what the crops show, by reference pictures, clusters of vectors, and decisions of people.

from tessera.core.definitions import code_digest
from tessera.core.files import IMAGE_SUFFIXES, check_there, files_below
from tessera.core.provenance import fingerprint
from tessera.extras.identities.admit import check_named
from tessera.records.identities import read_identity_decisions, read_references

IDENTITIES = config["identities"]
REFERENCES = []


def names_of_references():
    """Return the identities in the folder of references; none if it cannot be read, which is told where it is used."""
    try:
        folder = (IDENTITIES["references"] or {}).get("folder")
        return (
            [each.identity for each in read_references(Path(folder))] if folder else []
        )
    except TesseraError:
        return []


IDENTITY_DECISIONS = []
if IDENTITIES:
    try:
        check_named(IDENTITIES["sources"], SOURCES, config["manifest"])
        if IDENTITIES["references"]:
            REFERENCES = [
                f"<results>/embeddings/references/{IDENTITIES['embedding']}.parquet"
            ]
        IDENTITY_DECISIONS = read_identity_decisions(
            IDENTITIES["decisions"], names_of_references()
        )
        moved = follow_positions([each.target for each in IDENTITY_DECISIONS])
        IDENTITY_DECISIONS = [
            each.model_copy(update={"target": moved_key(each.target, moved)})
            for each in IDENTITY_DECISIONS
        ]
    except TesseraError as error:
        raise WorkflowError(str(error)) from None
    GATES["identities"] = {
        "identification": ("crops", ["<results>/identities/ledger.jsonl"]),
    }
    if REFERENCES:
        GATES["identities"]["references"] = (
            "pictures",
            [f"<results>/embeddings/references/{IDENTITIES['embedding']}.jsonl"],
        )


def folder_of_references(wildcards):
    """Return the folder of the reference pictures."""
    return str(IDENTITIES["references"]["folder"])


def watched_references(wildcards):
    """Return a value that changes with the reference pictures. Raises `TesseraError` if something is wrong with their folder."""
    folder = folder_of_references(wildcards)
    check_there("identities.references.folder", folder, folder=True)
    read_references(Path(folder))
    return fingerprint(files_below(folder, IMAGE_SUFFIXES))


rule embed_references:
    input:
        weights=embedding_weights,
        checksums=embedding_checksums,
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        table="<results>/embeddings/references/{embedding}.parquet",
        ledger="<results>/embeddings/references/{embedding}.jsonl",
    log:
        "<logs>/embed_references/{embedding}.log",
    benchmark:
        "<benchmarks>/embed_references/{embedding}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        folder=folder_of_references,
        watched=watched_references,
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        settings=embedder,
        embedded_by=code_digest("tessera.extras.near_duplicates.embed:embed_references"),
        code=code_digest(
            "tessera.extras.near_duplicates.embed:embed_references",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.extras.near_duplicates.settings:EmbeddingSettings",
        ),
    script:
        "../scripts/embed_references.py"


rule identify_crops:
    input:
        crops=expand("<results>/crops/{shard}/crops.parquet", shard=SHARDS),
        vectors=expand(
            "<results>/embeddings/crops/{shard}/{embedding}.parquet",
            shard=SHARDS,
            embedding=[IDENTITIES["embedding"]] if IDENTITIES else [],
        ),
        references=REFERENCES,
        sources="<results>/sources/admitted.parquet",
    output:
        table="<results>/identities/found.parquet",
        ledger="<results>/identities/ledger.jsonl",
    log:
        "<logs>/identify_crops.log",
    benchmark:
        "<benchmarks>/identify_crops.jsonl"
    threads: 8
    params:
        settings=verbatim(
            IDENTITIES
            and {
                name: value
                for name, value in IDENTITIES.items()
                if name not in {"decisions", "shown"}
            }
        ),
        code=code_digest(
            "tessera.extras.identities.identify:identify_crops",
            "tessera.extras.identities.settings:IdentitySettings",
        ),
    script:
        "../scripts/identify_crops.py"


# A decision clusters nothing again.
rule decide_identities:
    input:
        found="<results>/identities/found.parquet",
        crops=rules.identify_crops.input.crops,
        gate="<results>/gates/identities.json",
    output:
        table="<results>/identities/identities.parquet",
        ledger="<results>/identities/decisions.jsonl",
    log:
        "<logs>/decide_identities.log",
    benchmark:
        "<benchmarks>/decide_identities.jsonl"
    localrule: True
    params:
        decisions=verbatim([each.model_dump() for each in IDENTITY_DECISIONS]),
        code=code_digest("tessera.extras.identities.decide:decide_identities"),
    script:
        "../scripts/decide_identities.py"


rule show_identities:
    input:
        identities="<results>/identities/identities.parquet",
        tables=rules.identify_crops.input.vectors,
        crops="<results>/identities/ledger.jsonl",
        decisions="<results>/identities/decisions.jsonl",
        sources="<results>/sources/admitted.parquet",
    output:
        pictures=report(
            directory("<results>/reports/identities/sheets"),
            patterns=["{identity}.html"],
            caption="../report/identities.rst",
            category="1. Footage",
            subcategory="identities",
            labels={"figure": "{identity}"},
        ),
        page=report(
            "<results>/reports/identities/identities.html",
            caption="../report/identities.rst",
            category="1. Footage",
            subcategory="identities",
            labels={"figure": "1. Numbers"},
        ),
    log:
        "<logs>/show_identities.log",
    benchmark:
        "<benchmarks>/show_identities.jsonl"
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        shown=IDENTITIES and IDENTITIES["shown"],
        code=code_digest("tessera.pages.report.identities:show_identities"),
    script:
        "../scripts/show_identities.py"


# Everything that is made of identities.
MADE_OF_IDENTITIES = (
    [
        "<results>/identities/identities.parquet",
        "<results>/reports/identities/identities.html",
    ]
    if IDENTITIES
    else []
)


def declared_identities(wildcards):
    """Return no files. Raises `TesseraError` if nobody is to be identified, or there is no footage."""
    if not IDENTITIES:
        raise TesseraError("nobody is identified: set `identities`")
    return footage(wildcards)


rule identities:
    input:
        declared_identities,
        WITHDRAWN,
        MADE_OF_IDENTITIES,
    localrule: True
