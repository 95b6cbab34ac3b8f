"""Settings of earlier versions, and what they are called now."""

NEW_NAMES = {
    "frames.interval": "frames.interval_seconds",
    "frames.every": "frames.every_frames",
    "frames.skip_start": "frames.skip_start_seconds",
    "frames.skip_end": "frames.skip_end_seconds",
    "scenes.detect.stride": "scenes.detect.every_frames",
    "scenes.track.buffer": "scenes.track.buffer_seconds",
    "scenes.choose.bridge": "scenes.choose.bridge_seconds",
    "scenes.choose.minimum": "scenes.choose.min_seconds",
    "scenes.choose.maximum": "scenes.choose.max_seconds",
    "scenes.choose.stride": "scenes.choose.gap_seconds",
    "scenes.choose.smooth_masks": "scenes.choose.smooth_masks_seconds",
    "scenes.choose.smooth_boxes": "scenes.choose.smooth_boxes_seconds",
    "scores.nsfw_classes": "scores.detectors.nsfw.classes",
    "video_metrics.seconds": "video_metrics.max_seconds",
    "video_metrics.rate": "video_metrics.frames_per_second",
    "preview.predict.stride": "preview.predict.every_frames",
    "preview.proposals.every": "preview.proposals.every_frames",
    "preview.proposals.apart": "preview.proposals.apart_seconds",
    "preview.restore": "restore",
}
# The sections below `restore` are those below `scenes`.
NEW_NAMES |= {
    old.replace("scenes", "restore", 1): new.replace("scenes", "restore", 1)
    for old, new in NEW_NAMES.items()
    if old.startswith("scenes.")
}
RENAMED = {old: f"is called `{new}` now" for old, new in NEW_NAMES.items()}
