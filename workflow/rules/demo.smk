# Demo footage with known ground truth. config/demo.yaml and config/demo.tsv are its settings and its manifest.

from tessera.core.definitions import code_digest


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
            "tessera.demo.render:render_demo_footage",
            "tessera.demo.render:render_references",
            "tessera.demo.render:render_logos",
            "tessera.demo.render:render_watermark_set",
            "tessera.imaging.watermark.drawing:draw_marks",
            "tessera.imaging.watermark.drawing:load_materials",
            "tessera.demo.footage:MARKS",
        ),
    script:
        "../scripts/render_demo_footage.py"


rule demo_footage:
    input:
        rules.render_demo_footage.output,
