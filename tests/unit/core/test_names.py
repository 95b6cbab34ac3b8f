"""A name means what is equal to it; if nothing is, what looks the same; if nothing does, what differs in case."""

import unicodedata
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tessera.core.names import Names, pair_names

# Few letters, so that names collide: in case, in how they are composed, in both, and in none.
LETTERS = ["a", "A", "e", "\N{COMBINING ACUTE ACCENT}", "é", "É", "ß", "\N{ANGSTROM SIGN}", "Å", "å", "/"]
texts = st.text(st.sampled_from(LETTERS), min_size=1, max_size=4).map(lambda text: text.strip("/") or "a")


def oracle(name: str, names: Sequence[str]) -> list[str]:
    """Return what `name` may mean: slowly, one rule after another."""

    def composed(text: str) -> str:
        return unicodedata.normalize("NFC", text)

    def folded(text: str) -> str:
        return composed(composed(text).casefold())

    def halves(text: str) -> tuple[str, str]:
        folder, _, last = text.rpartition("/")
        return folded(folder.strip("/")), composed(last)

    if equal := [each for each in names if each == name]:
        return equal
    if alike := [each for each in names if composed(each) == composed(name)]:
        return alike
    if lower_folder := [each for each in names if halves(each) == halves(name)]:
        return lower_folder
    return [each for each in names if folded(each) == folded(name)]


@given(texts, st.lists(texts, max_size=6, unique=True))
def test_a_name_is_found_as_the_oracle_finds_it(name: str, names: list[str]) -> None:
    assert Names((each, each) for each in names).find(name) == oracle(name, names)


@given(st.lists(texts, max_size=6, unique=True), st.lists(texts, max_size=6, unique=True))
def test_pairs_take_nothing_from_a_name_that_fits_better(ones: list[str], others: list[str]) -> None:
    pairs = pair_names(ones, others)
    assert len(set(pairs.values())) == len(pairs), "nothing is in two pairs"
    for one in ones:
        if one in others:
            assert pairs[one] == one
    for one, other in pairs.items():
        left = [each for each in others if each == other or each not in pairs.values()]
        assert oracle(one, left) == [other], "of what is left, only this is meant"
        assert oracle(other, [each for each in ones if each == one or each not in pairs]) == [one]


def test_names_of_one_look_and_of_another_case_are_told_apart() -> None:
    names = Names((name, name) for name in ("cafe\N{COMBINING ACUTE ACCENT}.jpg", "A.jpg", "a.jpg", "B.JPG"))
    assert names.find("café.jpg") == ["cafe\N{COMBINING ACUTE ACCENT}.jpg"]
    assert names.find("A.jpg") == ["A.jpg"]
    assert names.find("b.jpg") == ["B.JPG"]
    assert names.find("a.JPG") == ["A.jpg", "a.jpg"], "it is not known which"
    assert names.find("c.jpg") == []
    assert Names((name, name) for name in ("\u212b.jpg", "å.jpg")).find("Å.jpg") == ["\u212b.jpg"]
    folders = Names((name, name) for name in ("IMAGES/a.jpg", "IMAGES/A.jpg"))
    assert folders.find("images/a.jpg") == ["IMAGES/a.jpg"]
    assert pair_names(["A.txt", "b.txt"], ["a.txt", "A.txt", "B.txt"]) == {"A.txt": "A.txt", "b.txt": "B.txt"}
