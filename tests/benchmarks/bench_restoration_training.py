"""The speed and the memory of stage 1 at the default size on a GPU, compared with the same model in FP32."""

import time
from typing import Any

import pytest
import torch

from tessera.stages.restoration.restorer import Restorer, compile_parts
from tessera.stages.restoration.settings import RestorationSettings, TrainingSettings
from tessera.stages.restoration.trainer import precision

SETTINGS = RestorationSettings()
STAGE = SETTINGS.stages[0]
STEPS = 20
PLAIN = TrainingSettings(precision="fp32", channels_last=False, compile=False, cuda_graphs=False)


def measure(training: TrainingSettings) -> tuple[float, float]:
    """Return iterations per second, and the peak memory in GiB."""
    torch.manual_seed(0)
    restorer = Restorer(SETTINGS.generator, SETTINGS.discriminator, STAGE, training, precision(training), None)
    restorer.to("cuda", memory_format=torch.channels_last if training.channels_last else torch.contiguous_format).train()
    if training.compile:
        compile_parts(restorer.generator)
    optimizers = restorer.optimizers()
    shape = (STAGE.batch, STAGE.frames, SETTINGS.data.size, SETTINGS.data.size, 3)
    batch: dict[str, Any] = {name: torch.randint(0, 256, shape, dtype=torch.uint8) for name in ("mosaicked", "clean")}
    batch |= {"keys": ["noise"] * STAGE.batch}
    torch.cuda.reset_peak_memory_stats()
    for number in range(STEPS + 5):
        if number == 5:  # after compilation and the choice of the fastest convolutions
            torch.cuda.synchronize()
            start = time.monotonic()
        restorer.train_step(batch, optimizers)
    torch.cuda.synchronize()
    return STEPS / (time.monotonic() - start), torch.cuda.max_memory_allocated() / 2**30


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_stage_1_is_faster_than_the_same_model_in_fp32() -> None:
    torch.backends.cudnn.benchmark = True
    ours, memory = measure(TrainingSettings())
    torch.cuda.empty_cache()
    plain, plain_memory = measure(PLAIN)
    print(
        f"\n{torch.cuda.get_device_name()}, {STAGE.batch} samples of {STAGE.frames} frames of {SETTINGS.data.size} pixels:"
        f" {ours:.2f} iterations a second in {memory:.1f} GiB; in FP32 {plain:.2f} in {plain_memory:.1f} GiB,"
        f" so {ours / plain:.1f} times as fast"
    )
    assert ours > plain
