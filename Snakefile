# The map of Tessera: from footage to trained, exported models. `snakemake --cores 8 --resources gpu=1` makes everything.

import gc

from snakemake.utils import min_version

min_version("9.27")
# A plan is millions of objects, none of them garbage: to look for some again and again is an eighth of the planning.
gc.set_threshold(100_000, 50, 50)


configfile: "config/config.yaml"


pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",


include: "workflow/rules/common.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/annotations.smk"
include: "workflow/rules/watermarks.smk"
include: "workflow/rules/regions.smk"
include: "workflow/rules/mosaics.smk"
include: "workflow/rules/scenes.smk"
include: "workflow/rules/clips.smk"
include: "workflow/rules/filters.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/restoration.smk"
include: "workflow/rules/detectors.smk"
include: "workflow/rules/restoration_export.smk"
include: "workflow/rules/previews.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    frames,
    datasets,
    nsfw_detection,
    watermark_detection,
    mosaic_detection,
    mosaic_restoration,


rule all:
    default_target: True
    input:
        rules.remove_withdrawn.output,
        expand("<results>/weights/{model}/SHA256SUMS", model=MODELS),
        CLIPS,
        rules.report.output,


rule frames:
    input:
        rules.remove_withdrawn.output,
        rules.gather_sources.output.refused,
        rules.gate_sources.output,
        "<results>/gates/frames.json",


rule datasets:
    input:
        rules.remove_withdrawn.output,
        expand("<results>/datasets/{dataset}/SHA256SUMS", dataset=DATASETS),
        CLIPS,


rule nsfw_detection:
    input:
        rules.remove_withdrawn.output,
        trained("nsfw_detection"),


rule watermark_detection:
    input:
        rules.remove_withdrawn.output,
        trained("watermark_detection"),


rule mosaic_detection:
    input:
        rules.remove_withdrawn.output,
        trained("mosaic_detection"),


rule mosaic_restoration:
    input:
        rules.remove_withdrawn.output,
        trained("mosaic_restoration"),
