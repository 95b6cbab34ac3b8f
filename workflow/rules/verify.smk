# Compare everything that was made so far with what the jobs wrote.

from tessera.workflow.code import digest_of_script
from tessera.workflow.project import literal_param, project_of
from tessera.workflow.targets import products

project = project_of(config)


# It has no output, so it runs whenever it is requested.
rule verify:
    "whether the results are as the jobs wrote them"
    log:
        "<logs>/verify.log",
    localrule: True
    params:
        logs=workflow.pathvars.apply("<logs>"),
        results=project.results,
        products=literal_param(products(project)),
        code=digest_of_script("verify"),
    script:
        "../scripts/verify.py"
