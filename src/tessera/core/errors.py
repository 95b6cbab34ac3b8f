"""The errors that users read."""


class TesseraError(Exception):
    """An error that the user can fix. The message names the file, the row or the key, and the fix."""


class Dropped(Exception):
    """An item is left out on purpose. The ledger counts such items by `reason`.

    `reason` is short, and the same for all items that are dropped for it. `detail` describes the one item.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Failed(Dropped):
    """An item is unusable because of an error in the item itself. If too many fail, the gate of its stage stops the run."""
