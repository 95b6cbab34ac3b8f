"""Training gives the same bytes with and without kills, starts from the right weights, and explains its errors."""

import io
import os
import resource
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from safetensors.torch import load_file
from torch.optim.optimizer import register_optimizer_step_post_hook

from restoration_clips import write_moving_clip
from tessera.core.errors import TesseraError
from tessera.learning.trainings import RECORD, Record, Trainings, state_file
from tessera.learning.weights.known import FLOW_STARTER, known_weights, local_file
from tessera.stages.restoration.models import build_generator
from tessera.stages.restoration.restorer import LAYERS, Restorer, begin, perceptual_loss
from tessera.stages.restoration.settings import (
    DataSettings,
    DiscriminatorSettings,
    GeneratorSettings,
    LearningRateSettings,
    LossSettings,
    StageSettings,
    StageTraining,
    StartingWeights,
    TrainingSettings,
)
from tessera.stages.restoration.trainer import explained
from tessera.stages.restoration.training import train_stage

SIZE, JUDGE = GeneratorSettings(channels=8, blocks=1), DiscriminatorSettings(channels=8)
DATA = DataSettings(size=32, degradations=())
GAN = StageSettings(
    name="gan", iterations=8, frames=2, batch=2, losses=LossSettings(adversarial=0.05), ema=0.1, validate_every=4
)
# Learning rates so low that a stage does not change its initial weights noticeably.
STILL = LearningRateSettings(generator=1e-12, discriminator=1e-12)
SAVED = TrainingSettings(save_every=3)
State = dict[str, Any]


def stage(iterations: int = 1, **values: Any) -> StageSettings:
    return StageSettings(**{"name": "stage", "iterations": iterations, "frames": 2, "batch": 2, **values})


def train(dataset: Path, folder: Path, stage: StageSettings, **others: Any) -> State:
    """Train in `folder`; return the weights."""
    folder.mkdir(exist_ok=True)
    given = {
        **{"stage": stage, "data": DATA, "generator": SIZE, "discriminator": JUDGE, "training": SAVED},
        **{"seed": 0, "threads": 1, "gpus": 1, "code": ""},
        **others,
    }
    settings, weights = (
        kind(**{name: given.pop(name) for name in list(given) if name in kind.model_fields})
        for kind in (StageTraining, StartingWeights)
    )
    files = [folder / name for name in ("best.pth", "curves.csv", RECORD)]
    train_stage(dataset, *files, Trainings(folder / "runs"), settings, weights, **given)
    return load(files[0])


def run_of(folder: Path) -> Path:
    """Return the folder of the only training in `folder`."""
    (run,) = (folder / "runs").iterdir()
    return run


def load(path: Path) -> State:
    state: State = torch.load(path, weights_only=True)
    return state


def part(state: State, name: str) -> State:
    # The spectral norms of a discriminator are estimated again at each step.
    return {key: value for key, value in state.items() if key.startswith(name) and not key.endswith(("weight_u", "weight_v"))}


def farthest(one: State, other: State) -> float:
    assert one.keys() == other.keys() and one
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three training clips, two validation clips, and one of each that is too short."""
    folder = tmp_path_factory.mktemp("dataset")
    for split, number in (("train", 3), ("val", 2)):
        for name in range(number):
            write_moving_clip(folder / split, f"{split}-{name}", 3 + name)
        write_moving_clip(folder / split, f"{split}-short", 1)
    (folder / "SHA256SUMS").write_text("")
    return folder


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(dataset, folder, GAN)
    return folder


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], object]) -> int:
    """Run `work` in a process of its own, and return its exit status."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitpid(process, 0)[1]


