"""Cells as database drivers return them: which are read, as what, and which are refused with their value."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from airflow_provider_launchdarkly.evidence.sql_cells import (
    CellError,
    find_key,
    read_count,
    read_key,
    read_moment,
    read_number,
)

NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


class NotATime(datetime):
    """Like pandas' NaT: a datetime that does not equal itself."""

    @override
    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = datetime.__hash__


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (12, 12),
        (2**80 + 1, 2**80 + 1),
        (Decimal("12.5"), Fraction(25, 2)),
        (Decimal("1e20") + 1, 10**20 + 1),
        (Decimal("0E-1000000"), 0),
        ("12.5", Fraction(25, 2)),
        (" -1e3 ", -1000),
        ("100000000000000000000.1", Fraction(10**21 + 1, 10)),
        (np.int64(7), 7),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (12.5, 12.5),
    ],
)
def test_numbers_keep_their_value(value: Any, number: Any) -> None:
    assert read_number(value) == number


@pytest.mark.parametrize("value", [12.5, np.float64(12.5), np.float32(12.5)])
def test_floats_stay_floats(value: Any) -> None:
    assert type(read_number(value)) is float


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28))
def test_a_decimal_and_its_text_are_the_same_number(value: Decimal) -> None:
    assert read_number(value) == read_number(str(value)) == Fraction(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "is no number"),
        (np.bool_(True), "is no number"),
        ("", "is no number"),
        ("1,000", "is no number"),
        ("12 units", "is no number"),
        ("0x10", "is no number"),
        ("1_000", "is no number"),
        ("١٢", "is no number"),
        ("NaN", "is no number"),
        (b"12", "is no number"),
        (memoryview(b"12"), "b'12' is no number"),
        (1j, "is no number"),
        (NINE, "is no number"),
        ("9" * 500, "is no number"),
        (float("nan"), "is not finite"),
        (float("-inf"), "is not finite"),
        (np.float64("nan"), "is not finite"),
        (Decimal("NaN"), "is not finite"),
        (Decimal("sNaN"), "is not finite"),
        (Decimal("Infinity"), "is not finite"),
        (10**400, "is beyond 1e300"),
        (Decimal("1e999999"), "is beyond 1e300"),
        (Decimal("1e-999999"), "closer to 0 than 1e-300"),
        ("1e9999", "is beyond 1e300"),
        (1e301, "is beyond 1e300"),
        (5e-324, "closer to 0 than 1e-300"),
    ],
)
def test_what_is_no_number_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(CellError) as raised:
        read_number(value)
    assert problem in str(raised.value)
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("value", [1000, 1000.0, Decimal("1000.00"), "1000", np.int32(1000)])
def test_a_count_may_come_in_any_type(value: Any) -> None:
    assert read_count(value) == 1000


@pytest.mark.parametrize("value", [-1, 0.5, Decimal("0.5"), "-3"])
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(CellError, match="is no count"):
        read_count(value)


@pytest.mark.parametrize(
    "value",
    [
        NINE,
        NINE.replace(tzinfo=None),
        NINE.astimezone(timezone(timedelta(hours=-8))),
        np.datetime64("2026-01-05T09:00:00.000000000"),
        "2026-01-05 09:00:00",
        "2026-01-05 09:00",
        "2026-01-05T09:00:00Z",
        "2026-01-05t09:00:00z",
        "2026-01-05 09:00:00+00",
        "2026-01-05 09:00:00 UTC",
        "2026-01-05 09:00:00.000000 UTC",
        "2026-01-05 09:00:00.0",
        "2026-01-05 09:00:00.0000000 +00:00",
        "2026-01-05 09:00:00.000 +0000",
        "2026-01-05 01:00:00.000 -0800",
        "2026-01-05 14:30:00+05:30",
        "2026-01-05 10:00:00.000 Europe/Berlin",
        "2026-01-05 06:00:00 America/Argentina/Buenos_Aires",
        " 2026-01-05 09:00:00 ",
        1767603600,
        1767603600.0,
        Decimal("1767603600.000"),
        1767603600000,
        1767603600000000,
        1767603600000000000,
        np.int64(1767603600000),
        "1767603600",
        "1767603600000",
        "1.7676036e9",
    ],
)
def test_a_moment_may_come_in_any_type(value: Any) -> None:
    assert read_moment(value) == NINE


