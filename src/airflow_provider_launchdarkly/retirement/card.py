"""The text that proposes a flag's retirement: Markdown that can be a pull request's body as it is. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_launchdarkly.api.models import Variation
    from airflow_provider_launchdarkly.retirement.reasons import Reason
    from airflow_provider_launchdarkly.retirement.use import FlagUse


def proposal(use: FlagUse, variation: Variation, environments: Iterable[str]) -> str:
    """Return the text that proposes to retire a flag: what stays, where it is named, and what follows.

    Args:
        use: What was read of the flag.
        variation: The variation that everyone gets.
        environments: The environments in which everyone gets it.
    """
    return "\n".join(_proposal(use, variation, environments)) + "\n"


def objections(flag_key: str, reasons: Iterable[Reason]) -> str:
    """Return the text that says why a flag stays: every reason with its cure."""
    lines = [f"# Flag `{flag_key}` stays", ""]
    lines += [f"- {reason.what}. **Cure:** {reason.cure}." for reason in reasons]
    return "\n".join(lines) + "\n"


def _proposal(use: FlagUse, variation: Variation, environments: Iterable[str]) -> Iterator[str]:
    flag = use.flag
    value = json.dumps(variation.value, ensure_ascii=False)
    named = f"`{variation.name}`, the value `{value}`" if variation.name else f"the value `{value}`"
    yield f"# Remove flag `{flag.key}`"
    yield ""
    yield f"Everyone gets one variation of flag `{flag.key}` in project `{use.project_key}`: {named}."
    for key in environments:
        config = flag.environments[key]
        since = f"{config.last_modified:%Y-%m-%d}" if config.last_modified else "an unknown day"
        how = "on" if config.on else "off"
        yield f"- `{key}`: the flag is {how} and was changed last on {since}; its status is {use.statuses.get(key)}."
    yield ""
    yield f"**The branch that stays is the one for {named}.** Remove the other branches with their tests."
    if flag.temporary is False:
        yield ""
        yield "The flag is marked as permanent: make sure that nobody keeps it as a switch for emergencies."
    yield ""
    yield from _references(use)
    yield ""
    yield "After the merge, and a deployment everywhere, the flag and its experiments can be archived."
    if keys := dict.fromkeys(used.experiment.key for used in use.experiments):
        yield f"Its experiments: {', '.join(f'`{key}`' for key in keys)}."


def _references(use: FlagUse) -> Iterator[str]:
    if use.references is None:
        yield "LaunchDarkly shows no code references: search the code for the flag's key before you archive it."
        return
    if not use.references:
        yield "LaunchDarkly's scanner finds the flag in no default branch."
        return
    yield "Where the flag is named:"
    yield ""
    yield "| repository | file | line |"
    yield "|---|---|---|"
    for place in use.references:
        repository = f"[{place.repository}]({place.link})" if place.link else place.repository
        yield f"| {repository} | `{place.path}` | {place.line} |"
