"""Random histories of a small project: what people and machines do to it, one run, and a comparison with a fresh project.

A seed draws three to eight steps. After them, one run must succeed and give the same bytes as a fresh project with the same
settings and files, and a second run must have nothing to do. `make histories ARGS="--seeds 0-149"` prints a line per seed.

The compared results are those that the jobs of the fresh run recorded for `verify`: all outputs, but for pages and figures of
`reports`, which show times, and the lists `withdrawn.tsv` of what was removed. Of ledgers, the seconds are left out. Nothing
below the results may have the name of a source that the manifest lists no longer. Logs, benchmarks and the folders named
`kept`, which are not outputs, are not compared, and neither are lost intermediate results: no target asks for them.
"""

import copy
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import small_pipeline
from projects import REPOSITORY, Project, Run

from tessera.imaging.encode import write_video
from tessera.imaging.images import write_image

TARGETS = ("frames", "datasets")
INPUTS = ("config", "footage", "labels")
# The values that a setting is changed to, by its path.
SETTINGS: dict[str, list[Any]] = {
    "frames.quality": [80, 90],
    "frames.every_frames": [8],
    "duplicates.distance": [3],
    "splits.val": [0.3],
    "seed": [1, 2],
    "gates.frames": [0.6],
    "image_sets.stills.pictures.shorter": [40, 48],
    "image_sets.stills.captions.text": ["squares"],
    "image_sets.stills.select.minimum": [32],
}
PRODUCTS = (
    "frames/*/images",
    "datasets/nsfw_detection/images",
    "datasets/nsfw_detection/coco.json",
    "datasets/stills/plain",
    "datasets/*/SHA256SUMS",
)
# What the targets ask for, and what is made again if it is lost.
PRODUCT = r"results/(datasets/[^/]+/|frames/[^/]+/(images/|frames\.parquet))"
FUTURE, PAST = 2_051_222_400, 315_532_800  # 2035 and 1980, as seconds since 1970
LONGEST = 6.0  # seconds after which a run is interrupted at the latest


class Verdict(NamedTuple):
    """What became of the history of a seed: its steps, and what is wrong, nothing if it is as it should be."""

    seed: int
    steps: list[str]
    faults: list[str]
    seconds: float


def begin(project: Project) -> list[dict[str, str]]:
    """Fill `project` with films, an album, two pictures of equal size, labels, a detection dataset and an image set."""
    rows = [small_pipeline.add_source(project, source) for source in ("amber", "clay", "dolomite")]
    rows = [{"source": row["source"], "path": row["path"], "split": row.get("split", "")} for row in rows]
    (project.folder / "footage" / "album").mkdir()
    for number in range(3):
        write_image(project.folder / "footage" / "album" / f"{number}.png", _squares(number, 80, 60))
    # Above the size up to which Snakemake reads files.
    for number, name in enumerate(("plate", "slate")):
        write_image(project.folder / "footage" / f"{name}.bmp", _squares(10 + number, 700, 520))
    rows += [
        {"source": name, "path": f"footage/{path}"}
        for name, path in (("album", "album"), ("plate", "plate.bmp"), ("slate", "slate.bmp"))
    ]
    project.settings = {
        "shards": 2,
        "frames": {"mode": "every", "every_frames": small_pipeline.EVERY},
        "gates": {"sources": 0.9},
        "annotations": {"frame_labels": "labels"},
        "models": {
            "nsfw_detection": {"architecture": "yolo11n-seg.yaml", "training": dict(small_pipeline.TRAINING)},
            "watermark_detection": None,
            "mosaic_detection": None,
        },
        "scenes": {"detect": {"weights": None}},
        "image_sets": {
            "stills": {
                "select": {"minimum": 16},
                "pictures": {"shorter": 32},
                "captions": {"text": "a picture"},
                "layouts": {"plain": {}},
            }
        },
    }
    project.write_manifest(rows)
    return rows


