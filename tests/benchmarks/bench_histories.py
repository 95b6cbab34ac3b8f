"""After random edits, interrupts, kills and losses, a run gives what a fresh project gives, and a second run makes nothing."""

from pathlib import Path

import histories

COUNT = 150


def test_150_histories_end_as_fresh_projects(tmp_path: Path) -> None:
    verdicts = list(histories.campaign(range(COUNT), tmp_path))
    print(f"\n{histories.table(verdicts)}")
    assert not [(verdict.seed, verdict.faults[:3]) for verdict in verdicts if verdict.faults]
