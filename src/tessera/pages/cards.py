"""Model cards: the origin, the quality and the intended and forbidden uses of a model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tessera
from tessera.core.markdown import FOR_ADULTS, front_matter, plain, table
from tessera.core.messages import format_value
from tessera.core.provenance import sha256_file
from tessera.learning.trainings import Record, read_record
from tessera.learning.weights.known import describe_weights
from tessera.records.limits import no_better_than_chance

LICENCE = "AGPL-3.0"
LIBRARIES = ("torch", "ultralytics", "onnx", "onnxruntime")
FEW_OBJECTS = 100  # with fewer, metrics mean little
FEW_SAMPLES = 30  # the same for restoration

# The generator that Lada's application builds. Of weights of another size, it silently takes only the tensors that fit.
APPLICATION = {"channels": 64, "blocks": 15}
FRAMES = (
    "The input and the output are frames, float (N, T, 3, H, W), RGB, in [0, 1]: at least two, with sides that are multiples "
    "of 4. Lada's application passes them as BGR. It does so for its own weights too, which were also trained on RGB."
)

INPUT = (
    "The input is RGB, in [0, 1]. `YOLO` of ultralytics takes arrays as BGR and converts them. Lada's application passes BGR "
    "without a conversion, in which this model finds less, or nothing."
)
SQUARE = "The ONNX model takes squares of {0} by {0} pixels alone, in which its metrics differ from these."


class Described(NamedTuple):
    """What the cards of all models are made of.

    `purpose`: continues "a model that can". `not_for`: forbidden uses. `files`: those that were exported. `checksums`,
    `datasheet`: SHA256SUMS and datasheet.json of its dataset. `metrics`: the JSON of its evaluation.
    """

    model: str
    purpose: str
    not_for: Sequence[str]
    files: Sequence[Path]
    checksums: Path
    datasheet: Path
    metrics: Path


def write_model_card(
    described: Described,
    export: Path,
    record: Path,
    data: Path,
    text: Path,
    *,
    settings: Mapping[str, Any],
) -> None:
    """Write the card of a detector as JSON to `data` and as Markdown to `text`; equal inputs give an equal card.

    `export`: the report of `verify_export`. `record`: the record of its training. `settings`: the settings of the model.
    """
    trained = read_record(record)
    card = {
        **_entries(described),
        "training": {
            "architecture": settings["architecture"],
            "weights": settings["weights"] and describe_weights(settings["weights"]),
            "arguments": settings["training"],
            **_origin(trained),
            "made_with": trained.made_with,
        },
        "export": {"settings": settings["export"], "input": INPUT, "compared": _read(export)},
        "versions": {library: version(library) for library in LIBRARIES},
    }
    splits = card["metrics"]["splits"].items()
    reached = {
        split: {f"{kind} {score}": value for kind in ("mask", "box") for score, value in values.get(kind, {}).items()}
        for split, values in splits
    }
    task = "image-segmentation" if any("mask" in values for _, values in splits) else "object-detection"
    _write(card, _header(card, task, reached, "ultralytics") + render(card), data, text)


def write_restoration_card(
    described: Described,
    export: Path,
    records: Sequence[Path],
    data: Path,
    text: Path,
    *,
    settings: Mapping[str, Any],
) -> None:
    """Write the card of the restoration model, as `write_model_card` does for a detector.

    `export`: the report of `verify_restoration_export`, which also has the versions of the libraries. `records`: the records of
    the trainings of all stages. `settings`: the section `restoration` of the settings.
    """
    compared = _read(export)
    settings_of_training = {name: settings[name] for name in ("generator", "discriminator", "data", "stages", "training")}
    trained = [read_record(record) for record in records]
    card = {
        **_entries(described),
        "training": {
            **settings_of_training,
            "weights": {name: each and describe_weights(each) for name, each in settings["weights"].items()},
            **_origin(trained[-1]),
            "made_with": {record.identity["settings"]["stage"]["name"]: record.made_with for record in trained},
        },
        "export": {"settings": settings["export"], "frames": FRAMES, "compared": compared},
        "versions": compared["versions"],
    }
    splits = card["metrics"]["splits"].items()
    reached = {split: values["all"].get("region", {}).get("restored", {}) for split, values in splits}
    _write(card, _header(card, "image-to-image", reached) + render_restoration(card), data, text)


def write_plain_card(
    described: Described,
    export: Path | None,
    data: Path,
    text: Path,
    *,
    settings: Mapping[str, Any],
    seed: int,
) -> None:
    """Write the card of a model of any kind, with its metrics and settings and the parts that all cards share.

    `data`, `text`: as of `write_model_card`. `export`: the comparison of the exported with the trained model, if there
    is one.
    """
    card = {
        **_entries(described),
        "training": {"settings": {**settings, **_initial_weights(settings.get("weights"))}, "seed": seed},
        **({"export": _read(export)} if export else {}),
        "versions": {"tessera": tessera.__version__},
    }
    task = "image-classification" if card["metrics"].get("task") == "classes" else ""
    _write(card, _header(card, task, card["metrics"].get("splits", {})) + render_plainly(card), data, text)


def _initial_weights(weights: Any) -> dict[str, Any]:
    return {"weights": describe_weights(weights)} if isinstance(weights, Mapping) else {}


def _header(card: Mapping[str, Any], task: str, reached: Mapping[str, Mapping[str, Any]], library: str = "") -> str:
    """Return the YAML header of a card. `task`: as hubs of models call it. `reached`: metrics of each split by their names."""
    sheet = card["dataset"]["datasheet"]
    dataset = sheet.get("dataset", card["model"])
    numbers = {
        split: {name: value for name, value in values.items() if isinstance(value, float)} for split, values in reached.items()
    }
    results = [
        {
            "task": {"type": task or "other"},
            "dataset": {"name": dataset, "type": dataset, "split": split},
            "metrics": [
                {"name": name.replace("_", " "), "type": name.split()[-1], "value": value} for name, value in each.items()
            ],
        }
        for split, each in numbers.items()
        if each
    ]
    is_adult = any(origin.get("content") == "adult" for origin in sheet.get("origins", []))
    return front_matter(
        {
            "license": card["licence"].lower(),
            "library_name": library,
            "pipeline_tag": task,
            "tags": ["tessera", *([FOR_ADULTS] if is_adult else [])],
            "model-index": [{"name": card["model"], "results": results}] if results else [],
        }
    )


def _write(card: Mapping[str, Any], page: str, data: Path, text: Path) -> None:
    data.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text.write_text(page, encoding="utf-8")


def _origin(record: Record) -> dict[str, Any]:
    """Return the seed and the digest of the code of a training."""
    return {"seed": record.identity["seed"], "code": record.identity["code"]}


def _entries(described: Described) -> dict[str, Any]:
    """Return the entries that the cards of all models have."""
    return {
        "model": described.model,
        "licence": LICENCE,
        "purpose": described.purpose,
        "not_for": list(described.not_for),
        "files": {file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in described.files},
        "dataset": {"sha256sums": sha256_file(described.checksums), "datasheet": _read(described.datasheet)},
        "metrics": _read(described.metrics),
    }


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def render(card: Mapping[str, Any]) -> str:
    """Return the card of a detector as Markdown."""
    measured, training, compared = card["metrics"], card["training"], card["export"]["compared"]
    for_lada = (
        f"For that application, use `lada_{card['model']}_model_tessera.pt`, which takes BGR. It was compared in BGR with the "
        f"trained model in RGB. {_differences(compared['lada'])}"
        if card["export"]["settings"]["lada"]
        else f"For that application, set `models.{card['model']}.export.lada: true`, which also exports weights that take BGR."
    )
    scores = [
        [split, kind, *(_measured(values, kind, score) for score in ("map50", "map50_95", "precision", "recall"))]
        for split, values in measured["splits"].items()
        for kind in ("mask", "box")
        if kind in values
    ]
    few = [
        f"The {split} split has {values['objects']} objects, too few for reliable metrics.\n"
        for split, values in measured["splits"].items()
        if values["objects"] < FEW_OBJECTS
    ]
    few += [
        f"The {split} split has {values['intervals']}.\n"
        for split, values in measured["splits"].items()
        if isinstance(values["intervals"], str)
    ]
    return _page(
        card,
        maker="ultralytics",
        metrics=[
            table(["split", "of", "mAP50", "mAP50-95", "precision", "recall"], scores),
            *few,
            "The shorter side of an image is padded to a multiple of 32, as `val` of ultralytics does it: images padded to "
            "squares (`rect=False`) have other metrics.\n",
            "Precision and recall are those at the confidence with the best F1 score. "
            "In brackets is the 95 % confidence interval, by the bootstrap over sources.\n",
        ],
        exported=[
            f"The ONNX model was compared with the trained one on {compared['images']} images. {_differences(compared)}\n",
            *([] if card["export"]["settings"]["dynamic"] else [f"{SQUARE.format(compared['image_size'])}\n"]),
            f"{INPUT} {for_lada}\n",
        ],
        training=[
            f"- architecture: {plain(training['architecture'])}\n"
            + _initial(training["weights"])
            + f"- epochs: {measured['epochs']}\n- seed: {training['seed']}\n- code: `{training['code']}`\n"
            + f"- trained with: {_made_with(training['made_with'])}\n",
            table(["argument", "value"], sorted([name, value] for name, value in training["arguments"].items())),
        ],
    )


def _measured(values: Mapping[str, Any], kind: str, score: str) -> str:
    """Return a metric, with its confidence interval if there is one."""
    intervals = values["intervals"]
    ends = None if isinstance(intervals, str) else intervals.get(kind, {}).get(score)
    return _number(values[kind][score]) + (f" ({_number(ends[0])} to {_number(ends[1])})" if ends else "")


def render_restoration(card: Mapping[str, Any]) -> str:
    """Return the card of the restoration model as Markdown."""
    splits, training, compared = card["metrics"]["splits"], card["training"], card["export"]["compared"]
    generator, weights = training["generator"], training["weights"]
    reached = [
        [split, area, method.replace("_", " "), *(_number(values.get(name)) for name in ("psnr", "ssim", "lpips"))]
        for split, each in splits.items()
        for area in ("region", "frame")
        for method, values in each["all"].get(area, {}).items()
    ]
    of_blocks = [
        [split, size, each["samples"], *(_number(each["region"][method]["psnr"]) for method in ("mosaicked", "restored"))]
        for split, values in splits.items()
        for size, each in values["blocks"].items()
        if each["samples"]
    ]
    few = [
        f"The {split} split has {values['all']['samples']} samples, too few for reliable metrics.\n"
        for split, values in splits.items()
        if 0 < values["all"]["samples"] < FEW_SAMPLES
    ]
    columns = ("name", "base", "iterations", "frames", "batch", "ema")
    losses = list(training["stages"][0]["losses"])
    stages = [
        [*("none" if stage[name] is None else stage[name] for name in columns), *(stage["losses"][name] for name in losses)]
        for stage in training["stages"]
    ]
    differences = ", ".join(f"{value:.1e} for {name}" for name, value in compared["differences"].items())
    wanted = " and ".join(f"{count} {name}" for name, count in APPLICATION.items())
    return _page(
        card,
        maker="Tessera",
        metrics=[
            f"Measured on {card['metrics']['frames']} frames of each clip, in the region of the mosaic and in the whole frame, "
            "without padding. The method mosaicked is the input of the model. Bicubic and temporal median use no model.\n",
            table(["split", "area", "method", "PSNR, dB", "SSIM", "LPIPS"], reached),
            *few,
            "In the region, by block size in pixels:\n",
            table(["split", "blocks", "samples", "PSNR mosaicked, dB", "PSNR restored, dB"], of_blocks),
        ],
        exported=[
            f"{FRAMES}\n",
            *(
                []
                if generator == APPLICATION
                else [
                    f"Lada's application cannot restore with this model: it builds a model of {wanted}, takes only the tensors "
                    "that fit, and reports no error.\n"
                ]
            ),
            f"The exported files were loaded and compared with the trained model on {compared['samples']} samples of "
            f"{compared['frames']} frames. Outputs differ by at most {differences}.\n",
            f"The model is not exported to TorchScript or ONNX. {plain(compared['untraced'])}\n",
        ],
        training=[
            f"- generator: BasicVSR++, {generator['channels']} channels, {generator['blocks']} blocks\n"
            + _initial(weights["load_from"])
            + ("" if weights["load_from"] else _initial(weights["spynet"], " of the optical flow"))
            + f"- seed: {training['seed']}\n- code: `{training['code']}`\n"
            + "".join(f"- {plain(stage)} trained with: {_made_with(each)}\n" for stage, each in training["made_with"].items()),
            table([*columns, *(f"{name} loss" for name in losses)], stages),
        ],
    )


def render_plainly(card: Mapping[str, Any]) -> str:
    """Return the card of a model of any kind as Markdown."""
    training = card["training"]
    return _page(
        card,
        maker="Tessera",
        metrics=list(_metrics(card["metrics"])),
        exported=["## Exported files compared\n", table(["what", "value"], list(_flat(card["export"])))]
        if "export" in card
        else [],
        training=[f"- seed: {training['seed']}\n", table(["setting", "value"], list(_flat(training["settings"])))],
    )


def _metrics(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield tables of the metrics of a model of any kind; each split of a classifier is a table of its own."""
    splits = {split: measured for split, measured in values.get("splits", {}).items() if "worst_sources" in measured}
    if not splits:
        yield table(["metric", "value"], list(_flat(values)))
        return
    yield table(["training", "value"], list(_flat({name: value for name, value in values.items() if name != "splits"})))
    for split, measured in splits.items():
        ends = measured["intervals"] if isinstance(measured["intervals"], Mapping) else {}
        rows = [
            [name.replace("_", " "), f"{value:.4g}", f"{ends[name][0]:.3g} to {ends[name][1]:.3g}" if name in ends else ""]
            for name, value in measured.items()
            if isinstance(value, int | float)
        ]
        yield f"### {split}\n\n" + table(["metric", "value", "95 % interval"], rows)
        if why := no_better_than_chance({"splits": {"val": measured}}):
            yield f"On this split, it is no better than chance: {why}.\n"
    yield "The JSON beside this file also has the metrics of each class and of the worst sources.\n"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values in a JSON object and in those inside it as text, each with its dotted path."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", format_value(value)


