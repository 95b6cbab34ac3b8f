# The report: figures of the footage, the samples, the models and the cost, in one HTML file.

from snakemake.io import get_flag_value, is_flagged

from tessera.catalogue import CLIPS, DETECTOR, PICTURES, RESTORER, Step, fed_by
from tessera.core.definitions import code_digest
from tessera.core.provenance import digest

# Snakemake watches neither the captions nor the template, so their digest is a param of the report.
CAPTIONS = Path(workflow.current_basedir.get_path_or_uri(secret_free=True), "../report")
# The rules that are timed, in the order of the journey, and whether each has a job per shard.
TIMED = {
    each.name: "shard" in each.wildcard_names
    for each in workflow.rules
    if each.benchmark
}


def steps_to(dataset):
    """Return the steps between the gates and a dataset."""
    if not dataset.drops_duplicates:
        return [
            step
            for step in dataset.layout.steps
            if "<results>/duplicates/" not in step.ledger
        ]
    found = [
        Step(
            f"near-duplicates by {name}",
            "images",
            f"<results>/near_duplicates/{name}/ledger.jsonl",
        )
        for name in config["duplicates"]["embeddings"]
    ]
    first, *rest = dataset.layout.steps
    return [first, *found, *rest]


rule plot_funnel:
    input:
        gates=of_dataset(
            lambda dataset: expand(
                "<results>/gates/{room}.json", room=["sources", *dataset.gates]
            )
        ),
        ledgers=of_dataset(
            lambda dataset: [
                step.ledger.replace("{dataset}", dataset.name)
                for step in steps_to(dataset)
            ]
        ),
        splits="<results>/datasets/{dataset}/splits.parquet",
    output:
        funnel=report(
            "<results>/reports/datasets/{dataset}/funnel.svg",
            caption="../report/funnel.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "1. From sources to samples"},
        ),
        table=report(
            "<results>/reports/datasets/{dataset}/counts.html",
            caption="../report/counts.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "2. From sources to samples, as a table"},
        ),
        dropped=report(
            "<results>/reports/datasets/{dataset}/dropped.svg",
            caption="../report/dropped.rst",
            category="1. Footage",
            subcategory="{dataset}",
            labels={"figure": "3. Left out, by reason"},
        ),
        counts="<results>/reports/datasets/{dataset}/counts.json",
    log:
        "<logs>/plot_funnel/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_funnel/{dataset}.jsonl"
    localrule: True
    params:
        steps=of_dataset(
            lambda dataset: [(step.name, step.unit) for step in steps_to(dataset)]
        ),
        samples=of_dataset(lambda dataset: dataset.layout.samples),
        code=code_digest("tessera.pages.report.counts:draw_funnels"),
    script:
        "../scripts/plot_funnel.py"


rule tabulate_refused:
    input:
        refused="<results>/sources/refused.tsv",
    output:
        table=report(
            "<results>/reports/refused.html",
            caption="../report/refused.rst",
            category="1. Footage",
            subcategory="sources",
            labels={"figure": "Refused sources"},
        ),
    log:
        "<logs>/tabulate_refused.log",
    benchmark:
        "<benchmarks>/tabulate_refused.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.pages.report.pages:tabulate_refused"),
    script:
        "../scripts/tabulate_refused.py"


rule render_datasheet:
    input:
        datasheet="<results>/datasets/{dataset}/datasheet.md",
    output:
        page=report(
            "<results>/reports/datasets/{dataset}/datasheet.html",
            caption="../report/datasheet.rst",
            category="2. Samples",
            subcategory="{dataset}",
            labels={"figure": "1. Datasheet"},
        ),
    log:
        "<logs>/render_datasheet/{dataset}.log",
    benchmark:
        "<benchmarks>/render_datasheet/{dataset}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.pages.report.pages:render_markdown"),
    script:
        "../scripts/render_datasheet.py"


rule tabulate_metrics:
    input:
        metrics="<results>/metrics/{model}.json",
        exported=export_report,
    output:
        table=report(
            "<results>/reports/models/{model}/metrics.html",
            caption="../report/metrics.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "2. Metrics"},
        ),
    log:
        "<logs>/tabulate_metrics/{model}.log",
    benchmark:
        "<benchmarks>/tabulate_metrics/{model}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.pages.report.pages:tabulate_metrics"),
    script:
        "../scripts/tabulate_metrics.py"


rule render_card:
    input:
        card="<results>/weights/{model}/card.md",
    output:
        page=report(
            "<results>/reports/models/{model}/card.html",
            caption="../report/card.rst",
            category="3. Models",
            subcategory="{model}",
            labels={"figure": "1. Card"},
        ),
    log:
        "<logs>/render_card/{model}.log",
    benchmark:
        "<benchmarks>/render_card/{model}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.pages.report.pages:render_markdown"),
    script:
        "../scripts/render_card.py"


# The measurements are not inputs: deleting one would train a model again. The inputs make this rule run after other jobs.
rule plot_timings:
    input:
        expand("<results>/weights/{model}/SHA256SUMS", model=MODELS),
        expand("<results>/datasets/{dataset}/SHA256SUMS", dataset=DATASETS),
    output:
        timings=report(
            "<results>/reports/timings.svg",
            caption="../report/timings.rst",
            category="4. Cost",
            labels={"figure": "Time and memory"},
        ),
        run="<results>/reports/run.json",
    log:
        "<logs>/plot_timings.log",
    benchmark:
        "<benchmarks>/plot_timings.jsonl"
    localrule: True
    params:
        benchmarks=workflow.pathvars.apply("<benchmarks>"),
        rules=TIMED,
        shards=list(SHARDS),
        code=code_digest(
            "tessera.pages.report.timings:draw_timings",
            "tessera.pages.report.timings:measure_run",
        ),
    script:
        "../scripts/plot_timings.py"


