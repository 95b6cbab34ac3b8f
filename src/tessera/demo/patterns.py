"""Draw pictures that look like mosaics and are none: tiles, bricks, blinds, screens with text, pixel art."""

from collections.abc import Callable

import cv2
import numpy as np

WIDTH, HEIGHT = 1600, 1000  # pixels of a pattern


def _colours(random: np.random.Generator, count: int) -> np.ndarray:
    """Return `count` colours that go together: uint8 (count, 3)."""
    base, spread = random.uniform(30, 220, 3), random.uniform(8, 60)
    return np.asarray((base + random.normal(0, spread, (count, 3))).clip(0, 255), np.uint8)


def _tiles(random: np.random.Generator) -> np.ndarray:
    """Return a wall of square tiles, each of one colour of a few, with a gap between them."""
    side = int(random.integers(14, 70))
    rows, columns = -(-HEIGHT // side), -(-WIDTH // side)
    colours = _colours(random, int(random.integers(2, 12)))
    wall = colours[random.integers(len(colours), size=(rows, columns))].repeat(side, 0).repeat(side, 1)
    gap = int(random.integers(1, max(2, side // 8)))
    for start in range(gap):
        wall[start::side] = wall[:, start::side] = _colours(random, 1)
    return np.asarray(wall[:HEIGHT, :WIDTH])


def _bricks(random: np.random.Generator) -> np.ndarray:
    """Return a wall of bricks, every second row of which is shifted by half a brick."""
    height = int(random.integers(16, 60))
    width = int(height * random.uniform(1.8, 3.2))
    colours = _colours(random, 24)
    wall = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    wall[:] = _colours(random, 1)
    gap = max(1, height // 8)
    for row, y in enumerate(range(0, HEIGHT, height)):
        for x in range(-(row % 2) * width // 2, WIDTH, width):
            wall[y : y + height - gap, max(x, 0) : max(x + width - gap, 0)] = colours[random.integers(len(colours))]
    return wall


def _blinds(random: np.random.Generator) -> np.ndarray:
    """Return slats of one width, each with its shade."""
    side = int(random.integers(10, 60))
    light = 0.55 + 0.45 * np.sin(np.arange(HEIGHT) % side / side * np.pi)
    slats = light[:, None, None] * random.uniform(60, 255, 3) * np.linspace(random.uniform(0.6, 1), 1, WIDTH)[:, None]
    if random.random() < 0.5:
        return np.asarray(cv2.resize(slats.transpose(1, 0, 2), (WIDTH, HEIGHT)).clip(0, 255), np.uint8)
    return np.asarray(slats.clip(0, 255), np.uint8)


def _screen(random: np.random.Generator) -> np.ndarray:
    """Return a screen with windows, rows of text and a table."""
    dark = random.random() < 0.5
    paper, ink = (_colours(random, 1)[0] // 5, (220, 220, 220)) if dark else (255 - _colours(random, 1)[0] // 8, (40, 40, 40))
    screen = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    screen[:] = paper
    for _ in range(int(random.integers(2, 7))):
        x, y = (int(random.integers(side - 200)) for side in (WIDTH, HEIGHT))
        w, h = (int(random.integers(150, 700)) for _ in range(2))
        colour = tuple(map(int, _colours(random, 1)[0]))
        cv2.rectangle(screen, (x, y), (x + w, y + h), colour, -1 if random.random() < 0.4 else 2)
    size = random.uniform(0.4, 1.1)
    for y in range(30, HEIGHT, int(34 * size) + 6):
        letters = "".join(map(chr, random.integers(32, 127, int(random.integers(5, 90)))))
        cv2.putText(screen, letters, (30, y), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1 + (size > 0.8), cv2.LINE_AA)
    return screen


def _pixel_art(random: np.random.Generator) -> np.ndarray:
    """Return symmetric figures of a few colours in large pixels, before a plain background."""
    side = int(random.integers(6, 28))
    rows, columns = -(-HEIGHT // side), -(-WIDTH // side)
    colours = _colours(random, 6)
    small = np.empty((rows, columns, 3), np.uint8)
    small[:] = colours[0]
    for _ in range(int(random.integers(8, 30))):
        half = random.integers(-2, len(colours), (int(random.integers(5, 13)), int(random.integers(3, 7))))
        figure = np.concatenate([half, half[:, ::-1]], axis=1)
        y, x = (int(random.integers(max(1, have - need))) for have, need in zip((rows, columns), figure.shape, strict=True))
        part = small[y : y + figure.shape[0], x : x + figure.shape[1]]
        figure = figure[: part.shape[0], : part.shape[1]]
        part[figure > 0] = colours[figure[figure > 0]]
    return np.asarray(small.repeat(side, 0).repeat(side, 1)[:HEIGHT, :WIDTH])


PATTERNS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (_tiles, _bricks, _blinds, _screen, _pixel_art)


def draw_pattern(random: np.random.Generator) -> np.ndarray:
    """Return a random pattern: uint8 (H, W, 3), RGB. A large part of them is uneven, as if it were painted or dirty."""
    pattern = PATTERNS[random.integers(len(PATTERNS))](random)
    if random.random() < 0.7:
        stains = random.normal(0, random.uniform(4, 30), (HEIGHT // 20, WIDTH // 20, 1)).astype(np.float32)
        pattern = (pattern + cv2.resize(stains, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[:, :, None]).clip(0, 255)
    return np.asarray(pattern, np.uint8)