def _page(card: Mapping[str, Any], maker: str, metrics: Sequence[str], exported: Sequence[str], training: Sequence[str]) -> str:
    """Return a card as Markdown: the parts of all cards, and the given ones on metrics, export and training."""
    origins = card["dataset"]["datasheet"].get("origins", [])
    shown = ("source", "split", "images", "clips", "samples", "content", "rights", "consent")
    columns = [name for name in shown if origins and name in origins[0]]
    return "\n".join(
        [
            f"# {plain(card['model'])}\n",
            f"A model that can {card['purpose']}. Licence: {card['licence']}, the licence of {maker}, which made it.\n",
            "## Forbidden uses\n",
            "".join(f"- {purpose}\n" for purpose in card["not_for"]),
            "## Metrics\n",
            *metrics,
            "## Files\n",
            table(["file", "bytes", "sha256"], [[name, *file.values()] for name, file in card["files"].items()]),
            *exported,
            "## Dataset\n",
            f"sha256 of its SHA256SUMS: `{card['dataset']['sha256sums']}`\n",
            table(columns, [[row[name] for name in columns] for row in origins]) if origins else "",
            "## Training\n",
            *training,
            "## Versions used for export and comparison\n",
            table(["library", "version"], [list(pair) for pair in card["versions"].items()]),
        ]
    )


