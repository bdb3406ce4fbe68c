"""Markup: nothing that people wrote becomes markup, an address that runs, or a character that XML forbids."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.pictures.markup import element, join, link, page, plain, table
from support.looks import EVIL


@given(st.text(), st.text())
def test_any_text_is_read_back_as_text_and_attribute(text: str, attribute: str) -> None:
    read = ET.fromstring(element("p", text, title=attribute))
    assert len(read) == 0
    assert len(read.text or "") in {len(text), len(text) - text.count("\r\n")}


def test_text_is_escaped_once_and_markup_stays_as_it_is() -> None:
    inner = element("b", "a < b")
    assert element("p", inner, " & ", None) == "<p><b>a &lt; b</b> &amp; </p>"
    assert plain(inner) is inner
    assert join([inner, None, "<"]) == "<b>a &lt; b</b>&lt;"


def test_attributes_are_left_out_where_there_is_none() -> None:
    assert element("i", class_="x", aria_label=None, hidden=False, tabindex=0) == '<i class="x" tabindex="0"></i>'
    assert element("svg", viewBox="0 0 1 1", x=1.239) == '<svg viewBox="0 0 1 1" x="1.24"></svg>'


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", " javascript:alert(1)", "java\x00script:alert(1)", "data:text/html,x", "VBScript:x"],
)
def test_an_address_that_a_browser_would_run_is_no_link(address: str) -> None:
    assert link(address, "here") == "here"


@pytest.mark.parametrize("address", ["https://a.example/?a=1&b=2", "/dags/x", "dags/x?a:b", "?q=1", "#top", None, ""])
def test_other_addresses_are_links_and_none_is_text(address: str | None) -> None:
    assert ("<a " in link(address, "here")) == bool(address)


def test_a_table_has_heads_for_columns_and_rows_and_scrolls_by_keyboard() -> None:
    read = ET.fromstring(table(("look", "z"), [("1", EVIL)], caption="looks"))
    assert (read.get("tabindex"), read.get("role"), read.get("aria-label")) == ("0", "region", "looks")
    assert [head.get("scope") for head in read.iter("th")] == ["col", "col", "row"]


def test_a_page_forbids_scripts_and_loading() -> None:
    written = page("<t>", "p{}", element("p", "x"))
    assert "default-src 'none'" in written.replace("&#x27;", "'")
    assert "<title>&lt;t&gt;</title>" in written
