from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.core.ledger import read_ledger
from tessera.extras.image_sets.caption_settings import CaptionSettings, CharacterTagSettings, PartSettings, TagSettings
from tessera.extras.image_sets.captions import _given, caption_set, make_captions
from tessera.extras.image_sets.processing import describing_characters, overlaps_by_words, process_tags, read_overlaps
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import Captions, CoreTags, SetPictures
from tessera.records.tables.table import read_table, types, write_table
from tessera.records.tables.tags import Tags
from tessera.records.tags import readable

NOBODY = pl.DataFrame(schema={"key": pl.String, "identity": pl.String, "appearance": pl.String})


def _tags(key: str, **scores: float) -> pl.DataFrame:
    rows = [{"key": key, "number": i, "tag": t, "category": "general", "score": s} for i, (t, s) in enumerate(scores.items())]
    return pl.DataFrame(rows, schema=types(Tags))


def _caption(
    settings: CaptionSettings, named: bool = True, seed: int = 0, tags: pl.DataFrame | None = None, identity: str = "ann"
) -> list[str]:
    picture = {"key": "a", "source": "s", "split": "", "series": "", "frame": "a", "step": "frame", "path": "x"}
    picture |= {
        "width": 1,
        "height": 1,
        "identities": [identity],
        "appearances": ["red coat"],
        "head": None,
        "is_regular": False,
    }
    person = {
        "key": "a-head-0",
        "source": "s",
        "frame": "a" if named else "b",
        "series": "",
        "cluster": "",
        "identity": identity,
    }
    person |= {"appearance": "", "origin": "decision", "certainty": 1.0}
    frame = pl.DataFrame([picture], schema=types(SetPictures))
    rows, _ = make_captions(
        frame,
        _tags("a", **{"1girl": 0.9, "day": 0.5, "sky": 0.6}) if tags is None else tags,
        pl.DataFrame([person], schema=types(Identities)),
        settings,
        seed,
    )
    return rows["caption"].to_list()


def test_underscores_become_spaces_but_in_emoticons() -> None:
    assert [readable(tag) for tag in ("long_hair", "^_^", "o_o", ">_<")] == ["long hair", "^_^", "o_o", ">_<"]


def test_overlap_is_by_whole_words() -> None:
    assert overlaps_by_words(["cat", "education", "hair", "long hair"]) == [("hair", "long hair")]


def test_tags_are_people_first_then_by_score_and_truncated() -> None:
    tags = _tags("a", sky=0.5, day=0.9, **{"2boys": 0.4, "1girl": 0.8, "solo": 0.36, "low": 0.1})
    processed, _ = process_tags(tags, NOBODY, (), TagSettings(maximum=4))
    assert processed["tag"].to_list() == ["solo", "2boys", "1girl", "day"]


@pytest.mark.parametrize(
    ("prune", "kept"),
    [
        ("character_core", {"a": ["solo", "hat", "sky"], "b": ["hat"], "c": ["red hair", "hat"]}),
        ("all_core", {"a": ["solo", "sky"], "c": ["red hair", "hat"]}),
        ("character", {"a": ["solo", "hat", "sky"], "b": ["hat"], "c": ["red hair", "hat"]}),
        ("minimal", {"a": ["solo", "red hair", "hat", "sky"], "b": ["red hair", "hat", "horn"], "c": ["red hair", "hat"]}),
    ],
)
def test_what_naming_an_identity_says_is_left_out_where_it_is(prune: Any, kept: dict[str, list[str]]) -> None:
    tags = pl.concat(
        [
            _tags("a", solo=0.9, red_hair=0.9, hat=0.8, sky=0.7),
            _tags("b", red_hair=0.9, hat=0.8, **({"horn": 0.5} if prune in ("character", "minimal") else {})),
            _tags("c", red_hair=0.9, hat=0.8),
        ]
    )
    people = pl.DataFrame({"key": ["a", "b"], "identity": ["ann", "ann"], "appearance": ["", ""]})
    processed, core = process_tags(tags, people, (), TagSettings(core_frequency=0.6, prune=prune))
    assert core.rows() == [("ann", "", "hat", 1.0, False), ("ann", "", "red hair", 1.0, True)]
    assert processed.group_by("key", maintain_order=True).agg("tag").rows() == list(kept.items())


