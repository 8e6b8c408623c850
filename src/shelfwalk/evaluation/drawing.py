"""One drawing as inline SVG that follows the page: light or dark, no outside resource, no clash of names.

In: a function that draws on matplotlib axes. Out: an `<svg>` element as text. matplotlib knows no CSS variables, so
drawings use stand-in colours (`INK`, `FAINT`, `SERIES`) that become `var(--ink)` and the like; the page defines those
for light and dark. Text stays text, so it can be read aloud, searched and scaled.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010101"
FAINT = "#020202"
SERIES = ("#040401", "#040402", "#040403", "#040404", "#040405", "#040406")
_VARIABLES = {INK: "ink", FAINT: "faint"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES, start=1)
}

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shelfwalk",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(name: str, alternative: str, size: tuple[float, float], paint: Callable[[Axes], None]) -> str:
    """Let `paint` draw on axes of `size` inches and return the SVG element.

    `name` makes the ids inside the drawing differ from those of others on the page; `alternative` is what a reader who
    cannot see the drawing is told.
    """
    import matplotlib
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # The browser draws the text with its own fonts, so a letter that matplotlib's font lacks does no harm.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.add_subplot())
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(text.getvalue(), name, alternative)


def label(text: str, length: int = 28) -> str:
    """Return `text` on one line, without characters that cannot be printed, cut to `length` with an ellipsis."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def drawing_name(*parts: str) -> str:
    """Return a name for `draw` made of any texts; different texts give different names."""
    return "-".join(re.sub(r"[^A-Za-z0-9]", lambda match: f"_{ord(match[0]):x}_", part) for part in parts)


def _inline(document: str, name: str, alternative: str) -> str:
    root = ElementTree.fromstring(document)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in {"metadata", "style"}:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _renamed(value, key, name) for key, value in element.attrib.items()}
    width, height = root.attrib.pop("width"), root.attrib.pop("height")
    root.attrib.update({"role": "img", "aria-label": alternative, "style": f"max-width:calc(1.4*{width})"})
    root.attrib.setdefault("viewBox", f"0 0 {width.rstrip('pt')} {height.rstrip('pt')}")
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _renamed(value: str, attribute: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if _local(attribute) == "href":
        return value.replace("#", f"#{name}-", 1)
    value = re.sub(r"url\(#", f"url(#{name}-", value)
    return re.sub("|".join(_VARIABLES), lambda match: f"var(--{_VARIABLES[match[0]]})", value)
