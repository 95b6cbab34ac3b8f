"""Make the metadata of a clip as Lada 0.11 (https://github.com/ladaapp/lada) reads it: version 2 of its JSON files.

The trainer of Lada expects the files of a clip in three folders side by side: `crop_unscaled_img/KEY.mp4`,
`crop_unscaled_mask/KEY.mkv` and `crop_unscaled_meta/KEY.json`. The last folder contains no other files.
"""

from collections.abc import Mapping
from typing import Any

IMAGES, MASKS, METADATA = "crop_unscaled_img", "crop_unscaled_mask", "crop_unscaled_meta"
BLOCKS = "v3", "v2", "v1_normal", "v1_bounding"
QUALITY = {"aesthetic": "aesthetic", "technical": "technical", "overall": "quality"}  # name: column of the scores
SAMPLED = 0.3  # fraction of the frames of a clip on which Lada runs its detectors
DETECTED = {  # name: column of the scores, and number of sampled frames that must have a detection
    "watermark_detected": ("watermark", 4),
    "nudenet_nsfw_detected": ("nsfw", 6),
    "censoring_detected": ("mosaic", 4),
}
NSFW_CLASSES = "FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED"


def metadata(clip: Mapping[str, Any], scores: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the metadata, version 2, of `clip`, a row of `tables.clips.Clips`. `scores` is its row of `tables.clips.Scores`.

    Shapes are height and width, and pads are at the top, bottom, left and right, all in pixels. Paths are relative to the JSON
    file, and `name` is the id of the source. `crops`, x0, y0, x1 and y1 of the crop in each frame, is our addition, which Lada
    ignores. Scores that were not measured are left out.

    Lada samples three frames in ten. A watermark, NSFW content (`nudenet_nsfw_detected`) and a mosaic (`censoring_detected`)
    count as detected if the scores imply a detection in 4, 6 and 4 of these frames, or in all of them if there are fewer.
    """
    known: dict[str, Any] = {}
    if scores is not None:
        quality = {name: scores[column] for name, column in QUALITY.items()}
        if None not in quality.values():
            known["video_quality"] = quality
        for name, (column, least) in DETECTED.items():
            if scores[column] is not None:
                sampled = SAMPLED * clip["frames"]
                known[name] = scores[column] * sampled >= min(least, sampled)
        if scores["nsfw_classes"] is not None:
            known["nudenet_nsfw_detected_classes"] = {name: name in scores["nsfw_classes"] for name in NSFW_CLASSES}
    return {
        "name": clip["source"],
        "fps": clip["rate"],
        "frames_count": clip["frames"],
        "orig_shape": [clip["frame_height"], clip["frame_width"]],
        "scene_shape": [clip["height"], clip["width"]],
        "base_mosaic_block_size": {f"mosaic_size_{name}": clip[f"block_{name}"] for name in BLOCKS},
        "pad": [list(pad) for pad in clip["pads"]],
        "crops": [list(crop) for crop in clip["crops"]],
        "relative_nsfw_video_path": f"../{IMAGES}/{clip['key']}.mp4",
        "relative_mask_video_path": f"../{MASKS}/{clip['key']}.mkv",
        **known,
        "version": 2,
    }
