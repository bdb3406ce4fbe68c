"""Keys of LaunchDarkly's objects, as users write them."""

from __future__ import annotations


def check_key(value: str) -> str:
    """Return a key, or Jinja that will be one.

    Args:
        value: The key of an experiment, a flag, a metric or another object.

    Raises:
        ValueError: The key has white space, which no key of LaunchDarkly has.
    """
    if "{{" not in value and "{%" not in value and any(character.isspace() for character in value):
        raise ValueError("is no key: a key has no blanks, not even at its ends")
    return value


def check_text(value: str) -> str:
    """Return a text that is not blank.

    Raises:
        ValueError: The text is empty, or has nothing but white space.
    """
    if not value.strip():
        raise ValueError("is blank: write a text here, or leave the field out")
    return value
