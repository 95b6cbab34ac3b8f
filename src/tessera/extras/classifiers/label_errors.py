"""Find labels that may be wrong: by out-of-fold predictions, and by the vectors of the pictures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize, truncate
from tessera.core.progress import progress
from tessera.core.tsv import write_sheet
from tessera.extras.classifiers.dataset import FAULTS_SHOWN, read_vectors
from tessera.extras.classifiers.folds import held_out
from tessera.extras.classifiers.settings import LabelErrorSettings
from tessera.learning.classification.settings import Labels, ScoreRange
from tessera.learning.embedding.representatives import l2_normalise
from tessera.records.decisions import Decision
from tessera.records.tables.classification import CONTRADICTION, KINDS_OF_ERRORS, OUTLIER, WRONG, LabelErrors, Predictions
from tessera.records.tables.image_labels import ImageLabels
from tessera.records.tables.table import read_table, read_tables, types, write_table

BLOCK = 256  # pictures that are compared with all others at a time
DIGITS = 4  # decimals of a strength in messages
UNLEARNED, WITHOUT = NOT_JUDGED = "class not learned", "no vector"  # why labels could not be judged


class Neighbours(NamedTuple):
    """What the vectors of pictures say of each.

    `distances`: mean of 1 - cosine to its nearest pictures of other groups, float64 (N,); NaN if there are none. `others`: the
    number of the picture with another label that is most like it, int64 (N,). `cosines`: of the angle between the two, float64
    (N,); -inf if there is no such picture.
    """

    distances: np.ndarray
    others: np.ndarray
    cosines: np.ndarray


def find_label_errors(
    predictions: Path,
    vectors: Path | None,
    degraded: Sequence[Path],
    kept: Sequence[Decision],
    labels: Labels,
    settings: LabelErrorSettings,
    *,
    classifier: str,
    errors: Path,
    suggestions: Path,
    ledger: Path,
) -> None:
    """Write what may be wrong with the labels of `classifier` to `errors` (`tables.LabelErrors`).

    `predictions`: out of fold, `tables.Predictions`. `vectors`: a table of the vectors of its pictures; None: outliers and
    near-duplicates are not looked for. `degraded`: files of `tables.ImageLabels` with the pictures that differ in nothing but
    their label; no two of them contradict each other. `kept`: decisions that the labels of pictures are right, which silence
    all findings about them.

    `suggestions`: gets a TSV file with the decisions that would follow the findings, without who decided and when. `ledger`
    gets one row per picture: those that may be wrong have the kinds of their findings as a remark. Pictures that could not be
    judged by their predictions or vectors have the reason as a remark. It also gets one row for each decision on no picture.

    Raises `TesseraError` if a vector is not finite.
    """
    rows = read_table(predictions, Predictions).sort("key")
    findings = wrong_labels(rows, labels, settings.residual)
    remarks = _not_learned(rows, labels)
    if vectors:
        made = set(read_tables(list(degraded), ImageLabels)["key"])
        numbers, known = _read_vectors(vectors, rows)
        findings += compared(rows.filter(pl.Series(known)), numbers, made, labels, settings)
        lost = rows.filter(pl.Series(~known))["key"]
        remarks |= dict.fromkeys(lost, (WITHOUT, f"it could not be embedded; the ledger beside {vectors} says why"))
    decided = {decision.key: decision for decision in kept}
    undecided = [row for row in findings if row["key"] not in decided]
    table = pl.DataFrame(undecided, schema=types(LabelErrors)).sort(
        pl.col("kind").replace_strict({kind: number for number, kind in enumerate(KINDS_OF_ERRORS)}),
        pl.col("strength"),
        pl.col("key"),
        descending=[False, True, False],
    )
    write_table(table, LabelErrors, errors)
    _suggest(table, classifier, suggestions)
    remarks |= {row["key"]: ("kept by decision", str(decided[row["key"]])) for row in findings if row["key"] in decided}
    for (key,), rows_of_key in table.group_by("key"):
        strengths = rows_of_key.select("kind", "strength").iter_rows()
        detail = "; ".join(f"{kind} {strength:.{DIGITS}f}" for kind, strength in strengths)
        remarks[str(key)] = rows_of_key["kind"][0], detail
    with Ledger(ledger) as entries:
        for key in rows["key"]:
            entries.row(key, "ok", *remarks.get(key, ()))
        for key in sorted(decided.keys() - set(rows["key"])):
            tell(f"decision on {key!r}: {classifier} has no such picture; correct its key, or remove the decision")
            entries.row(key, "dropped", "decision on no picture", str(decided[key]))
    for reason, count in sorted(Counter(reason for reason, _ in remarks.values() if reason in NOT_JUDGED).items()):
        tell(f"{pluralize(count, 'pictures')}: {reason}; {ledger} names them")
    counts = Counter(table["kind"])
    doubtful = table["key"].n_unique()
    tell(f"the labels of {doubtful:,} of {pluralize(len(rows), 'pictures')} may be wrong: {format_counts(counts) or 'none'}")


def wrong_labels(rows: pl.DataFrame, labels: Labels, residual: float) -> list[dict[str, Any]]:
    """Return rows of `tables.LabelErrors`, of the kind `WRONG`, for `tables.Predictions`.

    Scores: those that differ from the prediction by `residual` of the range or more; the strength is this fraction. Classes:
    confident learning counts how many labels are wrong, and so many of the least probable ones are returned; the strength is 1
    minus the probability of the label. See Northcutt et al., Confident Learning, 2021.
    """
    if isinstance(labels, ScoreRange):
        apart = (rows["predicted_score"] - rows["score"]).abs().to_numpy() / (labels.most - labels.least)
        strengths, is_wrong = np.minimum(apart, 1), apart >= residual
    else:
        rows = of_learned_classes(rows, labels)
        probabilities = np.array(rows["probabilities"].to_list(), float).reshape(len(rows), len(labels))
        given = _numbers(rows, labels)
        strengths = 1 - probabilities[np.arange(len(rows)), given]
        is_wrong = np.zeros(len(rows), bool)
        is_judged = rows["predicted"].is_not_null().to_numpy()
        is_wrong[is_judged] = _confident(given[is_judged], probabilities[is_judged])
    return [_row(rows, row, WRONG, strengths[row]) for row in np.flatnonzero(is_wrong).tolist()]


def _not_learned(rows: pl.DataFrame, labels: Labels) -> dict[str, tuple[str, str]]:
    """Return what the ledger says of the pictures whose class was not learned by the classifier that predicts them, by key."""
    if isinstance(labels, ScoreRange):
        return {}
    lost = rows.filter(pl.Series(~learned(rows, labels)[np.arange(len(rows)), _numbers(rows, labels)]))
    return {
        key: (UNLEARNED, f"the folds that its classifier learned from have no {label!r}; label pictures of more sources")
        for key, label in lost.select("key", "label").iter_rows()
    }


def learned(rows: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    """Return which classes the classifier learned that predicts each of `rows` (`tables.Predictions`): bool (N, classes).

    A classifier learns from the folds that are not held out for it. Where folds are not known, it learns from other groups.
    """
    is_folded = rows["fold"].n_unique() > 1
    parts = (rows["fold"] if is_folded else rows["group"].rank("dense")).to_numpy().astype(np.int64)
    counts = np.zeros((max(parts, default=-1) + 1, len(labels)), np.int64)
    np.add.at(counts, (parts, _numbers(rows, labels)), 1)
    unseen = counts
    if is_folded:
        unseen = np.stack([counts[sorted(held_out(fold, len(counts)))].sum(axis=0) for fold in range(len(counts))])
    is_learned: np.ndarray = (counts.sum(axis=0) - unseen > 0)[parts]
    return is_learned


def _confident(given: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return which of the labels `given`, int64 (N,), are probably wrong: bool (N,)."""
    from cleanlab.filter import find_label_issues

    # It refuses to compare fewer than two classes.
    if len(np.unique(given)) < 2:
        return np.zeros(len(given), bool)
    # Classes that none of the pictures have would be counted as well.
    classes, given = np.unique(given, return_inverse=True)
    probabilities = probabilities[:, classes]
    probabilities = (probabilities + 1e-12) / (probabilities + 1e-12).sum(axis=1, keepdims=True)
    is_least_probable = find_label_issues(given, probabilities, filter_by="low_self_confidence", n_jobs=1)
    is_wrong: np.ndarray = is_least_probable & (probabilities.argmax(axis=1) != given)
    return is_wrong


