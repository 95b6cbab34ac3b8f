"""Calibrate the probabilities of a classifier by one number, and measure how far they are off (Guo et al., 2017).

Guo, Pleiss, Sun, Weinberger: On calibration of modern neural networks. https://arxiv.org/abs/1706.04599
"""

import math

import numpy as np

BINS = 15  # of confidence, equally wide; as in the paper
LIMITS = 0.05, 20.0  # of the temperature


def temperature_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the temperature that logits are divided by to make `targets` most likely.

    `logits`: float64 (N, classes). `targets`: class numbers, int64 (N,). 1 if there are none. It is at least 1 if all are
    right: then any lower one would be likelier still, and the probabilities would be as far off as the limit allows.
    """
    from scipy.optimize import minimize_scalar

    if not len(targets):
        return 1.0
    least = 1.0 if (logits.argmax(1) == targets).all() else LIMITS[0]

    def loss(exponent: float) -> float:
        return negative_log_likelihood(logits / math.exp(exponent), targets)

    # It has one minimum, because it is convex in the inverse of the temperature.
    found = minimize_scalar(loss, bounds=(math.log(least), math.log(LIMITS[1])), method="bounded", options={"xatol": 1e-6})
    # Rounded, so that the last bits of a library do not decide the bytes of a file.
    return round(math.exp(float(found.x)), 6)


def negative_log_likelihood(logits: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean negative logarithm of the probability of `targets`."""
    from scipy.special import log_softmax

    return float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())


def bins_of(probabilities: np.ndarray, is_right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums of weights, confidences and right predictions in each bin of confidence: float64 (3, BINS, …).

    `probabilities`: float64 (N, classes). `is_right`: bool (N,). `weights`: (N,), or (N, …) for several sums at once.
    """
    confidence = probabilities.max(axis=1)
    # A bin holds its upper end.
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    sums = np.zeros((3, BINS, *weights.shape[1:]))
    for values, total in zip((np.ones_like(confidence), confidence, is_right), sums, strict=True):
        np.add.at(total, places, (weights.T * values).T)
    return sums


def calibration_error(bins: np.ndarray) -> np.ndarray:
    """Return the expected calibration error of `bins`: the mean distance of confidence and accuracy, (…)."""
    count, confidence, right = bins
    error: np.ndarray = np.abs(confidence - right).sum(axis=0) / count.sum(axis=0)
    return error
