"""Find the outline of what a box shows."""

import numpy as np

from tessera.imaging.boxes import Box, clip_box
from tessera.imaging.masks import Patch, trim

MARGIN = 0.5  # of the sides of the box; how far the surroundings reach on each side
SIDE = 256  # pixels of the longer side of box and surroundings, to which they are reduced
SURE = 0.6  # of the sides of the box: the ellipse in its middle that shows the object for sure
LEAST = 0.3  # of the area of the inscribed ellipse; a smaller outline is taken for a mistake


def outline_in(image: np.ndarray, box: Box) -> Patch:
    """Return the mask of the object in `box`: what differs in colour from its surroundings, inside the box.

    `image`: uint8 (H, W, 3), RGB. `box`: x0, y0, x1, y1 in pixels, half-open, with a part in the image. This is GrabCut
    (Rother, Kolmogorov, Blake 2004), which begins with the ellipse that fills the box, and takes the middle of it for granted.
    Where that finds next to nothing, the ellipse is returned.
    """
    import cv2

    height, width = image.shape[:2]
    x0, y0, x1, y1 = clip_box((np.floor(box[0]), np.floor(box[1]), np.ceil(box[2]), np.ceil(box[3])), width, height)
    across, down = round(MARGIN * (x1 - x0)), round(MARGIN * (y1 - y0))
    left, top = int(max(x0 - across, 0)), int(max(y0 - down, 0))
    part = image[top : int(y1) + down, left : int(x1) + across]
    factor = min(1.0, SIDE / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else part
    reduced = np.array(small.shape[1::-1]) / part.shape[1::-1]
    inner = (np.array([[x0, y0], [x1, y1]]) - [left, top]) * reduced
    rows, columns = np.indices(small.shape[:2]) + 0.5
    x, y = (columns - inner[:, 0].mean()) / np.ptp(inner[:, 0]), (rows - inner[:, 1].mean()) / np.ptp(inner[:, 1])
    kinds = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
    kinds[(abs(x) <= 0.5) & (abs(y) <= 0.5)] = cv2.GC_PR_BGD
    ellipse = np.hypot(x, y) <= 0.5
    kinds[ellipse] = cv2.GC_PR_FGD
    kinds[np.hypot(x, y) <= 0.5 * SURE] = cv2.GC_FGD
    found = _largest_piece(_cut(small, kinds))
    if found.sum() < LEAST * ellipse.sum():
        found = ellipse
    mask = cv2.resize(found.astype(np.uint8) * 255, part.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return trim(Patch(np.where(mask > 127, 255, 0).astype(np.uint8), left, top))


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Return the largest of the pieces of `mask`, bool (H, W), without its holes: a person draws one outline."""
    import cv2

    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], 0, 1, cv2.FILLED)
    return filled > 0


def _cut(image: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the foreground of `image` by GrabCut, bool (H, W), that begins with `kinds`; none if it cannot be cut."""
    import cv2

    if not {cv2.GC_FGD, cv2.GC_BGD} <= set(np.unique(kinds).tolist()):
        return np.zeros(kinds.shape, bool)
    # The colours are clustered from random starts; the seed is that of this thread.
    cv2.setRNGSeed(0)
    kinds = kinds.copy()
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    no_box = (0, 0, 0, 0)  # the kinds say more
    cv2.grabCut(np.ascontiguousarray(image), kinds, no_box, background, foreground, 1, cv2.GC_INIT_WITH_MASK)
    return np.asarray((kinds == cv2.GC_FGD) | (kinds == cv2.GC_PR_FGD))
