"""Expressions drawn: the numbers are Python's own, nothing overlaps, nothing else is executed."""

from __future__ import annotations

import doctest
import importlib
import itertools
import re
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid import Network, mlp
from pellucid.errors import (
    ExpressionError,
    OptionError,
    PellucidError,
    ShapeError,
    UnknownNameError,
)
from pellucid.insight import explain, explain_errors, tracebacks
from pellucid.insight.drawing import layout
from pellucid.insight.shapes import elementwise_shape, matmul_shape

RNG = np.random.default_rng(3)
X, W, B, V = (
    RNG.normal(size=(5, 3)),
    RNG.normal(size=(3, 4)),
    RNG.normal(size=4),
    RNG.normal(size=3),
)
MASK, N = X[:, 0] > 0, 5
NAMES: dict[str, Any] = {"X": X, "W": W, "B": B, "V": V, "MASK": MASK, "N": N}
EXPRESSIONS = [
    "X @ W + B", "-X", "-(-X)", "X.T", "(X @ W).T", "X[0]", "X[:, 1:]", "X[MASK]", "X[MASK, 1:]",
    "X[..., None]", "2 * X / N", "2 ** -1 * V", "X - X.mean(axis=0)", "~MASK & (V[0] > 0)",
    "(X - X.mean(axis=0)) / X.std(axis=0)", "np.maximum(X @ W + B, 0) @ W.T", "X.shape", "N + 1",
    "np.concatenate([X, X], axis=1)", "np.where(MASK[:, None], X, 0)", "X.sum(axis=1, keepdims=True)",
    "np.exp(X - X.max(axis=1, keepdims=True))", "V @ V", "V ** 2 // 1 % 2", "X[1:N, 0]", "X.astype('float32')",
    "np.einsum('ij,jk->ik', X, W)", "X.reshape(3, N)", "X == X", "X.reshape((-1,))", "X[np.newaxis]",
    "np.pi * V", "V + [1, 2, 3]", "np.ones_like(X) * (X > 0)", "((X))", "X.sum()", "(X @ W)[0] + B",
]  # fmt: skip


# ---- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_part_has_the_value_that_python_gives_it(expression: str) -> None:
    explained = explain(expression, **NAMES)
    for source, value in explained.values.items():
        expected = np.asarray(eval(source, {"np": np, **NAMES}))
        np.testing.assert_array_equal(value, expected)
        assert np.asarray(value).dtype == expected.dtype
    np.testing.assert_array_equal(explained.value, eval(expression, {"np": np, **NAMES}))


def test_the_picture() -> None:
    drawn = explain("x @ W + b", few=2, x=np.ones((5, 4), np.float32), W=np.ones((4, 2)), b=[1, 2])
    assert str(drawn) == repr(drawn) == PICTURE


PICTURE = """\
   x   @    W   +   b
 (5, 4)   (4, 2)   (2,)
float32  float64  int64
   └───┬────┘     [1, 2]
     (5, 2)         │
    float64         │
       └────────┬───┘
              (5, 2)
             float64

+ stretches b (2,) along axis 0 to (5, 2)"""


def test_the_regression_by_hand_has_each_number_where_it_arises() -> None:
    given = {
        "x": np.array([[10.0, 20, -20, -40, -3]]).T, "W1": [[0.73, 0.2]], "b1": [[4, 2]],
        "W2": [[0.4], [0.1]], "b2": 4, "y": np.array([[9.0, 13, 5, -2, -1]]).T,
    }  # fmt: skip
    z = explain("x @ W1 + b1", **given)
    a = explain("np.maximum(z, 0)", z=z.value)
    out = explain("a @ W2 + b2", a=a.value, **given)
    errors = explain("(out - y) ** 2", out=out.value, **given)
    slope = explain("2 * (out - y) / 5", out=out.value, **given)
    dW2 = explain("a.T @ slope", a=a.value, slope=slope.value)
    dz = explain("slope @ W2.T * (z > 0)", slope=slope.value, z=z.value, W2=given["W2"])
    dW1 = explain("x.T @ dz", dz=dz.value, **given)
    near = {"rtol": 0, "atol": 1e-9}
    for found, numbers in [
        (out, [8.92, 12.04, 4, 4, 4.864]), (errors, [0.0064, 0.9216, 1, 36, 34.386496]),
        (dW2, [-3.258464, 0.85184]), (explain("slope.sum()", slope=slope.value), [3.9296]),
        (dW1, [-6.01472, -1.50368]), (explain("dz.sum(axis=0)", dz=dz.value), [0.77184, 0.19296]),
    ]:  # fmt: skip
        np.testing.assert_allclose(np.ravel(found.value), numbers, **near)
        text = str(found)
        for number in numbers:  # seen in the drawing too, to its last digit
            assert re.search(rf"(?<![\d.-]){number:g}0*\.?(?!\d)".replace(".", r"\.", 1), text) or (
                f"{number:.8g}" in text
            ), (number, text)


