"""What `make dist` finds wrong with a distribution, and what it tells whoever publishes it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly import __version__
from release import distribution
from release.distribution import PACKAGE, Distribution, left_to_publish, metadata_problems
from support.public_surface import released
from support.surroundings import REPOSITORY

FILES = "https://example.com/acme/provider/blob/main"
PAGES = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Security": "SECURITY.md"}


@pytest.fixture
def metadata() -> Message:
    """The metadata of the installed distribution, without addresses."""
    text = importlib.metadata.distribution("airflow-provider-launchdarkly").read_text("METADATA")
    parsed = Parser().parsestr(text or "")
    del parsed["Project-URL"]
    return parsed


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`hatch_build.py`, which only a build environment has a base class for."""
    base = SimpleNamespace(MetadataHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", base)
    spec = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pack(folder: Path, packed: set[str], sources: set[str]) -> Distribution:
    """A wheel and a source distribution with such files, all empty."""
    with zipfile.ZipFile(folder / "a.whl", "w") as wheel:
        for name in packed:
            wheel.writestr(name, "")
    (folder / "empty").touch()
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        for name in sources:
            archive.add(folder / "empty", f"a-0.1.0/{name}")
    return Distribution.found_in(folder)


def test_this_tree_makes_a_sound_distribution(metadata: Message) -> None:
    assert metadata_problems(metadata) == []


def test_the_addresses_that_are_made_are_those_that_are_expected(metadata: Message, hook: Any) -> None:
    for name, url in hook.addresses(FILES, PAGES).items():
        metadata["Project-URL"] = f"{name}, {url}"
    assert metadata_problems(metadata) == []


@pytest.mark.parametrize(
    ("addresses", "problem"),
    [
        ({"Source": "https://example.com/acme/provider"}, "the project URL Changelog is missing"),
        ({"Changelog": "http://example.com/x"}, "the project URL Changelog is no https address: http://example.com/x"),
        ({"Security": f"{FILES}/S.md"}, "the project URL Security names S.md, which the repository does not have"),
    ],
)
def test_a_wrong_address_is_named(metadata: Message, hook: Any, addresses: dict[str, str], problem: str) -> None:
    whole = {} if "Source" in addresses else hook.addresses(FILES, PAGES)
    for name, url in {**whole, **addresses}.items():
        metadata["Project-URL"] = f"{name}, {url}"
    assert problem in metadata_problems(metadata)


@pytest.mark.parametrize("field", ["Classifier", "License-Expression", "Description-Content-Type"])
def test_missing_metadata_is_named(metadata: Message, field: str) -> None:
    del metadata[field]
    assert metadata_problems(metadata) != []


def test_a_link_that_a_package_index_cannot_follow_is_named(metadata: Message) -> None:
    metadata.set_payload("# airflow-provider-launchdarkly\n[docs](docs/index.md)")
    (problem,) = metadata_problems(metadata)
    assert "docs/index.md" in problem


def test_a_picture_of_the_readme_survives_in_the_description(metadata: Message, hook: Any) -> None:
    readme = "# airflow-provider-launchdarkly\n![The list](docs/images/list.png), [how](docs/how.md)\n"
    described = hook.describe(readme, FILES)
    assert "![The list](https://example.com/acme/provider/raw/main/docs/images/list.png)" in described
    assert f"[how]({FILES}/docs/how.md)" in described
    unnamed = hook.describe(readme, "")
    assert "\nThe list (`docs/images/list.png`), how (`docs/how.md`)\n" in unnamed
    for text in (described, unnamed):
        metadata.set_payload(text)
        assert metadata_problems(metadata) == []


def test_files_that_are_missing_or_too_many_are_named(tmp_path: Path) -> None:
    info = f"{PACKAGE}-0.1.0.dist-info"
    with_metadata = {f"{info}/METADATA", f"{info}/entry_points.txt", f"{info}/licenses/LICENSE"}
    whole = {f"{name}/x" if "." not in name and name != "Makefile" else name for name in distribution.IN_THE_SOURCES}
    built = pack(tmp_path, {*with_metadata, f"{PACKAGE}/b.py"}, {*whole - {"docs/x"}, f"src/{PACKAGE}/a.py"})
    problems = built.problems()
    assert f"the wheel lacks {PACKAGE}/a.py" in problems
    assert f"the wheel holds {PACKAGE}/b.py, which is no source file" in problems
    assert [line for line in problems if "source distribution" in line] == ["the source distribution lacks docs"]


def test_a_folder_with_two_wheels_is_refused(tmp_path: Path) -> None:
    pack(tmp_path, set(), set())
    (tmp_path / "b.whl").touch()
    with pytest.raises(ValueError, match="one wheel and one source distribution"):
        Distribution.found_in(tmp_path)


def test_a_publisher_is_told_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "unreleased", lambda: "- Something new.")
    monkeypatch.setattr(distribution, "surface", lambda: ["python New"])
    left = left_to_publish(__version__, "v9.9.9")
    assert any("raise the version" in line for line in left)
    assert any("public_surface.py --write" in line for line in left)
    assert f"the tag is v9.9.9, the version {__version__}: tag v{__version__}" in left


def test_nothing_is_left_of_a_released_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "unreleased", lambda: "")
    monkeypatch.setattr(distribution, "surface", lambda: released()[__version__])
    left = left_to_publish(__version__, f"v{__version__}")
    assert [line for line in left if "files-at" not in line] == []
