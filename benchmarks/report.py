"""From results to words: the tables of docs/performance.md, and what a terminal shows.

Every table stands between two markers, ``<!-- bench: NAME -->`` and ``<!-- /bench: NAME -->``; only
what is between them is written here, from benchmarks/results and from nothing else.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks import scaling
from benchmarks.machine import ROOT
from benchmarks.peers import NUMPY, OURS, PEERS, PRODUCTS
from benchmarks.workloads import BEST, WORKLOADS

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "docs" / "figures"
QUIET = 0.1  # the most that other programs may take of the processors' time
Result = dict[str, Any]


def stored(folder: Path = RESULTS) -> dict[str, Result]:
    """All results by the name of their file."""
    paths = sorted(folder.glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


def write() -> None:
    """Writes the tables into the page, and the figures beside it."""
    from benchmarks import figures

    results = stored()
    page = PAGE.read_text("utf-8")
    PAGE.write_text(rewritten(page, sections(results)), encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    figures.draw(results, FIGURES)


def rewritten(page: str, parts: dict[str, str]) -> str:
    """The page with the text between each pair of markers replaced."""
    for name, text in parts.items():
        start, end = f"<!-- bench: {name} -->", f"<!-- /bench: {name} -->"
        if page.count(start) != 1 or page.count(end) != 1:
            raise ValueError(f"the page needs one pair of markers {start} … {end}")
        before, rest = page.split(start)
        page = f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}"
    return page


def sections(results: dict[str, Result]) -> dict[str, str]:
    """What stands between the markers, by their names."""
    work = [results[w.name] for w in WORKLOADS if w.name in results]
    training = [r for r in work if r["workload"]["kind"] == "train"]
    predicting = [r for r in work if r["workload"]["kind"] == "predict"]
    return {
        "machine": _machine(results),
        "training": _times(training),
        "prediction": _times(predicting),
        "targets": _verdict(work),
        "forms": _forms(work),
        "products": _products(training),
        "crossovers": _crossovers(results.get("scaling")),
        "footprint": _footprint(results.get("footprint")),
    }


def table(results: dict[str, Result]) -> str:
    """Times and verdict, for a terminal."""
    parts = sections(results)
    return "\n\n".join(parts[name] for name in ("training", "prediction", "targets"))


def lines(result: Result) -> list[str]:
    """One workload in full, for a terminal."""
    found = []
    for entry in result["entries"]:
        same = entry.get("same")
        verdict = "" if same is None else "same work" if same else "NOT THE SAME WORK"
        time = "failed" if entry["failed"] else f"{_us(entry['median'])} {result['unit']}"
        found.append(f"{entry['peer']:<23}{time:>18}  {verdict:<10} {entry['form']}")
        if entry["failed"]:
            found.append(f"    {entry['failed'].strip().splitlines()[0]}")
    found += [f"{name:<23}failed: {why}" for name, why in _absent(result)]
    return [*found, *_words(result)]


def _absent(result: Result) -> list[tuple[str, str]]:
    """The contenders that failed in every form, and why."""
    present = {e["peer"] for e in result["entries"]}
    failed = {t["peer"]: t["failed"].splitlines()[0] for t in result["tried"] if t["failed"]}
    return [(name, why) for name, why in failed.items() if name not in present]


def _words(result: Result) -> list[str]:
    """Each target of a workload as a sentence."""
    found = []
    for target in result["targets"]:
        if target["ratio"] is None:
            found.append(f"missed: no ratio to {target['peer'] or target['against']}")
            continue
        verdict = "holds" if target["met"] else "missed"
        best = "the best peer, " if target["against"] == BEST else ""
        found.append(
            f"{verdict}: {_ratio(target['ratio'])} times as fast as {best}{target['peer']}; "
            f"at least {target['at_least']:g} was promised"
        )
    return found


def _us(value: float | None) -> str:
    """Microseconds with three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _grid(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    rows = ["| " + " | ".join(row) + " |" for row in [head, *body]]
    return "\n".join([rows[0], "|---|" + "---:|" * (len(head) - 1), *rows[1:]])


def _machine(results: dict[str, Result]) -> str:
    """The machines and versions of the stored results, usually one of each, and the commits."""
    places: dict[str, list[str]] = {}
    commits: dict[str, list[str]] = {}
    for name, result in results.items():
        about = result["about"]
        versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items() if k != "pellucid")
        place = (
            f"{about['processor']}, {about['cores']} cores ({', '.join(about['simd'])}), "
            f"{about['memory_gib']} GiB, {about['system']}; Python {about['python']}, {versions}"
        )
        own = about["versions"]["pellucid"]
        commit = f"Pellucid {own} at commit {about['commit']} on {about['date']}"
        places.setdefault(place, []).append(name)
        commits.setdefault(commit, []).append(name)
    found = []
    for groups in (places, commits):
        for text, names in groups.items():
            found.append(f"- {text}." if len(groups) == 1 else f"- {text}: {', '.join(names)}.")
    tried = {name: [t["form"] for t in r["tried"]] for name, r in results.items() if "tried" in r}
    single = [name for name, texts in tried.items() if all(t.endswith("1 thread") for t in texts)]
    if single:
        found.append(f"- With one thread each, two were not tried: {', '.join(single)}.")
    shares = [r["others"] for r in results.values() if "others" in r]
    if shares:
        verdict = " The machine was not quiet: these figures are preliminary."
        found.append(
            f"- Other programs took {min(shares):.0%} to {max(shares):.0%} of the processors' time "
            f"while the rounds ran.{verdict if max(shares) > QUIET else ''}"
        )
    return "\n".join(found)


