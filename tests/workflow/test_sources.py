"""Sources in a real run: every bad source has a row, any name works, and only changed sources are examined again."""

import csv
import hashlib
import os
import re
import shutil
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
from PIL import Image
from projects import REPOSITORY, Project

pytestmark = pytest.mark.workflow
MEDIA = Path(__file__).parents[3] / "shared" / "media"
TARGETS = ("results/sources/admitted.parquet", "results/sources/withdrawn.tsv")
FRAMES = "results/duplicates/duplicates.parquet"  # is made of the frames of all shards
ADULT = {"content": "adult", "consent": "release 7", "adults_verified": "yes"}


@pytest.fixture
def project(project: Project) -> Project:
    """An empty project with these rules alone, because every run reads all the rules of its workflow."""
    project.snakefile = project.write_snakefile(["common", "sources", "frames"])
    return project


def write_image(path: Path, seed: int, width: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (30, width, 3), np.uint8)
    with path.open("wb") as file:
        Image.fromarray(pixels).save(file, "PNG")
    return path


def write_video(path: Path, seed: int = 0, frames: int = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 40, 30, "yuv420p"
        for number in range(frames):
            pixels = np.random.default_rng([seed, number]).integers(0, 256, (30, 40, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_hidden_copy(folder: Path) -> None:
    """Write alike.png, original.png and hidden.png. They are equal in size, and in the blocks that are compared while planning.

    The last two are the same. The first one is not.
    """
    content = bytearray(write_image(folder / "alike.png", 3).read_bytes() + bytes(100_000))
    (folder / "alike.png").write_bytes(content)
    content[20_000] = 1
    (folder / "original.png").write_bytes(content)
    (folder / "hidden.png").write_bytes(content)


def refused(project: Project) -> dict[str, str]:
    with (project.results / "sources" / "refused.tsv").open(encoding="utf-8", newline="") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file, delimiter="\t")}


def admitted(project: Project) -> list[str]:
    return pl.read_parquet(project.results / "sources" / "admitted.parquet")["source"].to_list()


HOSTILE = [
    "-rf.mp4",
    'a b\'s "c".mp4',
    "two\nlines.mp4",
    "名前 é.mp4",
    "100%.mp4",
    "img%03d.mp4",
    "{shard}.mp4",
    "<results>.mp4",
    "$(touch ran).mp4",
    "*.mp4",
    "concat:a|b.mp4",
    "http:/127.0.0.1/x.mp4",
    "a\tb\\n.mp4",
    "~.mp4",
]


def test_any_name_works(project: Project) -> None:
    for number, name in enumerate(HOSTILE):
        write_video(project.folder / name, number)
    project.write_manifest([{"source": name, "path": name} for name in HOSTILE])
    run = project.run(*TARGETS)
    assert run.returncode == 0, run.output
    assert admitted(project) == sorted(HOSTILE)
    assert not (project.folder / "ran").exists()


def test_every_bad_source_is_a_row_with_its_reason(project: Project) -> None:
    folder = project.folder
    write_video(folder / "good.mp4")
    write_image(folder / "blocked.png", 1)
    (folder / "copy.mp4").write_bytes((folder / "good.mp4").read_bytes())
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video\n")
    (folder / "cut.mp4").write_bytes((folder / "good.mp4").read_bytes()[:-200])
    (folder / "cut.png").write_bytes((folder / "blocked.png").read_bytes()[:-200])
    (folder / "playlist.m3u8").write_text("#EXTM3U\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n")
    (folder / "no images").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    with (folder / "config" / "blocklist.tsv").open("a") as file:
        file.write(f"{hashlib.sha256((folder / 'blocked.png').read_bytes()).hexdigest()}\t\ta test\n")
    write_image(folder / "images" / "a.png", 2)
    write_hidden_copy(folder)
    cases = {
        "no rights": ({"path": "unread.mp4", "rights": ""}, "no rights"),
        "good": ({"path": "good.mp4"}, None),
        "images": ({"path": "images", **ADULT}, None),
        "unverified": ({"path": "unread.mp4", **ADULT, "adults_verified": ""}, "adults not verified"),
        "no consent": ({"path": "unread.mp4", **ADULT, "consent": ""}, "no consent"),
        "blocked": ({"path": "blocked.png"}, "on the blocklist"),
        "copy": ({"path": "copy.mp4"}, "same file as another source"),
        "alike": ({"path": "alike.png"}, None),
        "hidden copy 1": ({"path": "original.png"}, None),
        "hidden copy 2": ({"path": "hidden.png"}, "same file as another source"),
        "missing": ({"path": "gone.mp4"}, "missing"),
        "too long": ({"path": "x" * 300}, "missing"),
        "empty": ({"path": "empty.mp4"}, "empty file"),
        "text": ({"path": "text.mp4"}, "not a media file"),
        "playlist": ({"path": "playlist.m3u8"}, "not a media file"),
        "cut video": ({"path": "cut.mp4"}, "truncated"),
        "cut image": ({"path": "cut.png"}, "image cannot be decoded"),
        "no images": ({"path": "no images"}, "no images"),
        "pipe": ({"path": "pipe.mp4"}, "not a regular file"),
        "device": ({"path": "/dev/zero"}, "not a regular file"),
    }
    if MEDIA.is_dir():
        cases["corrupted"] = ({"path": str(MEDIA / "broken" / "corrupted.mp4")}, "corrupted")
    project.settings = {"shards": 3, "gates": {"sources": 0.9}, "missing_sources": "leave_out"}
    project.write_manifest([{"source": source, **columns} for source, (columns, _) in cases.items()])
    run = project.run(*TARGETS)
    assert run.returncode == 0, run.output
    assert refused(project) == {source: reason for source, (_, reason) in cases.items() if reason}
    assert list(refused(project)) == sorted(source for source, (_, reason) in cases.items() if reason)
    assert admitted(project) == ["alike", "good", "hidden copy 1", "images"]

    project.settings["gates"]["sources"] = 0.1
    run = project.run(*TARGETS)
    assert run.returncode != 0
    assert run.jobs == ["gate_sources"]
    assert "empty file" in run.output and "gates.sources" in run.output


def test_nothing_admitted_stops_the_run_and_says_why(project: Project) -> None:
    project.settings["missing_sources"] = "leave_out"
    project.write_manifest([{"source": "a", "path": "gone.mp4"}, {"source": "b", "path": "gone.mp4", "rights": ""}])
    run = project.run(*TARGETS)
    assert run.returncode != 0
    assert "no source was admitted" in run.output and "'a': missing" in run.output and "'b': no rights" in run.output
    assert "config/sources.tsv: the footage of 1 of 2 sources is missing: line 2: 'a': 'gone.mp4'" in run.output
    assert refused(project) == {"a": "missing", "b": "no rights"}
    assert not (project.results / "sources" / "admitted.parquet").exists()


def test_only_what_changed_is_examined_again(project: Project) -> None:
    for name in "abc":
        write_image(project.folder / name / "1.png", ord(name), width=ord(name))
    rows = [{"source": name, "path": name} for name in "ab"]
    gathered = ["gate_sources", "gather_sources"]
    project.write_manifest(rows)
    assert project.run(*TARGETS).jobs == ["admit_sources a", "admit_sources b", *gathered, "remove_withdrawn"]
    assert project.run(*TARGETS).jobs == []

    rows.append({"source": "c", "path": "c"})
    project.write_manifest(rows)
    assert project.run(*TARGETS).jobs == ["admit_sources c", *gathered, "remove_withdrawn"]
    assert admitted(project) == ["a", "b", "c"]

    write_image(project.folder / "b" / "2.png", 5)
    assert project.run(*TARGETS).jobs == ["admit_sources b", *gathered]

    derived = project.results / "frames" / "a"
    derived.mkdir(parents=True)
    (derived / "a-0000000.jpg").touch()
    project.write_manifest(rows[1:])
    assert project.run(*TARGETS).jobs == [*gathered, "remove_withdrawn"]
    assert admitted(project) == ["b", "c"]
    assert not derived.exists() and not (project.results / "sources" / "shards" / "a").exists()


def frames_of(project: Project) -> dict[str, int]:
    """Return the number of sampled frames by shard."""
    return {
        path.parent.name: pl.read_parquet(path)["key"].len() for path in sorted(project.results.glob("frames/*/frames.parquet"))
    }


def test_a_copy_in_another_shard_makes_no_frames_while_its_original_is_there(project: Project) -> None:
    write_hidden_copy(project.folder)
    rows = [{"source": name, "path": f"{name}.png"} for name in ("alike", "original", "hidden")]
    project.write_manifest(rows)
    run = project.run(*TARGETS, FRAMES)
    assert run.returncode == 0, run.output
    assert frames_of(project) == {"alike": 1, "hidden": 0, "original": 1}
    assert not list(project.results.glob("frames/hidden/images/[!.]*"))
    assert refused(project) == {"hidden": "same file as another source"}

    project.write_manifest([rows[0], rows[2]])
    run = project.run(*TARGETS, FRAMES)
    assert run.returncode == 0, run.output
    assert not list(project.results.glob("*/original")), "a withdrawn source disappears"
    assert frames_of(project) == {"alike": 1, "hidden": 1}
    assert admitted(project) == ["alike", "hidden"] and refused(project) == {}


def test_a_source_in_another_shard_reruns_nothing_of_this_one(project: Project) -> None:
    write_hidden_copy(project.folder)
    rows = [{"source": name, "path": f"{name}.png"} for name in ("alike", "original", "hidden")]
    project.write_manifest(rows[:2])
    assert project.run(*TARGETS, FRAMES).returncode == 0
    for _ in range(2):
        project.write_manifest(rows)
        of_all = ["find_duplicates", "gate_sources", "gather_sources", "remove_withdrawn"]
        assert project.run(*TARGETS, FRAMES).jobs == sorted(["admit_sources hidden", "sample_frames hidden", *of_all])
        # Without its rights, the source is refused, which is again no matter of other shards.
        project.write_manifest([*rows[:2], {**rows[2], "rights": ""}])
        assert project.run(*TARGETS, FRAMES).jobs == sorted(["admit_sources hidden", "sample_frames hidden", *of_all[:-1]])
        assert refused(project) == {"hidden": "no rights"}
        project.write_manifest(rows[:2])
        assert project.run(*TARGETS, FRAMES).jobs == of_all
        assert frames_of(project) == {"alike": 1, "original": 1}


def test_footage_replaced_by_an_older_file_is_examined_again(project: Project) -> None:
    project.write_manifest([{"source": "a", "path": "a.png"}])
    write_image(project.folder / "a.png", 1)
    target = "results/sources/shards/a/sources.parquet"
    assert project.run(target).jobs == ["admit_sources a"]
    write_image(project.folder / "a.png", 2, width=60)
    os.utime(project.folder / "a.png", (1e9, 1e9))
    assert project.run(target).jobs == ["admit_sources a"]
    assert pl.read_parquet(project.folder / target)["width"].to_list() == [60]


def test_a_broken_settings_file_and_a_wrong_folder_are_named_with_the_fix(project: Project, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "config").mkdir(parents=True)
    run = project.run("-n", "--directory", str(elsewhere), snakefile=REPOSITORY / "Snakefile")
    assert (
        "config/sources.tsv: no such manifest" in run.output
        and f"`--directory`, for make with `PROJECT=` (paths are relative to {elsewhere}" in run.output
    )
    (elsewhere / "config" / "config.yaml").write_text("seed: [1\nshards: 2\n")
    run = project.run("-n", "--directory", str(elsewhere), snakefile=REPOSITORY / "Snakefile")
    assert "config/config.yaml: line 2, column 7: did not find" in run.output
    (elsewhere / "config" / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "my.yaml").write_text("frames:\n  mode: all\nseed: 2\nframes:\n  quality: 90\n")
    given = ["-n", "--directory", str(elsewhere), "--configfile", str(tmp_path / "my.yaml")]
    run = project.run(*given, snakefile=REPOSITORY / "Snakefile")
    assert "my.yaml: line 4: the key 'frames' is given twice, first in line 1" in run.output and run.returncode != 0


def test_a_run_without_cores_is_refused_instead_of_waiting_for_them(project: Project) -> None:
    run = project.run("frames", "--cores", "0", snakefile=REPOSITORY / "Snakefile", timeout=60)
    assert run.returncode == 1
    assert run.output.rstrip().endswith("--cores: should be at least 1; without the option, a run uses all cores")


def test_deleted_frames_are_made_again(project: Project) -> None:
    write_image(project.folder / "a.png", 1)
    project.write_manifest([{"source": "a", "path": "a.png"}])
    images = project.results / "frames" / "a" / "images"
    run = project.run("frames", snakefile=REPOSITORY / "Snakefile")
    assert run.returncode == 0 and list(images.iterdir()), run.output
    shutil.rmtree(images)
    assert "sample_frames a" in project.run("frames", snakefile=REPOSITORY / "Snakefile").jobs
    assert list(images.iterdir())


def test_a_missing_file_of_the_project_is_named_with_the_fix(project: Project) -> None:
    project.write_manifest([{"source": "a", "path": "a.mp4"}])
    project.settings = {"sources": {"blocklist": "gone.tsv"}}
    assert "sources.blocklist: 'gone.tsv' is not there; fix the path" in project.run("-n", *TARGETS).output
    project.settings = {}
    project.snakefile = project.write_snakefile(["common"])
    with project.snakefile.open("a") as file:
        file.write('rule copy:\n    input: "gone.txt"\n    output: "made.txt"\n    shell: "cp {input} {output}"\n')
    run = project.run("-n", "made.txt")
    assert re.search(r"Missing input.*gone\.txt\nRestore the files, or .* with `--directory`", run.output, re.DOTALL)


@pytest.mark.parametrize(("shards", "on_disk"), [("auto", "bc"), ("auto", "abc"), ("per_source", "bc")])
def test_a_disk_that_is_not_mounted_stops_a_run_that_reads_it_and_changes_no_result(
    project: Project, shards: str, on_disk: str
) -> None:
    project.snakefile, project.settings["shards"] = REPOSITORY / "Snakefile", shards
    paths = {name: f"{'disk' if name in on_disk else 'footage'}/{name}.png" for name in "abc"}
    for seed, path in enumerate(paths.values()):
        write_image(project.folder / path, seed)
    disk = project.folder / "disk"
    project.write_manifest([{"source": name, "path": path} for name, path in paths.items()])
    assert project.run("frames").returncode == 0
    made = {path: path.read_bytes() for path in project.results.rglob("*") if path.is_file() and path.suffix != ".log"}

    disk.rename(disk.with_name("unmounted"))
    run = project.run("frames")
    gone = "; ".join(f"line {2 + 'abc'.index(name)}: '{name}': 'disk/{name}.png'" for name in on_disk)
    message = f"the footage of {len(on_disk)} of 3 sources is missing: {gone}; mount its disk"
    last = run.output.strip().splitlines()[-1]
    assert run.returncode and message in last and "set `missing_sources: leave_out`; nothing was changed" in last
    assert run.jobs == []
    plan = project.run("frames", "-n")
    assert plan.returncode == 0 and message in plan.output
    assert {path: path.read_bytes() for path in made} == made
    # Another target does not need the footage, and removes nothing that was made of it.
    run = project.run("results/sources/withdrawn.tsv")
    assert run.returncode == 0 and message in run.output, run.output
    assert all(path.exists() for path in made)

    disk.with_name("unmounted").rename(disk)
    run = project.run("frames")
    assert run.returncode == 0 and "admit_sources" not in " ".join(run.jobs), run.output


def test_missing_sources_are_left_out_if_a_setting_says_so_and_count_as_no_damage(project: Project) -> None:
    for seed, name in enumerate("ab"):
        write_image(project.folder / f"{name}.png", seed)
    project.write_manifest([{"source": name, "path": f"{name}.png"} for name in "ab"])
    project.settings |= {"missing_sources": "leave_out", "gates": {"sources": 0}}
    (project.folder / "b.png").rename(project.folder / "c.png")
    run = project.run(*TARGETS)
    assert run.returncode == 0, run.output
    assert admitted(project) == ["a"] and refused(project) == {"b": "missing"}
    assert "is missing: line 3: 'b': 'b.png'" in run.output
    (project.folder / "c.png").rename(project.folder / "b.png")
    assert project.run(*TARGETS).returncode == 0
    assert admitted(project) == ["a", "b"]


def test_footage_that_goes_while_the_run_is_planned_fails_its_job_and_not_its_source(project: Project) -> None:
    # These rules alone, as in a module: nothing stops the run before its jobs.
    write_image(project.folder / "a.png", 1)
    project.write_manifest([{"source": "a", "path": "a.png"}, {"source": "b", "path": "b.png"}])
    run = project.run(*TARGETS)
    assert run.returncode and "admit_sources b: error: source 'b': 'b.png' is not there; mount its disk" in run.output
    assert not (project.results / "sources" / "shards" / "b" / "ledger.jsonl").exists()
