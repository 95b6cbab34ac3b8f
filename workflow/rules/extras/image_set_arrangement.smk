# The folders of image sets, and how often their pictures are repeated.

from tessera.catalogue import IMAGE_SETS
from tessera.workflow.code import digest_of_script
from tessera.workflow.image_sets import settings_of_set, weights_of_set
from tessera.workflow.project import project_of

project = project_of(config)


rule arrange_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        weights=project.of_job(weights_of_set),
    output:
        arrangement="<results>/image_sets/{dataset}/arrangement.parquet",
        distribution="<results>/image_sets/{dataset}/distribution.parquet",
    log:
        "<logs>/arrange_set/{dataset}.log",
    benchmark:
        "<benchmarks>/arrange_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(IMAGE_SETS),
    threads: 2
    params:
        settings=project.of_job(settings_of_set, "arrangement"),
        code=digest_of_script("arrange_set"),
    script:
        "../../scripts/arrange_set.py"
