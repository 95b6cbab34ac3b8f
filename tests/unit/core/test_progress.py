"""Long work says how far it is, how fast, and how much time is left."""

import io
from collections.abc import Iterator

import pytest

from tessera.core import progress


@pytest.mark.parametrize(
    ("seconds", "total", "said"),
    [
        (10.0, 4, "1/4 frames of 'film', 0.1/s, 0:30 left"),
        (10.0, None, "1 frame of 'film', 0.1/s"),
        (2000.0, 4, "1/4 frames of 'film', 0.0005/s, 1:40:00 left"),
    ],
)
def test_progress_states_the_count_the_rate_and_the_time_left(
    seconds: float, total: int | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr("tessera.core.log._terminal", terminal)
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])

    def work() -> Iterator[int]:
        yield from range(4)

    frames = progress.progress(work(), total, "frames of 'film'")
    next(frames)
    clock[0] += seconds
    next(frames)
    assert terminal.getvalue() == f"{said}\n"
