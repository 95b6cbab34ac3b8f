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
    weights: TrainedOrDeclaredWeights
    architecture: str = ""
    output: Literal["pooled", "head", "layout"] = "pooled"
    preprocessing: Preprocessing | None = None
    normalise: bool = True
    batch: PositiveInt = Field(16, le=1024)

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
