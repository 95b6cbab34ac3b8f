"""The predictor of CityClassifiers, restated with torch's layers."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = nn.ReLU()
        pairs = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.LeakyReLU(0.1))]
        self.long = nn.Sequential(*pairs, nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(self.long(x) + x)


class Predictor(nn.Module):
    def __init__(self, features: int, outputs: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Sequential(nn.Linear(features, hidden), Block(hidden))
        middle = (nn.Linear(hidden, 128), nn.Linear(128, 64), nn.Dropout(0.1), nn.LeakyReLU(), nn.Linear(64, 32))
        self.down = nn.Sequential(*middle, nn.Linear(32, outputs))
        self.out = nn.Softmax(dim=1) if outputs > 1 else nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.out(self.down(self.up(x)))
        return found if len(found[0]) > 1 else (found + 1) / 2


def load_predictor(weights: Path) -> Predictor:
    """Return the predictor with these `weights`, NAME.safetensors, built and loaded strictly by NAME.config.json beside it."""
    config = json.loads(weights.with_suffix(".config.json").read_text(encoding="utf-8"))
    predictor = Predictor(**config["model_params"]).eval()
    predictor.load_state_dict(load_file(weights), strict=True)
    return predictor
