"""Tags of 2,000 random pictures against the rules of anime_screenshot_pipeline, written down as plain, slow code.

The rules were read from its documents and its public code (https://github.com/cyber-meow/anime_screenshot_pipeline, MIT). Four
of them are wrong on purpose here, and `literal` says what they were: `cat` is a part of `education`, only `^_^` is an emoticon,
an exception counts only if it is written with spaces, and tags such as `1other` are not about the number of people.
"""

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import polars as pl

from tessera.extras.image_sets.caption_settings import CharacterTagSettings, TagSettings
from tessera.extras.image_sets.processing import process_tags, read_blacklist, read_overlaps
from tessera.records.tables.table import types
from tessera.records.tables.tags import Tags

PICTURES, TAGS = 2_000, 45  # and the most tags of a picture: more than a caption has
CORE, MAXIMUM = 0.4, 30
EMOTICONS = {"^_^", "o_o", ">_<", "=_=", "0_0", "||_||", "<o>_<o>", "(o)_(o)", "+_+", ";_;"}
PEOPLE = [
    "solo",
    "1girl",
    "1boy",
    "2girls",
    "3boys",
    "4girls",
    "6+girls",
    "multiple_girls",
    "multiple_boys",
    "1other",
    "2others",
]
FIRST = [
    "",
    "long_",
    "very_long_",
    "black_",
    "dark-skinned_",
    "closed_",
    "half-closed_",
    "multicolored_",
    "white_",
    "fake_",
    "old_",
]
NOUNS = ["hair", "eyes", "eye", "tail", "tails", "skin", "horns", "elves", "dress", "sky", "cat", "hat", "drill", "fur", "men"]
OTHERS = [
    *("cat_ears", "animal_ear_fluff", "hair_over_one_eye", "hairband", "scarf", "scar_on_face", "mole_under_mouth", "moles"),
    *("looking_at_viewer", "pubic_hair", "heterochromia", "halo", "education", "earrings", "ear", "one_eye_covered", "smile"),
    *(
        "side_up",
        "one_side_up",
        "thick_eyebrows",
        "eyebrows",
        "outdoors",
        "day",
        "holiday",
        "hair_between_eyes",
        "text",
        "context",
    ),
    *(
        "furry_female",
        "mature_female",
        "short_hair_with_long_locks",
        "facial_mark",
        "question_mark",
        "bunny",
        "hair_bun",
        "bun",
    ),
]
VOCABULARY = [*PEOPLE, *sorted(EMOTICONS), *(a + b for a, b in itertools.product(FIRST, NOUNS)), *OTHERS]
BLACKLIST = ["text", "white_sky", "old hat", "^_^"]
OVERLAPS = {"ear": ["cat_ears"], "smile": ["looking_at_viewer", "day"], "hairband": ["hat"]}
# What the singular and the plural of the peer's words are, where they are not the word with or without an s.
IRREGULAR = {"man": "men", "woman": "women", "elf": "elves"}


def spaced(tag: str, literal: bool) -> str:
    """Return `tag` as captions write it."""
    return tag if tag in ({"^_^"} if literal else EMOTICONS) else tag.replace("_", " ")


def pruned(tags: dict[str, float], literal: bool) -> list[str]:
    """Return those `tags` that are not on the blacklist, and not left out beside another one."""
    banned = {form for tag in BLACKLIST for form in (tag, tag.replace("_", " "), tag.replace(" ", "_"))}
    left = [tag for tag in tags if tag not in banned]
    kept = []
    for tag in left:
        beside = any(other in OVERLAPS.get(tag, []) for other in left)
        for other in left:
            if literal:
                beside |= tag != other and tag in other
            else:
                beside |= tag != other and f" {spaced(tag, False)} " in f" {spaced(other, False)} "
        if not beside:
            kept.append(tag)
    return kept


def describes(tag: str, literal: bool) -> bool:
    """Return whether `tag` describes a character, by the lists of the peer, which are our defaults."""
    lists = CharacterTagSettings()

    def forms(phrase: str) -> set[str]:
        *_, last = phrase.split()
        plural = IRREGULAR.get(last, last + "s")
        return {phrase, phrase.removesuffix(last) + plural, phrase.removesuffix("s")}

    words = tag.replace("_", " ").split()
    if (tag if literal else " ".join(words)) in {form for each in lists.exceptions for form in forms(each)}:
        return False
    suffixes = [form.split() for each in lists.suffixes for form in forms(each)]
    prefixes = [each.split() for each in lists.prefixes]
    return any(words[-len(each) :] == each for each in suffixes) or any(words[: len(each)] == each for each in prefixes)