def _initial(weights: Mapping[str, Any] | None, of: str = "") -> str:
    """Return the line about the initial weights of a training. `of`: the part that begins with them, if not all of it does."""
    if not weights:
        return f"- initial weights{of}: random\n"
    licence = f", licence {plain(weights['licence'])}" if "licence" in weights else ""
    return f"- initial weights{of}: {plain(weights['source'])}, sha256 `{weights['sha256']}`{licence}\n"


def _made_with(versions: Sequence[Mapping[str, str]]) -> str:
    """Return the versions and devices of a training, in order if they changed during the training."""
    return "; then ".join(plain(", ".join(f"{name} {value}" for name, value in each.items())) for each in versions)


def _differences(compared: Mapping[str, Any]) -> str:
    """Return the differences that `verify_export` found as sentences. Those that are None were not defined."""
    text = f"Raw outputs differ by at most {compared['output']:.1e} of their largest value."
    if compared["score"] is None:
        return f"{text} Neither model detected anything in them, so that no detections were compared."
    text += (
        f" For {compared['detections']} detections, scores differ by at most {compared['score']:.1e} and box edges by at most "
        f"{compared['box']:.1e} pixels."
    )
    return text if compared["mask"] is None else f"{text} Masks have an IoU of at least {compared['mask']:.4f}."


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
