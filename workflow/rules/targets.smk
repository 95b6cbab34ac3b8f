# The targets that make one model, image set or face set, each with its name. They come last, so that all names that these cannot
# have are known.

from snakemake.exceptions import WorkflowError

from tessera.workflow.project import project_of
from tessera.workflow.targets import targets
from tessera.workflow.withdrawal import WITHDRAWN

project = project_of(config)


for setting, files in targets(project).items():
    if workflow.is_rule(setting.split(".")[1]):
        raise WorkflowError(
            f"`{setting}`: there is a target or a rule of this name; give it another"
        )

    rule:
        "one of the models, image sets or face sets that the settings name"
        name:
            setting.split(".")[1]
        input:
            WITHDRAWN,
            files,
        localrule: True
