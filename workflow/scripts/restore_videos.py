"""Restore the mosaics that were found in the sources of a shard."""

from functools import partial
from pathlib import Path

from tessera.core.job import job
from tessera.core.provenance import sha256_file
from tessera.imaging.crops import CropSettings
from tessera.learning.block_network import read_network
from tessera.learning.weights.resolve import expected_digest, verify_weights
from tessera.learning.weights.tensors import stated_size
from tessera.stages.restoration.inference import restore_clip
from tessera.stages.restore.methods import BlockModel, ClipModel
from tessera.stages.restore.restored import restore_videos
from tessera.stages.restore.settings import RestoreSettings

with job(snakemake) as (inputs, outputs, params):
    verify_weights(inputs.weights, expected_digest(params.settings["weights"], inputs.checksums))
    network = read_network(inputs.weights)
    restore_videos(
        sources=inputs.sources,
        scenes=inputs.scenes,
        scene_frames=inputs.scene_frames,
        detection_ledger=inputs.found,
        method=BlockModel(network.picture) if network else ClipModel(partial(restore_clip, weights=inputs.weights)),
        cache=Path(snakemake.output.ledger).parent / "kept" / "videos",
        cache_key=[sha256_file(inputs.weights), params.restored_by],
        settings=RestoreSettings(**params.settings),
        crops=CropSettings(**params.crops),
        size=stated_size(inputs.weights) or params.size,
        keep_aspect=params.keep_aspect,
        **vars(outputs),
    )