def test_what_an_identity_looks_like_is_counted_for_each_appearance() -> None:
    tags = pl.concat([_tags("a", red_hair=0.9), _tags("b", blue_hair=0.9)])
    people = pl.DataFrame({"key": ["a", "b"], "identity": ["ann", "ann"], "appearance": ["young", "old"]})
    _, core = process_tags(tags, people, (), TagSettings())
    assert core.select("appearance", "tag").rows() == [("old", "blue hair"), ("young", "red hair")]


@pytest.mark.parametrize(
    ("tag", "is_character"),
    [
        *(
            ("twin_braids", True),
            ("horns", True),
            ("mole under eye", True),
            ("1girl", False),
            ("cat ears", True),
            ("old man", True),
        ),
        *(("closed eyes", False), ("half-closed_eyes", False), ("fake tail", False), ("drills", False), ("two drills", True)),
        *(("chair", False), ("looking at viewer", False), ("women", True), ("hair over one eye", True), ("molehill", False)),
    ],
)
def test_tags_that_describe_a_character_end_or_begin_with_its_words(tag: str, is_character: bool) -> None:
    assert bool(describing_characters([tag], CharacterTagSettings())) == is_character


def test_core_tags_may_be_those_that_people_wrote_down(tmp_path: Path) -> None:
    table = tmp_path / "core.tsv"
    table.write_text("identity\tappearance\ttag\nann\tred coat\tlong_hair\nann\t\tblue eyes\nann\tred coat\tnever seen\n")
    settings = CaptionSettings(tags={"core": table})
    assert settings.tags.files == [table]
    captions = _caption(settings, tags=_tags("a", long_hair=0.9, sky=0.8, blue_eyes=0.7, **{"1boy": 0.6}))
    assert captions == ["ann red coat, 1boy, sky, blue eyes"]
    table.write_text("identity\ttag\n\tsky\n")
    with pytest.raises(TesseraError, match="line 2: identity"):
        _caption(settings)


def test_tags_of_the_context_are_no_core_tags() -> None:
    people = pl.DataFrame({"key": ["a"], "identity": ["ann"], "appearance": [""]})
    _, core = process_tags(
        _tags("a", looking_at_viewer=0.9, mole_under_mouth=0.9, mole=0.9), people, (), TagSettings(overlaps=None)
    )
    assert core["tag"].to_list() == ["mole"]


def test_tags_that_are_left_out_may_stand_at_the_end() -> None:
    settings = CaptionSettings(tags={"prune": "character", "append_dropped": True, "maximum": 3}, shuffle=True, variants=20)
    captions = _caption(settings, tags=_tags("a", long_hair=0.95, sky=0.9, sea=0.8, blue_eyes=0.7))
    assert set(captions) == {"ann red coat, sky, sea, long hair", "ann red coat, sea, sky, long hair"}


def test_a_trainer_is_told_which_part_of_a_caption_it_may_shuffle() -> None:
    separators = {"keep": " ||| ", "keep_before": "tags"}
    assert _caption(CaptionSettings(separators=separators)) == ["ann red coat ||| 1girl, sky, day"]
    assert _caption(CaptionSettings(separators=separators), named=False) == ["1girl, sky, day"]
    assert _caption(CaptionSettings(separators=separators, parts={"tags": 0}, text="still")) == ["ann red coat, still"]


def test_copyright_and_artist_are_introduced() -> None:
    tags = pl.concat([_tags("a", vocaloid=0.9), _tags("a", someone=0.9).with_columns(number=pl.lit(1, pl.Int64))])
    tags = tags.with_columns(category=pl.Series(["copyright", "artist"]))
    settings = CaptionSettings(parts={"copyright": 1, "artist": 1})
    assert _caption(settings, named=False, tags=tags) == ["from vocaloid, by someone"]


def test_a_cluster_that_nobody_named_is_in_no_caption() -> None:
    assert _caption(CaptionSettings(), identity="cluster_42a19381cd82") == ["1girl, sky, day"]


