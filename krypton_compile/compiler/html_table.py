"""A table and a few sentences as HTML that a notebook shows: everything escaped, no script, readable in the dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "text-align:left;padding:0 .8em 0 0;white-space:nowrap"
_NUMBER = "text-align:right;padding:0 .8em 0 0;white-space:nowrap;font-variant-numeric:tabular-nums"
_MARKED = ' style="background:rgba(230,140,0,.18)"'
_LONG = 40


def html_table(
    title: str,
    sentences: Iterable[str],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    marked: Sequence[bool],
    numbers: frozenset[str],
) -> str:
    """Write the table.

    Args:
        title: stands above it.
        sentences: stand below the title, a line each.
        header: names of the columns.
        rows: the cells, as many in each row as there are columns.
        marked: for each row, whether it is coloured.
        numbers: names of the columns that are set flush right.
    """
    styles = [_NUMBER if name in numbers else _CELL for name in header]
    head = "".join(f'<th style="{style}">{escape(name)}</th>' for style, name in zip(styles, header, strict=True))
    body = "\n".join(
        f"<tr{_MARKED if is_marked else ''}>"
        + "".join(f'<td style="{style}">{escape(cell)}</td>' for style, cell in zip(styles, row, strict=True))
        + "</tr>"
        for row, is_marked in zip(rows, marked, strict=True)
    )
    table = f'<table style="border-collapse:collapse;font-size:90%"><tr>{head}</tr>\n{body}\n</table>'
    is_open = " open" if len(rows) <= _LONG else ""
    lines = "".join(f'<li style="white-space:pre-wrap">{escape(sentence)}</li>' for sentence in sentences)
    return (
        f"<div><b>{escape(title)}</b><ul>{lines}</ul>\n"
        f"<details{is_open}><summary>{len(rows)} layers</summary>\n{table}\n</details></div>"
    )
