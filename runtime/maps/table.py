"""Facts, a name and a text each, as a table: for a terminal, and for a notebook with a picture under it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

Facts = Sequence[tuple[str, str]]


def as_text(facts: Facts) -> str:
    """One fact a line, the texts under each other."""
    width = max((len(name) for name, _ in facts), default=0)
    return "\n".join(f"{name:<{width}}  {text}" for name, text in facts)


def as_html(facts: Facts, picture: bytes | None = None) -> str:
    """A table, and a PNG file under it. All texts are escaped: labels are the user's."""
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in facts)
    shown = ""
    if picture is not None:
        data = base64.b64encode(picture).decode("ascii")
        shown = f'<img alt="heat map" src="data:image/png;base64,{data}">'
    return f"<div><table>{rows}</table>{shown}</div>"
