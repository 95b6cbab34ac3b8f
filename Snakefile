# The map of Tessera: from footage to trained, exported models. `snakemake --cores 8 --resources gpu=1` makes everything.

import atexit
import gc
import os
from functools import cache, reduce
from operator import getitem

import dpath
import snakemake.sourcecache
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from tessera.catalogue import room_files
from tessera.configuration.read import read_settings
from tessera.core.errors import TesseraError

min_version("9.27")
# A plan consists of millions of objects, none of them garbage. Searching them for garbage takes an eighth of the planning time,
# and at the end of the process, where Python searches all of them several times, a fifth.
gc.set_threshold(100_000, 50, 50)
atexit.register(gc.freeze)
# For each job, Snakemake parses the path of its script three times. Doing it once per script saves a tenth of the planning time.
snakemake.sourcecache.parse_uri = cache(snakemake.sourcecache.parse_uri)
# For each `lookup`, dpath searches all settings for matches of a pattern. To follow the path saves a tenth of the planning time.
dpath.get = lambda settings, path: reduce(getitem, path.split("/"), settings)


# Snakemake would neither name the line of a fault, nor see a key that is given twice.
if workflow.is_main_process:
    try:
        for path in ["config/config.yaml", *workflow.config_settings.configfiles]:
            if os.path.exists(path):
                read_settings(path)
    except TesseraError as error:
        raise WorkflowError(str(error)) from None


# The file states the defaults, which also stand in the models of the settings.
if os.path.exists("config/config.yaml"):

    configfile: "config/config.yaml"


pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks",


include: "workflow/rules/common.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/demo.smk"
include: "workflow/rules/harvest.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/scores.smk"


# The rooms that the catalogue names: of samples, of the layouts of datasets, and of the kinds of models.
for room in room_files():

    include: f"workflow/rules/{room}.smk"


include: "workflow/rules/crops.smk"
include: "workflow/rules/tags.smk"
include: "workflow/rules/image_set_captions.smk"
include: "workflow/rules/image_set_arrangement.smk"
include: "workflow/rules/embeddings.smk"
include: "workflow/rules/identities.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/fiftyone.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/label_errors.smk"
include: "workflow/rules/previews.smk"
include: "workflow/rules/restored.smk"
include: "workflow/rules/detector_figures.smk"
include: "workflow/rules/ask.smk"
include: "workflow/rules/review.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/verify.smk"


onstart:
    # The limit of jobs per second is for clusters. Its timers repeat the selection of jobs every second, one more after each
    # finished job; in the demo that took two minutes of processor time.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    prioritize(workflow.dag)


localrules:
    all,
    frames,
    datasets,


rule all:
    default_target: True
    input:
        WITHDRAWN,
        expand("<results>/datasets/{dataset}/croissant.json", dataset=DATASETS),
        expand("<results>/weights/{model}/SHA256SUMS", model=MODELS),
        []
        if IS_EMPTIED
        else [*MADE_OF_EMBEDDINGS, *MADE_OF_CROPS, *MADE_OF_TAGS, *MADE_OF_IDENTITIES],
        [] if IS_EMPTIED else rules.report.output,


rule frames:
    input:
        footage,
        WITHDRAWN,
        rules.gather_sources.output.refused,
        rules.gate_sources.output,
        "<results>/gates/frames.json",


rule datasets:
    input:
        footage_or_images,
        WITHDRAWN,
        expand("<results>/datasets/{dataset}/croissant.json", dataset=DATASETS),


include: "workflow/rules/targets.smk"
