from pathlib import Path

import polars as pl
import pytest

from tessera.core.errors import TesseraError
from tessera.pipeline.image_sets.caption_settings import CaptionSettings, PartSettings, TagSettings
from tessera.pipeline.image_sets.captions import _given, make_captions
from tessera.pipeline.image_sets.processing import overlaps_by_words, process_tags, readable
from tessera.records.tables.identities import Identities
from tessera.records.tables.image_sets import SetPictures
from tessera.records.tables.table import types
from tessera.records.tables.tags import Tags

NOBODY = pl.DataFrame(schema={"key": pl.String, "identity": pl.String})


def _tags(key: str, **scores: float) -> pl.DataFrame:
    rows = [{"key": key, "number": i, "tag": t, "category": "general", "score": s} for i, (t, s) in enumerate(scores.items())]
    return pl.DataFrame(rows, schema=types(Tags))


def _caption(settings: CaptionSettings, named: bool = True, seed: int = 0, tags: pl.DataFrame | None = None) -> list[str]:
    picture = {"key": "a", "source": "s", "split": "", "series": "", "frame": "a", "step": "frame", "path": "x"}
    picture |= {"width": 1, "height": 1, "identities": ["ann"], "appearances": ["red coat"], "head": None, "is_regular": False}
    identity = {
        "key": "a-head-0",
        "source": "s",
        "frame": "a" if named else "b",
        "series": "",
        "cluster": "",
        "identity": "ann",
    }
    identity |= {"appearance": "", "origin": "decision", "certainty": 1.0}
    frame = pl.DataFrame([picture], schema=types(SetPictures))
    rows, _ = make_captions(
        frame,
        _tags("a", **{"1girl": 0.9, "day": 0.5, "sky": 0.6}) if tags is None else tags,
        pl.DataFrame([identity], schema=types(Identities)),
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
    processed, _ = process_tags(tags, NOBODY, None, TagSettings(maximum=4))
    assert processed["tag"].to_list() == ["solo", "2boys", "1girl", "day"]


def test_core_tags_are_left_out_where_their_identity_is() -> None:
    tags = pl.concat([_tags("a", hat=0.9, sky=0.9), _tags("b", hat=0.9), _tags("c", hat=0.9)])
    people = pl.DataFrame({"key": ["a", "b"], "identity": ["ann", "ann"]})
    processed, core = process_tags(tags, people, None, TagSettings(core_frequency=0.6))
    assert core.rows() == [("ann", "hat", 1.0)]
    assert processed.select("key", "tag").rows() == [("a", "sky"), ("c", "hat")]


def test_a_caption_has_its_parts_in_their_order() -> None:
    settings = CaptionSettings(
        triggers={"ann": "ohwx"}, parts=PartSettings(npeople=1), tags=TagSettings(core_frequency=1, prune="none")
    )
    assert _caption(settings) == ["1 person, ohwx red coat, frame, 1girl, sky, day"]


def test_a_rating_is_the_likeliest_above_its_threshold_that_is_not_on_the_blacklist() -> None:
    tags = _tags("a", safe=0.3, explicit=0.9, questionable=0.6).with_columns(category=pl.lit("rating"))
    for least, expected in ((0.5, "frame, questionable"), (0.7, "frame")):
        settings = CaptionSettings(tags=TagSettings(thresholds={"rating": least}, blacklist=["explicit"], order="number"))
        assert _caption(settings, named=False, tags=tags) == [expected]


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


def test_captions_of_people_are_cleaned_and_faults_are_in_the_ledger(tmp_path: Path) -> None:
    table = tmp_path / "captions.tsv"
    table.write_bytes('\ufeffkey\tcaption\na\tx\0y\na\t"two\nlines"\nz\tlost\nlong\t'.encode() + b"w " * 50_000 + b"\n")
    rows, remarks = _given(table, ["a", "b", "long"], 100)
    assert rows.filter(key="a")["caption"].to_list() == ["xy", "two lines"]
    assert {key: reason for key, (reason, _) in remarks.items()} == {
        "a": "caption cleaned",
        "b": "no caption",
        "long": "caption cut",
        "z": "caption of no picture",
    }
    with pytest.raises(TesseraError, match="none of its keys"):
        _given(table, ["other"], 100)
