# Mosaics: detect regions in the sampled frames, choose some, and draw mosaics over them.

from tessera.catalogue import fed_by
from tessera.configuration.confidences import targets_in
from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.detectors import (
    detector_checksums,
    detector_files,
    evaluations,
    region_decisions_of_shard,
    used_detectors,
)
from tessera.workflow.project import gpu_for, literal_param, project_of

project = project_of(config)


# One job from frames to labelled mosaics: each more per shard takes a twelfth of the planning time, and every change reruns all
# later steps. The store keeps the detections of each source.
rule make_mosaic_samples:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        weights=detector_files(project, "regions"),
        checksums=detector_checksums(project, "regions"),
        measured=evaluations(targets_in(config, "regions")),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        seen=expand(
            "<results>/regions/{{shard}}/{detector}.parquet",
            detector=used_detectors(project, "regions"),
        ),
        looked=expand(
            "<results>/regions/{{shard}}/{detector}.jsonl",
            detector=used_detectors(project, "regions"),
        ),
        regions="<results>/regions/{shard}/regions.parquet",
        backgrounds="<results>/regions/{shard}/backgrounds.parquet",
        frame_ledger="<results>/regions/{shard}/ledger.jsonl",
        detection_ledger="<results>/regions/{shard}/detections.jsonl",
        matched="<results>/regions/{shard}/decisions.jsonl",
        mosaics="<results>/mosaics/{shard}/mosaics.parquet",
        pictures=directory("<results>/mosaics/{shard}/images"),
        masks=directory("<results>/mosaics/{shard}/masks"),
        ledger="<results>/mosaics/{shard}/ledger.jsonl",
        mosaic_ledger="<results>/mosaics/{shard}/mosaics.jsonl",
        images="<results>/mosaics/{shard}/images.parquet",
        annotations="<results>/mosaics/{shard}/annotations.parquet",
        mask_ledger="<results>/mosaics/{shard}/masks.jsonl",
    log:
        "<logs>/make_mosaic_samples/{shard}.log",
    benchmark:
        "<benchmarks>/make_mosaic_samples/{shard}.jsonl"
    threads: 8
    resources:
        gpu=gpu_for("weights"),
    params:
        detectors=literal_param(
            {
                name: config["regions"]["detectors"][name]
                for name in used_detectors(project, "regions")
            }
        ),
        datasets=fed_by("regions"),
        choose=lookup(dpath="regions/choose", within=config),
        targets=targets_in(config, "regions"),
        decisions=project.of_job(region_decisions_of_shard),
        settings=lookup(dpath="mosaics", within=config),
        degradations=lookup(dpath="degradations", within=config),
        min_area=lookup(dpath="annotations/min_area", within=config),
        seed=lookup(dpath="seed", within=config),
        detect_code=code_digest("tessera.stages.mosaics.find:find_regions"),
        code=digest_of_script("make_mosaic_samples"),
    script:
        "../scripts/make_mosaic_samples.py"
