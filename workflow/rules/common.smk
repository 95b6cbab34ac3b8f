# What is known before a job starts: the project, with its settings, manifest and decisions. Every rule file has it from `config`.

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from tessera.configuration.read import settings_files
from tessera.core.errors import TesseraError
from tessera.workflow.project import any_of, load_project
from tessera.workflow.records import decide_by_records
from tessera.workflow.start import check_project, shared_shards, warnings

try:
    project = load_project(
        config,
        workflow.pathvars.apply("<results>"),
        logger.warning if workflow.is_main_process else None,
        settings_files(workflow.config_settings.configfiles),
    )
    check_project(project)
    # Only in the main process, not in every job.
    if workflow.is_main_process:
        records = decide_by_records(workflow, project.results)
        for warning in warnings(project):
            logger.warning(warning)
        if message := shared_shards(project):
            logger.info(message)
except TesseraError as error:
    raise WorkflowError(str(error)) from None
config = project.config


wildcard_constraints:
    # Not a pattern of all names: with a thousand shards, matching it would take most of the planning time.
    shard="[^/]+",
    dataset=any_of(project.datasets),
    model=any_of(project.models),
