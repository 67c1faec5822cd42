"""The report as text, in a line, and in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

from krypton_compile import Report, compile
from krypton_compile.compiler.report import Fallback, LayerReport
from tests.support.small import small_model


class Table(HTMLParser):
    """The cells of a table, the coloured rows, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.marked: list[bool] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.marked.append("style" in dict(attrs))
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def hostile() -> Report:
    layers = [
        LayerReport("<b>&'c", "Conv", (1, 8, 6, 6), "incremental", "", (4, 4), 1_000_000, 5e5, 2.5e5),
        LayerReport("d", "<script>", (1, 8, 6, 6), "dense", "a < b & c", None, 1_000_000, 1e6, 1e6),
        LayerReport("e", "Gemm", (1, 5), "dense", "class vector, no spatial axes left", None, 0, 0.0, 0.0),
    ]
    fallback = Fallback("<script>", ("d",), (1, 8, 6, 6), "a < b & c", 0.5, 1.6, None)
    return Report("<i>net</i>.onnx", (2, 2), (1, 1), 25, layers, notes=["<u>note</u>"], fallbacks=[fallback])


def test_a_printed_report_is_its_lines() -> None:
    _, report = compile(small_model())
    assert str(report) == "\n".join(report.lines())
    assert str(report).splitlines()[0].split() == "layer op shape became growth MACs incremental reason".split()


def test_a_report_in_a_prompt_is_a_line() -> None:
    _, report = compile(small_model())
    assert "\n" not in repr(report)
    assert len(repr(report)) < 300
    assert f"{len(report.layers)} layers" in repr(report)
    assert report.verification in repr(report)


def test_a_notebook_shows_a_table_and_nothing_runs_in_it() -> None:
    text = hostile()._repr_html_()
    table = Table(text)
    assert not table.open
    assert table.rows[0] == "layer op shape became growth MACs incremental reason".split()
    assert table.rows[1][:5] == ["<b>&'c", "Conv", "1x8x6x6", "incremental", "4x4"]
    assert table.rows[2][1] == "<script>"
    assert table.rows[2][-1] == "a < b & c"
    assert table.marked == [False, False, True, False]  # a classifier's vectors are no fallback
    for tag in ("<script", "<i>", "<u>"):
        assert tag not in text
    assert "&lt;u&gt;note" in text


def test_many_layers_are_folded() -> None:
    report = hostile()
    assert "<details open>" in report._repr_html_()
    report.layers *= 20
    assert "<details>" in report._repr_html_()