def test_broadcasting_is_said() -> None:
    assert explain("X @ W + B", **NAMES).notes == ["+ stretches B (4,) along axis 0 to (5, 4)"]
    both = explain("p - y", p=np.zeros((5, 1)), y=np.zeros(5))
    assert both.notes == [
        "- stretches p (5, 1) along axis 1 to (5, 5)",
        "- stretches y (5,) along axis 0 to (5, 5)",
        "both are stretched: every part of p meets every part of y",
    ]
    assert explain("a * b", a=np.ones((2, 1, 3)), b=np.ones((2, 4, 3))).notes == [
        "* stretches a (2, 1, 3) along axis 1 to (2, 4, 3)"
    ]
    assert explain("2 * X + X", **NAMES).notes == []
    assert "stretches" in str(explain("np.maximum(X, V)", **NAMES))


# ---- where it stands -----------------------------------------------------------------------------


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_nothing_overlaps_and_results_stand_under_their_operator(expression: str) -> None:
    term = explain(expression, **NAMES).term
    block = layout(term, 12)
    taken: dict[tuple[int, int], Any] = {}
    for word in block.words:
        for k in range(len(word.text)):
            assert taken.setdefault((word.row, word.column + k), word) is word, (word, expression)
    for line in block.lines:
        for row in range(int(np.ceil(line.row)), int(line.to_row) + 1):
            for column in range(line.column, line.to_column + 1):
                assert (row, column) not in taken
    first = sorted((w for w in block.words if w.row == 0), key=lambda w: w.column)
    written = "".join(w.text for w in first)
    assert written.replace(" ", "") == expression.strip("()" * (expression == "((X))")).replace(
        " ", ""
    )
    lines = str(explain(expression, **NAMES)).splitlines()
    assert max(map(len, lines[: block.height])) <= block.width
    for word in block.words:
        assert lines[word.row][word.column :].startswith(word.text.rstrip())
    if term.operands:  # the last result is under the sign of the last operation
        shape = [w for w in block.words if w.kind in ("shape", "dtype")][-2:]
        assert any(abs(w.column + (len(w.text) - 1) // 2 - block.anchor) <= 1 for w in shape)
        sign = min(
            first, key=lambda w: abs(w.column + (len(w.text.rstrip("( ,")) - 1) // 2 - block.anchor)
        )
        assert term.sign.rstrip("(")[:2].strip() in sign.text


def test_numbers_are_shown_where_they_are_few() -> None:
    assert "0.5" in str(explain("x * 2", x=np.full(12, 0.25)))
    assert "0.5" not in str(explain("x * 2", x=np.full(13, 0.25)))
    assert "0.5" not in str(explain("x * 2", few=11, x=np.full(12, 0.25)))


def test_small_numbers_are_not_written_as_zeros() -> None:
    assert "[1.5e-08, 0.0e+00]" in str(explain("x * 1", x=np.array([1.5e-8, 0])))
    assert "[3., 0.]" in str(explain("x * 1", x=np.array([3, 1e-9])))


class Checker(HTMLParser):
    """Takes down tags and texts, and counts what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in ("meta", "br", "path", "rect", "circle", "line"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "rect", "circle", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_svg_and_html(tmp_path: Path) -> None:
    explained = explain("(X @ W < B) & (B > 0)", **NAMES)
    block = layout(explained.term, 12)
    space = "{http://www.w3.org/2000/svg}"
    for drawing in (explained.svg(), explained._repr_html_()):
        root = ET.fromstring(drawing)
        texts = [t.text for t in root.iter(f"{space}text")]
        assert texts[: len(block.words)] == [w.text for w in block.words]
        assert "<" in texts
        checker = Checker()
        checker.feed(drawing)
        assert checker.open == []
        assert "script" not in checker.tags
    svg = ET.fromstring(explained.svg())
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    for text in svg.iter(f"{space}text"):
        assert float(text.get("x", 0)) + float(text.get("textLength", 0)) <= width - 8
        assert float(text.get("y", 0)) <= height
    for name in ("drawing.svg", "drawing.html", "drawing.txt"):
        explained.save(tmp_path / name)
        assert "float64" in (tmp_path / name).read_text(encoding="utf-8")
    with pytest.raises(OptionError, match=r"\.svg, \.html or \.txt"):
        explained.save(tmp_path / "drawing.png")


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("__import__('os').system('touch canary')", "has no value"),
        ("open('canary', 'w')", "has no value"),
        ("np.save('canary', X)", "not among NumPy's functions"),
        ("np.load('canary')", "not among NumPy's functions"),
        ("np.lib.npyio", "not among NumPy's functions"),
        ("X.tofile('canary')", "this method is not known"),
        ("X.dump('canary')", "this method is not known"),
        ("X.__class__", "this attribute"),
        ("X.__class__.__bases__", "this attribute"),
        ("().__class__", "only arrays have attributes"),
        ("'a'.join(X)", "only arrays have attributes|only NumPy's functions"),
        ("[v for v in X]", "no arithmetic"),
        ("(lambda: X)()", "functions are not made"),
        ("(y := X)", "without :="),
        ("X if N else W", "np.where"),
        ("N < X < 3", "two at a time"),
        ("X and W", "write & and"),
        ("not X", "write ~"),
        ("f'{X}'", "no arithmetic"),
        ("9 ** 9 ** 9", "too large"),
        ("1 << 10", "for whole numbers"),
        ("'a' * 10", "a str is no array"),
        ("X + X.dtype", "is no array"),
        ("np.add(X, X, out=X)", "out="),
        ("np.add(X, X, X)", "read-only"),
        ("X.sum(*[0])", r"without \* and"),
        ("X +", "no expression"),
        ("", "no expression"),
        ("import os", "no expression"),
        ("X; X", "no expression"),
        ("X.mena(axis=0)", "Did you mean 'mean'"),
        ("np.sqr(X)", "Did you mean 'sqrt'"),
        ("np.linalg.inv(X)", "not among"),
        ("X * 3j", "complex"),
        ("X = W", None),
    ],
)
def test_only_arithmetic_is_done(
    expression: str, words: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {name: np.array(value) for name, value in NAMES.items()}
    if words is None:
        assert explain(expression, **NAMES).value is not None
    else:
        with pytest.raises(PellucidError, match=words) as caught:
            explain(expression, **NAMES)
        assert isinstance(caught.value, ValueError | KeyError)
    assert list(tmp_path.iterdir()) == []
    for name, value in before.items():
        np.testing.assert_array_equal(NAMES[name], value)


def test_names_that_are_missing_or_no_arrays() -> None:
    with pytest.raises(UnknownNameError, match=r"'Y' has no value: give one, explain\(\.\.\., Y="):
        explain("X + Y", X=X)
    with pytest.raises(PellucidError, match="dtype object"):
        explain("x + 1", x=np.array([object()]))
    with pytest.raises(ExpressionError, match="too many levels"):
        explain("-" * 3000 + "X", X=X)


# ---- what does not fit ---------------------------------------------------------------------------

SHAPES = [(), (1,), (2,), (3,), (2, 3), (3, 2), (1, 3), (3, 1), (2, 2, 3), (2, 3, 2), (4, 1, 3)]


@pytest.mark.parametrize("pair", list(itertools.product(SHAPES, SHAPES)), ids=str)
def test_shapes_are_numpys_and_every_fix_works(pair: tuple[Any, Any]) -> None:
    a, b = (np.ones(shape) for shape in pair)
    for sign, shape_of, function in [
        ("@", matmul_shape, np.matmul), ("+", elementwise_shape, np.add), ("<", elementwise_shape, np.less),
    ]:  # fmt: skip
        try:
            expected = function(a, b).shape
        except ValueError:
            expected = None
        assert shape_of(*pair) == expected
        if expected is not None:
            assert explain(f"a {sign} b", a=a, b=b).value.shape == expected
            continue
        with pytest.raises(ShapeError) as caught:
            explain(f"a {sign} b", a=a, b=b)
        text = str(caught.value)
        assert f"{pair[0]} {sign} {pair[1]} does not fit: " in text
        assert "✗ does not fit" in text
        fix = re.search(
            r"Likely fix: (.+?)(?: for (\w), (\(.*?\)))?, which gives (\(.*?\))\n", text
        )
        if fix is None:
            assert sign != "@" or () in pair or len(a.shape) == len(b.shape) or "Likely" not in text
            continue
        words, operand, shape, whole = fix.groups()
        made = eval(words, {"a": a, "b": b})
        if operand is not None:
            assert str(made.shape) == shape
            made = function(*(made if name == operand else {"a": a, "b": b}[name] for name in "ab"))
        assert str(made.shape) == whole


def said(expression: str, **values: Any) -> str:
    with pytest.raises(ShapeError) as caught:
        explain(expression, **values)
    return str(caught.value)


def test_why_it_does_not_fit() -> None:
    text = said("x @ W + b", x=np.ones((5, 3)), W=np.ones((4, 3)), b=np.ones(4))
    assert text.startswith(
        "in x @ W + b\nx @ W: (5, 3) @ (4, 3) does not fit: the last axis of x has 3, the first axis of "
        "W has 4, and they have to be equal. Likely fix: x @ W.T, which gives (5, 4)\n\n   x     @"
    )
    text = said("x - x.mean(axis=1)", x=np.ones((5, 3)))
    assert "x has 3 along axis 1 where x.mean(axis=1) has 5 along axis 0" in text
    assert (
        "Likely fix: x.mean(axis=1, keepdims=True) for x.mean(axis=1), (5, 1), which gives" in text
    )
    assert "np.max(x, 1, keepdims=True)" in said("x - np.max(x, 1)", x=np.ones((5, 3)))
    assert "x.max(1, keepdims=True)" in said("x - x.max(1)", x=np.ones((5, 3)))
    assert "Likely fix: v[:, None] for v, (5, 1)" in said("x * v", x=np.ones((5, 3)), v=np.ones(5))
    assert "Likely fix: y.T for y, (5, 4)" in said(
        "(x @ w) * y", x=np.ones((5, 3)), w=np.ones((3, 4)), y=np.ones((4, 5))
    )
    assert "Likely fix: x * 3" in said("x @ 3", x=np.ones(3))
    assert "Likely" not in said("x + y", x=np.ones(3), y=np.ones(4))
    text = said("np.concatenate([a, b], axis=1)", a=np.ones((2, 3)), b=np.ones((3, 3)))
    assert "along dimension 0" in text
    assert "(2, 3)" in text
    assert "index 7 is out of bounds" in said("x[7]", x=np.ones(3))


# ---- errors explained where they fall --------------------------------------------------------------


class Layer:
    def __init__(self) -> None:
        self.W = np.zeros((4, 3))
        self.p = {"b": np.zeros(7)}
        self.looked = 0

    @property
    def counted(self) -> Any:
        self.looked += 1
        return np.zeros(9)

    def count(self) -> Any:
        self.looked += 1
        return np.zeros(9)

    def __array__(self, *args: Any, **options: Any) -> Any:
        self.looked += 1
        return np.zeros(9)

    def __index__(self) -> int:
        self.looked += 1
        return 0

    def forward(self, x: Any) -> Any:
        return x @ self.W

    def biased(self, x: Any) -> Any:
        return (x @ self.W.T + self.p["b"]).sum()


def in_place(x: Any) -> None:
    x += np.ones(4)


def put(x: Any, row: Any) -> None:
    x[0] = row


def over_lines(x: Any) -> Any:
    return x @ (
        x
        + 1
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "kind", "words"),
    [
        (lambda a, x: a.forward(x), ValueError, ["In x @ self.W: (5, 3) @ (4, 3)", "Likely fix: x @ self.W.T"]),
        (lambda a, x: a.biased(x), ValueError, ['In x @ self.W.T + self.p["b"]: (5, 4) + (7,)', "(7,)"]),
        (lambda a, x: in_place(x), ValueError, ["In x += np.ones(4)", "(5, 3)"]),
        (lambda a, x: put(x, np.ones(4)), ValueError, ["In x[0] = row", "(3,)", "(4,)"]),
        (lambda a, x: over_lines(x), ValueError, ["In x @ ( x + 1 )", "(5, 3) @ (5, 3) does not fit"]),
        (lambda a, x: np.concatenate([x, x.T]), ValueError, ["In np.concatenate([x, x.T])", "(3, 5)"]),
        (lambda a, x: np.stack([x, x.T]), ValueError, ["In np.stack([x, x.T])", "(3, 5)"]),
        (lambda a, x: np.dot(x, x), ValueError, ["In np.dot(x, x): (5, 3) @ (5, 3)"]),
        (lambda a, x: x.reshape(4, 4), ValueError, ["In x.reshape(4, 4)", "(5, 3)"]),
        (lambda a, x: x[2, 7], IndexError, ["In x[2, 7]", "(5, 3)"]),
        (lambda a, x: x + "a", TypeError, ['In x + "a"', "(5, 3)"]),
        (lambda a, x: x < x.T, ValueError, ["In x < x.T: (5, 3) < (3, 5)"]),
        (lambda a, x: "é" and x @ x @ x.T, ValueError, ["In x @ x: "]),
        (lambda a, x: x + a.counted, ValueError, ["In x + a.counted\n", "?"]),
        (lambda a, x: x + a.count(), ValueError, ["In x + a.count()\n", "?"]),
        (lambda a, x: x + np.ravel(a), ValueError, ["In x + np.ravel(a)\n", "?"]),
        (lambda a, x: x @ x[a:], ValueError, ["In x @ x[a:]\n", "?"]),
    ],
)  # fmt: skip
def test_the_operation_is_named(run: Callable[..., Any], kind: type, words: list[str]) -> None:
    layer, x = Layer(), np.zeros((5, 3))
    with pytest.raises(kind) as plain_error:
        run(layer, x)
    looked, before = layer.looked, x.copy()
    with pytest.raises(kind) as caught, explain_errors():
        run(layer, x)
    assert type(caught.value) is type(plain_error.value)
    assert str(caught.value) == str(plain_error.value)
    (note,) = caught.value.__notes__
    for word in words:
        assert word in note
    assert "✗" in note
    assert note in "".join(traceback.format_exception(caught.value))
    assert layer.looked == 2 * looked  # once in each run, and not once more
    np.testing.assert_array_equal(x, before)


def test_nothing_is_said_where_there_is_nothing_to_say() -> None:
    for error in (ValueError("mine"), KeyError("k"), ShapeError("x")):
        with pytest.raises(type(error)) as caught, explain_errors():
            raise error
        assert not hasattr(caught.value, "__notes__")
    with pytest.raises(ValueError, match="invalid literal") as plain, explain_errors():
        int("a")
    assert not hasattr(plain.value, "__notes__")
    net: Network = mlp([3, 2])
    with pytest.raises(ShapeError) as own, explain_errors():
        net.predict(np.zeros((5, 4)))
    assert not hasattr(own.value, "__notes__")


def test_without_an_error_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracebacks, "note_on", lambda error: pytest.fail("looked"))
    with explain_errors():
        assert (X @ W).shape == (5, 4)


def test_it_decorates_and_nests() -> None:
    @explain_errors()
    def product(x: Any) -> Any:
        return x @ x

    with pytest.raises(ValueError, match="matmul") as caught, explain_errors():
        product(X)
    assert len(caught.value.__notes__) == 1


def test_without_its_source_the_arrays_are_listed() -> None:
    code = compile("x @ y", "<typed in>", "eval")
    with pytest.raises(ValueError, match="matmul") as caught, explain_errors():
        eval(code, {}, {"x": X, "y": X})
    assert caught.value.__notes__ == [
        "In line 1, whose source is not at hand, with\n  x  (5, 3) float64\n  y  (5, 3) float64"
    ]


def test_a_failure_to_explain_never_hides_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(error: Any) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(tracebacks, "note_on", broken)
    with pytest.raises(ValueError, match="matmul"), explain_errors():
        X @ X


def test_the_picture_in_the_readme() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    call, picture = re.findall(
        r"print\((explain\(.*\))\)\n```\n\n```\n(.*?)\n```", readme, re.DOTALL
    )[0]
    assert str(eval(call, {"np": np, "explain": explain})) == picture


@pytest.mark.parametrize("name", ["explain", "tracebacks"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"pellucid.insight.{name}")
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed
