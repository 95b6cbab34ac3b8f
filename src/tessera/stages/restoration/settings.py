"""Settings of restoration: the model, its training data and stages, its evaluation and its export."""

from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from tessera.core.settings import Fraction, Settings
from tessera.imaging.degradation.settings import RESTORATION, Step
from tessera.imaging.mosaic.settings import DrawSettings, Factors, Pixels
from tessera.learning.weights.declare import ComparedWeights, DeclaredWeights, FlowWeights
from tessera.learning.weights.known import RESTORER_STARTER

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
    """Side of a training sample in pixels, a multiple of 4."""
    keep_aspect: bool = False
    """Whether clips keep their aspect ratio and are padded to a square. `false` stretches them, as Lada does in training and
    when it restores.
    """
    mosaics: ClipMosaicSettings = ClipMosaicSettings()
    """How mosaics are drawn. Each sample gets a new mosaic, with one grid for all of its frames. The settings are those of the
    section `mosaics`.
    """
    degradations: tuple[Step, ...] = RESTORATION
    """Steps that a sample goes through after that, in order, as in Lada. They are those of the section `degradations`."""
    flip: Fraction = 0.5
    """Probability that a training sample is mirrored."""
    rotate: Fraction = 0.3
    """Probability that a training sample is rotated."""
    angle: float = Field(2.0, ge=0, le=45)
    """Largest rotation in degrees, in either direction."""


class GeneratorSettings(Settings):
    """The generator, BasicVSR++ in Lada's variant, whose output is as large as its input."""

    # The deformable convolutions have 16 groups and twice as many channels as set here.
    channels: int = Field(64, ge=8, multiple_of=8)
    """Number of channels, a multiple of 8. The application of Lada needs 64 channels and 15 blocks. Of other weights, it takes
    only the tensors that fit, without an error.
    """
    blocks: PositiveInt = 15
    """Number of residual blocks in each of the four branches."""


class DiscriminatorSettings(Settings):
    """The discriminator, a U-Net with spectral normalisation."""

    channels: PositiveInt = 64
    """Number of channels of the U-Net."""


class LossSettings(Settings):
    """The weights of the losses; 0 disables a loss."""

    pixel: NonNegativeFloat = 1.0
    """Weight of the pixel loss."""
    perceptual: NonNegativeFloat = 0.0
    """Weight of the perceptual loss, which needs `weights.vgg19`."""
    adversarial: NonNegativeFloat = 0.0
    """Weight of the adversarial loss, which trains the discriminator."""

    @model_validator(mode="after")
    def _something_is_learned(self) -> Self:
        if not (self.pixel or self.perceptual or self.adversarial):
            raise ValueError("at least one of `pixel`, `perceptual` and `adversarial` should be above 0")
        return self


class LearningRateSettings(Settings):
    """The constant learning rates of Adam. `flow`, for the optical flow in the generator, is relative to `generator`."""

    generator: PositiveFloat = 1e-4
    """Learning rate of the generator."""
    flow: PositiveFloat = 0.25
    """Learning rate of the optical flow, relative to that of the generator."""
    discriminator: PositiveFloat = 1e-4
    """Learning rate of the discriminator."""


