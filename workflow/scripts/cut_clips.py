"""Cut clips of the scenes of a shard out of its videos."""

from pathlib import Path

from tessera.core.job import job
from tessera.core.provenance import sha256_file
from tessera.imaging.mosaic.drawing import block_sizes
from tessera.pipeline.clips.cut import cut_clips
from tessera.pipeline.clips.settings import ClipSettings

with job(snakemake) as (inputs, outputs, params):
    cut_clips(
        scenes=inputs.scenes,
        scene_frames=inputs.scene_frames,
        sources=inputs.sources,
        kept=Path(snakemake.output.clips).parent / "kept",
        settings=ClipSettings(**params.settings),
        block_sizes=block_sizes,
        detector=sha256_file(inputs.weights),
        found_by=params.found_by,
        seed=params.seed,
        code=params.code,
        threads=snakemake.threads,
        **vars(outputs),
    )