def test_a_caption_has_its_parts_in_their_order() -> None:
    settings = CaptionSettings(
        triggers={"ann": "ohwx"}, parts=PartSettings(npeople=1), tags=TagSettings(core_frequency=1, prune="none")
    )
    assert _caption(settings) == ["1 person, ohwx red coat, 1girl, sky, day"]


def test_a_rating_is_the_likeliest_above_its_threshold_that_is_not_on_the_blacklist() -> None:
    tags = _tags("a", safe=0.3, explicit=0.9, questionable=0.6).with_columns(category=pl.lit("rating"))
    for least, expected in ((0.5, "questionable"), (0.7, "")):
        settings = CaptionSettings(
            tags=TagSettings(thresholds={"rating": least}, blacklist=["explicit"], order="number"),
            ratings=("safe", "questionable"),
        )
        assert _caption(settings, named=False, tags=tags) == [expected]


def test_a_text_of_ones_own_is_the_whole_caption_and_a_step_has_the_name_that_the_settings_give_it() -> None:
    none = pl.DataFrame(schema=types(Tags))
    assert _caption(CaptionSettings(text="film still"), named=False, tags=none) == ["film still"]
    settings = CaptionSettings(text="in colour", image_types={"frame": "film still", "head": "portrait"})
    assert _caption(settings, named=False, tags=none) == ["film still, in colour"]


def test_the_blacklist_and_overlaps_name_tags_in_any_way_of_writing_them(tmp_path: Path) -> None:
    tags = _tags("a", **{"long_hair": 0.9, "miku_(vocaloid)": 0.8, "blue sky": 0.7, "^_^": 0.6})
    for blacklist in (["long hair", r"miku \(vocaloid\)", "blue_sky"], ["long_hair", "miku (vocaloid)", "blue sky"]):
        processed, _ = process_tags(tags, NOBODY, (), TagSettings(blacklist=blacklist))
        assert processed["tag"].to_list() == ["^_^"]
    (tmp_path / "overlaps.tsv").write_text("tag\tbeside\nlong_hair\tblue sky\n^ ^\tmiku \\(vocaloid\\)\n")
    processed, _ = process_tags(tags, NOBODY, read_overlaps(tmp_path / "overlaps.tsv"), TagSettings(overlaps=None))
    assert processed["tag"].to_list() == ["miku (vocaloid)", "blue sky"]


def test_words_and_tables_of_overlaps_and_the_files_of_another_pipeline_all_apply(tmp_path: Path) -> None:
    overlaps, blacklist = tmp_path / "overlaps.json", tmp_path / "blacklist.txt"
    overlaps.write_text(
        '[{"query": "sky", "has_overlap": ["blue_sea", "lake"]}, {"query": "sun", "has_overlap": null}, {"query": "x"}]'
    )
    blacklist.write_text("\ufeffred_hat\n\n day \r\ntree, long hair,\n")
    tags = _tags("a", sky=0.9, blue_sea=0.8, sea=0.7, red_hat=0.6, day=0.5, sun=0.4, tree=0.4, long_hair=0.4)
    settings = TagSettings(overlaps=["words", overlaps], blacklist_file=blacklist, prune="minimal")
    assert settings.files == [blacklist, overlaps]
    assert _caption(CaptionSettings(tags=settings), named=False, tags=tags) == ["blue sea, sun"]
    overlaps.write_text('{"sky": ["sea"]}')
    with pytest.raises(TesseraError, match="not a list of"):
        _caption(CaptionSettings(tags=settings), named=False, tags=tags)


def test_parentheses_are_escaped_if_the_settings_say_so() -> None:
    tags = _tags("a", **{"miku_(vocaloid)": 0.8, "sky": 0.7})
    for escaped, expected in ((False, "miku (vocaloid), sky"), (True, r"miku \(vocaloid\), sky")):
        assert _caption(CaptionSettings(tags=TagSettings(escaped=escaped)), named=False, tags=tags) == [expected]


