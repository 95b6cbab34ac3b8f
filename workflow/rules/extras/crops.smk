# Crops: cut persons, half bodies and heads out of the sampled frames.

from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.crops import (
    crop_checksums,
    crop_storage,
    crop_targets,
    crop_weights,
    labels_of_crops,
    require_crops,
)
from tessera.workflow.project import gpu_for, literal_param, project_of
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


rule crop_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        labels=project.of_job(labels_of_crops),
        weights=crop_weights(project),
        checksums=crop_checksums(project),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/crops/{shard}/crops.parquet",
        pictures=directory("<results>/crops/{shard}/images"),
        ledger="<results>/crops/{shard}/ledger.jsonl",
    log:
        "<logs>/crop_frames/{shard}.log",
    benchmark:
        "<benchmarks>/crop_frames/{shard}.jsonl"
    threads: 8
    resources:
        gpu=gpu_for("weights"),
    params:
        settings=literal_param(config["crops"]),
        # Crops are stored as frames are, unless the settings say more.
        stored=crop_storage(project),
        crop_code=code_digest("tessera.extras.crops.crop:crop_frames"),
        code=digest_of_script("crop_frames"),
    script:
        "../../scripts/crop_frames.py"


rule crops:
    "persons, half bodies and heads, cut out of the frames"
    input:
        project.of_job(require_crops),
        WITHDRAWN,
        crop_targets(project),
    localrule: True
