"""Code references: where LaunchDarkly's scanner, ``ld-find-code-refs``, has found flags in repositories."""

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Read, Text, YesNo


class Hunk(Read):
    """A piece of a file that names a flag. ``lines`` is its text, if the scanner was allowed to send it."""

    starting_line_number: int = 0
    lines: Text = ""
    proj_key: Text = ""
    flag_key: Text = ""
    aliases: Many[str] = ()


class CodeReference(Read):
    """A file that names a flag."""

    path: Text = ""
    hint: Text = ""
    hunks: Many[Hunk] = ()


class Branch(Read):
    """A branch that was scanned, with its references if they were asked for."""

    name: Text = ""
    head: Text = ""
    sync_time: Instant = None
    references: Many[CodeReference] = ()


class Repository(Read):
    """A repository that is connected with LaunchDarkly. One that is not enabled is scanned no more."""

    name: Text = ""
    type: Text = ""
    source_link: Text = ""
    default_branch: Text = ""
    enabled: YesNo = False
    branches: Many[Branch] = ()


class Repositories(Read):
    """The account's repositories; LaunchDarkly does not page them."""

    items: Many[Repository] = ()
