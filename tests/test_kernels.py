"""The kernels' own tests in C++: as shipped, under sanitizers, by other compilers, on other machines.

Every program in native/tests/ is linked with all of native/ but the door to Python, once for each
kind of build, and run for each tier that the machine has.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

NATIVE = Path(__file__).parents[1] / "native"
TESTS = sorted(path.stem for path in NATIVE.glob("tests/*_test.cpp"))
STRICT = ["-Wall", "-Wextra", "-Werror"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not NATIVE.is_dir(), reason="native/ is not there"),
]


class Kind(NamedTuple):
    """A way to build the kernels; `runner` starts what was built for another machine."""

    compiler: str
    flags: list[str]
    link: list[str] = []
    runner: str = ""
    portable: bool = False  # no tier but that
    trials: dict[str, int] = {}  # of tests that have their own number otherwise


# Where what is looked for is not the numbers (other trials are enough), or each is emulated.
FEWER = {"vecmath_test": 50000, "gemm_test": 100, "conv_test": 5, "ops_test": 20,
         "small_ops_test": 10, "formula_test": 20}  # fmt: skip
KINDS = {
    "shipped": Kind("g++", ["-O3", *STRICT]),
    "address": Kind("g++", ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
                    trials={"vecmath_test": 200000, "conv_test": 30, "ops_test": 100, "small_ops_test": 40, "formula_test": 10}),
    "thread": Kind("g++", ["-O1", "-g", "-fsanitize=thread"], trials=FEWER),
    "clang": Kind("clang++", ["-O3", *STRICT, "-Wno-pass-failed"]),  # a loop left as it is: no error
    # Not with loops vectorised: of strided pairs GCC 12 reads one behind the end.
    "no vectors": Kind("g++", ["-O3", "-fno-tree-loop-vectorize", *STRICT, "-Wno-unknown-pragmas",
                               "-include", str(NATIVE / "tests" / "no_vectors.hpp")], portable=True),
    "aarch64": Kind("aarch64-linux-gnu-g++", ["-O3", *STRICT], ["-static"], "qemu-aarch64-static",
                    portable=True, trials=FEWER),
}  # fmt: skip
TIERS = {"portable": "scalar", "avx2": "avx2", "avx512": "avx512"}  # as PELLUCID_SIMD calls them


def tiers(kind: Kind) -> list[str]:
    """What this machine has, and the kind of build."""
    if kind.portable:
        return ["portable"]
    info = Path("/proc/cpuinfo")
    flags = info.read_text().split() if info.is_file() else []
    found = ["portable", *(["avx2"] if {"avx2", "fma"} <= {*flags} else [])]
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= {*flags}
    return [*found, "avx512"] if len(found) == 2 and wide else found


def flags_of(source: Path, kind: Kind) -> list[str]:
    """As native/CMakeLists.txt has them."""
    text = (NATIVE / "CMakeLists.txt").read_text()
    named = {name: flags.split() for name, flags in re.findall(r"set\((\w+) (-[^)]+)\)", text)}
    tier = next((named[t.upper()] for t in ("avx2", "avx512") if source.stem.endswith(f"_{t}")), [])
    exact = named["exact"] if source.stem.startswith("ops") else []
    flags = kind.flags
    if source.parent.name == "tests" and source.stem != "parallel_test":  # naive forms, slow enough
        flags = [*(flag for flag in flags if "-fsanitize" not in flag), "-O2"]
    return ["-std=c++20", "-fPIC", "-pthread", "-ffp-contract=fast", *flags, *tier, *exact]


def sources(kind: Kind) -> list[Path]:
    """All of native/ but the door to Python, and without other machines' tiers."""
    here = [path for path in NATIVE.glob("*.cpp") if path.stem != "module"]
    x86 = platform.machine() in ("x86_64", "AMD64") and not kind.portable
    return sorted(p for p in here if x86 or not p.stem.endswith(("_avx2", "_avx512")))


