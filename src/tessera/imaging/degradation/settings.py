"""Settings of the degradations: chains of steps, each with its probability and the ranges that it is drawn from."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tessera.core.settings import Settings

T = TypeVar("T")


def _ascending(limits: tuple[T, T]) -> tuple[T, T]:
    if limits[0] > limits[1]:  # type: ignore[operator]
        raise ValueError("the first limit should not be above the second")
    return limits


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("the side of a kernel should be odd, it has a middle")
    return size


def _some_weight(weights: dict[T, float]) -> dict[T, float]:
    if not sum(weights.values()):
        raise ValueError("one of the weights should be above 0")
    return weights


Range = Annotated[tuple[T, T], AfterValidator(_ascending)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=51), AfterValidator(_odd)], ...], Field(min_length=1)]
Kernel = Literal[
    "isotropic",
    "anisotropic",
    "generalized_isotropic",
    "generalized_anisotropic",
    "plateau_isotropic",
    "plateau_anisotropic",
]


class Operation(Settings):
    """What may be done to a picture."""

    probability: Fraction


class Sharpen(Operation):
    """Unsharp mask. `radius` and `threshold` in pixels and levels."""

    weight: Annotated[float, Field(ge=0, le=10)]
    radius: Annotated[int, Field(ge=1, le=100)]
    threshold: Annotated[float, Field(ge=0, le=255)]


class Blur(Operation):
    """Blur with a kernel of one of `sizes`, of the kinds and weights of `kernels`. `sigma` in pixels."""

    sizes: Sizes
    sigma: Range[Annotated[float, Field(ge=0.05, le=50)]]
    kernels: Annotated[dict[Kernel, Annotated[float, Field(ge=0, le=1e6)]], AfterValidator(_some_weight)]


class Sinc(Operation):
    """Cut off high frequencies, which leaves rings. `cutoff` is a fraction of the highest frequency."""

    sizes: Sizes
    cutoff: Range[Annotated[float, Field(gt=0, le=1)]]


class Resize(Operation):
    """Scale to a size relative to that of the picture at the start of the chain, whatever it is now."""

    scale: Range[Annotated[float, Field(ge=0.05, le=8)]]
    methods: Annotated[tuple[Literal["area", "bilinear", "bicubic"], ...], Field(min_length=1)]


class GaussianNoise(Operation):
    """Noise of the deviation `sigma`, in levels; with the probability `grey` the same in all colours."""

    sigma: Range[Annotated[float, Field(ge=0, le=255)]]
    grey: Fraction


class PoissonNoise(Operation):
    """Noise of light, `scale` times as strong as if each level were one photon; with the probability `grey` without colour."""

    scale: Range[Annotated[float, Field(ge=0, le=100)]]
    grey: Fraction


class Jpeg(Operation):
    """JPEG with 4:2:0 colours."""

    quality: Range[Annotated[int, Field(ge=1, le=100)]]


class Crf51(Operation):
    """A codec with a constant rate factor up to 51: x264, x265."""

    crf: Range[Annotated[int, Field(ge=0, le=51)]]


class Crf63(Operation):
    """A codec with a constant rate factor up to 63: VP9."""

    crf: Range[Annotated[int, Field(ge=0, le=63)]]


class Quantizer(Operation):
    """A codec with a constant quantizer: MPEG-2."""

    quantizer: Range[Annotated[int, Field(ge=1, le=31)]]


class AllOf(Operation):
    """All of `steps`, or none; none where a mosaic's blocks are smaller than `min_block`, a fraction of the shorter side."""

    min_block: Fraction = 0.0
    steps: tuple["Step", ...]


class Step(Settings):
    """One step of a chain: one operation under its name. Of `one_of`, at most one is done, each with its probability."""

    sharpen: Sharpen | None = None
    blur: Blur | None = None
    sinc: Sinc | None = None
    resize: Resize | None = None
    gaussian_noise: GaussianNoise | None = None
    poisson_noise: PoissonNoise | None = None
    jpeg: Jpeg | None = None
    x264: Crf51 | None = None
    x265: Crf51 | None = None
    vp9: Crf63 | None = None
    mpeg2: Quantizer | None = None
    all_of: AllOf | None = None
    one_of: tuple["Step", ...] | None = None

    @model_validator(mode="after")
    def _one_operation(self) -> Self:
        named = [name for name, value in self if value is not None]
        if len(named) != 1:
            raise ValueError(f"a step should be one operation, this names {', '.join(named) or 'none'}")
        if self.probability > 1 + 1e-9:
            raise ValueError(f"the probabilities of `one_of` should not add up to more than 1, they make {self.probability:g}")
        return self

    @model_serializer(mode="wrap")
    def _without_the_others(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}

    @property
    def name(self) -> str:
        """The name of the operation."""
        return next(name for name, value in self if value is not None)

    @property
    def operation(self) -> "Operation | tuple[Step, ...]":
        """The operation, or the steps of `one_of`."""
        operation: Operation | tuple[Step, ...] = getattr(self, self.name)
        return operation

    @property
    def probability(self) -> float:
        """Of being done."""
        operation = self.operation
        return operation.probability if isinstance(operation, Operation) else sum(step.probability for step in operation)


