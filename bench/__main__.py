"""The command `python -m bench`: measures, and writes docs/benchmarks.md and its picture."""

import argparse
import time
from pathlib import Path

from bench.measure import measure
from bench.report import draw, page
from sandbox.plugin_process import REPOSITORY


def main() -> None:
    """Ends with an error only if something could not be measured: the page says which bounds are broken."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look at all of it, in a fraction of the time")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "docs", help="where to write (docs)")
    arguments = parser.parse_args()
    began = time.monotonic()
    calls, processes = measure(1, (5, 20)) if arguments.quick else measure(7, (100, 500))
    text = page(calls, processes, (time.monotonic() - began) / 60)
    print(text)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    (arguments.folder / "benchmarks.md").write_text(text)
    draw(calls, arguments.folder / "benchmarks.svg")


if __name__ == "__main__":
    main()
