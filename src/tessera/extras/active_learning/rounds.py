"""Ask for labels: choose the pictures of a round, and write them into the folder of the answers."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tessera.core.errors import TesseraError
from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import format_counts, pluralize
from tessera.core.progress import progress
from tessera.core.tsv import write_sheet
from tessera.extras.active_learning.choose import at_random, choose, margins
from tessera.extras.active_learning.pool import read_pool, reasons_against, vectors_of
from tessera.extras.active_learning.settings import AskSettings
from tessera.records.annotation.formats.label_studio import Prediction, labelling_config, local_address, write_task
from tessera.records.annotation.formats.labelme import write_labelme
from tessera.records.annotation.model import ImageAnnotations
from tessera.records.decisions import Decision
from tessera.records.frame_keys import for_frames, meant_frames
from tessera.records.rounds import RECORD, AskedPicture, Round, reached, read_rounds, round_name

VALIDATION, HARD, UNCERTAIN, VARIED = "to validate", "hard negative", "uncertain", "unlike the others"
CERTAIN, RANDOM = "certain", "at random"


class Answers(NamedTuple):
    """The set in `annotations.image_labels` that the answers belong to.

    `layout`: its format. `question`: what Label Studio calls the question. `is_divided`: whether each picture of a folder of
    images counts as a source of its own.
    """

    folder: Path
    layout: str
    question: str
    is_divided: bool


def ask_round(
    frames: Sequence[Path],
    pictures: Sequence[Path],
    sources: Path,
    splits: Path,
    duplicates: Sequence[Path],
    labels: Sequence[Path],
    scores: Sequence[Path],
    vectors: Sequence[Path],
    metrics: Path | None,
    dataset: Path | None,
    decisions: Mapping[str, Decision],
    distance: int,
    free: Sequence[str],
    answers: Answers,
    settings: AskSettings,
    classes: Sequence[str],
    ledger: Path,
    *,
    seed: int,
) -> None:
    """Write the next round of pictures to label into the folder of `answers`. `ledger` gets a row per frame.

    `frames`: files of `tables.Frames`, each with the folder of its images in `pictures`. `sources`: `tables.Sources`. `splits`:
    `tables.SourceSplits`. `duplicates`: files with the columns of `tables.Replaced`. `labels`: tables with the `phash` of
    pictures that have labels. `scores`: files of `tables.Scored`. `vectors`: files of `tables.Embeddings`, none for perceptual
    hashes. `metrics` and `dataset`: of the classifier, see `records.rounds.reached`; with neither them nor `scores`, it is not
    trained yet. `distance`: bits. `free`: sources that show no region of `settings.hard_negatives`.

    A frame is left out if its source may not feed the classifier or is in the split test, if it was asked for before, or if it
    looks like a labelled picture or another frame. In the first rounds, `settings.validation` pictures are drawn at random to
    measure the classifier. The others are for training: hard negatives first, then those that `choose` takes. Frames of a
    source in the split val are asked for to validate only, and those of one in train to train only.

    The same arguments give the same round. A round is a folder that is written once; one that was interrupted leaves nothing.
    Raises `TesseraError` if there is no picture left to ask for.
    """
    earlier = read_rounds(answers.folder)
    before = [picture for each in earlier for picture in each.asked]
    assert settings.model is not None
    pool = read_pool(frames, sources, splits, scores, vectors, settings.model, answers.is_divided)
    keys = pool["key"].to_list()
    done = set(meant_frames((picture.key for picture in before), keys).now.values())
    against = reasons_against(
        pool, done, duplicates, labels, for_frames(decisions, keys), distance, bool(scores), bool(vectors)
    )
    open_pool = pool.filter(pl.Series(against) == "")
    missing = settings.validation - sum(picture.split == "val" for picture in before)
    asked = choose_round(open_pool, settings, classes, free, max(0, missing), seed, bool(scores), bool(vectors))
    _write_ledger(ledger, keys, against, asked)
    if not asked:
        reasons = format_counts(Counter(against)) or "there are none"
        raise TesseraError(f"no picture is left to ask for: {pluralize(pool.height, 'frames')}: {reasons}; add sources")
    state = reached(metrics, dataset) if metrics and dataset else None
    folder = answers.folder / round_name(len(earlier) + 1)
    files = {path.stem: path for images in pictures for path in images.iterdir()}
    sizes = {key: (width, height) for key, width, height in pool.select("key", "width", "height").iter_rows()}
    _write_round(folder, Round(model=settings.model, reached=state, asked=tuple(asked)), files, sizes, answers, classes)
    said = format_counts(Counter(picture.why for picture in asked))
    tell(f"{folder}: {pluralize(len(asked), 'pictures')} to label: {said}; label them, then run `snakemake ask` again")


def choose_round(
    pool: pl.DataFrame,
    settings: AskSettings,
    classes: Sequence[str],
    free: Sequence[str],
    missing: int,
    seed: int,
    is_scored: bool,
    is_embedded: bool,
) -> list[AskedPicture]:
    """Return the pictures to ask for, sorted by key. `pool`: see `read_pool`. `missing`: pictures still wanted to validate."""
    for_validation = pool.filter(pl.col("split") != "train")
    drawn = set(for_validation["key"].gather(at_random(for_validation["key"], missing, seed)))
    rest = pool.filter(pl.col("split") != "val", ~pl.col("key").is_in(list(drawn)))
    why = dict.fromkeys(drawn, VALIDATION)
    hard = settings.hard_negatives
    if hard and is_scored:
        of_label = classes.index(hard.label)
        values = np.array(rest["probabilities"].to_list(), np.float64).reshape(-1, len(classes))
        mistaken = (values.argmax(axis=1) != of_label) & rest["source"].is_in(list(free)).to_numpy()
        certainty = values[:, of_label][mistaken]
        why |= _chosen(
            rest.filter(pl.Series(mistaken)), certainty, round(hard.fraction * settings.count), settings, is_embedded, HARD
        )
        rest = rest.filter(~pl.col("key").is_in(list(why)))
    left = settings.count - sum(reason == HARD for reason in why.values())
    lead = margins(np.array(rest["probabilities"].to_list(), np.float64).reshape(-1, len(classes))) if is_scored else None
    if settings.order == "random":
        why |= dict.fromkeys(rest["key"].gather(at_random(rest["key"], left, seed)), RANDOM)
    elif lead is not None and settings.order == "certain":
        why |= _chosen(rest, -lead, left, settings, is_embedded, CERTAIN)
    else:
        why |= _chosen(rest, lead, left, settings, is_embedded, UNCERTAIN if is_scored else VARIED)
    asked = []
    for key, values in pool.filter(pl.col("key").is_in(list(why))).select("key", "probabilities").iter_rows():
        said = {"predicted": classes[int(np.argmax(values))], "margin": float(margins(np.array([values]))[0])} if values else {}
        asked.append(AskedPicture(key=key, split="val" if key in drawn else "train", why=why[key], **said))
    return asked


def _chosen(
    rows: pl.DataFrame, certainty: np.ndarray | None, count: int, settings: AskSettings, is_embedded: bool, why: str
) -> dict[str, str]:
    """Return the keys that `choose` takes of `rows`, each with `why`."""
    numbers = (
        choose(rows["key"].to_list(), vectors_of(rows, is_embedded), certainty, count, settings.candidates) if len(rows) else []
    )
    return dict.fromkeys(rows["key"].gather(numbers), why)


def _write_ledger(path: Path, keys: Sequence[str], against: Sequence[str], asked: Sequence[AskedPicture]) -> None:
    why = {picture.key: picture.why for picture in asked}
    with Ledger(path) as entries:
        for key, reason in zip(keys, against, strict=True):
            if key in why:
                entries.row(key, "ok", detail=why[key])
            else:
                entries.row(key, "dropped", reason or "others were chosen")


def _write_round(
    folder: Path,
    record: Round,
    files: Mapping[str, Path],
    sizes: Mapping[str, tuple[int, int]],
    answers: Answers,
    classes: Sequence[str],
) -> None:
    """Write the folder of a round as a whole: the record, a copy of each picture, and what the format of the answers needs."""
    unfinished = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    for split in sorted({picture.split for picture in record.asked}):
        (unfinished / split).mkdir(parents=True)
        for name in classes if answers.layout == "folders" else ():
            (unfinished / split / name).mkdir()
    paths = {picture.key: f"{picture.split}/{files[picture.key].name}" for picture in record.asked}
    for picture in progress(record.asked, len(record.asked), "pictures"):
        path = unfinished / paths[picture.key]
        shutil.copyfile(files[picture.key], path)
        if answers.layout == "labelme":
            image = ImageAnnotations(picture.key, *sizes[picture.key], ())
            write_labelme(image, path.with_suffix(".json"), path.name, proposal=True, flags=classes)
    if answers.layout == "label_studio":
        tasks = [
            _task(picture, folder / paths[picture.key], sizes[picture.key], answers, record.model) for picture in record.asked
        ]
        (unfinished / "tasks.json").write_text(json.dumps(tasks, indent=1) + "\n", encoding="utf-8")
        config = labelling_config([], {answers.question: classes})
        (unfinished / "label_studio.xml").write_text(config, encoding="utf-8")
    if answers.layout == "tsv":
        write_sheet(unfinished / "labels.tsv", ["path", "label"], ([path, ""] for path in paths.values()))
    (unfinished / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    unfinished.rename(folder)


def _task(picture: AskedPicture, path: Path, size: tuple[int, int], answers: Answers, model: str) -> dict[str, object]:
    """Return the task of Label Studio for a picture, with what the classifier predicts and how certain it is."""
    choices = {answers.question: picture.predicted} if picture.predicted else {}
    image = ImageAnnotations(picture.key, *size, ())
    task, _ = write_task(image, local_address(path), Prediction(model, choices, picture.margin))
    return task if choices else {"data": task["data"]}