def of_learned_classes(rows: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
    """Return `rows` (`tables.Predictions`) in which no class is probable or predicted that was not learned.

    `predicted` is null where the class of the picture itself was not learned, so that nothing can be said about its label.
    """
    known = learned(rows, labels)
    probabilities = np.array(rows["probabilities"].to_list(), float).reshape(len(rows), len(labels)) * known
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-12)
    predicted = [labels[number] for number in probabilities.argmax(axis=1)]
    is_judged = known[np.arange(len(rows)), _numbers(rows, labels)]
    return rows.with_columns(
        probabilities=pl.Series(probabilities.tolist(), dtype=pl.List(pl.Float64)),
        predicted=pl.when(pl.Series(is_judged)).then(pl.Series(predicted, dtype=pl.String)),
    )


def compared(
    rows: pl.DataFrame, vectors: np.ndarray, made: set[str], labels: Labels, settings: LabelErrorSettings
) -> list[dict[str, Any]]:
    """Return rows of `tables.LabelErrors`, of the kinds `OUTLIER` and `CONTRADICTION`, for `tables.Predictions`.

    `vectors`: of the pictures, (N, D). `made`: the keys of degraded pictures. The strength of an outlier is 1 minus the
    distance of the median picture over its own, that of a contradiction the cosine of the two vectors.
    """
    if rows.is_empty():
        return []
    if isinstance(labels, ScoreRange):
        values = (rows["score"].to_numpy() - labels.least) / (labels.most - labels.least)
        apart = settings.residual
    else:
        rows = of_learned_classes(rows, labels)
        values, apart = _numbers(rows, labels).astype(float), 1.0
    near = find_neighbours(
        l2_normalise(vectors),
        rows["group"].rank("dense").to_numpy(),
        values,
        rows["key"].is_in(list(made)).to_numpy(),
        apart=apart,
        count=settings.neighbours,
    )
    keys = rows["key"].to_list()
    usual = float(np.nanmedian(near.distances)) if np.isfinite(near.distances).any() else 0.0
    # Where most pictures have exact copies in other groups, any difference would be large.
    is_far = near.distances >= (settings.outlier or np.inf) * (usual or np.inf)
    is_near = near.cosines >= (settings.near_duplicates or np.inf)
    return [
        *(_row(rows, row, OUTLIER, 1 - usual / near.distances[row]) for row in np.flatnonzero(is_far).tolist()),
        *(
            _row(rows, row, CONTRADICTION, min(near.cosines[row], 1.0), keys[near.others[row]])
            for row in np.flatnonzero(is_near).tolist()
        ),
    ]


