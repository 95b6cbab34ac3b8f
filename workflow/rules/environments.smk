# Environments are artifacts, built from lock files. If a lock file changes, its environment is built again.

from tessera.core.definitions import code_digest


rule build_environment:
    input:
        lock="envs/{env}.txt",
    output:
        environment=directory("<results>/environments/{env}"),
    log:
        "<logs>/build_environment/{env}.log",
    benchmark:
        "<benchmarks>/build_environment/{env}.jsonl"
    localrule: True
    params:
        code=code_digest("tessera.core.environments:build_environment"),
    script:
        "../scripts/build_environment.py"


rule labelme:
    input:
        "<results>/environments/labelme",
