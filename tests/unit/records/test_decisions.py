"""The whole table of decisions is checked, and each decision finds its clip."""

import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.core.errors import TesseraError
from tessera.core.files import file_name
from tessera.imaging.boxes import Box
from tessera.records import decisions as module
from tessera.records.decision_log import append_row
from tessera.records.decisions import (
    ClipExtent,
    Decision,
    clip_key,
    clip_overlap,
    count_matching,
    find_clips,
    find_regions,
    read_decisions,
    region_key,
    split_decisions,
    write_matches,
)

HEADER = "key\tdecision\treason\twho\twhen\n"
ROOT = Path(__file__).parents[3]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def said(*keys: str, decision: str = "drop") -> dict[str, Decision]:
    return {key: Decision(key=key, decision=decision, who="Ada", when="2026-01-31") for key in keys}


def test_the_shipped_table_has_no_decision() -> None:
    assert read_decisions(ROOT / module.DEFAULT, {}) == []


def test_only_the_default_table_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_decisions(module.DEFAULT, {}) == []
    with pytest.raises(TesseraError, match=r"mine\.tsv: no such table of decisions; set `decisions`"):
        read_decisions(Path("mine.tsv"), {})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "# ours\n"])
def test_decisions_are_read_as_spreadsheets_and_editors_write_them(newline: str, start: str, tmp_path: Path) -> None:
    rows = 'a-0000000-1\tdrop\t"a ""logo"""\tAda\t2026-01-31\n\nb-0000005\tkeep\t\tBo Å\t2026-02-01\n'
    path = write(tmp_path / "decisions.tsv", (start + HEADER + rows).replace("\n", newline))
    one, other = read_decisions(path, {})
    assert one == Decision(key="a-0000000-1", decision="drop", reason='a "logo"', who="Ada", when="2026-01-31")
    assert (other.key, other.decision, other.reason, other.who) == ("b-0000005", "keep", "", "Bo Å")


def test_empty_columns_and_rows_that_a_spreadsheet_adds_are_none(tmp_path: Path) -> None:
    text = "key\tdecision\twho\twhen\t\t\na-0-1\tkeep\tAda\t2026-01-31\t\t\n\t\t\t\t\t\n"
    assert [each.key for each in read_decisions(write(tmp_path / "d.tsv", text), {})] == ["a-0-1"]
    with pytest.raises(TesseraError, match="line 2: 6 fields, the header has 4"):
        read_decisions(write(tmp_path / "d.tsv", text.replace("31\t\t", "31\t\tmore")), {})