def find_neighbours(
    vectors: np.ndarray, groups: np.ndarray, values: np.ndarray, made: np.ndarray, *, apart: float, count: int
) -> Neighbours:
    """Compare all pictures with each other.

    `vectors`: float16 (N, D) from `l2_normalise`; those of length 0 have no neighbours, and are none. `groups`: (N,); the
    `count` nearest pictures are those of other groups. `values`: float64 (N,); labels differ if these differ by `apart` or
    more. `made`: bool (N,); two such pictures are not compared.

    The sums are exact, see `representatives.cosines`, so that neither threads nor the size of blocks matter.
    """
    lengths = np.concatenate([np.empty(0), *((part * part).sum(axis=1) for _, part in _blocks(vectors))]) ** 0.5
    size = len(vectors)
    has_none = lengths == 0
    lengths[has_none] = 1
    result = Neighbours(np.full(size, np.nan), np.zeros(size, np.int64), np.full(size, -np.inf))
    for part, block in progress(list(_blocks(vectors)), unit="blocks of vectors"):
        cosines = np.concatenate([block @ other.T for _, other in _blocks(vectors)], axis=1)
        cosines /= lengths[part, None] * lengths
        cosines[has_none[part, None] | has_none] = -np.inf
        is_foreign = groups[part, None] != groups
        nearest = np.sort(np.where(is_foreign, cosines, -np.inf), axis=1)[:, -count:]
        known = np.isfinite(nearest)
        with np.errstate(invalid="ignore"):
            result.distances[part] = np.where(known, 1 - nearest, 0).sum(axis=1) / known.sum(axis=1)
        differ = (np.abs(values[part, None] - values) >= apart) & ~(made[part, None] & made)
        cosines[~differ] = -np.inf
        result.others[part] = cosines.argmax(axis=1)
        result.cosines[part] = cosines.max(axis=1)
    return result


def _blocks(vectors: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(vectors), BLOCK):
        part = slice(start, min(start + BLOCK, len(vectors)))
        yield part, vectors[part].astype(np.float64)


def _row(rows: pl.DataFrame, number: int, kind: str, strength: float, other: str | None = None) -> dict[str, Any]:
    """Return a row of `tables.LabelErrors`. An outlier may show nothing of what the classifier knows: nothing is suggested."""
    row = rows.row(number, named=True)
    is_other = kind != OUTLIER and row["predicted"] != row["label"]
    return {
        **{name: row[name] for name in ("key", "source", "label", "score")},
        "kind": kind,
        "suggested": row["predicted"] if is_other else None,
        "suggested_score": None if kind == OUTLIER else row["predicted_score"],
        "strength": float(strength),
        "other": other,
    }


def _suggest(table: pl.DataFrame, classifier: str, path: Path) -> None:
    """Write the decisions that the first finding about each picture suggests, as TSV.

    Of two near-duplicates, the label of the one is kept that the classifier finds most likely itself.
    """
    suggested = []
    for row in table.unique("key", keep="first", maintain_order=True).iter_rows(named=True):
        label = row["suggested"] if row["suggested_score"] is None else f"{row['suggested_score']:.4g}"
        decision = "relabel" if label else "drop" if row["kind"] == OUTLIER else "keep"
        said = {"key": row["key"], "decision": decision, "reason": row["kind"], "classifier": classifier, "label": label}
        suggested.append([said.get(column) for column in Decision.model_fields])
    write_sheet(path, Decision.model_fields, suggested)


def _numbers(rows: pl.DataFrame, labels: Sequence[str]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(labels)}
    return np.array([numbers[label] for label in rows["label"]], np.int64)


def _read_vectors(path: Path, rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of those of `rows` that have one, float32 (K, D), and which these are, bool (N,)."""
    vectors, known, faults = read_vectors(path, rows["key"].to_list())
    if faults:
        raise TesseraError("\n  ".join([f"{path} has {pluralize(len(faults), 'faults')}:", *truncate(faults, FAULTS_SHOWN)]))
    return vectors, known