@pytest.mark.parametrize(("tag", "text"), [("1girl", "1 person"), ("5boys", "5 people"), ("6+girls", "many people")])
def test_the_number_of_people_is_written_up_to_five(tag: str, text: str) -> None:
    settings = CaptionSettings(parts={"npeople": 1, "tags": 0, "image_type": 0})
    assert _caption(settings, named=False, tags=_tags("a", **{tag: 0.9})) == [text]


def test_people_are_counted_by_whole_general_tags() -> None:
    tags = _tags("a", **{"2girls": 0.9, "1boy": 0.9, "3girls": 0.1, "5girls_and_a_cat": 0.9, "4girls": 0.9})
    tags = tags.with_columns(category=pl.when(tag=pl.lit("4girls")).then(pl.lit("copyright")).otherwise("category"))
    settings = CaptionSettings(parts={"npeople": 1, "tags": 0, "image_type": 0})
    assert _caption(settings, named=False, tags=tags) == ["3 people"]


def test_an_identity_that_the_table_does_not_have_is_not_named() -> None:
    assert "ann" not in _caption(CaptionSettings(), named=False)[0]


def test_a_part_is_as_frequent_as_its_probability_and_equal_seeds_give_equal_captions() -> None:
    settings = CaptionSettings(variants=200, shuffle=True, parts=PartSettings(character=0.3))
    captions = _caption(settings)
    assert captions == _caption(settings) != _caption(settings, seed=1)
    assert abs(sum("ann" in caption for caption in captions) - 60) < 30


def test_a_caption_that_is_too_long_ends_before_a_word() -> None:
    assert _caption(CaptionSettings(maximum=14, tags=TagSettings(prune="none"))) == ["ann red coat"]


PICTURE = {"source": "s", "split": "", "series": "", "step": "frame", "path": "x", "width": 1, "height": 1}


def _caption_files(folder: Path, settings: CaptionSettings) -> tuple[dict[str, str], list[dict[str, object]], pl.DataFrame]:
    """Caption pictures in files in `folder`, and return the captions, the ledger and the core tags."""
    rows = [
        {"key": key, "frame": key, "identities": names, "appearances": [""] * len(names), "head": None, "is_regular": False}
        for key, names in (("a", ["ann"]), ("b", ["ann"]), ("c", []))
    ]
    write_table(pl.DataFrame([{**PICTURE, **row} for row in rows], schema=types(SetPictures)), SetPictures, folder / "pictures")
    tags = {
        "tags1": _tags("a", long_hair=0.9, hair=0.8, hat=0.7),
        "tags2": _tags("b", hat=0.9),
        "tags3": _tags("other", hat=0.9),
    }
    for name, table in tags.items():
        write_table(table, Tags, folder / name)
    person = {
        "source": "s",
        "series": "",
        "cluster": "",
        "identity": "ann",
        "appearance": "",
        "origin": "decision",
        "certainty": 1,
    }
    people = [{**person, "key": f"{key}-head-0", "frame": key} for key in "ab"]
    write_table(pl.DataFrame(people, schema=types(Identities)), Identities, folder / "identities")
    outputs = {name: folder / name for name in ("captions", "core", "wildcards", "ledger")}
    caption_set(folder / "pictures", [folder / name for name in tags], [folder / "identities"], settings, seed=0, **outputs)
    captions = dict(read_table(outputs["captions"], Captions).select("key", "caption").iter_rows())
    return captions, read_ledger(outputs["ledger"]), read_table(outputs["core"], CoreTags)


def test_files_are_captioned_with_a_row_of_the_ledger_for_each_picture(tmp_path: Path) -> None:
    overlaps = tmp_path / "overlaps.tsv"
    overlaps.write_text("tag\tbeside\nhair\tlong_hair\nlong_hair\tno_such_tag\n", encoding="utf-8")
    settings = CaptionSettings(parts={"image_type": 0}, tags={"overlaps": overlaps, "core_frequency": 0.6})
    captions, ledger, core = _caption_files(tmp_path, settings)
    assert captions == {"a": "ann, long hair, hat", "b": "ann, hat", "c": ""}
    assert [(row["key"], row["status"], row["reason"]) for row in ledger] == [
        ("a", "ok", ""),
        ("b", "ok", ""),
        ("c", "ok", "empty caption"),
    ]
    assert core.rows() == [("ann", "", "hat", 1.0, False)]
    assert (tmp_path / "wildcards").read_text() == "ann\nann, hat\n"


