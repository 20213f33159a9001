"""The workflows on GitHub work, and the pull request that a release opens passes the Marketplace's check."""

import itertools
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.package import REPOSITORY, pack, read
from tests.package.contents import Package
from tests.package.marketplace_rules import CHINESE, FENCE, capabilities

WORKFLOWS = {path.name: path for path in (REPOSITORY / ".github" / "workflows").glob("*.yml")}
PR_BODY = REPOSITORY / ".github" / "MARKETPLACE_PR_BODY.md"
FORK_OWNER = "someone"


def jobs(name: str) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load(WORKFLOWS[name].read_text())["jobs"].values()


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in jobs(name) for step in job["steps"]]


def commands(name: str) -> str:
    return "\n".join(step.get("run", "") for step in steps(name))


# The workflows


def test_there_is_a_workflow_for_tests_and_one_for_releases() -> None:
    triggers = {name: yaml.safe_load(path.read_text())[True] for name, path in WORKFLOWS.items()}

    # "on" is a word for true in YAML.
    assert triggers["ci.yml"] == {"push": {"branches": ["main"]}, "pull_request": None}
    assert triggers["plugin-publish.yml"] == {"release": {"types": ["published"]}}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_runs_on_a_common_machine_with_python_3_12_for_a_limited_time(name: str) -> None:
    for job in jobs(name):
        assert job["runs-on"] == "ubuntu-latest"
        assert job["timeout-minutes"] <= 60
    [python] = [
        step["with"] for step in steps(name) if step.get("uses", "").startswith("actions/setup-python")
    ]
    assert python == {"python-version": "3.12"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_pins_every_action_to_a_major_version(name: str) -> None:
    used = [step["uses"] for step in steps(name) if "uses" in step]

    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_hides_no_failure(name: str) -> None:
    assert not re.search(r"\|\||set \+e", commands(name))
    assert all("continue-on-error" not in part for part in (*jobs(name), *steps(name)))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_can_only_read_this_repository(name: str) -> None:
    assert yaml.safe_load(WORKFLOWS[name].read_text())["permissions"] == {"contents": "read"}


@pytest.mark.parametrize(("name", "target"), [("ci.yml", "test"), ("plugin-publish.yml", "package")])
def test_workflow_calls_a_command_of_the_makefile(name: str, target: str) -> None:
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)

    assert re.findall(r"\bmake (\S+)", commands(name)) == [target]
    assert target in targets


@pytest.mark.parametrize(
    "step",
    [step for name in WORKFLOWS for step in steps(name) if "run" in step],
    ids=lambda step: step["run"][:20],
)
def test_script_of_a_workflow_is_sound_shell(step: dict[str, Any]) -> None:
    # What GitHub puts in place of an expression may hold any character: it belongs into env.
    assert "${{" not in step["run"]
    subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True)  # noqa: S607 - on every machine


def test_official_packager_is_that_of_the_latest_release() -> None:
    [script] = [
        step["run"] for step in steps("plugin-publish.yml") if "gh release download" in step.get("run", "")
    ]
    download = " ".join(script.replace("\\\n", " ").split())

    # A tag would stand right behind the command; without one, it takes the latest release.
    assert (
        "gh release download --repo langgenius/dify-plugin-daemon --pattern dify-plugin-linux-amd64 "
        in download
    )
    assert '--output "$RUNNER_TEMP/bin/dify"' in download


# A release, with git as it is, two repositories on this machine in place of GitHub's, and a stand-in for `gh`


