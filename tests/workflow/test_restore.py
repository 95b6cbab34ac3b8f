"""`make restore` and `snakemake restore`: from a video and weights to the restored video."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from projects import REPOSITORY, Project
from safetensors.torch import save_file

from clip_shards import film, pictures
from fixed_detector import write_detector
from tessera.core.provenance import sha256_file
from tessera.imaging.side_by_side import caption_height, halves
from tessera.imaging.video import read_frames, read_packets
from tessera.stages.restoration.models import build_generator
from tessera.stages.restoration.settings import GeneratorSettings

NAME = 'Мой фильм, it\'s 100 % "$HOME" `x`'
GENERAL = ("CONTENT=general", "RIGHTS=my own")
FRAMES = 12


def make_restore(project: Project, *variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `make restore` with the `variables` from the folder of the repository, as people do."""
    project.command()  # writes the settings
    # What the environment sets must not count.
    environment = {**os.environ, "RIGHTS": "none", "CONTENT": "general", "ADULTS_VERIFIED": "yes", "COLUMNS": "1000"}
    # The environment of these tests is there already.
    tools = f"BIN={Path(sys.executable).parent}", "-o", ".venv/workflow", "CORES=2"
    command = ["make", "-C", str(REPOSITORY), *tools, "restore", f"PROJECT={project.folder}", *variables]
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, check=False
    )


def rows(project: Project) -> list[dict[str, str]]:
    with (project.folder / "config" / "sources.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture
def own(tmp_path: Path) -> Project:
    """A project with declared weights: a detector that finds a box below a red corner, and a tiny untrained generator."""
    project = Project.create(tmp_path / "Ada's project, $HOME")
    (project.folder / "config" / "sources.tsv").write_text("source\tpath\tcontent\trights\tconsent\tadults_verified\tuse\n")
    detector = write_detector(tmp_path / "detector.onnx", ["nsfw"], sees_corner=True)
    generator = tmp_path / "generator.safetensors"
    save_file(build_generator(GeneratorSettings(channels=8, blocks=1)).state_dict(), generator)
    declared = [{"source": str(path), "sha256": sha256_file(path)} for path in (generator, detector)]
    project.settings = {
        "restore": {"weights": declared[0], "detect": {"weights": declared[1]}, "window": 8, "overlap": 2},
        "restoration": {"data": {"size": 32}},
    }
    return project


def red_corner(path: Path) -> Path:
    images = pictures(FRAMES, 96, 128)
    for image in images:
        image[:8, :8] = (255, 0, 0)
    return film(path, images)


@pytest.mark.workflow
def test_one_command_restores_a_video_of_any_name_and_says_where_it_is(own: Project) -> None:
    video = red_corner(own.folder / f"{NAME}.mp4")
    run = make_restore(own, f"VIDEO={video}", *GENERAL)
    assert run.returncode == 0, run.stdout
    (row,) = rows(own)
    assert row == {
        "source": NAME,
        "path": f"{NAME}.mp4",
        "content": "general",
        "rights": "my own",
        "consent": "",
        "adults_verified": "",
        "use": "restore",
    }
    (restored,) = own.results.glob("restored/*/videos/[!.]*")
    assert str(restored.relative_to(own.folder)) in run.stdout
    assert len(read_packets(restored)) == FRAMES
    shown = own.results / "restored" / restored.parent.parent.name
    (comparison,), (sheet,) = (list((shown / kind).glob("[!.]*")) for kind in ("comparisons", "sheets"))
    image = next(iter(read_frames(comparison, read_packets(comparison)))).image()
    before, after = halves(image)
    assert before.shape == after.shape == (96, 128, 3) and image[: caption_height(128)].max() > 200
    assert cv2.imread(str(sheet)) is not None

    again = make_restore(own, f"VIDEO={video}", *GENERAL)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout
    assert rows(own) == [row]


@pytest.mark.workflow
def test_mosaics_are_restored_without_a_model_of_ones_own(own: Project) -> None:
    own.settings = {}
    photograph = skimage.data.coffee()
    frames = [np.ascontiguousarray(photograph[index : 360 + index, index : 480 + index]) for index in range(FRAMES)]
    for frame in frames:
        blocks = cv2.resize(frame[112:272, 144:336], (12, 10), interpolation=cv2.INTER_AREA)
        frame[112:272, 144:336] = cv2.resize(blocks, (192, 160), interpolation=cv2.INTER_NEAREST)
    run = make_restore(own, f"VIDEO={film(own.folder / 'coffee.mp4', frames)}", *GENERAL)
    assert run.returncode == 0, run.stdout
    assert f"restored in {FRAMES} of {FRAMES} frames" in run.stdout
    assert "the starter detector and restorer learned from photographs alone" in run.stdout
    assert not list(own.results.glob("training/*"))


@pytest.mark.workflow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ((), "VIDEO, CONTENT, RIGHTS are missing: write, for example, make restore VIDEO=film.mp4"),
        (("VIDEO=film.mp4", "CONTENT=general"), "RIGHTS is missing"),
        (("VIDEO={film}", "CONTENT=general", "RIGHTS=my", "own"), "'own' is no target: put a value with spaces in quotes"),
        (("VIDEO=gone.mp4", *GENERAL), "VIDEO: 'gone.mp4' does not exist"),
        (("VIDEO={film}", "CONTENT=adult", "RIGHTS=mine", "CONSENT=r1"), "'film' is refused: adults not verified: "),
        (("VIDEO={film}", "CONTENT=adult", "RIGHTS=mine", "ADULTS_VERIFIED=yes"), "'film' is refused: no consent: "),
    ],
    ids=["nothing", "no rights", "no quotes", "no file", "not verified", "no consent"],
)
def test_what_may_not_be_restored_is_one_line_and_no_row(variables: tuple[str, ...], said: str, own: Project) -> None:
    video = own.folder / "film.mp4"
    video.write_bytes(b"film")
    run = make_restore(own, *(each.replace("{film}", str(video)) for each in variables))
    assert run.returncode != 0
    assert said in run.stdout and "Traceback" not in run.stdout
    assert not rows(own) and not own.results.exists()


