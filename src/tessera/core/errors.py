"""The errors a user is meant to read."""


class TesseraError(Exception):
    """Something the user can mend. The message names the file, the row or key, and the mend."""


class Dropped(Exception):
    """One item is left out on purpose; the message is the reason, counted in the ledger.

    `reason` is short and the same for every item dropped for it; `detail` names the particulars.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Failed(Dropped):
    """One item is unusable, through a fault of its own. Too many of them fail the gate of the room."""
