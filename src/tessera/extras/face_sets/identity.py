"""Tell other people from the person of a face set: embed its faces, and measure how far each is from what most share."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tessera.core.errors import Failed, TesseraError
from tessera.core.ledger import Ledger
from tessera.core.pool import attempt, in_batches
from tessera.core.progress import progress
from tessera.core.provenance import digest, sha256_if_readable
from tessera.core.store import stored_items
from tessera.extras.face_sets.admit import require_consent
from tessera.extras.face_sets.alignment import Matrix, align, similarity, warp
from tessera.extras.face_sets.landmarks import COUNT, MEAN_FIVE, check_landmarks, five_points
from tessera.extras.face_sets.settings import IdentitySettings
from tessera.extras.face_sets.sort import draw_sheet, faces_in
from tessera.extras.face_sets.sorts import Place
from tessera.imaging.images import read_image, write_image
from tessera.learning.embedding.embedder import Embedder
from tessera.learning.embedding.representatives import all_cosines, l2_normalise
from tessera.learning.embedding.settings import EmbedderSettings
from tessera.learning.preprocessing import Preprocessing
from tessera.records.decisions import Decision
from tessera.records.face_decisions import boxes_of, find_faces
from tessera.records.subjects import Subject
from tessera.records.tables.faces import FaceDistances, FaceEmbeddings, Faces
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_table, read_tables, types, write_table

# Eyes, tip of the nose and corners of the mouth in the input of ArcFace (Deng et al. 2019), 112 pixels high and wide. Its
# authors publish them in InsightFace (MIT licence); OpenCV aligns faces for SFace to the same.
ARCFACE = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
ARCFACE_SIZE = 112
VECTORS, KEYS = "vectors.npy", "keys.json"  # files in the store, of each source
ROUNDS = 100  # more than the search for the centre needs; a bound for what repeats itself


def embed_faces(
    faces: Path,
    frames: Path,
    images: Path,
    subject: Subject,
    weights: Path,
    settings: IdentitySettings,
    cache_folder: Path,
    *,
    code: str,
    threads: int,
    table: Path,
    ledger: Path,
) -> None:
    """Write the vectors of `faces` (`tables.Faces`) to `table` (`tables.FaceEmbeddings`), and a row of each to `ledger`.

    `frames`: `tables.Frames`, with the files in the folder `images`. Faces are cut out of them once more, because the squares
    of a set may show less than the model of the file `weights` has to see. `subject`: the person of the set.

    The vectors of a source are stored in `cache_folder` under a digest of everything that they depend on, including `code`.
    The model is loaded only if some are missing there. It gets one face at a time, so that neither `threads` nor the other
    faces change a byte. Raises `TesseraError` if the file is not the declared model, or if the consent of `subject` does not
    cover face sets today, UTC.
    """
    assert settings.weights is not None, "embedding is asked for only with weights"
    require_consent(subject, datetime.now(UTC).date())
    files = dict(read_table(frames, Frames).select("key", "file").iter_rows())
    own = settings.model_dump(mode="json", exclude={"weights", "references"})
    embedder = cache(partial(_embedder, weights, settings))
    parts = [pl.DataFrame(schema=types(FaceEmbeddings))]
    with stored_items(cache_folder, "sources", ledger) as (_, stored):
        for (source,), of_source in read_table(faces, Faces).sort("key").group_by("source", maintain_order=True):
            rows = [
                {"key": key, "landmarks": landmarks, "path": str(images / files[frame])}
                for key, frame, landmarks in of_source.select("key", "frame", "landmarks").iter_rows()
            ]
            sha256s = {path: sha256_if_readable(Path(path)) for path in {row["path"] for row in rows}}
            known = [{**row, "path": sha256s[row["path"]]} for row in rows]

            def embed(folder: Path, made: Ledger, rows: Sequence[dict[str, Any]] = rows, source: Any = source) -> None:
                _embed_source(rows, source, embedder(), settings, threads, folder, made)

            item = stored(digest([settings.weights.sha256, own, code, known]), embed)
            if keys := json.loads((item / KEYS).read_text(encoding="utf-8")):
                vectors = np.load(item / VECTORS, allow_pickle=False)
                columns = {"key": keys, "source": [source] * len(keys), "vector": pl.Series(vectors).cast(pl.List(pl.Float16))}
                parts.append(pl.DataFrame(columns))
    write_table(pl.concat(parts), FaceEmbeddings, table)


def _embedder(weights: Path, settings: IdentitySettings) -> Embedder:
    assert settings.weights is not None, "embedding is asked for only with weights"
    turned = slice(None, None, -1 if settings.channels == "BGR" else 1)
    preprocessing = Preprocessing(
        size=settings.size, resize="stretch", interpolation="bilinear", mean=settings.mean[turned], std=settings.std[turned]
    )
    stated = EmbedderSettings(kind="onnx", weights=settings.weights, preprocessing=preprocessing, batch=1)
    return Embedder(weights, settings.weights.sha256, stated, section="identity")


def _embed_source(
    rows: Sequence[dict[str, Any]],
    source: str,
    embedder: Embedder,
    settings: IdentitySettings,
    threads: int,
    folder: Path,
    ledger: Ledger,
) -> None:
    """Write the vectors of the faces of `rows`, those of one `source`, to `folder`, and a row of each face to `ledger`."""

    def embed(row: dict[str, Any]) -> np.ndarray:
        image = read_image(Path(row["path"]))
        height, width = image.shape[:2]
        matrix = input_matrix(np.reshape(row["landmarks"], (-1, 2)), height, width, settings)
        picture = warp(image, matrix, settings.size)
        vector: np.ndarray = embedder.embed([picture[:, :, ::-1] if settings.channels == "BGR" else picture])[0]
        if not np.isfinite(vector).all():
            raise Failed("no usable vector", "the model gives only zeros, or numbers that are not finite; use other weights")
        return vector

    keys, vectors = [], []
    with embedder.workers(threads) as pool:
        results = in_batches(pool, lambda batch: [attempt(embed, row) for row in batch], rows, 1, threads)
        for row, result in progress(results, len(rows), f"faces of {source!r}"):
            with ledger.item(row["key"]):
                if isinstance(result, Exception):
                    raise result
                keys.append(row["key"])
                vectors.append(result)
    (folder / KEYS).write_text(json.dumps(keys), encoding="utf-8")
    # Not by NumPy, which does not distinguish a full disk from other errors.
    content = io.BytesIO()
    np.save(content, l2_normalise(np.stack(vectors)) if vectors else np.empty((0, 0), np.float16), allow_pickle=False)
    (folder / VECTORS).write_bytes(content.getbuffer())


def input_matrix(landmarks: np.ndarray, height: int, width: int, settings: IdentitySettings) -> Matrix:
    """Return the matrix from a picture of `height` by `width` pixels to the input of the model around its face.

    `landmarks`: (68, 2) or (5, 2), pixels. Raises `Failed` if they cannot be used, see `align`.
    """
    if settings.alignment != "arcface":
        return align(landmarks, height, width, settings.alignment, settings.size)
    points = check_landmarks(landmarks, height, width, (COUNT, len(MEAN_FIVE)))
    five = five_points(points) if len(points) == COUNT else points
    return similarity(five, ARCFACE * (settings.size / ARCFACE_SIZE))


def compare_faces(
    embeddings: Sequence[Path],
    tables: Sequence[Path],
    folders: Sequence[Path],
    references: Sequence[str],
    decisions: Sequence[Decision],
    *,
    distances: Path,
    sheet: Path,
) -> None:
    """Write how far each face is from the person of the set to `distances` (`tables.FaceDistances`), sorted by key.

    `embeddings`: `tables.FaceEmbeddings`. `tables`: `tables.Faces`, with the files in `folders`; one of each per shard. The
    person is the `centre` of all faces, or of those of the sources `references`, if there are any. Faces that people rejected
    by `decisions`, those on faces of this set, do not count for it. The picture `sheet` shows the nearest faces and the
    farthest. Without a face that counts, the table is empty. Raises `TesseraError` if that is so because of `references`.
    """
    decided, _ = find_faces(decisions, boxes_of(read_tables(list(tables), Faces)))
    rejected = [key for key, each in decided.items() if each.decision == "drop"]
    embedded = read_tables(list(embeddings), FaceEmbeddings).sort("key")
    measured = pl.DataFrame(schema=types(FaceDistances))
    counts = pl.col("source").is_in(list(references)) if references else pl.lit(True)
    of_person = embedded.select(counts & ~pl.col("key").is_in(rejected)).to_series().to_numpy()
    if references and embedded.height and not of_person.any():
        raise TesseraError(
            f"no face in the sources {', '.join(references)} of `identity.references` was embedded, or people rejected all;"
            " name others that show the person alone, or none"
        )
    if of_person.any():
        vectors = embedded["vector"].list.to_array(len(embedded["vector"][0])).to_numpy()
        measured = embedded.select("key", distance=pl.Series(_distances(vectors, centre(vectors[of_person]))))
    write_table(measured, FaceDistances, distances)
    ranked = measured.sort("distance", "key").iter_rows()
    places = {key: Place(distance, rank) for rank, (key, distance) in enumerate(ranked)}
    faces = {face.name: face for table, folder in zip(tables, folders, strict=True) for face in faces_in(table, folder)}
    write_image(sheet, draw_sheet("distance from the person", faces, places))


def centre(vectors: np.ndarray) -> np.ndarray:
    """Return the direction of that half of `vectors`, float16 (N, D) from `l2_normalise`, which is closest together.

    It is float16 (D,). From the mean of all, the mean of the half nearest to it is taken again and again until it stays: these
    are the concentration steps of Rousseeuw and Van Driessen 1999, with cosines. So others do not matter while they are fewer
    than half. Neither does the order of `vectors`: equally near ones count together, and float64 holds the sums exactly.
    """
    half = (len(vectors) + 1) // 2
    found = _mean(vectors)
    for _ in range(ROUNDS):
        away = _distances(vectors, found)
        nearer = _mean(vectors[away <= np.partition(away, half - 1)[half - 1]])
        if np.array_equal(nearer, found):
            break
        found = nearer
    return found


def _mean(vectors: np.ndarray) -> np.ndarray:
    mean: np.ndarray = l2_normalise(vectors.astype(np.float64).sum(axis=0, keepdims=True))[0]
    return mean


def _distances(vectors: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return 1 less the cosine of each of `vectors` (N, D) with `other` (D,): float64 (N,)."""
    return 1 - all_cosines(vectors, other[None])[:, 0]
