"""The command `python -m sandbox.bench`: measures, writes docs/benchmarks.md, and prints the bars."""

import argparse
import sys
from pathlib import Path

from sandbox.bench.bars import bars
from sandbox.bench.campaign import FULL, QUICK, run
from sandbox.bench.pipes import Broken
from sandbox.bench.plot import draw
from sandbox.bench.report import page
from sandbox.plugin_process import REPOSITORY


def main() -> int:
    """Return 0 if everything could be measured, whether the bars hold or not."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a trial of about a minute, with fewer numbers")
    parser.add_argument(
        "--folder", type=Path, default=REPOSITORY / "docs", help="where the page is written (docs)"
    )
    arguments = parser.parse_args()
    try:
        results = run(QUICK if arguments.quick else FULL)
    except Broken as error:
        print(f"measuring broke: {error}", file=sys.stderr)
        return 1
    found = bars(results)
    command = "python -m sandbox.bench --quick" if arguments.quick else "make bench"
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "benchmarks.md").write_text(page(results, found, command))
    draw(results, arguments.folder / "benchmarks.svg")
    for bar in found:
        measured, limit, verdict = bar.words
        print(f"{verdict:6}  {bar.name}: {measured} ({limit})")
    print(f"written: {arguments.folder / 'benchmarks.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
