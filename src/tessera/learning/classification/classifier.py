"""Read and write trained classifiers, and apply them to pictures and vectors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from tessera.core.errors import Failed, TesseraError
from tessera.core.messages import pluralize
from tessera.learning.architectures import load_all
from tessera.learning.classification.network import as_input, build_network, probabilities
from tessera.learning.classification.pictures import combine, cut_tiles, tile_side
from tessera.learning.classification.settings import HEAD, LAST, Description, Labels, ScoreRange, Tiling
from tessera.learning.preprocessing import to_square
from tessera.learning.weights.resolve import verify_weights
from tessera.learning.weights.tensors import read_metadata, read_tensors, safetensors_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

DESCRIPTION = "tessera.classifier"  # the key of the description in the metadata of a file
VECTORS = 4096  # vectors that are classified together


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained classifier: what it is, and its network, ready for inference."""

    description: Description
    network: "torch.nn.Module"

    def results(self, inputs: np.ndarray) -> np.ndarray:
        """Return the results for `inputs` that were computed together: float32 (N, classes), or (N, 1) for a score.

        `inputs`: prepared pictures, uint8 (N, size, size, 3), or vectors, (N, features). Probabilities add up to 1; a score
        lies in its range.
        """
        import torch

        device = next(self.network.parameters()).device
        with torch.inference_mode():
            values = torch.from_numpy(np.ascontiguousarray(inputs)).to(device)
            outputs = probabilities(self.network(as_input(values, self.description)), self.description)
        results: np.ndarray = outputs.cpu().numpy()
        labels = self.description.labels
        return labels.least + results * (labels.most - labels.least) if isinstance(labels, ScoreRange) else results

    def predict(self, pictures: Iterable[np.ndarray], tiling: Tiling | None = None) -> Iterator[np.ndarray]:
        """Yield the result of each of `pictures`, float32 (classes,) or (1,) for a score, in order.

        `pictures`: uint8 (H, W, 3), RGB, of any sizes. With `tiling`, the results of the tiles of a picture are combined.
        A picture is computed by itself, so that its result does not depend on the others.
        Raises `Failed` if an array is not such a picture, and `TesseraError` if this classifier takes vectors.
        """
        preparation = self.description.preparation
        if preparation is None:
            raise TesseraError(f"this classifier takes vectors of the embedding {self.description.embedding!r}, not pictures")
        for picture in pictures:
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                raise Failed("not a picture", f"{picture.dtype} {picture.shape}, not uint8 (height, width, 3)")
            tiles = cut_tiles(picture, tile_side(tiling, preparation.size), tiling.side) if tiling else [picture]
            results = self.results(np.stack([to_square(tile, preparation) for tile in tiles]))
            yield combine(results, tiling.combine) if tiling else results[0]

    def predict_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return the results for `vectors`, (N, features): float32 (N, classes), or (N, 1) for a score.

        Raises `TesseraError` if the vectors have another length, or this classifier takes pictures.
        """
        features = self.description.features
        if features is None:
            raise TesseraError("this classifier takes pictures, not vectors")
        if vectors.ndim != 2 or vectors.shape[1] != features:
            raise TesseraError(
                f"the vectors have the shape {vectors.shape}, and this classifier takes {features} numbers of the embedding"
                f" {self.description.embedding!r}; use the embedding that it was trained on"
            )
        parts = [self.results(vectors[start : start + VECTORS]) for start in range(0, len(vectors), VECTORS)]
        return np.concatenate([np.empty((0, self.description.outputs), np.float32), *parts])


def write_classifier(path: Path, description: Description, weights: "Mapping[str, torch.Tensor]") -> None:
    """Write a classifier to the safetensors `path`. Equal classifiers give equal bytes."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    path.write_bytes(safetensors_bytes(tensors, {"format": "pt", DESCRIPTION: description.model_dump_json()}))


def _described(path: Path, description: str | None) -> Description:
    try:
        if description is None:
            raise KeyError(DESCRIPTION)
        return Description.model_validate_json(description)
    except (KeyError, ValidationError) as error:
        raise TesseraError(
            f"{path} is no classifier of Tessera: its metadata has no valid {DESCRIPTION!r}; use an exported .safetensors, or"
            " state the `labels` of a file of CityClassifiers"
        ) from error


def _of_city(path: Path, state: "Mapping[str, torch.Tensor]", labels: Labels) -> Description:
    """Return the description of the predictor of CityClassifiers with the weights `state`, whose sizes say what it is."""
    first, last = state.get("up.0.weight"), state.get(f"{LAST}.weight")
    if first is None or last is None or first.ndim != 2 or not last.ndim:
        raise TesseraError(f"{path} is no predictor of CityClassifiers, for which `labels` is; declare another file")
    hidden, features = first.shape
    description = Description(labels=labels, architecture=HEAD, embedding="CLIP", features=features, hidden=hidden)
    if len(last) != description.outputs:
        raise TesseraError(
            f"{path} has {pluralize(len(last), 'outputs')}, and `labels` states {description.outputs}; correct it"
        )
    return description


def read_classifier(path: Path, expected: Path | str | None = None, labels: Labels | None = None) -> Classifier:
    """Return the classifier in the file `path`, on the GPU if there is one.

    `expected`: what verifies the file, see `verify_weights`; None if the file is known to be whole. `labels`: those of a file
    of CityClassifiers, a head that does not state them; None for one that was written here.
    Raises `TesseraError` if the file is another one than expected, damaged, or no such classifier.
    """
    import torch

    if expected is not None:
        verify_weights(path, expected)
    stated = read_metadata(path).get(DESCRIPTION)
    if labels is None:
        description = _described(path, stated)
        state = read_tensors(path)
    elif stated is not None:
        raise TesseraError(f"{path} was exported by Tessera and states its labels; remove `labels` from its settings")
    else:
        state = read_tensors(path)
        description = _of_city(path, state, labels)
    network = build_network(description)
    load_all(network, state, path)
    network.requires_grad_(False)
    return Classifier(description, network.to("cuda" if torch.cuda.is_available() else "cpu"))
