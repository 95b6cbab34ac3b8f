"""A search draws the same trials again, keeps their results, and ends poor ones early."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tessera.core.errors import TesseraError
from tessera.core.provenance import write_checksums
from tessera.core.settings import load
from tessera.learning.search import Plan, Search, Searched, SearchSettings, Training, changed, run_search
from tessera.learning.trainings import RECORD, listening, read_record, report_curves

EPOCHS = 4
SEARCHED = Searched(("rate", "kind", "steps", "other"), {"loss": False, "gain": True})
START = {"rate": 0.512345, "kind": "b", "steps": 3, "other": {"share": 0.3}}
SPACE = {
    "rate": {"log": [0.001, 1.0]},
    "kind": ["a", "b", None],
    "steps": {"from": 1, "to": 9, "step": 2},
    "other.share": {"from": 0, "to": 0.5},
}
SETTINGS = SearchSettings(model="m", space=SPACE, trials=14, prune={"trials": 3, "epochs": 1})


def loss_of(settings: Mapping[str, Any], epoch: int) -> float:
    """The smaller, the closer the rate is to 0.1 and the share to 0.4; `b` is the best kind."""
    distance = abs(math.log10(settings["rate"]) + 1) + abs(settings["other"]["share"] - 0.4)
    return float(distance + (settings["kind"] != "b") + 1 / epoch)


class Trainer:
    """A training in arithmetic: a row of `state.csv` per epoch, from which it goes on."""

    def __init__(self, folder: Path, spoil: Callable[[Mapping[str, Any], int], None] = lambda settings, epoch: None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "data").write_text("data")
        write_checksums([folder / "data"], folder, folder / "SHA256SUMS")
        self.folder, self.spoil = folder, spoil
        self.epochs = 0  # that were trained

    def plan(self) -> Plan:
        def values(curves: str) -> list[float]:
            return [float(line) for line in curves.splitlines()]

        def curves(run: Path) -> str:
            state = run / "state.csv"
            return state.read_text() if state.exists() else ""

        return Plan(START, self.train, values, curves, self.folder / "SHA256SUMS", dict)

    def train(self, settings: Mapping[str, Any]) -> Training:
        if settings["steps"] == 9:
            raise TesseraError("nine steps do not fit")

        def fit(run: Path) -> None:
            state = run / "state.csv"
            before = state.read_text().splitlines() if state.exists() else []
            for epoch in range(len(before) + 1, EPOCHS + 1):
                self.spoil(settings, epoch)
                self.epochs += 1
                before.append(repr(loss_of(settings, epoch)))
                state.write_text("\n".join(before))
                report_curves(state.read_text())

        return Training({"settings": settings}, fit)

    def search(self, settings: SearchSettings = SETTINGS, seed: int = 0, runs: str = "runs") -> Search:
        return run_search(settings, self.plan(), SEARCHED, self.folder / runs, ("source",), seed=seed)


def rows(found: Search) -> list[tuple[Any, ...]]:
    """What a search promises to repeat."""
    return [(trial.number, trial.state, trial.parameters, trial.values, trial.reason) for trial in found.trials]


def change(**settings: Any) -> SearchSettings:
    return SearchSettings(**{**SETTINGS.model_dump(), **settings})


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    return Trainer(tmp_path / "search")


def test_equal_seeds_give_equal_trials_and_others_do_not(trainer: Trainer, tmp_path: Path) -> None:
    found = trainer.search()
    again = Trainer(tmp_path / "again").search()
    assert rows(found) == rows(again) and found.importances == again.importances
    assert rows(found) != rows(trainer.search(seed=1, runs="other"))


def test_trials_have_values_of_the_space_and_the_first_those_of_the_settings(trainer: Trainer) -> None:
    found = trainer.search(change(trials=30, prune=None))
    assert found.trials[0].parameters == {"rate": 0.512345, "kind": "b", "steps": 3, "other.share": 0.3}
    for trial in found.trials:
        drawn = trial.parameters
        assert 0.001 <= drawn["rate"] <= 1 and drawn["kind"] in {"a", "b", None} and 0 <= drawn["other.share"] <= 0.5
        assert drawn["steps"] in {1, 3, 5, 7, 9} and isinstance(drawn["steps"], int)
        assert trial.number == 0 or drawn["rate"] == float(f"{drawn['rate']:.4g}")
        if trial.state == "complete":
            assert list(trial.values) == [loss_of(changed(START, drawn), epoch) for epoch in range(1, EPOCHS + 1)]
    assert found.best.values[-1] == min(trial.values[-1] for trial in found.trials if trial.state == "complete")
    assert found.best.values[-1] < found.trials[0].values[-1]


def test_a_search_that_is_killed_after_every_epoch_goes_on_within_the_trial(tmp_path: Path) -> None:
    def spoil(settings: Mapping[str, Any], epoch: int) -> None:
        if settings["kind"] == "a" and epoch == 3:
            raise TesseraError("the loss is not finite")

    whole, trainer = Trainer(tmp_path / "whole", spoil), Trainer(tmp_path / "killed", spoil)
    expected = whole.search()
    assert {trial.state for trial in expected.trials} == {"complete", "pruned", "failed"}
    told = set()

    def kill(curves: str) -> None:
        if curves not in told:
            told.add(curves)
            raise KeyboardInterrupt

    with listening(kill):
        while True:
            try:
                found = trainer.search()
                break
            except KeyboardInterrupt:
                continue
    assert rows(found) == rows(expected) and found.importances == expected.importances
    assert trainer.epochs == whole.epochs == len(told), "no epoch was trained twice"


def test_a_larger_budget_begins_where_the_smaller_one_ended(trainer: Trainer, tmp_path: Path) -> None:
    few = trainer.search(change(trials=6))
    more = trainer.search()
    whole = Trainer(tmp_path / "whole")
    assert rows(more)[:6] == rows(few) and rows(more) == rows(whole.search()) and trainer.epochs == whole.epochs


def test_minutes_end_a_search_between_trials(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**6, 45))  # each trial reads it twice
    monkeypatch.setattr("tessera.learning.search.time.monotonic", lambda: next(clock))
    found = trainer.search(change(minutes=2, space={"rate": SPACE["rate"]}))
    assert [trial.seconds for trial in found.trials] == [45, 45, 45]
    assert rows(trainer.search(change(minutes=2, space={"rate": SPACE["rate"]}))) == rows(found)


def test_a_trial_ends_early_if_it_is_worse_than_the_median(trainer: Trainer, tmp_path: Path) -> None:
    settings = change(trials=20, space={"rate": SPACE["rate"], "kind": SPACE["kind"]})
    found = trainer.search(settings)
    complete: list[tuple[float, ...]] = []
    for trial in found.trials:
        epoch = len(trial.values)
        # The oracle compares with all that ended by themselves before.
        is_worse = [
            len(complete) >= 3 and place > 0 and value > sorted(other[place] for other in complete)[(len(complete) - 1) // 2]
            for place, value in enumerate(trial.values)
        ]
        if trial.state == "complete":
            assert epoch == EPOCHS
            complete.append(trial.values)
        else:
            assert trial.state == "pruned" and 2 <= epoch <= EPOCHS and is_worse[-1]
    assert 0 < len(complete) < 20
    # What was ended early is trained to its end if nothing is ended early any more.
    assert rows(trainer.search(settings.model_copy(update={"prune": None}))) == rows(
        Trainer(tmp_path / "all").search(settings.model_copy(update={"prune": None}))
    )


def test_trials_that_fail_are_rows_with_their_reason(tmp_path: Path) -> None:
    def spoil(settings: Mapping[str, Any], epoch: int) -> None:
        if settings["kind"] == "a":
            raise TesseraError("the loss is not finite") if epoch == 2 else RuntimeError("kernel is too large")

    trainer = Trainer(tmp_path / "search", lambda settings, epoch: spoil(settings, epoch + 1))
    found = trainer.search(change(trials=20, prune=None))
    reasons = {trial.reason for trial in found.trials if trial.state == "failed"}
    assert reasons == {"the loss is not finite", "nine steps do not fit"}
    for trial in found.trials:
        is_spoilt = trial.parameters["kind"] == "a" or trial.parameters["steps"] == 9
        assert (trial.state == "failed") == is_spoilt == bool(trial.reason)
    epochs = trainer.epochs
    assert rows(trainer.search(change(trials=20, prune=None))) == rows(found) and trainer.epochs == epochs


def test_a_metric_that_is_no_number_fails_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "loss_of", lambda settings, epoch: math.nan if settings["kind"] == "a" else 1 / epoch)
    found = Trainer(tmp_path / "search").search(change(space={"kind": ["a", "b"]}))
    assert {trial.reason for trial in found.trials if trial.state == "failed"} == {"the metric is nan after epoch 1"}


def test_if_all_trials_fail_one_error_says_why_and_the_next_run_tries_again(tmp_path: Path) -> None:
    broken = [True]

    def spoil(settings: Mapping[str, Any], epoch: int) -> None:
        if broken[0]:
            raise RuntimeError("kernel is too large")

    trainer = Trainer(tmp_path / "search", spoil)
    settings = change(space={"rate": SPACE["rate"]}, trials=3)
    with pytest.raises(TesseraError, match=r"all 3 trials failed; .*\n  RuntimeError: kernel is too large \(3\)"):
        trainer.search(settings)
    broken[0] = False
    assert trainer.search(settings).trials[0].state == "complete"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_an_error_of_the_machine_ends_the_search(tmp_path: Path, error: Exception) -> None:
    def spoil(settings: Mapping[str, Any], epoch: int) -> None:
        raise error

    with pytest.raises(type(error)):
        Trainer(tmp_path / "search", spoil).search()


def test_a_trial_that_ends_the_process_again_and_again_fails(tmp_path: Path) -> None:
    def spoil(settings: Mapping[str, Any], epoch: int) -> None:
        if settings["kind"] == "a" and epoch == 2:
            raise MemoryError

    trainer = Trainer(tmp_path / "search", spoil)
    settings = change(space={"kind": ["a", "b"]}, trials=8)
    ended = 0
    while ended < 10:
        try:
            found = trainer.search(settings)
            break
        except MemoryError:
            ended += 1
    # Once after the first epoch was trained, and three times within the second.
    assert ended == 4
    assert {trial.parameters["kind"]: trial.reason for trial in found.trials} == {
        "a": "the process ended 3 times within an epoch; it may need more memory",
        "b": "",
    }


def test_a_damaged_dataset_ends_the_search(trainer: Trainer) -> None:
    (trainer.folder / "data").write_text("other")
    with pytest.raises(TesseraError, match="is not what was written"):
        trainer.search()


def test_a_trial_keeps_its_result_and_sources_and_no_weights(trainer: Trainer) -> None:
    found = trainer.search()
    runs = [path for path in (trainer.folder / "runs").iterdir() if path.is_dir()]
    assert all({file.name for file in run.iterdir()} == {RECORD, "trial.json"} for run in runs)
    assert len(runs) == len({json.dumps(trial.parameters) for trial in found.trials if trial.parameters["steps"] != 9})
    assert {read_record(run / RECORD).sources for run in runs} == {("source",)}


def test_what_is_drawn_twice_is_trained_once(trainer: Trainer) -> None:
    found = trainer.search(change(space={"kind": ["a", "b"]}, trials=8, prune=None))
    assert trainer.epochs == 2 * EPOCHS and len(found.trials) == 8


def test_a_metric_may_be_better_the_larger_it_is(trainer: Trainer) -> None:
    found = trainer.search(change(metric="gain", prune=None))
    ends = [trial.values[-1] for trial in found.trials if trial.state == "complete"]
    assert found.best.values[-1] == max(ends) and found.is_more_better


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (3, "should be a list of values, "),
        ([], "should be a list of values, "),
        ([[1]], "should be a list of values, "),
        ({"from": 1}, "should be a list of values, "),
        ({"from": 1, "to": 2, "step": 0}, "should be a list of values, "),
        ({"log": [0, 1]}, "should be a list of values, "),
        ({"log": [1, 2], "to": 3}, "should be a list of values, "),
        ({"log": [1, 1]}, "1 should be below 1"),
        ({"from": 2, "to": 1}, "2 should be below 1"),
    ],
)
def test_a_range_that_means_nothing_is_refused(choices: Any, message: str) -> None:
    with pytest.raises(TesseraError, match=rf"has 1 fault:\n  space\.rate: {message}"):
        load(SearchSettings, {"model": "m", "space": {"rate": choices}}, "the search")
