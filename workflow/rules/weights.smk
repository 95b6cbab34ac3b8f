# Weights that the settings declare: fetch each file once, and verify it.

from tessera.workflow.code import digest_of_script
from tessera.workflow.models import weights_with_digest
from tessera.workflow.project import project_of

project = project_of(config)


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
        settings=project.of_job(weights_with_digest),
        code=digest_of_script("fetch_weights"),
    script:
        "../scripts/fetch_weights.py"
