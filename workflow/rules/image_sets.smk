# Image sets: pictures selected by rules, scaled down and encoded once, and written in the layouts of trainers.

from tessera.catalogue import IMAGE_SETS, image_set_of_part
from tessera.core.definitions import code_digest
from tessera.core.files import check_there
from tessera.learning.weights.resolve import weights_file
from tessera.extras.image_sets.caption_settings import TagSettings
from tessera.extras.image_sets.settings import ImageSetSettings, LayoutSettings
from tessera.records.tags import read_tags, unknown_tags

# The tag list of the tagger. One that is fetched is not known before the jobs start, so that these compare the settings with it.
TAG_LIST = config["tagger"] and config["tagger"]["tags"]
FETCHED_TAGS = (
    weights_file(TAG_LIST) if TAG_LIST and "://" in TAG_LIST["source"] else []
)


def check_files(name, settings):
    """Raise `TesseraError` if a file that the settings of the image set `name` name is missing.

    Snakemake says nothing of it where the results of its job are there already.
    """
    captions, arrangement = settings["captions"] or {}, settings["arrangement"] or {}
    named = [
        ("captions.table", captions.get("table")),
        ("arrangement.weights", arrangement.get("weights")),
    ]
    if captions:
        tags = TagSettings(**captions["tags"])
        named += [("captions.tags", file) for file in tags.files]
    for setting, file in named:
        if file:
            check_there(f"image_sets.{name}.{setting}", file)
    files = captions.get("files")
    if files and files != "beside":
        check_there(f"image_sets.{name}.captions.files", files, folder=True)


def check_tags():
    """Name the tags in the settings of image sets that the tagger does not have."""
    stated = {
        setting: tags
        for name, settings in config["image_sets"].items()
        for setting, tags in ImageSetSettings(**settings).stated_tags(name).items()
        if tags
    }
    if stated:
        for message in unknown_tags(stated, read_tags(Path(TAG_LIST["source"]))):
            logger.warning(message)


try:
    for image_set in config["image_sets"]:
        check_files(image_set, config["image_sets"][image_set])
    # Only in the main process, not in every job.
    if workflow.is_main_process and TAG_LIST and not FETCHED_TAGS:
        check_tags()
except TesseraError as error:
    raise WorkflowError(str(error)) from None


def settings_of_set(part):
    """Return a function that returns a part of the settings of the image set of a job."""

    def given(wildcards):
        return config["image_sets"][image_set_of_part(wildcards.dataset)][part]

    return given


def pictures_of_crops(wildcards):
    """Return the folders of the crops, if crops are made."""
    return places("<results>/crops/{cropped}/images")


def tables_of_tags(wildcards):
    """Return the table of the tags of all pictures, if there is a tagger."""
    return ["<results>/tags/tags.parquet"] if config["tagger"] else []


def tables_of_identities(wildcards):
    """Return the table of the identities of all crops, if crops are identified."""
    is_made = config["identities"]
    return ["<results>/identities/identities.parquet"] if is_made else []


def scores_of_frames(wildcards):
    """Return the tables of what the classifiers of an image set see in frames: for each shard, one of each classifier."""
    return expand(
        "<results>/scores/frames/{shard}/{classifier}.parquet",
        shard=SHARDS,
        classifier=settings_of_set("select")(wildcards)["scores"],
    )


