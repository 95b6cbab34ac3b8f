"""Follow what was seen in the videos of a shard, and choose the stretches that show one region."""

from functools import partial

from tessera.core.job import job
from tessera.pipeline.scenes.find import find_scenes
from tessera.pipeline.scenes.track import TrackSettings, track
from tessera.pipeline.scenes.tracks import SceneSettings

with job(snakemake) as (inputs, outputs, params):
    follow = partial(track, settings=TrackSettings(**params.track))
    settings = SceneSettings(**params.choose)
    find_scenes(
        frames=inputs.frames,
        detections=inputs.detections,
        follow=follow,
        settings=settings,
        seed=params.seed,
        **vars(outputs),
        threads=snakemake.threads,
    )