DETECTORS = [name for name, model in MODELS.items() if model.kind is DETECTOR]


# The first screen of the report.
rule summarise:
    input:
        metrics=expand("<results>/metrics/{model}.json", model=MODELS),
        clean=expand(
            "<results>/reports/models/{model}/false_positives.json",
            model=DETECTORS,
        ),
        restored=expand(
            "<results>/reports/models/{model}/restored",
            model=[name for name, model in MODELS.items() if model.kind is RESTORER],
        ),
        footage="<results>/reports/footage.html" if RESTORING["shown"] else [],
    output:
        summary="<results>/reports/summary.html",
        # Also of the last run, which this one is compared with.
        figures=update("<results>/reports/figures.json"),
    log:
        "<logs>/summarise.log",
    benchmark:
        "<benchmarks>/summarise.jsonl"
    localrule: True
    params:
        models=list(MODELS),
        detectors=DETECTORS,
        code=code_digest("tessera.pages.report.summary:write_summary"),
    script:
        "../scripts/summarise.py"


# What the report shows, in the order of the journey.
FIGURES = [
    "<results>/reports/refused.html",
    *(
        f"<results>/reports/datasets/{name}/{figure}"
        for name, dataset in DATASETS.items()
        for figure in [
            "funnel.svg",
            "counts.html",
            "dropped.svg",
            "datasheet.html",
            *dataset.layout.figures,
        ]
    ),
    *(
        f"<results>/reports/models/{name}/{figure}"
        for name, model in MODELS.items()
        for figure in [
            "card.html",
            "metrics.html",
            *model.kind.figures,
            *(
                figure
                for figure, setting in model.kind.optional_figures
                if config[model.kind.section][name][setting]
            ),
            *(
                model.kind.figures_of_comparisons
                if config["comparisons"].get(name)
                else []
            ),
        ]
    ),
    *(["<results>/reports/footage.html"] if RESTORING["shown"] else []),
    *expand("<results>/reports/models/{model}/learning.svg", model=ASKED),
    *expand("<results>/reports/near_duplicates/{embedding}", embedding=COMPARING),
    *(
        [
            "<results>/reports/identities/identities.html",
            "<results>/reports/identities/sheets",
        ]
        if IDENTITIES
        else []
    ),
    "<results>/reports/timings.svg",
]


def shown_figures(wildcards):
    """Return what the flags `report` of outputs say about each of `FIGURES`: the fields of `report.Figure`.

    Wildcards are filled in, but for those of the files in folders.
    """
    flagged = [
        (each.name, output, get_flag_value(output, "report"))
        for each in workflow.rules
        for output in each.output
        if is_flagged(output, "report")
    ]
    found = []
    for path in map(workflow.pathvars.apply, FIGURES):
        made_by, match, stated = next(
            (name, match, stated)
            for name, output, stated in flagged
            if (match := output.match(path))
        )
        names = match.groupdict()
        texts = [stated.category, stated.subcategory or "", stated.labels["figure"]]
        category, subcategory, label = (
            re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[0]), text)
            for text in texts
        )
        found.append(
            {
                "path": path,
                "caption": os.path.basename(stated.caption.get_path_or_uri(True)),
                "category": category,
                "subcategory": subcategory,
                "label": label,
                "wildcards": names,
                "patterns": stated.patterns,
                "made_by": made_by,
            }
        )
    return found


def decided(wildcards):
    """Return the key, the person, what it is about, and the decision of each decision."""
    rows = [(each.key, each.who, "samples", each.decision) for each in DECISIONS]
    return rows + [
        (each.target, each.by, "identities", each.action) for each in IDENTITY_DECISIONS
    ]


def matched_decisions(wildcards):
    """Return the ledgers that say which decisions match something."""
    of_samples = [
        name for name, each in DATASETS.items() if each.layout in {CLIPS, PICTURES}
    ]
    return [
        *expand("<results>/selections/{dataset}/decisions.jsonl", dataset=of_samples),
        *(
            expand("<results>/regions/{shard}/decisions.jsonl", shard=SHARDS)
            if REGION_DECISIONS and not DATASETS.keys().isdisjoint(fed_by("regions"))
            else []
        ),
        *(["<results>/frames/decisions.jsonl"] if PICTURE_DECISIONS else []),
        *(["<results>/identities/decisions.jsonl"] if IDENTITIES else []),
    ]


rule report:
    input:
        summary=rules.summarise.output.summary,
        figures=FIGURES,
        counts=expand(
            "<results>/reports/datasets/{dataset}/counts.json", dataset=DATASETS
        ),
        datasheets=expand(
            "<results>/datasets/{dataset}/datasheet.json", dataset=DATASETS
        ),
        run=rules.plot_timings.output.run,
        matched=matched_decisions,
    output:
        report="<results>/reports/report.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.jsonl"
    localrule: True
    params:
        figures=shown_figures,
        datasets=list(DATASETS),
        models=list(MODELS),
        stories=verbatim({name: each.story for name, each in DATASETS.items()}),
        decided=decided,
        name=lookup(dpath="name", within=config),
        # Not the settings themselves: many of them change no figure.
        defaults=verbatim(load_configuration({})),
        captions=os.path.relpath(CAPTIONS),
        texts=digest(
            {path.name: path.read_text("utf-8") for path in CAPTIONS.iterdir()}
        ),
        code=code_digest(
            "tessera.pages.report.report:write_report",
            "tessera.pages.report.run:changed_settings",
            "tessera.records.decisions:count_matching",
        ),
    script:
        "../scripts/report.py"
