"""Replace the compiled operators of mmcv by those of torchvision, so that mmagic needs no compiler and no CUDA toolkit.

mmagic's BasicVSR++ needs only one of them, the modulated deformable convolution. The operators of other models exist by name,
so that mmagic can be imported, and raise an error if they are used.

Of mmagic's models, only those that are used are imported. The others would need transformers, diffusers and more.

mmagic 1.2 is no longer maintained. What stands here makes it run with current versions of torch and NumPy. A release that
uses the names of NumPy 2, torchvision's deformable convolution and lazy imports would make this module unnecessary.
"""

import ast
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision.ops import deform_conv2d

Pair = int | tuple[int, int]
MODULES = ("mmcv.ops", "mmcv.ops.fused_bias_leakyrelu", "mmcv.ops.upfirdn2d")
# In this order, because a package is found through the one that contains it.
PACKAGES = ("mmagic.models", *(f"mmagic.models.{name}" for name in ("archs", "base_models", "editors", "losses")))


def modulated_deform_conv2d(
    features: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    deform_groups: int,
) -> Tensor:
    """Return the deformable convolution of `features` (N, C, H, W), whose samples are shifted by `offset` and scaled by `mask`.

    `offset`: (N, 2 x `deform_groups` x kernel size, H', W') in pixels, y before x. `mask` has half as many channels.
    torchvision derives the number of groups from the shape of `weight`, and the number of deformable groups from the shape of
    `offset`. An offset of NaN is replaced by 0, because torchvision would read out of bounds.
    Raises `ValueError` if the numbers of channels and groups do not match.
    """
    if features.shape[1] != weight.shape[1] * groups or offset.shape[1] != 2 * deform_groups * weight[0, 0].numel():
        raise ValueError(f"{features.shape[1]} channels, {groups} groups and {deform_groups} deformable groups do not match")
    geometry = _pair(stride), _pair(padding), _pair(dilation)
    offset = offset.nan_to_num()
    # On a CPU, torchvision computes this and its gradient on one thread: sampled and multiplied it is 5 times faster.
    if features.is_cpu and groups == 1:
        return _sampled_convolution(features, offset, mask, weight, bias, *geometry, deform_groups)
    return cast(Tensor, deform_conv2d(features, offset, weight, bias, *geometry, mask))


def _sampled_convolution(
    features: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    deform_groups: int,
) -> Tensor:
    """Return `modulated_deform_conv2d` for one group: take all samples at once, then apply `weight` as a matrix product."""
    count, channels, height, width = features.shape
    rows, columns = weight.shape[2:]
    down, across = offset.shape[2:]
    taps, parts = rows * columns, count * deform_groups
    options: dict[str, Any] = {"device": offset.device, "dtype": offset.dtype}
    y = torch.arange(down, **options)[:, None] * stride[0] - padding[0]
    x = torch.arange(across, **options) * stride[1] - padding[1]
    tap_y, tap_x = torch.meshgrid(
        torch.arange(rows, **options) * dilation[0], torch.arange(columns, **options) * dilation[1], indexing="ij"
    )
    moved = offset.reshape(parts, taps, 2, down, across)
    at_y, at_x = moved[:, :, 0] + y + tap_y.reshape(-1, 1, 1), moved[:, :, 1] + x + tap_x.reshape(-1, 1, 1)
    # The coordinates of `grid_sample` run from -1, the outer edge of the first pixel, to 1, the outer edge of the last.
    grid = torch.stack([(2 * at_x + 1) / width - 1, (2 * at_y + 1) / height - 1], dim=-1)
    samples = F.grid_sample(
        features.reshape(parts, -1, height, width), grid.reshape(parts, taps * down, across, 2), align_corners=False
    )
    samples = samples.reshape(count, deform_groups, -1, taps, down, across) * mask.reshape(count, -1, 1, taps, down, across)
    result = weight.flatten(1) @ samples.reshape(count, channels * taps, down * across)
    if bias is not None:
        result = result + bias[:, None]
    return result.reshape(count, -1, down, across)


class ModulatedDeformConv2d(nn.Module):
    """The base class of mmagic's alignment: the parameters of the convolution, named and initialized as in mmcv."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        self.deform_groups = deform_groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        bound = 1 / sqrt(in_channels * self.kernel_size[0] * self.kernel_size[1])
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, features: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Return `modulated_deform_conv2d` with the parameters of this module."""
        return modulated_deform_conv2d(
            features,
            offset,
            mask,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.deform_groups,
        )


class _Operators(ModuleType):
    """A module in which every name exists; names that were not set are classes that raise an error if they are used."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise NotImplementedError(f"{self.__name__}.{name} is compiled code of mmcv, which Tessera does not use")

        return type(name, (), {"__new__": refuse})


class _Package(ModuleType):
    """The package `name`, which imports a module of its own when a name that its `__init__` takes from there is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = spec = find_spec(name)
        assert spec and spec.origin and spec.submodule_search_locations
        self.__path__ = spec.submodule_search_locations
        self._modules = {
            alias.name: f"{name}.{node.module}"
            for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.level == 1
            for alias in node.names
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._modules:
            raise AttributeError(name)
        return getattr(import_module(self._modules[name]), name)


def provide_operators() -> None:
    """Prepare the import of mmagic: provide `mmcv.ops`, its packages, and a name of NumPy 1.

    Calling it again is harmless.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    np.bool8 = np.bool_  # type: ignore[attr-defined]  # as NumPy 1 called it
    if MODULES[0] in sys.modules:
        return
    for name in MODULES:
        sys.modules[name] = _Operators(name)
    operators = sys.modules[MODULES[0]]
    operators.ModulatedDeformConv2d = ModulatedDeformConv2d  # type: ignore[attr-defined]
    operators.modulated_deform_conv2d = modulated_deform_conv2d  # type: ignore[attr-defined]
    for name in PACKAGES:
        sys.modules[name] = _Package(name)
