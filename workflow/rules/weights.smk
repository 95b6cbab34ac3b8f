# Weights that the settings declare: fetch each file once, and verify it.

from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import check_declared, declared_weights

DECLARED = list(declared_weights(config))


def weights_with_digest(wildcards):
    """Return the declared weights with the digest of a job. A path must be as declared, unless they were fetched before."""
    found = [
        (setting, weights)
        for setting, weights in DECLARED
        if weights.sha256 == wildcards.sha256
    ]
    for setting, weights in found:
        if not Path(weights.file).exists():
            check_declared(setting, weights)
    return found[0][1].model_dump()


rule fetch_weights:
    output:
        weights="resources/weights/{sha256}.{kind}",
    log:
        "<logs>/fetch_weights/{sha256}.{kind}.log",
    benchmark:
        "<benchmarks>/fetch_weights/{sha256}.{kind}.jsonl"
    wildcard_constraints:
        sha256="[0-9a-f]{64}",
        kind="pt|onnx|csv",
    localrule: True
    params:
        settings=weights_with_digest,
        code=code_digest("tessera.learning.weights.fetch:fetch_weights"),
    script:
        "../scripts/fetch_weights.py"
