# Generated footage: of the demo, with known ground truth, and of the starter models; and the starter restorer and optical flow.

from tessera.workflow.code import digest_of_script
from tessera.workflow.project import project_of
from tessera.workflow.sources import starter_videos

project = project_of(config)


localrules:
    demo_footage,
    starter_footage,
    starter_restorer,
    starter_flow,


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


# The pictures lie in packages of Debian, which are downloaded unless they are in `packages`.
rule fetch_starter_pictures:
    output:
        pictures=directory("resources/starter/pictures"),
    log:
        "<logs>/fetch_starter_pictures.log",
    benchmark:
        "<benchmarks>/fetch_starter_pictures.jsonl"
    params:
        packages="resources/starter/packages",
        code=digest_of_script("fetch_starter_pictures"),
    script:
        "../scripts/fetch_starter_pictures.py"


rule render_starter_video:
    input:
        pictures="resources/starter/pictures",
    output:
        video="resources/starter/videos/{split}-{number}.mp4",
    log:
        "<logs>/render_starter_video/{split}-{number}.log",
    benchmark:
        "<benchmarks>/render_starter_video/{split}-{number}.jsonl"
    wildcard_constraints:
        split="train|val|test",
        number="[0-9]+",
    params:
        seed=config["seed"],
        code=digest_of_script("render_starter_video"),
    script:
        "../scripts/render_starter_video.py"


rule starter_footage:
    "rendered footage of the starter models"
    input:
        project.of_job(starter_videos),


# It learns from clips that are made of the pictures in memory.
rule train_starter_restorer:
    input:
        pictures="resources/starter/pictures",
    output:
        weights="<results>/weights/starter_restorer.safetensors",
    log:
        "<logs>/train_starter_restorer.log",
    benchmark:
        "<benchmarks>/train_starter_restorer.jsonl"
    threads: 2
    params:
        run="<results>/training/starter_restorer",
        clips=16_000,
        iterations=16_000,
        seed=config["seed"],
        code=digest_of_script("train_starter_restorer"),
    script:
        "../scripts/train_starter_restorer.py"


rule starter_restorer:
    "the restorer that comes with Tessera, from free pictures, within an hour"
    input:
        rules.train_starter_restorer.output,


# It learns from pairs of frames, which are made in the same way.
rule train_starter_flow:
    input:
        pictures="resources/starter/pictures",
    output:
        weights="<results>/weights/starter_flow.safetensors",
    log:
        "<logs>/train_starter_flow.log",
    benchmark:
        "<benchmarks>/train_starter_flow.jsonl"
    threads: 2
    params:
        run="<results>/training/starter_flow",
        pairs=16_000,
        seed=config["seed"],
        code=digest_of_script("train_starter_flow"),
    script:
        "../scripts/train_starter_flow.py"


rule starter_flow:
    "the optical flow that trainings of restorers start with, from free pictures, within an hour"
    input:
        rules.train_starter_flow.output,
