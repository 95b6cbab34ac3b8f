"""A training is kept, found again and resumed whatever happens, and only surplus ones are removed."""

import io
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.core import log
from tessera.core.errors import TesseraError
from tessera.core.provenance import write_checksums
from tessera.learning.trainings import RECORD, Trainings, TrainingsSettings, environment, read_record, read_state, state_file

STEPS = 3
OLD, NEW = {"torch": "2.1"}, {"torch": "2.2"}


def identity(number: int = 0, **values: Any) -> dict[str, Any]:
    return {"data": "d", "settings": {"training": {"lr0": number}}, "seed": 0, "code": "c", **values}


class Trainer:
    """A training that counts to `STEPS`, saves its progress, and may stop early."""

    def __init__(self, trainings: Trainings, made_with: dict[str, str] = OLD) -> None:
        self.trainings, self.made_with, self.steps = trainings, made_with, 0
        self.checksums = trainings.folder.with_name("SHA256SUMS")
        self.checksums.touch()

    def train(self, identity: dict[str, Any], stop: int | None = None, end: Callable[[], None] | None = None) -> Path:
        def fit(run: Path) -> None:
            reached = int(state_file(run).read_text()) if state_file(run).exists() else 0
            for step in range(reached, STEPS):
                if step == stop:
                    (end or interrupt)()
                self.steps += 1
                state_file(run).write_text(str(step + 1))

        return self.trainings.complete(identity, self.checksums, lambda: self.made_with, fit)


def interrupt() -> None:
    raise TesseraError("stopped")


def finished(trainings: Trainings) -> set[int]:
    """Return the numbers of the complete, finished trainings."""
    records = [path for path in trainings.folder.glob(f"*/{RECORD}") if read_record(path).finished]
    assert all(state_file(path.parent).read_text() == str(STEPS) for path in records)
    return {read_record(path).identity["settings"]["training"]["lr0"] for path in records}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The messages for the terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(log, "_terminal", stream)
    return stream


@pytest.fixture
def trainer(tmp_path: Path, terminal: io.StringIO) -> Trainer:
    return Trainer(Trainings(tmp_path / "runs", keep=2))


def test_a_finished_training_is_not_repeated(trainer: Trainer, terminal: io.StringIO) -> None:
    run = trainer.train(identity())
    assert trainer.train(identity()) == run
    assert trainer.steps == STEPS
    assert f"{run} holds this training, finished" in terminal.getvalue()


def test_nothing_is_trained_on_a_dataset_that_lost_a_file(trainer: Trainer) -> None:
    labels = [trainer.checksums.parent / "labels" / name for name in ("one.txt", "two.txt")]
    labels[0].parent.mkdir()
    for label in labels:
        label.touch()
    write_checksums(labels, trainer.checksums.parent, trainer.checksums)
    trainer.train(identity(0))
    labels[1].unlink()
    with pytest.raises(TesseraError, match=r"'labels/two\.txt' is missing\ndelete the folder"):
        trainer.train(identity(1))
    assert trainer.steps == STEPS
    trainer.train(identity(0))


def test_settings_that_are_changed_and_restored_train_nothing_again(trainer: Trainer) -> None:
    runs = [trainer.train(identity(number)) for number in (0, 1, 0, 1)]
    assert runs[:2] == runs[2:] and runs[0] != runs[1]
    assert trainer.steps == 2 * STEPS


def test_an_unfinished_training_is_resumed_even_after_another(trainer: Trainer) -> None:
    with pytest.raises(TesseraError, match="stopped"):
        trainer.train(identity(0), stop=2)
    trainer.train(identity(1))
    before = trainer.steps
    trainer.train(identity(0))
    assert trainer.steps - before == STEPS - 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"settings": {"training": {"lr0": 1}}}, "it differs in settings.training.lr0\n"),
        ({"settings": {"training": {}}, "data": "e"}, "it differs in data, settings.training.lr0\n"),
        ({"seed": 1}, "it differs in seed\n"),
        ({f"part{number}": None for number in range(7)}, "it differs in part0, part1, part2, part3, part4, and 2 more\n"),
    ],
)
def test_another_training_says_what_differs_from_the_last(
    change: dict[str, Any], told: str, trainer: Trainer, terminal: io.StringIO
) -> None:
    trainer.train(identity(5))
    last = trainer.train(identity())
    trainer.train(identity(**change))
    assert f"another training than the last, which stays in {last}: {told}" in terminal.getvalue()


