"""The networks of a training stage: the generator, its moving average, the discriminator, and one training step."""

import math
import re
import shutil
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import torch
from mmengine import dist
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.learning.weights.tensors import read_tensors
from tessera.stages.restoration.models import Generator, build_discriminator, build_generator
from tessera.stages.restoration.settings import DiscriminatorSettings, GeneratorSettings, StageSettings, TrainingSettings
from tessera.stages.restoration.weights import load_weights

CHARBONNIER = 1e-12
# Layers of VGG19, by their numbers in torchvision, and the weight of each in the loss; the values of Lada.
LAYERS = {"2": 0.1, "7": 0.1, "16": 1.0, "25": 1.0, "34": 1.0}
BETAS = (0.9, 0.99)
_OF_SPYNET = re.compile(r"(basic_module|moduleBasic|netBasic)\.(\d)\.\1\.(\d)\.(weight|bias)", re.ASCII)


class Restorer(BaseModel):  # type: ignore[misc]
    """The networks and losses of a stage. Its parts have the names that mmagic and Lada give them in checkpoints."""

    generator_ema: Generator | None
    discriminator: nn.Module | None

    def __init__(
        self,
        generator: GeneratorSettings,
        discriminator: DiscriminatorSettings,
        stage: StageSettings,
        training: TrainingSettings,
        dtype: torch.dtype,
        vgg19: Path | None,
    ) -> None:
        super().__init__()
        from mmagic.models.losses import CharbonnierLoss, GANLoss

        self.stage, self.training_settings, self.dtype = stage, training, dtype
        self._recorded: tuple[Any, Callable[[Tensor], Tensor]] | None = None
        losses = stage.losses
        self.generator = build_generator(generator)
        self.generator_ema = deepcopy(self.generator).requires_grad_(False) if stage.ema else None
        self.discriminator = build_discriminator(discriminator) if losses.adversarial else None
        self.pixel_loss = CharbonnierLoss(losses.pixel, eps=CHARBONNIER) if losses.pixel else None
        self.perceptual_loss = perceptual_loss(vgg19, losses.perceptual) if losses.perceptual and vgg19 else None
        self.adversarial_loss = GANLoss("vanilla", loss_weight=losses.adversarial) if losses.adversarial else None

    @property
    def best(self) -> Generator:
        """The generator to measure and export: the moving average if there is one."""
        return self.generator_ema or self.generator

    def forward(self, *_: Any, **__: Any) -> Any:
        """Not used: `train_step` and `best` are."""
        raise NotImplementedError

    def init_weights(self) -> None:
        """Do nothing. The runner calls this before the training, which would replace loaded weights."""

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the networks by their names in a checkpoint, without the weights of losses."""
        parts = ("generator.", "generator_ema.", "discriminator.")
        return {name: value for name, value in self.state_dict().items() if name.startswith(parts)}

    def optimizers(self) -> OptimWrapperDict:
        """Return an optimizer for each network that learns."""
        rates = self.stage.learning_rates
        flow = set(self.generator.spynet.parameters())
        groups = [
            {"params": [each for each in self.generator.parameters() if each not in flow], "lr": rates.generator},
            {"params": list(self.generator.spynet.parameters()), "lr": rates.generator * rates.flow},
        ]
        wrappers = {"generator": self._optimizer(groups)}
        if self.discriminator:
            parameters = list(self.discriminator.parameters())
            wrappers["discriminator"] = self._optimizer([{"params": parameters, "lr": rates.discriminator}])
        return OptimWrapperDict(**wrappers)

    def _optimizer(self, groups: list[dict[str, Any]]) -> OptimWrapper:
        adam = torch.optim.Adam(groups, betas=BETAS, fused=torch.cuda.is_available())
        # Small gradients would vanish in fp16 without scaling; bf16 has the range of fp32.
        return AmpOptimWrapper(optimizer=adam, dtype="float16") if self.dtype is torch.float16 else OptimWrapper(adam)

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapperDict) -> dict[str, float]:
        """Make one step on the batch `data`, divided into `accumulate` parts; return the mean of each loss.

        The losses are those before the step, over all GPUs. Raises `TesseraError`, before any weight is changed, if a loss or a
        gradient is not finite.
        """
        parts = self.training_settings.accumulate
        sums: dict[str, Tensor] = {}
        for mosaicked, clean in zip(data["mosaicked"].chunk(parts), data["clean"].chunk(parts), strict=True):
            for name, loss in self._learn(self.pictures(mosaicked), self.pictures(clean), optim_wrapper, parts).items():
                sums[name] = sums[name] + loss if name in sums else loss
        means = torch.stack([each / parts for each in sums.values()])
        dist.all_reduce(means, "mean")
        losses = dict(zip(sums, means.tolist(), strict=True))
        broken = [f"the loss {name}" for name, loss in losses.items() if not math.isfinite(loss)]
        if not broken:
            norms = {name: self._join(name, wrapper) for name, wrapper in optim_wrapper.items()}
            broken = [f"the gradient of the {name}" for name, norm in norms.items() if not math.isfinite(norm)]
        if broken:
            samples = sorted({key for keys in dist.all_gather_object(data["keys"]) for key in keys})
            raise TesseraError(
                f"{', '.join(broken)} is not finite, on samples of {', '.join(samples)}; "
                "check these clips, or lower the `learning_rates` of the stage"
            )
        for wrapper in optim_wrapper.values():
            wrapper.step()
            wrapper.zero_grad(set_to_none=not self._recorded)
        if self.generator_ema and self.stage.ema:
            averages, current = list(self.generator_ema.parameters()), list(self.generator.parameters())
            torch._foreach_lerp_(averages, [each.detach() for each in current], self.stage.ema)
        return losses

    def pictures(self, frames: Tensor) -> Tensor:
        """Return `frames`, uint8 (N, T, H, W, 3), as float (N, T, 3, H, W) from 0 to 1, on the device of the networks."""
        device = next(self.generator.parameters()).device
        pictures = frames.to(device, non_blocking=True).permute(0, 1, 4, 2, 3)
        # The permuted tensor is already channels-last in memory.
        return (pictures if self.training_settings.channels_last else pictures.contiguous()).float() / 255

    def _learn(self, mosaicked: Tensor, clean: Tensor, wrappers: OptimWrapperDict, parts: int) -> dict[str, Tensor]:
        """Accumulate the gradients of one of the `parts` parts of a batch; return its losses."""
        losses: dict[str, Tensor] = {}
        half = torch.autocast(mosaicked.device.type, self.dtype, enabled=self.dtype is not torch.float32)
        clean = clean.flatten(0, 1)
        restored = self._generate(mosaicked).flatten(0, 1)
        with half:
            if self.pixel_loss:
                losses["pixel"] = self.pixel_loss(restored.float(), clean)
            if self.perceptual_loss:
                losses["perceptual"], _ = self.perceptual_loss(restored, clean)
            if self.discriminator and self.adversarial_loss:
                # Its own weights are trained below.
                self.discriminator.requires_grad_(False)
                judged = self.discriminator(restored)
                losses["adversarial"] = self.adversarial_loss(judged.float(), target_is_real=True)
        total = cast(Tensor, sum(losses.values())) / parts
        # On a CPU, the backward pass of the deformable convolution would read out of bounds with NaN.
        if total.is_cuda or total.isfinite():
            wrappers["generator"].backward(total)
        if self.discriminator and self.adversarial_loss:
            self.discriminator.requires_grad_(True)
            restored = restored.detach()
            for pictures, are_real in ((clean, True), (restored, False)):
                with half:
                    judged = self.discriminator(pictures)
                    loss = self.adversarial_loss(judged.float(), target_is_real=are_real, is_disc=True)
                wrappers["discriminator"].backward(loss / parts)
                losses["discriminator"] = losses.get("discriminator", 0) + loss.detach()
        return {name: loss.detach() for name, loss in losses.items()}

    def _generate(self, mosaicked: Tensor) -> Tensor:
        """Return what the generator makes of `mosaicked`, in the precision of the training."""
        if not (mosaicked.is_cuda and self.training_settings.cuda_graphs):
            return cast(Tensor, _Generate(self.generator, self.dtype)(mosaicked))
        trained = [each for each in self.generator.parameters() if each.requires_grad]
        shape = mosaicked.shape, len(trained)
        if not self._recorded or self._recorded[0] != shape:
            self._recorded = None  # frees its memory
            self._recorded = shape, record(_Generate(self.generator, self.dtype), mosaicked)
        # Without tensors to add to, the gradients are those of the graph, which the next part of the batch overwrites.
        for each in trained:
            if each.grad is None:
                each.grad = torch.zeros_like(each)
        return self._recorded[1](mosaicked)

    def _join(self, name: str, wrapper: OptimWrapper) -> Tensor:
        """Average the gradients of a network over all GPUs, once per step; return their norm."""
        gradients = [each.grad for each in getattr(self, name).parameters() if each.grad is not None]
        dist.all_reduce_params(gradients, op="mean")
        norm = torch.nn.utils.get_total_norm(gradients)
        # Scaled gradients may overflow; the scaler handles that.
        return torch.zeros_like(norm) if isinstance(wrapper, AmpOptimWrapper) else norm


class _Generate(nn.Module):
    """The forward pass of a generator, computed in `dtype`. Weights are converted once for all frames."""

    def __init__(self, generator: Generator, dtype: torch.dtype) -> None:
        super().__init__()
        self.generator, self.dtype = generator, dtype

    def forward(self, mosaicked: Tensor) -> Tensor:
        with torch.autocast(mosaicked.device.type, self.dtype, enabled=self.dtype is not torch.float32):
            return cast(Tensor, self.generator(mosaicked))


def record(module: nn.Module, sample: Tensor) -> Callable[[Tensor], Tensor]:
    """Return `module` as two CUDA graphs, of its forward and its backward pass, for inputs of the shape of `sample`.

    The generator is a hundred thousand small operations, one after another, and launching one takes longer than computing it.
    A graph launches all of them at once. Which weights are trained must not change afterwards.
    """
    # The gradients are computed on a stream of their own.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    # Another thread, which pins samples, may use CUDA meanwhile.
    recorded = torch.cuda.make_graphed_callables(module, (sample,), allow_unused_input=True, capture_error_mode="thread_local")
    return cast(Callable[[Tensor], Tensor], recorded)


def perceptual_loss(weights: Path, weight: float) -> nn.Module:
    """Return mmagic's perceptual loss (L1) with the VGG19 in `weights`, multiplied by `weight`.

    Raises `TesseraError` if `weights` are of another network.
    """
    from mmagic.models.losses import PerceptualLoss, perceptual_loss
    from torchvision.models.vgg import cfgs, make_layers

    features = make_layers(cfgs["E"])
    _load(features, part_of(read_tensors(weights), "features"), weights, "restoration.weights.vgg19")
    # mmagic would download the weights of the whole network.
    with patch.object(perceptual_loss.vgg, "vgg19", lambda pretrained: SimpleNamespace(features=features)):
        loss: nn.Module = PerceptualLoss(LAYERS, perceptual_weight=weight, style_weight=0, norm_img=False)
    return loss.requires_grad_(False)


def begin(restorer: Restorer, weights: Path | None, spynet: Path | None) -> bool:
    """Load the initial weights of `restorer`; return whether they include the optical flow.

    `weights`: a file from which all matching networks are loaded; a moving average that it lacks begins as the generator.
    `spynet`: weights of only the optical flow, used if `weights` is None. Raises `TesseraError` if they are of other networks.
    """
    tensors: dict[str, Tensor] = {}
    if weights:
        load_weights(restorer.generator, weights)
        tensors = read_tensors(weights)
        judge = part_of(tensors, "discriminator")
        if restorer.discriminator and judge:
            _load(restorer.discriminator, judge, weights, "restoration.discriminator")
    elif spynet:
        load_flow(restorer.generator.spynet, spynet)
    if restorer.generator_ema:
        restorer.generator_ema.load_state_dict(restorer.generator.state_dict())
        if trained := part_of(tensors, "generator"):
            _load(restorer.generator, trained, weights, "restoration.generator")
    return bool(weights or spynet)


def load_flow(flow: Any, path: Path) -> None:
    """Load the weights of a SPyNet in `path` into `flow`, mmagic's. Raises `TesseraError` if they are of another network."""
    weights = {}
    for name, value in read_tensors(path).items():
        # BasicSR and pytorch-spynet number the activations, too.
        match = _OF_SPYNET.fullmatch(name)
        weights[f"basic_module.{match[2]}.basic_module.{int(match[3]) // 2}.conv.{match[4]}" if match else name] = value
    # The mean and standard deviation of the normalization are the same everywhere, and not in all files of SPyNet.
    _load(flow, {**weights, "mean": flow.mean, "std": flow.std}, path, "restoration.weights.spynet")


def part_of(weights: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the entries of `weights` that belong to the part `name` of a restorer, by their names in that part."""
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def _load(module: nn.Module, weights: Mapping[str, Tensor], path: Path | None, setting: str) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise TesseraError(
            f"{path}: weights of another network; check `{setting}` ({str(error).split(chr(10))[1].strip()})"
        ) from None


def compile_parts(generator: nn.Module) -> None:
    """Compile the parts that take most of the time: stacks of convolutions that run for every frame of every branch.

    The whole generator would be a graph of a hundred thousand operations. A part that cannot be compiled runs uncompiled.
    """
    import torch._dynamo

    if not shutil.which("cc"):
        tell("there is no C compiler: the model runs uncompiled, which is slower; install one, such as gcc", once=True)
        return
    torch._dynamo.config.suppress_errors = True
    # The parts share the code of their classes, of which each number of channels counts as a version.
    torch._dynamo.config.recompile_limit = 64
    for part in (*generator.backbone.values(), *(each.conv_offset for each in generator.deform_align.values())):  # type: ignore[operator]
        part.compile(dynamic=False)
    for part in (generator.feat_extract, generator.reconstruction, *generator.spynet.basic_module):  # type: ignore[union-attr, misc]
        part.compile(dynamic=False)