rule select_set:
    input:
        frames=expand("<results>/frames/{shard}/frames.parquet", shard=SHARDS),
        images=expand("<results>/frames/{shard}/images", shard=SHARDS),
        crops=lambda wildcards: places("<results>/crops/{cropped}/crops.parquet"),
        cut=pictures_of_crops,
        identities=tables_of_identities,
        tags=tables_of_tags,
        tag_list=FETCHED_TAGS,
        scores=scores_of_frames,
        metrics=lambda wildcards: metrics_of(
            settings_of_set("select")(wildcards)["scores"]
        ),
        duplicates=lambda wildcards: tables_of_duplicates(wildcards),
        sources="<results>/sources/admitted.parquet",
        gates=of_dataset(
            lambda dataset: expand("<results>/gates/{room}.json", room=dataset.gates)
        ),
    output:
        pictures="<results>/selections/{dataset}/pictures.parquet",
        ledger="<results>/selections/{dataset}/ledger.jsonl",
    log:
        "<logs>/select_set/{dataset}.log",
    benchmark:
        "<benchmarks>/select_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
    threads: 8
    params:
        uses=lambda wildcards: image_set_of_part(wildcards.dataset),
        series=of_dataset(lambda dataset: dataset.series),
        settings=settings_of_set("select"),
        decisions=rows_of(FRAME_DECISIONS),
        distance=lookup(dpath="duplicates/distance", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.extras.image_sets.select:select_set",
            "tessera.extras.image_sets.settings:SelectionSettings",
        ),
    script:
        "../scripts/select_set.py"


rule resize_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        pictures=expand("<results>/frames/{shard}/images", shard=SHARDS),
        cut=pictures_of_crops,
    output:
        # The store, the folder `kept`, is not an output, so that it survives killed jobs and changes.
        images=directory("<results>/image_sets/{dataset}/images"),
        table="<results>/image_sets/{dataset}/resized.parquet",
    log:
        "<logs>/resize_set/{dataset}.log",
    benchmark:
        "<benchmarks>/resize_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
    threads: 8
    params:
        settings=settings_of_set("pictures"),
        encoded_by=code_digest("tessera.extras.image_sets.resize:encode"),
        code=code_digest(
            "tessera.extras.image_sets.resize:resize_set",
            "tessera.extras.image_sets.settings:PictureSettings",
        ),
    script:
        "../scripts/resize_set.py"


def made_of_set(part, table=""):
    """Return a function that returns a table of an image set, if it has the settings `part`. `table`: its name; empty: `part`."""

    def given(wildcards):
        made = f"<results>/image_sets/{wildcards.dataset}/{table or part}.parquet"
        return made if settings_of_set(part)(wildcards) else []

    return given


rule write_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        resized="<results>/image_sets/{dataset}/resized.parquet",
        images="<results>/image_sets/{dataset}/images",
        captions=made_of_set("captions"),
        arrangement=made_of_set("arrangement"),
    output:
        folder=directory("<results>/datasets/{dataset}/{layout}"),
    log:
        "<logs>/write_set/{dataset}/{layout}.log",
    benchmark:
        "<benchmarks>/write_set/{dataset}/{layout}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
        layout=any_of(LayoutSettings.model_fields),
    params:
        settings=lambda wildcards: settings_of_set("layouts")(wildcards)[
            wildcards.layout
        ],
        seed=lookup(dpath="seed", within=config),
        code=code_digest(
            "tessera.extras.image_sets.write:write_set",
            "tessera.extras.image_sets.settings:LayoutSettings",
        ),
    script:
        "../scripts/write_set.py"


rule show_set:
    input:
        selected="<results>/selections/{dataset}/pictures.parquet",
        splits="<results>/datasets/{dataset}/splits.parquet",
        resized="<results>/image_sets/{dataset}/resized.parquet",
        images="<results>/image_sets/{dataset}/images",
        captions=made_of_set("captions"),
        arrangement=made_of_set("arrangement"),
        distribution=made_of_set("arrangement", table="distribution"),
        sources="<results>/sources/admitted.parquet",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/pictures.html",
            caption="../report/image_set.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "2. Balance, pictures and captions"},
        ),
    log:
        "<logs>/show_set/{dataset}.log",
    benchmark:
        "<benchmarks>/show_set/{dataset}.jsonl"
    wildcard_constraints:
        dataset=laid_out_as(IMAGE_SETS),
    localrule: True
    params:
        settings=lookup(dpath="report", within=config),
        seed=lookup(dpath="seed", within=config),
        code=code_digest("tessera.pages.report.image_sets:show_set"),
    script:
        "../scripts/show_set.py"
