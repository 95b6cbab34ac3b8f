# How errors are logged. It comes first, because faults in the settings are errors as well.

import logging
from functools import partial

from snakemake.logging import logger

from tessera.workflow.start import rewrite_log_record

# On a full disk, a traceback would follow each message that the log of Snakemake cannot take.
logging.raiseExceptions = False
logger.addFilter(
    partial(
        rewrite_log_record,
        targets=lambda: (rule.name for rule in workflow.rules),
    )
)
