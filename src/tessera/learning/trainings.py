"""Trainings that outlive a change: each has its own folder, named by a digest of what decides its numbers."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from tessera.core.errors import TesseraError
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.core.provenance import digest, verify_checksums
from tessera.core.settings import Settings

RECORD = "training.json"
OLD_FOLDERS = "run", "run.before"  # of version 0.1
SHOWN = 5  # differences or faults that a message names

_listeners: list[Callable[[str], None]] = []


class TrainingsSettings(Settings):
    """How many finished trainings are kept of each detector, and of each stage of restoration; None: all."""

    keep: PositiveInt | None = 3
    """Number of finished trainings that are kept of each detector and of each stage of restoration, in `results/training`. A
    kept training is reused when its settings return. Beyond that number, the least recently used ones are removed. `null` keeps
    all.
    """


class Record(BaseModel):
    """What is known of a training: the content of `training.json` in its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: dict[str, Any]  # what decides the numbers
    made_with: list[dict[str, str]]  # versions and device; one more entry where they changed before the training was finished
    finished: bool = False
    sources: tuple[str, ...] = ()  # the sources whose samples it learns from


@dataclass(frozen=True)
class Trainings:
    """The trainings of one detector, or of one stage of restoration: a folder for each in `folder`.

    `keep` is the number of finished trainings that stay, None for all. `sources` are those whose samples a training learns
    from. They are recorded, so that it can be removed when one of them is withdrawn.
    """

    folder: Path
    keep: int | None = None
    sources: tuple[str, ...] = ()

    def complete(
        self, identity: Mapping[str, Any], checksums: Path, made_with: Callable[[], dict[str, str]], fit: Callable[[Path], None]
    ) -> Path:
        """Return the folder of the training `identity`, finished. Where it was finished before, nothing is trained.

        `identity` holds, as JSON types, all that decides the numbers. `checksums` is the SHA256SUMS of the dataset, which is
        verified before anything is trained: a picture whose label is missing would be taken for background. `made_with` returns
        what a training is made with, see `environment`; it is recorded, and no part of the identity. `fit` trains to the end in
        the folder that it is given, from the state that it finds there; it may be called again after it ended.

        Afterwards, only the `keep` finished trainings that were used last remain, and unfinished ones that were used since. The
        process may be killed at any moment: the next call with this identity goes on.

        Raises `TesseraError` if the dataset is not what was written.
        """
        shutil.rmtree(self._removed, ignore_errors=True)
        trainings = self._known()
        run = self.run(identity)
        record = trainings.get(run)
        if record is None:
            self._report_new(identity, trainings)
            record = Record(identity=dict(identity), made_with=[], sources=self.sources)
        if record.finished:
            tell(f"{run} holds this training, finished; remove the folder to repeat it")
        else:
            _check(checksums)
            record = record.model_copy(update={"made_with": _extended(record, run, made_with())})
            self._write(run, record)
            fit(run)
            record = record.model_copy(update={"finished": True})
        self._write(run, record)
        self._remove_surplus()
        return run

    def run(self, identity: Mapping[str, Any]) -> Path:
        """Return the folder of the training `identity`, whether it is there or not."""
        return self.folder / digest(identity)[:16]

    @property
    def _removed(self) -> Path:
        """The folder that a training is moved to before it is removed: a half-removed one is never taken for a complete one."""
        return self.folder / ".removed"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*/{RECORD}"), key=_used, reverse=True)

    def _known(self) -> dict[Path, Record]:
        """Return the trainings in the folder, the one that was used last first."""
        return {file.parent: read_record(file) for file in self._files()}

    def _write(self, run: Path, record: Record) -> None:
        """Write the `record` of the training in `run` atomically; its time makes it the one that was used last."""
        run.mkdir(parents=True, exist_ok=True)
        partial = run / f".partial.{RECORD}"
        partial.write_text(json.dumps(record.model_dump(), indent=2) + "\n", encoding="utf-8")
        # Also where the clock was set back.
        now = max([time.time_ns(), *(_used(file) + 1 for file in self._files()[:1])])
        os.utime(partial, ns=(now, now))
        partial.replace(run / RECORD)

    def _report_new(self, identity: Mapping[str, Any], trainings: Mapping[Path, Record]) -> None:
        old = [str(folder) for folder in map(self.folder.with_name, OLD_FOLDERS) if folder.exists()]
        if old:
            tell(
                f"{' and '.join(old)}: a training of Tessera 0.1, which cannot be compared with this one; it is left as it is, "
                "remove it if you no longer need it"
            )
        if trainings:
            latest, record = next(iter(trainings.items()))
            differences = _differences(record.identity, dict(identity))
            tell(
                f"another training than the last, which stays in {latest}: it differs in"
                f" {', '.join(truncate(differences, SHOWN))}"
            )

    def _remove_surplus(self) -> None:
        if self.keep is None:
            return
        finished = 0
        for run, record in self._known().items():
            if finished >= self.keep:
                tell(
                    f"removes {run}: {pluralize(self.keep, 'finished trainings')} used since,"
                    f" and `trainings.keep` is {self.keep}"
                )
                self._removed.mkdir(exist_ok=True)
                run.rename(self._removed / run.name)
                shutil.rmtree(self._removed)
            finished += record.finished


