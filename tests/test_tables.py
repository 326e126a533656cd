"""Tables from CSV files: what a cell is, and what is said of one that is none."""

from __future__ import annotations

import csv as reading
import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import CrossEntropy, Dense, Network, Standardize
from pellucid.data import csv
from pellucid.errors import (
    DataError,
    FileFormatError,
    OptionError,
    PellucidError,
    UnknownNameError,
)

FLOWERS = "length,width,kind\n5.1,3.5,setosa\n7,3.2,versicolor\n6.3,-1e-1,setosa\n"


@pytest.fixture
def file(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_numbers_and_words(file) -> None:
    d = csv(file(FLOWERS))
    assert d.x.tolist() == [[5.1, 3.5], [7, 3.2], [6.3, -0.1]]
    assert d.x.dtype == np.float64
    assert d.y.tolist() == [0, 1, 0]
    assert d.y.dtype == np.int64
    assert d.names == ("setosa", "versicolor")
    net = Network([Standardize(), Dense(2)], loss=CrossEntropy(), optimizer="adam")
    net.fit(d, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("cells", "labels", "y", "names"),
    [
        ("0 1 2", "auto", [0, 1, 2], None),
        ("-1 +1 5", "auto", [-1, 1, 5], None),
        ("0.0 1 2", "auto", [[0], [1], [2]], None),
        ("1e3 2 3", "auto", [[1000], [2], [3]], None),
        ("7 10 7", True, [0, 1, 0], ("7", "10")),
        ("1.5 2 1.5", True, [0, 1, 0], ("1.5", "2")),
        ("0 1 2", False, [[0], [1], [2]], None),
        ("yes no yes", "auto", [1, 0, 1], ("no", "yes")),
        ("a 1 a", "auto", [1, 0, 1], ("1", "a")),
    ],
)
def test_what_the_target_is(file, cells: str, labels, y: list, names) -> None:
    d = csv(file("".join(f"0.5,{cell}\n" for cell in cells.split())), labels=labels)
    assert d.y.tolist() == y
    assert d.y.dtype == (np.int64 if d.y.ndim == 1 else np.float64)
    assert d.names == names


def test_columns_by_name_and_number(file) -> None:
    path = file("id,a,b,w,price\n9,1,2,0.5,10\n9,3,4,2,20\n")
    assert csv(path).x.shape == (2, 4)
    d = csv(path, "price", columns=["a", 2], weight="w", labels=False)
    assert d.x.tolist() == [[1, 2], [3, 4]]
    assert d.sample_weight.tolist() == [0.5, 2]
    assert d.y.tolist() == [[10], [20]]
    assert csv(path, target=["price", "b"]).y.tolist() == [[10, 2], [20, 4]]
    assert csv(path, target=["price", "b"]).x.shape == (2, 3)
    assert csv(path, target=None).x.shape == (2, 5)
    assert csv(path, target=None).y is None
    assert csv(path, target=0).y.tolist() == [9, 9]
    assert csv(path, target=np.int64(1)).y.tolist() == [1, 3]
    assert csv(path, -2).x.shape == (2, 4)


def test_header_or_not(file) -> None:
    bare = file("1,2,0\n3,4,1\n")
    assert len(csv(bare)) == 2
    assert csv(bare, header=True).x.tolist() == [[3, 4]]
    assert csv(bare, "2", header=True).x.tolist() == [[3, 1]]
    with pytest.raises(DataError, match=r"no header, so column 'a'.*header=True"):
        csv(bare, "a")
    assert len(csv(file("5.1,setosa\n6.2,other\n"))) == 2  # a number in the first row: no header
    assert len(csv(file("a,b\n1,2\n"))) == 1
    with pytest.raises(DataError, match="'a' is no finite number"):
        csv(file("a,b\n1,2\n"), header=False)
    assert csv(file("\ufeff a , b \n1,2\n"), "a").y.tolist() == [1]  # a byte order mark


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(file, delimiter: str) -> None:
    lines = ["a,b,c,kind", "1,2,3,x y", "4,5,6,z"]
    path = file("\r\n".join(line.replace(",", delimiter) for line in lines))
    assert csv(path).x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert csv(path).names == ("x y", "z")
    assert csv(path, delimiter=delimiter).y.tolist() == [0, 1]


def test_other_delimiters(file) -> None:
    assert csv(file("1 2 0\n3 4 1\n"), delimiter=" ").x.tolist() == [[1, 2], [3, 4]]
    assert csv(file('1;"a,b"\n2;"c,d"\n')).names == ("a,b", "c,d")
    with pytest.raises(DataError, match=r"'1,5' is no finite number: .* decimal point"):
        csv(file("1,5;2,5;a\n1,0;3,5;b\n"))
    assert csv(file("1,a;b\n2,a;b;c\n")).names == ("a;b", "a;b;c")
    assert csv(file("1.5\n2.5\n"), target=None).x.tolist() == [[1.5], [2.5]]


def test_quoting(file) -> None:
    d = csv(file('n,kind\n"1","say ""so"""\n 2 ,"two\nlines"\n3,"a,b"\n'))
    assert d.x.ravel().tolist() == [1, 2, 3]
    assert d.names == ("a,b", 'say "so"', "two\nlines")
    with pytest.raises(
        DataError, match=r"line 5, column 'n': 'x'"
    ):  # a cell of two lines before it
        csv(file('n,kind\n1,"two\nlines"\n\nx,b\n'))
    with pytest.raises(FileFormatError, match="a quote open"):
        csv(file('1,"a\n2,b\n'))


def test_a_long_file_is_read_as_written(file) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(10_000, 3)) * 10.0 ** rng.integers(-300, 300, (10_000, 3))
    text = "\n\n".join(",".join(map(repr, row)) for row in values.tolist())
    assert np.array_equal(csv(file(text), target=None).x, values)
    lines = text.split("\n\n")
    lines[9000] = "1,2,abc"
    with pytest.raises(DataError, match="line 18001, column 3: 'abc'"):
        csv(file("\n\n".join(lines)), target=None)
    lines[9000] = "1,2"
    with pytest.raises(DataError, match="line 18001: 2 cells, and the first row has 3"):
        csv(file("\n\n".join(lines)), target=None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(
                st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=6
            ),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_what_the_standard_library_writes_is_read(tmp_path_factory, rows) -> None:
    rows = [(number, f"<{word}>") for number, word in rows]
    text = io.StringIO(newline="")
    reading.writer(text).writerows(rows)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    d = csv(path, delimiter=",")
    assert d.x.ravel().tolist() == [number for number, _ in rows]
    assert [d.names[i] for i in d.y] == [word for _, word in rows]


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "?", "None", "N/A", "null", "-"])
def test_missing_cells(file, cell: str) -> None:
    path = file(f"a,b,y\n1,2,0\n3,{cell},1\n5,6,0\n")
    with pytest.raises(DataError, match=r"line 3, column 'b': the number is missing .*\"drop\""):
        csv(path)
    d = csv(path, missing="drop")
    assert (d.x.tolist(), d.y.tolist()) == ([[1, 2], [5, 6]], [0, 0])
    assert len(csv(path, missing="drop", columns=["a"])) == 3  # what is not used may be missing
    assert len(csv(path, columns=["a"])) == 3
    path = file(f"a,kind\n1,x\n2,{cell}\n3,y\n")
    with pytest.raises(DataError, match=r"line 3, column 'kind': the class is missing"):
        csv(path)
    assert csv(path, missing="drop").y.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"line 2, column 2: the (number|class) is missing"):
        csv(file(f"1,2\n3,{cell}\n"))
    with pytest.raises(DataError, match="none is left"):
        csv(file(f"1,{cell}\n3,{cell}\n"), missing="drop")
    with pytest.raises(DataError, match=r"line 4, column 'b': 'x'"):  # a line of the file still
        csv(file(f"a,b,y\n1,{cell},0\n3,1,1\n5,x,0\n"), missing="drop")