def _squares(seed: int, width: int, height: int) -> np.ndarray:
    levels = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return levels.repeat(20, 0).repeat(20, 1)


class History:
    """A project and what happened to it. `random` decides. `release`: the folder of an older release of Tessera."""

    def __init__(self, project: Project, rows: list[dict[str, str]], seed: int, release: Path) -> None:
        self.project = project
        self.release = release
        self.rows = rows
        self.random = random.Random(seed)
        self.steps: list[str] = []
        self.gone: set[str] = set()  # sources that the manifest lists no longer
        self._past: list[tuple[Path, dict[str, Any], list[dict[str, str]], set[str]]] = []

    def step(self) -> None:
        """Do something, and often run the project after it."""
        name = self.random.choice(list(STEPS))
        if name in EDITS:
            self.remember()
        said = STEPS[name](self)
        self.steps.append(f"{name}{f' ({said})' if said else ''}")
        if name not in RUNS and self.random.random() < 0.5:
            self.run()
            self.steps.append("run")

    def run(self, *options: str) -> Run:
        """Run the project. A lock that a killed run left is removed, as the message of the run says."""
        run = self.project.run(*options, "--", *TARGETS)
        if "--unlock" in run.output:
            self.project.run("--unlock")
            run = self.project.run(*options, "--", *TARGETS)
        return run

    def path(self, *patterns: str) -> Path | None:
        """Return one of the paths in the folder of the project that match `patterns`."""
        found = sorted({path for pattern in patterns for path in self.project.folder.glob(pattern)})
        return self.random.choice(found) if found else None

    def file(self, *folders: str) -> Path | None:
        """Return one of the files in these `folders` of the project."""
        found = [path for folder in folders for path in self.project.folder.glob(f"{folder}/**/[!.]*") if path.is_file()]
        return self.random.choice(sorted(found)) if found else None

    def relative(self, path: Path) -> str:
        return str(path.relative_to(self.project.folder))

    def source(self) -> dict[str, str]:
        return self.random.choice(self.rows)

    def remember(self) -> None:
        kept = self.project.folder.parent / f"past-{len(self._past)}"
        for name in INPUTS:
            shutil.copytree(self.project.folder / name, kept / name)
        self._past.append((kept, copy.deepcopy(self.project.settings), copy.deepcopy(self.rows), set(self.gone)))

    def undo(self) -> str:
        """Restore the settings and files before the last edit, with their times or as new files."""
        if not self._past:
            return "nothing"
        kept, self.project.settings, self.rows, self.gone = self._past.pop()
        copying = self.random.choice([shutil.copy2, shutil.copyfile])
        for name in INPUTS:
            shutil.rmtree(self.project.folder / name)
            shutil.copytree(kept / name, self.project.folder / name, copy_function=copying)
        shutil.rmtree(kept)
        return "same times" if copying is shutil.copy2 else "new times"


def edit_setting(history: History) -> str:
    path = history.random.choice(sorted(SETTINGS))
    value = history.random.choice(SETTINGS[path])
    *parents, last = path.split(".")
    section = history.project.settings
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return f"{path}: {value}"


def add_source(history: History) -> str:
    name = f"source{len(list((history.project.folder / 'footage').iterdir()))}"
    write_video(history.project.folder / "footage" / f"{name}.mp4", small_pipeline.pictures(name), 24)
    history.rows.insert(history.random.randint(0, len(history.rows)), {"source": name, "path": f"footage/{name}.mp4"})
    history.project.write_manifest(history.rows)
    return name


def withdraw(history: History) -> str:
    if len(history.rows) < 5:
        return "nothing"
    row = history.source()
    history.rows.remove(row)
    history.gone.add(row["source"])
    history.project.write_manifest(history.rows)
    return row["source"]


