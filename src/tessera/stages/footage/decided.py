"""Report which decisions on pictures of folders still refer to a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tessera.core.ledger import Ledger
from tessera.core.log import tell
from tessera.core.messages import pluralize, truncate
from tessera.records.decisions import Decision
from tessera.records.frame_keys import meant_frames
from tessera.records.tables.footage import Frames
from tessera.records.tables.table import read_tables

SHOWN = 10  # lost decisions that a message lists


def match_decisions(frames: Sequence[Path], decisions: Mapping[str, Decision], ledger: Path) -> None:
    """Write a row of `ledger` for each of `decisions` on pictures of folders and regions in them, by key.

    `frames`: files of `tables.Frames`. A row is ok if there is a picture that the key means, also under another name, and
    dropped if the picture is gone or has changed, or if a later decision is on the same picture under another name of it.
    """
    keys = read_tables(list(frames), Frames)["key"].to_list()
    frame_of = {key: key.partition("+")[0] for key in decisions}
    meant = meant_frames(frame_of.values(), keys)
    # See `for_frames`. Those on regions go to the regions that they are on.
    last = {meant.now[key]: key for key in decisions if key in meant.now}
    lost = []
    with Ledger(ledger) as rows:
        for key in sorted(decisions):
            frame = frame_of[key]
            if frame not in meant.now:
                why = f"{meant.lost[frame]}; change its key in the table of decisions, or take it back with `undo`"
                rows.row(key, "dropped", "decision on no picture", f"{why}; {decisions[key]}")
                lost.append(f"{key}: {meant.lost[frame]}")
            elif frame == key and last[meant.now[key]] != key:
                later = f"the decision on {last[meant.now[key]]!r} is on the same picture, and comes later"
                rows.row(key, "dropped", "another decision on the picture", f"{later}; {decisions[key]}")
                lost.append(f"{key}: {later}")
            else:
                now = f"the picture is now {meant.now[frame]!r}" if meant.now[frame] != frame else ""
                rows.row(key, "ok", "known by another name" if now else "", now)
    if lost:
        listed = "; ".join(truncate(lost, SHOWN, f", in {ledger}"))
        count = pluralize(len(lost), "decisions")
        tell(f"warning: {count} on pictures that are gone, have changed or are decided anew: {listed}")
