"""What a connection says, read strictly: every error names the connection, the field and the cure."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.hooks.connection import ConnectionSettings, read_settings

TOKEN = "api-0000-secret"


def settings(**fields: Any) -> ConnectionSettings:
    extra = fields.pop("extra", {})
    text = extra if isinstance(extra, str) else json.dumps(extra)
    connection = {"conn_id": "ld", "host": None, "port": None, "password": TOKEN, "extra": text} | fields
    return read_settings(SimpleNamespace(**connection))


def refused(**fields: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        settings(**fields)
    assert "'ld'" in str(error.value)
    assert TOKEN not in str(error.value)
    return str(error.value)


def test_a_token_is_enough() -> None:
    assert settings() == ConnectionSettings(ClientSettings("https://app.launchdarkly.com", TOKEN))


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us", "https://app.launchdarkly.com"),
        ("eu", "https://app.eu.launchdarkly.com"),
        ("federal", "https://app.launchdarkly.us"),
    ],
)
def test_a_region_has_its_own_address(region: str, url: str) -> None:
    assert settings(extra={"region": region}).client.base_url == url


def test_an_unknown_region_is_refused_with_the_known_ones() -> None:
    assert "us, eu, federal" in refused(extra={"region": "mars"})


def test_host_and_region_that_contradict_are_refused() -> None:
    assert "give one of the two" in refused(host="https://ld.example.com", extra={"region": "eu"})


def test_any_base_url_may_be_the_host() -> None:
    assert settings(host="https://proxy.example.com:8443/ld/").client.base_url == "https://proxy.example.com:8443/ld"


def test_a_port_that_the_connection_uri_split_off_is_put_back() -> None:
    assert settings(host="http://127.0.0.1", port=8700).client.base_url == "http://127.0.0.1:8700"


def test_a_host_without_scheme_is_refused_with_the_address_to_write() -> None:
    assert "'https://app.launchdarkly.com'" in refused(host="app.launchdarkly.com")


@pytest.mark.parametrize("host", ["ftp://x", "//app.launchdarkly.com", "https://"])
def test_what_is_no_web_address_is_refused(host: str) -> None:
    assert "scheme and host are needed" in refused(host=host)


@pytest.mark.parametrize("password", [None, "", "  "])
def test_a_connection_without_token_is_refused_with_where_to_get_one(password: str | None) -> None:
    assert "API access token" in refused(password=password)


def test_values_may_be_text_as_a_connection_uri_makes_them() -> None:
    read = settings(extra={"timeout": "5", "retry_budget": "12.5", "verify": "false"}).client
    assert (read.timeout, read.retry_budget, read.verify) == (5.0, 12.5, False)


@pytest.mark.parametrize(
    "extra",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "soon"},
        {"timeout": True},
        {"retry_budget": -1},
        {"verify": "maybe"},
    ],
)
def test_impossible_values_are_refused_by_name(extra: dict[str, Any]) -> None:
    (key, value), *_ = extra.items()
    message = refused(extra=extra)
    assert key in message
    assert repr(value) in message or repr(float(value)) in message


def test_a_ca_bundle_takes_the_place_of_the_systems() -> None:
    assert settings(extra={"ca_bundle": "/etc/ssl/own.pem"}).client.verify == "/etc/ssl/own.pem"
    assert settings(extra={"ca_bundle": "/etc/ssl/own.pem", "verify": False}).client.verify is False


def test_an_unknown_key_is_refused_by_name() -> None:
    assert "unknown keys projectKey" in refused(extra={"projectKey": "demo"})


@pytest.mark.parametrize("extra", ["not json", "[1]"])
def test_extra_that_is_no_object_is_refused(extra: str) -> None:
    assert "extra is not a JSON object" in refused(extra=extra)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (f'{{"timeout": 1{"0" * 400}}}', "extra.timeout is 1000"),
        (f'{{"timeout": "1{"0" * 400}"}}', "timeout is inf"),
        (f'{{"timeout": 1{"0" * 5000}}}', "extra is not a JSON object (Exceeds the limit"),
        ('{"ca_bundle": "a\\u0000b"}', "extra.ca_bundle is 'a\\x00b': it holds a control character"),
        ('{"project_key": "\\ud800"}', "extra.project_key is '\\ud800': it holds"),
        ('{"region": "eu", "region": "us"}', "extra is not a JSON object (region is there twice; keep one)"),
        (f'{{"{"x" * 9000}": 1}}', "unknown keys xxx"),
        ('{"\\ud800": 1}', "unknown keys \\ud800"),
        ("[" * 100_000, "extra is not a JSON object (maximum recursion depth exceeded"),
        ('{"timeout":' * 100_000, "extra is not a JSON object (maximum recursion depth exceeded"),
    ],
    ids=[
        "large number",
        "large number as text",
        "digits",
        "NUL",
        "half a character",
        "twice",
        "long key",
        "half a key",
        "brackets",
        "braces",
    ],
)
def test_extra_that_python_cannot_take_is_refused_by_name_and_briefly(extra: str, told: str) -> None:
    message = refused(extra=extra)
    assert told in message
    assert len(message) < 400


def test_a_bundle_of_certificates_with_a_strange_name_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match=r"ca_bundle of a connection.*embedded null"):
        LaunchDarklyClient("https://launchdarkly.test", "api-made-up", verify="a\0b")


@pytest.mark.parametrize(("token", "what"), [("sdk-1234-secret", "an SDK key"), ("mob-1234-secret", "a mobile key")])
def test_a_key_of_another_kind_is_refused_with_what_is_needed(token: str, what: str) -> None:
    message = refused(password=token)
    assert what in message
    assert "API access token" in message
    assert token not in message


def test_plain_http_to_another_machine_has_to_be_allowed() -> None:
    assert "allow_insecure_http" in refused(host="http://emulator:8700")
    assert settings(host="http://emulator:8700", extra={"allow_insecure_http": True}).client.base_url


def test_the_token_is_no_part_of_the_repr() -> None:
    assert TOKEN not in repr(settings())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"login": "api-0000-other"}, "login is set"),
        ({"schema": "https"}, "schema is 'https'"),
        ({"port": 8700}, "port is 8700 without a host"),
        ({"host": "https://ld.example.com:8443", "port": 9000}, "port is 9000"),
        ({"host": "https://ld.example.com/path", "port": 9000}, "port is 9000"),
        ({"host": "https://ld.example.com", "port": "many"}, "make no base URL"),
        ({"host": "https://ld.example.com:99999", "port": 1}, "make no base URL"),
        ({"host": "https://[", "port": 1}, "make no base URL"),
    ],
)
def test_a_field_that_would_have_no_effect_is_refused(fields: dict[str, Any], says: str) -> None:
    message = refused(**fields)
    assert says in message
    assert "api-0000-other" not in message


def test_a_port_that_the_host_names_too_is_no_contradiction() -> None:
    assert settings(host="https://ld.example.com:8443", port=8443).client.base_url == "https://ld.example.com:8443"


def test_the_deadline_of_a_call_is_a_key_of_extra() -> None:
    assert settings(extra={"deadline": "45"}).client.seconds_per_call == 45.0
    assert "deadline is 0.0" in refused(extra={"deadline": 0})
