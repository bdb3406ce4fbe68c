"""The description of this provider for Airflow, which reads it in every process: plain data, no imports."""

from __future__ import annotations

from typing import Any

PACKAGE = "airflow_provider_launchdarkly"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description, as Airflow's ``provider_info.schema.json`` defines it."""
    return {
        "package-name": "airflow-provider-launchdarkly",
        "name": "LaunchDarkly",
        "description": "LaunchDarkly experiments, run by Apache Airflow.",
        "integrations": [
            {
                "integration-name": "LaunchDarkly",
                "external-doc-url": "https://launchdarkly.com/docs/api",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "LaunchDarkly", "python-modules": [f"{PACKAGE}.hooks.launchdarkly"]}],
        "operators": [
            {
                "integration-name": "LaunchDarkly",
                "python-modules": [
                    f"{PACKAGE}.operators.{name}"
                    for name in ("experiments", "iterations", "flags", "releases", "results", "projects", "retirement")
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "LaunchDarkly",
                "python-modules": [
                    f"{PACKAGE}.sensors.{name}"
                    for name in ("significance", "experiments", "flags", "releases", "change_window")
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "LaunchDarkly",
                "python-modules": [
                    f"{PACKAGE}.triggers.{name}"
                    for name in (
                        "significance",
                        "experiments",
                        "flags",
                        "releases",
                        "change_window",
                        "question",
                        "experiment_events",
                        "release_events",
                    )
                ],
            }
        ],
        "asset-uris": [{"schemes": ["launchdarkly"], "handler": f"{PACKAGE}.assets.sanitize_uri"}],
        "notifications": [f"{PACKAGE}.notifications.notifier.LaunchDarklyNotifier"],
        "extra-links": [f"{PACKAGE}.links.LaunchDarklyExperimentLink", f"{PACKAGE}.links.LaunchDarklyFlagLink"],
        "connection-types": [
            {
                "connection-type": "launchdarkly",
                "hook-class-name": f"{PACKAGE}.hooks.launchdarkly.LaunchDarklyHook",
                "hook-name": "LaunchDarkly",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "port", "schema"],
                    "relabeling": {"host": "API base URL", "password": "API access token"},
                    "placeholders": {
                        "host": "https://app.launchdarkly.com",
                        "password": "api-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                        "extra": '{"project_key": "default", "environment_key": "production"}',
                    },
                },
                "conn-fields": {
                    "region": {
                        "label": "Region",
                        "description": "LaunchDarkly instance to use if there is no API base URL: us if empty.",
                        "schema": {"type": ["string", "null"], "enum": ["us", "eu", "federal"]},
                    },
                    "project_key": {
                        "label": "Default project key",
                        "description": "Used if a task names no project.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "environment_key": {
                        "label": "Default environment key",
                        "description": "Used if a task names no environment.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "timeout": {
                        "label": "Timeout (seconds)",
                        "description": "Most time for connecting, for each read and for each write. Default 30.",
                        "schema": {"type": ["number", "null"], "minimum": 1},
                    },
                    "retry_budget": {
                        "label": "Retry budget (seconds)",
                        "description": "Most time for all retries of one call together. Default 60.",
                        "schema": {"type": ["number", "null"], "minimum": 1},
                    },
                    "deadline": {
                        "label": "Deadline (seconds)",
                        "description": (
                            "Most time for one call, waits and retries included. Default: retry_budget and twice "
                            "timeout, 120."
                        ),
                        "schema": {"type": ["number", "null"], "minimum": 1},
                    },
                    "verify": {
                        "label": "Verify TLS certificates",
                        "description": "Leave on, unless a test server has a self-signed certificate.",
                        "schema": {"type": ["boolean", "null"], "default": True},
                    },
                    "ca_bundle": {
                        "label": "CA bundle",
                        "description": "Path of a CA bundle, for a proxy that re-signs TLS.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "allow_insecure_http": {
                        "label": "Allow plain http",
                        "description": "Send the token unencrypted to a host that is not this machine.",
                        "schema": {"type": ["boolean", "null"], "default": False},
                    },
                    "experiments_api_version": {
                        "label": "LD-API-Version on experiments",
                        "description": "Default beta, as LaunchDarkly documents for its experiments API.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
        "config": {
            "launchdarkly": {
                "description": "The LaunchDarkly provider.",
                "options": {
                    "poll_interval": {
                        "description": (
                            "Seconds between two polls, for sensors without a poke_interval and for watchers' "
                            "triggers without a poll_interval."
                        ),
                        "type": "float",
                        "version_added": "0.1.0",
                        "example": "60",
                        "default": "300",
                    },
                    "outage_tolerance": {
                        "description": (
                            "Seconds for which waiting tasks outlive LaunchDarkly being away: refusals (429, 5xx, and "
                            "401 or 403 for a token that has worked), timeouts, broken connections, and look-ups that "
                            "do not find a connection that was found before."
                        ),
                        "type": "float",
                        "version_added": "0.1.0",
                        "example": "14400",
                        "default": "3600",
                    },
                    "record_path": {
                        "description": (
                            "Folder for decision records, a path or an object storage URL, for sensors without a "
                            "record_path. Empty keeps none."
                        ),
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "s3://aws_default@my-bucket/experiment-decisions",
                        "default": "",
                    },
                    "rollout_cache": {
                        "description": (
                            'Folder in which it is remembered which rollout files are known to be good; "off" '
                            "remembers nothing. Empty takes the user's own cache folder."
                        ),
                        "type": "string",
                        "version_added": "0.1.0",
                        "example": "/var/cache/launchdarkly",
                        "default": "",
                    },
                },
            }
        },
    }