def edit_footage(history: History) -> str:
    row = history.source()
    path = history.project.folder / row["path"]
    seed = history.random.randint(100, 999)
    if path.is_dir():
        write_image(next(iter(sorted(path.iterdir()))), _squares(seed, 80, 60))
    elif path.suffix == ".bmp":
        write_image(path, _squares(seed, 700, 520))
    else:
        write_video(path, small_pipeline.pictures(str(seed)), 24)
    return row["source"]


def swap_footage(history: History) -> str:
    first, second = (history.project.folder / "footage" / f"{name}.bmp" for name in ("plate", "slate"))
    first.rename(first.with_suffix(".tmp"))
    second.rename(first)
    first.with_suffix(".tmp").rename(second)
    return ""


def edit_label(history: History) -> str:
    path = history.path("labels/*/*.json")
    label = json.loads(path.read_text())
    if label["shapes"]:
        label["shapes"][0]["points"] = [[x / 2, y] for x, y in label["shapes"][0]["points"]]
    else:
        label["flags"] = {"sfw": not label["flags"]["sfw"]}
    path.write_text(json.dumps(label))
    return path.name


def block(history: History) -> str:
    if not (films := [row for row in history.rows if (history.project.folder / row["path"]).is_file()]):
        return "nothing"
    row = history.random.choice(films)
    digest = hashlib.sha256((history.project.folder / row["path"]).read_bytes()).hexdigest()
    with (history.project.folder / "config" / "blocklist.tsv").open("a") as file:
        file.write(f"{digest}\t\ta test\n")
    return row["source"]


def empty_rights(history: History) -> str:
    row = history.source()
    row["rights"] = ""
    history.project.write_manifest(history.rows)
    return row["source"]