@pytest.mark.parametrize("cell", ["x", "1_000", "inf", "-Infinity", "1e999", "0x10", "1 2", "5%"])
def test_cells_that_are_no_numbers(file, cell: str) -> None:
    with pytest.raises(
        DataError, match=rf"line 3, column 'a': '{cell}' is no finite number: leave"
    ):
        csv(file(f"a,b_\n1,2\n{cell},3\n"))
    with pytest.raises(DataError, match="line 2, column 2"):
        csv(file(f"1,2.5\n2,{cell}\n"))
    with pytest.raises(DataError, match="line 2, column 2"):
        csv(file(f"1,2\n2,{cell}\n"), labels=False)


def test_known_classes(file) -> None:
    path = file("1,b\n2,b\n")
    assert csv(path).names == ("b",)
    d = csv(path, names=["a", "b", "c"])
    assert (d.y.tolist(), d.names) == ([1, 1], ("a", "b", "c"))
    with pytest.raises(DataError, match=r"line 1, column 2: 'b' is none of the classes c, d"):
        csv(path, names=["c", "d"])
    quality = file("1,7\n2,5\n")
    assert csv(quality, names=("5", "6", "7")).y.tolist() == [2, 0]
    assert csv(quality, names=("bad", "good")).y.tolist() == [7, 5]


