"""The manifest: any text is read back, all faults are listed at once, and new sources move no others."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from other_user import holds_without_permissions

from tessera.core.contents import contents_of
from tessera.core.errors import TesseraError
from tessera.core.files import file_name, files_of, is_plain_file, size_of
from tessera.records.label_sets import SETS
from tessera.records.manifest import (
    ListedSource,
    describe_missing,
    find_possible_copies,
    group_by_shard,
    is_missing,
    read_manifest,
)

DATASETS = ("nsfw_detection", "mosaic_detection")
FINDABLE = ("nsfw", "mosaic")
HEADER = "source\tpath\tcontent\trights\n"

# Any UTF-8, and texts that have broken readers of tables before.
hostile = st.text(st.characters(codec="utf-8"), min_size=1) | st.sampled_from(
    [
        "-rf",
        "a\tb",
        'a"b',
        "'",
        "a\nb",
        "a\r\nb",
        "a\rb",
        "a\x0bb",
        "a\x0cb",
        "a\x1cb",
        "a\x85b",
        "a\u2028b",
        "\ufeff",
        "a\0b",
        "#x",
        "%s",
        " ",
    ]
)
sources = st.builds(
    ListedSource,
    source=hostile.filter(lambda text: not text.startswith(SETS)),
    path=hostile.filter(lambda text: "://" not in text),
    content=st.sampled_from(["general", "adult"]),
    rights=hostile,
    consent=hostile,
    adults_verified=st.sampled_from(["yes", "no", ""]),
    use=st.lists(st.sampled_from(["nsfw_detection", "mosaic_detection"]), unique=True).map(sorted).map(tuple),
    shard=st.just("") | hostile,
    split=st.sampled_from(["train", "val", "test", ""]),
    series=hostile.filter(lambda text: text.isprintable() and text == text.strip()),
    free_of=st.lists(st.sampled_from(FINDABLE), unique=True).map(sorted).map(tuple),
)
manifests = st.lists(sources, max_size=8, unique_by=lambda source: file_name(source.source).casefold())


def write(path: Path, rows: list[ListedSource]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writerow(ListedSource.model_fields)
        writer.writerows(
            {**row.model_dump(), "use": ",".join(row.use), "free_of": ",".join(row.free_of)}.values() for row in rows
        )
    return path


def faults(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TesseraError) as error:
        read_manifest(path, DATASETS, FINDABLE)
    return [line.strip() for line in str(error.value).splitlines()]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=manifests)
def test_any_text_is_read_back(tmp_path: Path, rows: list[ListedSource]) -> None:
    assert read_manifest(write(tmp_path / "sources.tsv", rows), DATASETS, FINDABLE) == rows


@settings(deadline=None)
@given(old=manifests, new=sources, shards=st.just("per_source") | st.integers(1, 50))
def test_a_new_source_moves_no_other_to_another_shard(old: list[ListedSource], new: ListedSource, shards: int) -> None:
    before = group_by_shard(old, shards)
    after = group_by_shard([*old, new], shards)
    assert {name: [source for source in group if source is not new] for name, group in after.items()} == {
        **{name: [] for name in after.keys() - before.keys()},
        **before,
    }


@settings(deadline=None)
@given(rows=manifests, shards=st.sampled_from(["auto", "per_source"]) | st.integers(1, 50))
def test_every_source_is_in_one_shard_and_shards_are_file_names(rows: list[ListedSource], shards: int) -> None:
    groups = group_by_shard(rows, shards)
    held = [source.source for group in groups.values() for source in group]
    assert sorted(held) == sorted(source.source for source in rows)
    assert all("/" not in name and "\n" not in name and not name.startswith((".", "-")) for name in groups)


def footage(folder: Path, sizes: dict[str, int]) -> list[ListedSource]:
    """Write a file without content of each of `sizes`, in MB, and return its row."""
    for name, size in sizes.items():
        with (folder / f"{name}.mp4").open("wb") as file:
            file.truncate(size * 1_000_000)
    return [ListedSource(source=name, path=str(folder / f"{name}.mp4"), content="general") for name in sizes]


def test_the_number_of_shards_is_that_of_the_setting(tmp_path: Path) -> None:
    rows = footage(tmp_path, {f"video {number}": 1 for number in range(200)})
    for count in (1, 2, 7, 10):
        assert sorted(group_by_shard(rows, count)) == [f"shard-{number}" for number in range(count)]
    assert sorted(group_by_shard(rows, "auto")) == ["shard-0"], "200 MB"


def test_small_sources_share_shards_and_others_have_their_own(tmp_path: Path) -> None:
    clips = footage(tmp_path, {f"clip {number}": 20 for number in range(11)})
    films = footage(tmp_path, {"film": 100, "other film": 5000})
    missing = ListedSource(source="missing", path=str(tmp_path / "gone.mp4"), content="general")
    chosen = clips[0].model_copy(update={"shard": "mine"})
    groups = group_by_shard([*films, *clips[1:], chosen, missing], "auto")
    assert groups == {
        "film": [films[0]],
        "other%20film": [films[1]],
        "mine": [chosen],
        "missing": [missing],
        "shard-0": clips[1:],
    }


def test_one_more_small_source_moves_others_at_most_into_one_new_shard(tmp_path: Path) -> None:
    rows = footage(tmp_path, {f"clip {number}": 90 for number in range(60)})
    where: dict[str, str] = {}
    moved = 0
    for count in range(1, len(rows) + 1):
        groups = group_by_shard(rows[:count], "auto")
        now = {source.source: name for name, group in groups.items() for source in group}
        left = {(where[source], now[source]) for source in where if where[source] != now[source]}
        assert len(left) <= 1 and all(new not in where.values() for _, new in left)
        moved += len(left)
        where = now
    assert moved > 3 and len(set(where.values())) == 11, "5.4 GB"


def test_comments_blank_lines_and_a_byte_order_mark_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "sources.tsv"
    path.write_bytes(f"\ufeff# mine\n# all of it\n{HEADER}\na\ta.mp4\tgeneral\tCC0\n\t\t\t\n".encode())
    assert [source.source for source in read_manifest(path, DATASETS, FINDABLE)] == ["a"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    path = tmp_path / "sources.tsv"
    path.write_bytes((HEADER + "a\ta.mp4\tgeneral\tCC0\nb\tb.mp4\tgeneral\tCC0\n").replace("\n", end).encode())
    assert [(source.source, source.rights) for source in read_manifest(path, DATASETS, FINDABLE)] == [
        ("a", "CC0"),
        ("b", "CC0"),
    ]


def test_a_table_that_excel_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sources.tsv"
    text = '"# Our footage, as of May"\t\t\t\t\r\nsource\tpath\tcontent\trights\t\r\na\ta.mp4\tgeneral\t"mine, and hers"\t\r\n'
    path.write_bytes(text.encode("utf-8-sig"))
    (row,) = read_manifest(path, DATASETS, FINDABLE)
    assert (row.source, row.rights) == ("a", "mine, and hers")


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_rare_separators_do_not_end_a_line(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "sources.tsv"
    path.write_text(HEADER + f"a{separator}b\ta.mp4\tgeneral\tCC0\n", encoding="utf-8")
    assert [source.source for source in read_manifest(path, DATASETS, FINDABLE)] == [f"a{separator}b"]


def test_a_series_is_one_line_of_text(tmp_path: Path) -> None:
    path = tmp_path / "sources.tsv"
    path.write_text("source\tpath\tcontent\tseries\na\ta.mp4\tgeneral\tThe Sea, 2\nb\tb.mp4\tgeneral\t\n", encoding="utf-8")
    assert [source.series for source in read_manifest(path, DATASETS, FINDABLE)] == ["The Sea, 2", ""]
    messages = faults(path, 'source\tpath\tcontent\tseries\na\ta.mp4\tgeneral\t"two\nlines"\nb\tb.mp4\tgeneral\tx \n')
    assert [line.split(":")[:2] for line in messages[1:]] == [["line 2", " series"], ["line 4", " series"]]


def test_every_fault_is_listed_with_its_line(tmp_path: Path) -> None:
    text = "# mine\nsource\tpath\tcontent\tuse\tfree_of\n" + "\n".join(
        [
            "a\ta.mp4\tgeneral\t",
            "a\tb.mp4\tgeneral\t",
            'b\t"two\nlines"\tgeneral\t',
            "c\tc.mp4\tsecret\t",
            "d\td.mp4\tgeneral\tx\tnsfw, mosaics",
            "A\te\tgeneral\t",
            "\tf\tgeneral\t",
        ]
    )
    messages = faults(tmp_path / "sources.tsv", text)
    assert messages[0].endswith("has 6 faults:")
    assert [line.split(":")[0] for line in messages[1:]] == ["line 4", "line 7", "line 8", "line 8", "line 9", "line 10"]
    assert "already on line 3" in messages[1]
    assert "'secret'" in messages[2]
    assert "use: unknown dataset 'x'" in messages[3]
    assert messages[4] == "line 8: free_of: unknown kind of region 'mosaics'; allowed: nsfw, mosaic"
    assert "differs only in case" in messages[5]


def test_a_row_may_have_several_faults_and_hides_none_of_others(tmp_path: Path) -> None:
    rows = ["a\ta.mp4\tgeneral", "a\tb.mp4\tsecret\tx", "b\tc.mp4\tgeneral\t\tmore", "c\td.mp4\tsecret", "b\te.mp4\tgeneral"]
    messages = faults(tmp_path / "sources.tsv", "\n".join(["source\tpath\tcontent\tuse", *rows]))
    expected = ["3: content", "3: use: unknown dataset 'x'", "3: source 'a' is already on line 2", "4: 5 fields", "5: content"]
    for line, fault in zip(messages[1:], [*expected, "6: source 'b' is already on line 4"], strict=True):
        assert line.startswith(f"line {fault}")


def describe(folder: Path, *paths: str) -> list[str]:
    """Write a manifest with these `paths`, and return what is said of those that are missing."""
    manifest = folder / "sources.tsv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows([["source", "path", "content"], *([f"s{i}", path, "general"] for i, path in enumerate(paths))])
    sources = read_manifest(manifest, DATASETS, FINDABLE)
    return describe_missing(manifest, [source.source for source in sources if is_missing(source)])


def test_missing_footage_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").touch()
    paths = [str(path) for path in (tmp_path / "there.mp4", tmp_path, tmp_path / "typo.mp4", "x" * 5000)]
    assert describe(tmp_path, *paths) == [f"line {i + 2}: 's{i}': {paths[i]!r}" for i in (2, 3)]
    assert is_missing(ListedSource(source="a", path="a\0b", content="general"))


def test_a_folder_of_links_to_a_disk_that_is_not_mounted_is_missing(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    album = ListedSource(source="a", path=str(tmp_path / "album"), content="general")
    assert not is_missing(album), "an empty folder is there"
    for number in range(2):
        (tmp_path / "album" / f"{number}.png").symlink_to(tmp_path / "disk" / f"{number}.png")
    assert is_missing(album)
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "1.png").touch()
    assert not is_missing(album), "a single picture is"


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("~/a.mp4", "write the home folder in full"),
        ("'a.mp4'", "remove the quotes"),
        ("footage/*.mp4", "list each video by its name, or the folder of the images"),
        ("footage\\a.mp4", "separate folders with /"),
        ("a.mp4 ", "remove the spaces around it"),
    ],
)
def test_a_path_as_a_shell_would_read_it_is_explained(tmp_path: Path, path: str, fix: str) -> None:
    assert describe(tmp_path, path) == [f"line 2: 's0': {path!r} ({fix})"]


@pytest.mark.parametrize("name", ["sources.csv", "sources.tsv.txt", "Sources.tsv"])
def test_a_manifest_under_another_name_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(TesseraError, match=f"no such manifest; if '{tmp_path / name}' is meant, save it as '.*/sources.tsv'"):
        read_manifest(tmp_path / "sources.tsv", DATASETS, FINDABLE)


def test_faults_of_the_table_itself_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "sources.tsv"
    assert "column 'content' is missing" in faults(path, "source\tpath\nx\ty\n")[1]
    assert "unknown column 'colour'" in faults(path, "source\tpath\tcontent\tcolour\n")[1]
    assert "column 'path' occurs twice" in faults(path, "source\tpath\tpath\tcontent\n")[1]
    assert faults(path, HEADER + "a\ta.mp4\tgeneral\tCC0\tmore\n")[1] == (
        "line 2: 5 fields, the header has 4; remove what is too much, or put a field that contains a tab in quotes"
    )
    assert "unknown column 'Source'; did you mean 'source'?" in faults(path, "Source\tpath\tcontent\n")[2]
    assert "this is no header; the first line names the columns" in faults(path, "a\ta.mp4\tgeneral\tCC0\n")[1]
    assert faults(path, HEADER + "a a.mp4 general CC0\n")[1:] == [
        "line 2: the fields are separated by ' '; separate them with tabs"
    ]
    unclosed = faults(path, HEADER + 'a\t"open\tgeneral\tCC0\nb\tb.mp4\tgeneral\tCC0\n')[1]
    assert unclosed.startswith("line 2: a quote that is not closed") and "; close the quote" in unclosed
    assert "line 2: a quote that is not closed, or not at the end" in faults(path, HEADER + 'a\t"b" c\tgeneral\tCC0\n')[1]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TesseraError, match="not UTF-8"):
        read_manifest(path, DATASETS, FINDABLE)
    with pytest.raises(TesseraError, match=r"no such manifest.*config/README\.md\)$"):
        read_manifest(tmp_path / "gone.tsv", DATASETS, FINDABLE)
    with pytest.raises(TesseraError, match=f"name the folder of your project with `--directory`.*{Path.cwd()}"):
        read_manifest(Path("config/gone.tsv"), DATASETS, FINDABLE)


@pytest.mark.parametrize("address", ["https://me:secret@example.org/a.mp4", "FTP://example.org/a.mp4"])
def test_an_address_is_refused_as_it_was_written_but_for_its_password(tmp_path: Path, address: str) -> None:
    (fault,) = faults(tmp_path / "sources.tsv", HEADER + f"a\t{address}\tgeneral\tCC0\n")[1:]
    shown = address.replace("me:secret", "***")
    assert fault == f"line 2: path: should be a path, not an address; download the file, and give its path; given: {shown!r}"


def test_a_result_is_no_source_unless_it_was_harvested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("disk", "results/frames/film/images", "results/harvest/general/museum"):
        Path(folder).mkdir(parents=True)
    Path("results/restored").symlink_to(tmp_path / "disk")
    Path("elsewhere").symlink_to("results/frames")
    made = ["results/frames", "elsewhere/film/images", "disk/film/videos/film.mp4", "results/../results/restored/film.mp4"]
    allowed = ["results/harvest/general/museum", "frames", "disk2/film.mp4", "results2/frames"]
    table = "".join(f"{number}\t{path}\tgeneral\tCC0\n" for number, path in enumerate([*allowed, *made], 1))
    assert faults(Path("sources.tsv"), HEADER + table)[1:] == [
        f"line {line}: path: {path!r} is a result of this project; name the original" for line, path in enumerate(made, 6)
    ]


@pytest.mark.parametrize("separator", [",", ";", " "])
def test_a_table_with_another_separator_gives_only_that_fault(tmp_path: Path, separator: str) -> None:
    text = "source\tpath\tcontent\nx\ty\tgeneral\n".replace("\t", separator)
    (line,) = faults(tmp_path / "sources.tsv", text)[1:]
    assert line == f"line 1: the columns are separated by {separator!r}; separate columns with tabs"


def test_a_manifest_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TesseraError, match=r"cannot be read \(Is a directory\); set `manifest`"):
        read_manifest(tmp_path, DATASETS, FINDABLE)


@pytest.mark.parametrize("path", ["gone", "a\0b", "a" * 5000, "/dev/null/x"])
def test_an_impossible_path_is_no_error_while_planning(path: str) -> None:
    assert files_of(Path(path)) == []
    assert size_of(Path(path)) == 0
    assert not is_plain_file(Path(path))
    assert find_possible_copies([ListedSource(source=name, path=path, content="general") for name in "ab"]) == {}


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_plain_file(tmp_path / "pipe")
    assert size_of(tmp_path / "pipe") == 0


def test_a_name_that_snakemake_would_expand_is_not_a_plain_file(tmp_path: Path) -> None:
    for name, plain in {"<results>": False, "{shard}": False, "two\nlines": False, "-$(x) %s*'": True}.items():
        (tmp_path / name).touch()
        assert is_plain_file(tmp_path / name) is plain


def test_a_folder_without_permission_is_no_error_while_planning(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0)
    assert holds_without_permissions(tmp_path, lambda: files_of(folder) == [] and size_of(folder) == 0)


def test_a_fingerprint_changes_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"1")
    (tmp_path / "link.png").symlink_to("nowhere")
    before = contents_of(files_of(tmp_path))
    assert contents_of(files_of(tmp_path)) == before
    (tmp_path / "b.png").write_bytes(b"2")
    assert contents_of(files_of(tmp_path)) != before


def copies_of(**paths: Path) -> dict[str, str]:
    """Return the ids of the earlier sources that may be the same as each, as one text."""
    rows = [ListedSource(source=name, path=str(path), content="general") for name, path in paths.items()]
    return {source: "".join(other.source for other in earlier) for source, earlier in find_possible_copies(rows).items()}


def test_all_earlier_sources_that_may_be_the_same_file_are_possible_copies(tmp_path: Path) -> None:
    for name, text in {"a": "same", "b": "else", "c": "same", "d": "longer", "e": "same"}.items():
        (tmp_path / name).write_text(text)
    assert copies_of(**{name: tmp_path / name for name in "abcde"}) == {"c": "a", "e": "ac"}


@pytest.mark.parametrize("place", [0, 50_000, 99_999])
def test_a_large_file_that_differs_in_a_sampled_block_is_no_possible_copy(tmp_path: Path, place: int) -> None:
    content = bytearray(100_000)
    for name in "ab":
        (tmp_path / name).write_bytes(content)
    content[place] = 1
    (tmp_path / "c").write_bytes(content)
    assert copies_of(**{name: tmp_path / name for name in "abc"}) == {"b": "a"}


def test_folders_are_possible_copies_if_their_content_is_equal(tmp_path: Path) -> None:
    for folder, images in {"a": {"1.png": "x"}, "b": {"1.png": "x"}, "c": {"2.png": "x"}, "d": {"1.png": "y"}}.items():
        (tmp_path / folder).mkdir()
        for name, text in images.items():
            (tmp_path / folder / name).write_text(text)
    assert copies_of(**{name: tmp_path / name for name in "abcd"}) == {"b": "a"}
    assert copies_of(file=tmp_path / "a" / "1.png", folder=tmp_path / "a") == {}
