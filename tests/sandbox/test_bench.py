"""The benchmark measures each competitor on each link, and tells which bound is broken."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.competitors import BARE, EMPTY, FRESH, PLUGIN
from bench.fake_memos import HTTP, ROUND_TRIPS, SLOW
from bench.measure import AT_REST, START, UNDER_LOAD
from bench.report import judge
from sandbox.plugin_process import REPOSITORY

NUMBER = r"\d+(\.\d+)?"
FIGURE = rf"{NUMBER} \[{NUMBER}, {NUMBER}\]"


def test_a_quick_run_measures_every_competitor_link_and_bound(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--folder", str(tmp_path)]
    run = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - fixed
    page = (tmp_path / "benchmarks.md").read_text()
    assert run.stdout == f"{page}\n"
    assert page.count(f"| Link | At once | {PLUGIN} | {BARE} | {FRESH} | {EMPTY} |") == 1
    for link in (HTTP, SLOW, *ROUND_TRIPS):
        for at_once in (5, 20) if link == SLOW else (1, 5, 20):
            row = rf"^\| {link} \| {at_once} \|( {FIGURE} \|){{4}}( {NUMBER} \|){{2}}$"
            assert len(re.findall(row, page, re.MULTILINE)) == 1, (link, at_once)
    for name in (START, AT_REST, UNDER_LOAD):
        assert len(re.findall(rf"^\| {name} \|( {FIGURE} \|){{2}}$", page, re.MULTILINE)) == 1, name
    bound = rf"^\| .+ \| -?{NUMBER}(e-\d+)? \w+ \| at most {NUMBER} \w+ \| (holds|BROKEN) \|$"
    assert len(re.findall(bound, page, re.MULTILINE)) == 5
    assert (tmp_path / "benchmarks.svg").read_text().endswith("</svg>\n")


@pytest.mark.parametrize("over", [*range(5), None])
def test_a_bound_is_broken_whose_figure_is_over_its_limit(over: int | None) -> None:
    more = [0.2 * (number == over) for number in range(5)]
    calls = {
        ("TLS, 50 ms", 1): {PLUGIN: [54 + 10 * more[0]], BARE: [50.0]},
        (HTTP, 1): {PLUGIN: [1.8 + more[1]], EMPTY: [0.4]},
        (SLOW, 500): {PLUGIN: [1790 + 100 * more[2]]},
    }
    processes = {
        UNDER_LOAD: {PLUGIN: [129 + 10 * more[3]]},
        START: {PLUGIN: [0.7 + more[4]], EMPTY: [0.6]},
    }
    verdicts = [verdict for *_, verdict in judge(calls, processes)]
    assert verdicts == ["BROKEN" if number == over else "holds" for number in range(5)]