def test_the_order_of_settings_does_not_matter(trainer: Trainer) -> None:
    assert trainer.train({"data": "d", "seed": 0}) == trainer.train({"seed": 0, "data": "d"})
    assert trainer.steps == STEPS


def test_the_least_recently_used_training_is_removed_first_and_named(trainer: Trainer, terminal: io.StringIO) -> None:
    trainer.train(identity(0))
    gone = trainer.train(identity(1))
    trainer.train(identity(0))
    trainer.train(identity(2))
    assert finished(trainer.trainings) == {0, 2} and not gone.exists()
    assert terminal.getvalue().count("removes ") == 1
    assert f"removes {gone}: 2 finished trainings used since, and `trainings.keep` is 2" in terminal.getvalue()
    assert sorted(path.name for path in trainer.trainings.folder.iterdir() if path.name.startswith(".")) == []


def test_a_clock_that_is_set_back_does_not_change_the_order(trainer: Trainer) -> None:
    run = trainer.train(identity(0))
    os.utime(run / RECORD, (2**33, 2**33))
    for number in (1, 2):
        trainer.train(identity(number))
    assert finished(trainer.trainings) == {1, 2}


def test_nothing_is_removed_for_a_training_that_did_not_finish(trainer: Trainer) -> None:
    for number in (0, 1):
        trainer.train(identity(number))
    for number in (2, 3, 4):
        with pytest.raises(TesseraError, match="stopped"):
            trainer.train(identity(number), stop=1)
    assert finished(trainer.trainings) == {0, 1}
    trainer.train(identity(4))
    assert finished(trainer.trainings) == {1, 4}
    assert len(list(trainer.trainings.folder.iterdir())) == 4, "2 and 3 were used after 1, and may go on"


def test_without_a_limit_all_trainings_are_kept(tmp_path: Path) -> None:
    trainer = Trainer(Trainings(tmp_path / "runs", **TrainingsSettings(keep=None).model_dump()))
    for number in range(5):
        trainer.train(identity(number))
    assert finished(trainer.trainings) == set(range(5))


REQUESTS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from([None, None, 0, 1, 2])), max_size=12)


@settings(max_examples=50)
@given(REQUESTS, st.integers(1, 4) | st.none())
def test_the_most_recently_used_finished_trainings_are_kept_and_not_repeated(
    requests: list[tuple[int, int | None]], keep: int | None
) -> None:
    folder = Path(tempfile.mkdtemp())
    trainer = Trainer(Trainings(folder / "runs", keep))
    uses: list[int] = []  # of finished trainings, the last one last
    for number, stop in requests:
        there, steps = finished(trainer.trainings), trainer.steps
        try:
            trainer.train(identity(number), stop)
            uses.append(number)
        except TesseraError:
            assert number not in there and finished(trainer.trainings) == there
        if number in there:
            assert trainer.steps == steps
        latest = list(dict.fromkeys(reversed(uses)))
        assert finished(trainer.trainings) == set(latest[:keep])
    shutil.rmtree(folder)


def test_another_version_trains_nothing_again(trainer: Trainer, terminal: io.StringIO) -> None:
    run = trainer.train(identity())
    Trainer(trainer.trainings, NEW).train(identity(), stop=0)
    assert read_record(run / RECORD).made_with == [OLD]
    assert "another training" not in terminal.getvalue()


def test_a_training_resumed_with_another_version_has_both_versions_in_its_record(
    trainer: Trainer, terminal: io.StringIO
) -> None:
    with pytest.raises(TesseraError, match="stopped"):
        trainer.train(identity(), stop=2)
    newer = Trainer(trainer.trainings, NEW)
    run = newer.train(identity())
    assert newer.steps == STEPS - 2
    assert read_record(run / RECORD).made_with == [OLD, NEW]
    assert "goes on with other versions than before: torch 2.1 → 2.2\n" in terminal.getvalue()


