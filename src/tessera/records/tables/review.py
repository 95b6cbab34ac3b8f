"""The table of what people are asked to decide on."""

import pandera.polars as pa
import polars as pl

from tessera.records.tables.table import Table

CLIPS, FRAMES, REGIONS, FALSE_POSITIVES = "clips", "frames", "regions", "false positives"
PAIRS, LABELS, ASKED, IDENTITIES, FACES = "near-duplicates", "labels", "asked", "identities", "faces"
# In the order of the pipeline: what comes first changes what comes later.
QUEUES = (FRAMES, FALSE_POSITIVES, PAIRS, ASKED, LABELS, REGIONS, CLIPS, IDENTITIES, FACES)


class ReviewItems(Table):
    """What can be decided: by queue, and in it those items first whose decision is worth most."""

    queue: pl.String = pa.Field(isin=QUEUES, description="queue that the item is in")
    key: pl.String = pa.Field(description="key of the clip, the frame, the region, the picture, the crop or the face")
    target: pl.String = pa.Field(description="key under which a decision on it is written; empty: its key")
    classifier: pl.String = pa.Field(description="classifier or face set that the decision is for; empty: none")
    source: pl.String = pa.Field(description="id from the manifest, or of a set of images that the settings name")
    split: pl.String = pa.Field(isin=["train", "val", "test", ""], description="its split; empty: none")
    value: pl.Float64 = pa.Field(ge=0, le=1, description="how much a decision is worth, compared with others of the queue")
    reason: pl.String = pa.Field(description="why it is asked, such as `watermark`")
    detail: pl.String = pa.Field(description="the numbers behind the reason")
    state: pl.String = pa.Field(isin=["kept", "dropped", ""], description="what the run did with it; empty: nothing yet")
    label: pl.String = pa.Field(description="its class or identity; empty: none")
    suggested: pl.String = pa.Field(description="class that it probably has; empty: none")
    is_blurred: pl.Boolean = pa.Field(description="whether the page blurs it until a key shows it")
    picture: pl.String = pa.Field(description="path of its picture; empty: it is a clip")
    clip: pl.String = pa.Field(description="path of its video; empty: it is a picture")
    frames: pl.Int64 = pa.Field(ge=0, description="frames of a clip; 0: it is a picture")
    mask: pl.String = pa.Field(description="path of the video of its mask; empty: none")
    beside: pl.String = pa.Field(description="path of the picture beside which it is shown; empty: none")
    beside_text: pl.String = pa.Field(description="what the picture beside it is")
    boxes: pl.List(pl.List(pl.Float64)) = pa.Field(  # type: ignore[valid-type]
        description="x0, y0, x1, y1 of each region, as fractions of the sides of the picture"
    )
    box_texts: pl.List(pl.String) = pa.Field(description="label and confidence of each region")  # type: ignore[valid-type]
    box_counts: pl.List(pl.Boolean) = pa.Field(  # type: ignore[valid-type]
        description="whether the confidence of each region reaches the limit"
    )
    outlines: pl.String = pa.Field(description="path of the table with the outlines of the regions; empty: none")

    labelled: pl.String = pa.Field(description="path of the table with the label of the picture; empty: it has none")
    sorts: pl.List(pl.String) = pa.Field(description="names of the sorts of its face set")  # type: ignore[valid-type]
    ranks: pl.List(pl.Int64) = pa.Field(description="its rank in each of them, from 0; null: none")  # type: ignore[valid-type]
    sort_texts: pl.List(pl.String) = pa.Field(  # type: ignore[valid-type]
        description="what each of them measured, its rank, and why it has none or is not selected"
    )

    class Config(Table.Config):
        unique = ("queue", "key", "classifier")