def killed_training(dataset: Path, folder: Path, moment: str, number: int) -> None:
    """Train until a kill at the `number`-th step of an optimizer, or before or after the `number`-th file is in place."""
    counted = count(1)
    replace = Path.replace

    def replace_or_die(self: Path, target: Path) -> Path:
        if target.name == RECORD:
            return replace(self, target)
        now = next(counted) == number
        if now and moment == "before a file":
            die()
        replace(self, target)
        if now:
            die()
        return target

    def step_or_die(*_: object) -> None:
        if next(counted) == number:
            die()

    if moment == "step":
        register_optimizer_step_post_hook(step_or_die)
    else:
        Path.replace = replace_or_die  # type: ignore[method-assign, assignment]
    train(dataset, folder, GAN)


def train_on_a_full_disk(dataset: Path, folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    with pytest.raises(OSError, match="File too large"):
        train(dataset, folder, GAN)
    die()


def test_a_killed_training_ends_with_the_same_weights_as_an_undisturbed_one(
    dataset: Path, trained: Path, tmp_path: Path
) -> None:
    moments = [
        ("step", 3),  # nothing has been saved
        ("before a file", 1),  # that of iteration 3
        ("after a file", 1),
        ("before a file", 2),  # the best weights are those of iteration 4, but its state is not saved
        ("step", 4),  # the generator of iteration 5 has learned, the discriminator has not
        ("step", 3),
    ]
    reached = []
    for moment in moments:
        assert in_a_process(lambda moment=moment: killed_training(dataset, tmp_path, *moment)) == signal.SIGKILL
        state = state_file(run_of(tmp_path))
        reached.append(load(state)["progress"]["iteration"] if state.exists() else 0)
    assert reached == [0, 0, 3, 3, 4, 4]
    before = state.read_bytes()
    assert in_a_process(lambda: train_on_a_full_disk(dataset, tmp_path)) == signal.SIGKILL
    assert state.read_bytes() == before and not (tmp_path / "best.pth").exists()
    train(dataset, tmp_path, GAN)
    for name in ("best.pth", "curves.csv"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes(), name
    assert not [file for file in run_of(tmp_path).iterdir() if "partial" in file.name]


def test_curves_have_all_iterations_and_the_best_weights_are_kept(trained: Path) -> None:
    header, *rows = [line.split(",") for line in (trained / "curves.csv").read_text().splitlines()]
    assert header == ["iteration", "pixel", "adversarial", "discriminator", "psnr", "mosaicked"]
    assert [int(row[0]) for row in rows] == list(range(1, 9))
    assert [row[0] for row in rows if row[-1]] == ["4", "8"]
    best, number = max((float(row[-2]), int(row[0])) for row in rows if row[-2])
    assert len({row[-1] for row in rows if row[-1]}) == 1, "the input of the model is the same each time"
    progress = load(state_file(run_of(trained)))["progress"]
    assert (progress["best"], progress["best_at"]) == (pytest.approx(best, abs=1e-4), number)
    names = {name.partition(".")[0] for name in load(trained / "best.pth")}
    assert names == {"generator", "generator_ema", "discriminator"}


def test_a_finished_training_is_reused_after_settings_are_restored_or_a_version_changes(
    dataset: Path, tmp_path: Path, terminal: io.StringIO
) -> None:
    first = train(dataset, tmp_path, stage())
    run = run_of(tmp_path)
    record = Record.model_validate_json((tmp_path / RECORD).read_text())
    assert record.identity.keys() == {"data", "settings", "weights", "seed", "code"}
    assert record.identity["settings"].keys() == {"stage", "data", "generator", "validation_clips"}
    assert record.made_with[0].keys() == {"torch", "mmagic", "mmengine", "python", "device"}
    (tmp_path / "best.pth").unlink()
    assert farthest(train(dataset, tmp_path, stage(), training=TrainingSettings(save_every=7, accumulate=2)), first) == 0
    assert f"{run} holds this training, finished" in terminal.getvalue()

    train(dataset, tmp_path, stage(batch=1))
    assert f"another training than the last, which stays in {run}: it differs in settings.stage.batch\n" in terminal.getvalue()

    older = record.model_copy(update={"made_with": [{**record.made_with[0], "torch": "1.0"}]})
    (run / RECORD).write_text(older.model_dump_json())
    assert farthest(train(dataset, tmp_path, stage()), first) == 0
    assert terminal.getvalue().count("holds this training, finished") == 2
    assert Record.model_validate_json((tmp_path / RECORD).read_text()) == older


def test_a_wrong_setting_does_not_destroy_a_training(dataset: Path, tmp_path: Path, terminal: io.StringIO) -> None:
    first = train(dataset, tmp_path, stage())
    (tmp_path / "other.pth").write_bytes(b"no weights")
    for _ in range(2):
        with pytest.raises(TesseraError, match="other"):
            train(dataset, tmp_path, stage(), load_from=tmp_path / "other.pth")
    assert farthest(train(dataset, tmp_path, stage()), first) == 0
    assert "holds this training, finished" in terminal.getvalue()
    second = train(dataset, tmp_path, stage(), seed=1)
    assert farthest(train(dataset, tmp_path, stage()), first) == 0
    assert farthest(train(dataset, tmp_path, stage(), seed=1), second) == 0
    assert terminal.getvalue().count("holds this training, finished") == 3


def test_a_stage_starts_from_all_networks_of_its_base(dataset: Path, trained: Path, tmp_path: Path) -> None:
    base = load(trained / "best.pth")
    found = train(
        dataset,
        tmp_path,
        GAN.model_copy(update={"iterations": 1, "learning_rates": STILL, "ema": 1e-9}),
        base=trained / "best.pth",
    )
    for name in ("generator.", "generator_ema.", "discriminator."):
        assert farthest(part(found, name), part(base, name)) < 1e-6, name
    assert (
        farthest(
            part(base, "generator."), {name.replace("_ema", ""): value for name, value in part(base, "generator_ema.").items()}
        )
        > 1e-5
    )


def test_a_stage_without_an_average_starts_from_the_average_of_its_base(dataset: Path, trained: Path, tmp_path: Path) -> None:
    found = train(dataset, tmp_path, stage(learning_rates=STILL), base=trained / "best.pth")
    expected = {name.replace("_ema", ""): value for name, value in part(load(trained / "best.pth"), "generator_ema.").items()}
    assert farthest(found, expected) < 1e-6


def test_a_training_can_start_from_weights_in_lada_layout(dataset: Path, trained: Path, tmp_path: Path) -> None:
    state = part(load(trained / "best.pth"), "generator.")
    torch.save({**state, "step_counter": torch.zeros(1)}, tmp_path / "lada.pth")
    found = train(dataset, tmp_path, stage(learning_rates=STILL, ema=1e-9), load_from=tmp_path / "lada.pth")
    assert farthest(part(found, "generator."), state) < 1e-6
    assert (
        farthest(
            part(found, "generator_ema."), {name.replace("generator", "generator_ema"): value for name, value in state.items()}
        )
        < 1e-6
    )


@pytest.fixture(scope="module")
def spynet(trained: Path) -> Path:
    """Weights of the optical flow, in the layout of mmagic."""
    path = trained / "spynet.pth"
    state = {name.removeprefix("generator.spynet."): value for name, value in load(trained / "best.pth").items()}
    torch.save({name: value * 1.1 for name, value in state.items() if name.startswith("basic_module")}, path)
    return path


@pytest.mark.parametrize(("freeze", "stays"), [("always", True), (2, True), (1, False)])
def test_the_optical_flow_starts_from_its_weights_and_is_frozen_at_first(
    freeze: Any, stays: bool, dataset: Path, spynet: Path, tmp_path: Path
) -> None:
    found = part(train(dataset, tmp_path, stage(2, freeze_flow=freeze), spynet=spynet), "generator.spynet.basic_module")
    expected = {f"generator.spynet.{name}": value for name, value in load(spynet).items()}
    moved = farthest(found, expected)
    assert moved == 0 if stays else 0 < moved < 1e-3


def test_a_training_starts_from_the_starter_flow_at_any_size(dataset: Path, tmp_path: Path, terminal: io.StringIO) -> None:
    starter = local_file(known_weights()[FLOW_STARTER].source)
    found = part(train(dataset, tmp_path, stage(1, learning_rates=STILL), spynet=starter), "generator.spynet.basic_module")
    expected = {f"generator.spynet.{name}": value.float() for name, value in load_file(starter).items()}
    assert found.keys() == expected.keys() and farthest(found, expected) == 0
    assert "SPyNet" not in terminal.getvalue()
    larger = Restorer(GeneratorSettings(channels=16, blocks=2), JUDGE, stage(), SAVED, torch.float32, None)
    assert begin(larger, None, starter)


@pytest.mark.parametrize(
    ("inner", "nested"), [("basic_module", "params"), ("moduleBasic", None), ("netBasic", None)], ids=["BasicSR", "old", "new"]
)
def test_an_optical_flow_is_read_as_others_publish_it(inner: str, nested: str | None, spynet: Path, tmp_path: Path) -> None:
    """As in BasicSR#516: its SPyNet and that of pytorch-spynet number the activations between the convolutions, too."""
    published = {}
    for name, value in load(spynet).items():
        _, level, _, number, _, kind = name.split(".")
        published[f"{inner}.{level}.{inner}.{2 * int(number)}.{kind}"] = value
    torch.save({nested: published} if nested else published, tmp_path / "published.pth")
    one, other = (Restorer(SIZE, JUDGE, stage(), SAVED, torch.float32, None) for _ in range(2))
    begin(one, None, spynet)
    begin(other, None, tmp_path / "published.pth")
    assert farthest(one.generator.spynet.state_dict(), other.generator.spynet.state_dict()) == 0
    assert farthest(one.generator.spynet.state_dict(), build_generator(SIZE).spynet.state_dict()) > 0


def test_an_untrained_optical_flow_is_trained_from_the_start(dataset: Path, tmp_path: Path, terminal: io.StringIO) -> None:
    before = train(dataset, tmp_path / "still", stage(freeze_flow=5, learning_rates=STILL))
    after = train(dataset, tmp_path / "moving", stage(freeze_flow=5))
    assert farthest(part(before, "generator.spynet"), part(after, "generator.spynet")) > 1e-5
    assert "there are no weights of SPyNet: the optical flow is trained from the first iteration" in terminal.getvalue()


def test_an_untrained_optical_flow_that_is_always_frozen_stays_zero(
    dataset: Path, tmp_path: Path, terminal: io.StringIO
) -> None:
    before = train(dataset, tmp_path / "still", stage(learning_rates=STILL))
    after = train(dataset, tmp_path / "moving", stage(2))
    assert farthest(part(before, "generator.spynet"), part(after, "generator.spynet")) == 0
    assert "frames are aligned without an optical flow" in terminal.getvalue()


def test_accumulated_gradients_equal_those_of_the_whole_batch() -> None:
    random = torch.Generator().manual_seed(0)
    pictures = [torch.randint(0, 256, (4, 2, 32, 32, 3), dtype=torch.uint8, generator=random) for _ in range(2)]
    batch = {"mosaicked": pictures[0], "clean": pictures[1], "keys": ["a"] * 4}
    ends = []
    for parts in (1, 2):
        torch.manual_seed(0)
        restorer = Restorer(SIZE, JUDGE, stage(), TrainingSettings(accumulate=parts), torch.float32, None)
        before = {name: value.clone() for name, value in restorer.weights().items()}
        # The gradient of the loss is compared.
        descent = torch.optim.SGD(restorer.generator.parameters(), lr=1.0)
        losses = restorer.train_step(batch, OptimWrapperDict(generator=OptimWrapper(descent)))
        ends.append((losses["pixel"], {name: value - before[name] for name, value in restorer.weights().items()}))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-5)
    largest = max(float(value.abs().max()) for value in ends[0][1].values())
    assert farthest(ends[0][1], ends[1][1]) < 1e-4 * largest


def test_two_processes_train_the_same_weights_as_one(dataset: Path, tmp_path: Path) -> None:
    settings = GAN.model_copy(update={"iterations": 3})
    one, two = (train(dataset, tmp_path / str(gpus), settings, gpus=gpus) for gpus in (1, 2))
    curves = [(tmp_path / str(gpus) / "curves.csv").read_text().splitlines()[1:] for gpus in (1, 2)]
    for ours, theirs in zip(*curves, strict=True):
        assert [float(value or 0) for value in ours.split(",")] == pytest.approx(
            [float(value or 0) for value in theirs.split(",")], rel=1e-3
        )
    # Adam makes full steps even for gradients that are almost 0, where rounding decides.
    values = [torch.cat([each.flatten() for each in part(state, "generator.").values()]) for state in (one, two)]
    assert float(((values[0] - values[1]).abs() < 1e-6).float().mean()) > 0.99


def test_processes_start_after_this_one_has_used_threads_of_opencv(dataset: Path, tmp_path: Path) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1000, 1000))
    time.sleep(0.3)  # until they wait for more work
    train(dataset, tmp_path, stage(), gpus=2)
    cv2.setNumThreads(threads)