def test_a_version_that_saved_nothing_is_not_in_the_record(trainer: Trainer) -> None:
    with pytest.raises(TesseraError, match="stopped"):
        trainer.train(identity(), stop=0)
    run = Trainer(trainer.trainings, NEW).train(identity())
    assert read_record(run / RECORD).made_with == [NEW]


def test_the_record_has_the_identity_in_plain_text(trainer: Trainer) -> None:
    run = trainer.train(identity())
    record = {"identity": identity(), "made_with": [OLD], "finished": True, "sources": []}
    assert json.loads((run / RECORD).read_text()) == record


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object], before: int) -> bool:
    """Run `work` in a process that is killed before the `before`-th change of a file; return whether it was killed."""
    process = os.fork()
    if not process:
        try:
            changes = iter(range(before))

            def count(event: str, arguments: tuple[Any, ...]) -> None:
                writes = event in {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime"}
                if (writes or (event == "open" and "w" in str(arguments[1]))) and next(changes, None) is None:
                    die()

            sys.addaudithook(count)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(process, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status != 0


def moments(work: Callable[[Path], object], folder: Path) -> Iterator[Path]:
    """Run `work` in copies of `folder`, with a kill at each possible moment, until it finishes; yield each folder."""
    for number in range(1000):
        copy = folder.with_name(f"{folder.name}-{number}")
        shutil.copytree(folder, copy)
        was_killed = killed(lambda copy=copy: work(copy), number)
        yield copy
        if not was_killed:
            return
    raise AssertionError("it never got through")


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing(trainer: Trainer) -> None:
    for number in (0, 1):
        trainer.train(identity(number))
    tried = 0
    for folder in moments(lambda folder: Trainer(Trainings(folder, 2)).train(identity(2)), trainer.trainings.folder):
        assert 1 in finished(Trainings(folder))
        again = Trainer(Trainings(folder, 2))
        run = again.train(identity(2))
        assert state_file(run).read_text() == str(STEPS)
        assert finished(again.trainings) == {1, 2}
        assert sorted(path.name for path in folder.iterdir()) == sorted(path.parent.name for path in folder.glob(f"*/{RECORD}"))
        tried += 1
    assert tried > 10


def test_a_training_in_the_old_layout_is_kept_and_named(trainer: Trainer, terminal: io.StringIO) -> None:
    old = trainer.trainings.folder.with_name("run")
    old.mkdir()
    (old / "state.pt").write_bytes(b"numbers")
    trainer.train(identity())
    assert (
        f"{old}: a training of Tessera 0.1, which cannot be compared with this one; it is left as it is" in terminal.getvalue()
    )
    trainer.train(identity())
    assert terminal.getvalue().count("Tessera 0.1") == 1
    assert (old / "state.pt").read_bytes() == b"numbers"


def test_a_damaged_record_is_named(trainer: Trainer) -> None:
    run = trainer.train(identity())
    (run / RECORD).write_text('{"identity": ')
    with pytest.raises(TesseraError, match=rf"{run / RECORD}: damaged; move the folder {run} away, and run again"):
        trainer.train(identity(1))


def test_a_state_is_read_without_running_code_in_it(tmp_path: Path) -> None:
    import torch

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    assert read_state(tmp_path) is None
    torch.save({"number": torch.ones(2)}, state_file(tmp_path))
    state = read_state(tmp_path)
    assert state is not None and state["number"].tolist() == [1, 1]
    torch.save({"number": Evil()}, state_file(tmp_path))
    with pytest.raises(TesseraError, match=rf"state\.pt: damaged; remove {tmp_path} to train anew"):
        read_state(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_the_environment_of_a_training_names_versions_and_the_device() -> None:
    import torch

    found = environment("torch", "ultralytics")
    assert list(found) == ["torch", "ultralytics", "python", "device"]
    assert found["python"] == platform.python_version()
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found["device"] == (torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU")
