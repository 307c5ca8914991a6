"""The console speaks three languages: no key lacks one, no template holds bare text or asks for words that are not there."""

import re
from html.parser import HTMLParser

import pytest

from services.console.rooms import ROOMS
from services.console.showing import TEMPLATES
from services.console.words import common, customers, desks, problems
from services.console.words.book import BOOK, say
from shared.languages import LANGUAGES

BOOKS = (common.WORDS, customers.WORDS, desks.WORDS, problems.WORDS)
PAGES = sorted(TEMPLATES.rglob("*.html"))
CODE = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
KEY = re.compile(r"""\bt\(\s*["']([a-z_.]+)["']\s*[,)]""")
BEGINNING = re.compile(r"""\bt\(\s*["']([a-z_.]+\.)["']\s*\+""")
READ_OUT = frozenset({"title", "placeholder", "alt", "aria-label", "label", "value"})
MADE = re.compile(
    r"(problem|silent|home|age|parcels\.say|tasks\.done)\..+|(parcels|points|redemptions|vouchers|notices)\.title"
)
"""Keys that the program puts together from what a service says, or a macro from a section's name."""
OWN_NAMES = {"简", "繁", "EN", "/"}  # languages under their own names, and a key of the keyboard


class Bare(HTMLParser):
    """Collects what a page would say whatever the language."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self._see(data)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in READ_OUT:
                self._see(value or "")

    def _see(self, text: str) -> None:
        if re.search(r"[^\W\d_]", text) and text.strip() not in OWN_NAMES:
            self.found.append(text.strip())


def bare_text(source: str) -> list[str]:
    page = Bare()
    page.feed(CODE.sub("", source))
    page.close()
    return page.found


def test_every_key_is_said_in_every_language_with_the_same_facts() -> None:
    for key, sentences in BOOK.items():
        assert len(sentences) == len(LANGUAGES), key
        assert all(sentence.strip() for sentence in sentences), key
        facts = {frozenset(re.findall(r"\{(\w+)\}", sentence)) for sentence in sentences}
        if not key.endswith(".one"):
            assert len(facts) == 1, key


def test_no_key_stands_in_two_books() -> None:
    assert sum(map(len, BOOKS)) == len(BOOK)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(TEMPLATES).as_posix())
def test_no_template_holds_bare_text(page: object) -> None:
    assert bare_text(page.read_text()) == []


@pytest.mark.parametrize(
    "line", ["<p>Hello</p>", '<p title="Hello">{{ x }}</p>', "<p>{{ x }} 点</p>", "{% if x %}a{% endif %}"]
)
def test_bare_text_would_be_seen(line: str) -> None:
    assert bare_text(line)


def test_every_key_that_a_page_asks_for_is_there_and_every_key_is_asked_for() -> None:
    templates = "\n".join(page.read_text() for page in PAGES)
    program = "\n".join(path.read_text() for path in TEMPLATES.parent.rglob("*.py") if "words" not in path.parts)
    asked = set(KEY.findall(templates))
    assert asked - set(BOOK) == set()
    beginnings = tuple(BEGINNING.findall(templates))
    assert all(any(key.startswith(beginning) for key in BOOK) for beginning in beginnings)
    unused = {
        key for key in BOOK
        if key not in asked and not key.startswith(beginnings) and not key.endswith(".one")
        and f'"{key}"' not in program and not any(f'"{key.rpartition(".")[0]}.{{' in part for part in program.splitlines())
    }  # fmt: skip
    assert {key for key in unused if not MADE.fullmatch(key)} == set()


def test_every_room_has_a_name() -> None:
    assert all(f"room.{room.name}" in BOOK for room in ROOMS)


def test_one_thing_is_said_as_one() -> None:
    assert say("en", "find.count", n=1) == "1 customer found"
    assert say("en", "find.count", n=2) == "2 customers found"
    assert say("zh_hans", "find.count", n=2) == "找到 2 位客户"