@pytest.mark.workflow
def test_settings_can_be_laid_over_those_of_the_project(own: Project) -> None:
    over = own.folder / "for a try.yaml"
    over.write_text("restore: {nonsense: 1}\n")
    run = make_restore(own, f"VIDEO={film(own.folder / 'film.mp4', pictures(3, 48, 64))}", *GENERAL, f"CONFIGFILE={over}")
    assert run.returncode != 0 and "restore.nonsense: unknown key" in run.stdout


@pytest.mark.workflow
def test_videos_that_are_refused_or_fail_are_named_with_the_reason_and_the_others_are_restored(own: Project) -> None:
    listed = film(own.folder / "listed.mp4", pictures(FRAMES, 48, 64))
    blocklist = own.folder / "config" / "blocklist.tsv"
    blocklist.write_text(f"{blocklist.read_text()}{sha256_file(listed)}\t\ta test\n")
    red_corner(own.folder / "good.mp4")
    cv2.imwrite(str(own.folder / "picture.png"), pictures(1, 48, 64)[0])
    (own.folder / "text.mp4").write_text("no video")
    own.write_manifest(
        [
            {"source": "good", "path": "good.mp4", "use": "restore"},
            {"source": "listed", "path": "listed.mp4", "use": "restore"},
            {
                "source": "adult",
                "path": "good.mp4",
                "use": "restore",
                "content": "adult",
                "consent": "",
                "adults_verified": "",
            },
            {"source": "picture", "path": "picture.png", "use": "restore"},
            {"source": "text", "path": "text.mp4", "use": "restore"},
            {"source": "other", "path": "other.mp4", "use": "nsfw_detection"},
        ]
    )
    run = own.run("--keep-going", "--", "restore")
    assert run.returncode != 0
    assert "4 of 5 sources cannot be restored:" in run.output
    for reason in (
        f"listed: source refused: on the blocklist: 'listed.mp4' has the listed sha256 {sha256_file(listed)}: a test\n",
        "adult: source refused: adults not verified; no consent: adult content needs `yes` in `adults_verified`",
        "picture: not a video: image\n",
        "text: source refused: not a media file",
    ):
        assert f"  {reason}" in run.output
    assert [path.name for path in own.results.glob("restored/*/videos/[!.]*")] == ["good.mp4"]
    assert not (own.results / "restored" / "summary.json").exists()
    assert not [job for job in run.jobs if job.startswith(("sample_frames", "train"))]


@pytest.mark.workflow
def test_results_that_cannot_be_written_are_one_line(own: Project) -> None:
    video = red_corner(own.folder / "film.mp4")
    own.results.symlink_to("/sys/kernel")  # where not even root can make a folder
    run = make_restore(own, f"VIDEO={video}", *GENERAL)
    assert run.returncode != 0 and "Traceback" not in run.stdout and "WorkflowError" not in run.stdout
    assert "; free disk space, change permissions or restore the folder, and run again" in run.stdout
    own.results.unlink()
    assert make_restore(own, f"VIDEO={video}", *GENERAL).returncode == 0


