"""A chart canvas in pixels: panels, lines, boxes and labels as a few matplotlib collections, and their PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, IdentityTransform, TransformedBbox

from research.types import FloatArray

Align = Literal["left", "center", "right"]
WIDTH, HEIGHT, DPI = 1280, 960, 100
POINTS_PER_PIXEL = 72 / DPI
PNG_COMPRESSION = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle in pixels (origin bottom left) that shows values from `low` to `high`."""

    left: float
    bottom: float
    width: float
    height: float
    low: float
    high: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def top(self) -> float:
        return self.bottom + self.height

    def y(self, values: FloatArray | float) -> FloatArray:
        """The pixel rows of values."""
        return np.asarray(self.bottom + (values - self.low) / (self.high - self.low) * self.height, dtype=np.float64)

    def ticks(self, count: int) -> list[float]:
        """At most `count` + 1 round values inside the panel, none so near an edge that its label would be cut."""
        found = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        margin = 8 * (self.high - self.low) / self.height
        return [float(value) for value in found if self.low + margin <= value <= self.high - margin]


class Canvas:
    """Collects artists in pixel coordinates; nothing global is touched, so threads may draw side by side."""

    def __init__(self, background: str) -> None:
        self._figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=background)
        self._agg = FigureCanvasAgg(self._figure)
        self._drawn = 0
        self._labels: list[tuple[float, float, str, str, FontProperties, Align]] = []

    def lines(
        self,
        paths: Sequence[FloatArray] | FloatArray,
        colors: str | list[str],
        width: float = 1.0,
        *,
        panel: Panel | None = None,
        dashes: tuple[float, float] | None = None,
        crisp: bool = False,
    ) -> None:
        """Polylines of (n, 2) pixel points; `crisp` for straight ones that should sit on whole pixels."""
        style = (0.0, dashes) if dashes else "solid"
        collection = LineCollection(
            list(paths),
            colors=colors,
            linewidths=width * POINTS_PER_PIXEL,
            linestyles=[style],
            antialiaseds=[not crisp],
            transform=IdentityTransform(),
        )
        self._add(collection, panel)

    def polygons(
        self, points: FloatArray, colors: str | list[str], alpha: float = 1.0, panel: Panel | None = None
    ) -> None:
        """Filled polygons from an array of shape (polygons, corners, 2)."""
        collection = PolyCollection(
            list(points), facecolors=colors, edgecolors="none", linewidths=0, alpha=alpha, transform=IdentityTransform()
        )
        self._add(collection, panel)

    def boxes(
        self, x: FloatArray, half_width: float, low: FloatArray, high: FloatArray, colors: list[str], panel: Panel,
        alpha: float = 1.0,
    ) -> None:  # fmt: skip
        """Upright boxes on whole pixels, at least one pixel high."""
        left, right = np.round(x - half_width), np.round(x + half_width)
        bottom, top = np.round(low), np.maximum(np.round(high), np.round(low) + 1)
        corners = np.stack([left, bottom, left, top, right, top, right, bottom], axis=1).reshape(-1, 4, 2)
        self.polygons(corners, colors, alpha, panel)

    def text(
        self, x: float, y: float, words: str, color: str, *, size: float = 12, bold: bool = False, align: Align = "left"
    ) -> None:
        """One line of text, `size` pixels high, centred on the row `y`; texts lie above everything else."""
        self._labels.append((x, y, words, color, _font(size, bold), align))

    def png(self) -> bytes:
        """The picture; the same artists give the same bytes."""
        self._agg.draw()
        renderer = self._agg.get_renderer()
        for label in self._labels:
            _write(renderer, *label)
        return png(np.asarray(self._agg.buffer_rgba())[:, :, :3])

    def _add(self, collection: LineCollection | PolyCollection, panel: Panel | None) -> None:
        if panel is not None:
            box = Bbox.from_bounds(panel.left, panel.bottom, panel.width, panel.height)
            collection.set_clip_box(TransformedBbox(box, IdentityTransform()))
        self._drawn += 1
        collection.set_zorder(self._drawn)
        self._figure.add_artist(collection, clip=panel is not None)


def _font(size: float, bold: bool) -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size * POINTS_PER_PIXEL, weight="bold" if bold else "normal")


def _write(
    renderer: RendererAgg, x: float, y: float, words: str, color: str, font: FontProperties, align: Align
) -> None:
    """Draw one text without the layout of `matplotlib.text.Text`, which takes as long as the rest of the chart."""
    if align != "left":
        width, _, _ = renderer.get_text_width_height_descent(words, font, ismath=False)
        x -= width if align == "right" else width / 2
    context = renderer.new_gc()
    context.set_foreground(color)
    baseline = HEIGHT - y + 0.36 * font.get_size_in_points() / POINTS_PER_PIXEL
    renderer.draw_text(context, x, baseline, words, font, 0)
    context.restore()


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of (rows, columns, 3) pixels; twice as fast as an imaging library, whose filters do not help charts."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(rows.data, PNG_COMPRESSION)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
