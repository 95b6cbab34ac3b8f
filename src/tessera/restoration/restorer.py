"""What is trained: the generator, its moving average, the discriminator, and one step of both."""

from copy import deepcopy
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import torch
from mmengine import dist
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from tessera.errors import TesseraError
from tessera.restoration.models import Generator, build_discriminator, build_generator
from tessera.restoration.settings import DiscriminatorSettings, GeneratorSettings, StageSettings, TrainingSettings

CHARBONNIER = 1e-12
# Of VGG19, by the numbers that torchvision gives them, and how much each counts: after Lada.
LAYERS = {"2": 0.1, "7": 0.1, "16": 1.0, "25": 1.0, "34": 1.0}
BETAS = (0.9, 0.99)


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
        losses = stage.losses
        self.generator = build_generator(generator)
        self.generator_ema = deepcopy(self.generator).requires_grad_(False) if stage.ema else None
        self.discriminator = build_discriminator(discriminator) if losses.adversarial else None
        self.pixel_loss = CharbonnierLoss(losses.pixel, eps=CHARBONNIER) if losses.pixel else None
        self.perceptual_loss = perceptual_loss(vgg19, losses.perceptual) if losses.perceptual and vgg19 else None
        self.adversarial_loss = GANLoss("vanilla", loss_weight=losses.adversarial) if losses.adversarial else None

    @property
    def names(self) -> list[str]:
        """The losses that a step tells, in order."""
        parts = {
            "pixel": self.pixel_loss,
            "perceptual": self.perceptual_loss,
            "adversarial": self.adversarial_loss,
            "discriminator": self.discriminator,
        }
        return [name for name, part in parts.items() if part is not None]

    @property
    def best(self) -> Generator:
        """What is measured and exported: the moving average where there is one."""
        return self.generator_ema or self.generator

    def forward(self, *_: Any, **__: Any) -> Any:
        """Not used: `train_step` and `best` are."""
        raise NotImplementedError

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the networks by the names that a checkpoint has; those of losses are no part of it."""
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
        # In half precision small gradients would vanish; bf16 has the range of fp32.
        return AmpOptimWrapper(optimizer=adam, dtype="float16") if self.dtype is torch.float16 else OptimWrapper(adam)

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapperDict) -> dict[str, float]:
        """Make one step on the batch `data`, in as many parts as `accumulate` says; return the mean of each loss.

        The losses are those before the step, over all GPUs. Raises `TesseraError`, before any weight is changed, where one of
        them or a gradient is no number.
        """
        parts = self.training_settings.accumulate
        sums: dict[str, Tensor] = {}
        for mosaicked, clean in zip(data["mosaicked"].chunk(parts), data["clean"].chunk(parts), strict=True):
            for name, loss in self._learn(self.pictures(mosaicked), self.pictures(clean), optim_wrapper, parts).items():
                sums[name] = sums[name] + loss if name in sums else loss
        means = torch.stack([sums[name] / parts for name in self.names])
        dist.all_reduce(means, "mean")
        norms = [self._join(name, wrapper) for name, wrapper in optim_wrapper.items()]
        self._check(means, norms, data["keys"])
        for wrapper in optim_wrapper.values():
            wrapper.step()
            wrapper.zero_grad()
        if self.generator_ema and self.stage.ema:
            averages, current = list(self.generator_ema.parameters()), list(self.generator.parameters())
            torch._foreach_lerp_(averages, [each.detach() for each in current], self.stage.ema)
        return dict(zip(self.names, means.tolist(), strict=True))

    def pictures(self, frames: Tensor) -> Tensor:
        """Return `frames`, uint8 (N, T, H, W, 3), as float (N, T, 3, H, W) from 0 to 1 where the networks are."""
        device = next(self.generator.parameters()).device
        pictures = frames.to(device, non_blocking=True).permute(0, 1, 4, 2, 3)
        # As they come, the colours of a pixel lie side by side.
        return (pictures if self.training_settings.channels_last else pictures.contiguous()).float() / 255

    def _learn(self, mosaicked: Tensor, clean: Tensor, wrappers: OptimWrapperDict, parts: int) -> dict[str, Tensor]:
        """Add the gradients of one of `parts` parts of a batch; return its losses."""
        losses: dict[str, Tensor] = {}
        half = torch.autocast(mosaicked.device.type, self.dtype, enabled=self.dtype is not torch.float32)
        clean = clean.flatten(0, 1)
        with half:
            restored = self.generator(mosaicked).flatten(0, 1)
            if self.pixel_loss:
                losses["pixel"] = self.pixel_loss(restored.float(), clean)
            if self.perceptual_loss:
                losses["perceptual"], _ = self.perceptual_loss(restored, clean)
            if self.discriminator and self.adversarial_loss:
                # Its own weights learn below.
                self.discriminator.requires_grad_(False)
                judged = self.discriminator(restored)
                losses["adversarial"] = self.adversarial_loss(judged.float(), target_is_real=True)
        wrappers["generator"].backward(cast(Tensor, sum(losses.values())) / parts)
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

    def _join(self, name: str, wrapper: OptimWrapper) -> Tensor:
        """Make the gradients of a network their mean over all GPUs, once a step; return their norm."""
        gradients = [each.grad for each in getattr(self, name).parameters() if each.grad is not None]
        dist.all_reduce_params(gradients, op="mean")
        norm = torch.nn.utils.get_total_norm(gradients)
        # Those that are scaled may overflow: the scaler sees to it.
        return torch.zeros_like(norm) if isinstance(wrapper, AmpOptimWrapper) else norm

    def _check(self, losses: Tensor, norms: list[Tensor], keys: list[str]) -> None:
        if torch.cat([losses, torch.stack(norms)]).isfinite().all():
            return
        broken = [name for name, loss in zip(self.names, losses.tolist(), strict=True) if not torch.tensor(loss).isfinite()]
        samples = sorted({key for each in dist.all_gather_object(keys) for key in each})
        raise TesseraError(
            f"{'the loss ' + ', '.join(broken) if broken else 'the gradient'} is no number, on samples of {', '.join(samples)}"
        )


def perceptual_loss(weights: Path, weight: float) -> nn.Module:
    """Return mmagic's perceptual loss, L1, of the VGG19 in `weights`, times `weight`.

    Raises `TesseraError` where `weights` are of something else.
    """
    from mmagic.models.losses import PerceptualLoss, perceptual_loss
    from torchvision.models import vgg19

    network = vgg19()
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except OSError:
        raise
    except Exception as error:  # what torch raises depends on what is wrong
        raise TesseraError(
            f"{weights}: not VGG19 as torchvision publishes it; check `restoration.weights.vgg19` ({error})"
        ) from error
    # It would fetch them itself.
    with patch.object(perceptual_loss.vgg, "vgg19", lambda pretrained: network):
        loss: nn.Module = PerceptualLoss(LAYERS, perceptual_weight=weight, style_weight=0, norm_img=False)
    return loss.requires_grad_(False)