def read_record(path: Path) -> Record:
    """Return the record in the file `path`. Raises `TesseraError` where it is damaged."""
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TesseraError(f"{path}: damaged; move the folder {path.parent} away, and run again") from error


def environment(*libraries: str) -> dict[str, str]:
    """Return what a training that starts now is made with: versions of `libraries` and Python, and the name of the device."""
    return {
        **{library: version(library) for library in libraries},
        "python": platform.python_version(),
        "device": _device(),
    }


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Pass the curves that trainings in the block report to `listener`. If it raises an exception, the training ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Replace denormal numbers by 0 in the block. Gradients that vanish to them are a hundred times slower on a CPU."""
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def report_curves(curves: str) -> None:
    """Report `curves`, the table of the epochs of a training so far, as CSV, after its state was saved; see `listening`."""
    for listener in _listeners:
        listener(curves)


def state_file(run: Path) -> Path:
    """Return the file that holds the state of the training in the folder `run`."""
    return Path(run) / "state.pt"


def read_state(run: Path) -> dict[str, Any] | None:
    """Return the state of the training in the folder `run`, or None where there is none. It holds numbers only, no code.

    Raises `TesseraError` where it is damaged.
    """
    import torch

    if not state_file(run).exists():
        return None
    try:
        state: dict[str, Any] = torch.load(state_file(run), map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises depends on where the file is damaged
        raise TesseraError(f"{state_file(run)}: damaged; remove {run} to train anew") from error
    return state


def _check(checksums: Path) -> None:
    faults = verify_checksums(checksums)
    if faults:
        raise TesseraError(
            "\n  ".join([f"the dataset {checksums.parent} is not what was written:", *truncate(faults, SHOWN)]) + "\n"
            f"delete the folder {checksums.parent} and run again: the dataset is made again"
        )


def _used(file: Path) -> int:
    return file.stat().st_mtime_ns


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "CPU"
    # In a process of its own: forks of a process that uses a GPU cannot use it.
    command = [sys.executable, "-c", "import torch; print(torch.cuda.get_device_name())"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _extended(record: Record, run: Path, now: dict[str, str]) -> list[dict[str, str]]:
    """Return what the training in `run` is made with, when it goes on with `now`."""
    # A run that saved no state added nothing to the weights.
    before = record.made_with if state_file(run).exists() else []
    if before and before[-1] != now:
        changes = [f"{name} {before[-1].get(name, 'none')} → {now[name]}" for name in now if now[name] != before[-1].get(name)]
        tell(f"goes on with other versions than before: {', '.join(changes)}")
    return before if before[-1:] == [now] else [*before, now]


def _differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Return the dotted keys in which two JSON values differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        return [
            difference
            for key in sorted({*left, *right})
            for difference in _differences(left.get(key, ...), right.get(key, ...), f"{path}.{key}".removeprefix("."))
        ]
    return [] if left == right else [path]
