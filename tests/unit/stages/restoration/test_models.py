"""The networks compute the same as those of mmagic."""

import math
import sys
from typing import Any

import pytest
import torch
from torchvision.ops import deform_conv2d

from tessera.stages.restoration.models import BasicVSRPlusPlusNet, build_generator
from tessera.stages.restoration.operators import modulated_deform_conv2d
from tessera.stages.restoration.settings import GeneratorSettings

SMALL = GeneratorSettings(channels=8, blocks=1)


def sampled(plane: torch.Tensor, y: float, x: float) -> float:
    """Return the interpolated value of `plane` between its pixels; it is 0 outside."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_the_deformable_convolution_follows_its_formula() -> None:
    torch.manual_seed(0)
    features, weight, bias = torch.rand(1, 4, 5, 6), torch.rand(2, 4, 3, 3), torch.rand(2)
    offset, mask = 3 * torch.randn(1, 2 * 2 * 9, 5, 6), torch.rand(1, 2 * 9, 5, 6)
    found = modulated_deform_conv2d(features, offset, mask, weight, bias, 1, 1, 1, 1, 2)
    for out, y, x in [(0, 0, 0), (1, 2, 3), (0, 4, 5), (1, 1, 4)]:
        expected = float(bias[out])
        for channel in range(4):
            for place in range(9):
                tap = channel // 2 * 9 + place
                down, right = offset[0, 2 * tap, y, x], offset[0, 2 * tap + 1, y, x]
                value = sampled(features[0, channel], y - 1 + place // 3 + float(down), x - 1 + place % 3 + float(right))
                expected += float(weight[out, channel, place // 3, place % 3] * mask[0, tap, y, x]) * value
        assert float(found[0, out, y, x]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), (1, (2, 1), (2, 1))])
def test_the_deformable_convolution_and_its_gradient_equal_those_of_torchvision(
    stride: Any, padding: Any, dilation: Any
) -> None:
    torch.manual_seed(0)
    features, weight, bias = torch.randn(2, 6, 7, 9), torch.randn(4, 6, 3, 3), torch.randn(4)
    height, width = torch.nn.functional.conv2d(features, weight, bias, stride, padding, dilation).shape[2:]
    # Some lie beyond the border.
    offset, mask = 4 * torch.randn(2, 2 * 2 * 9, height, width), torch.rand(2, 2 * 9, height, width)
    given = [each.double().requires_grad_() for each in (features, offset, mask, weight, bias)]
    ours = modulated_deform_conv2d(*given, stride, padding, dilation, 1, 2)
    theirs = deform_conv2d(given[0], given[1], given[3], given[4], stride, padding, dilation, given[2])
    assert ours.shape == theirs.shape
    for one, other in zip((ours, *_gradients(ours, given)), (theirs, *_gradients(theirs, given)), strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def _gradients(result: torch.Tensor, given: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad((result**2).sum(), given)


def test_an_untrained_generator_shifts_no_frame_but_one_with_a_trained_flow_does() -> None:
    torch.manual_seed(0)
    generator = build_generator(SMALL)
    small = torch.rand(1, 3, 3, 16, 16)
    for is_learned in (True, False):
        # The flow is computed, or skipped.
        generator.spynet.requires_grad_(is_learned)
        assert all(flow.shape == (1, 2, 2, 16, 16) and not flow.any() for flow in generator.flows(small))
    with torch.no_grad():
        generator.flow_outputs()[-1].conv.bias += 1
    forward, backward = generator.flows(small)
    assert torch.allclose(forward, torch.full_like(forward, 0.5)) and torch.equal(forward, backward)


def test_an_offset_that_is_nan_has_no_effect() -> None:
    features, weight, mask = torch.rand(1, 4, 8, 8), torch.rand(2, 4, 3, 3), torch.rand(1, 18, 8, 8)
    none = torch.full((1, 36, 8, 8), math.nan)
    found, expected = (
        modulated_deform_conv2d(features, each, mask, weight, None, 1, 1, 1, 1, 2) for each in (none, torch.zeros_like(none))
    )
    assert torch.equal(found, expected)


def test_the_generator_computes_the_same_as_that_of_mmagic() -> None:
    torch.manual_seed(0)
    ours = build_generator(SMALL)
    for align in ours.deform_align.values():
        # The offsets start at 0.
        torch.nn.init.normal_(align.conv_offset[-1].weight, std=0.1)
    theirs = BasicVSRPlusPlusNet(SMALL.channels, SMALL.blocks, is_low_res_input=False)
    theirs.load_state_dict(ours.state_dict())
    frames = torch.rand(1, 3, 3, 256, 256)
    results = [network(frames) for network in (ours, theirs)]
    assert (results[0] - results[1]).abs().max() < 1e-5
    for result in results:
        (result**2).mean().backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    found = {name: parameter.grad for name, parameter in ours.named_parameters() if parameter.grad is not None}
    assert found.keys() == expected.keys() and len(found) > 50
    assert all(torch.allclose(found[name], expected[name], rtol=1e-3, atol=1e-6) for name in found)
    with torch.inference_mode():
        small = ours(frames[..., :32, :40])
        assert small.shape == (1, 3, 3, 32, 40) and (small - ours(frames)[..., :32, :40]).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 1, 3, 32, 32), (1, 2, 3, 30, 32), (1, 2, 3, 32, 33)])
def test_frames_that_the_generator_cannot_take_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two or more, with sides divisible by 4"):
        build_generator(SMALL)(torch.zeros(shape))


def test_only_the_models_of_mmagic_that_are_used_are_imported() -> None:
    assert "mmagic.models.editors.basicvsr_plusplus_net" in sys.modules
    # A training imports these, and the check of an export too.
    from mmagic.models.editors import RealBasicVSR
    from mmagic.models.losses import PerceptualLoss, perceptual_loss

    assert RealBasicVSR.__module__ == "mmagic.models.editors.real_basicvsr.real_basicvsr"
    assert perceptual_loss.PerceptualLoss is PerceptualLoss
    assert not {"diffusers", "mmagic.models.editors.stylegan2"} & sys.modules.keys()
    with pytest.raises(ImportError):
        from mmagic.models.editors import NoSuchModel  # noqa: F401


def test_the_compiled_operators_of_mmcv_can_be_imported_but_not_called() -> None:
    from mmcv.ops import DeformConv2d

    with pytest.raises(NotImplementedError, match=r"mmcv\.ops\.DeformConv2d is compiled code of mmcv"):
        DeformConv2d(3, 3, 3)
