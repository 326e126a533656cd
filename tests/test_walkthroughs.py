"""The walkthroughs keep their word: every block runs, every gate stands in them as an assertion."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pellucid.errors import UnknownNameError
from pellucid.walkthroughs import Walkthrough, as_notebook, load, names, run
from pellucid.walkthroughs.text import parse

GATES = {  # what each has to assert, by a few words of its code
    "1_first_network": [
        "assert np.allclose(row.T, column)", 'AssertionError("this has to be refused")',
        "assert starved < 0.15 and fed > 0.75", "assert after < before",
        "assert three >= 850 and eight >= 940", "for seed in range(5): three, eight",
        "assert first < 0.25 and last >= 0.9", "assert min(shares) >= 0.9",
        "== max(four.values())", "== min(four.values())", "abs(floor - 1.461) < 5e-4",
        "assert mended > 0.9",
        "assert wide_mended > wide_crude and wide_mended > 0.95", "np.isfinite(single.parameters.vector).all()",
        "assert abs(scaled - 0.9) < 0.02", "assert 0.85 <= taught <= 0.91",
        "assert min(shares[:4]) >= taught - 0.08",
        "assert max(shares[4:]) < min(shares[:4]) - 0.05",
    ],
    "2_regression": [
        "[8.92, 12.04, 4, 4, 4.864], rtol=0, atol=1e-9",
        "[0.0064, 0.9216, 1, 36, 34.386496], rtol=0, atol=1e-9",
        "dW2.ravel(), [-3.258464, 0.85184], rtol=0, atol=1e-9",
        "db2.ravel(), [3.9296], rtol=0, atol=1e-9",
        "dW1.ravel(), [-6.01472, -1.50368], rtol=0, atol=1e-9",
        "db1.ravel(), [0.77184, 0.19296], rtol=0, atol=1e-9",
        "step.gradients[name], gradient, rtol=0, atol=1e-9", "assert len(train[0]) == 64_000",
        "assert error <= 101.5 and", "assert error <= 100.8 and", '"predicting before fitting has',
        "for seed in range(5): error, least, _ = plain(seed)",
        "for seed in range(5): error, least = default(seed)",
    ],
    "3_perceptron": [
        "published_1, rtol=0, atol=5e-9", "published_2, rtol=0, atol=5e-9", "assert wrong > 0.99",
        "assert mse >= 0.985", "assert min(more) >= 0.985", "and accuracy >= 0.96",
        "assert min(shares) >= 0.96",
    ],
    "4_building_blocks": [
        "assert accuracy == 1.0 and loss <= 0.04", "for seed in range(6):",
        'assert result["accuracy"] == 1.0 and result["loss"] <= 0.04',
        "Network(layers, inputs=2, loss=CrossEntropy()) except ValueError",
        "assert abs(floor - 0.3133) < 5e-5", 'assert floor < result["loss"] < floor + 0.1',
        "sum(a < 0.95 for a in wrong) > sum(a < 0.95 for a in right)",
        'from_files.names == tuple("0123456789")', "assert accuracy >= 0.94",
    ],
    "5_mnist": [
        "np.array_equal(again.x, test.x)", "from_one_hot(rows), train.y)",
        "assert right(net, test) >= 0.95 * len(test)", "assert min(counts) >= 0.95 * len(test)",
        "right(unscaled, test) < right(net, test) - 40",
    ],
    "6_real_tasks": [
        "abs(last.mean()) < 0.15 and 0.7 < last.var() < 1.4", "assert reached + 1 <= 6",
        "assert errors[0] < 0.7 * errors[1]", '0.31 <= np.mean(shares["linear"]) <= 0.325',
        '0.64 <= share <= 0.69 for share in shares["dense"]',
        '0.91 <= share <= 0.95 for share in shares["convolution"]', "assert accuracy >= 0.985",
        '("dense", dense, 0.89), ("convolution", images, 0.915)', "assert min(overlap) >= 0.75",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_NUM_THREADS", "1")


def run_all(walkthrough: Walkthrough, long: bool) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    drawn = 0
    for done in run(walkthrough, long=long):
        assert done.skipped == (done.part.long and not long)
        drawn += len(done.figures)
    assert drawn, "a walkthrough draws something"
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("name", names())
def test_one_seed(name: str) -> None:
    run_all(load(name), long=False)


@pytest.mark.long
@pytest.mark.parametrize("name", names())
def test_all_seeds(name: str) -> None:
    run_all(load(name), long=True)


@pytest.mark.parametrize("name", GATES)
def test_gates_stand_in_the_code(name: str) -> None:
    code = " ".join(" ".join(p.text for p in load(name).parts if p.kind == "code").split())
    for gate in GATES[name]:
        assert gate in code, gate


def test_split_is_scikit_learns() -> None:
    from sklearn.model_selection import train_test_split

    scope: dict = {"np": np}
    part = next(p for p in load("regression").parts if "def split" in p.text)
    exec(part.text[: part.text.index("def problem")], scope)
    x, y = np.arange(1000.0)[:, None], np.arange(1000)
    x_fit, x_test, y_fit, y_test = train_test_split(x, y, test_size=0.2, random_state=42)
    for ours, theirs in zip(scope["split"](x, y, 0.2), (x_fit, y_fit, x_test, y_test), strict=True):
        assert np.array_equal(ours, theirs)


def test_names() -> None:
    assert load("3") == load("perceptron") == load("3_perceptron")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'perceptron'"):
        load("perceptrons")


def test_parts_keep_their_lines() -> None:
    text = "# T\n\n```text\nno code\n```\n\n```python\n1\n```\n```python long\n2\n```\nend\n"
    parts = parse(text)
    assert [(p.kind, p.long, p.line) for p in parts] == [
        ("prose", False, 1), ("code", False, 8), ("code", True, 11), ("prose", False, 13)
    ]  # fmt: skip
    assert "```text" in parts[0].text
    lines = text.splitlines()
    for part in parts:
        assert lines[part.line - 1] == part.text.splitlines()[0]


def test_an_error_names_the_line_of_the_file(tmp_path) -> None:
    path = tmp_path / "0_wrong.md"
    path.write_text("# Wrong\n\n```python\nprint(1)\n1 / 0\n```\n")
    wrong = Walkthrough("0_wrong", "Wrong", parse(path.read_text()), path)
    with pytest.raises(ZeroDivisionError) as caught:
        list(run(wrong))
    place = caught.traceback[-1]
    assert (place.path, place.lineno) == (path, 4)  # counted from 0


def test_figures_are_handed_over_and_closed(tmp_path) -> None:
    from matplotlib import pyplot

    code = "import matplotlib.pyplot as plt\nplt.figure(); plt.figure()\n"
    drawn = Walkthrough("0_drawn", "Drawn", parse(f"```python\n{code}```\n"), tmp_path)
    (done,) = run(drawn)
    assert len(done.figures) == 2
    assert not pyplot.get_fignums()


@pytest.mark.parametrize("name", names())
def test_notebook_has_every_part(name: str) -> None:
    walkthrough = load(name)
    notebook = json.loads(as_notebook(walkthrough))
    assert notebook["nbformat"] == 4
    cells = notebook["cells"]
    assert ["".join(cell["source"]) + "\n" for cell in cells] == [p.text for p in walkthrough.parts]
    assert len({cell["id"] for cell in cells}) == len(cells)


def test_command(tmp_path, capsys, monkeypatch) -> None:
    from pellucid.cli import main

    assert main(["walkthrough"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names()
    assert main(["walkthrough", "perceptrons"]) == 2
    assert "Did you mean 'perceptron'" in capsys.readouterr().err
    assert main(["walkthrough", "3", "--notebook", str(tmp_path / "3.ipynb")]) == 0
    assert (tmp_path / "3.ipynb").read_text(encoding="utf-8") == as_notebook(load("3"))
    capsys.readouterr()

    short = load("3")
    kept = [part for part in short.parts if part.line < 80 or part.long]  # to its first figure
    short = Walkthrough(short.name, short.title, tuple(kept[: kept.index(kept[-1])]), short.path)
    monkeypatch.setattr("pellucid.cli.walkthrough.load", lambda _: short)
    drawn = tmp_path / "drawn"
    assert main(["walkthrough", "3", "--figures", str(drawn)]) == 0
    out = capsys.readouterr().out
    assert "│ old = np.random.RandomState(1)" in out
    assert "\n[[ 1.14858562 -0.43257711 -0.37347383]" in out
    assert "[takes longer: --long runs it]" in out
    assert [path.name for path in drawn.iterdir()] == ["3_perceptron-1.png"]
    assert f"[a figure: {drawn / '3_perceptron-1.png'}]" in out
