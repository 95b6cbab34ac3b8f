"""The networks: mmagic's BasicVSR++ and discriminator."""

from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tessera.stages.restoration.operators import ModulatedDeformConv2d, provide_operators
from tessera.stages.restoration.settings import DiscriminatorSettings, GeneratorSettings
from tessera.stages.restoration.weights import load_weights, size_of

provide_operators()

from mmagic.models.editors import BasicVSRPlusPlusNet, UNetDiscriminatorWithSpectralNorm  # noqa: E402
from mmagic.models.editors.basicvsr.basicvsr_net import SPyNet  # noqa: E402

SCALE = 4  # ratio of the sides of frames to the sides of their features
OWN = {"spynet", "conv_offset", "conv1", "conv2"}
SLOPE = 0.1  # negative slope of the leaky ReLU after most convolutions
NEARLY_NOTHING = 0.01
BRANCHES = ("backward_1", "forward_1", "backward_2", "forward_2")


class Generator(BasicVSRPlusPlusNet):  # type: ignore[misc]
    """mmagic's BasicVSR++, with the same parameters and results, for all sizes that are multiples of `SCALE`.

    mmagic's own forward needs at least 256 pixels, checks for mirrored clips, which waits for the GPU, moves long clips to main
    memory, and makes the frames one at a time; this one does not. The optical flow is always computed in single precision,
    because it is in pixels, and half precision would round it to several pixels.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__(mid_channels=settings.channels, num_blocks=settings.blocks, is_low_res_input=False)

    def forward(self, mosaicked: Tensor) -> Tensor:
        """Return the restored frames of `mosaicked`, both float (N, T, 3, H, W), RGB from 0 to 1.

        Raises `ValueError` if T is below 2, or if H or W is not a multiple of `SCALE`.
        """
        count, frames, _, height, width = mosaicked.shape
        if frames < 2 or height % SCALE or width % SCALE:
            raise ValueError(f"{frames} frames of {width}x{height}: there must be two or more, with sides divisible by {SCALE}")
        pictures = mosaicked.flatten(0, 1)
        small = F.interpolate(pictures, scale_factor=1 / SCALE, mode="bicubic")
        with torch.autocast(mosaicked.device.type, enabled=False):
            flows_forward, flows_backward = self.flows(small.float().view(count, frames, *small.shape[1:]))
        spatial = self.feat_extract(pictures)
        features = {"spatial": list(spatial.unflatten(0, (count, frames)).unbind(1))}
        self.cpu_cache = False
        for branch in BRANCHES:
            features[branch] = []
            flows = flows_backward if branch.startswith("backward") else flows_forward
            features = self.propagate(features, flows, branch)
        every = torch.cat([torch.stack(branch, 1) for branch in features.values()], dim=2)
        restored = self.reconstruction(every.flatten(0, 1))
        restored = self.lrelu(self.upsample1(restored))
        restored = self.lrelu(self.upsample2(restored))
        restored = self.lrelu(self.conv_hr(restored))
        return cast(Tensor, (self.conv_last(restored) + pictures).unflatten(0, (count, frames)))

    def flows(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow of `small` (N, T, 3, h, w) to the previous and the next frame: (N, T - 1, 2, h, w), pixels."""
        count, frames = small.shape[:2]
        if not small.is_cuda and not self._has_flow():
            nothing = small.new_zeros(count, frames - 1, 2, *small.shape[3:])
            return nothing, nothing
        first, second = small[:, :-1].flatten(0, 1), small[:, 1:].flatten(0, 1)
        forward, backward = self.spynet(torch.cat([second, first]), torch.cat([first, second])).chunk(2)
        return forward.unflatten(0, (count, frames - 1)), backward.unflatten(0, (count, frames - 1))

    def _has_flow(self) -> bool:
        """Return whether the optical flow is or was trained; otherwise its last layers are 0, and so is its output."""
        return any(each.requires_grad or bool(each.any()) for layer in self.flow_outputs() for each in layer.parameters())

    def flow_outputs(self) -> list[nn.Module]:
        """Return the last layer of each level of the optical flow, whose sum is the flow."""
        return [level.basic_module[-1] for level in self.spynet.basic_module]


def build_generator(settings: GeneratorSettings) -> Generator:
    """Return the generator with new weights, drawn from torch's global random generator.

    Convolutions are initialized as in He et al. (2015), which preserves the variance of activations, and the last one near
    zero, so that the output begins equal to the input. With torch's default initialization, which mmagic keeps, activations
    vanish: a generator with 8 channels and 1 block gained 0.03 dB in 180 iterations, and with this one 0.3 dB. The optical
    flow begins at zero. mmagic initializes it at random, which shifts neighbouring frames by about 10 pixels before they are
    compared.
    """
    generator = Generator(settings)
    for name, module in generator.named_modules():
        # Not the optical flow, which is set below, nor the offsets (zeros) and residual blocks (small weights) of mmagic.
        if isinstance(module, nn.Conv2d | ModulatedDeformConv2d) and not OWN.intersection(name.split(".")):
            nn.init.kaiming_normal_(module.weight, SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    generator.conv_last.weight.data *= NEARLY_NOTHING
    for layer in generator.flow_outputs():
        for each in layer.parameters():
            nn.init.zeros_(each)
    return generator


def build_flow() -> nn.Module:
    """Return an optical flow as that of generators, with new weights."""
    return cast(nn.Module, SPyNet(pretrained=None))


def build_discriminator(settings: DiscriminatorSettings) -> nn.Module:
    """Return the discriminator with new weights. Its input is (N, 3, H, W), with sides divisible by 8; it returns logits."""
    return cast(nn.Module, UNetDiscriminatorWithSpectralNorm(in_channels=3, mid_channels=settings.channels))


def load_generator(checkpoint: Path, settings: GeneratorSettings | None = None) -> Generator:
    """Return the generator in `checkpoint` for inference, with the moving average of its weights if there is one.

    `settings`: the size that it must have, or None for any. Raises `TesseraError` if `checkpoint` contains another size, or no
    generator of this architecture.
    """
    generator = build_generator(settings or size_of(checkpoint))
    load_weights(generator, checkpoint)
    generator.eval().requires_grad_(False)
    return generator
