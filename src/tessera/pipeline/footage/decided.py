"""Tell which decisions on pictures of folders still mean one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.core.job import tell
from tessera.core.ledger import Ledger
from tessera.core.messages import counted, shortened
from tessera.records.decisions import Decision
from tessera.records.frame_keys import meant_frames
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_tables

SHOWN = 10  # lost decisions that a message lists


def match_decisions(frames: Sequence[Path], decisions: Mapping[str, Decision], ledger: Path) -> None:
    """Write a row of `ledger` for each of `decisions` on pictures of folders and regions in them, by key.

    `frames`: files of `tables.Frames`. A row is ok if there is a picture that the key means, also under another name, and
    dropped if the picture is gone or has changed.
    """
    keys = read_tables(list(frames), Frames)["key"].to_list()
    frame_of = {key: key.partition("+")[0] for key in decisions}
    meant = meant_frames(frame_of.values(), keys)
    lost = []
    with Ledger(ledger) as rows:
        for key in sorted(decisions):
            frame = frame_of[key]
            if frame in meant.now:
                renamed = f"the picture is now {meant.now[frame]!r}" if meant.now[frame] != frame else ""
                rows.row(key, "ok", "renamed" if renamed else "", renamed)
            else:
                rows.row(key, "dropped", "decision on no picture", f"{meant.lost[frame]}; {decisions[key]}")
                lost.append(f"{key}: {meant.lost[frame]}")
    if lost:
        listed = "; ".join(shortened(lost, SHOWN, f", in {ledger}"))
        tell(f"warning: {counted(len(lost), 'decisions')} are on pictures that are gone or have changed: {listed}")
