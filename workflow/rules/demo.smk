# Demo footage with known ground truth, for the project in examples/demo.

from tessera.workflow.code import digest_of_script


localrules:
    demo_footage,


rule render_demo_footage:
    output:
        footage=directory("resources/demo"),
    log:
        "<logs>/render_demo_footage.log",
    benchmark:
        "<benchmarks>/render_demo_footage.jsonl"
    threads: 2
    params:
        seed=config["seed"],
        code=digest_of_script("render_demo_footage"),
    script:
        "../scripts/render_demo_footage.py"


rule demo_footage:
    "generated footage with known ground truth, for the demo"
    input:
        rules.render_demo_footage.output,