@pytest.mark.parametrize(
    ("content", "options", "error", "says"),
    [
        ("a,b\n", {}, DataError, "no rows below its header"),
        ("\n \n\n", {}, DataError, "has no rows"),
        ("1,2\n3\n", {}, DataError, "line 2: 1 cells, and the first row has 2"),
        ("1,2\n3,4,5\n", {}, DataError, "line 2: 3 cells"),
        ("1\n2\n", {}, DataError, "nothing to learn"),
        ("a,b\n1,2\n", {"target": "c"}, UnknownNameError, "no 'c' here"),
        ("a,b\n1,2\n", {"target": 2}, DataError, "2 columns and no column 2"),
        ("a,a\n1,2\n", {"target": "a"}, DataError, "2 columns 'a': say which by number"),
        ("a,b\n1,2\n", {"target": 1.5}, OptionError, "a name or a number, not 1.5"),
        ("a,b\n1,2\n", {"columns": [True]}, OptionError, "a name or a number"),
        ("1,2\n", {"delimiter": ",,"}, OptionError, "one character"),
        ("1,2\n", {"header": "yes"}, OptionError, "header is True"),
        ("1,2\n", {"missing": "fill"}, OptionError, '"error" or "drop"'),
        ("1,2\n", {"labels": "yes"}, OptionError, "labels is True"),
        ("1,2\n", {"encoding": "utf-99"}, OptionError, "no encoding"),
        ("1,2\n", {"sep": ","}, OptionError, "Write delimiter="),
        (b"1,caf\xe9\n", {}, FileFormatError, 'encoding="latin-1"'),
        (b"1,\0\n2,3\n", {}, FileFormatError, "zero bytes"),
        ("1," + "x" * 200_000, {}, FileFormatError, "field larger"),
        ("", {}, FileFormatError, "is empty"),
    ],
)
def test_what_is_refused(file, content, options, error, says: str) -> None:
    with pytest.raises(error, match=says):
        csv(file(content), **options)


def test_other_encodings(file) -> None:
    assert csv(file("1,café\n".encode("latin-1")), encoding="latin-1").names == ("café",)
    assert csv(file("1,x\n".encode("utf-16")), encoding="utf-16").names == ("x",)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        csv(tmp_path / "none.csv")
    with pytest.raises(FileFormatError, match="folder"):
        csv(tmp_path)


def test_64_000_rows_take_no_time(file) -> None:
    numbers = np.random.default_rng(0).normal(size=(64_000, 10)).round(8)
    path = file("\n".join(",".join(map(str, row)) for row in numbers.tolist()))
    began = time.process_time()
    d = csv(path)
    taken = time.process_time() - began
    assert np.array_equal(np.hstack([d.x, d.y]), numbers)
    assert taken < 3  # 0.35 s of a core


def test_rows_longer_than_what_is_looked_at(file) -> None:
    numbers = np.random.default_rng(0).normal(size=(12, 4000)).round(6)  # 40,000 characters a row
    path = file("\n".join(";".join(map(str, row)) for row in numbers.tolist()))
    assert np.array_equal(csv(path, target=None).x, numbers)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from('01,;\t|"\n\r .-eEna_?x\ufeff'), max_size=40).map(str.encode),
    ),
    st.booleans(),
)
def test_whatever_stands_in_a_file(tmp_path_factory, content: bytes, drop: bool) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(content)
    said, d = "", None
    try:
        d = csv(path, missing="drop" if drop else "error")
    except PellucidError as error:
        said = str(error)
    if d is None:
        assert str(path) in said
        return
    assert np.isfinite(d.x).all()
    assert len(d.x) == len(d.y) > 0
    assert d.y.dtype == np.int64 or np.isfinite(d.y).all()
