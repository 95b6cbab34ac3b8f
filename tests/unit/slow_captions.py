"""A slow and obvious processing of tags, one picture after another, to compare with."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tessera.extras.image_sets.caption_settings import CharacterTagSettings, TagSettings

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
    return "girls" in tag or "boys" in tag or re.fullmatch(r"solo|(\d+\+?|multiple) ?(girl|boy|other)s?", tag) is not None


def describes(tag: str, settings: CharacterTagSettings) -> bool:
    """Return whether `tag` describes a character. Plurals are listed here, and not derived."""
    tag = tag.lower()
    plurals = {"man": "men", "woman": "women", "elf": "elves"}

    def forms(text: str) -> set[str]:
        text = text.lower()
        *_, last = text.split(" ")
        start = text.removesuffix(last)
        return {text, f"{text}s", text.removesuffix("s"), start + plurals.get(last, last)}

    if any(tag in forms(each) for each in settings.exceptions):
        return False
    ends = any(f" {tag}".endswith(f" {form}") for each in settings.suffixes for form in forms(each))
    return ends or any(f"{tag} ".startswith(f"{each} ") for each in settings.prefixes)


def clean(tags: Iterable[Tag], settings: TagSettings, overlaps: Sequence[tuple[str, str]]) -> list[Tag]:
    """Return `tags` with spaces, without those below their threshold, on the blacklist, or left out beside another one."""
    least = settings.thresholds.model_dump()
    kept = [{**tag, "tag": with_spaces(tag["tag"])} for tag in tags if tag["score"] >= least[tag["category"]]]
    if settings.prune == "none":
        return kept
    blacklist = [with_spaces(tag) for tag in settings.blacklist]
    kept = [tag for tag in kept if tag["tag"] not in blacklist]
    names = [tag["tag"] for tag in kept if tag["category"] in ("general", "meta")]
    hidden = {tag for tag, beside in overlaps if beside in names}
    if "words" in settings.overlaps:
        hidden |= {name for name in names for other in names if is_inside(name, other)}
    return [tag for tag in kept if tag["tag"] not in hidden or tag["category"] not in ("general", "meta")]


def core(pictures: Iterable[tuple[list[Tag], list[str]]], settings: TagSettings) -> dict[tuple[str, str], float]:
    """Return the frequency of each core tag by identity and tag. `pictures`: clean tags and identities of each picture."""
    frequency = settings.core_frequency
    alone, counts = Counter(), Counter()
    for tags, people in pictures:
        if len(people) == 1:
            alone[people[0]] += 1
            for name in {tag["tag"] for tag in tags if tag["category"] == "general" and not is_of_people(tag["tag"])}:
                if not set(re.findall(r"[^\W_]+", name.lower())).intersection(settings.character.context):
                    counts[people[0], name] += 1
    return {pair: count / alone[pair[0]] for pair, count in counts.items() if count / alone[pair[0]] >= frequency}


def finish(
    tags: list[Tag], people: list[str], cores: dict[tuple[str, str], float], settings: TagSettings
) -> list[tuple[str, str]]:
    """Return the group and the name of each of the clean `tags` that a caption may have, by group and in their order."""
    kept, dropped = [], []
    for tag in tags:
        is_core = any((name, tag["tag"]) in cores for name in people)
        is_dropped = tag["category"] == "general" and {
            "character_core": is_core and describes(tag["tag"], settings.character),
            "all_core": is_core,
            "character": people and describes(tag["tag"], settings.character),
        }.get(settings.prune, False)
        (dropped if is_dropped else kept).append(tag)
    groups = {"general": [tag for tag in kept if tag["category"] in ("general", "meta")]}
    for tag in kept:
        if tag["category"] not in ("general", "meta"):
            groups.setdefault(tag["category"], []).append(tag)
    caption = []
    for group in sorted({*groups, "general"}):
        ordered = in_order(groups.get(group, []), settings.order == "score" or group == "rating")
        if group == "general" and settings.append_dropped:
            ordered += in_order(dropped, settings.order == "score")
        caption += [(group, tag["tag"]) for tag in (ordered[: settings.maximum] if group == "general" else ordered)]
    return caption


def in_order(tags: list[Tag], is_by_score: bool) -> list[Tag]:
    """Return `tags` with `solo` first, then those of people, then the others by number or by falling score."""
    numbered = sorted(tags, key=lambda tag: tag["number"])
    others = [tag for tag in numbered if not is_of_people(tag["tag"])]
    if is_by_score:
        others.sort(key=lambda tag: -tag["score"])
    ordered = [tag for tag in numbered if tag["tag"] == "solo"]
    return ordered + [tag for tag in numbered if is_of_people(tag["tag"]) and tag["tag"] != "solo"] + others
