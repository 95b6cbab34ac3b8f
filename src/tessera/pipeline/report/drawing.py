"""The parts that figures have in common: colours, style, bars and legends."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which people with any colour vision can distinguish.
BLUE, ORANGE, RED, GREEN, SKY, PURPLE = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9", "#CC79A7"
INK, QUIET = "#222222", "#8a8a8a"
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    # Numbers on axes are whole, not differences from an offset.
    "axes.formatter.useoffset": False,
    # Names of sources may contain dollar signs.
    "text.parse_math": False,
    # Equal figures are equal files.
    "svg.hashsalt": "tessera",
}


class Bar(NamedTuple):
    """A bar of a figure: its name, its parts with length and colour, and the text beside it."""

    name: str
    parts: Sequence[tuple[float, str]]
    text: str


@contextmanager
def new_figure(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of `width` by `height` inches, and write it to `path` in the format that its suffix names."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        yield figure
        suffix = Path(path).suffix
        # Without the date and the version of the library, equal figures are equal files.
        metadata = {"Date": None, "Creator": None} if suffix == ".svg" else None
        figure.savefig(path, dpi=100, metadata=metadata, facecolor="white")


def draw_bars(axes: "Axes", bars: Sequence[Bar], room: float) -> None:
    """Draw horizontal `bars`, the first on top. The axis is `room` times as long as the longest bar, for the text beside it."""
    longest = max(sum(length for length, _ in bar.parts) for bar in bars)
    for place, bar in enumerate(bars):
        end = 0.0
        for length, colour in bar.parts:
            axes.barh(place, length, left=end, height=0.6, color=colour)
            end += length
        axes.annotate(bar.text, (end, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    # Every bar has its number beside it, so a scale would add nothing.
    axes.set_xlim(0, longest * room or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def legend(figure: "Figure", colours: dict[str, str]) -> None:
    """Draw a legend below `figure`: each of `colours` with its name."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=min(len(handles), 8), fontsize=9)


def shorten(text: str, length: int) -> str:
    """Return `text` on one line of at most `length` characters; if it is longer, its middle is cut out."""
    text = " ".join(text.split())
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
