"""The curves of a training."""

import pytest

from tessera.pipeline.detectors.evaluate import _draw_epochs


@pytest.mark.parametrize("epochs", [1, 2, 3, 200])
def test_epochs_are_whole_numbers_and_a_single_one_is_visible(epochs: int) -> None:
    names = ["train/box_loss", "val/box_loss", *(f"metrics/{name}(B)" for name in ("mAP50", "mAP50-95", "precision", "recall"))]
    rows = {"epoch": [float(epoch) for epoch in range(1, epochs + 1)], **{name: [0.5] * epochs for name in names}}
    figures = _draw_epochs(rows)
    assert set(figures) == {"losses.png", "scores.png"}
    for figure in figures.values():
        figure.draw_without_rendering()
        for axes in figure.axes:
            low, high = axes.get_xlim()
            ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
            assert ticks and all(tick == round(tick) for tick in ticks)
            assert all(line.get_marker() == "." for line in axes.lines) or epochs > 3
