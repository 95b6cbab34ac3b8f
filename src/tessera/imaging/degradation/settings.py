"""Settings of degradations: chains of steps, each with its probability and the ranges of its parameters."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from tessera.core.settings import Fraction, Range, Settings, Weights


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("the side of a kernel should be odd, so that it has a middle pixel")
    return size


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
    """A degradation that is applied with a probability."""

    probability: Fraction
    """Probability that the step is done. In `one_of`, it is the probability that this step is the one that is done."""


class Sharpen(Operation):
    """Sharpen with an unsharp mask. `radius` is in pixels, `threshold` in levels."""

    weight: Annotated[float, Field(ge=0, le=10)]
    """Factor of the difference from the blurred image that is added."""
    radius: Annotated[int, Field(ge=1, le=100)]
    """Size of the blur in pixels."""
    threshold: Annotated[float, Field(ge=0, le=255)]
    """Smallest difference in levels, from 0 to 255, that is sharpened."""


class Blur(Operation):
    """Blur with a random kernel: its size is one of `sizes`, `kernels` has the weight of each kind. `sigma` is in pixels."""

    sizes: Sizes
    """Sides of the kernel in pixels, odd. One of these numbers is drawn."""
    sigma: Range[Annotated[float, Field(ge=0.05, le=50)]]
    """Smallest and largest standard deviation in pixels. Anisotropic kernels draw two."""
    kernels: Weights[Kernel]
    """Weight with which each kind of kernel is drawn."""


class Sinc(Operation):
    """Remove high frequencies, which causes ringing. `cutoff` is a fraction of the Nyquist frequency."""

    sizes: Sizes
    """Sides of the kernel in pixels, odd. One of these numbers is drawn."""
    cutoff: Range[Annotated[float, Field(gt=0, le=1)]]
    """Smallest and largest fraction of the frequencies that pass."""


class Resize(Operation):
    """Scale to a size relative to the size of the image at the start of the chain, not to its current size."""

    scale: Range[Annotated[float, Field(ge=0.05, le=8)]]
    """Smallest and largest size, relative to the image at the start."""
    methods: Annotated[tuple[Literal["area", "bilinear", "bicubic"], ...], Field(min_length=1)]
    """Interpolation methods. One of them is drawn."""


class GaussianNoise(Operation):
    """Add Gaussian noise with standard deviation `sigma`, in levels; with probability `grey`, the same to all channels."""

    sigma: Range[Annotated[float, Field(ge=0, le=255)]]
    """Smallest and largest standard deviation in levels, from 0 to 255."""
    grey: Fraction
    """Probability that the noise is the same in all colours."""


class PoissonNoise(Operation):
    """Add photon noise, `scale` times as strong as if each level were one photon; with probability `grey`, without colour."""

    scale: Range[Annotated[float, Field(ge=0, le=100)]]
    """Smallest and largest strength. 1 is the noise of one photon per level."""
    grey: Fraction
    """Probability that the noise has no colour."""


class Jpeg(Operation):
    """Compress as JPEG with 4:2:0 chroma subsampling."""

    quality: Range[Annotated[int, Field(ge=1, le=100)]]
    """Lowest and highest quality, from 1 to 100."""


class Webp(Operation):
    """Compress as WebP."""

    quality: Range[Annotated[int, Field(ge=1, le=100)]]
    """Lowest and highest quality, from 1 to 100."""


class ChromaticAberration(Operation):
    """Magnify red more than blue."""

    shift: Range[Annotated[float, Field(ge=-0.1, le=0.1)]]
    """Smallest and largest distance of red and blue in a corner, as a fraction of half the diagonal. -0.1 to 0.1."""


class Crf51(Operation):
    """Encode with a constant rate factor up to 51: x264, x265."""

    crf: Range[Annotated[int, Field(ge=0, le=51)]]
    """Smallest and largest constant rate factor, from 0 to 51. Higher is worse."""


class Crf63(Operation):
    """Encode with a constant rate factor up to 63: VP9."""

    crf: Range[Annotated[int, Field(ge=0, le=63)]]
    """Smallest and largest constant rate factor, from 0 to 63. Higher is worse."""


class Quantizer(Operation):
    """Encode with a constant quantizer: MPEG-2."""

    quantizer: Range[Annotated[int, Field(ge=1, le=31)]]
    """Smallest and largest quantizer, from 1 to 31. Higher is worse."""


class AllOf(Operation):
    """Run all of `steps`, or none. None run if the blocks of a mosaic are below `min_block_fraction` of the shorter side."""

    min_block_fraction: Fraction = 0.0
    """Smallest block size of the mosaic for which the steps are done, as a fraction of the shorter side of the frame."""
    steps: tuple["Step", ...]
    """The steps, in order."""


class Step(Settings):
    """One step of a chain: one operation under its name. At most one step of `one_of` runs, each with its probability."""

    sharpen: Sharpen | None = None
    """Unsharp mask."""
    blur: Blur | None = None
    """Blur with a random kernel."""
    sinc: Sinc | None = None
    """Low-pass filter that leaves rings at edges."""
    resize: Resize | None = None
    """Scaling. The image gets its original size back at the end."""
    gaussian_noise: GaussianNoise | None = None
    """Noise that does not depend on the brightness."""
    poisson_noise: PoissonNoise | None = None
    """Photon noise, which grows with the brightness."""
    chromatic_aberration: ChromaticAberration | None = None
    """Magnifies red more than blue, as lenses do."""
    jpeg: Jpeg | None = None
    """Compression as JPEG."""
    webp: Webp | None = None
    """Compression as WebP."""
    x264: Crf51 | None = None
    """Compression by x264 (H.264)."""
    x265: Crf51 | None = None
    """Compression by x265 (HEVC)."""
    vp9: Crf63 | None = None
    """Compression by VP9."""
    mpeg2: Quantizer | None = None
    """Compression by MPEG-2."""
    all_of: AllOf | None = None
    """Does all of its steps or none."""
    one_of: tuple["Step", ...] | None = None
    """Does at most one of its steps, each with its probability."""

    @model_validator(mode="after")
    def _one_operation(self) -> Self:
        named = [name for name, value in self if value is not None]
        if len(named) != 1:
            raise ValueError(f"a step should name one operation, but this one names {', '.join(named) or 'none'}")
        if self.probability > 1 + 1e-9:
            raise ValueError(f"the sum of the probabilities of `one_of` should be at most 1, but it is {self.probability:g}")
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
        """The probability that the step runs; of `one_of`, that one of its steps runs."""
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


def _all_of(probability: float, *steps: Step, min_block_fraction: float = 0) -> Step:
    return Step(all_of=AllOf(probability=probability, min_block_fraction=min_block_fraction, steps=steps))


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
            min_block_fraction=0.014,
        ),
        _blur((0.1, 0.6)),
        Step(one_of=(_resize(0.24, 1, 1.15), _resize(0.32, 0.85, 1), _resize(0.24, 1, 1))),
        _noise(),
        Step(one_of=(_all_of(0.5, _resize(1, 1, 1), _jpeg(65, 95)), _all_of(0.5, _jpeg(65, 95), _resize(1, 1, 1)))),
    ),
    Step(one_of=(Step(x264=Crf51(probability=0.15, crf=(26, 32))), Step(x265=Crf51(probability=0.15, crf=(28, 34))))),
)


# The degradations that Lada 0.11 applies to the clips of its restorer, with these differences:
# - Lada's bit rates for VP9 and MPEG-2, 6 to 16 and 18 to 40 kilobits per frame of 256 by 256 pixels, give 33.0 to 37.2 and
#   31.1 to 36.9 dB on clips of photographs with mosaics. The quality ranges here give the same at any size, and VP9 takes a
#   twentieth of the time.
# - Lada's standard deviations of the blur are 1, 2 or 3 pixels. Here they are any number from 1 to 3.
# Lada's noise of 50 dB is relative to full scale, so its standard deviation is 10 ** (-50 / 20) * 255 = 0.806 levels at any
# brightness. Rounding to whole levels makes that 0.857, here and in Lada.
# For differences in colours, single frames and rounding, see `codecs` and `operations`.
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
    Step(gaussian_noise=GaussianNoise(probability=0.2, sigma=(0.806, 0.806), grey=0)),
    Step(x264=Crf51(probability=0.15, crf=(24, 28))),
)


class DegradationSettings(Settings):
    """Degradations of the images that a model is trained on.

    `detection` is what Lada 0.11 does to the images of its mosaic detector: two passes as in Real-ESRGAN (Wang et al. 2021),
    then a video codec. For bugs of Lada that are fixed here, see `operations` and `codecs`.
    """

    detection: tuple[Step, ...] = DETECTION
    """Steps that each image of mosaic_detection goes through, in order. The defaults follow Lada: two passes in the manner of
    Real-ESRGAN, then a video codec. A pair of numbers is the range from which each image draws.
    """
