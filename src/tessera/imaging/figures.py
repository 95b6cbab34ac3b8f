"""The parts that figures have in common: themes, colours, style, bars and legends."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which people with any colour vision can distinguish.
BLUE, ORANGE, RED, GREEN, SKY, PURPLE = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9", "#CC79A7"
# What is not data has a colour for each theme of the reader. Texts have a contrast of 4.5 or more on `paper` and `tint`.
LIGHT = {"paper": "#ffffff", "ink": "#222222", "quiet": "#5a5a63", "line": "#d8d8de", "tint": "#f4f4f6", "link": "#0b57b8"}
DARK = {"paper": "#17181b", "ink": "#e4e4e8", "quiet": "#a6a6b0", "line": "#3a3b42", "tint": "#23252a", "link": "#8ab8f5"}
INK, QUIET, TINT = LIGHT["ink"], LIGHT["quiet"], LIGHT["tint"]


class Bar(NamedTuple):
    """A bar of a figure: its name, its parts with length and colour, and the text beside it."""

    name: str
    parts: Sequence[tuple[float, str]]
    text: str


@contextmanager
def new_figure(path: Path, width: float, height: float) -> Iterator["Figure"]:
    """Yield a figure of `width` by `height` inches, and write it to `path` in the format that its suffix names.

    An SVG has its own background, and follows the theme of the reader. Another picture cannot: it is dark, which does not glare
    in either theme.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    is_themed = Path(path).suffix == ".svg"
    with matplotlib.rc_context(_style(LIGHT if is_themed else DARK)):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        yield figure
        if not is_themed:
            figure.savefig(path, dpi=100)
            return
        svg = io.StringIO()
        # Without the date and the version of the library, equal figures are equal files.
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        Path(path).write_text(svg.getvalue().replace("</style>", f"{_dark_style()}</style>", 1), encoding="utf-8")


def _style(theme: Mapping[str, str]) -> dict[Any, Any]:
    """Return the settings of the library for figures whose paper and ink are those of `theme`."""
    from cycler import cycler

    return {
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, SKY, RED]),
        "legend.frameon": False,
        **dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme["paper"]),
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), theme["ink"]),
        **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), theme["quiet"]),
        # Numbers on axes are whole, not differences from an offset.
        "axes.formatter.useoffset": False,
        # Names of sources may contain dollar signs.
        "text.parse_math": False,
        # Equal figures are equal files.
        "svg.hashsalt": "tessera",
    }


def _dark_style() -> str:
    """Return the CSS that replaces the colours of `LIGHT` by those of `DARK` where the reader prefers a dark theme.

    The file states the light colours, so that programs that know no media queries show them. The library writes colours into
    attributes `style`, which rules find and overrule.
    """
    rules = [
        f'[style*="{part}: {colour}"] {{{part}: {DARK[name]} !important}}'
        for part in ("fill", "stroke")
        for name, colour in LIGHT.items()
    ]
    return "\n".join(["\n@media (prefers-color-scheme: dark) {", *rules, "}\n"])


def draw_bars(axes: "Axes", bars: Sequence[Bar], stretch: float) -> None:
    """Draw horizontal `bars`, the first on top. The axis is `stretch` times the longest bar, for the text beside it."""
    longest = max(sum(length for length, _ in bar.parts) for bar in bars)
    for row, bar in enumerate(bars):
        end = 0.0
        for length, colour in bar.parts:
            axes.barh(row, length, left=end, height=0.6, color=colour)
            end += length
        axes.annotate(bar.text, (end, row), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    # Every bar has its number beside it, so a scale would add nothing.
    axes.set_xlim(0, longest * stretch or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def legend(figure: "Figure", colours: dict[str, str]) -> None:
    """Draw a legend below `figure`: each of `colours` with its name."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower left", ncols=columns(figure, list(colours)), fontsize=9)


def columns(figure: "Figure", names: Sequence[str]) -> int:
    """Return how many columns a legend of `names` at font size 9 may have without being wider than `figure`."""
    # A letter is about 0.085 inches wide, and the handle and the gaps of an entry are 0.6.
    widest = max((0.085 * len(name) + 0.6 for name in names), default=1)
    return max(1, min(len(names), int(figure.get_figwidth() / widest)))


def shorten(text: str, length: int) -> str:
    """Return `text` on one line of at most `length` characters; if it is longer, its middle is cut out."""
    text = " ".join(text.split())
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"
