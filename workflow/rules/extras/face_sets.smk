# Face sets: the faces of a consenting person, cut out of frames of general sources, sorted, selected, masked and packed.

from tessera.catalogue import FACE_SETS
from tessera.core.definitions import code_digest
from tessera.workflow.code import digest_of_script
from tessera.workflow.datasets import gates_of
from tessera.workflow.face_sets import (
    admitted_face_sets,
    decisions_on_faces,
    distances_of_job,
    embeddings_of_job,
    extraction,
    face_filter,
    face_models,
    faces_of_job,
    identity,
    masking,
    masks_to_measure,
    pack_of_others,
    references_of_person,
    require_packs,
    subject_of_pack,
    subject_of_set,
    unpacked,
    watched_landmarks,
    watched_masks,
)
from tessera.workflow.project import (
    any_of,
    gpu_for,
    literal_param,
    project_of,
    unwatched_job_param,
)
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


rule admit_face_sets:
    output:
        ledger="<results>/face_sets/ledger.jsonl",
    log:
        "<logs>/admit_face_sets.log",
    benchmark:
        "<benchmarks>/admit_face_sets.jsonl"
    localrule: True
    params:
        rows=literal_param(admitted_face_sets(project)),
        code=digest_of_script("admit_face_sets"),
    script:
        "../../scripts/admit_face_sets.py"


rule extract_faces:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        images="<results>/frames/{shard}/images",
        sources="<results>/sources/shards/{shard}/sources.parquet",
        detector=project.of_job(face_models, "detector"),
        landmarks=project.of_job(face_models, "landmarks"),
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        table="<results>/faces/{shard}/{face_set}/faces.parquet",
        pictures=directory("<results>/faces/{shard}/{face_set}/images"),
        ledger="<results>/faces/{shard}/{face_set}/ledger.jsonl",
    log:
        "<logs>/extract_faces/{shard}/{face_set}.log",
    benchmark:
        "<benchmarks>/extract_faces/{shard}/{face_set}.jsonl"
    wildcard_constraints:
        face_set=any_of(config["face_sets"]),
    threads: 8
    resources:
        gpu=gpu_for("detector", "landmarks"),
    params:
        # A renewed consent changes no face.
        subject=unwatched_job_param(project.of_job(subject_of_set)),
        settings=project.of_job(extraction),
        watched=project.of_job(watched_landmarks),
        extract_code=code_digest("tessera.extras.face_sets.extract:extract_faces"),
        code=digest_of_script("extract_faces"),
    script:
        "../../scripts/extract_faces.py"


rule embed_faces:
    input:
        faces="<results>/faces/{shard}/{face_set}/faces.parquet",
        frames="<results>/frames/{shard}/frames.parquet",
        images="<results>/frames/{shard}/images",
        weights=project.of_job(face_models, "identity"),
    output:
        # The store, the folder `embedded`, is not an output, so that it survives killed jobs and changes.
        table="<results>/faces/{shard}/{face_set}/embeddings.parquet",
        ledger="<results>/faces/{shard}/{face_set}/embeddings.jsonl",
    log:
        "<logs>/embed_faces/{shard}/{face_set}.log",
    benchmark:
        "<benchmarks>/embed_faces/{shard}/{face_set}.jsonl"
    wildcard_constraints:
        face_set=any_of(config["face_sets"]),
    threads: 8
    resources:
        gpu=1,
    params:
        # A renewed consent changes no vector.
        subject=unwatched_job_param(project.of_job(subject_of_set)),
        settings=project.of_job(identity),
        embed_code=code_digest("tessera.extras.face_sets.identity:embed_faces"),
        code=digest_of_script("embed_faces"),
    script:
        "../../scripts/embed_faces.py"


rule compare_faces:
    input:
        embeddings=project.of_job(embeddings_of_job),
        tables=project.of_job(faces_of_job, "faces.parquet"),
        folders=project.of_job(faces_of_job, "images"),
    output:
        distances="<results>/face_sets/{dataset}/distances.parquet",
        sheet="<results>/face_sets/{dataset}/distances.jpg",
    log:
        "<logs>/compare_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/compare_faces/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    params:
        references=project.of_job(references_of_person),
        decisions=project.of_job(decisions_on_faces),
        code=digest_of_script("compare_faces"),
    script:
        "../../scripts/compare_faces.py"


