# Tags of the sampled frames and the crops.

from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.crops import (
    of_tagged_shards,
    require_tagger,
    tag_targets,
    tagged_crops,
    tagger,
    tagger_file,
)
from tessera.workflow.project import project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


rule tag_pictures:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        crops=tagged_crops(project, "<results>/crops/{shard}/crops.parquet"),
        cropped=tagged_crops(project, "<results>/crops/{shard}/images"),
        weights=tagger_file(project, "weights"),
        tag_list=tagger_file(project, "tags"),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/tags/{shard}/scores.parquet",
        ledger="<results>/tags/{shard}/ledger.jsonl",
    log:
        "<logs>/tag_pictures/{shard}.log",
    benchmark:
        "<benchmarks>/tag_pictures/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=project.of_job(tagger),
        tag_code=code_digest("tessera.extras.tagging.tag:tag_pictures"),
        code=digest_of_script("tag_pictures"),
    script:
        "../../scripts/tag_pictures.py"


# A rule of its own, so that a threshold does not run the tagger again.
rule choose_tags:
    input:
        tables=of_tagged_shards(project, "<results>/tags/{shard}/scores.parquet"),
        gate="<results>/gates/tags.json",
    output:
        table="<results>/tags/tags.parquet",
    log:
        "<logs>/choose_tags.log",
    benchmark:
        "<benchmarks>/choose_tags.jsonl"
    params:
        thresholds=config["tagger"] and config["tagger"]["thresholds"],
        code=digest_of_script("choose_tags"),
    script:
        "../../scripts/choose_tags.py"


rule tags:
    "the tags of frames and crops"
    input:
        project.of_job(require_tagger),
        WITHDRAWN,
        tag_targets(project),
    localrule: True