def test_a_failed_process_is_reported(dataset: Path, tmp_path: Path) -> None:
    broken = stage(4, learning_rates=LearningRateSettings(generator=1e30))
    with pytest.raises(TesseraError, match=r"^after iteration \d: the loss pixel is not finite"):
        train(dataset, tmp_path, broken, gpus=2)


def test_a_loss_that_is_nan_stops_the_training_names_the_samples_and_keeps_the_last_state(
    dataset: Path, tmp_path: Path
) -> None:
    broken = stage(9, learning_rates=LearningRateSettings(generator=1e30))
    message = r"^after iteration 1: the loss pixel is not finite, on samples of train-\d, train-\d; .*; the saved state is in "
    with pytest.raises(TesseraError, match=message):
        train(dataset, tmp_path, broken, training=TrainingSettings(save_every=1))
    state = load(state_file(run_of(tmp_path)))
    assert state["progress"]["iteration"] == 1 and not (tmp_path / "best.pth").exists()
    assert all(value.isfinite().all() for value in state["networks"].values())


def test_weights_that_cannot_be_measured_do_not_replace_the_best(dataset: Path, tmp_path: Path) -> None:
    broken = stage(1, learning_rates=LearningRateSettings(generator=1e30))
    with pytest.raises(TesseraError, match="the restored clips of val are not finite"):
        train(dataset, tmp_path, broken)
    assert not (run_of(tmp_path) / "best.pth").exists()


