"""Settings of embeddings."""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field, NonNegativeInt

from tessera.core.messages import Message
from tessera.core.settings import Settings
from tessera.learning.embedding.settings import EmbedderSettings

Similarity = Annotated[float, Field(gt=0, le=1)] | None


class NearDuplicateSettings(Settings):
    """From which cosine of their vectors on two pictures count as near-duplicates; null: never."""

    within: Similarity = 0.95
    """Smallest cosine of near-duplicates of one source. `null` compares none."""
    across: Similarity = 0.95
    """Smallest cosine of near-duplicates of two sources. `null` compares none."""
    ends: Similarity = None
    """Smallest cosine of two openings or two endings, the first or the last thirds of the frames of two videos. `null` compares
    none.
    """


class EmbeddingSettings(EmbedderSettings):
    """An embedding of the sampled frames, the labelled images, the clips and the crops."""

    detector: str = ""
    """Of `weights: trained`: the detector that is trained here, such as `nsfw_detection`."""
    clips: NonNegativeInt = Field(0, le=1000)
    """Number of frames per clip, whose mean is its vector. 0 embeds no clips."""
    crops: tuple[str, ...] = ()
    """Steps of `crops` whose crops are embedded. Then frames are embedded only with `near_duplicates` or `clips`."""
    near_duplicates: NearDuplicateSettings | None = None
    """Smallest cosine of the vectors of two near-duplicates, from 0 to 1. `null` searches for none."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]
Embeddings = dict[Name, EmbeddingSettings]


def embedding_faults(
    embeddings: Mapping[str, EmbeddingSettings],
    removing: Collection[str],
    trained: Collection[str],
    steps: Collection[str],
) -> list[str]:
    """Return what is wrong with `embeddings`, by name, as a whole.

    `removing`: the embeddings whose near-duplicates are left out of datasets. `trained`: the detectors that are trained here.
    `steps`: the names of the steps of crops.
    """
    faults: list[Message] = []
    for name, embedding in embeddings.items():
        if embedding.weights == "trained" and embedding.detector not in trained:
            faults.append(
                f"`embeddings.{name}.detector` is {embedding.detector!r}, which is not trained here: name one of"
                f" {', '.join(trained) or 'the detectors, none of which is trained now'}"
            )
        if embedding.weights != "trained" and embedding.detector:
            faults.append(f"`embeddings.{name}.detector` is for `weights: trained` alone; leave it out")
        faults += [
            f"`embeddings.{name}.crops` names {step!r}, which is no step of `crops.steps`: there is"
            f" {', '.join(steps) or 'none'}"
            for step in embedding.crops
            if step not in steps
        ]
    for name in removing:
        if name not in embeddings or embeddings[name].near_duplicates is None:
            faults.append(f"`duplicates.embeddings` names {name!r}, but `embeddings.{name}` has no `near_duplicates`; add them")
        elif embeddings[name].weights == "trained":
            faults.append(
                f"`duplicates.embeddings` names {name!r}, whose detector is trained here: it would decide which pictures it is"
                " trained on. Copy its weights, and declare them with their sha256 in place of `trained`"
            )
    return faults
