# The rules that all models have in common: a card, and the publication of their files.

from tessera.workflow.code import digest_of_script
from tessera.workflow.models import (
    card_settings,
    export_report,
    exported_files,
    forbidden_uses,
    published_models,
    published_names,
    publishing_rule,
    purpose,
)
from tessera.workflow.project import project_of

project = project_of(config)


rule write_plain_card:
    input:
        checksums=project.of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=project.of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export=project.of_job(export_report),
        files=project.of_job(exported_files),
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_plain_card/{model}.log",
    benchmark:
        "<benchmarks>/write_plain_card/{model}.jsonl"
    wildcard_constraints:
        model=project.models_described_by("write_plain_card"),
    localrule: True
    params:
        settings=project.of_job(card_settings),
        seed=lookup(dpath="seed", within=config),
        purpose=project.of_job(purpose),
        not_for=project.of_job(forbidden_uses),
        code=digest_of_script("write_plain_card"),
    script:
        "../scripts/write_plain_card.py"


# The files of models are made and verified in results/exports. `update` keeps the published files of an earlier training until the
# new ones replace them, also if a job on the way to them fails. A rule for each list of files.
for kind, names in published_names(project):

    rule:
        name:
            publishing_rule(kind, names)
        input:
            files=project.of_job(exported_files),
            card=[
                "<results>/exports/{model}/card.json",
                "<results>/exports/{model}/card.md",
            ],
        output:
            files=[update(f"<results>/weights/{{model}}/{name}") for name in names],
            card=[
                update("<results>/weights/{model}/card.json"),
                update("<results>/weights/{model}/card.md"),
            ],
            checksums=update("<results>/weights/{model}/SHA256SUMS"),
        log:
            f"<logs>/{publishing_rule(kind, names)}/{{model}}.log",
        benchmark:
            f"<benchmarks>/{publishing_rule(kind, names)}/{{model}}.jsonl"
        wildcard_constraints:
            model=published_models(project, kind, names),
        localrule: True
        params:
            unwanted=[name for name in dict(kind.optional_exports) if name not in names],
            code=digest_of_script("publish_weights"),
        script:
            "../scripts/publish_weights.py"