def test_without_validation_clips_the_last_weights_are_the_best(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "train").symlink_to(dataset / "train")
    (tmp_path / "clips" / "val").mkdir()
    (tmp_path / "clips" / "SHA256SUMS").write_text("")
    found = train(tmp_path / "clips", tmp_path, stage(2, validate_every=1))
    assert farthest(found, load(state_file(run_of(tmp_path)))["networks"]) == 0
    assert "nan" not in (tmp_path / "curves.csv").read_text()


def test_clips_that_are_too_short_are_reported_and_left_out(dataset: Path, tmp_path: Path, terminal: io.StringIO) -> None:
    train(dataset, tmp_path, stage(frames=4))
    message = terminal.getvalue()
    assert "2 of 4 clips of train left out: fewer than 4 frames" in message
    assert "2 of 3 clips of val left out: fewer than 4 frames" in message
    with pytest.raises(TesseraError, match=r"train: no clip has 6 frames; lower `frames` of the stage"):
        train(dataset, tmp_path, stage(frames=6))


def test_a_broken_clip_is_reported_and_replaced(dataset: Path, tmp_path: Path, terminal: io.StringIO) -> None:
    clips = tmp_path / "clips"
    for name in ("train-0", "train-1"):
        write_moving_clip(clips / "train", name, 3)
    (clips / "train" / "crop_unscaled_img" / "train-1.mp4").write_bytes(b"no video")
    (clips / "val").symlink_to(dataset / "val")
    (clips / "SHA256SUMS").write_text("")
    train(clips, tmp_path, stage(2))
    assert terminal.getvalue().count("skipped a clip and used the next one: train-1: ") == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"stage": stage(batch=3), "training": TrainingSettings(accumulate=2)},
            r"`batch` of the stage .*, 3, .*set it to a multiple of 2$",
        ),
        ({"stage": stage(batch=3), "gpus": 2}, r"`batch` of the stage .*, 3, cannot be divided evenly by 2 GPUs"),
        ({"stage": stage(losses=LossSettings(pixel=0, perceptual=1))}, r"has only the perceptual loss, .*; declare"),
        ({"generator": GeneratorSettings(channels=16, blocks=1), "base": "best.pth"}, r"contains a generator of 8 channels"),
        ({"spynet": "best.pth"}, r"best\.pth: weights of another network; check `restoration\.weights\.spynet`"),
        (
            {"stage": GAN, "discriminator": DiscriminatorSettings(channels=16), "base": "best.pth"},
            r"best\.pth: weights of another network; check `restoration\.discriminator`",
        ),
        *[
            pytest.param(
                {"training": TrainingSettings(precision=precision)},
                rf"`restoration\.training\.precision` is {precision}, but there is no GPU; set auto or fp32",
                marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
            )
            for precision in ("bf16", "fp16")
        ],
    ],
)
def test_settings_that_cannot_be_trained_are_refused(
    values: dict[str, Any], message: str, dataset: Path, trained: Path, tmp_path: Path
) -> None:
    given = {name: trained / value if isinstance(value, str) else value for name, value in values.items()}
    with pytest.raises(TesseraError, match=message):
        train(dataset, tmp_path, **{"stage": stage(), **given})


