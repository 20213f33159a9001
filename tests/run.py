"""Runs all tests, and closes with one line that counts them."""

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

# The SDK patches every process that imports it (gevent), which breaks the pipes of tests that drive a plugin
# process: those have a run of their own.
OTHERS = ("docs", "properties", "package", "runtime", "app", "faults", "sandbox")
RUNS = (["tests/unit"], [f"tests/{folder}" for folder in OTHERS])


def run(folders: list[str]) -> dict[str, int]:
    """Run pytest on `folders`, and return how many tests passed, failed and were skipped."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "--quiet", f"--junitxml={report}", *folders]
        status = subprocess.run(command, check=False).returncode  # noqa: S603 - fixed arguments
        if not report.exists():
            return {"passed": 0, "failed": 1, "skipped": 0}
        [suite] = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by pytest just now
    count = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    # A status without a failure is one, too: no test found, or a plugin of pytest that broke.
    return {"passed": passed, "failed": failed or int(status != 0), "skipped": count["skipped"]}


def main() -> int:
    """Return 0 only if every test ran and passed."""
    counts = [run(folders) for folders in RUNS]
    total = {name: sum(count[name] for count in counts) for name in ("passed", "failed", "skipped")}
    print(", ".join(f"{number} {name}" for name, number in total.items() if number or name != "skipped"))  # noqa: T201
    return int(total["failed"] > 0 or total["skipped"] > 0 or total["passed"] == 0)


if __name__ == "__main__":
    sys.exit(main())
