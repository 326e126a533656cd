"""The picture in docs/architecture.md, held against the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "pellucid"
LEVELS = [
    {"errors"}, {"special", "random", "description"}, {"initializers"}, {"layers"},
    {"schedules", "targets", "penalties"}, {"losses", "optimizers"}, {"metrics"}, {"events", "data"},
    {"network"}, {"engine"}, {"training"}, {"formats", "insight", "estimators"}, {"notation"}, {"walkthroughs"}, {"ladder"}, {"cli"},
]  # fmt: skip
LEVEL = {name: i for i, names in enumerate(LEVELS) for name in names}


def _module_level_imports(path: Path) -> set[str]:
    """Parts of the package imported when the file is, without those for types alone."""
    found = set()
    stack = list(ast.parse(path.read_text()).body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pellucid."):
            found.add(node.module.split(".")[1])
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            stack += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(SRC).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    above = {other for other in _module_level_imports(path) if LEVEL[other] > LEVEL[part]}
    assert not above, f"{part} imports {above}, which stand above it"


def test_import_is_light() -> None:
    code = (
        "import sys, numpy, pellucid; heavy = {'safetensors', 'tqdm', 'threadpoolctl', 'PIL', "
        "'matplotlib', 'sklearn', 'scipy', 'torch', 'pellucid.training', 'pellucid.insight', "
        "'pellucid.formats', 'pellucid.cli', 'pellucid.estimators', 'pellucid.data.images'} & set(sys.modules); print(heavy or '')"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_public_names_exist() -> None:
    import pellucid

    for name in pellucid.__all__:
        assert getattr(pellucid, name) is not None
    assert len(set(pellucid.__all__)) == len(pellucid.__all__)


def test_reading_path_is_an_afternoon() -> None:
    files = (ROOT / "docs" / "reading_path.txt").read_text().split()
    assert 10 <= len(files) <= 14
    lines = sum(len((ROOT / file).read_text().splitlines()) for file in files)
    assert lines <= 3200, f"{lines} lines are more than an afternoon"


def test_no_global_random_state() -> None:
    for path in SRC.rglob("*.py"):
        text = path.read_text()
        assert "np.random.seed" not in text
        assert "default_rng" not in text, path