def test_an_error_about_memory_says_which_setting_to_lower(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50, dtype=torch.uint8)
    error = explained(raised.value, tmp_path)
    assert isinstance(error, TesseraError) and "raise `restoration.training.accumulate`, or lower `frames` or `batch`" in str(
        error
    )
    other = RuntimeError("something else")
    assert explained(other, tmp_path) is other


def test_a_damaged_state_is_reported(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, stage())
    run = run_of(tmp_path)
    state = state_file(run)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(TesseraError, match=rf"state\.pt: damaged; remove {run} to train anew"):
        train(dataset, tmp_path, stage())


def test_the_perceptual_loss_is_the_feature_distance_of_the_declared_network(tmp_path: Path) -> None:
    from torchvision.models.vgg import cfgs, make_layers

    torch.manual_seed(0)
    features = make_layers(cfgs["E"]).requires_grad_(False)
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, tmp_path / "vgg19.pth")
    images = [torch.rand(2, 3, 32, 32) for _ in range(2)]
    found, _ = perceptual_loss(tmp_path / "vgg19.pth", 0.2)(*images)
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    layers, expected = [(image - mean) / deviation for image in images], 0.0
    for number, layer in enumerate(features):
        layers = [layer(each.clone()) for each in layers]
        expected += LAYERS.get(str(number), 0) * float((layers[0] - layers[1]).abs().mean())
    assert float(found) == pytest.approx(0.2 * expected, rel=1e-4)
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(TesseraError, match=r"other\.pth: weights of another network; check `restoration\.weights\.vgg19`"):
        perceptual_loss(tmp_path / "other.pth", 1.0)


def test_all_weights_are_kept_if_the_setting_says_so(dataset: Path, tmp_path: Path) -> None:
    train(dataset, tmp_path, stage(3), training=TrainingSettings(save_every=2, keep="all"))
    assert {file.name for file in run_of(tmp_path).glob("iteration-*")} == {"iteration-2.pth", "iteration-3.pth"}
