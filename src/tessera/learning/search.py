"""Searches: settings of a training are varied in trials, the poor ones of which end early.

A trial is a training of its own identity, see `learning.trainings`, and its result is kept in its folder. A search that runs
again draws the same trials, and trains only those that it does not know: so one that was killed goes on, and one with a larger
budget begins where the smaller one ended.
"""

import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    WrapValidator,
)
from typing_extensions import TypedDict  # of the standard library, pydantic takes only that of Python 3.12

from tessera.core.errors import TesseraError
from tessera.core.ledger import SYSTEMIC
from tessera.core.log import tell
from tessera.core.messages import Message, pluralize, truncate
from tessera.core.seeds import generator
from tessera.core.settings import Settings, load
from tessera.learning.trainings import RECORD, Trainings, listening

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)

OUTCOME = "trial.json"
BEGUN = "begun.txt"  # the epochs with which the training was begun, and how often
ATTEMPTS = 3  # to train an epoch
DIGITS = 4  # significant digits of numbers that are drawn, so that they can be read and pasted
LEAST_FOR_IMPORTANCES = 4  # complete trials
REASON = 300  # characters of a reason
REASONS_SHOWN = 3

Value = bool | int | float | str | None
State = Literal["complete", "pruned", "failed"]
Range = TypedDict("Range", {"from": float, "to": float, "step": NotRequired[PositiveFloat]})


class LogRange(TypedDict):
    """Two numbers, between which others are drawn evenly in their logarithm."""

    log: tuple[PositiveFloat, PositiveFloat]


def _checked(values: Any, handler: Callable[[Any], Any]) -> Any:
    """Return `values`. Raises `ValueError` with one message, not one for each of the forms that they might have."""
    try:
        choices = handler(values)
    except ValidationError:
        raise ValueError(FORMS) from None
    if isinstance(choices, dict):
        least, most = choices["log"] if "log" in choices else (choices["from"], choices["to"])
        if least >= most:
            raise ValueError(f"{least:g} should be below {most:g}")
    return choices


FORMS = "should be a list of values, {from: …, to: …}, {from: …, to: …, step: …} or {log: [least, most]}"
Choices = Annotated[Annotated[tuple[Value, ...], Field(min_length=1)] | Range | LogRange, WrapValidator(_checked)]


class PruneSettings(Settings):
    """When a trial ends early: if its metric is worse than the median of the complete ones after as many epochs."""

    trials: PositiveInt = 5
    """Number of complete trials before one can end early."""
    epochs: NonNegativeInt = 5
    """Number of epochs of a trial before it can end early."""


class SearchSettings(Settings):
    """A search for better settings of one model."""

    model: str
    """One of `classifiers`, or a detector in `models`."""
    space: dict[str, Choices] = Field(min_length=1)
    """Settings by their path in those of the model, each with a list of values or a range. Numbers between `from` and `to` are
    drawn evenly, and with `step` are multiples of it above `from`; those of `log` are drawn evenly in their logarithm.
    """
    trials: PositiveInt = 20
    """Number of trainings, one after another."""
    minutes: PositiveFloat | None = None
    """Minutes after which no trial begins; how many trials fit differs from run to run. `null` sets no limit."""
    metric: str | None = None
    """Metric of the validation split. `null` takes the loss, and of detectors map50_95."""
    prune: PruneSettings | None = PruneSettings()
    """When a trial ends early: if it is worse than the median of the complete ones after as many epochs. `null` ends none
    early.
    """


@dataclass(frozen=True)
class Searched:
    """What is searched for a kind of model: the settings whose change is a change of the training, and the metrics.

    `prefixes`: the first parts of the paths of these settings. `metrics`: for each, whether more is better. `changing`: for a
    metric, the settings that change what it means.
    """

    prefixes: tuple[str, ...]
    metrics: Mapping[str, bool]
    changing: Mapping[str, Sequence[str]] = field(default_factory=dict)


def metric_of(search: SearchSettings, searched: Searched) -> str:
    """Return the metric that a search seeks."""
    return search.metric or next(iter(searched.metrics))


