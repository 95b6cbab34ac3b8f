# The rules that all models have in common: a card, and the publication of their files.

from tessera.catalogue import all_models, settings_on_card
from tessera.core.definitions import code_digest


def export_report(wildcards):
    """Return the comparison of the exported with the trained model, or an empty list if its kind has none."""
    if not MODELS[wildcards.model].kind.compares_export:
        return []
    return f"<results>/metrics/{wildcards.model}.export.json"


# For kinds whose rules write no card. Rules that write one go before this rule with `ruleorder`.
rule write_plain_card:
    input:
        checksums=of_model("<results>/datasets/{dataset}/SHA256SUMS"),
        datasheet=of_model("<results>/datasets/{dataset}/datasheet.json"),
        metrics="<results>/metrics/{model}.json",
        export=export_report,
        files=exported_files,
    output:
        data="<results>/exports/{model}/card.json",
        text="<results>/exports/{model}/card.md",
    log:
        "<logs>/write_plain_card/{model}.log",
    benchmark:
        "<benchmarks>/write_plain_card/{model}.jsonl"
    localrule: True
    params:
        settings=lambda wildcards: settings_on_card(MODELS[wildcards.model], config),
        seed=lookup(dpath="seed", within=config),
        purpose=lambda wildcards: MODELS[wildcards.model].purpose,
        not_for=lambda wildcards: MODELS[wildcards.model].kind.not_for,
        code=code_digest("tessera.pages.cards:write_plain_card"),
    script:
        "../scripts/write_plain_card.py"


def publishing(kind, names):
    """Return the name of the rule that publishes the exported files of models of `kind` with these patterns of `names`."""
    added = dict.fromkeys(
        dict(kind.optional_exports)[name] for name in names[len(kind.exports) :]
    )
    return "_".join(["publish", kind.rules, *added])


# The files of models are made and verified in results/exports. `update` keeps the published files of an earlier training until the
# new ones replace them, also if a job on the way to them fails. A rule for each list of files.
for kind, names in dict.fromkeys(
    [
        *((model.kind, model.kind.exports) for model in all_models(config)),
        *((model.kind, names_of_exports(model)) for model in MODELS.values()),
    ]
):

    rule:
        name:
            publishing(kind, names)
        input:
            files=exported_files,
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
            f"<logs>/{publishing(kind, names)}/{{model}}.log",
        benchmark:
            f"<benchmarks>/{publishing(kind, names)}/{{model}}.jsonl"
        wildcard_constraints:
            model=any_of(
                model.name
                for model in MODELS.values()
                if (model.kind, names_of_exports(model)) == (kind, names)
            ),
        localrule: True
        params:
            unwanted=[name for name in dict(kind.optional_exports) if name not in names],
            code=code_digest("tessera.core.provenance:publish"),
        script:
            "../scripts/publish_weights.py"
