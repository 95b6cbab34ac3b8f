# The rules that all models have in common: a target with the name of the model, a card, and checksums of the exported files.

import tessera.catalogue
from tessera.catalogue import trained_models
from tessera.core.definitions import code_digest


# For kinds whose rules write no card. Rules that write one go before this rule with `ruleorder`.
rule write_plain_card:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        files=exported_files,
    output:
        data="<results>/weights/{model}/card.json",
        text="<results>/weights/{model}/card.md",
    log:
        "<logs>/write_plain_card/{model}.log",
    benchmark:
        "<benchmarks>/write_plain_card/{model}.jsonl"
    localrule: True
    params:
        settings=lambda wildcards: config["models"][wildcards.model],
        seed=lookup(dpath="seed", within=config),
        purpose=lambda wildcards: MODELS[wildcards.model].purpose,
        not_for=lambda wildcards: MODELS[wildcards.model].kind.not_for,
        code=code_digest("tessera.pipeline.cards:write_plain_card"),
    script:
        "../scripts/write_plain_card.py"


rule checksum_weights:
    input:
        files=exported_files,
        card=[
            "<results>/weights/{model}/card.json",
            "<results>/weights/{model}/card.md",
        ],
    output:
        checksums="<results>/weights/{model}/SHA256SUMS",
    log:
        "<logs>/checksum_weights/{model}.log",
    benchmark:
        "<benchmarks>/checksum_weights/{model}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.core.provenance:write_checksums"),
    script:
        "../scripts/checksum_weights.py"


def finished(model):
    """Return a function that returns the last file of `model`, and raises `TesseraError` if it is not trained."""

    def given(wildcards):
        if model.name not in MODELS:
            if model.name in trained_models(config):
                footage(wildcards)
            raise TesseraError(model.remedy)
        return f"<results>/weights/{model.name}/SHA256SUMS"

    return given


for model in tessera.catalogue.MODELS:

    rule:
        name:
            model.name
        input:
            WITHDRAWN,
            finished(model),
        localrule: True
