"""Settings of restoration: the model, its training data and stages, its evaluation and its export."""

from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tessera.core.settings import Fraction, Settings
from tessera.imaging.degradation.settings import RESTORATION, Step
from tessera.imaging.mosaic.settings import DrawSettings, Factors, Pixels
from tessera.learning.weights.declare import DeclaredWeights

# The methods that every model is compared with, the model that is trained here, and the clips that it should return.
BASELINES = ("mosaicked", "bicubic", "temporal_median")
RESTORED, CLEAN = "restored", "clean"


class ClipMosaicSettings(DrawSettings):
    """How the mosaics of clips are drawn. The defaults are Lada's for its restorer, except `min_block`, which it lacks."""

    version: Literal["v1", "v2", "v3", "v4"] = "v1"
    bounding: Fraction = 0.0
    scale: Factors = (0.7, 2.2)
    dilation: tuple[Pixels, ...] = Field((0,), min_length=1)
    incomplete: Fraction = 0.0


class DataSettings(Settings):
    """How samples are made from clips. The defaults are Lada's; see `tessera.stages.restoration.samples`."""

    size: int = Field(256, ge=32, multiple_of=4)
    keep_aspect: bool = False
    mosaics: ClipMosaicSettings = ClipMosaicSettings()
    degradations: tuple[Step, ...] = RESTORATION
    flip: Fraction = 0.5
    rotate: Fraction = 0.3
    angle: float = Field(2.0, ge=0, le=45)


class GeneratorSettings(Settings):
    """The generator, BasicVSR++ in Lada's variant, whose output is as large as its input."""

    # The deformable convolutions have 16 groups and twice as many channels as set here.
    channels: int = Field(64, ge=8, multiple_of=8)
    blocks: PositiveInt = 15


class DiscriminatorSettings(Settings):
    """The discriminator, a U-Net with spectral normalisation."""

    channels: PositiveInt = 64


class LossSettings(Settings):
    """The weights of the losses; 0 disables a loss."""

    pixel: NonNegativeFloat = 1.0
    perceptual: NonNegativeFloat = 0.0
    adversarial: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not (self.pixel or self.perceptual or self.adversarial):
            raise ValueError("at least one of `pixel`, `perceptual` and `adversarial` should be above 0")
        return self


class LearningRateSettings(Settings):
    """The constant learning rates of Adam. `flow`, for the optical flow in the generator, is relative to `generator`."""

    generator: PositiveFloat = 1e-4
    flow: PositiveFloat = 0.25
    discriminator: PositiveFloat = 1e-4


class StageSettings(Settings):
    """One stage of the training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)
    base: str | None = None
    iterations: PositiveInt = 100_000
    frames: int = Field(30, ge=2)
    batch: PositiveInt = 2
    losses: LossSettings = LossSettings()
    learning_rates: LearningRateSettings = LearningRateSettings()
    ema: float | None = Field(None, gt=0, le=1)
    freeze_flow: NonNegativeInt | Literal["always"] = "always"
    validate_every: PositiveInt = 4000


class TrainingSettings(Settings):
    """Training settings of all stages; apart from rounding, they do not change the trained weights."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = True
    accumulate: PositiveInt = 1
    save_every: PositiveInt = 2000
    keep: Literal["last", "all"] = "last"
    validation_clips: PositiveInt = 100


class StageTraining(Settings):
    """All settings of the training of one stage."""

    stage: StageSettings
    data: DataSettings = DataSettings()
    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    training: TrainingSettings = TrainingSettings()


class StartingWeights(Settings):
    """The files of the weights that a stage starts from, and of `vgg19`, for its perceptual loss; None if there is none."""

    base: Path | None = None
    load_from: Path | None = None
    spynet: Path | None = None
    vgg19: Path | None = None


class PretrainedSettings(Settings):
    """Declared weights. Without them, the network starts from scratch, or the loss is left out."""

    spynet: DeclaredWeights = None
    vgg19: DeclaredWeights = None
    load_from: DeclaredWeights = None


_LADA_GAN = {
    "frames": 16,
    "learning_rates": LearningRateSettings(generator=5e-5),
    "ema": 0.001,
}
# Lada's stages.
STAGES = (
    StageSettings(name="stage1", freeze_flow=5000, validate_every=5000),
    StageSettings(
        name="stage2",
        base="stage1",
        iterations=150_000,
        losses=LossSettings(perceptual=0.2, adversarial=0.05),
        **_LADA_GAN,
    ),
    StageSettings(name="stage2.5", base="stage2", losses=LossSettings(perceptual=1.0, adversarial=0.1), **_LADA_GAN),
    StageSettings(
        name="stage2.6",
        base="stage2.5",
        batch=1,
        losses=LossSettings(perceptual=1.0, adversarial=0.1),
        **{**_LADA_GAN, "frames": 26},
    ),
)


class MetricsSettings(Settings):
    """How the model is evaluated, and how many example pictures are written."""

    frames: int = Field(30, ge=2)
    block_edges: tuple[PositiveFloat, ...] = (8, 12, 16, 24)
    motion_edges: tuple[PositiveFloat, ...] = (0.5, 2, 8)
    median_frames: PositiveInt = 5
    pictures: NonNegativeInt = 12
    lpips: DeclaredWeights = None

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        for name in ("block_edges", "motion_edges"):
            if any(low >= high for low, high in pairwise(getattr(self, name))):
                raise ValueError(f"`{name}` should be in ascending order, without duplicates")
        return self


class ExportSettings(Settings):
    """How the exports are compared with the trained generator."""

    samples: PositiveInt = 2
    frames: int = Field(4, ge=2)
    tolerance: PositiveFloat = 1e-4


class RestorationSettings(Settings):
    """The restoration model."""

    data: DataSettings = DataSettings()
    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    weights: PretrainedSettings = PretrainedSettings()
    training: TrainingSettings = TrainingSettings()
    stages: tuple[StageSettings, ...] = STAGES
    metrics: MetricsSettings = MetricsSettings()
    export: ExportSettings = ExportSettings()

    @model_validator(mode="after")
    def _stages_build_on_each_other(self) -> Self:
        before: list[str] = []
        for stage in self.stages:
            if stage.name in before:
                raise ValueError(f"two of `stages` have the name {stage.name!r}; rename one")
            if stage.base is not None and stage.base not in before:
                raise ValueError(
                    f"the stage {stage.name!r} has the base {stage.base!r}: set it to a stage before it"
                    f" ({', '.join(before) or 'there are none'}), or to null"
                )
            before.append(stage.name)
        return self
