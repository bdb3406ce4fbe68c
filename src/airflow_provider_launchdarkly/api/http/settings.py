"""Check the settings of a client. The token is in no repr and in no message."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.api.errors import ConfigurationError

# SDK keys, mobile keys and client-side ids never work on this API: https://launchdarkly.com/docs/api#authentication
_OTHER_KEYS = {"sdk-": "an SDK key", "mob-": "a mobile key"}
_ACCESS_TOKEN = "an API access token is needed (LaunchDarkly: Organization settings, Authorization; 'api-…')"  # noqa: S105
_MOST_SECONDS = 86_400.0
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The host, the token and the limits of a client.

    Attributes:
        base_url: Scheme and host, such as ``https://app.launchdarkly.com``; a path before ``/api/v2`` for a gateway.
        token: LaunchDarkly access token, sent as it is.
        experiments_api_version: ``LD-API-Version`` for the Experiments API.
        timeout: Seconds until connecting, reading or writing is given up.
        retry_budget: Seconds that the retries of one call may take together.
        deadline: Seconds that one call may take, its waits and retries included. None for ``retry_budget`` and twice
            ``timeout``.
        verify: True to check certificates, a path to a CA bundle to check by that, False not to check.
        user_agent: What LaunchDarkly sees as the caller.
        allow_insecure_http: Whether plain http is allowed to a host that is not this machine.
    """

    base_url: str
    token: str = field(repr=False)
    experiments_api_version: str = "beta"
    timeout: float = 30.0
    retry_budget: float = 60.0
    deadline: float | None = None
    verify: bool | str = True
    user_agent: str = f"airflow-provider-launchdarkly/{__version__}"
    allow_insecure_http: bool = False

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ConfigurationError: A value is wrong; the message names it (never the token) and the cure.
        """
        _check_token(self.token)
        object.__setattr__(self, "base_url", _checked_url(self.base_url, self.allow_insecure_http))
        for name in ("experiments_api_version", "user_agent"):
            value = getattr(self, name)
            if not _HEADER_VALUE.fullmatch(value):
                raise ConfigurationError(f"{name} is {value!r}: printable ASCII is needed, it is sent as a header")
        for name in ("timeout", "retry_budget", "deadline"):
            value = getattr(self, name)
            if value is None and name == "deadline":
                continue
            if not 0 <= value <= _MOST_SECONDS or (name != "retry_budget" and value == 0):
                raise ConfigurationError(f"{name} is {value!r}: a number of seconds is needed, at most a day (86400)")

    @property
    def seconds_per_call(self) -> float:
        """Seconds that one call may take, its waits and retries included."""
        return self.retry_budget + 2 * self.timeout if self.deadline is None else self.deadline

    @property
    def is_loopback(self) -> bool:
        """True if the host is this machine: no proxy stands between, and plain http is no risk."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")


def _check_token(token: str) -> None:
    if not token:
        raise ConfigurationError(f"token is empty: {_ACCESS_TOKEN}")
    for prefix, what in _OTHER_KEYS.items():
        if token.startswith(prefix):
            raise ConfigurationError(f"token is {what} ({prefix}…), which LaunchDarkly's API refuses: {_ACCESS_TOKEN}")
    if re.search(r"\s", token):
        raise ConfigurationError(
            "token holds white space: give the token alone, without 'Bearer', quotes or a line break around it"
        )
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ConfigurationError("token holds a control or non-ASCII character: copy the token again")


def _checked_url(url: str, allow_insecure_http: bool) -> str:
    example = "such as 'https://app.launchdarkly.com' (US), 'https://app.eu.launchdarkly.com' (EU)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"base_url is {url!r}: it is no URL; write one {example}") from None
    if parts.username or parts.password:
        raise ConfigurationError("base_url holds a user name or password: leave them out, the token is enough")
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise ConfigurationError(f"base_url is {url!r}: it holds white space or a control character")
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigurationError(f"base_url is {url!r}: scheme and host are needed, {example}")
    if not _is_host(parts.hostname):
        raise ConfigurationError(f"base_url is {url!r}: {parts.hostname!r} can be no host; write one {example}")
    if "?" in url or "#" in url:
        raise ConfigurationError(f"base_url is {url!r}: leave out what follows '?' or '#'")
    if parts.scheme == "http" and not allow_insecure_http and not _is_loopback(parts.hostname):
        raise ConfigurationError(
            f"base_url is {url!r}: over plain http anybody on the way reads the token; use https, or set "
            "allow_insecure_http"
        )
    return url.rstrip("/").removesuffix("/api/v2")


def _is_host(host: str) -> bool:
    """Return whether a host may have that name. The sockets encode it likewise, and fail at each try."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        try:
            return _HOST.fullmatch(host.encode("idna").decode()) is not None
        except UnicodeError:
            return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
