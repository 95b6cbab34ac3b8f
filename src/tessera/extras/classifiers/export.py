"""Export a trained classifier, and verify that the exports give the same results."""

import io
import json
import logging
import shutil
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tessera.core.errors import TesseraError
from tessera.core.messages import pluralize
from tessera.extras.classifiers.dataset import Samples, read_samples
from tessera.extras.classifiers.settings import ClassifierSettings, ClassifierToleranceSettings
from tessera.imaging.images import read_image
from tessera.learning.architectures import load_all
from tessera.learning.classification.classifier import Classifier, read_classifier
from tessera.learning.classification.network import build_network, normalise, probabilities
from tessera.learning.classification.settings import LAST, Description, ScoreRange
from tessera.learning.onnx import open_model
from tessera.learning.preprocessing import to_square
from tessera.learning.weights.tensors import read_tensors, safetensors_bytes

LIBRARIES = ("torch", "timm", "onnx", "onnxruntime", "safetensors")
# What the pipelines of CityClassifiers accept: the numbers of their embedding, and the width of their predictor.
CITY = {"features": 768, "hidden": 1024}


def export_classifier(classifier: Path, safetensors: Path, onnx: Path, *, opset: int) -> None:
    """Copy `classifier` to `safetensors`, and export it as ONNX to `onnx`. Equal classifiers give equal bytes.

    The input of the ONNX model is `pictures`, float32 (N, 3, size, size), RGB in [0, 1], or `vectors`, float32 (N, features).
    Its output is `probabilities`, (N, classes), or `scores`, (N, 1), in their range. All that is done between both is in the
    model: normalisation, temperature, softmax. Its metadata state, as JSON, the labels, and how a picture is scaled.
    """
    shutil.copyfile(classifier, safetensors)
    onnx.write_bytes(_onnx(read_classifier(classifier), opset))


def _onnx(classifier: Classifier, opset: int) -> bytes:
    import onnx
    import torch

    description = classifier.description
    preparation = description.preparation
    labels = description.labels

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = classifier.network.cpu()

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            logits = self.network(normalise(values, preparation) if preparation else values)
            results = probabilities(logits, description)
            return results * (labels.most - labels.least) + labels.least if isinstance(labels, ScoreRange) else results

    # Two, because an exporter may take a batch of one for a constant.
    shape = (2, 3, preparation.size, preparation.size) if preparation else (2, description.features or 0)
    given, returned = "pictures" if preparation else "vectors", "probabilities" if description.classes else "scores"
    content: Any = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Of the exporter, which is the one that needs no further library, and of sizes that it takes for constant.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Whole().eval(),
            (torch.zeros(shape),),
            content,
            dynamo=False,
            opset_version=opset,
            input_names=[given],
            output_names=[returned],
            dynamic_axes={given: {0: "batch"}, returned: {0: "batch"}},
        )
    model = onnx.load_from_string(content.getvalue())
    for key, value in _metadata(description).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString(deterministic=True))


def _metadata(description: Description) -> dict[str, str]:
    """Return what a user of the ONNX model must know, each as JSON."""
    preparation = description.preparation
    content: dict[str, Any] = {
        "labels": description.model_dump(mode="json")["labels"],
        "input": (
            {
                "size": preparation.size,
                "resize": preparation.resize,
                "interpolation": preparation.interpolation,
                "colours": "RGB",
                "range": [0, 1],
                "normalised_inside": True,
            }
            if preparation
            else {"features": description.features, "embedding": description.embedding}
        ),
        "architecture": description.architecture,
        "temperature": description.temperature,
    }
    return {f"tessera.{key}": json.dumps(value, ensure_ascii=False) for key, value in content.items()}


