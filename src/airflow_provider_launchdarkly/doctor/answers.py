"""Checks of how LaunchDarkly answers: beta header, generation, pages, rate limits, and the clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ApiError
from airflow_provider_launchdarkly.api.http.dates import read_http_date
from airflow_provider_launchdarkly.api.http.rate_limit import read_limits
from airflow_provider_launchdarkly.api.http.request import BETA, STABLE
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.results import Route, results_routes
from airflow_provider_launchdarkly.doctor.words import listed, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness

# Families of rate-limit headers, by their "remaining" header: https://launchdarkly.com/docs/api#rate-limiting
_FAMILIES: Final = {
    "global": "x-ratelimit-global-remaining",
    "route": "x-ratelimit-route-remaining",
    "token": "x-ratelimit-auth-token-remaining",
}
_LOW: Final = 2
# A Date header drops the fraction of its second, and the answer was on its way for a while.
_SKEW: Final = 5.0


def check_beta_header(account: Account, like: Likeness) -> Iterator[Finding]:
    """Read the same things with and without `LD-API-Version: beta`, and compare the answers."""
    env = account.env
    probes: dict[str, Request[Any]] = {
        "experiments": endpoints.list_experiments(env, limit=1),
        "settings": endpoints.get_experimentation_settings(env.project_key),
        "holdouts": endpoints.list_holdouts(env, limit=1),
        "metric groups": endpoints.list_metric_groups(env.project_key, limit=1),
    }
    answers = {
        name: (account.status_of(request, BETA), account.status_of(request, STABLE)) for name, request in probes.items()
    }
    needed = [name for name, (beta, stable) in answers.items() if beta == 200 and stable != 200]
    if answers["experiments"][0] == 200:
        like.switches["beta_header"] = "strict" if "experiments" in needed else "lenient"
    for name, (beta, stable) in answers.items():
        if beta != 200:
            status = Status.MISSING if stable == 200 else Status.UNKNOWN
            yield Finding(
                "beta header",
                status,
                say(
                    "{name}: {beta} with beta, {stable} with {version}",
                    name=name,
                    beta=beta,
                    stable=stable,
                    version=STABLE,
                ),
                say("set experiments_api_version to '{version}' in the connection's extra", version=STABLE)
                if status is Status.MISSING
                else say("see the lines on rights: the token may not read {name}", name=name),
            )
    same = [name for name, (beta, stable) in answers.items() if beta == stable == 200]
    what = "; ".join(
        (*([f"needed for {listed(needed)}"] if needed else []), *([f"not needed for {listed(same)}"] if same else []))
    )
    if not what:
        return
    if "experiments" in needed and account.version != BETA:
        yield Finding(
            "beta header",
            Status.MISSING,
            say("{what}, and the connection sends {version}", what=what, version=account.version),
            say("set experiments_api_version to 'beta' in the connection's extra, or remove it"),
        )
        account.version = BETA
        return
    yield Finding("beta header", Status.FINE, say("{what}", what=what))


class _Sign(NamedTuple):
    """A sign of the generation: its name, and whether the newer one shows it; None where nothing shows."""

    name: str
    new: bool | None


def check_generation(account: Account, like: Likeness) -> Iterator[Finding]:
    """Tell by routes and fields which generation of the published API answers."""
    signs = list(_signs(account))
    new = [sign.name for sign in signs if sign.new is True]
    old = [sign.name for sign in signs if sign.new is False]
    if new and old:
        yield Finding(
            "generation",
            Status.UNKNOWN,
            say("a mixture: {new} as in client 23 or newer, {old} as in 17", new=listed(new), old=listed(old)),
            say("paste the summary into a bug report: no published client describes this account"),
        )
        return
    if not new and not old:
        yield Finding(
            "generation",
            Status.UNKNOWN,
            say("nothing that was read differs between the generations"),
            say("see the lines on rights: the token may read too little"),
        )
        return
    results = results_routes(account)
    if new:
        # The newest clients have no results route; `all` has everything that was ever published.
        like.switches["generation"] = "25" if set(results.values()) == {Route.GONE} else "all"
        yield Finding("generation", Status.FINE, say("client 23 or newer: {signs}", signs=listed(new)))
        return
    like.switches["generation"] = "17.1" if results.get("legacy") is Route.PRESENT else "17.2"
    yield Finding(
        "generation",
        Status.MISSING,
        say("client 17: {signs} missing, so saveAndStartNewIteration is missing too", signs=listed(old)),
        say(
            "start iterations with LaunchDarklyCreateIterationOperator and LaunchDarklyStartIterationOperator; "
            "LaunchDarklySaveAndStartIterationOperator needs client 23"
        ),
    )


def _signs(account: Account) -> Iterator[_Sign]:
    env = account.env
    yield _Sign(
        "the list over all environments",
        _exists(account, endpoints.list_experiments_in_any_environment(env.project_key, limit=1)),
    )
    settings = account.read(endpoints.get_experimentation_settings(env.project_key)).randomization_units
    standard = any(unit.standard_randomization_unit for unit in settings)
    yield _Sign("units without a standard unit", not standard if settings else None)
    experiments = account.read(endpoints.list_experiments(env, limit=1)).items
    yield _Sign("methodology of experiments", experiments[0].methodology is not None if experiments else None)
    metrics = account.read(endpoints.list_metrics(env.project_key, limit=1)).items
    yield _Sign("analysis units of metrics", "analysis_units" in metrics[0].model_fields_set if metrics else None)


def _exists(account: Account, request: Request[Any]) -> bool | None:
    try:
        account.read(request)
    except ApiError as error:
        return False if error.status in {404, 405, 410} else None
    return True


def check_pages(account: Account, _like: Likeness) -> Iterator[Finding]:
    """Read the first page of experiments, and the second if its link says that there is one."""
    first = endpoints.list_experiments(account.env, limit=1)
    page = account.read(first)
    if page.total_count is None:
        yield Finding(
            "pages",
            Status.MISSING,
            say("the list of experiments has no count"),
            say("paste the summary into a bug report; listing goes on by the links alone"),
        )
    if page.next_href is None:
        yield Finding("pages", Status.FINE, say("one page of experiments"))
        return
    items = list(account.client().pages(first, max_items=2))
    yield Finding("pages", Status.FINE, say("the link to the second page leads to {count} more", count=len(items) - 1))


def check_rate_limits(account: Account, like: Likeness) -> Iterator[Finding]:
    """Tell which rate-limit headers the responses of this visit had."""
    remaining: dict[str, int] = {}
    resets = []
    for seen in account.observed:
        now = read_http_date(seen.headers.get("date", "")) or seen.arrived
        for family, name in _FAMILIES.items():
            if (text := seen.headers.get(name, "")).isdigit():
                remaining[family] = min(int(text), remaining.get(family, int(text)))
        resets += [limit.resets_in for limit in read_limits(seen.headers, now).limits if limit.resets_in is not None]
    refused = sum(seen.status == 429 for seen in account.observed)
    if not remaining:
        like.switches["rate_limit_headers"] = "none"
        yield Finding("rate limits", Status.FINE, say("no response says how many calls are left"))
    else:
        families = [family for family in _FAMILIES if family in remaining]
        lowest = min(remaining.values())
        like.switches["rate_limit_headers"] = "low" if lowest <= _LOW else "plenty"
        like.switches["rate_limit_families"] = "+".join(families) if len(families) < len(_FAMILIES) else "all"
        # LaunchDarkly's windows are 10 s.
        until = f"; windows end within {math.ceil(max(resets) / 10) * 10} s" if resets else ", without a time of reset"
        what = say("limits shown: {families}{until}", families=listed(families), until=until)
        if lowest > _LOW:
            yield Finding("rate limits", Status.FINE, what)
        else:
            yield Finding(
                "rate limits",
                Status.MISSING,
                say("a limit is nearly used up: {families}", families=listed(families)),
                say(
                    "poll less often (poke_interval), and give Airflow a token of its own: some limits are the token's"
                ),
            )
    if refused:
        yield Finding(
            "rate limits",
            Status.MISSING,
            say("{count} of this visit's calls were refused with 429", count=refused),
            say("find out who else uses the token or the account at this pace"),
        )


def check_clock(account: Account, like: Likeness) -> Iterator[Finding]:
    """Compare LaunchDarkly's clock with this machine's."""
    asked = datetime.now(UTC)
    account.client().send(endpoints.get_versions())
    seen = account.observed[-1]
    date = read_http_date(seen.headers.get("date", ""))
    if date is None:
        yield Finding(
            "clock",
            Status.MISSING,
            say("responses have no Date header, so looks are timed by the workers' own clocks"),
            say("let the proxy in front of LaunchDarkly pass the header Date on"),
        )
        return
    # The response was dated between the two moments, cut off to its second.
    early, late = (date - seen.arrived).total_seconds(), (date - asked).total_seconds() + 1
    ahead = 0.0 if early <= 0 <= late else (early if early > 0 else late)
    like.clock_ahead = round(ahead)
    if abs(ahead) <= _SKEW:
        yield Finding("clock", Status.FINE, say("LaunchDarkly's clock and this machine's agree"))
        return
    side = "ahead of" if ahead > 0 else "behind"
    yield Finding(
        "clock",
        Status.MISSING,
        say("LaunchDarkly's clock is {seconds} s {side} this machine's", seconds=abs(round(ahead)), side=side),
        say(
            "let NTP set this machine's clock; looks go by LaunchDarkly's clock, but schedules and change windows go "
            "by this one's"
        ),
    )
