# Models: a target for each by its name, and the checksums of what is exported.

import tessera.catalogue
from tessera.core.definitions import code_digest


rule checksum_weights:
    input:
        files=lambda wildcards: [
            *(
                f"<results>/weights/{wildcards.model}/{wildcards.model}{suffix}"
                for suffix in MODELS[wildcards.model].kind.exports
            ),
            f"<results>/weights/{wildcards.model}/card.json",
            f"<results>/weights/{wildcards.model}/card.md",
        ],
    output:
        checksums="<results>/weights/{model}/SHA256SUMS",
    log:
        "<logs>/checksum_weights/{model}.log",
    benchmark:
        "<benchmarks>/checksum_weights/{model}.jsonl"
    params:
        code=code_digest("tessera.core.provenance:write_checksums"),
    script:
        "../scripts/checksum_weights.py"


def finished(model):
    """Return a function of the last file of a training of `model`, which raises `TesseraError` where it is not trained."""

    def given(wildcards):
        if model.name not in MODELS:
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
