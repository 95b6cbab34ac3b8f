"""Declaration of the demo footage: its videos and images, and their content."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import PurePosixPath
from typing import Any, Literal

LABEL = "nsfw"
LABEL_EVERY = 8  # frames; the frames that the demo samples


@dataclass(frozen=True)
class Scene:
    """One camera move over one photograph, and the objects in front of it."""

    photograph: str
    seconds: float = 4
    subjects: int = 1
    players: tuple[str, ...] = ("cat",)  # cut-outs that play the subjects, in turns
    shape: Literal["ellipse", "circle", "rectangle"] = "ellipse"  # of the subjects
    decoys: tuple[str, ...] = ()  # cut-outs that move like a subject, but are not labelled
    disc: str = ""  # cut-out that hovers in front of the first subject, so that its region has a hole
    pillar: str = ""  # photograph for a pillar in the foreground, which splits the region of a subject behind it


@dataclass(frozen=True)
class Clip:
    """A video. It is a source of the manifest."""

    source: str
    scenes: tuple[Scene, ...]
    width: int = 320
    height: int = 240
    rate: Fraction = Fraction(24)
    watermark: Literal["text", "logo", ""] = ""
    mosaic: bool = False  # whether the subjects are pixelated
    truncated: bool = False  # whether the file is cut off


@dataclass(frozen=True)
class Still:
    """An image: of a source in the manifest, or of a folder of labels."""

    file: str
    scene: Scene
    source: str = ""  # empty: of a folder of labels, with its label file beside it
    copy_of: str = ""  # file that shows the same picture
    width: int = 320  # pixels
    quality: int = 92  # of JPEG

    @property
    def name(self) -> str | None:
        """Its path below its source; None if the source is the image itself."""
        path = PurePosixPath(self.file)
        return path.name if path.parent.name == self.source else None


CLIPS = (
    Clip("garage", (Scene("motorcycle_left"),)),
    Clip("coffee table", (Scene("coffee", decoys=("helmet",)),)),
    Clip("launch pad", (Scene("rocket", 2), Scene("hubble", 2.4, subjects=2)), 320, 180, Fraction(30000, 1001)),
    Clip("laboratory", (Scene("ihc", 2.5), Scene("retina", 1.5, subjects=0, decoys=("cup",))), 256, 256),
    Clip("courtyard", (Scene("brick", 5, pillar="gravel"),)),
    Clip("meadow", (Scene("grass", disc="cup"),), watermark="text"),
    Clip("coin fair", (Scene("coins", subjects=2),), watermark="logo"),
    Clip("empty garage", (Scene("motorcycle_left", 2, 0, decoys=("planet", "helmet")), Scene("coffee", 1.5, 0))),
    Clip("documentary", (Scene("camera", 2), Scene("rocket", 1.5, pillar="brick"), Scene("ihc", 2)), 240, 320, Fraction(25)),
    Clip("moonlight", (Scene("moon", 3, disc="planet"), Scene("hubble", 1, subjects=0))),
    Clip("studio", (Scene("astronaut", decoys=("cup",)),)),
    Clip("driveway", (Scene("gravel", 2.5, pillar="brick"), Scene("motorcycle_right", 2.5, subjects=2))),
    Clip("workshop", (Scene("motorcycle_right", 3, disc="cup"), Scene("page", 1, subjects=0))),
    Clip("censored", (Scene("coffee", 3),), mosaic=True),
    Clip("found footage", (Scene("moon", 1.5),)),
    Clip("unverified", (Scene("brick", 1.5),)),
    Clip("broken", (Scene("grass", 1.5),), truncated=True),
)

# The stills of a source that feeds the image set alone: photographs, and the cut-outs in front of them.
GALLERY = (
    *product(("brick", "camera", "grass", "rocket", "hubble", "motorcycle_left"), (("cup",), ("helmet",), ("planet",))),
    *product(("gravel", "coins", "moon", "retina"), (("cup", "cat"), ("helmet", "planet"))),
)
STILLS = (
    Still("images/mug.png", Scene("coffee"), "mug"),
    Still("images/mug web.jpg", Scene("coffee"), "mug web", copy_of="images/mug.png", quality=40),
    Still("images/mug small.jpg", Scene("coffee"), "mug small", copy_of="images/mug.png", width=200),
    Still("images/album/1.jpg", Scene("rocket"), "album"),
    Still("images/album/2.jpg", Scene("coins", decoys=("planet",)), "album"),
    Still("images/album/3.png", Scene("motorcycle_left", subjects=0), "album", width=400),
    Still("images/album/4.jpg", Scene("brick", subjects=2), "album"),
    Still("images/album/5.jpg", Scene("camera", pillar="gravel"), "album"),
    Still("images/album/6.png", Scene("retina", subjects=0, decoys=("helmet",)), "album"),
    Still("labels/stills/polygon.jpg", Scene("ihc")),
    Still("labels/stills/two.jpg", Scene("grass", subjects=2)),
    Still("labels/stills/circle.jpg", Scene("coins", shape="circle")),
    Still("labels/stills/circle and decoy.png", Scene("coffee", shape="circle", decoys=("helmet",))),
    Still("labels/stills/rectangle.jpg", Scene("brick", shape="rectangle")),
    Still("labels/stills/rectangle and decoy.jpg", Scene("moon", shape="rectangle", decoys=("cup",)), width=360),
    Still("labels/stills/parts.jpg", Scene("rocket", pillar="brick")),
    Still("labels/stills/hole.jpg", Scene("motorcycle_left", disc="cup")),
    Still("labels/stills/hole and parts.png", Scene("camera", pillar="gravel", disc="planet")),
    Still("labels/stills/nobody.jpg", Scene("hubble", subjects=0)),
    Still("labels/stills/nobody again.jpg", Scene("grass", subjects=0, decoys=("planet", "cup"))),
    *(
        Still(f"images/gallery/{number:02}.jpg", Scene(photograph, subjects=len(players), players=players), "gallery")
        for number, (photograph, players) in enumerate(GALLERY)
    ),
)

# The photographs for the set of watermarks, by split.
MARKED = {
    "train": ("camera", "chelsea", "coffee", "coins", "grass", "brick", "ihc", "moon", "motorcycle_left", "retina", "rocket"),
    "val": ("astronaut", "clock_motion", "gravel", "hubble"),
}
CUTS = {"train": 14, "val": 10}  # pictures cut out of each photograph
MARKED_CLASSES = ("text", "logo")
# Settings of `DrawSettings`: marks that are large enough for a small detector to learn in minutes.
MARKS: dict[str, Any] = {"marks": (1, 2), "logo_size": (0.2, 0.5), "text_size": (0.08, 0.2), "length": (4, 12)}
# The reference pictures of each cut-out: the photographs behind it, and how far it is turned, in radians.
REFERENCES = ("brick", "grass")
ANGLES = (-0.25, 0.0, 0.25)
MIRRORED = "mirrored"  # the appearance of a cut-out that is mirrored, as it may be in a scene
