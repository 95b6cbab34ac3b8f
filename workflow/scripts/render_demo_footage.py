"""Render videos, stills, faces and watermarks with known ground truth, labels like those of a person, and references."""

from functools import partial

from tessera.core.job import job
from tessera.demo.faces import render_faces
from tessera.demo.footage import MARKS
from tessera.demo.render import render_demo_footage, render_logos, render_references, render_watermark_set
from tessera.imaging.watermark.drawing import draw_marks, load_materials
from tessera.imaging.watermark.settings import DrawSettings

with job(snakemake) as (_, outputs, params):
    render_demo_footage(outputs.footage, params.seed, threads=snakemake.threads)
    render_faces(outputs.footage, params.seed)
    render_references(outputs.footage / "references", params.seed)
    logos = outputs.footage / "logos"
    render_logos(logos)
    settings = DrawSettings(**MARKS, logos=logos)
    draw = partial(draw_marks, materials=load_materials(settings), settings=settings)
    render_watermark_set(path=outputs.footage / "watermarks" / "set.zip", seed=params.seed, draw=draw)
