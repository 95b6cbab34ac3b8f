"""An obvious, slow processing of the tags of one picture after another, to compare with."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tessera.pipeline.image_sets.caption_settings import TagSettings

EMOTICONS = {"^_^", "o_o", ">_<", "=_=", "0_0", "||_||", "<o>_<o>", "(o)_(o)"}  # of the tag list of WD14
Tag = dict[str, object]  # the columns of `tables.Tags` but the key


def with_spaces(tag: str) -> str:
    """Return `tag` with spaces, unless it is an emoticon."""
    return tag if tag in EMOTICONS else tag.replace("_", " ")


def is_inside(tag: str, other: str) -> bool:
    """Return whether `tag` is a part of `other` by whole words."""
    return tag != other and f" {tag} " in f" {other} "


def is_of_people(tag: str) -> bool:
    """Return whether `tag` says how many people there are."""
    return re.fullmatch(r"solo|girls|boys|(\d+\+?|multiple) ?(girl|boy|other)s?", tag) is not None


def clean(tags: Iterable[Tag], settings: TagSettings, overlaps: Sequence[tuple[str, str]] | None) -> list[Tag]:
    """Return `tags` with spaces, without those below their threshold, on the blacklist, or left out beside another one."""
    least = settings.thresholds.model_dump()
    kept = [{**tag, "tag": with_spaces(tag["tag"])} for tag in tags if tag["score"] >= least[tag["category"]]]
    if settings.prune == "none":
        return kept
    blacklist = [with_spaces(tag) for tag in settings.blacklist]
    kept = [tag for tag in kept if tag["tag"] not in blacklist]
    names = [tag["tag"] for tag in kept if tag["category"] in ("general", "meta")]
    if overlaps is None:
        hidden = {name for name in names for other in names if settings.overlaps == "words" and is_inside(name, other)}
    else:
        hidden = {tag for tag, beside in overlaps if beside in names}
    return [tag for tag in kept if tag["tag"] not in hidden or tag["category"] not in ("general", "meta")]


def core(pictures: Iterable[tuple[list[Tag], list[str]]], frequency: float) -> dict[tuple[str, str], float]:
    """Return the frequency of each core tag by identity and tag. `pictures`: clean tags and identities of each picture."""
    alone, counts = Counter(), Counter()
    for tags, people in pictures:
        if len(people) == 1:
            alone[people[0]] += 1
            for name in {tag["tag"] for tag in tags if tag["category"] == "general" and not is_of_people(tag["tag"])}:
                counts[people[0], name] += 1
    return {pair: count / alone[pair[0]] for pair, count in counts.items() if count / alone[pair[0]] >= frequency}


def finish(
    tags: list[Tag], people: list[str], cores: dict[tuple[str, str], float], settings: TagSettings
) -> list[tuple[str, str]]:
    """Return the group and the name of each of the clean `tags` that a caption may have, by group and in their order."""
    kept = []
    for tag in tags:
        is_core = settings.prune == "character_core" and any((name, tag["tag"]) in cores for name in people)
        describes = any(tag["tag"] == word or tag["tag"].endswith(f" {word}") for word in settings.character_words)
        if tag["category"] != "general" or not (is_core or (settings.prune == "character" and people and describes)):
            kept.append(tag)
    groups = {"general": [tag for tag in kept if tag["category"] in ("general", "meta")]}
    for tag in kept:
        if tag["category"] not in ("general", "meta"):
            groups.setdefault(tag["category"], []).append(tag)
    found = []
    for group in sorted(groups):
        numbered = sorted(groups[group], key=lambda tag: tag["number"])
        others = [tag for tag in numbered if not is_of_people(tag["tag"])]
        if settings.order == "score" or group == "rating":
            others.sort(key=lambda tag: -tag["score"])
        ordered = [tag for tag in numbered if tag["tag"] == "solo"]
        ordered += [tag for tag in numbered if is_of_people(tag["tag"]) and tag["tag"] != "solo"] + others
        found += [(group, tag["tag"]) for tag in (ordered[: settings.maximum] if group == "general" else ordered)]
    return found