def reformat(history: History) -> str:
    kind = history.random.choice(["keys", "rows", "CRLF", "comment"])
    manifest = history.project.folder / "config" / "sources.tsv"
    if kind == "keys":
        history.project.settings = dict(reversed(history.project.settings.items()))
        training = history.project.settings["models"]["nsfw_detection"]["training"]
        history.project.settings["models"]["nsfw_detection"]["training"] = dict(reversed(training.items()))
    elif kind == "rows":
        history.random.shuffle(history.rows)
        history.project.write_manifest(history.rows)
    elif kind == "CRLF":
        manifest.write_bytes(manifest.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    else:
        manifest.write_bytes(b"# our footage\n" + manifest.read_bytes())
    return kind


def stop(history: History, which: signal.Signals) -> str:
    """Run the project, and send a signal after a random time: an interrupt to Snakemake, a kill to all its processes."""
    process = history.project.start("--", *TARGETS)
    seconds = history.random.uniform(1, LONGEST)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
    if process.poll() is None:
        if which is signal.SIGKILL:
            os.killpg(process.pid, which)
        else:
            process.send_signal(which)
    output = process.communicate(timeout=120)[0].decode(errors="replace")
    if "--unlock" in output:
        history.project.run("--unlock")
    return f"after {seconds:.1f} s"


def fail_by_label(history: History) -> str:
    """Run the project while the file of a label is cut off, and mend it, with its time or a new one."""
    path = history.path("labels/*/*.json")
    content, times = path.read_bytes(), path.stat()
    path.write_bytes(content[: len(content) // 2])
    run = history.run()
    path.write_bytes(content)
    if has_old_time := history.random.random() < 0.5:
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return f"{path.name}, {'same time' if has_old_time else 'new time'}, {'stopped' if run.returncode else 'went on'}"


def fail_by_size(history: History) -> str:
    """Change a setting and run the project where no file can become larger than a random size, as on a disk that is full."""
    changed = _change_setting(history)
    size = round(10 ** history.random.uniform(2.5, 5))
    process = history.project.start("--", *TARGETS)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
    process.communicate(timeout=1200)
    return f"{changed}, {size} bytes, {'stopped' if process.returncode else 'went on'}"


def fail_by_kill(history: History) -> str:
    """Change a setting and run the project, and kill some of its jobs, as a machine does that has no memory left."""
    changed = _change_setting(history)
    number = history.random.randint(1, 4)
    process = history.project.start("--", *TARGETS)
    killed = set[int]()
    while process.poll() is None and len(killed) < number:
        with suppress(psutil.NoSuchProcess):
            jobs = [child for child in psutil.Process(process.pid).children() if child.pid not in killed]
            # One at a time, so that the run is somewhere else each time.
            if jobs and history.random.random() < 0.3:
                jobs[0].kill()
                killed.add(jobs[0].pid)
        time.sleep(0.2)
    process.communicate(timeout=1200)
    return f"{changed}, {len(killed)} jobs, {'stopped' if process.returncode else 'went on'}"


def _change_setting(history: History) -> str:
    history.remember()
    return edit_setting(history)


def delete_result(history: History) -> str:
    records = [json.loads(path.read_text()) for path in sorted(history.project.results.glob("logs/**/*.json"))]
    outputs = sorted({output for record in records for output in record if (history.project.folder / output).exists()})
    return _delete(history, history.project.folder / history.random.choice(outputs)) if outputs else "nothing"


def delete_folder(history: History) -> str:
    return _delete(history, history.path("results/*", "results/*/*"))


def delete_product(history: History) -> str:
    return _delete(history, history.path(*(f"results/{product}" for product in PRODUCTS)))


def _delete(history: History, path: Path | None) -> str:
    if path is None:
        return "nothing"
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return history.relative(path)


def delete_notes(history: History) -> str:
    shutil.rmtree(history.project.folder / ".snakemake", ignore_errors=True)
    return ""


def copy_project(history: History, copying: Callable[..., Any]) -> str:
    """Go on with a copy of the project in another folder; the former one is removed."""
    old = history.project.folder
    new = old.with_name(f"{old.name}x")
    shutil.copytree(old, new, symlinks=True, copy_function=copying)
    shutil.rmtree(old)
    history.project.folder = new
    return ""


def touch(history: History, *folders: str, seconds: int | None = None) -> str:
    path = history.file(*folders)
    if path is None:
        return "nothing"
    os.utime(path, None if seconds is None else (seconds, seconds))
    return history.relative(path)


def run_by_times(history: History) -> str:
    history.run("--rerun-triggers", "mtime")
    return ""


def run_release(history: History) -> str:
    """Run the project with the release before this version, which knows nothing of records."""
    options, environment = history.project.command("--cores", "2", snakefile=history.release / "Snakefile")
    options[options.index("--workflow-profile") + 1] = str(history.release / "profiles" / "default")
    command = [sys.executable, "-m", "snakemake", *options]
    environment["PYTHONPATH"] = str(history.release / "src")
    for further in ([], ["--unlock"], []):
        done = subprocess.run(
            [*command, *further, "--", *TARGETS], env=environment, capture_output=True, text=True, timeout=1200
        )
        if "--unlock" not in done.stderr + done.stdout:
            break
    return "ended" if done.returncode == 0 else "failed"


def run_unmounted(history: History) -> str:
    """Run the project while its footage is not there, as if its disk were not mounted."""
    footage = history.project.folder / "footage"
    footage.rename(footage.with_name("unmounted"))
    run = history.run()
    footage.with_name("unmounted").rename(footage)
    return "stopped" if run.returncode else "went on"


def link_results(history: History) -> str:
    """Move the results to another place, with a link to it."""
    results = history.project.results
    if results.is_symlink():
        return "nothing"
    results.symlink_to(results.rename(history.project.folder.with_name("disk")))
    return ""


EDITS: dict[str, Callable[[History], str]] = {
    "edit a setting": edit_setting,
    "add a source": add_source,
    "withdraw a source": withdraw,
    "edit footage": edit_footage,
    "swap footage of equal size": swap_footage,
    "edit a label": edit_label,
    "block a source": block,
    "empty rights": empty_rights,
    "format otherwise": reformat,
}
RUNS: dict[str, Callable[[History], str]] = {
    "interrupt a run": lambda history: stop(history, signal.SIGINT),
    "kill a run": lambda history: stop(history, signal.SIGKILL),
    "run by times": run_by_times,
    "run without the disk": run_unmounted,
    "run an older release": run_release,
    "fail by a label": fail_by_label,
    "fail by a full disk": fail_by_size,
    "fail by a killed job": fail_by_kill,
}
STEPS: dict[str, Callable[[History], str]] = {
    **EDITS,
    **RUNS,
    "undo": History.undo,
    "delete a result": delete_result,
    "delete a folder of results": delete_folder,
    "delete a product": delete_product,
    "delete .snakemake": delete_notes,
    "copy without times": lambda history: copy_project(history, shutil.copyfile),
    "copy with times": lambda history: copy_project(history, shutil.copy2),
    "move the results behind a link": link_results,
    "touch a result": lambda history: touch(history, "results"),
    "touch an input": lambda history: touch(history, *INPUTS),
    "date an input into the future": lambda history: touch(history, *INPUTS, seconds=FUTURE),
    "date an input into the past": lambda history: touch(history, *INPUTS, seconds=PAST),
    "date a result into the future": lambda history: touch(history, "results", seconds=FUTURE),
}


def contents(project: Project, outputs: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the path in the project and a digest of each file of `outputs`. Of ledgers, the seconds do not count."""
    for output in outputs:
        top = project.folder / output
        for path in sorted([top, *top.rglob("[!.]*")]):
            if path.is_file():
                content = path.read_bytes()
                if path.suffix == ".jsonl":
                    content = re.sub(rb'"seconds": [\d.e-]+', b"", content)
                yield str(path.relative_to(project.folder)), hashlib.sha256(content).hexdigest()


def compared_outputs(project: Project) -> list[str]:
    """Return the outputs of the jobs of `project` that are compared."""
    records = [json.loads(path.read_text()) for path in project.results.glob("logs/**/*.json")]
    outputs = {output for record in records for output in record}
    return sorted(
        output for output in outputs if not output.startswith("results/reports/") and not output.endswith("/withdrawn.tsv")
    )


def faults_after(history: History, fresh: Project) -> list[str]:
    """Run the project of `history`, and return what is not as in a project that is made in the folder of `fresh`."""
    project = history.project
    for name in INPUTS:
        # With new times, because a fresh project has no trouble with them.
        shutil.copytree(project.folder / name, fresh.folder / name, dirs_exist_ok=True, copy_function=shutil.copyfile)
    fresh.settings = project.settings
    expected = fresh.run("--", *TARGETS)
    run = history.run()
    if run.returncode != expected.returncode:
        return [f"the run ends with {run.returncode}, a fresh one with {expected.returncode}: {_reason(run, expected)}"]
    if expected.returncode:
        return []
    outputs = compared_outputs(fresh)
    right, found = dict(contents(fresh, outputs)), dict(contents(project, outputs))
    faults = [f"missing: {path}" for path in right.keys() - found.keys() if re.match(PRODUCT, path)]
    faults += [f"left over: {path}" for path in found.keys() - right.keys()]
    faults += [f"differs: {path}" for path in right.keys() & found.keys() if right[path] != found[path]]
    named = [path for path in project.results.rglob("*") if re.split(r"[-.]", path.name)[0] in history.gone]
    faults += [f"of a withdrawn source: {history.relative(path)}" for path in named if "logs" not in path.parts]
    again = history.run()
    if "othing to be done" not in again.output:
        faults.append(f"a second run makes {len(again.jobs)} jobs: {', '.join(again.jobs[:3])}")
    return sorted(faults)


def _reason(*runs: Run) -> str:
    """Return the first error that a run names, or its last line, of the first of `runs` that failed."""
    output = next((run.output.strip() for run in runs if run.returncode), "")
    error = re.search(r"\berror: .+", output)
    return error[0] if error else output.splitlines()[-1]


def play(seed: int, template: Path, folder: Path, *, keep: bool = False) -> Verdict:
    """Play the history of `seed` in `folder`, from a copy of the finished project `template`.

    `keep`: whether the projects stay there for a look if something is wrong.
    """
    start = time.monotonic()
    shutil.copytree(template, folder / "project", symlinks=True)
    project = Project(folder / "project")
    begun = json.loads((template / "begun.json").read_text())
    project.settings = begun["settings"]
    history = History(project, begun["rows"], seed, template.with_name("release"))
    for _ in range(history.random.randint(3, 8)):
        history.step()
    faults = faults_after(history, Project.create(folder / "fresh"))
    if not (keep and faults):
        shutil.rmtree(folder)
    return Verdict(seed, history.steps, faults, time.monotonic() - start)


def write_release(folder: Path) -> None:
    """Write the newest release before this version to `folder`, from the history of the repository."""
    git = ["git", "-C", str(REPOSITORY)]
    tag = subprocess.run([*git, "describe", "--tags", "--abbrev=0"], check=True, capture_output=True, text=True).stdout.strip()
    archive = folder.with_suffix(".tar")
    subprocess.run([*git, "archive", f"--output={archive}", tag], check=True)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")


def write_template(folder: Path) -> None:
    """Make a finished project in `folder`, that histories begin with."""
    project = Project.create(folder)
    rows = begin(project)
    run = project.run("--", *TARGETS)
    assert run.returncode == 0, run.output
    (folder / "begun.json").write_text(json.dumps({"settings": project.settings, "rows": rows}))


def campaign(seeds: range, folder: Path, *, keep: bool = False, at_once: int = 2) -> Iterator[Verdict]:
    """Play the histories of `seeds` in `folder`, and yield what became of each."""
    write_template(folder / "template")
    write_release(folder / "release")
    with ProcessPoolExecutor(at_once) as pool:
        given = [pool.submit(play, seed, folder / "template", folder / str(seed), keep=keep) for seed in seeds]
        for each in given:
            yield each.result()


def table(verdicts: list[Verdict]) -> str:
    """Return in how many histories each step occurs, and how many of these have a fault, as Markdown."""
    counts, faulty = Counter[str](), Counter[str]()
    for verdict in verdicts:
        kinds = {step.partition(" (")[0] for step in verdict.steps}
        counts.update(kinds)
        faulty.update(kinds if verdict.faults else ())
    lines = ["| step | histories | with a fault |", "|---|---|---|"]
    lines += [f"| {kind} | {counts[kind]} | {faulty[kind]} |" for kind in sorted(counts)]
    right = sum(not verdict.faults for verdict in verdicts)
    return "\n".join([*lines, "", f"{right} of {len(verdicts)} histories are as they should be"])


def main() -> int:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-9", help="the first and the last seed, such as 0-149")
    parser.add_argument("--keep", type=Path, help="a new folder in which the projects with faults stay")
    given = parser.parse_args()
    first, last = map(int, re.fullmatch(r"(\d+)(?:-(\d+))?", given.seeds).groups(default=given.seeds))
    verdicts = []
    with tempfile.TemporaryDirectory() as temporary:
        for verdict in campaign(range(first, last + 1), given.keep or Path(temporary), keep=bool(given.keep)):
            verdicts.append(verdict)
            print(f"{verdict.seed}: {'ok' if not verdict.faults else 'FAULTS'}, {verdict.seconds:.0f} s", flush=True)
            if verdict.faults:
                print(*(f"    {step}" for step in verdict.steps), sep="\n")
                print(*(f"  {fault}" for fault in verdict.faults[:5]), sep="\n")
                print(f"  {len(verdict.faults)} in all", flush=True)
    print(table(verdicts))
    return int(any(verdict.faults for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
