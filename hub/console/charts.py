"""Charts as SVG, drawn on the server; in shades that are told apart in black and white, each beside its table."""

import sys
from collections.abc import Mapping, Sequence

import pygal
from pygal.style import Style

# pygal leaves an import hook of a protocol behind that Python dropped in 3.12: others trip over it.
sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]

_STYLE = Style(
    background="#ffffff",
    plot_background="#ffffff",
    foreground="#1a1a1a",
    foreground_strong="#000000",
    foreground_subtle="#555555",
    opacity="1",
    opacity_hover="1",
    colors=("#111111", "#9a9a9a", "#4d6f8f", "#d8d8d8"),
    font_family="sans-serif",
    label_font_size=11,
    legend_font_size=12,
    value_font_size=10,
)


def stacked(labels: Sequence[str], series: Mapping[str, Sequence[float]], unit: str) -> bytes:
    """Bars from left to right, one a label, each made of the series one after the other."""
    chart = pygal.HorizontalStackedBar(
        style=_STYLE,
        js=[],
        width=900,
        height=120 + 32 * max(len(labels), 1),
        legend_at_bottom=True,
        legend_at_bottom_columns=4,
        value_formatter=lambda value: f"{value:.3g} {unit}",
        disable_xml_declaration=True,
        include_x_axis=True,
        explicit_size=True,
    )
    chart.x_labels = list(labels)
    for name, values in series.items():
        chart.add(name, list(values))
    return str(chart.render()).encode("utf-8")


def lines(labels: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str) -> bytes:
    """Values over time, a line each, told apart by its dashes."""
    chart = pygal.Line(
        style=_STYLE,
        js=[],
        width=900,
        height=300,
        legend_at_bottom=True,
        legend_at_bottom_columns=4,
        value_formatter=lambda value: f"{value:.3g} {unit}",
        disable_xml_declaration=True,
        explicit_size=True,
    )
    chart.x_labels = list(labels)
    for number, (name, values) in enumerate(series.items()):
        dash = ("0", "6, 4", "2, 3", "10, 4, 2, 4")[number % 4]
        chart.add(name, list(values), stroke_style={"width": 2.5, "dasharray": dash})
    return str(chart.render()).encode("utf-8")
