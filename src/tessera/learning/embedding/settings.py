"""Settings of the models that embed pictures."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from tessera.core.messages import Message
from tessera.core.settings import Settings
from tessera.learning.architectures import architecture_fault
from tessera.learning.preprocessing import Preprocessing
from tessera.learning.weights.declare import TrainedOrDeclaredWeights


class EmbedderSettings(Settings):
    """A model that embeds pictures."""

    kind: Literal["timm", "onnx", "detector"]
    """`detector` of ultralytics, model of `timm`, or `onnx`: a file with one input (pictures, 3, size, size) and an output
    (pictures, numbers).
    """
    weights: TrainedOrDeclaredWeights
    """Weights, {source: a path or https://…, sha256: …}. `trained` uses that in `detector`."""
    architecture: str = ""
    """Of timm: the name of the model."""
    output: Literal["pooled", "head", "layout"] = "pooled"
    """`pooled` takes pooled features, of a detector the mean of its last feature map. `head`, of timm: the output of the last
    layer, with CLIP its `image_embeds`. `layout`, of a detector: its first feature map in 36 cells, for near-duplicates.
    """
    preprocessing: Preprocessing | None = None
    """How pictures become the input. An ONNX model needs it. `null` takes that of the model."""
    normalise: bool = True
    """Whether vectors are scaled to length 1. CityClassifiers uses those of CLIP as they are."""
    batch: PositiveInt = Field(16, le=1024)
    """Pictures at a time. Lower it if the GPU runs out of memory."""

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        faults: list[Message] = []
        if self.weights is None:
            faults.append("an embedding needs `weights`")
        if self.weights == "trained" and self.kind != "detector":
            faults.append(f"`weights: trained` is for the kind detector; declare the weights of the {self.kind} model")
        if (self.kind == "timm") != bool(self.architecture):
            faults.append("`architecture` is the name of a model of timm, for the kind timm alone")
        elif self.kind == "timm" and (fault := architecture_fault(self.architecture)):
            faults.append(fault)
        if self.output != "pooled" and self.kind != {"head": "timm", "layout": "detector"}[self.output]:
            faults.append(f"`output: {self.output}` is not for the kind {self.kind}")
        if self.weights is not None and self.weights != "trained":
            is_onnx = self.weights.file.endswith(".onnx")
            if is_onnx != (self.kind == "onnx"):
                faults.append("the kind onnx needs a file `.onnx`, and no other kind takes one")
        if self.kind == "onnx" and self.preprocessing is None:
            faults.append("an ONNX model states no preprocessing; set `preprocessing`")
        if faults:
            raise ValueError("; ".join(faults))
        return self