rule mask_faces:
    input:
        faces="<results>/faces/{shard}/{face_set}/faces.parquet",
        images="<results>/faces/{shard}/{face_set}/images",
        weights=project.of_job(face_models, "masks"),
    output:
        # The store, the folder `outlined`, is not an output, so that it survives killed jobs and changes.
        masks=directory("<results>/faces/{shard}/{face_set}/masks"),
        table="<results>/faces/{shard}/{face_set}/masks.parquet",
    log:
        "<logs>/mask_faces/{shard}/{face_set}.log",
    benchmark:
        "<benchmarks>/mask_faces/{shard}/{face_set}.jsonl"
    wildcard_constraints:
        face_set=any_of(config["face_sets"]),
    threads: 8
    resources:
        gpu=gpu_for("weights"),
    params:
        # A renewed consent changes no mask.
        subject=unwatched_job_param(project.of_job(subject_of_set)),
        settings=project.of_job(masking),
        watched=project.of_job(watched_masks),
        mask_code=code_digest("tessera.extras.face_sets.masks:mask_faces"),
        code=digest_of_script("mask_faces"),
    script:
        "../../scripts/mask_faces.py"


rule sort_faces:
    input:
        tables=project.of_job(faces_of_job, "faces.parquet"),
        folders=project.of_job(faces_of_job, "images"),
    output:
        orders="<results>/face_sets/{dataset}/orders.parquet",
        sheets=directory("<results>/face_sets/{dataset}/sheets"),
    log:
        "<logs>/sort_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/sort_faces/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    threads: 2
    params:
        code=digest_of_script("sort_faces"),
    script:
        "../../scripts/sort_faces.py"


rule select_faces:
    input:
        tables=project.of_job(faces_of_job, "faces.parquet"),
        folders=project.of_job(faces_of_job, "images"),
        orders="<results>/face_sets/{dataset}/orders.parquet",
        distances=project.of_job(distances_of_job),
        masks=project.of_job(masks_to_measure),
        gates=project.of_job(gates_of),
    output:
        selected="<results>/selections/{dataset}/faces.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
        matched="<results>/selections/{dataset}/decisions.jsonl",
    log:
        "<logs>/select_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/select_faces/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    params:
        settings=project.of_job(face_filter),
        decisions=project.of_job(decisions_on_faces),
        code=digest_of_script("select_faces"),
    script:
        "../../scripts/select_faces.py"


rule write_face_set:
    input:
        selected="<results>/selections/{dataset}/faces.parquet",
        tables=project.of_job(faces_of_job, "faces.parquet"),
        folders=project.of_job(faces_of_job, "images"),
    output:
        aligned=directory("<results>/datasets/{dataset}/aligned"),
        table="<results>/datasets/{dataset}/faces.parquet",
    log:
        "<logs>/write_face_set/{dataset}.log",
    benchmark:
        "<benchmarks>/write_face_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    params:
        code=digest_of_script("write_face_set"),
    script:
        "../../scripts/write_face_set.py"


rule write_masks:
    input:
        faces="<results>/datasets/{dataset}/faces.parquet",
        tables=project.of_job(faces_of_job, "masks.parquet"),
        folders=project.of_job(faces_of_job, "masks"),
    output:
        masks=directory("<results>/datasets/{dataset}/masks"),
        table="<results>/datasets/{dataset}/masks.parquet",
    log:
        "<logs>/write_masks/{dataset}.log",
    benchmark:
        "<benchmarks>/write_masks/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    params:
        code=digest_of_script("write_masks"),
    script:
        "../../scripts/write_masks.py"


rule pack_faces:
    input:
        faces="<results>/datasets/{dataset}/faces.parquet",
        aligned="<results>/datasets/{dataset}/aligned",
    output:
        path="<results>/datasets/{dataset}/faceset.pak",
        ledger="<results>/datasets/{dataset}/packed.jsonl",
    log:
        "<logs>/pack_faces/{dataset}.log",
    benchmark:
        "<benchmarks>/pack_faces/{dataset}.jsonl"
    wildcard_constraints:
        dataset=project.datasets_with_layout(FACE_SETS),
    params:
        code=digest_of_script("pack_faces"),
    script:
        "../../scripts/pack_faces.py"


rule unpack_faces:
    input:
        pack=project.of_job(pack_of_others),
        blocklist=lookup(dpath="sources/blocklist", within=config),
    output:
        aligned=directory("<results>/unpacked/{pack}/aligned"),
        table="<results>/unpacked/{pack}/faces.parquet",
        ledger="<results>/unpacked/{pack}/ledger.jsonl",
    log:
        "<logs>/unpack_faces/{pack}.log",
    benchmark:
        "<benchmarks>/unpack_faces/{pack}.jsonl"
    wildcard_constraints:
        pack=any_of(config["face_packs"]),
    params:
        # A renewed consent changes no face.
        subject=unwatched_job_param(project.of_job(subject_of_pack)),
        blocklist_distance=lookup(dpath="sources/blocklist_distance", within=config),
        code=digest_of_script("unpack_faces"),
    script:
        "../../scripts/unpack_faces.py"


rule unpack:
    "the faces in packs of others, of people who consented"
    input:
        project.of_job(require_packs),
        WITHDRAWN,
        unpacked(project),
    localrule: True
