"""Replace the published files of a model by verified ones, with their checksums."""

from tessera.core.job import job
from tessera.core.log import tell
from tessera.core.provenance import publish
from tessera.pages.report.summary import finding_nothing_by_card

with job(snakemake) as (inputs, outputs, params):
    publish(
        files=[*inputs.files, *inputs.card],
        copies=[*outputs.files, *outputs.card],
        checksums=outputs.checksums,
        unwanted=params.unwanted,
    )
    # The last line of a run of one model, which makes no report.
    for remark in finding_nothing_by_card(snakemake.wildcards.model, inputs.card[0]):
        tell(remark)