class StageSettings(Settings):
    """One stage of the training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=60)
    """Name of the stage, unique."""
    base: str | None = None
    """Earlier stage from whose best weights this one starts. `null` starts from `weights.load_from`, or from scratch."""
    iterations: PositiveInt = 100_000
    """Number of iterations."""
    frames: int = Field(30, ge=2)
    """Frames of a sample."""
    batch: PositiveInt = 2
    """Samples per iteration, on all GPUs together."""
    losses: LossSettings = LossSettings()
    """Weights of the losses. 0 turns one off."""
    learning_rates: LearningRateSettings = LearningRateSettings()
    """Learning rates of Adam, which stay constant."""
    ema: float | None = Field(None, gt=0, le=1)
    """Fraction of the weights that enters their exponential moving average at each iteration. `null` computes no average."""
    freeze_flow: NonNegativeInt | Literal["always"] = "always"
    """Number of iterations during which the optical flow is not trained, or `always`. A flow that starts from scratch is
    trained from the first iteration; with `always` there is none. A stage without this key has `always`.
    """
    validate_every: PositiveInt = 4000
    """Iterations between two validations. A stage without this key has `4000`."""


class TrainingSettings(Settings):
    """Training settings of all stages; apart from rounding, they do not change the trained weights."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision on a GPU: `fp32`, or half precision as `bf16` or `fp16`. `auto` uses bf16 if the GPU supports it, else fp32."""
    channels_last: bool = True
    """Whether tensors are stored with the channels last, in which GPUs compute convolutions faster."""
    compile: bool = True
    """Whether the slowest parts are compiled for the GPU. It takes about a minute at the start."""
    cuda_graphs: bool = True
    """Whether a GPU launches the operations of an iteration all at once, as CUDA graphs. Launched singly, they take three times
    as long.
    """
    accumulate: PositiveInt = 1
    """Number of parts into which a batch is divided, computed one after another. Raise it if the GPU runs out of memory."""
    save_every: PositiveInt = 2000
    """Iterations between two checkpoints. A killed training continues from the last one."""
    keep: Literal["last", "all"] = "last"
    """Checkpoints to keep: `last` keeps the best weights and the last checkpoint; `all` also keeps the weights of each
    checkpoint, in the folder of the training.
    """
    validation_clips: PositiveInt = 100
    """Largest number of clips of the split val on which the best weights are chosen."""


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
    """Weights that a training begins with, or that a loss needs."""

    spynet: FlowWeights = None
    """Weights of SPyNet for the optical flow of trainings without `load_from`: `starter`, those that come with Tessera, or
    others, as mmagic, BasicSR and pytorch-spynet publish them. `null` learns the flow from scratch.
    """
    vgg19: DeclaredWeights = None
    """Weights of VGG19 for the perceptual loss, as torchvision publishes them. `null` leaves that loss out of all stages."""
    load_from: DeclaredWeights = None
    """Weights of a generator, such as those of Lada, from which stages without a base start. `null` starts from scratch."""


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
    """Number of frames of each clip of val and test that are measured."""
    block_edges: tuple[PositiveFloat, ...] = (8, 12, 16, 24)
    """Block sizes in pixels, ascending, that divide the results: up to each of them, and beyond the last."""
    motion_edges: tuple[PositiveFloat, ...] = (0.5, 2, 8)
    """Lengths of the motion from frame to frame in pixels, ascending, that divide the results: up to each of them, and beyond
    the last.
    """
    median_frames: PositiveInt = 5
    """Number of frames of the temporal median, one of the methods with which the model is compared."""
    pictures: NonNegativeInt = 12
    """Number of clips of each split that the report shows, beside the ten that gain least. 0 shows none."""
    lpips: DeclaredWeights = None
    """Weights of AlexNet for the measure LPIPS, as torchvision publishes them, {source: …, sha256: …}. `null` leaves LPIPS out.
    """

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        for name in ("block_edges", "motion_edges"):
            if any(low >= high for low, high in pairwise(getattr(self, name))):
                raise ValueError(f"`{name}` should be in ascending order, without duplicates")
        return self


class ComparedRestorer(ComparedWeights):
    """A restoration model of others, or `starter`, the starter restorer."""

    starter: ClassVar[str] = RESTORER_STARTER


class ExportSettings(Settings):
    """How the exports are compared with the trained generator."""

    samples: PositiveInt = 2
    """Number of clips of the split val that are compared."""
    frames: int = Field(4, ge=2)
    """Number of frames of each of these clips. The model combines each frame with the two before it and the two after it."""
    tolerance: PositiveFloat = 1e-4
    """Largest difference of an output, where 1 is the difference between black and white."""


class RestorationSettings(Settings):
    """The restoration model."""

    data: DataSettings = DataSettings()
    """How training samples are made of the clips."""
    generator: GeneratorSettings = GeneratorSettings()
    """Generator: the network that restores."""
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    """Discriminator: a U-Net that judges the output of the generator. It is not exported."""
    weights: PretrainedSettings = PretrainedSettings()
    """Pretrained weights, each {source: a path or https://…, sha256: …}."""
    training: TrainingSettings = TrainingSettings()
    """Settings that all stages share."""
    stages: tuple[StageSettings, ...] = STAGES
    """Stages of the training, in order. The defaults are those of Lada. An empty list trains no restoration model. Keys that a
    stage does not state have the values of stage1, unless their comments state another.
    """
    metrics: MetricsSettings = MetricsSettings()
    """How the model is measured."""
    export: ExportSettings = ExportSettings()
    """How the exported weights are compared with the trained ones."""

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