def need(*tools: str) -> None:
    """Skips where a tool is missing, but not where all are said to be there."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking and os.environ.get("PELLUCID_TEST_TOOLS") != "all":
        pytest.skip(f"{' and '.join(lacking)} not installed")
    assert not lacking, f"PELLUCID_TEST_TOOLS=all, but there is no {' and no '.join(lacking)}"


Results = dict[tuple[str, str], subprocess.CompletedProcess[str]]  # by test and tier


class Builder:
    """Compiles what a test asks for, each file once a kind, and runs the programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failed: dict[str, str] = {}  # what compilers said, empty where they could
        self.said: dict[str, Results] = {}

    def compile_all(self, name: str) -> None:
        """The kernels and their tests, by as many compilers at a time as there are cores."""
        if name not in self.failed:
            (self.folder / name).mkdir()
            files = [*sources(KINDS[name]), *(NATIVE / "tests" / f"{test}.cpp" for test in TESTS)]
            files.sort(key=lambda path: "_avx512" not in path.stem)  # those that take long first
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self.failed[name] = "".join(pool.map(lambda path: self.compile(name, path), files))
        assert not self.failed[name], self.failed[name][-6000:]

    def compile(self, name: str, source: Path, *more: str) -> str:
        kind, to = KINDS[name], self.folder / name / f"{source.stem}.o"
        command = [kind.compiler, *flags_of(source, kind), *more, "-c", str(source), "-o", str(to)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""

    def link(self, name: str, to: str, more: list[str], *flags: str) -> Path:
        """The kernels and some objects more, as one file."""
        kind, folder = KINDS[name], self.folder / name
        self.compile_all(name)
        if not (folder / to).exists():
            stems = [*(path.stem for path in sources(kind)), *more]
            objects = [str(folder / f"{stem}.o") for stem in stems]
            command = [kind.compiler, *kind.flags, *kind.link, "-pthread", *flags, *objects]
            subprocess.run([*command, "-o", str(folder / to)], check=True)
        return folder / to

    def results(self, name: str) -> Results:
        """What the programs of a kind say, for every test and tier; two at a time on two cores."""
        if name not in self.said:
            kind = KINDS[name]

            def run(case: tuple[str, str]) -> subprocess.CompletedProcess[str]:
                command = [*filter(None, [kind.runner]), str(self.folder / name / case[0])]
                command += [str(kind.trials[case[0]])] if case[0] in kind.trials else []
                return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800,
                                      env={**os.environ, "PELLUCID_SIMD": TIERS[case[1]]})  # fmt: skip

            for test in TESTS:
                self.link(name, test, [test])
            cases = [(test, tier) for test in TESTS for tier in tiers(kind)]
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self.said[name] = dict(zip(cases, pool.map(run, cases), strict=True))
        return self.said[name]

    def extension(self, name: str) -> Path:
        """The whole core as Python imports it, with the objects of a kind."""
        nanobind = pytest.importorskip("nanobind")
        root = Path(nanobind.include_dir()).parent
        folders = [root / "include", root / "ext/robin_map/include", sysconfig.get_path("include")]
        flags = ["-fvisibility=hidden", *(f"-I{folder}" for folder in folders)]
        self.compile_all(name)
        said = self.compile(name, NATIVE / "module.cpp", *flags)
        said += self.compile(
            name, root / "src" / "nb_combined.cpp", *flags, "-fno-strict-aliasing", "-DNB_BUILD"
        )
        assert not said, said[-4000:]
        library = f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
        return self.link(name, library, ["module", "nb_combined"], "-shared")


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("name", KINDS)
def test_kernels(builder: Builder, name: str, tier: str, test: str) -> None:
    kind = KINDS[name]
    if tier not in tiers(kind):
        pytest.skip("this build or this machine has no such tier")
    need(*filter(None, [kind.compiler, kind.runner]))
    done = builder.results(name)[test, tier]
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert f"tier: {tier}\n" in done.stdout
    assert done.stdout.endswith("all good\n")


def test_products_are_fused_on_arm(builder: Builder) -> None:
    """Each multiply-add of the products is one instruction; of the opcodes' arithmetic none is."""
    need("aarch64-linux-gnu-g++", "aarch64-linux-gnu-objdump")
    builder.compile_all("aarch64")
    counts = {}
    for family in ("gemm", "conv", "ops"):
        listing = subprocess.run(
            ["aarch64-linux-gnu-objdump", "-d", str(builder.folder / "aarch64" / f"{family}.o")],
            capture_output=True, text=True, check=True).stdout  # fmt: skip
        counts[family] = [
            len(re.findall(rf"\bfmla\s+v\d+\.{lanes}", listing)) for lanes in ("4s", "2d")
        ]
    assert min(counts["gemm"] + counts["conv"]) > 100, counts
    assert counts["ops"] == [0, 0], counts


# Before anything else is imported: this core instead of the installed one.
SITE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("pellucid._core", {core!r})
sys.modules["pellucid._core"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pellucid._core"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="preloads a sanitizer's library")
def test_spoilt_tables_under_sanitizers(builder: Builder, tmp_path: Path) -> None:
    need("g++")
    core = builder.extension("address")
    (tmp_path / "sitecustomize.py").write_text(SITE.format(core=str(core)))
    libraries = [  # the second, because the first looks for its functions when it is loaded
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "LD_PRELOAD": " ".join(libraries),
                   "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}  # fmt: skip
    code = "from pellucid import _core; print(_core.__file__)"
    for command in (["-c", code], ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_native.py",
                                   "-k", "spoilt or enters or every_layer"]):  # fmt: skip
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False,
                              cwd=NATIVE.parent, env=environment, timeout=1800)  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert str(core) in done.stdout or " passed" in done.stdout