@pytest.mark.workflow
@pytest.mark.parametrize("use", ["restore", "nsfw_detection"])
@pytest.mark.parametrize("change", ["no rights", "on the blocklist", "not in the manifest"])
def test_the_next_run_of_everything_removes_the_restored_video_of_a_source_that_is_refused(
    own: Project, change: str, use: str
) -> None:
    videos = {name: red_corner(own.folder / f"{name}.mp4") for name in ("one", "two")}
    videos["two"].write_bytes(videos["two"].read_bytes() + b"\0" * 16)  # no copy of the other
    rows = [{"source": name, "path": f"{name}.mp4", "use": "restore", "shard": "both"} for name in videos]
    own.write_manifest(rows)
    run = own.run("--", "restore")
    assert run.returncode == 0, run.output
    made = own.results / "restored" / "both"
    assert {path.name for path in made.glob("videos/[!.]*")} == {"one.mp4", "two.mp4"}
    if change == "on the blocklist":
        with (own.folder / "config" / "blocklist.tsv").open("a") as file:
            file.write(f"{sha256_file(videos['one'])}\t\ta test\n")
    one, two = ({**row, "use": use} for row in rows)
    # Where no source is restored any more, no job makes the videos.
    own.write_manifest(
        [two] if change == "not in the manifest" else [{**one, "rights": ""} if change == "no rights" else one, two]
    )
    run = own.run(
        "--keep-going", *(() if use == "restore" else ("results/sources/refused.tsv", "results/sources/withdrawn.tsv"))
    )
    files = [path for path in made.rglob("*") if path.is_file()]
    left = {path.name for path in files if path.parent.name == "videos" and path.suffix}
    assert left == ({"two.mp4"} if use == "restore" else set()), run.output
    assert not any("one" in path.name for path in files)


@pytest.mark.workflow
def test_a_restored_video_stays_if_it_is_only_not_to_be_restored_again(own: Project) -> None:
    red_corner(own.folder / "one.mp4")
    own.write_manifest([{"source": "one", "path": "one.mp4", "use": "restore"}])
    run = own.run("--", "restore")
    assert run.returncode == 0, run.output
    own.write_manifest([{"source": "one", "path": "one.mp4", "use": "watermark_detection"}])
    run = own.run("results/sources/refused.tsv", "results/sources/withdrawn.tsv")
    assert run.returncode == 0, run.output
    assert [path.name for path in own.results.glob("restored/*/videos/[!.]*")] == ["one.mp4"]


@pytest.mark.workflow
def test_a_restored_video_may_be_moved_away_and_comes_back_without_being_restored_again(own: Project) -> None:
    video = red_corner(own.folder / "one.mp4")
    assert make_restore(own, f"VIDEO={video}", *GENERAL).returncode == 0
    (restored,) = own.results.glob("restored/*/videos/one.mp4")
    restored.rename(own.folder / "mine.mp4")
    (own.folder / "two.mp4").write_bytes(video.read_bytes() + b"\0" * 16)
    run = make_restore(own, f"VIDEO={own.folder / 'two.mp4'}", *GENERAL)
    assert run.returncode == 0, run.stdout
    folder = restored.parent.relative_to(own.folder)
    assert f"'one': moved or deleted; to get it back, delete the folder {folder} and run again" in run.stdout
    kept = own.results / "restored" / restored.parent.parent.name / "kept"
    items = {path: path.stat().st_mtime_ns for path in kept.rglob("*") if path.is_file()}
    shutil.rmtree(restored.parent)
    run = own.run("--", "restore")
    assert run.returncode == 0 and restored.read_bytes() == (own.folder / "mine.mp4").read_bytes(), run.output
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*") if path.is_file()} == items


@pytest.mark.workflow
def test_without_a_video_or_a_model_one_line_says_what_to_write(own: Project) -> None:
    own.write_manifest([{"source": "one", "path": "one.mp4"}])
    run = own.run("restore", "--dry-run")
    assert run.returncode != 0 and "lists no video to restore: write `restore` into the column `use`" in run.output
    own.write_manifest([{"source": "one", "path": "one.mp4", "use": "restore"}])
    own.settings = {"restore": {"weights": None}}
    run = own.run("restore", "--dry-run")
    assert run.returncode != 0 and "is trained here: write `starter` there, declare weights of Tessera or of Lada" in run.output
    own.settings = {"preview": {"restore": {"weights": None}}}
    run = own.run("restore", "--dry-run")
    assert run.returncode != 0 and "preview.restore: is called `restore` now" in run.output
