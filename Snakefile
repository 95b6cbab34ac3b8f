# The workflow stands in workflow/Snakefile. `include:` would not take over its default target.
workflow.include("workflow/Snakefile", overwrite_default_target=True)