def _blur(sigma: tuple[float, float]) -> Step:
    kernels: dict[Kernel, float] = {
        "isotropic": 0.45,
        "anisotropic": 0.25,
        "generalized_isotropic": 0.12,
        "generalized_anisotropic": 0.03,
        "plateau_isotropic": 0.12,
        "plateau_anisotropic": 0.03,
    }
    blur = Blur(probability=0.36, sizes=(7, 9), sigma=sigma, kernels=kernels)
    return Step(one_of=(Step(blur=blur), Step(sinc=Sinc(probability=0.04, sizes=(7, 9), cutoff=(0.333, 1)))))


def _resize(probability: float, low: float, high: float) -> Step:
    return Step(resize=Resize(probability=probability, scale=(low, high), methods=("area", "bilinear", "bicubic")))


def _noise() -> Step:
    gaussian = GaussianNoise(probability=0.4, sigma=(0, 1.6), grey=0.4)
    poisson = PoissonNoise(probability=0.4, scale=(0, 0.3), grey=0.4)
    return Step(one_of=(Step(gaussian_noise=gaussian), Step(poisson_noise=poisson)))


def _jpeg(low: int, high: int) -> Step:
    return Step(jpeg=Jpeg(probability=0.7, quality=(low, high)))


def _all_of(probability: float, *steps: Step, min_block: float = 0) -> Step:
    return Step(all_of=AllOf(probability=probability, min_block=min_block, steps=steps))


DETECTION = (
    _all_of(
        0.8,
        Step(sharpen=Sharpen(probability=0.5, weight=0.5, radius=25, threshold=10)),
        _all_of(
            1,
            _blur((0.2, 0.6)),
            Step(one_of=(_resize(0.16, 1, 1.25), _resize(0.56, 0.75, 1))),
            _noise(),
            _jpeg(45, 95),
            min_block=0.014,
        ),
        _blur((0.1, 0.6)),
        Step(one_of=(_resize(0.24, 1, 1.15), _resize(0.32, 0.85, 1), _resize(0.24, 1, 1))),
        _noise(),
        Step(one_of=(_all_of(0.5, _resize(1, 1, 1), _jpeg(65, 95)), _all_of(0.5, _jpeg(65, 95), _resize(1, 1, 1)))),
    ),
    Step(one_of=(Step(x264=Crf51(probability=0.15, crf=(26, 32))), Step(x265=Crf51(probability=0.15, crf=(28, 34))))),
)


# What Lada 0.11 does to the clips of its restorer, but where that is not sound:
# - Its rates for VP9 and MPEG-2, 6 to 16 and 18 to 40 kilobits for each frame of 256 by 256 pixels, give 33.0 to 37.2 and 31.1
#   to 36.9 dB on clips of photographs with mosaics. So do these limits of quality, whatever the size, and VP9 in a twentieth of
#   the time.
# - Its deviations of blur are 1, 2 or 3 pixels; here, anything between.
# - Its ratio of signal to noise, 50 dB, is a deviation of 0.2 levels in a dark clip and 0.6 in a bright one; here, in any.
# For colours, single frames and rounding see `codecs` and `operations`.
RESTORATION = (
    Step(
        one_of=(
            Step(x264=Crf51(probability=0.27, crf=(16, 28))),
            Step(x265=Crf51(probability=0.27, crf=(20, 36))),
            Step(vp9=Crf63(probability=0.27, crf=(24, 36))),
            Step(mpeg2=Quantizer(probability=0.09, quantizer=(3, 9))),
        )
    ),
    Step(blur=Blur(probability=0.3, sizes=(13,), sigma=(1, 3), kernels={"isotropic": 1})),
    Step(gaussian_noise=GaussianNoise(probability=0.2, sigma=(0.2, 0.6), grey=0)),
    Step(x264=Crf51(probability=0.15, crf=(24, 28))),
)


class DegradationSettings(Settings):
    """What is done to pictures before a model is trained on them.

    `detection` is what Lada 0.11 does to the pictures of its mosaic detector, two passes in the manner of Real-ESRGAN (Wang et
    al. 2021) and a video codec. Where that is not what it is meant to be, this is: see `operations` and `codecs`.
    """

    detection: tuple[Step, ...] = DETECTION