def test_what_two_people_decide_in_two_branches_is_merged_and_a_conflict_is_said(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        own = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        subprocess.run(["git", *own, *arguments], cwd=tmp_path, check=True, capture_output=True)

    table = tmp_path / module.DEFAULT
    table.parent.mkdir()
    git("init", "-b", "main")
    for name in (".gitattributes", module.DEFAULT):
        shutil.copy(ROOT / name, tmp_path / name)
    git("add", ".")
    git("commit", "-m", "start")
    for branch, who in (("bo", "Bo"), ("cy", "Cy")):
        git("checkout", "-b", branch, "main")
        append_row(table, {"key": f"{branch}-0-1", "decision": "drop", "who": who, "when": "2026-01-31"}, [])
        git("commit", "-am", branch)
    git("merge", "bo")
    assert sorted(each.who for each in read_decisions(table, {})) == ["Bo", "Cy"]
    # As git leaves it without the attribute.
    git("reset", "--hard", "HEAD^")
    git("-c", "core.attributesFile=/dev/null", "rm", "--cached", ".gitattributes")
    (tmp_path / ".gitattributes").unlink()
    git("commit", "-m", "no attributes")
    with pytest.raises(subprocess.CalledProcessError):
        git("merge", "bo")
    with pytest.raises(TesseraError, match=r"(?s)1 fault.*line 2: a conflict that git left; keep the rows of both sides"):
        read_decisions(table, {})


def test_columns_may_have_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", "when\twho\tkey\tdecision\n2026-01-31\tAda\ta-0-1\tkeep\n")
    assert read_decisions(path, {})[0].decision == "keep"


def test_all_faults_are_listed_at_once_with_their_lines(tmp_path: Path) -> None:
    rows = [
        "a-0-1\tkeep\t\tAda\t2026-01-31",
        "b-0-1\tdelete\t\tAda\t2026-01-31",
        "\tkeep\t\tAda\t2026-01-31",
        "c-0-1\tkeep\t\t\t2026-01-31",
        "d-0-1\tkeep\t\tAda\t31.1.2026",
        "e-0-1\tkeep\t\tAda\t2026-02-30",
        "f-0-1\tkeep\t\tAda\t20260131",
        "a-0-1\tdrop\t\tBo\t2026-02-01",
        "g-0-1\tdrop",
    ]
    with pytest.raises(TesseraError) as error:
        read_decisions(write(tmp_path / "d.tsv", HEADER + "\n".join(rows)), {})
    faults = str(error.value).splitlines()
    assert faults[0].endswith("d.tsv has 9 faults:")
    wanted = [
        "line 3: decision: Input should be 'keep', 'drop', 'relabel', 'negative' or 'undo'; given: 'delete'",
        "line 4: key: String should have at least 1 character; given: ''",
        "line 5: who: String should have at least 1 character; given: ''",
        "line 6: when: should be a date such as 2024-12-31; given: '31.1.2026'",
        "line 7: when: should be a date such as 2024-12-31; given: '2026-02-30'",
        "line 8: when: should be a date such as 2024-12-31; given: '20260131'",
        "line 9: 'a-0-1': Bo says drop, but Ada says keep on line 2",
        "line 10: who: is missing; given:",
        "line 10: when: is missing; given:",
    ]
    assert [fault.strip()[: len(start)] for fault, start in zip(faults[1:], wanted, strict=True)] == wanted


def test_a_picture_of_a_set_of_labelled_images_can_be_decided_on(tmp_path: Path) -> None:
    key = f"{file_name('my digits')}+{file_name('three/0064 ü.png')}"
    path = write(tmp_path / "d.tsv", f"{HEADER}{key}\tdrop\t\tAda\t2026-01-31\n")
    assert [decision.key for decision in read_decisions(path, {})] == [key]


def test_labels_of_pictures_are_checked_against_the_classes_and_ranges_of_their_classifiers(tmp_path: Path) -> None:
    header = "key\tdecision\twho\twhen\tclassifier\tlabel\n"
    known = {"blur": ["sharp", "soft"], "noise": {"least": 0.0, "most": 10.0}, "ada": ()}

    def read(*rows: str) -> list[Decision]:
        lines = [f"{key}\t{decision}\tAda\t2026-01-31\t{rest}" for key, decision, rest in map(str.split, rows)]
        return read_decisions(write(tmp_path / "d.tsv", header + "\n".join(lines).replace(",", "\t")), known)

    # The same picture may feed two classifiers, and one that is not made now is no fault.
    good = read("a relabel blur,soft", "a relabel noise,2.5", "b keep blur,", "c drop blur,", "d relabel gone,x")
    assert [(each.classifier, each.label) for each in good][:2] == [("blur", "soft"), ("noise", "2.5")]
    assert split_decisions(good, ["a"]) == ({}, {}, {})
    with pytest.raises(TesseraError) as error:
        read(
            *["a relabel blur,dark", "b relabel noise,11", "c relabel noise,nan", "d relabel blur,", "e relabel ,soft"],
            *["f keep blur,soft", "g relabel ada,soft", "h drop ada,"],
        )
    faults = str(error.value)
    assert "line 2: label: 'blur' has the classes sharp, soft; given: 'dark'" in faults
    assert "line 3: label: 'noise' gives scores from 0 to 10; given: '11'" in faults and "given: 'nan'" in faults
    assert faults.count("`relabel` needs a label, and a classifier; state both") == 2
    assert "line 7: label: should be empty, because the decision is not `relabel`" in faults
    assert "line 8: label: 'ada' has no classes; given: 'soft'" in faults and "line 9" not in faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("# ours\n", "line 2: this is no header; the first line names the columns, separated by tabs: key, decision"),
        ("key\tdecision\twho\twhen\tmood\n", "line 1: unknown column 'mood'; allowed: key, decision, reason, who, when"),
        ("key\tkey\tdecision\twho\twhen\n", "line 1: column 'key' occurs twice"),
        (HEADER + "a\tkeep\t\tAda\t2026-01-31\tmore\n", "line 2: 6 fields, the header has 5"),
        (HEADER + 'a\tkeep\t"open', "line 2: a quote that is not closed"),
    ],
)
def test_a_malformed_table_is_refused(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(TesseraError) as error:
        read_decisions(write(tmp_path / "d.tsv", text), {})
    assert fault in str(error.value)


def test_a_file_that_is_not_text_or_not_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.tsv").write_bytes(HEADER.encode() + b"\xff")
    with pytest.raises(TesseraError, match="not UTF-8"):
        read_decisions(tmp_path / "d.tsv", {})
    with pytest.raises(TesseraError, match="table of decisions cannot be read"):
        read_decisions(tmp_path, {})


CLIPS = {
    "a-0000100-1": ClipExtent("a", 100, 60),
    "a-0000200-1": ClipExtent("a", 200, 60),
    "b-0000100-1": ClipExtent("b", 100, 60),
    "b-0000110-2": ClipExtent("b", 110, 60),
    "a%20b-0000000-1": ClipExtent("a b", 0, 60),
}


@pytest.mark.parametrize(
    ("key", "clip"),
    [
        ("a-0000100-1", "a-0000100-1"),  # the same key
        ("a-0000071-1", "a-0000100-1"),  # it began earlier by less than half its length
        ("a-0000129-7", "a-0000100-1"),  # it began later, and tracks have other numbers
        ("a%20b-0000003-1", "a%20b-0000000-1"),
        ("a-0000070-1", None),  # too far
        ("a-0000150-1", None),  # between two
        ("a-0000230-1", None),  # after all
        ("b-0000105-3", None),  # of two regions shown at a time
        ("d-0000100-1", None),  # of no source
        ("a-0000100-x", None),
        ("nonsense", None),
    ],
)
def test_a_decision_finds_its_clip_or_is_reported(key: str, clip: str | None) -> None:
    decided, lost = find_clips(said(key), CLIPS)
    assert list(decided) == ([clip] if clip else [])
    assert list(lost) == ([] if clip else [key])


def test_all_clips_that_a_decision_may_mean_are_named() -> None:
    assert find_clips(said("b-0000105-3"), CLIPS)[1] == {"b-0000105-3": "near it: b-0000100-1, b-0000110-2"}


def test_two_decisions_never_go_to_the_same_clip() -> None:
    # A decision with the exact key of a clip has priority,
    decided, lost = find_clips(said("a-0000090-1", "a-0000100-1"), CLIPS)
    assert decided == {"a-0000100-1": said("a-0000100-1")["a-0000100-1"]}
    assert lost == {"a-0000090-1": "near it: a-0000100-1"}
    # and of two inexact ones, neither counts.
    decided, lost = find_clips(said("a-0000090-1", "a-0000110-1"), CLIPS)
    assert decided == {}
    assert set(lost) == {"a-0000090-1", "a-0000110-1"}


boxes = st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
SEEN = {
    "a-0000100-1": ClipExtent("a", 100, 60, (0, 0, 100, 100)),
    "a-0000110-2": ClipExtent("a", 110, 60, (80, 0, 180, 100)),
    "a-0000160-1": ClipExtent("a", 160, 60, (0, 0, 100, 100)),
}


@pytest.mark.parametrize(
    ("key", "clip"),
    [
        (clip_key("a-0000100-1", 60, (0, 0, 100, 100)), "a-0000100-1"),
        (clip_key("a-0000110-1", 60, (0, 0, 100, 100)), "a-0000100-1"),  # it began later, and more than one is near
        (clip_key("a-0000140-9", 60, (4, 0, 104, 100)), "a-0000160-1"),  # more of the second
        (clip_key("a-0000100-1", 60, (80, 0, 180, 100)), "a-0000110-2"),  # the tracks have changed their numbers
        (clip_key("a-0000090-1", 120, (0, 0, 100, 100)), "a-0000100-1"),  # it was cut in two
        (clip_key("a-0000100-1", 60, (300, 0, 400, 100)), None),  # elsewhere in the picture
        (clip_key("a-0000300-1", 60, (0, 0, 100, 100)), None),  # after all
        (clip_key("b-0000100-1", 60, (0, 0, 100, 100)), None),
    ],
)
def test_a_decision_that_says_what_a_clip_showed_goes_to_the_clip_that_shows_most_of_it(key: str, clip: str | None) -> None:
    decided, lost = find_clips(said(key), SEEN)
    assert list(decided) == ([clip] if clip else [])
    assert list(lost) == ([] if clip else [key]) and all(lost.values())


places = st.builds(
    lambda first, frames, box: ClipExtent("a", first, frames, box), st.integers(0, 20), st.integers(1, 20), boxes
)


@given(places, places)
def test_what_two_clips_have_in_common_is_counted_in_pixels_of_frames(one: ClipExtent, other: ClipExtent) -> None:
    one, other = (place._replace(box=tuple(edge // 4 for edge in place.box or ())) for place in (one, other))
    pixels = [
        {
            (frame, x, y)
            for frame in range(place.first, place.first + place.frames)
            for x in range(place.box[0], place.box[2])
            for y in range(place.box[1], place.box[3])
        }
        for place in (one, other)
    ]
    if all(pixels):
        assert clip_overlap(one, other) == pytest.approx(len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1]))


def test_of_two_decisions_on_one_clip_under_different_keys_the_later_counts() -> None:
    whole = clip_key("a-0000100-1", 60, (0, 0, 100, 100))
    for keys in ([whole, "a-0000100-1"], ["a-0000100-1", whole]):
        decided, lost = find_clips(said(*keys), SEEN)
        assert decided["a-0000100-1"].key == keys[-1] and list(lost) == [keys[0]] and "comes later" in lost[keys[0]]


def test_a_decision_that_matches_nothing_is_a_row_and_counts_nowhere(tmp_path: Path) -> None:
    decisions = said("a-0000100-1", "x")
    write_matches(tmp_path / "matched", decisions, {"a-0000100-1": "a-0000100-1"}, {"x": "gone"})
    decided = [(key, "Ada", "samples", "drop") for key in decisions]
    assert count_matching(decided, [tmp_path / "matched"]) == [("Ada", "samples", "drop", 1)]
    assert count_matching(decided, []) == [("Ada", "samples", "drop", 2)]


def test_decisions_on_clips_frames_and_regions_are_distinguished() -> None:
    on_clips = ["a-0000100-1", "x-0000001-2", "nonsense", "gone-0000007", "c-0000001-0000002-1"]
    # The name of a source may look like the key of a frame.
    on_frames = ["a-0000100", "a%20b-0000007", "c-0000001-0000007"]
    on_regions = ["a-0000100+1-2-30-40", region_key("c-0000001-0000007", (-0.4, 1.6, 9.0, 12.0))]
    assert on_regions[1] == "c-0000001-0000007+0-2-9-12"
    decisions = said(*on_clips, *on_frames, *on_regions).values()
    found = split_decisions(decisions, ["a", "a b", "c-0000001"])
    assert list(map(list, found)) == [on_clips, on_frames, on_regions]


@given(st.lists(boxes, max_size=5, unique=True), st.lists(boxes, max_size=5, unique=True))
def test_a_decision_on_a_region_goes_to_the_one_detection_that_is_most_the_same(decided: list[Box], seen: list[Box]) -> None:
    decisions = said(*(region_key("a-1", box) for box in decided))
    found, lost = find_regions(decisions, {str(number): ("a-1", box) for number, box in enumerate(seen)}, ["a-1"])
    assert len(found) + len(lost) == len(decisions) and {each.key for each in found.values()} | set(lost) == set(decisions)
    pixels = [{(x, y) for x in range(x0, x1) for y in range(y0, y1)} for x0, y0, x1, y1 in [*decided, *seen]]
    now = pixels[len(decided) :]
    for place, box in enumerate(decided):
        key = region_key("a-1", box)
        alike = [len(pixels[place] & other) / len(pixels[place] | other) for other in now]
        best = max(range(len(seen)), key=lambda number: alike[number], default=None)
        one = [] if best is None else [len(now[best] & other) / len(now[best] | other) >= 0.4 for other in now]
        if key not in lost:
            taken = next(int(number) for number, each in found.items() if each.key == key)
            # It is the best detection, or the same as that; and no other one is nearly as good.
            assert alike[taken] >= 0.4 and one[taken]
            assert all(value < 0.8 * alike[best] + 1e-9 for value, same in zip(alike, one, strict=True) if not same)
        elif best is not None and alike[best] >= 0.4 and "two regions" not in lost[key]:
            assert all(str(number) in found for number, value in enumerate(alike) if value >= 0.4 and one[number])
    # A detection that is exactly where it was keeps its decision, and in no other frame is anything found.
    assert all(found[str(seen.index(box))].key == region_key("a-1", box) for box in decided if box in seen)
    assert find_regions(decisions, {"0": ("a-2", (0, 0, 9, 9))}, ["a-1", "a-2"])[0] == {}


@given(st.lists(boxes, max_size=4, unique=True), st.lists(boxes, max_size=4, unique=True), st.randoms())
def test_the_order_of_regions_and_of_decisions_does_not_matter(decided: list[Box], seen: list[Box], random: Random) -> None:
    keys, now = [region_key("a-1", box) for box in decided], [(str(number), ("a-1", box)) for number, box in enumerate(seen)]
    first = find_regions(said(*keys), dict(now), ["a-1"])
    random.shuffle(keys)
    random.shuffle(now)
    assert find_regions(said(*keys), dict(now), ["a-1"]) == first


@given(st.integers(0, 60), st.integers(10, 60), st.integers(10, 60), st.floats(0.5, 3))
def test_a_decision_never_goes_to_what_is_beside_its_region(x: int, width: int, height: int, part: float) -> None:
    # An object of the same size whose middle is not inside the region.
    beside = (x + part * width, 0.0, x + (1 + part) * width, float(height))
    assert find_regions(said(region_key("a-1", (x, 0, x + width, height))), {"0": ("a-1", beside)}, ["a-1"])[0] == {}


def test_a_decision_on_two_objects_in_one_region_goes_to_neither_of_them() -> None:
    both, left, right = (0.0, 0.0, 100.0, 60.0), (0.0, 0.0, 60.0, 60.0), (45.0, 0.0, 100.0, 60.0)
    key = region_key("a-1", both)
    found, lost = find_regions(said(key), {"0": ("a-1", left), "1": ("a-1", right)}, ["a-1"])
    assert found == {} and lost == {key: "it is two regions now, 0 and 1"}
    # Two detections of one object are no two regions.
    again = (2.0, 0.0, 70.0, 60.0)
    assert list(find_regions(said(key), {"0": ("a-1", left), "1": ("a-1", again)}, ["a-1"])[0]) == ["1"]


def test_what_a_better_decision_has_leaves_no_neighbour_to_the_other_one() -> None:
    one, wider = region_key("a-1", (0, 0, 60, 60)), region_key("a-1", (0, 0, 80, 60))
    found, lost = find_regions(said(one, wider), {"0": ("a-1", (0, 0, 60, 60)), "1": ("a-1", (40, 0, 90, 60))}, ["a-1"])
    assert {key: each.key for key, each in found.items()} == {"0": one}
    assert lost == {wider: f"0 is there, and the decision on {one!r} fits that better"}


def test_a_decision_on_no_region_says_what_is_there() -> None:
    one, other, less, gone = (
        region_key("a-1", box) for box in ((0, 0, 10, 10), (1, 0, 10, 10), (50, 0, 60, 10), (90, 0, 99, 9))
    )
    seen = {"0": ("a-1", (0.0, 0.0, 10.0, 10.0)), "1": ("a-1", (50.0, 0.0, 60.0, 3.0))}
    _, lost = find_regions(said(one, other, less, gone), seen, ["a-1"])
    assert lost == {
        other: f"0 is there, and the decision on {one!r} fits that better",
        less: "1 has 30% of it in common, less than 40%",
        gone: "nothing is seen there now",
    }


def test_the_order_of_the_table_does_not_matter() -> None:
    keys = ["a-0000090-1", "a-0000110-1", "a-0000190-1", "b-0000100-1", "b-0000112-1", "x"]
    assert find_clips(said(*keys), CLIPS) == find_clips(said(*reversed(keys)), dict(reversed(CLIPS.items())))


def test_a_table_full_of_faults_is_refused_in_few_lines(tmp_path: Path) -> None:
    tabs = write(tmp_path / "tabs.tsv", "\t" * 1_000_000)
    with pytest.raises(TesseraError, match="this is no header"):
        read_decisions(tabs, {})
    rows = write(tmp_path / "rows.tsv", HEADER + "".join(f"a-{n}-1\tdelete\t\tAda\t2026-01-31\n" for n in range(1000)))
    with pytest.raises(TesseraError, match=r"(?s)has 1,000 faults:\n  line 2: .*\n  and 900 more$") as error:
        read_decisions(rows, {})
    assert len(str(error.value).splitlines()) == 102


@pytest.mark.parametrize("key", [" a-0-1", "a-0-1 ", "a\0-0-1", "a b-0-1", "\u202ea-0-1", "images/a-0-1"])
def test_a_key_must_be_a_possible_file_name(key: str, tmp_path: Path) -> None:
    path = write(tmp_path / "d.tsv", f"{HEADER}{key}\tdrop\t\tAda\t2026-01-31\n")
    with pytest.raises(
        TesseraError, match="line 2: key: is not a key of a clip, a frame or a picture: use the name of its file"
    ):
        read_decisions(path, {})


@given(st.text(min_size=1))
def test_a_source_of_any_name_can_have_decisions(source: str) -> None:
    key = f"{file_name(source)}-0000000-001"
    assert said(key)[key].key == key
