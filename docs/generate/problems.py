"""The catalogue of problem types: every refusal that a caller of the three services can meet."""

from collections.abc import Iterable, Sequence

from services.catalog.problems import CATALOGUE as CATALOG
from services.fulfillment.problems import CATALOGUE as FULFILLMENT
from services.redemption.problems import CATALOGUE as REDEMPTION
from shared.problems import FIELD_SENTENCES, TYPE_PREFIX, Catalogue, ProblemType

SERVICES = {"Catalog": CATALOG, "Redemption": REDEMPTION, "Fulfillment": FULFILLMENT}

HEAD = f"""# Problems

Generated from the code by `python -m docs.generate`; a test compares.

Every refusal is `application/problem+json` (RFC 9457). `type` is `{TYPE_PREFIX}` and the code below, and it is stable.
`detail` is a sentence for the person who asked, in their language (`Accept-Language`: zh-Hans, zh-Hant or en); `title` is the
English one. `recoverable` says that sending the same request again can help, `Retry-After` when. Words in braces are facts,
and the members named in the last column carry facts for programs.
"""


def problems_document() -> str:
    """The whole of docs/problems.md."""
    parts = [HEAD, "## Every service", "", *_table(Catalogue({}).all_types())]
    common = {kind.code for kind in Catalogue({}).all_types()}
    for name, catalogue in SERVICES.items():
        own = [kind for kind in catalogue.all_types() if kind.code not in common]
        parts += [f"## {name}", "", *_table(own)]
    parts += ["## What is wrong with a field", "", "The members of `errors` name a `field`, a `code` and a `detail`.", ""]
    parts += _codes("Every service", FIELD_SENTENCES)
    for name, catalogue in SERVICES.items():
        if catalogue.field_sentences:
            parts += _codes(name, catalogue.field_sentences)
    return "\n".join(parts)


def _table(kinds: Iterable[ProblemType]) -> list[str]:
    lines = ["| code | status | in English | 简体 | 繁體 | again? | members |", "|---|---|---|---|---|---|---|"]
    return [*lines, *map(_row, kinds), ""]


def _row(kind: ProblemType) -> str:
    said = kind.sentences
    again = "" if not kind.recoverable else f"after {kind.retry_after_seconds} s" if kind.retry_after_seconds else "yes"
    members = ", ".join(f"`{name}`" for name in kind.shows)
    return f"| `{kind.code}` | {kind.status} | {said['en']} | {said['zh_hans']} | {said['zh_hant']} | {again} | {members} |"


def _codes(name: str, sentences: object) -> Sequence[str]:
    assert isinstance(sentences, dict)
    rows = [f"| `{code}` | {text['en']} | {text['zh_hans']} | {text['zh_hant']} |" for code, text in sorted(sentences.items())]
    return [f"### {name}", "", "| code | in English | 简体 | 繁體 |", "|---|---|---|---|", *rows, ""]
