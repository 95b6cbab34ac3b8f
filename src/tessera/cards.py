"""Model cards: what a model is, what it was made from, what it is for, and what it is not for."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tessera.markdown import plain, table
from tessera.provenance import sha256_file

LICENCE = "AGPL-3.0"
LIBRARIES = ("torch", "ultralytics", "onnx", "onnxruntime")
FEW_OBJECTS = 100  # below which a metric says little

PURPOSES = {
    "nsfw_detection": "find regions of nudity in footage of consenting adults, so that datasets for finding and restoring "
    "mosaics can be made of it, and so that such footage can be filtered out elsewhere",
    "watermark_detection": "find watermarks, text and logos that lie over a picture, so that what they cover is left out "
    "of datasets",
    "mosaic_detection": "find mosaics, pixelated regions of pictures and videos, so that they can be left out or restored",
}
NOT_FOR = (
    "footage whose rights are not settled, or adult footage without the consent of those shown and proof that they are adults",
    "footage of minors, in any way",
    "identifying persons, or making, finding or spreading intimate footage against the will of those shown",
    "decisions about persons without a human who checks them: the model misses regions, and finds some that are none",
)


def describe_model(
    model: str,
    files: Sequence[Path],
    checksums: Path,
    datasheet: Path,
    metrics: Path,
    export: Path,
    settings: Mapping[str, Any],
    seed: int,
    code: str,
) -> dict[str, Any]:
    """Return the card of `model` as plain JSON types; equal inputs give an equal card.

    `files`: what is exported. `checksums`, `datasheet`: SHA256SUMS and datasheet.json of its dataset. `metrics`, `export`: the
    reports of `evaluate_detector` and `verify_export`. `settings`: those of the model. `code`: digest of the trainer.
    """
    return {
        "model": model,
        "licence": LICENCE,
        "purpose": PURPOSES.get(model, "find what its classes name, in footage of the kind it was trained on"),
        "not_for": list(NOT_FOR),
        "files": {file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in files},
        "dataset": {"sha256sums": sha256_file(checksums), "datasheet": _read(datasheet)},
        "training": {
            "architecture": settings["architecture"],
            "weights": _weights(settings["weights"]),
            "arguments": settings["training"],
            "seed": seed,
            "code": code,
        },
        "metrics": _read(metrics),
        "export": {"settings": settings["export"], "compared": _read(export)},
        "versions": {library: version(library) for library in LIBRARIES},
    }


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _weights(weights: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the declared weights; of a path on this machine, the name alone."""
    if weights is None:
        return None
    source = weights["source"] if "://" in weights["source"] else Path(weights["source"]).name
    return {"source": source, "sha256": weights["sha256"]}


def render(card: Mapping[str, Any]) -> str:
    """Return a card as Markdown."""
    metrics, training, compared = card["metrics"], card["training"], card["export"]["compared"]
    scores = [
        [split, kind, *(_number(values[kind][score]) for score in ("map50", "map50_95", "precision", "recall"))]
        for split, values in metrics["splits"].items()
        for kind in ("mask", "box")
        if kind in values
    ]
    few = [
        f"The {split} split holds {values['objects']} objects: too few to say much.\n"
        for split, values in metrics["splits"].items()
        if values["objects"] < FEW_OBJECTS
    ]
    origins = card["dataset"]["datasheet"].get("origins", [])
    columns = [name for name in ("source", "split", "images", "content", "rights", "consent") if origins and name in origins[0]]
    weights = training["weights"]
    return "\n".join(
        [
            f"# {plain(card['model'])}\n",
            f"A model that can {card['purpose']}. Licence: {card['licence']}, as that of ultralytics, by which it was made.\n",
            "## Not for\n",
            "".join(f"- {purpose}\n" for purpose in card["not_for"]),
            "## What it reaches\n",
            table(["split", "of", "mAP50", "mAP50-95", "precision", "recall"], scores),
            *few,
            "Precision and recall at the confidence with the best F1.\n",
            "## Files\n",
            table(["file", "bytes", "sha256"], [[name, *file.values()] for name, file in card["files"].items()]),
            f"The exported model was compared with the trained one on {compared['images']} images: raw outputs differ by "
            f"{compared['output']:.1e} of their largest value; of {compared['detections']} detections, scores by "
            f"{compared['score']:.1e}, box edges by {compared['box']:.1e} pixels; masks overlap by {compared['mask']:.4f}.\n",
            "## Dataset\n",
            f"sha256 of its SHA256SUMS: `{card['dataset']['sha256sums']}`\n",
            table(columns, [[row[name] for name in columns] for row in origins]) if origins else "",
            "## Training\n",
            f"- architecture: {plain(training['architecture'])}\n"
            + (f"- started from: {plain(weights['source'])}, sha256 `{weights['sha256']}`\n" if weights else "- from scratch\n")
            + f"- epochs: {metrics['epochs']}\n- seed: {training['seed']}\n- code: `{training['code']}`\n",
            table(["argument", "value"], sorted([name, value] for name, value in training["arguments"].items())),
            "## Versions\n",
            table(["library", "version"], [list(pair) for pair in card["versions"].items()]),
        ]
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def write_model_card(
    model: str,
    files: Sequence[Path],
    checksums: Path,
    datasheet: Path,
    metrics: Path,
    export: Path,
    data: Path,
    text: Path,
    *,
    settings: Mapping[str, Any],
    seed: int,
    code: str,
) -> None:
    """Write the card of `model` as JSON to `data`, and as Markdown to `text`. See `describe_model`."""
    card = describe_model(model, files, checksums, datasheet, metrics, export, settings, seed, code)
    data.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(render(card), encoding="utf-8")
