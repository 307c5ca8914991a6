"""Writes docs/states.md and docs/problems.md."""

from pathlib import Path

from docs.generate.problems import problems_document
from docs.generate.states import states_document

DOCS = Path(__file__).resolve().parents[1]

DOCUMENTS = {"states.md": states_document, "problems.md": problems_document}

if __name__ == "__main__":
    for name, document in DOCUMENTS.items():
        (DOCS / name).write_text(document(), encoding="utf-8")