def export_for_city(classifier: Path, name: str, safetensors: Path, config: Path) -> None:
    """Write a head to the pair of files that CityClassifiers loads: NAME.safetensors and NAME.config.json.

    Its predictor has no temperature, so the weights of the last layer are divided by it. `name`: the base of the two names.
    Raises `TesseraError` if the classifier is no head.
    """
    description = read_classifier(classifier).description
    if description.features is None:
        raise TesseraError(f"{classifier} is no head: CityClassifiers has only predictors of vectors; export it as ONNX")
    weights = read_tensors(classifier)
    for part in ("weight", "bias"):
        weights[f"{LAST}.{part}"] = weights[f"{LAST}.{part}"] / description.temperature
    safetensors.write_bytes(safetensors_bytes(weights, {"format": "pt"}))
    content = {
        "name": name,
        "rev": "v1.0",
        "arch": "class" if description.classes else "score",
        "labels": {str(number): label for number, label in enumerate(description.classes)} or None,
        "model_params": {
            "features": description.features,
            "hidden": description.hidden,
            "outputs": description.outputs,
        },
    }
    config.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def verify_classifier_export(
    dataset: Path,
    vectors: Path | None,
    classifier: Path,
    safetensors: Path,
    onnx: Path,
    city: Path | None,
    report: Path,
    settings: ClassifierSettings,
    *,
    threads: int,
) -> None:
    """Compare the exports with `classifier`, in ONNX Runtime and in torch, on pictures of the val split, of train without one.

    All run on the CPU with the same inputs. `city`: the safetensors of `export_for_city`, or None; its scores are compared from
    0 to 1. The largest difference of each is written to `report`, JSON. Raises `TesseraError` that names each difference beyond
    the tolerance.
    """
    import torch

    torch.set_num_threads(threads)
    trained = _on_cpu(read_classifier(classifier))
    inputs = _inputs(read_samples(dataset, settings.labels, vectors), trained.description, settings.tolerance)
    expected = trained.results(inputs)
    outputs = {
        safetensors.name: _on_cpu(read_classifier(safetensors)).results(inputs),
        onnx.name: _run_onnx(onnx, inputs, trained.description, threads),
    }
    differences = {name: _difference(each, expected) for name, each in outputs.items()}
    if city:
        labels = trained.description.labels
        span, least = (labels.most - labels.least, labels.least) if isinstance(labels, ScoreRange) else (1.0, 0.0)
        differences[city.name] = _difference(_run_city(city, inputs, trained.description), (expected - least) / span)
    tolerance = settings.tolerance.result
    if beyond := [f"{value:.3g} in {name}" for name, value in differences.items() if not value <= tolerance]:
        raise TesseraError(
            f"the exports differ from {classifier} on {pluralize(len(inputs), 'pictures')}: results differ by"
            f" {', '.join(beyond)} (allowed: {tolerance:g}); try another `export.opset`, or widen the `tolerance`"
        )
    sizes = {"features": trained.description.features, "hidden": trained.description.hidden}
    content = {
        "pictures": len(inputs),
        "differences": differences,
        "tolerance": settings.tolerance.model_dump(mode="json"),
        **({"city_accepts": sizes == CITY} if city else {}),
        "versions": {library: version(library) for library in LIBRARIES},
    }
    report.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _on_cpu(classifier: Classifier) -> Classifier:
    return Classifier(classifier.description, classifier.network.cpu())


def _difference(outputs: np.ndarray, expected: np.ndarray) -> float:
    # Not `max` of Python, which may ignore NaN.
    return float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else float("inf")


def _inputs(samples: Samples, description: Description, tolerance: ClassifierToleranceSettings) -> np.ndarray:
    """Return evenly chosen samples as the classifier gets them: uint8 (N, size, size, 3), or float32 (N, features)."""
    indices = samples.indices("val") if len(samples.indices("val")) else samples.indices("train")
    indices = indices[:: -(-len(indices) // tolerance.pictures)]
    if samples.vectors is not None:
        chosen: np.ndarray = samples.vectors[indices]
        return chosen
    assert description.preparation is not None, "pictures are prepared"
    return np.stack([to_square(read_image(samples.files[index]), description.preparation) for index in indices])


def _run_onnx(path: Path, inputs: np.ndarray, description: Description, threads: int) -> np.ndarray:
    session = open_model(path, threads)
    values = inputs if description.preparation is None else inputs.transpose(0, 3, 1, 2).astype(np.float32) / 255
    outputs: np.ndarray = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(values)})[0]
    return outputs


def _run_city(path: Path, inputs: np.ndarray, description: Description) -> np.ndarray:
    """Return the results of the files for CityClassifiers, whose predictor knows neither a temperature nor a range."""
    import torch

    plain = description.model_copy(update={"temperature": 1.0})
    network = build_network(plain)
    load_all(network, read_tensors(path), path)
    with torch.inference_mode():
        results: np.ndarray = probabilities(network(torch.from_numpy(inputs)), plain).numpy()
    return results
