"""What a client refuses to be built from, and what it builds."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.settings import ClientSettings

from .conftest import TOKEN, Connect

URL = "https://app.launchdarkly.com"


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "token is empty"),
        ("sdk-12345678", "an SDK key"),
        ("mob-12345678", "a mobile key"),
        (f"Bearer {TOKEN}", "white space"),
        (f"{TOKEN}\n", "white space"),
        (f" {TOKEN}", "white space"),
        ("api-\x00abc", "control or non-ASCII"),
        ("api-ключ", "control or non-ASCII"),
    ],
)
def test_a_token_that_cannot_work_is_refused_without_being_shown(connect: Connect, token: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        connect(url=URL, token=token)
    assert not token.strip() or token.strip() not in str(refused.value)
    assert "sdk-12345678" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("app.launchdarkly.com", "scheme and host are needed"),
        ("", "scheme and host are needed"),
        ("https://", "scheme and host are needed"),
        ("ftp://app.launchdarkly.com", "scheme and host are needed"),
        ("https://app.launchdarkly.com:port", "it is no URL"),
        ("https://[::1", "it is no URL"),
        ("https://me:pass@app.launchdarkly.com", "user name or password"),
        ("https://app.launchdarkly.com?x=1", "leave out what follows"),
        ("https://app.launchdarkly.com/#x", "leave out what follows"),
        ("https://app.launchdarkly.com/?", "leave out what follows"),
        ("https://app.launchdarkly.com#", "leave out what follows"),
        ("https://app..launchdarkly.com", "can be no host"),
        ("https://é..com", "can be no host"),
        ("https://.", "can be no host"),
        ("https://*.launchdarkly.com", "can be no host"),
        ("https://app%2elaunchdarkly.com", "can be no host"),
        ("https://app.launchdarkly.com\\api", "can be no host"),
        (f"https://{'a' * 70}.com", "can be no host"),
        ("https://xn--.com", "can be no host"),
        ("https://💥.com", "name of a host that there is"),
        ("https://app.launch\ndarkly.com", "white space or a control character"),
        ("http://app.launchdarkly.com", "over plain http"),
        ("http://127.0.0.1.evil.test", "over plain http"),
        ("http://localhost.evil.test", "over plain http"),
    ],
)
def test_a_base_url_that_cannot_work_is_refused(connect: Connect, url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        connect(url=url)
    assert "pass" not in str(refused.value) or "password" in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://127.1.2.3", "http://localhost:1", "http://[::1]:1"])
def test_plain_http_to_this_machine_is_allowed(url: str) -> None:
    assert ClientSettings(url, TOKEN).is_loopback


def test_plain_http_elsewhere_is_allowed_when_asked_for() -> None:
    settings = ClientSettings("http://gateway.test", TOKEN, allow_insecure_http=True)
    assert not settings.is_loopback


@pytest.mark.parametrize("url", [f"{URL}/", f"{URL}/api/v2", f"{URL}/api/v2/"])
def test_what_every_path_begins_with_may_be_in_the_base_url(url: str) -> None:
    assert ClientSettings(url, TOKEN).base_url == URL


def test_a_gateways_path_stays_in_the_base_url() -> None:
    assert ClientSettings("https://gateway.test/launchdarkly/", TOKEN).base_url == "https://gateway.test/launchdarkly"


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": float("nan")},
        {"retry_budget": -1.0},
        {"retry_budget": float("inf")},
        {"user_agent": "two\nlines"},
        {"user_agent": ""},
        {"experiments_api_version": ""},
        {"experiments_api_version": "beta "},
        {"verify": "/no/such/bundle.pem"},
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused_by_name(connect: Connect, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(settings))} is"):
        connect(url=URL, **settings)


def test_a_file_that_is_no_bundle_is_refused(connect: Connect, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="verify is"):
        connect(url=URL, verify=str(bundle))


def pool(client: LaunchDarklyClient) -> Any:
    transport: Any = client._http._transport
    return transport._pool


@pytest.mark.parametrize("verify", [True, False])
def test_certificates_are_checked_unless_told_otherwise(verify: bool) -> None:
    with LaunchDarklyClient(URL, TOKEN, verify=verify) as client:
        context = pool(client)._ssl_context
    assert (context.verify_mode is ssl.CERT_REQUIRED) == verify
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_bundle_replaces_the_trusted_certificates(tmp_path: Path) -> None:
    with LaunchDarklyClient(URL, TOKEN, verify=str(tmp_path)) as client:
        context = pool(client)._ssl_context
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_proxies_of_the_environment_are_used_but_never_in_front_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with LaunchDarklyClient(URL, TOKEN) as elsewhere, LaunchDarklyClient("http://127.0.0.1:1", TOKEN) as here:
        assert any(elsewhere._http._mounts.values())
        assert not any(here._http._mounts.values())


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("ALL_PROXY", "socks5://me:secret@proxy.test:1080", "SOCKS proxy needs the package socksio"),
        ("all_proxy", "socks5h://proxy.test", "SOCKS proxy needs the package socksio"),
        ("HTTPS_PROXY", "ftp://proxy.test", "which is no proxy: write http://HOST:PORT"),
        ("HTTP_PROXY", "http://proxy.test:port", "which is no proxy"),
        ("https_proxy", "quic://[", "which is no proxy"),
        ("SSL_CERT_FILE", "/no/such/file.pem", "CA certificates cannot be read"),
    ],
)
def test_a_setting_of_the_environment_that_cannot_work_is_told_in_one_sentence(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=says) as refused:
        connect(url=URL)
    message = str(refused.value)
    assert f"{variable} is" in message
    assert "secret" not in message
    assert "\n" not in message
    assert refused.value.__suppress_context__


def test_a_no_proxy_that_cannot_be_read_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost,::1/128")
    with pytest.raises(ConfigurationError, match="NO_PROXY is 'localhost,::1/128'"):
        connect(url=URL)


def test_connections_outlive_the_minute_between_two_polls() -> None:
    with LaunchDarklyClient(URL, TOKEN) as client:
        assert pool(client)._keepalive_expiry > 60


def test_the_default_user_agent_names_the_provider_and_its_version() -> None:
    assert ClientSettings(URL, TOKEN).user_agent == f"airflow-provider-launchdarkly/{__version__}"
