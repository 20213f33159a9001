"""The workflows on GitHub work, and the pull request that a release opens passes the Marketplace's check."""

import itertools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.package import REPOSITORY, pack, read
from tests.package.contents import Package, chinese

WORKFLOWS = {path.name: path for path in (REPOSITORY / ".github" / "workflows").glob("*.yml")}
PR_BODY = REPOSITORY / ".github" / "MARKETPLACE_PR_BODY.md"
FORK_OWNER = "someone"


def workflow(name: str) -> tuple[dict[Any, Any], dict[str, Any], list[dict[str, Any]]]:
    """What a workflow says, its only job, and that one's steps."""
    said = yaml.safe_load(WORKFLOWS[name].read_text())
    [job] = said["jobs"].values()
    return said, job, job["steps"]


# The workflows


@pytest.mark.parametrize(
    ("name", "trigger", "target"),
    [
        ("ci.yml", {"push": {"branches": ["main"]}, "pull_request": None}, "test"),
        ("plugin-publish.yml", {"release": {"types": ["published"]}}, "package"),
    ],
)
def test_workflow_calls_a_command_of_the_makefile(name: str, trigger: dict[str, Any], target: str) -> None:
    said, _, steps = workflow(name)

    assert said[True] == trigger, "'on' is a word for true in YAML"
    assert re.findall(r"\bmake (\S+)", "\n".join(step.get("run", "") for step in steps)) == [target]
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_is_bounded_in_time_in_rights_and_in_what_it_uses(name: str) -> None:
    said, job, steps = workflow(name)
    used = {step["uses"]: step.get("with") for step in steps if "uses" in step}

    assert job["runs-on"] == "ubuntu-latest"
    assert job["timeout-minutes"] <= 60
    assert said["permissions"] == {"contents": "read"}
    assert [action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []
    assert {"python-version": "3.12"} in used.values()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_hides_no_failure_and_its_scripts_are_sound_shell(name: str) -> None:
    _, job, steps = workflow(name)

    assert all("continue-on-error" not in part for part in (job, *steps))
    for script in (step["run"] for step in steps if "run" in step):
        assert not re.search(r"\|\||set \+e", script)
        # What GitHub puts in place of an expression may hold any character: it belongs into env.
        assert "${{" not in script
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)  # noqa: S607 - on every machine


def test_official_packager_is_that_of_the_latest_release() -> None:
    text = " ".join(WORKFLOWS["plugin-publish.yml"].read_text().replace("\\\n", " ").split())

    # A tag would stand right behind the command; without one, it takes the latest release.
    assert (
        "gh release download --repo langgenius/dify-plugin-daemon"
        ' --pattern dify-plugin-linux-amd64 --output "$RUNNER_TEMP/bin/dify"'
    ) in text


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
        said, _, steps = workflow("plugin-publish.yml")
        [step] = [step for step in steps if step.get("name") == name]
        known = {
            "${{ github.repository_owner }}": FORK_OWNER,
            "${{ github.event.release.tag_name }}": self.tag,
            "${{ secrets.PLUGIN_ACTION }}": "a token",
        }
        given = {key: known.get(value, value) for key, value in (said["env"] | step.get("env", {})).items()}
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


# The text of the pull request, as the Marketplace checks it


@pytest.fixture
def body() -> dict[str, str]:
    """The text under each heading, without comments."""
    visible = re.sub(r"<!--.*?-->", "", PR_BODY.read_text(), flags=re.DOTALL)
    _, *parts = re.split(r"^## (.+)$", visible, flags=re.MULTILINE)
    return {title.strip(): text.strip() for title, text in itertools.batched(parts, 2)}


def ticked(section: str) -> list[str]:
    return re.findall(r"^- \[[xX]\] (.*)$", section, re.MULTILINE)


def test_pull_request_names_the_plugin_as_the_manifest_does(body: dict[str, str], package: Package) -> None:
    manifest = package.manifest

    assert body["Plugin information"] == textwrap.dedent(f"""\
        - **Author**: {manifest["author"]}
        - **Plugin name**: {manifest["name"]}
        - **Version**: {manifest["version"]}
        - **Source repository**: {manifest["repo"]}
        - **Contact**: {manifest["contact"]}""")


def test_pull_request_is_a_version_update_in_english_that_says_what_it_breaks(body: dict[str, str]) -> None:
    assert ticked(body["Submission type"]) == ["Version update"]
    assert re.search("breaking|backward compatible", body["What changed"], re.IGNORECASE)
    assert chinese(PR_BODY.read_text()) == []


def test_pull_request_has_one_risk_level_and_its_reason(body: dict[str, str]) -> None:
    assert ticked(body["Risk level"]) == ["High risk"]
    assert re.search(r"^High\b.*personal data.*third-party", body["Risk level"], re.MULTILINE | re.DOTALL)
    assert re.search("validated|allowlist|limited", body["Security and privacy notes"])


def test_pull_request_discloses_the_network_and_every_destination(
    body: dict[str, str], package: Package
) -> None:
    """What else the Marketplace would want disclosed is not in the package: test_rules.py proves it."""
    for disclosed in ("**Network requests**", *package.manifest["network"]["domains"]):
        assert disclosed in body["Security and privacy notes"]


def test_pull_request_says_how_the_package_was_validated(body: dict[str, str]) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    named = re.findall(r"`make (\w+)`", body["Local validation"])

    assert named
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
