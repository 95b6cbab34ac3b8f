"""The curves of a training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tessera.imaging.figures import new_figure
from tessera.stages.detectors import evaluate


@pytest.mark.parametrize("epochs", [1, 2, 3, 200])
def test_epochs_are_whole_numbers_and_a_single_one_is_visible(
    epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: dict[str, Figure] = {}

    @contextmanager
    def kept(path: Path, width: float, height: float) -> Iterator[Figure]:
        with new_figure(path, width, height) as figure:
            yield figure
        figures[path.name] = figure

    monkeypatch.setattr(evaluate, "new_figure", kept)
    names = ["train/box_loss", "val/box_loss", *(f"metrics/{name}(B)" for name in ("mAP50", "mAP50-95", "precision", "recall"))]
    rows = {"epoch": [float(epoch) for epoch in range(1, epochs + 1)], **{name: [0.5] * epochs for name in names}}
    evaluate._draw_epochs(rows, tmp_path)
    assert set(figures) == {"losses.svg", "scores.svg"}
    for figure in figures.values():
        for axes in figure.axes:
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks and all(tick == round(tick) for tick in ticks)
            assert all(line.get_marker() == "." for line in axes.lines) or epochs > 3
