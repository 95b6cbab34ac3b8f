"""What can be decided about the items of each queue, with which key, and the row of the table that says it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

from tessera.pages.review.settings import OwnKey
from tessera.records.tables.review import ASKED, CLIPS, FACES, FALSE_POSITIVES, FRAMES, IDENTITIES, LABELS, PAIRS, REGIONS

DIGITS = "123456789"  # keys of the classes of a classifier
ACCEPT = "accept"  # makes a label of the marked regions; in the table, it is a decision to keep the frame
LABELLED = "labelled as shown"  # the reason of that decision


class Action(NamedTuple):
    """A decision that a key makes."""

    name: str  # as in the column `decision` or `action`
    key: str  # of the keyboard
    text: str
    label: str = ""  # class that a picture gets
    # What the person types, a score or the name of an identity, or marks: the numbers of regions.
    asks: Literal["", "label", "to", "regions"] = ""
    reason: str = ""  # is written beside it


KEEP, DROP = Action("keep", "k", "keep"), Action("drop", "d", "drop")
NEGATIVE = Action("negative", "n", "shows no region: a negative")
ACTIONS: Mapping[str, Sequence[Action]] = {
    CLIPS: (KEEP, DROP),
    FRAMES: (Action(ACCEPT, "a", "the marked regions are its label", asks="regions"), KEEP, DROP, NEGATIVE),
    REGIONS: (KEEP._replace(text="it is a region"), DROP._replace(text="it is none: no mosaic here")),
    FALSE_POSITIVES: (NEGATIVE, KEEP._replace(text="it is right"), DROP),
    PAIRS: (KEEP._replace(text="keep both"), DROP._replace(text="drop the left one")),
    LABELS: (KEEP._replace(text="the label is right"), DROP),
    ASKED: (DROP._replace(text="nobody can say: drop it"),),
    IDENTITIES: (
        Action("move", "m", "this crop is …", asks="to"),
        Action("reject", "x", "this crop is noise"),
        Action("rename", "r", "rename the whole identity to …", asks="to"),
        Action("merge", "g", "merge the whole identity into …", asks="to"),
    ),
    FACES: (KEEP._replace(text="accept: it stays"), DROP._replace(text="reject: it is left out")),
}


def actions_of(
    queue: str, labels: Sequence[str] | Mapping[str, float] | None, keys: Mapping[str, OwnKey], *, may_label: bool
) -> list[Action]:
    """Return what can be decided in `queue`. `labels`: classes of the classifier, or the range of its scores, or None.

    `keys`: those of the user, as in `ReviewSettings`; they come first. `may_label`: whether there is a folder for the labels of
    frames.
    """
    actions = [each for each in ACTIONS[queue] if may_label or each.name != ACCEPT]
    actions = [*_with_own_keys(actions, keys), *actions]
    if queue in {LABELS, ASKED} and labels is not None:
        if isinstance(labels, Mapping):
            actions.append(Action("relabel", "r", f"its score is … ({labels['least']:g} to {labels['most']:g})", asks="label"))
        else:
            numbered = zip(labels, [*DIGITS, *[""] * len(labels)], strict=False)
            actions += [Action("relabel", digit, label, label) for label, digit in numbered]
    # No button shows a key that another one has.
    first = {each.key: each for each in reversed(actions)}
    return [each if first[each.key] is each else each._replace(key="") for each in actions]


def _with_own_keys(actions: Sequence[Action], keys: Mapping[str, OwnKey]) -> Iterator[Action]:
    """Yield an action for each of `keys` that decides one of `actions`, with the reason that the user gave the key."""
    for key, own in keys.items():
        for action in actions:
            if action.name == own.decision:
                yield action._replace(key=key, text=f"{action.name}: {own.reason}", reason=own.reason)


def applies(action: str, item: Mapping[str, Any]) -> bool:
    """Return whether `action` can change anything about `item`."""
    if action in {ACCEPT, "negative"}:
        return not item["state"]  # a frame that has a label keeps it
    return bool(target_of(item, action))  # what has no identity cannot be renamed


def log_of(queue: str) -> str:
    """Return the table that the decisions of `queue` are written to: `decisions` or `identities`."""
    return "identities" if queue == IDENTITIES else "decisions"


def target_of(item: Mapping[str, Any], action: str) -> str:
    """Return what a decision is about: the key of `item` or, for some actions, its whole identity."""
    return str(item["label"]) if action in {"rename", "merge"} else str(item["target"])


def row_of(item: Mapping[str, Any], action: str, given: str, reason: str, who: str) -> dict[str, str]:
    """Return the row of the table that says that `who` decided `action` about `item`. `given`: a class, a score or a name."""
    today = date.today().isoformat()
    if log_of(item["queue"]) == "identities":
        return {"target": target_of(item, action), "action": action, "to": given, "by": who, "date": today, "note": reason}
    said = {"decision": "keep", "reason": LABELLED} if action == ACCEPT else {"decision": action, "reason": reason}
    row = {"key": target_of(item, action), **said, "who": who, "when": today, "classifier": item["classifier"]}
    return {**row, "label": given if action == "relabel" else ""}
