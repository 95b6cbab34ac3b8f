# Environments are artifacts: made from a lock file, made again when it changes.


rule build_environment:
    input:
        "envs/{env}.txt",
    output:
        environment=directory("<results>/environments/{env}"),
    log:
        "<logs>/build_environment/{env}.log",
    benchmark:
        "<benchmarks>/build_environment/{env}.jsonl"
    shell:
        "(uv venv --quiet --python {sys.executable:q} {output.environment:q}"
        " && uv pip install --quiet --python {output.environment:q} --no-deps --require-hashes -r {input:q}) >{log:q} 2>&1"


rule labelme:
    input:
        "<results>/environments/labelme",
