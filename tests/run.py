"""Runs all tests, and closes with those that failed and one line that counts them."""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree as ET

# Side by side, to keep two processors busy: how nice each is to the others, and its folders. tests/unit
# imports the SDK, which patches its process (gevent) and so breaks the pipes of tests that drive a plugin.
# tests/faults measures seconds; the next one waits most. Each run that needs MemOS's own server starts one,
# which takes some 20 seconds.
RUNS = (
    (0, ("tests/faults",)),
    (10, ("tests/runtime", "tests/app", "tests/agents")),
    (19, ("tests/load",)),
    (19, ("tests/sandbox", "tests/properties", "tests/package", "tests/docs")),
    (19, ("tests/unit",)),
)


def run(nice: int, folders: tuple[str, ...]) -> tuple[Counter[str], list[str]]:
    """Run pytest on `folders` and print what it printed.

    Returns how many "passed", "failed" and were "skipped", and pytest's line about each that failed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = ["nice", f"-n{nice}", sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quiet"]
        command += [f"--junitxml={report}", *folders]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603 - fixed
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
        if not report.exists():
            return Counter(failed=1), [f"ERROR {' '.join(folders)}"]
        [suite] = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - written by pytest just now
    count = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    passed = count["tests"] - failed - count["skipped"]
    # A status without a failure is one, too: no test found, or a plugin of pytest that broke.
    failed = failed or int(done.returncode != 0)
    lines = re.findall(r"^(?:FAILED|ERROR)\b.*", done.stdout.decode(errors="replace"), re.MULTILINE)
    return Counter(passed=passed, failed=failed, skipped=count["skipped"]), lines


def main() -> int:
    """Return 0 only if every test ran and passed."""
    with ThreadPoolExecutor(len(RUNS)) as threads:
        counts, failures = zip(*threads.map(run, *zip(*RUNS, strict=True)), strict=True)
    total = sum(counts, Counter[str]())
    names = [name for name in ("passed", "failed", "skipped") if total[name] or name != "skipped"]
    print(*chain.from_iterable(failures), ", ".join(f"{total[name]} {name}" for name in names), sep="\n")  # noqa: T201
    return int(total["failed"] > 0 or total["skipped"] > 0 or total["passed"] == 0)


if __name__ == "__main__":
    sys.exit(main())
