"""Read and write trained classifiers, and apply them to pictures and vectors."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from tessera.core.errors import Failed, TesseraError
from tessera.core.weights.resolve import verify_weights
from tessera.core.weights.tensors import read_metadata, read_tensors, safetensors_bytes
from tessera.imaging.architectures import load_all
from tessera.imaging.classification.network import as_input, build_network, probabilities
from tessera.imaging.classification.pictures import combine, cut_tiles, tile_side
from tessera.imaging.classification.settings import Description, ScoreRange, Tiling
from tessera.imaging.preprocessing import to_square

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
            found = probabilities(self.network(as_input(values, self.description)), self.description)
        results: np.ndarray = found.cpu().numpy()
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
    kept = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    path.write_bytes(safetensors_bytes(kept, {"format": "pt", DESCRIPTION: description.model_dump_json()}))


def read_classifier(path: Path, expected: Path | str | None = None) -> Classifier:
    """Return the classifier in the file `path`, on the GPU if there is one.

    `expected`: what verifies the file, see `verify_weights`; None if the file is known to be whole.
    Raises `TesseraError` if the file is another one than expected, damaged, or not a classifier that was written here.
    """
    import torch

    if expected is not None:
        verify_weights(path, expected)
    try:
        description = Description.model_validate_json(read_metadata(path)[DESCRIPTION])
    except (KeyError, ValidationError) as error:
        raise TesseraError(
            f"{path} is no classifier of Tessera: its metadata has no valid {DESCRIPTION!r}; use an exported .safetensors"
        ) from error
    network = build_network(description)
    load_all(network, read_tensors(path), path)
    network.requires_grad_(False)
    return Classifier(description, network.to("cuda" if torch.cuda.is_available() else "cpu"))