def is_of_people(tag: str, literal: bool) -> bool:
    """Return whether `tag` stands with those about the number of people."""
    return "girls" in tag or "boys" in tag or tag in {"1girl", "1boy", *(() if literal else ("1other", "2others"))}


def cores(pictures: list[tuple[list[str], list[str]]], literal: bool) -> dict[str, set[str]]:
    """Return the core tags of each character: those of `CORE` of the pictures with it alone."""
    alone: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    for tags, people in pictures:
        if len(people) == 1:
            alone[people[0]] += 1
            counts.setdefault(people[0], Counter()).update(tags)
    context = set(CharacterTagSettings().context)
    return {
        name: {
            tag
            for tag, count in found.items()
            if count >= CORE * alone[name]
            and not context & set(tag.replace("_", " ").lower().split())
            and (literal or not is_of_people(tag, literal))
        }
        for name, found in counts.items()
    }


def captions(pictures: list[tuple[dict[str, float], list[str]]], prune: str, literal: bool) -> list[list[str]]:
    """Return the tags of the caption of each of the `pictures`: scores by tag, and characters."""
    cleaned = [(list(tags) if prune == "none" else pruned(tags, literal), people) for tags, people in pictures]
    core = cores(cleaned, literal)
    found = []
    for (scores, _), (tags, people) in zip(pictures, cleaned, strict=True):
        of_these = set().union(*(core.get(name, set()) for name in people))
        if prune == "character":
            tags = [tag for tag in tags if not (people and describes(tag, literal))]
        elif prune in ("character_core", "all_core"):
            tags = [tag for tag in tags if not (tag in of_these and (prune == "all_core" or describes(tag, False)))]
        first = [tag for tag in tags if tag == "solo"] + [tag for tag in tags if is_of_people(tag, literal) and tag != "solo"]
        rest = sorted((tag for tag in tags if tag not in first), key=lambda tag: -scores[tag])
        found.append([spaced(tag, literal) for tag in (first + rest)[:MAXIMUM]])
    return found


def test_no_tag_is_wrongly_dropped_or_kept(tmp_path: Path) -> None:
    draws = random.Random(0)
    own = {name: draws.sample(VOCABULARY, 20) for name in ("ann", "bob", "eve")}  # of which some are core tags
    pictures = []
    for _ in range(PICTURES):
        people = draws.sample(sorted(own), draws.choice([0, 1, 1, 2]))
        likely = [tag for name in people for tag in own[name] if draws.random() < 0.6]
        chosen = sorted({*likely, *draws.sample(VOCABULARY, draws.randint(0, TAGS - len(likely)))}, key=VOCABULARY.index)
        scores = draws.sample(range(350, 1000), len(chosen))
        pictures.append(({tag: score / 1000 for tag, score in zip(chosen, scores, strict=True)}, people))
    rows = [
        (f"{number:04}", VOCABULARY.index(tag), tag, "general", score)
        for number, (tags, _) in enumerate(pictures)
        for tag, score in tags.items()
    ]
    people = [(f"{number:04}", name, "") for number, (_, names) in enumerate(pictures) for name in names]
    columns = dict.fromkeys(("key", "identity", "appearance"), pl.String)
    (tmp_path / "overlaps.json").write_text(json.dumps([{"query": k, "has_overlap": v} for k, v in OVERLAPS.items()]))
    (tmp_path / "blacklist.txt").write_text("\n".join(BLACKLIST))
    print()
    sizes = []
    for prune in ("character_core", "all_core", "character", "minimal", "none"):
        settings = TagSettings(prune=prune, blacklist=read_blacklist(tmp_path / "blacklist.txt"))
        ours, _ = process_tags(
            pl.DataFrame(rows, schema=types(Tags), orient="row"),
            pl.DataFrame(people, schema=columns, orient="row"),
            read_overlaps(tmp_path / "overlaps.json"),
            settings,
        )
        listed = dict(ours.group_by("key", maintain_order=True).agg("tag").rows())
        found = [listed.get(f"{number:04}", []) for number in range(PICTURES)]
        meant, literal = (captions(pictures, prune, each) for each in (False, True))
        counts = [
            sum(len({*map(str, one)} ^ {*map(str, two)}) for one, two in zip(found, each, strict=True))
            for each in (meant, literal)
        ]
        print(
            f"{prune}: {sum(map(len, found)):,} tags of {PICTURES:,} pictures, {counts[0]} wrongly dropped or kept,"
            f" {sum(one != two for one, two in zip(found, meant, strict=True))} captions in another order;"
            f" {counts[1]} differ from the peer where it is left on purpose"
        )
        assert found == meant
        sizes.append(sum(map(len, found)))
    # Each mode drops something of its own, or it would be compared with nothing.
    assert len(set(sizes)) == len(sizes)
