# The targets that make one model, each with its name. They come last, so that all names that a classifier cannot have are known.

from tessera.catalogue import all_models, trained_models


def finished(model):
    """Return a function that returns the last file of `model`, and raises `TesseraError` if it is not trained."""

    def given(wildcards):
        if model.name not in MODELS:
            if model.name in trained_models(config):
                footage(wildcards)
            raise TesseraError(model.remedy)
        return f"<results>/weights/{model.name}/SHA256SUMS"

    return given


for model in all_models(config):
    if workflow.is_rule(model.name):
        raise WorkflowError(
            f"`{model.kind.section}.{model.name}`: there is a target or a rule of this name; give it another"
        )

    rule:
        name:
            model.name
        input:
            WITHDRAWN,
            finished(model),
        localrule: True
