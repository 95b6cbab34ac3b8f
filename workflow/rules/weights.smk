# Weights that the settings declare: fetch each file once, and verify it.

from tessera.core.files import check_there
from tessera.core.definitions import code_digest
from tessera.core.weights.resolve import declared_weights

DECLARED = list(declared_weights(config))


def weights_with_digest(wildcards):
    """Return the declared weights with the digest of a job."""
    return next(
        weights.model_dump()
        for _, weights in DECLARED
        if weights.sha256 == wildcards.sha256
    )


def weights_are_there(wildcards):
    """Return no input, but check the source, so that a wrong path stops the run before any job.

    The source of weights that were fetched before may be gone.
    """
    for setting, weights in DECLARED:
        is_asked_for = (
            weights.sha256 == wildcards.sha256 and "://" not in weights.source
        )
        if is_asked_for and not Path(weights.file).exists():
            check_there(setting, weights.source)
    return []


rule fetch_weights:
    input:
        weights_are_there,
    output:
        weights="resources/weights/{sha256}.{kind}",
    log:
        "<logs>/fetch_weights/{sha256}.{kind}.log",
    benchmark:
        "<benchmarks>/fetch_weights/{sha256}.{kind}.jsonl"
    wildcard_constraints:
        sha256="[0-9a-f]{64}",
        kind="pt|onnx",
    params:
        settings=weights_with_digest,
        code=code_digest("tessera.core.weights.fetch:fetch_weights"),
    script:
        "../scripts/fetch_weights.py"
