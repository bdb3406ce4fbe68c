"""Whatever Jinja does with a value on the way, its parameter stands where the text has it, or the query is refused."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from itertools import count
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.nativetypes import NativeEnvironment
from typing_extensions import override

from airflow_provider_launchdarkly.evidence.sql_statement import BindingError, Statement, write_statement
from support.look_contexts import look_context

LOOK = look_context(10)
ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
NATIVE = NativeEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
VALUES = [
    *("iteration_id", "experiment_key", "project_key", "environment_key", "looked_at", "looked_at.text"),
    *("looked_at.epoch", "iteration_started_at", "iteration_started_at.text", "iteration_started_at.epoch"),
    *("exposed_after", "exposed_after.text", "exposed_before", "exposed_before.epoch"),
    *(f"treatments[{number}].{field}" for number in (0, 1) for field in ("id", "name")),
]


class Moment(datetime):
    """A moment whose forms the oracle sets."""


class Several(list[Any]):
    @override
    def __str__(self) -> str:
        return f"({', '.join(map(str, self))})"


def write(text: str, placeholder: str = "?", environment: jinja2.Environment = ENVIRONMENT, **more: Any) -> Statement:
    return write_statement(environment.from_string(text), LOOK, placeholder, more)


def pasted(text: str, environment: jinja2.Environment = ENVIRONMENT) -> str:
    """The oracle: the same template, each of whose values prints itself."""

    def moment(value: datetime) -> Moment:
        shown = Moment.fromisoformat(value.isoformat())
        vars(shown).update(epoch=int(value.timestamp()), text=value.strftime("%Y-%m-%d %H:%M:%S"))
        return shown

    treatments = LOOK.iteration.treatments
    return str(
        environment.from_string(text).render(
            iteration_id="it-1",
            experiment_key="bold-checkout-button",
            project_key="demo",
            environment_key="production",
            iteration_started_at=moment(LOOK.started_at),
            looked_at=moment(LOOK.at),
            exposed_after=moment(LOOK.started_at),
            exposed_before=moment(LOOK.at),
            treatment_ids=Several(treatment.id for treatment in treatments),
            treatments=[
                SimpleNamespace(id=treatment.id, name=treatment.name, baseline=treatment.baseline)
                for treatment in treatments
            ],
        )
    )


def filled(statement: Statement) -> str:
    """The text, with each placeholder replaced by the parameter at its place."""
    parts = statement.sql.split("?")
    assert len(parts) == len(statement.parameters) + 1
    return parts[0] + "".join(f"{value}{part}" for value, part in zip(statement.parameters, parts[1:], strict=True))


LIKE_THESE: list[Callable[[str, str, str, str, str], str]] = [
    # of a name n, two values v and w, and two smaller templates a and b
    lambda n, v, w, a, b: f"{a}, {b}",
    lambda n, v, w, a, b: f"{{% set {n} %}}{a}{{% endset %}}{b}, {{{{ {n} }}}}",
    lambda n, v, w, a, b: f"{{% set {n} %}}{a}{{% endset %}}{{{{ {n} }}}}, {b}, {{{{ {n} }}}}",
    lambda n, v, w, a, b: f"{{% set {n} %}}{a}{{% endset %}}{b}",
    lambda n, v, w, a, b: (
        f"{{% set {n} %}}{a}{{% endset %}}{{% set {n}2 %}}{b}, {{{{ {n} }}}}{{% endset %}}{{{{ {n}2 }}}}"
    ),
    lambda n, v, w, a, b: f"{{% set {n} %}}  {a} {{% endset %}}{b}, {{{{ {n} | trim | replace('QQ', 'zz') }}}}",
    lambda n, v, w, a, b: f"{{% set {n} = {v} ~ ', ' ~ {w} %}}{a}, {{{{ {n} }}}}",
    lambda n, v, w, a, b: f"{{% set {n} = [{v}, {w}] %}}{a}, {{{{ {n} | reverse | join(', ') }}}}",
    lambda n, v, w, a, b: f"{{% set {n} = {v} %}}{a}, {{{{ {n} }}}}, {{{{ [{w}, {n}] | list | last }}}}",
    lambda n, v, w, a, b: f"{{% filter trim %}} {a} {{% endfilter %}}",
    lambda n, v, w, a, b: f"{{% macro {n}(x) %}}{{{{ x }}}}, {a}{{% endmacro %}}{b}, {{{{ {n}({v}) }}}}",
    lambda n, v, w, a, b: (
        f"{{% macro {n}() %}}{a}, {{{{ caller() }}}}{{% endmacro %}}{{% call {n}() %}}{b}{{% endcall %}}"
    ),
    lambda n, v, w, a, b: f"{{% for {n} in [{v}, {w}] %}}{{{{ {n} }}}}, {{{{ loop.index }}}}, {{% endfor %}}{a}",
    lambda n, v, w, a, b: f"{{% for {n} in treatments | reverse %}}{{{{ {n}.name }}}}, {{% endfor %}}{a}",
    lambda n, v, w, a, b: f"{a}, {{{{ treatments | map(attribute='id') | join(', ') }}}}",
    lambda n, v, w, a, b: f"{{% if {v} == {w} %}}{a}{{% else %}}{b}{{% endif %}}",
    lambda n, v, w, a, b: f"{{{{ '%s, %s' | format({v}, {w}) }}}}, 'it''s ?', {a}",
]
AND_THESE: list[Callable[[str, str, str, str, str], str]] = [
    lambda n, v, w, a, b, change=change: f"{{% set {n} %}}{a}{{% endset %}}{b}, {{{{ {n}{change} }}}}"
    for change in (
        *(" | upper", " | lower", " | title", " | capitalize", " | length", " | reverse", "[:3]", "[4:]", "[::-1]"),
        *(" | int", " | tojson", " | urlencode", " | wordcount", " | first", " | last", " | list", " | sort"),
        *(" | replace('-', '_')", " | truncate(9)", " | center(90)", " | wordwrap(7)", ".split('-') | join(' ')"),
        *(".count('o')", ".encode()", " | e", " | pprint", " == 'it-1'", " is string"),
    )
] + [
    lambda n, v, w, a, b: f"{{{{ {v} | upper }}}}, {a}",
    lambda n, v, w, a, b: f"{{{{ {v} | int }}}}, {a}",
    lambda n, v, w, a, b: f"{{{{ [{v}, {w}] | sort | join(', ') }}}}, {a}",
    lambda n, v, w, a, b: f"{{% set {n} %}}{a}{{% endset %}}{{{{ 1 if 'o' in {n} else 2 }}}}, {b}",
    lambda n, v, w, a, b: f"{a}, '{{{{ {v} }}}}'",
    lambda n, v, w, a, b: f"{a}{{{{ {v} }}}}",
]


@st.composite
def templates(draw: st.DrawFn, wraps: list[Callable[[str, str, str, str, str], str]]) -> str:
    numbers = count()

    def one(depth: int) -> str:
        if depth == 0 or draw(st.integers(0, 3)) == 0:
            return f"{{{{ {draw(st.sampled_from(VALUES))} }}}}"
        wrap = draw(st.sampled_from(wraps))
        first, second = draw(st.sampled_from(VALUES)), draw(st.sampled_from(VALUES))
        return wrap(f"n{next(numbers)}_", first, second, one(depth - 1), one(depth - 1))

    return one(3)


@given(templates(LIKE_THESE))
def test_each_placeholder_carries_what_its_place_in_the_text_means(text: str) -> None:
    wanted = pasted(f"SELECT {text}")
    found = write(f"SELECT {text}")
    if "'it''s ?'" not in text:  # whose question mark is no placeholder
        assert filled(found) == wanted
    with closing(sqlite3.connect(":memory:")) as connection:
        parameters = [str(value) for value in found.parameters]
        row = connection.execute(found.sql, parameters).fetchone()
    assert [str(cell) for cell in row] == wanted.removeprefix("SELECT ").replace("'it''s ?'", "it's ?").split(", ")


@given(templates([*LIKE_THESE[:-1], *AND_THESE]), st.sampled_from([ENVIRONMENT, NATIVE]))
def test_a_value_is_never_silently_wrong(text: str, environment: jinja2.Environment) -> None:
    wrong = (TypeError, AttributeError, jinja2.TemplateError)
    try:
        wanted = pasted(f"SELECT {text}", environment)
    except wrong:  # the template is wrong by itself
        with pytest.raises((*wrong, BindingError)):
            write(f"SELECT {text}", environment=environment)
        return
    try:
        statement = write(f"SELECT {text}", environment=environment)
    except BindingError:
        return
    assert filled(statement) == wanted


CAPTURED = "{% set b %}{{ treatments[1].id }}{% endset %}"


def test_captured_values_travel_in_the_order_of_the_text() -> None:
    statement = write(f"{CAPTURED}WHEN 'control' THEN {{{{ treatments[0].id }}}} WHEN 'new' THEN {{{{ b }}}} END")
    assert statement == Statement("WHEN 'control' THEN ? WHEN 'new' THEN ? END", ("id-classic", "id-bold"))


def test_a_value_that_is_captured_and_never_printed_does_not_travel() -> None:
    assert write(CAPTURED + "SELECT 1 WHERE 'a' LIKE '%'") == Statement("SELECT 1 WHERE 'a' LIKE '%'", ())


@pytest.mark.parametrize(
    "text",
    [
        "SELECT {{ iteration_id | upper }}",
        *(f"{CAPTURED}SELECT {{{{ b | {name} }}}}" for name in ("upper", "lower", "title", "capitalize", "reverse")),
        *(f"{CAPTURED}SELECT {{{{ b | {name} }}}}" for name in ("length", "replace('-', '_')", "urlencode ~ b[0]")),
        *(f"{CAPTURED}SELECT {{{{ b{part} }}}}" for part in ("[:3]", "[-2:]", ".count('o')", " == 'id-bold'")),
        f"{CAPTURED}SELECT {{% if b == 'id-bold' %}}1{{% else %}}2{{% endif %}}",
        "SELECT {{ looked_at.epoch | int }}",
        "{% set e %}{{ looked_at.epoch }}{% endset %}SELECT {{ e | int }}",
    ],
)
def test_a_changed_value_is_refused(text: str) -> None:
    with pytest.raises(BindingError, match=r"changes a value .* it reads 'SELECT .*Print the value as it is"):
        write(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "{{ iteration_id | length }}",
            "{{ iteration_id[:2] }}",
            "{{ looked_at.epoch - 60 }}",
            "{{ -looked_at.epoch }}",
        ),
        *("{{ iteration_id.upper() }}", "{{ looked_at.strftime('%Y') }}", "{% for c in iteration_id %}{% endfor %}"),
    ],
)
def test_a_calculation_with_a_value_is_refused(text: str) -> None:
    with pytest.raises(BindingError, match="calculates with a value of the iteration"):
        write(text)


@pytest.mark.parametrize("placeholder", ["?", "%s"])
@pytest.mark.parametrize(
    "text",
    [
        *("'{{ iteration_id }}'", '"{{ iteration_id }}"', "`{{ iteration_id }}`", "'it''s {{ iteration_id }}'"),
        *("$$ {{ iteration_id }} $$", "$f$ $$ {{ iteration_id }} $f$", "'never ended {{ iteration_id }}"),
        "{% set b %}{{ iteration_id }}{% endset %}{{ b | tojson }}",
        r"'{{ iteration_id }}', 'don\'t'",
    ],
)
def test_a_value_within_quotes_is_refused(text: str, placeholder: str) -> None:
    with pytest.raises(BindingError, match="iteration_id stands within quotes"):
        write(f"SELECT {text}", placeholder)


@pytest.mark.parametrize("placeholder", ["?", "%s"])
@pytest.mark.parametrize(
    "comment", ["-- {{ looked_at.text }}", "/* {{ looked_at.text }} */", "/* 'a {{ looked_at.text }}"]
)
def test_a_value_in_a_comment_is_refused(comment: str, placeholder: str) -> None:
    with pytest.raises(BindingError, match=r"looked_at\.text stands in an SQL comment.*Jinja comment"):
        write(f"SELECT 1 {comment}", placeholder)


@pytest.mark.parametrize(
    "text",
    [
        "{{ iteration_id }}{{ experiment_key }}",  # psycopg2 would write 'a''b', one text
        *("{{ iteration_id }} {{ experiment_key }}", "'a'\n{{ iteration_id }}", "{{ iteration_id }} 'a'"),
        *("t_{{ iteration_id }}", "x{{ iteration_id }}", "'a'{{ iteration_id }}", "{{ iteration_id }}'a'"),
        *("{{ looked_at.epoch }}1", "{{ looked_at.epoch }}.5", "{{ looked_at.epoch }}e3", "s.{{ iteration_id }}"),
    ],
)
def test_a_value_that_is_a_part_of_something_is_refused(text: str) -> None:
    with pytest.raises(BindingError, match="touches what stands beside it"):
        write(f"SELECT {text}", "%s")


@pytest.mark.parametrize(
    ("placeholder", "text", "own"),
    [
        *(("?", "a = ?", "'?'"), ("?", "a = ?1", "'?1'"), ("?", "a = :name", "':name'")),
        *(("%s", "a = %s", "'%s'"), ("%s", "a = %(name)s", "'%(name)s'"), ("%s", "a = b %size", "'%s'")),
    ],
)
def test_a_placeholder_that_the_author_wrote_is_refused(placeholder: str, text: str, own: str) -> None:
    with pytest.raises(BindingError) as refused:
        write(f"SELECT {text} AND x = {{{{ iteration_id }}}}", placeholder)
    assert f"a placeholder of its own, {own}" in str(refused.value)


def test_a_percent_sign_that_would_eat_the_placeholder_is_refused() -> None:
    with pytest.raises(BindingError, match=r"looked_at\.epoch stands behind a single percent sign"):
        write("SELECT 7 %{{ looked_at.epoch }}", "%s")


@pytest.mark.parametrize(
    ("placeholder", "text"),
    [
        ("%s", "SELECT {{ iteration_id }}::text, a ? 'b', c %% 2, 7 %%{{ iteration_id }}, :name, 'LIKE %%s'"),
        (
            "?",
            "SELECT {{ iteration_id }}::text, raw:user.id, arr[1:2], a ?? 'b', '?', \"?\", ':n', 5 %s, '%s' -- ? don't",
        ),
        ("?", r"SELECT 'C:\' ESCAPE '\', {{ iteration_id }}, 'x'"),
        ("%s", r"SELECT 'don\'t', {{ iteration_id }}, 'x'"),
        ("?", r"SELECT {{ iteration_id }}, 'don\'t?'"),
        ("%s", "SELECT 1 # don't\n, {{ iteration_id }}"),
        ("%s", "SELECT 1 // don't\n, {{ iteration_id }}"),
        ("?", "SELECT a #> b, '#', {{ iteration_id }} /* don't */, {{ iteration_id }}END"),
        ("%s", 'SELECT {{ iteration_id }} "ID", -- the others\'\n {{ iteration_id }} AS b'),
        ("?", "SELECT $$ don't $$, a$b, {{ iteration_id }} -- ok"),
    ],
)
def test_what_the_database_does_bind_is_left_as_it_is(placeholder: str, text: str) -> None:
    statement = write(text, placeholder)
    assert statement.sql == text.replace("{{ iteration_id }}", placeholder)
    assert statement.parameters == ("it-1",) * text.count("{{ iteration_id }}")


def test_without_values_the_text_is_the_driver_s_business() -> None:
    text = "SELECT a % 2, b ? 'c', '%s' -- ?"
    assert write(text, "%s") == write(text, "?") == Statement(text, ())


def test_a_query_that_never_renders_alike_is_refused() -> None:
    text = "SELECT {{ iteration_id }}, '{{ token() }}'"
    with pytest.raises(BindingError, match="renders differently each time"):
        write(text, token=uuid.uuid4)


def test_values_compare_as_themselves() -> None:
    text = (
        "{% if iteration_started_at < looked_at and looked_at.epoch >= 5 and treatments[0].id in ['id-classic'] "
        "and treatments[0].id != treatments[1].id and names[experiment_key] %}SELECT 1{% endif %}"
    )
    assert write(text, names={"bold-checkout-button": True}) == Statement("SELECT 1", ())


def test_a_text_that_looks_like_a_marker_is_only_a_text() -> None:
    """Each rendering has markers of its own, so that no query can contain one."""
    shown: list[str] = []

    def keep(value: object) -> str:
        shown.append(str(value))
        return ""

    write("SELECT {{ iteration_id }}{{ keep(iteration_id) }}", keep=keep)
    marker = next(text for text in shown if text != "it-1")
    text = f"SELECT '{marker}', {marker}, {{{{ iteration_id }}}}"
    assert write(text) == Statement(f"SELECT '{marker}', {marker}, ?", ("it-1",))