def test_fractions_of_a_second_are_kept() -> None:
    exact = NINE.replace(microsecond=123456)
    for value in ("2026-01-05 09:00:00.123456", "2026-01-05 09:00:00.123456789+00", 1767603600123456, exact):
        assert read_moment(value) == exact
    assert read_moment("2026-01-05 09:00:00.5+00") == read_moment(1767603600500) == NINE.replace(microsecond=500000)


@pytest.mark.parametrize("value", [date(2026, 1, 5), "2026-01-05"])
def test_a_date_is_its_first_moment(value: Any) -> None:
    assert read_moment(value) == datetime(2026, 1, 5, tzinfo=UTC)


@given(st.integers(0, 36_000 * 86_400), st.sampled_from([1, 10**3, 10**6, 10**9]))
def test_an_epoch_s_unit_follows_from_its_size(seconds: int, units: int) -> None:
    moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert read_moment(int(moment.timestamp()) * units) == moment


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("yesterday", "is no ISO 8601 time"),
        ("", "is no ISO 8601 time"),
        ("05-JAN-26 09.00.00", "is no ISO 8601 time"),
        ("01/05/2026", "is no ISO 8601 time"),
        ("2026-13-05 09:00:00", "is no ISO 8601 time"),
        ("2026-01-05 09:00:00 CST", "is no ISO 8601 time"),
        ("2026-01-05 09:00:00 Mars/Olympus", "is no ISO 8601 time"),
        ("2026-01-05 09:00:00 ../../etc/passwd", "is no ISO 8601 time"),
        ("2026-W02-1", "is no ISO 8601 time"),
        ("20260105", "is no time between 2000 and 2100"),
        (0, "where there is no event, return NULL"),
        (-1, "is no time between"),
        (10**11, "is no time between"),
        (10**30, "is no time between"),
        (float("nan"), "is not finite"),
        (True, "is no time"),
        (NotATime(2026, 1, 5), "is no time"),
        (np.datetime64("NaT"), "is no time"),
        (b"x", "b'x' is no time"),
        (timedelta(1), "is no time"),
    ],
)
def test_what_is_no_moment_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(CellError) as raised:
        read_moment(value)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        UUID,
        UUID.upper(),
        UUID + " " * 10,
        UUID.upper() + "  ",
        uuid.UUID(UUID),
        uuid.UUID(UUID).bytes,
        memoryview(uuid.UUID(UUID).bytes),
        UUID.encode(),
        memoryview(UUID.encode()),
        bytearray(UUID.encode() + b"\0\0"),
    ],
)
def test_a_uuid_is_found_in_any_type(value: Any) -> None:
    assert find_key(value, ["other", UUID]) == UUID


def test_hexadecimal_ids_are_found_too() -> None:
    known = ["65a1b2c3d4e5f60718293a4b", "0F8FAD5BD9CB469FA16570867728950E", "17"]
    assert find_key(bytes.fromhex(known[0]), known) == known[0]
    assert find_key(uuid.UUID(UUID), known) == known[1]
    assert find_key(17, known) == known[2]


def test_the_same_text_wins_over_another_case() -> None:
    known = ["abc", "ABC"]
    assert find_key("abc", known) == "abc"
    assert find_key("ABC  ", known) == "ABC"


def test_ids_that_differ_in_case_alone_are_not_guessed() -> None:
    with pytest.raises(CellError, match="'Abc' may be abc or ABC; return it in the case in which it is written"):
        find_key("Abc", ["abc", "ABC"])


@pytest.mark.parametrize("value", ["other", " abc", "", None, True, 1.5, uuid.UUID(UUID), b"\xff\xfe", ("abc",)])
def test_another_id_is_not_found(value: Any) -> None:
    assert find_key(value, ["abc"]) is None


def test_a_key_loses_the_blanks_that_fill_it_up() -> None:
    assert read_key("revenue   ") == read_key(b"revenue") == "revenue"


@pytest.mark.parametrize("value", [None, "", "   ", b"", 1.5])
def test_what_is_no_key_is_refused(value: Any) -> None:
    with pytest.raises(CellError, match="is no key"):
        read_key(value)
