"""Projects, environments, and the caller's identity.

LaunchDarkly's environments carry an SDK key and a mobile key. They are secrets, so the models here, unlike the others,
drop what they do not name.
"""

from pydantic import ConfigDict, Field, JsonValue

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Page, Read, Table, Text, YesNo


class ApprovalSettings(Read):
    """Settings that say if changes need an approval."""

    model_config = ConfigDict(extra="ignore")

    required: YesNo = False


class Environment(Read):
    """An environment, without its keys."""

    model_config = ConfigDict(extra="ignore")

    id: Text = Field(default="", alias="_id")
    key: str
    name: Text = ""
    critical: bool | None = None
    tags: Many[str] = ()
    require_comments: YesNo = False
    confirm_changes: YesNo = False
    approval_settings: ApprovalSettings | None = None
    resource_approval_settings: Table[ApprovalSettings] = Field(default_factory=dict)


class EnvironmentPage(Page):
    """One page of environments."""

    model_config = ConfigDict(extra="ignore")

    items: Many[Environment] = ()


class Project(Read):
    """A project. ``environments`` is there only with ``expand=environments``."""

    model_config = ConfigDict(extra="ignore")

    id: Text = Field(default="", alias="_id")
    key: str
    name: Text = ""
    tags: Many[str] = ()
    environments: EnvironmentPage | None = None


class ProjectPage(Page):
    """One page of projects."""

    model_config = ConfigDict(extra="ignore")

    items: Many[Project] = ()


class CallerIdentity(Read):
    """The owner of a credential. LaunchDarkly returns one for SDK keys too: a 200 alone proves no right."""

    account_id: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    environment_id: str | None = None
    environment_name: str | None = None
    auth_kind: str | None = None
    token_kind: str | None = None
    token_name: str | None = None
    token_id: str | None = None
    member_id: str | None = None
    service_token: bool | None = None
    client_id: str | None = None
    client_name: str | None = None
    expires_at: Instant = None
    scopes: Many[str] = ()


class AccessToken(Read):
    """An access token, without its value."""

    model_config = ConfigDict(extra="ignore")

    id: Text = Field(default="", alias="_id")
    role: Text = ""
    custom_role_ids: Many[str] = ()
    inline_role: Many[JsonValue] = ()
    service_token: YesNo = False
    default_api_version: int | None = None


class Member(Read):
    """A member of the account, who can maintain experiments, metrics and flags."""

    model_config = ConfigDict(extra="ignore")

    id: Text = Field(default="", alias="_id")
    email: Text = ""
    first_name: Text = ""
    last_name: Text = ""
    role: Text = ""


class MemberPage(Page):
    """One page of members."""

    model_config = ConfigDict(extra="ignore")

    items: Many[Member] = ()


class Versions(Read):
    """The API versions that LaunchDarkly serves."""

    valid_versions: Many[int] = ()
    latest_version: int | None = None
    current_version: int | None = None
    beta: bool | None = None
