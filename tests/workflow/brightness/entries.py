"""The entries that are appended to src/tessera/catalogue.py."""

from tessera.extras.brightness.settings import BrightnessSettings

IMAGE_FOLDERS = Layout(
    rules="brightness",
    samples="images",
    table="lumas.parquet",
    folders=("train", "val", "test"),
    files=(),
)
GATES["brightness"] = (Step("measuring", "images", "<results>/brightness/{shard}/ledger.jsonl"),)
DATASETS += (
    Dataset(
        name="brightness_classification",
        layout=IMAGE_FOLDERS,
        gates=("frames", "brightness"),
        settings_sections=("sources", "frames", "splits"),
        description="Sampled frames are dark or bright by their mean luma.",
    ),
)
THRESHOLD = Kind(rules="brightness", exports=("{model}.json",), not_for=NOT_FOR)
MODELS += (
    Model(
        name="brightness_classification",
        dataset="brightness_classification",
        kind=THRESHOLD,
        purpose="classify pictures as dark or bright",
        untrained_hint="`models.brightness_classification` is null, so that it is not trained; give it settings",
        settings=BrightnessSettings(),
    ),
)