def test_captions_of_people_are_written_and_a_key_of_no_picture_is_a_failed_row(tmp_path: Path) -> None:
    table = tmp_path / "captions.tsv"
    table.write_bytes("\ufeffkey\tcaption\na\tred\0 coat\nb\t".encode() + b"w" * 200_000 + b"\nz\tlost\n")
    captions, ledger, core = _caption_files(tmp_path, CaptionSettings(table=table, maximum=9))
    assert captions == {"a": "red coat", "b": "w" * 9, "c": ""}
    assert [(row["key"], row["status"], row["reason"]) for row in ledger] == [
        ("a", "ok", "caption cleaned"),
        ("b", "ok", "caption cut"),
        ("c", "ok", "no caption"),
        ("z", "failed", "caption of no picture"),
    ]
    assert core.is_empty()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("key\tcaption\n\tlost\n", "line 2: key"),
        ("key\ttext\na\tb\n", "column 'caption' is missing"),
        ("key\tcaption\n\t" + "w" * 200_000, "line 2: key"),
        ("key\tcaption\na\t" + "w" * (2**20 + 1), "line 2: a field of more than 1,048,576 characters"),
        ('key\tcaption\na\t"w\n', "line 2: a quote that is not closed"),
    ],
    ids=["no key", "no column", "long", "too long", "quote"],
)
def test_a_fault_of_a_table_of_captions_is_one_short_line(tmp_path: Path, content: str, fault: str) -> None:
    table = tmp_path / "captions.tsv"
    table.write_text(content, encoding="utf-8")
    with pytest.raises(TesseraError, match=fault) as caught:
        _given(table, ["a"], 100)
    assert max(map(len, str(caught.value).splitlines())) < 500


@pytest.mark.parametrize(
    ("row", "fault"), [("hair\t", "line 2: beside"), ("cat_ears\tcat ears", "line 2: 'cat ears' would never be in a caption")]
)
def test_a_fault_of_a_table_of_overlaps_is_named_with_its_line(tmp_path: Path, row: str, fault: str) -> None:
    table = tmp_path / "overlaps.tsv"
    table.write_text(f"tag\tbeside\n{row}\n", encoding="utf-8")
    with pytest.raises(TesseraError, match=fault):
        read_overlaps(table)


def test_captions_of_people_are_cleaned_and_faults_are_in_the_ledger(tmp_path: Path) -> None:
    table = tmp_path / "captions.tsv"
    table.write_bytes('\ufeffkey\tcaption\na\tx\0y\na\t"two\nlines"\nz\tlost\nlong\t'.encode() + b"w " * 50_000 + b"\n")
    texts, remarks = _given(table, ["a", "b", "long"], 100)
    assert texts.keys() == {"a", "long"} and texts["a"] == ["xy", "two lines"]
    assert {key: reason for key, (reason, _) in remarks.items()} == {
        "a": "caption cleaned",
        "long": "caption cut",
        "z": "caption of no picture",
    }
    with pytest.raises(TesseraError, match="none of its keys"):
        _given(table, ["other"], 100)


def test_a_renamed_picture_keeps_its_caption_unless_it_has_one_under_its_own_name(tmp_path: Path) -> None:
    renamed, both, changed = "s-new.jpg~000000000001", "s-b.jpg~000000000002", "s-c.jpg~000000000003"
    table = tmp_path / "captions.tsv"
    rows = {"s-old.jpg~000000000001": "of then", "s-a.jpg~000000000002": "older", both: "own", "s-c.jpg~000000000009": "before"}
    table.write_text("key\tcaption\n" + "".join(f"{key}\t{caption}\n" for key, caption in rows.items()))
    texts, remarks = _given(table, [renamed, both, changed], 100)
    assert texts == {renamed: ["of then"], both: ["own"]}
    assert remarks.keys() == {"s-a.jpg~000000000002", "s-c.jpg~000000000009"}
