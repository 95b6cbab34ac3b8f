# Compare everything that was made so far with what the jobs wrote.

from tessera.core.definitions import code_digest


# It has no output, so it runs whenever it is requested.
rule verify:
    log:
        "<logs>/verify.log",
    localrule: True
    params:
        logs=workflow.pathvars.apply("<logs>"),
        code=code_digest("tessera.core.verify:verify_outputs"),
    script:
        "../scripts/verify.py"
