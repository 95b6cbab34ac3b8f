# The folders of image sets, and how often their pictures are repeated.

from tessera.catalogue import IMAGE_SETS
from tessera.core.definitions import code_digest


def weights_of_set(wildcards):
    """Return the table of weights of an image set, if the settings name any."""
    return settings_of_set("arrangement")(wildcards)["weights"] or []


rule arrange_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        weights=weights_of_set,
    output:
        arrangement="<results>/image_sets/{dataset}/arrangement.parquet",
        distribution="<results>/image_sets/{dataset}/distribution.parquet",
    log:
        "<logs>/arrange_set/{dataset}.log",
    benchmark:
        "<benchmarks>/arrange_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
    threads: 2
    params:
        settings=settings_of_set("arrangement"),
        code=code_digest(
            "tessera.extras.image_sets.arrange:arrange_set",
            "tessera.extras.image_sets.arrangement_settings:ArrangementSettings",
        ),
    script:
        "../scripts/arrange_set.py"
