# Demo footage with known truth. config/demo.yaml and config/demo.tsv say what the workflow makes of it.


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
        code=code_digest(
            "tessera.demo:render_demo_footage",
            "tessera.demo:render_logos",
            "tessera.demo:render_watermark_set",
            "tessera.watermarks.drawing:draw_marks",
            "tessera.watermarks.drawing:load_materials",
            "tessera.demo:MARKS",
        ),
    script:
        "../scripts/render_demo_footage.py"


rule demo_footage:
    input:
        rules.render_demo_footage.output,
