"""Runs the benchmark: ``python -m benchmarks``, or ``make bench``.

Results go to benchmarks/results, from which docs/performance.md and docs/figures are made. A quick
run keeps to one thread, one form of each contender and two rounds, leaves `torch.compile` out, and
writes under build/ only: it shows that everything works, not how fast it is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import footprint, race, report, run, scaling
from benchmarks.machine import ROOT
from benchmarks.race import Workers
from benchmarks.workloads import chosen

PARTS = ("workloads", "scaling", "footprint", "report")


def main() -> int:
    """Runs what is asked for; 1 where a contender failed or did not do the same work."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=about)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--only", metavar="NAMES", help="these workloads, with commas between")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each workload")
    parser.add_argument("--threads", type=int, metavar="N", help="this many for all, untried")
    parser.add_argument("--quick", action="store_true", help="does it all work? under 2 minutes")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where the results go")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; there are {', '.join(PARTS)}")
    parts = options.parts or (("workloads", "report") if options.only else PARTS)
    results = options.results or (
        ROOT / "build" / "benchmarks" if options.quick else report.RESULTS
    )
    if options.threads:
        race.THREADS = (options.threads,)
    results.mkdir(parents=True, exist_ok=True)
    fine, began = True, time.perf_counter()
    with Workers() as workers:
        for work in chosen(options.only) if "workloads" in parts else []:
            line = Line(work.name)
            result = run.measure(
                workers, work, line.say, count=options.rounds, quick=options.quick
            )  # fmt: skip
            _write(results / f"{work.name}.json", result)
            line.done(report.lines(result))
            fine = fine and all(e.get("same", True) for e in result["entries"])
        for name, part in (("scaling", scaling), ("footprint", footprint)):
            if name in parts:
                line = Line(name)
                _write(results / f"{name}.json", part.measure(workers, line.say, options.quick))
                line.done([])
    if "report" in parts:
        print("\n" + report.table(report.stored(results)))
        if results == report.RESULTS:
            report.write()
    print(f"{time.perf_counter() - began:.0f} s in all", file=sys.stderr)
    if not fine:
        print("some contenders did not do the same work: see above", file=sys.stderr)
    return 0 if fine else 1


class Line:
    """A line of progress on a terminal; elsewhere what begins and what is done."""

    def __init__(self, name: str) -> None:
        self.name, self.start, self.live = name, time.perf_counter(), sys.stderr.isatty()
        if not self.live:
            print(f"{name} …", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """What is going on now."""
        if self.live:
            print(f"\r\033[K{self.name}: {text}", end="", file=sys.stderr, flush=True)

    def done(self, lines: list[str]) -> None:
        """What came of it."""
        if self.live:
            print("\r\033[K", end="", file=sys.stderr)
        print(f"{self.name} ({time.perf_counter() - self.start:.0f} s)")
        for line in lines:
            print("  " + line)
        sys.stdout.flush()


def _write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