def _times(results: list[Result]) -> str:
    """Medians of every contender, and the ratio to the best peer."""
    present = {e["peer"] for r in results for e in r["entries"]}
    names = [p.name for p in PEERS if p.name != PRODUCTS and p.name in present]
    body = []
    for result in results:
        entries = {e["peer"]: e for e in result["entries"]}
        row = [result["workload"]["title"]]
        for name in names:
            entry = entries.get(name)
            text = _us(entry["median"]) if entry and not entry["failed"] else "–"
            row.append(text if entry is None or entry.get("same", True) else f"({text})")
        target = next(iter(result["targets"]), None)
        ratio = target["ratio"] if target else None
        row += ["–" if ratio is None else f"{_ratio(ratio)} ({target['peer']})",
                f"{target['at_least']:g}" if target else ""]  # fmt: skip
        body.append(row)
    heads = ["in NumPy" if name == NUMPY else name for name in names]
    return _grid(["µs", *heads, "peer ÷ Pellucid", "promised"], body)


def _verdict(results: list[Result]) -> str:
    """Which targets hold and which are missed."""
    pairs = [(r["workload"]["title"], t, w) for r in results
             for t, w in zip(r["targets"], _words(r), strict=True)]  # fmt: skip
    kept = sum(t["met"] for _, t, _ in pairs)
    missed = [f"- {title}: {words.removeprefix('missed: ')}." for title, t, words in pairs
              if not t["met"]]  # fmt: skip
    head = f"{kept} of {len(pairs)} targets hold."
    return "\n".join([head + (" Missed:" if missed else ""), *([""] if missed else []), *missed])


def _forms(results: list[Result]) -> str:
    """The form each contender ran in, and how the work was found to be the same."""
    found = []
    for result in results:
        train = result["workload"]["kind"] == "train"
        found.append(f"**{result['workload']['title']}**\n")
        for entry in result["entries"]:
            if entry["failed"]:
                found.append(f"- {entry['peer']}: failed, {entry['failed'].splitlines()[0]}")
                continue
            words = entry["form"]
            if entry["compilation_s"] >= 0.5 and entry["peer"] in ("JAX", "PyTorch compiled"):
                words += f"; compiled in {entry['compilation_s']:.0f} s"
            if train and "loss" in entry:
                words += f"; final loss {entry['loss']:.5f}"
                if entry.get("apart"):
                    words += f", {entry['apart']:.0e} of it apart"
            elif "error" in entry:
                words += f"; off by {entry['error']:.0e}"
            if not entry.get("same", True):
                words += ", which is NOT THE SAME WORK"
            found.append(f"- {entry['peer']}: {words}")
        found += [f"- {name}: failed, {why}" for name, why in _absent(result)]
        found.append("")
    return "\n".join(found).strip()


def _products(results: list[Result]) -> str:
    """Dense training beside its matrix products alone, and the share of the machine's rate."""
    body: list[list[str]] = []
    names = [OURS, "PyTorch eager", "PyTorch compiled", "JAX"]
    for result in results:
        alone = next((e for e in result["entries"] if e["peer"] == PRODUCTS), None)
        if alone is None or "gflops" not in result or result["step_mflop"] < 10:
            continue
        entries = {e["peer"]: e["median"] for e in result["entries"]}
        shares = []
        for name in [*names, PRODUCTS]:
            time = entries.get(name)
            rate = result["step_mflop"] / time * 1e3 if time else 0.0  # GFLOP/s
            shares.append(f"{rate / result['gflops']:.0%}" if time else "–")
        body.append([result["workload"]["title"], f"{result['gflops']:.0f} GFLOP/s", *shares])
    return _grid(["share of the machine's rate", "large product", *names, PRODUCTS], body)


def _crossovers(result: Result | None) -> str:
    """The curves, and where another contender becomes the faster one."""
    if result is None:
        return "Not measured yet."
    found = ["![Time of a step against width, depth and batch](figures/scaling.svg)", ""]
    for curve in scaling.CURVES:
        points = [p for p in result["points"] if p["curve"] == curve]
        for peer in scaling.CONTENDERS[1:]:
            pairs = [(t, o) for p in points
                     if (t := scaling.best(p, peer)) and (o := scaling.best(p, OURS))]  # fmt: skip
            if not pairs:
                continue
            crossed = [
                f"{peer} the faster one above {at:.0f}" if theirs else f"Pellucid above {at:.0f}"
                for at, theirs in scaling.crossovers(points, peer)
            ]
            always = "Pellucid throughout" if pairs[0][0] >= pairs[0][1] else f"{peer} throughout"
            ratios = [t / o for t, o in pairs]
            found.append(
                f"- {curve}, {peer}: {', '.join(crossed) or always} "
                f"(its time is {_ratio(min(ratios))} to {_ratio(max(ratios))} times Pellucid's)"
            )
    found += ["", "What the second thread is worth:", "",
              "![Time with one thread over time with two](figures/threads.svg)"]  # fmt: skip
    return "\n".join(found)


def _footprint(result: Result | None) -> str:
    """Memory, import time and size."""
    if result is None:
        return "Not measured yet."
    body = [
        [row["library"], f"{row['import_ms']:,.0f}",
         "–" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}",
         _us(row["size_mb"]), f"{row['with_requirements_mb']:,.0f}"]
        for row in result["rows"]
    ]  # fmt: skip
    head = ["", "import, ms", "peak memory, MB", "installed, MB", "with requirements, MB"]
    return _grid(head, body)


def markers(page: str) -> list[str]:
    """The names of the page's sections."""
    return re.findall(r"<!-- bench: (\w+) -->", page)
