"""Tags are processed as by an obvious loop over pictures."""

import polars as pl
import slow_captions
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.extras.image_sets.caption_settings import CharacterTagSettings, TagSettings
from tessera.extras.image_sets.processing import process_tags
from tessera.records.tables.table import types
from tessera.records.tables.tags import Tags

TAGS = [
    *("solo", "1girl", "2boys", "6+girls", "multiple_girls", "girls", "cat", "education", "black_cat", "cat_ears", "hair"),
    *("long_hair", "long hair", "very_long_hair", "long", "hairband", "hair_ornament", *sorted(slow_captions.EMOTICONS)),
]
SCORES = st.sampled_from([0.0, 0.34, 0.35, 0.5, 0.85, 0.9])  # ties, and both sides of the thresholds
CATEGORIES = st.sampled_from(["general", "general", "general", "meta", "character", "artist", "rating"])
PICTURE = st.lists(st.tuples(st.sampled_from(TAGS), CATEGORIES, SCORES), unique_by=lambda tag: tag[0], max_size=12)
PEOPLE = st.lists(st.sampled_from(["ann", "bob"]), unique=True)
NAMES = st.sampled_from([tag.replace("_", " ") for tag in TAGS if tag not in slow_captions.EMOTICONS])
SETTINGS = st.builds(
    TagSettings,
    blacklist=st.lists(st.sampled_from(TAGS), max_size=3),
    overlaps=st.sampled_from(["words", None]),
    append_dropped=st.booleans(),
    prune=st.sampled_from(["character_core", "all_core", "character", "minimal", "none"]),
    core_frequency=st.sampled_from([0.3, 0.5, 1.0]),
    character=st.builds(
        CharacterTagSettings,
        suffixes=st.lists(st.sampled_from(["hairs", "cat", "long hair", "ear"]), max_size=2),
        prefixes=st.lists(st.sampled_from(["very", "black"]), max_size=1),
        exceptions=st.lists(st.sampled_from(["long hair", "cat ear"]), max_size=1),
        context=st.lists(st.sampled_from(["long", "cat", "o"]), max_size=1),
    ),
    order=st.sampled_from(["score", "number"]),
    maximum=st.integers(1, 12),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(PICTURE, PEOPLE), max_size=6), st.lists(st.tuples(NAMES, NAMES), max_size=4), SETTINGS)
def test_tags_are_processed_as_by_an_obvious_loop(
    pictures: list[tuple[list[tuple[str, str, float]], list[str]]], overlaps: list[tuple[str, str]], given: TagSettings
) -> None:
    columns = ("number", "tag", "category", "score")
    found = [([dict(zip(columns, (n, *tag), strict=True)) for n, tag in enumerate(tags)], names) for tags, names in pictures]
    rows = [{"key": f"p{number}", **tag} for number, (tags, _) in enumerate(found) for tag in tags]
    people = [(f"p{number}", name, "") for number, (_, names) in enumerate(found) for name in names]
    processed, core = process_tags(
        pl.DataFrame(rows, schema=types(Tags)).sample(fraction=1, shuffle=True, seed=0),
        pl.DataFrame(people, schema={"key": pl.String, "identity": pl.String, "appearance": pl.String}, orient="row"),
        overlaps,
        given,
    )
    clean = [(slow_captions.clean(tags, given, overlaps), names) for tags, names in found]
    cores = slow_captions.core(clean, given)
    assert {(identity, tag): share for identity, _, tag, share, _ in core.iter_rows()} == cores
    assert all(row["is_character"] == slow_captions.describes(row["tag"], given.character) for row in core.to_dicts())
    expected = [
        (f"p{number}", group, tag)
        for number, (tags, names) in enumerate(clean)
        for group, tag in slow_captions.finish(tags, names, cores, given)
    ]
    assert processed.select("key", "category", "tag").rows() == expected