def changed(settings: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a copy of `settings` with `values` at dotted paths. Raises `TesseraError` if a path leads into a value."""
    result = deepcopy(dict(settings))
    for path, value in values.items():
        *sections, key = path.split(".")
        section = result
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise TesseraError(f"{path}: {name!r} is no section")
        section[key] = value
    return result


def search_faults(path: str, search: SearchSettings, model: Settings, searched: Searched) -> list[str]:
    """Return what is wrong with a search of `model`, whose path is `path`: paths, values and the metric."""
    faults: list[Message] = []
    if search.metric is not None and search.metric not in searched.metrics:
        faults.append(f"{path}.metric: should be one of {', '.join(searched.metrics)}; given: {search.metric!r}")
    metric = metric_of(search, searched)
    if clash := [setting for setting in searched.changing.get(metric, ()) if setting in search.space]:
        others = ", ".join(name for name in searched.metrics if name != metric)
        faults.append(f"{path}.metric: {clash[0]} changes what {metric!r} means; seek {others}")
    settings = model.model_dump(mode="json")
    for setting, choices in search.space.items():
        if setting.split(".")[0] not in searched.prefixes:
            allowed = ", ".join(searched.prefixes)
            faults.append(f"{path}.space.{setting}: only {allowed} change the training of `{search.model}`")
            continue
        for value in _samples(choices):
            try:
                load(type(model), changed(settings, {setting: value}), "")
            except TesseraError as error:
                lines = [line.strip() for line in str(error).splitlines()]
                why = "; ".join(lines[1:] or lines)
                hint = "; whole numbers are a list, or a range with a whole `step`" if "valid integer" in why else ""
                faults.append(f"{path}.space.{setting}: {value!r} is not allowed ({why}{hint})")
                break
    return faults


def _samples(choices: Any) -> Sequence[Value]:
    """Return all of `choices` or, of a range, the ends and a value between them."""
    if not isinstance(choices, dict):
        return tuple(choices)
    if "log" in choices:
        least, most = choices["log"]
        return (least, most, _rounded(math.sqrt(least * most), least, most))
    least, most, step = _ends(choices)
    return (least, most, least + step if step else least + (most - least) / math.pi)


def _ends(choices: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return the ends and the step of a range, or None; whole numbers if all three are."""
    least, most, step = choices["from"], choices["to"], choices.get("step")
    if step is not None and all(number == int(number) for number in (least, most, step)):
        return int(least), int(most), int(step)
    return least, most, step


def distributions(space: Mapping[str, Any]) -> dict[str, "BaseDistribution"]:
    """Return the distributions of optuna for the `space` of a search."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    result: dict[str, BaseDistribution] = {}
    for path, choices in space.items():
        if not isinstance(choices, dict):
            result[path] = CategoricalDistribution(tuple(choices))
        elif "log" in choices:
            least, most = choices["log"]
            result[path] = FloatDistribution(least, most, log=True)
        else:
            least, most, step = _ends(choices)
            result[path] = (IntDistribution if isinstance(step, int) else FloatDistribution)(least, most, step=step)
    return result


def _rounded(value: Any, least: float, most: float) -> Any:
    return min(max(float(f"{value:.{DIGITS}g}"), least), most) if isinstance(value, float) else value


def _drawn(params: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Value]:
    """Return what was drawn, rounded to `DIGITS`."""
    rounded = {}
    for path, choices in space.items():
        value = params[path]
        if isinstance(choices, dict):
            value = _rounded(value, *(choices["log"] if "log" in choices else _ends(choices)[:2]))
        rounded[path] = value
    return rounded


def _already(settings: Mapping[str, Any], space: Mapping[str, Any]) -> dict[str, Value]:
    """Return the values of `settings` that the `space` contains."""
    contained: dict[str, Value] = {}
    for path, choices in space.items():
        value: Any = settings
        for part in path.split("."):
            value = value.get(part, ...) if isinstance(value, dict) else ...
        if value is ...:
            continue
        if not isinstance(choices, dict):
            is_there = any(type(choice) is type(value) and choice == value for choice in choices)
        elif type(value) not in {int, float}:
            is_there = False
        else:
            least, most, step = (*choices["log"], None) if "log" in choices else _ends(choices)
            is_there = least <= value <= most and not (step and (value - least) % step)
        if is_there:
            contained[path] = value
    return contained


class Outcome(BaseModel):
    """The result of a trial, `trial.json` in the folder of its training.

    `values`: the metric after each epoch, as far as it was trained, see `Training`. `is_whole`: whether it ended by itself.
    `reason`: why it failed, or empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    values: tuple[float, ...]
    seconds: float
    is_whole: bool
    reason: str = ""


@dataclass(frozen=True)
class Training:
    """The training of a trial: what decides its numbers, and a function that trains in a folder, see `Trainings.complete`."""

    identity: Mapping[str, Any]
    fit: Callable[[Path], None]


@dataclass(frozen=True)
class Plan:
    """How trials are trained.

    `settings`: those that a trial changes. `train`: returns the training with other settings; raises `TesseraError` if they do
    not fit together. `values`: of the table of the epochs of a training, CSV, the metric of the weights that would be kept if
    it ended after each of them. `curves`: returns that table of the training in a folder, as far as it is saved; may be empty.
    """

    settings: Mapping[str, Any]
    train: Callable[[Mapping[str, Any]], Training]
    values: Callable[[str], list[float]]
    curves: Callable[[Path], str]
    checksums: Path
    made_with: Callable[[], dict[str, str]]


@dataclass(frozen=True)
class Trial:
    """A trial: its number from 0, what was drawn for it, and its result."""

    number: int
    state: State
    parameters: dict[str, Value]
    values: tuple[float, ...]
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class Search:
    """The result of a search. `importances`: of each setting, adding up to 1; empty if too few trials are complete."""

    metric: str
    is_more_better: bool
    trials: list[Trial]
    importances: dict[str, float]

    @property
    def best(self) -> Trial:
        """The complete trial with the best metric; of equals, the first."""
        sign = -1 if self.is_more_better else 1
        return min((trial for trial in self.trials if trial.state == "complete"), key=lambda trial: sign * trial.values[-1])


class _Trials(Trainings):
    def _report_new(self, *_: Any) -> None:
        """Do nothing: that trials differ goes without saying."""


def run_search(
    settings: SearchSettings, plan: Plan, searched: Searched, folder: Path, sources: tuple[str, ...], *, seed: int
) -> Search:
    """Run the trials of a search, one after another, and return their results. See the module.

    `folder`: keeps the results of trials, and the state of one that was interrupted. `sources`: see `Trainings`. The first
    trial has the values of `plan.settings` where the space contains them. A trial that fails, such as one whose loss is not
    finite, is a row. Except for the seconds, equal arguments give equal results, interrupted or not, as far as equal trainings
    do; a budget in minutes ends after other numbers of trials.

    Raises `TesseraError` if all trials fail.
    """
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    metric = metric_of(settings, searched)
    prune = settings.prune
    study = optuna.create_study(
        direction="maximize" if searched.metrics[metric] else "minimize",
        pruner=optuna.pruners.MedianPruner(prune.trials, prune.epochs + 1) if prune else optuna.pruners.NopPruner(),
    )
    first = _already(plan.settings, settings.space)
    study.enqueue_trial(first)
    trials = _Trials(folder, sources=sources)
    rows: list[Trial] = []
    seconds: dict[str, float] = {}  # by what was drawn, which may be drawn twice
    for number in range(settings.trials):
        if settings.minutes and sum(seconds.values()) >= 60 * settings.minutes:
            tell(f"{settings.minutes:g} minutes are over after {pluralize(number, 'trials')}")
            break
        # A sampler keeps no state, so that a search that goes on draws what it would have drawn.
        study.sampler = optuna.samplers.TPESampler(seed=_seed(seed, str(number)))
        trial = study.ask(distributions(settings.space))
        drawn = {**_drawn(trial.params, settings.space), **({} if number else first)}
        tell(f"trial {number} of {settings.trials}: {', '.join(f'{path} {value}' for path, value in drawn.items())}")
        state, outcome = _run_trial(trial, changed(plan.settings, drawn), plan, trials)
        if state == "complete":
            study.tell(trial, outcome.values[-1])
        else:
            study.tell(trial, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
        rows.append(Trial(number, state, drawn, outcome.values, outcome.seconds, outcome.reason))
        seconds[str(drawn)] = outcome.seconds
        result = outcome.reason or f"{metric} {outcome.values[-1]:.4g} after {pluralize(len(outcome.values), 'epochs')}"
        tell(f"trial {number} is {state}: {result}")
    reasons = Counter(row.reason for row in rows if row.state == "failed")
    is_in_vain = reasons.total() == len(rows)
    _clean(folder, failed=is_in_vain)
    if is_in_vain:
        named = [f"{reason} ({count})" for reason, count in reasons.most_common()]
        listed = truncate(named, REASONS_SHOWN)
        raise TesseraError(
            f"all {pluralize(len(rows), 'trials')} failed; correct the `space` of the search:\n  " + "\n  ".join(listed)
        )
    return Search(metric, searched.metrics[metric], rows, _importances(study, seed))


def _seed(seed: int, item: str) -> int:
    return int(generator(seed, "search", item).integers(2**31))


def _reason(error: Exception) -> str:
    name = "" if isinstance(error, TesseraError) else f"{type(error).__name__}: "
    return shorten(f"{name}{error}", REASON, placeholder=" …")


class _Fails(Exception):
    """A trial fails, for the reason in the message."""


def _run_trial(trial: "optuna.Trial", settings: Mapping[str, Any], plan: Plan, trials: Trainings) -> tuple[State, Outcome]:
    """Return the result of `trial` with `settings`: the known one, or that of its training."""
    import optuna

    metrics: list[float] = []

    def follow(values: Iterable[float]) -> None:
        for value in islice(values, len(metrics), None):
            if not math.isfinite(value):
                raise _Fails(f"the metric is {value} after epoch {len(metrics) + 1}")
            metrics.append(value)
            trial.report(value, len(metrics))
            if trial.should_prune():
                raise optuna.TrialPruned

    def fit(run: Path) -> None:
        # If a training ends the process, as one for which the memory is too small does, the search would never get beyond it.
        file = run / BEGUN
        epochs, times = map(int, file.read_text().split()) if file.exists() else (0, 0)
        times = times + 1 if epochs == len(metrics) else 1
        if times > ATTEMPTS:
            raise _Fails(f"the process ended {ATTEMPTS} times within an epoch; it may need more memory")
        file.write_text(f"{len(metrics)} {times}")
        try:
            with listening(lambda curves: follow(plan.values(curves))):
                training.fit(run)
        except (_Fails, optuna.TrialPruned, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in SYSTEMIC:
                file.unlink()
                raise
            log.exception("trial %s failed", trial.number)
            raise _Fails(_reason(error)) from None

    try:
        training = plan.train(settings)
    except TesseraError as error:
        return "failed", Outcome(values=(), seconds=0, is_whole=True, reason=_reason(error))
    run = trials.run(training.identity)
    earlier = _read(run)
    begun = time.monotonic()
    state: State = "complete"
    reason = ""
    try:
        follow(earlier.values if earlier else ())
        if earlier and earlier.is_whole:
            return "failed" if earlier.reason else "complete", earlier
        earlier = None
        # What a process that was killed has saved, and did not tell this one.
        follow(plan.values(plan.curves(run)))
        trials.complete(training.identity, plan.checksums, plan.made_with, fit)
        follow(plan.values(plan.curves(run)))
    except optuna.TrialPruned:
        state = "pruned"
        if earlier:
            return state, earlier.model_copy(update={"values": tuple(metrics), "reason": ""})
    except _Fails as error:
        state, reason = "failed", str(error)
    spent = round(time.monotonic() - begun, 1)
    outcome = Outcome(values=tuple(metrics), seconds=spent, is_whole=state != "pruned", reason=reason)
    _write(run, outcome)
    return state, outcome


def _read(run: Path) -> Outcome | None:
    try:
        return Outcome.model_validate_json((run / OUTCOME).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise TesseraError(f"{run / OUTCOME}: damaged; remove {run}, and run again") from error


def _write(run: Path, outcome: Outcome) -> None:
    """Write the `outcome` of the training in `run`, whole or not at all; then its weights are not needed any more."""
    partial = run / f".partial.{OUTCOME}"
    partial.write_text(outcome.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(run / OUTCOME)
    for entry in run.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name not in {OUTCOME, RECORD}:
            entry.unlink()


def _clean(folder: Path, *, failed: bool) -> None:
    """Remove the trials that were interrupted and are of no use now and, if `failed` is true, those that failed."""
    for file in folder.glob(f"*/{RECORD}"):
        outcome = _read(file.parent)
        if outcome is None or (failed and outcome.reason):
            shutil.rmtree(file.parent)


def _importances(study: "optuna.Study", seed: int) -> dict[str, float]:
    """Return the importance of each setting by fANOVA (Hutter et al., 2014), highest first; empty if it cannot be told."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    values = [trial.value for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))]
    if len(values) < LEAST_FOR_IMPORTANCES or len(set(values)) < 2:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=_seed(seed, "importances")))
