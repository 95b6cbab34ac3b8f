# Environments are artifacts, built from lock files. If a lock file changes, its environment is built again.

from os.path import normpath

from tessera.workflow.code import digest_of_script


rule build_environment:
    input:
        lock=normpath(f"{workflow.current_basedir}/../../envs/{{env}}.txt"),
    output:
        environment=directory("<results>/environments/{env}"),
    log:
        "<logs>/build_environment/{env}.log",
    benchmark:
        "<benchmarks>/build_environment/{env}.jsonl"
    localrule: True
    params:
        code=digest_of_script("build_environment"),
    script:
        "../scripts/build_environment.py"


rule labelme:
    "the program labelme, in an environment of its own"
    input:
        "<results>/environments/labelme",
