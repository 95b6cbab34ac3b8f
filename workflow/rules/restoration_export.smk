# The restoration model as others load it: exported, compared with what was trained, and described.


rule export_restoration:
    input:
        environment="<results>/environments/restoration",
        checkpoint=last_checkpoint,
    output:
        safetensors="<results>/weights/mosaic_restoration/mosaic_restoration.safetensors",
        application="<results>/weights/mosaic_restoration/mosaic_restoration.pth",
    log:
        "<logs>/export_restoration.log",
    benchmark:
        "<benchmarks>/export_restoration.jsonl"
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        trained_by=code_digest("tessera.pipeline.restoration.trainer:fit"),
        code=code_digest(
            "tessera.pipeline.restoration.export:export_restoration",
            "tessera.core.environments.run:run_inside",
        ),
    script:
        "../scripts/export_restoration.py"


rule verify_restoration_export:
    input:
        environment="<results>/environments/restoration",
        folders=[
            "<results>/datasets/mosaic_restoration/train",
            "<results>/datasets/mosaic_restoration/val",
        ],
        checkpoint=last_checkpoint,
        safetensors="<results>/weights/mosaic_restoration/mosaic_restoration.safetensors",
        application="<results>/weights/mosaic_restoration/mosaic_restoration.pth",
    output:
        report="<results>/metrics/mosaic_restoration.export.json",
    log:
        "<logs>/verify_restoration_export.log",
    benchmark:
        "<benchmarks>/verify_restoration_export.jsonl"
    threads: 4
    params:
        generator=lookup(dpath="restoration/generator", within=config),
        data=lookup(dpath="restoration/data", within=config),
        settings=lookup(dpath="restoration/export", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.pipeline.restoration.export:verify_restoration_export",
            "tessera.core.environments.run:run_inside",
        ),
    script:
        "../scripts/verify_restoration_export.py"


rule write_restoration_card:
    input:
        checksums="<results>/datasets/mosaic_restoration/SHA256SUMS",
        datasheet="<results>/datasets/mosaic_restoration/datasheet.json",
        metrics="<results>/metrics/mosaic_restoration.json",
        export="<results>/metrics/mosaic_restoration.export.json",
        records=expand(
            "<results>/training/mosaic_restoration/{stage}/training.json", stage=STAGES
        ),
        safetensors="<results>/weights/mosaic_restoration/mosaic_restoration.safetensors",
        application="<results>/weights/mosaic_restoration/mosaic_restoration.pth",
    output:
        data="<results>/weights/mosaic_restoration/card.json",
        text="<results>/weights/mosaic_restoration/card.md",
    log:
        "<logs>/write_restoration_card.log",
    benchmark:
        "<benchmarks>/write_restoration_card.jsonl"
    params:
        settings=lookup(dpath="restoration", within=config),
        code=code_digest("tessera.pipeline.cards:write_restoration_card"),
    script:
        "../scripts/write_restoration_card.py"


use rule checksum_weights as checksum_restoration with:
    input:
        files=[
            "<results>/weights/mosaic_restoration/mosaic_restoration.safetensors",
            "<results>/weights/mosaic_restoration/mosaic_restoration.pth",
            "<results>/weights/mosaic_restoration/card.json",
            "<results>/weights/mosaic_restoration/card.md",
        ],
    output:
        checksums="<results>/weights/mosaic_restoration/SHA256SUMS",
    log:
        "<logs>/checksum_restoration.log",
    benchmark:
        "<benchmarks>/checksum_restoration.jsonl"
