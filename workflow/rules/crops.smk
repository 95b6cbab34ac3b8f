# Crops: cut persons, half bodies and heads out of the sampled frames.

from tessera.core.definitions import code_digest
from tessera.learning.weights.resolve import weights_checksums, weights_file

CROP_STEPS = config["crops"]["steps"]
# The shards of which crops are made: all or, without steps, none.
CROPPED = SHARDS if CROP_STEPS else []
PLACES["cropped"] = CROPPED
if CROP_STEPS:
    GATES["crops"] = {
        "cropping": ("regions", places("<results>/crops/{cropped}/ledger.jsonl"))
    }


def labels_of_crops(wildcards):
    """Return the table of the labels of the frames of a shard if a step cuts out what people drew, else an empty list."""
    is_drawn = any(step["annotations"] for step in CROP_STEPS)
    table = f"<results>/labels/frames/{wildcards.shard}/annotations.parquet"
    return [table] if is_drawn else []


rule crop_frames:
    input:
        frames="<results>/frames/{shard}/frames.parquet",
        pictures="<results>/frames/{shard}/images",
        labels=labels_of_crops,
        weights=[
            weights_file(step["weights"], step["detector"])
            for step in CROP_STEPS
            if step["weights"]
        ],
        checksums=[
            weights_checksums(step["weights"], step["detector"])
            for step in CROP_STEPS
            if step["weights"] == "trained"
        ],
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
        gpu=1,
    params:
        settings=verbatim(config["crops"]),
        # Crops are stored as frames are, unless the settings say more.
        stored={
            key: config["crops"][key] or config["frames"][key]
            for key in ("format", "quality")
        },
        cropped_by=code_digest("tessera.extras.crops.crop:crop_frames"),
        code=code_digest(
            "tessera.extras.crops.crop:crop_frames",
            "tessera.extras.crops.settings:CropSettings",
            "tessera.learning.weights.resolve:expected_digest",
            "tessera.imaging.images:SUFFIX",
        ),
    script:
        "../scripts/crop_frames.py"


# Everything that is made of crops alone.
MADE_OF_CROPS = [
    *places("<results>/crops/{cropped}/crops.parquet"),
    *(["<results>/gates/crops.json"] if CROP_STEPS else []),
]


def crop_steps(wildcards):
    """Return no files. Raises `TesseraError` if there is nothing to cut out, or no footage."""
    if not CROP_STEPS:
        raise TesseraError("no step cuts crops out: add one to `crops.steps`")
    return footage(wildcards)


rule crops:
    input:
        crop_steps,
        WITHDRAWN,
        MADE_OF_CROPS,
    localrule: True
