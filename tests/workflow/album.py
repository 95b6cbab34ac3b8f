"""A folder of pictures that grows, shrinks, is renamed and edited, and what people said of the pictures before."""

import csv
import hashlib
import json
from collections.abc import Iterator

import numpy as np
import polars as pl
from PIL import Image
from projects import Project

from tessera.core.files import file_name
from tessera.core.ledger import read_ledger

SOURCE = "my album"
NAME = file_name(SOURCE)
RULES = ["common", "sources", "frames", "labels"]
TARGETS = [f"results/labels/frames/{NAME}/images.parquet", "results/frames/decisions.jsonl"]
SIDE = 24


class Album:
    """A project with a folder of `count` pictures. Labels and decisions of a picture follow from its content, its `number`."""

    def __init__(self, project: Project, count: int) -> None:
        self.project, self.folder = project, project.folder / "album"
        self.folder.mkdir()
        self.made = 0
        self.names = {f"p{2 * number:06d}.png": self.new_picture(f"p{2 * number:06d}.png") for number in range(count)}
        project.write_manifest([{"source": SOURCE, "path": "album"}])
        project.settings["annotations"] = {"frame_labels": "labels"}
        project.settings["frames"] = {"format": "png"}
        project.snakefile = project.write_snakefile(RULES)

    def new_picture(self, name: str) -> int:
        """Write a picture as no other, and return its number."""
        self.made += 1
        image = np.random.default_rng(self.made).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        Image.fromarray(image).save(self.folder / name)
        return self.made

    def run(self) -> str:
        """Import the labels, and return what was printed."""
        run = self.project.run(*TARGETS)
        assert run.returncode == 0, run.output
        return run.output

    def frames(self) -> dict[str, str]:
        """Return the keys of the sampled frames, by the names of their files."""
        table = pl.read_parquet(self.project.results / "frames" / NAME / "frames.parquet")
        return dict(table.select("name", "key").iter_rows())

    def say(self, labelled: list[str], negative: list[str], dropped: list[str]) -> None:
        """Label pictures, each with a box that is as wide as its number says, and decide on others, in this order."""
        keys = self.frames()
        folder = self.project.folder / "labels" / NAME
        folder.mkdir(parents=True)
        for name in labelled:
            width = 5 + self.names[name] % 15
            shape = {"label": "nsfw", "points": [[1, 1], [1 + width, 20]], "shape_type": "rectangle", "group_id": None}
            (folder / f"{keys[name]}.json").write_text(json.dumps({"shapes": [shape], "imagePath": f"{keys[name]}.png"}))
        said = [*((name, "negative") for name in negative), *((name, "drop") for name in dropped)]
        with (self.project.folder / "config" / "decisions.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["key", "decision", "reason", "who", "when"])
            writer.writerows((keys[name], word, f"number {self.names[name]}", "Ada", "2026-01-31") for name, word in said)

    def labels(self) -> Iterator[tuple[str, int | None]]:
        """Yield the name of each labelled picture, and the width of its box; None if it is a negative."""
        folder = self.project.results / "labels" / "frames" / NAME
        boxes = {row["key"]: round(row["x1"] - row["x0"]) for row in pl.read_parquet(folder / "annotations.parquet").to_dicts()}
        names = {key: name for name, key in self.frames().items()}
        for key in pl.read_parquet(folder / "images.parquet")["key"]:
            yield names[key], boxes.get(key)

    def decisions(self) -> dict[str, tuple[str, str]]:
        """Return what became of each decision on a picture, by key: the status and the detail."""
        return {
            row["key"]: (row["status"], row["detail"]) for row in read_ledger(self.project.results / "frames/decisions.jsonl")
        }

    def lost_labels(self) -> dict[str, str]:
        """Return why labels count for no picture, by the key that they are named after."""
        rows = read_ledger(self.project.results / "labels" / "frames" / NAME / "ledger.jsonl")
        return {row["key"]: row["detail"] for row in rows if row["status"] != "ok"}

    def sha256(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()


def expected_labels(album: Album, labelled: list[str], negative: list[str], before: dict[str, int]) -> dict[str, int | None]:
    """Return the labels that the pictures must have now, by their names. They follow from the numbers of the pictures alone."""
    said = {before[name]: 5 + before[name] % 15 for name in labelled} | {before[name]: None for name in negative}
    return {name: said[number] for name, number in album.names.items() if number in said}


def change(album: Album, added: int, removed: list[str], renamed: list[str], edited: list[str]) -> None:
    """Add pictures before, between and after the others, remove, rename and edit some."""
    for number in range(added):
        name = (f"a{number}.png", f"p{2 * number + 1:06d}.png", f"z{number}.png")[number % 3]
        album.names[name] = album.new_picture(name)
    for name in removed:
        (album.folder / name).unlink()
        del album.names[name]
    for number, name in enumerate(renamed):
        other = f"{'az'[number % 2]} renamed {number}.png"
        (album.folder / name).rename(album.folder / other)
        album.names[other] = album.names.pop(name)
    for name in edited:
        album.names[name] = album.new_picture(name)
