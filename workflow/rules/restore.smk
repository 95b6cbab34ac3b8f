# Restored videos: find the mosaics in videos, restore them, and show the result beside the original. `snakemake restore`

from tessera.core.definitions import code_digest
from tessera.imaging.crops import CropSettings
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import evaluations
from tessera.workflow.previews import sources_in
from tessera.workflow.project import literal_param, project_of
from tessera.workflow.restore import (
    mosaic_detector,
    mosaic_detector_checksums,
    require_restored,
    restoration_checksums,
    restoration_settings,
    restoration_weights,
    restored,
    restored_targets,
    sources_to_restore,
)
from tessera.workflow.sources import shard_files
from tessera.workflow.starters import used_starters
from tessera.workflow.targets import products_in
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


localrules:
    restore,


rule restore:
    "the videos whose column `use` names `restore`, with their mosaics restored"
    input:
        project.of_job(require_restored),
        WITHDRAWN,
        products_in(project, "restored"),
        "<results>/restored/summary.json",


# The stores, folders named `kept`, are not outputs, so that they survive killed jobs and changes.
rule find_mosaics:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        admission="<results>/sources/shards/{shard}/ledger.jsonl",
        files=project.of_job(shard_files),
        weights=project.of_job(mosaic_detector),
        checksums=mosaic_detector_checksums(project),
        measured=evaluations(restored_targets(project)),
    output:
        frames="<results>/restored/{shard}/frames.parquet",
        detections="<results>/restored/{shard}/detections.parquet",
        detection_ledger="<results>/restored/{shard}/detections.jsonl",
        scenes="<results>/restored/{shard}/scenes.parquet",
        scene_frames="<results>/restored/{shard}/scene_frames.parquet",
        scene_ledger="<results>/restored/{shard}/scenes.jsonl",
    log:
        "<logs>/find_mosaics/{shard}.log",
    benchmark:
        "<benchmarks>/find_mosaics/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        wanted=project.of_job(sources_to_restore),
        detect=lookup(dpath="restore/detect", within=config),
        track=lookup(dpath="restore/track", within=config),
        choose=lookup(dpath="restore/choose", within=config),
        spans=literal_param(config["restore"]["spans"]),
        targets=restored_targets(project),
        seed=lookup(dpath="seed", within=config),
        detected_by=code_digest("tessera.stages.clips.detect:detect_videos"),
        code=digest_of_script("find_mosaics"),
    script:
        "../scripts/find_mosaics.py"


rule restore_videos:
    input:
        sources="<results>/sources/shards/{shard}/sources.parquet",
        files=project.of_job(shard_files),
        scenes="<results>/restored/{shard}/scenes.parquet",
        scene_frames="<results>/restored/{shard}/scene_frames.parquet",
        found="<results>/restored/{shard}/detections.jsonl",
        weights=project.of_job(restoration_weights),
        checksums=restoration_checksums(project),
    output:
        videos=directory("<results>/restored/{shard}/videos"),
        comparisons=directory("<results>/restored/{shard}/comparisons"),
        sheets=directory("<results>/restored/{shard}/sheets"),
        ledger="<results>/restored/{shard}/ledger.jsonl",
    log:
        "<logs>/restore_videos/{shard}.log",
    benchmark:
        "<benchmarks>/restore_videos/{shard}.jsonl"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=literal_param(restoration_settings(project)),
        crops={name: config["clips"][name] for name in CropSettings.model_fields},
        size=lookup(dpath="restoration/data/size", within=config),
        keep_aspect=lookup(dpath="restoration/data/keep_aspect", within=config),
        restored_by=code_digest(
            "tessera.stages.restore.restored:restore_video",
            "tessera.stages.restore.methods:BlockModel",
            "tessera.learning.block_network:read_network",
            "tessera.stages.restoration.inference:restore_clip",
        ),
        code=digest_of_script("restore_videos"),
    script:
        "../scripts/restore_videos.py"


# The last job, so that what it prints is not lost among the messages of others.
rule gate_restored:
    input:
        ledgers=expand(
            "<results>/restored/{shard}/ledger.jsonl", shard=restored(project)
        ),
        videos=expand("<results>/restored/{shard}/videos", shard=restored(project)),
        detections=expand(
            "<results>/restored/{shard}/detections.parquet", shard=restored(project)
        ),
    output:
        summary="<results>/restored/summary.json",
    log:
        "<logs>/gate_restored.log",
    benchmark:
        "<benchmarks>/gate_restored.jsonl"
    localrule: True
    params:
        sources=sources_in(restored(project)),
        starters=used_starters(config),
        max_regions=lookup(dpath="restore/detect/max_regions", within=config),
        code=digest_of_script("gate_restored"),
    script:
        "../scripts/gate_restored.py"
