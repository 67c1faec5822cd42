"""Cut the passages about one subject out of documents: ``cut_passages.py SUBJECT FILE...``, in place.

Such a passage stands between the comments ``<!-- SUBJECT -->`` and ``<!-- /SUBJECT -->``, which no viewer shows: around
paragraphs, around list items, or behind the last cells of table rows (the row before the passage, and its own last
one). A release that leaves out drill-down runs ``scripts/cut_passages.py drill-down README.md CHANGELOG.md docs/*.md``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def cut_passages(text: str, subject: str) -> str:
    """Return the text without the subject's passages, and without the blank lines that these leave.

    Raises:
        ValueError: if a passage does not end, or ends or begins within another.
    """
    begin, end = f"<!-- {subject} -->", f"<!-- /{subject} -->"
    marks = re.findall(f"{re.escape(begin)}|{re.escape(end)}", text)
    if marks != [begin, end] * (len(marks) // 2):
        raise ValueError(f"marks of '{subject}': expected {begin} and {end} in turn, found {' '.join(marks)}")
    passage = f"{re.escape(begin)}.*?{re.escape(end)}"
    text = re.sub(rf"(?<=\n\n){passage}\n\n?", "", text, flags=re.DOTALL)  # paragraphs of their own
    text = re.sub(rf"^{passage}\n", "", text, flags=re.DOTALL | re.MULTILINE)  # lines within a list
    return re.sub(rf" *{passage}", "", text, flags=re.DOTALL)


def main(arguments: list[str]) -> None:
    """Rewrite the files that have such passages."""
    subject, *files = arguments
    for path in map(Path, files):
        text = path.read_text(encoding="utf-8")
        try:
            without = cut_passages(text, subject)
        except ValueError as error:
            sys.exit(f"{path}: {error}")
        if without != text:
            path.write_text(without, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
