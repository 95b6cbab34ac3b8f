# The targets that make one model or image set, each with its name. They come last, so that all names that these cannot have are
# known.

from tessera.catalogue import all_models, image_set_of_part, trained_models


def finished(model):
    """Return a function that returns the last file of `model`, and raises `TesseraError` if it is not trained."""

    def given(wildcards):
        if model.name not in MODELS:
            if model.name in trained_models(config):
                footage(wildcards)
            raise TesseraError(model.remedy)
        return f"<results>/weights/{model.name}/SHA256SUMS"

    return given


def parts_of_set(name):
    """Return a function that returns the last file of the image set `name`, or of each of its parts with one series."""

    def given(wildcards):
        parts = [each for each in DATASETS if image_set_of_part(each) == name]
        footage(wildcards)
        return expand("<results>/datasets/{dataset}/croissant.json", dataset=parts)

    return given


# The setting that names each target, and a function that returns what it makes.
TARGETS = {
    **{
        f"{model.kind.section}.{model.name}": finished(model)
        for model in all_models(config)
    },
    **{f"image_sets.{name}": parts_of_set(name) for name in config["image_sets"]},
}

for target, made_by in TARGETS.items():
    if workflow.is_rule(target.split(".")[1]):
        raise WorkflowError(
            f"`{target}`: there is a target or a rule of this name; give it another"
        )

    rule:
        name:
            target.split(".")[1]
        input:
            WITHDRAWN,
            made_by,
        localrule: True
