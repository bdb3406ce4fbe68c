"""HTML and SVG as values. Text is escaped where it becomes markup, so that no caller can forget it."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# XML 1.0, section 2.2: a document with one of these is not well-formed, even as a character reference.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VOID = frozenset({"meta", "br", "hr", "img", "col"})


class Markup(str):
    """Text that is markup already. Whoever makes one from other text answers for its escaping."""

    __slots__ = ()


Child = str | None
Attribute = str | float | bool | None


def plain(text: str) -> Markup:
    """Return text as markup: escaped, and with a replacement for characters that XML cannot hold."""
    return text if isinstance(text, Markup) else Markup(escape(_NOT_XML.sub("\ufffd", text)))


def element(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element.

    Args:
        tag: Its name, a constant of this package.
        children: What it contains: markup as it is, other text escaped, None left out.
        attributes: Its attributes: ``class_`` for ``class``, hyphens as underscores. None and False leave one out.
    """
    written = "".join(
        f' {_name(name)}="{plain(_value(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    inner = join(children)
    if not inner and tag in _VOID:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def join(parts: Iterable[Child]) -> Markup:
    """Return parts one after another."""
    return Markup("".join(plain(part) for part in parts if part is not None))


def style(sheet: str) -> Markup:
    """Return a style element. The sheet is a constant of this package: it is not escaped."""
    return Markup(f"<style>{sheet}</style>")


def link(address: str | None, text: str) -> Markup:
    """Return a link, or the text alone where there is no address, or one that a browser would run."""
    scheme = re.match(r"[\s\x00-\x1f]*([^/?#:]*):", address or "")
    if not address or (scheme and scheme[1].lower() not in {"http", "https", "mailto"}):
        return plain(text)
    return element("a", text, href=address)


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]], *, caption: str | None = None) -> Markup:
    """Return a table that scrolls by itself where it is too wide, also by keyboard.

    Args:
        heads: The columns' heads.
        rows: The cells; the first of each row is its head.
        caption: What the table holds, for those who do not see what stands above it.
    """
    head = element("tr", *(element("th", text, scope="col") for text in heads))
    body = (
        element(
            "tr",
            *(
                element("td" if number else "th", cell, scope=None if number else "row")
                for number, cell in enumerate(row)
            ),
        )
        for row in rows
    )
    whole = element(
        "table",
        element("caption", caption, class_="ld-hidden") if caption else None,
        element("thead", head),
        element("tbody", *body),
    )
    return element("div", whole, class_="ld-wide", tabindex="0", role="region", aria_label=caption or heads[0])


def page(title: str, sheet: str, *body: Child) -> str:
    """Return a whole HTML document that loads nothing and runs nothing: its policy forbids both.

    Args:
        title: Its title.
        sheet: Its style sheet.
        body: What it contains.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        style(sheet),
    )
    return f"<!doctype html>\n{element('html', head, element('body', *body), lang='en')}\n"


def number(value: float) -> str:
    """Return a coordinate: two decimals at most, and never in scientific notation."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _name(name: str) -> str:
    return name if name == "viewBox" else name.rstrip("_").replace("_", "-")


def _value(value: str | float | bool) -> str:
    if isinstance(value, str):
        return value
    return "true" if value is True else number(value)