class Release:
    """A checkout of this repository on a machine of GitHub's, with the package that was built there."""

    def __init__(self, root: Path, package: Package) -> None:
        self.upstream, self.fork = root / "upstream.git", root / "fork.git"
        self.pull_request = root / "pull-request"
        self._checkout, self._variables = root / "checkout", root / "variables"
        temporary, tools = root / "temporary", root / "tools"
        for folder in (temporary, tools, self._checkout / "dist", self._checkout / ".github"):
            folder.mkdir(parents=True)
        (self._checkout / ".venv").symlink_to(sys.prefix)
        (self._checkout / "manifest.yaml").write_bytes(package.files["manifest.yaml"])
        (self._checkout / ".github" / PR_BODY.name).write_bytes(PR_BODY.read_bytes())
        version = package.manifest["version"]
        (self._checkout / "dist" / f"memos-{version}.difypkg").write_bytes(pack(package.files))
        self.tag = f"v{version}"

        config = root / "gitconfig"
        # Git as on GitHub: these repositories belong to somebody else.
        config.write_text(
            f'[url "{self.upstream}"]\ninsteadOf = https://github.com/langgenius/dify-plugins.git\n'
            f'[url "{self.fork}"]\ninsteadOf = https://github.com/{FORK_OWNER}/dify-plugins.git\n'
            "[init]\ndefaultBranch = main\n[uploadpack]\nallowFilter = true\n"
        )
        self._environment = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GITHUB_ENV": str(self._variables),
            "RUNNER_TEMP": str(temporary),
            "HOME": str(root),
        }
        self._gh = tools / "gh"
        self.let_gh(f'if [ "$1" = pr ]; then printf "%s\\0" "$@" > "{self.pull_request}"; fi')
        self._make_repositories(root / "work")

    def let_gh(self, script: str) -> None:
        """Make the stand-in for `gh` do as `script` says."""
        self._gh.write_text(f"#!/bin/sh\n{script}\n")
        self._gh.chmod(0o755)

    def _make_repositories(self, work: Path) -> None:
        """An upstream with two plugins, and a fork of it that has fallen behind."""
        who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        self.git("init", "--quiet", str(work))
        for path, copy in (("memtensor/memos/old.difypkg", self.fork), ("other/b/b.difypkg", self.upstream)):
            (work / path).parent.mkdir(parents=True)
            (work / path).write_text(path)
            self.git("-C", str(work), "add", ".")
            self.git("-C", str(work), *who, "commit", "--quiet", "--message", path)
            self.git("clone", "--quiet", "--bare", str(work), str(copy))

    def git(self, *arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.check_output(command, env=self._environment, text=True).strip()  # noqa: S603 - fixed

    def run(self, name: str) -> int:
        """Run the script of one step as GitHub does, and return its exit code."""
        workflow = yaml.safe_load(WORKFLOWS["plugin-publish.yml"].read_text())
        [step] = [step for step in steps("plugin-publish.yml") if step.get("name") == name]
        known = {
            "${{ github.repository_owner }}": FORK_OWNER,
            "${{ github.event.release.tag_name }}": self.tag,
            "${{ secrets.PLUGIN_ACTION }}": "a token",
        }
        given = {
            key: known.get(value, value) for key, value in (workflow["env"] | step.get("env", {})).items()
        }
        if self._variables.exists():
            given |= dict(line.split("=", 1) for line in self._variables.read_text().splitlines())
        script = ["bash", "--noprofile", "--norc", "-e", "-c", step["run"]]
        environment = self._environment | given
        done = subprocess.run(script, cwd=self._checkout, env=environment, check=False)  # noqa: S603 - our own
        return done.returncode


@pytest.fixture
def release(tmp_path: Path, package: Package) -> Release:
    release = Release(tmp_path, package)
    assert release.run("Read the manifest") == 0
    return release


def test_release_becomes_a_pull_request_that_adds_the_package_to_the_newest_marketplace(
    release: Release, package: Package, tmp_path: Path
) -> None:
    version = package.manifest["version"]
    assert release.run("Check that the release is that of the manifest") == 0
    assert release.run("Open the pull request") == 0

    called = release.pull_request.read_text().split("\0")
    options = dict(itertools.pairwise(called))
    owner, branch = options["--head"].split(":")
    assert called[:2] == ["pr", "create"]
    assert (options["--repo"], options["--base"], owner) == ("langgenius/dify-plugins", "main", FORK_OWNER)
    assert options["--body-file"] == ".github/MARKETPLACE_PR_BODY.md"
    assert version in options["--title"]

    # What was pushed is what the pull request is about, and stands on upstream, not on the fork's old main.
    pushed = release.git("-C", str(release.fork), "rev-parse", f"refs/heads/{branch}~1")
    assert pushed == release.git("-C", str(release.upstream), "rev-parse", "main")
    path = f"memtensor/memos/memos-{version}.difypkg"
    changes = release.git("-C", str(release.fork), "diff", "--name-status", f"{branch}~1", branch)
    assert changes.split() == ["A", path]
    release.git("clone", "--quiet", "--branch", branch, str(release.fork), str(tmp_path / "seen"))
    assert read(tmp_path / "seen" / path) == package.files


def test_release_under_another_tag_than_the_manifest_says_stops(release: Release) -> None:
    release.tag = "v0.0.4"

    assert release.run("Check that the release is that of the manifest") != 0


def test_pull_request_that_github_refuses_fails_the_workflow(release: Release) -> None:
    release.let_gh('test "$1" != pr')

    assert release.run("Open the pull request") != 0


def test_pull_request_is_made_of_the_manifest_however_it_is_quoted(tmp_path: Path, package: Package) -> None:
    manifest = package.files["manifest.yaml"].decode()
    quoted = re.sub(r"(?m)^(name|author|version): (.*)$", r'\1:   "\2"  # quoted', manifest)
    assert quoted != manifest
    release = Release(tmp_path, Package({**package.files, "manifest.yaml": quoted.encode()}))

    assert release.run("Read the manifest") == 0
    assert release.run("Open the pull request") == 0
    assert f"{FORK_OWNER}:bump-memos-plugin-{package.manifest['version']}" in release.pull_request.read_text()


# The text of the pull request


def sections(body: str) -> dict[str, str]:
    """The text under each heading of the second level, without comments."""
    visible = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    _, *parts = re.split(r"^## (.+)$", visible, flags=re.MULTILINE)
    return {title.strip(): text.strip() for title, text in itertools.batched(parts, 2)}


@pytest.fixture
def body() -> dict[str, str]:
    return sections(PR_BODY.read_text())


def test_pull_request_names_the_plugin_as_the_manifest_does(body: dict[str, str], package: Package) -> None:
    manifest = package.manifest

    assert body["Plugin information"] == textwrap.dedent(f"""\
        - **Author**: {manifest["author"]}
        - **Plugin name**: {manifest["name"]}
        - **Version**: {manifest["version"]}
        - **Source repository**: {manifest["repo"]}
        - **Contact**: {manifest["contact"]}""")


def test_pull_request_is_a_version_update_that_says_what_it_breaks(body: dict[str, str]) -> None:
    assert re.findall(r"^- \[[xX]\] (.*)$", body["Submission type"], re.MULTILINE) == ["Version update"]
    assert re.search("breaking|backward compatible", body["What changed"], re.IGNORECASE)


def test_pull_request_has_one_risk_level_and_its_reason(body: dict[str, str]) -> None:
    [risk] = re.findall(r"^- \[[xX]\] (\w+) risk$", PR_BODY.read_text(), re.MULTILINE)

    assert re.search(rf"^{risk}\b.*(third.party|personal data)", body["Risk level"], re.MULTILINE | re.DOTALL)
    assert risk in {"Medium", "High"}
    if risk == "High":
        assert re.search("validated|allowlist|limited", PR_BODY.read_text())


def test_pull_request_says_how_the_package_was_validated(body: dict[str, str]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = re.findall(r"`make (\w+)`", body["Local validation"])

    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def test_pull_request_discloses_every_sensitive_capability_and_every_destination(
    body: dict[str, str], package: Package
) -> None:
    notes = body["Security and privacy notes"]

    assert notes.lower() not in {"", "none", "n/a", "no"}
    for capability in capabilities(package):
        assert re.search(rf"\*\*{capability}", notes, re.IGNORECASE)
    for host in package.manifest["network"]["domains"]:
        assert host in notes


def test_pull_request_is_in_english() -> None:
    assert CHINESE.findall(FENCE.sub("", PR_BODY.read_text())) == []
