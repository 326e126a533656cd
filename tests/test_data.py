"""Data: datasets and splits, the embedded digits, IDX and image files, labels."""

from __future__ import annotations

import doctest
import gzip
import importlib
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import data
from pellucid.data import (
    Dataset,
    digits,
    digits_8x8,
    encode_labels,
    from_one_hot,
    image_folder,
    one_hot,
    read_idx,
    read_idx_dataset,
    read_image,
    sample_images,
    split_indices,
    write_idx,
)
from pellucid.errors import (
    DataError,
    FileFormatError,
    MissingExtraError,
    OptionError,
    PellucidError,
)

MODULES = ["dataset", "embedded", "files", "idx", "images", "labels", "synthetic", "tables"]


@pytest.mark.parametrize("name", ["pellucid.data", *(f"pellucid.data.{m}" for m in MODULES)])
def test_examples_in_docstrings_run(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed


def test_public_names():
    for name in data.__all__:
        thing = getattr(data, name)
        assert thing.__doc__, name
    assert len(set(data.__all__)) == len(data.__all__)


def test_import_is_light():
    code = "import pellucid.data, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"PIL", "sklearn", "matplotlib", "torch"} & set(done.stdout.split())


# ------------------------------------------------------------------------------------ Dataset


def test_dataset_holds_without_copying():
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    d = Dataset(x, y)
    assert len(d) == 6
    assert d.x is x
    assert d.y is y
    a, b = d
    assert a is x
    assert b is y
    assert np.shares_memory(d[2:4].x, x)
    assert d[2:4].y.tolist() == [2, 3]


def test_dataset_rows():
    d = Dataset(np.arange(6), np.arange(6) % 2, sample_weight=np.ones(6), names=["even", "odd"])
    assert d[d.y == 1].x.tolist() == [1, 3, 5]
    assert d[[5, 0]].x.tolist() == [5, 0]
    assert d[np.array([], dtype=int)].x.shape == (0,)
    assert len(d[[]]) == 0
    assert d[1:3].names == ("even", "odd")
    assert len(d[1:3].sample_weight) == 2
    for wrong in (3, 1.5, "x", [0.5], [[1, 2]]):
        with pytest.raises(OptionError, match="slice, a mask"):
            d[wrong]
    with pytest.raises(DataError, match="mask has 2 rows and the dataset has 6"):
        d[np.array([True, False])]
    with pytest.raises(AttributeError):
        d.x = np.zeros(3)


def test_dataset_of_dicts():
    d = Dataset({"left": np.zeros((4, 2)), "right": np.ones((4, 3))}, {"out": np.arange(4)})
    assert d[1:].x["right"].shape == (3, 3)
    assert d[[0]].y["out"].tolist() == [0]
    train, held = d.split(0.25)
    assert (len(train), len(held)) == (3, 1)
    assert "'left': (4, 2) float64" in repr(d)
    with pytest.raises(DataError, match=r"x\['left'\] has 4 rows and x\['right'\] has 5"):
        Dataset({"left": np.zeros(4), "right": np.zeros(5)})


def test_dataset_lengths_are_both_named():  # fault 39
    with pytest.raises(DataError, match="x has 5 rows and y has 4"):
        Dataset(np.zeros((5, 2)), np.zeros(4))
    with pytest.raises(DataError, match="x has 5 rows and sample_weight has 3"):
        Dataset(np.zeros((5, 2)), np.zeros(5), np.zeros(3))
    with pytest.raises(DataError, match="one row for each example, not float"):
        Dataset(3.0)
    with pytest.raises(DataError, match="empty dict"):
        Dataset({})


# -------------------------------------------------------------------------------------- splits


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(2, 40), min_size=1, max_size=6),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**63 - 1),
)
def test_stratified_split_keeps_shares(counts, fraction, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    n, k = len(y), len(counts)
    held = int(n * fraction + 0.5)
    if held < k or n - held < k:
        with pytest.raises(DataError, match=r"cannot show each|needs at least 1"):
            split_indices(y, fraction, seed=seed)
        return
    train, validation = split_indices(y, fraction, seed=seed)
    assert train.dtype == validation.dtype == np.int64
    assert sorted([*train, *validation]) == list(range(n))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert len(validation) == held
    for side in (train, validation):
        assert (np.bincount(y[side], minlength=k) >= 1).all()
    if min(counts) * min(fraction, 1 - fraction) >= 1:  # no class needs its minimum of one
        share = np.bincount(y[validation], minlength=k)
        assert (abs(share - np.array(counts) * held / n) < 1).all()


def test_split_is_random_and_repeatable():
    y = np.arange(1000) % 10
    a, b, c = (split_indices(y, 0.2, seed=s)[1] for s in (0, 0, 1))
    assert a.tolist() == b.tolist() != c.tolist()
    assert np.bincount(y[a]).tolist() == [20] * 10
    plain = split_indices(1000, 0.2)[1]
    assert 400 < plain.mean() < 600
    generator = split_indices(1000, 0.2, seed=np.random.default_rng(3))[1]
    assert len(generator) == 200
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 (to see that it is left alone)
    split_indices(1000, 0.2)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_split_auto_is_stratified_for_labels_only():
    n = 40
    labels = np.repeat([0, 1], n // 2)
    for y in (labels, labels.astype(bool), labels.astype("U"), labels.astype("U").astype(object)):
        held = split_indices(y, 0.5)[1]
        assert (held < n // 2).sum() == n // 4
    rows = split_indices(n, 0.25)[1].tolist()
    for y in (np.arange(n) / 3, labels.reshape(n, 1), labels.astype(float)):
        assert split_indices(y, 0.25)[1].tolist() == rows
    assert split_indices(labels, 0.25, stratify=False)[1].tolist() == rows
    assert (labels[split_indices(labels.astype(float), 0.5, stratify=True)[1]] == 0).sum() == n // 4


def test_split_of_the_last_rows_is_views():
    x = np.arange(10.0)
    train, held = Dataset(x, np.arange(10) % 2).split(0.3, last=True)
    assert held.x.tolist() == [7, 8, 9]
    assert np.shares_memory(train.x, x)
    assert np.shares_memory(held.x, x)


def test_split_class_with_one_member():  # fault 34
    y = np.array([0] * 10 + [1] * 10 + [7])
    with pytest.raises(DataError, match=r"class 7 has one row only.*stratify=False"):
        split_indices(y, 0.2)
    train, held = split_indices(y, 0.2, stratify=False)
    assert len(train) + len(held) == 21
    one_class = split_indices(np.zeros(10, dtype=int), 0.2)[1]
    assert len(one_class) == 2


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), "half", None, True])
def test_split_fraction_must_make_sense(fraction):
    with pytest.raises(OptionError, match="fraction to hold back"):
        split_indices(10, fraction)


def test_split_needs_a_row_on_each_side():
    for n, fraction in ((1, 0.5), (10, 0.04), (10, 0.96), (0, 0.5)):
        with pytest.raises(DataError, match="each side needs at least 1"):
            split_indices(n, fraction)
    with pytest.raises(DataError, match="cannot show each of the 5 classes"):
        split_indices(np.arange(20) % 5, 0.1)


def test_split_options_that_contradict():
    with pytest.raises(OptionError, match="cannot be stratified"):
        split_indices(np.arange(10) % 2, 0.5, stratify=True, last=True)
    for y in (10, np.zeros((10, 2))):
        with pytest.raises(OptionError, match="needs labels"):
            split_indices(y, 0.5, stratify=True)
    with pytest.raises(OptionError, match="stratify must be"):
        split_indices(10, 0.5, stratify="yes")


# ------------------------------------------------------------------------------------- embedded


def test_digits():
    train, test = digits()
    assert train.x.shape == (8000, 28, 28)
    assert test.x.shape == (2000, 28, 28)
    assert train.x.dtype == np.uint8
    assert train.y.dtype == np.int64
    assert set(test.y.tolist()) == set(range(10))
    assert np.bincount(train.y).min() > 600
    train.x[:] = 0  # the arrays are the caller's own
    assert digits()[0].x.any()


def test_digits_8x8():
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    theirs = sklearn_datasets.load_digits()
    ours = digits_8x8()
    assert np.array_equal(ours.x, theirs.images)
    assert np.array_equal(ours.y, theirs.target)
    assert ours.x.dtype == np.uint8
    assert ours.x.max() == 16


def test_sample_images_are_held_out_digits():
    test = digits()[1]
    for digit, path in sample_images().items():
        found = np.flatnonzero((test.x == read_image(path)).all(axis=(1, 2)))
        assert len(found) >= 1
        assert test.y[found[0]] == digit


# ------------------------------------------------------------------------------------------ IDX


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8", ">i2", ">f8", "<f4"])
@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_idx_there_and_back(tmp_path, kind, name):
    array = (np.arange(24).reshape(2, 3, 4) * 5 - 7).astype("i2").astype(kind)
    array.setflags(write=False)
    write_idx(tmp_path / name, array[:, ::-1])
    back = read_idx(str(tmp_path / name))
    assert np.array_equal(back, array[:, ::-1])
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.dtype.isnative
    assert back.flags.writeable
    assert ((tmp_path / name).read_bytes()[:2] == b"\x1f\x8b") == name.endswith("gz")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_idx_gzip_is_told_by_its_bytes(tmp_path):
    write_idx(tmp_path / "a.gz", np.arange(5, dtype=np.int32))
    (tmp_path / "a.gz").rename(tmp_path / "plain")
    assert read_idx(tmp_path / "plain").tolist() == [0, 1, 2, 3, 4]
    first = (tmp_path / "plain").read_bytes()
    write_idx(tmp_path / "a.gz", np.arange(5, dtype=np.int32))
    assert (tmp_path / "a.gz").read_bytes() == first


def test_idx_layout_is_the_published_one(tmp_path):
    write_idx(tmp_path / "a", np.array([[1, -2]], dtype=np.int16))
    assert (tmp_path / "a").read_bytes() == bytes.fromhex("00000b02 00000001 00000002 0001 fffe")


def header(kind: int, *shape: int, dimensions: int | None = None) -> bytes:
    count = len(shape) if dimensions is None else dimensions
    return bytes([0, 0, kind, count]) + struct.pack(f">{len(shape)}I", *shape)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(8, 4) + b"abc", "declares the shape .4,.*has 3"),  # fault 22: count against bytes
        (header(8, 4) + b"abcde", "declares the shape .4,.*has 5"),
        (b"\x00\x01\x08\x01", "not an IDX file"),  # wrong magic
        (b"\x89PNG\r\n\x1a\n0000", "not an IDX file"),
        (header(0x0A, 4) + b"abcd", "not an IDX file"),  # no such kind of number
        (b"\0\0", "not an IDX file"),
        (header(8, *[1] * 9) + b"a", "9 dimensions; 1 to 8"),
        (header(8, dimensions=255), "255 dimensions"),
        (header(8) + b"a", "0 dimensions"),
        (header(8, 4, dimensions=3), "ends inside its header"),
        (header(8, 0), "no items"),
        (header(8, 5, 0, 3), "no items"),
        (header(8, 2**32 - 1, 2**32 - 1, 2**32 - 1), "over the limit"),  # overflows 64 bits
        (header(14, 2**27), "declares the shape"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_that_is_wrong(tmp_path, content, message, zipped):
    path = tmp_path / "bad"
    path.write_bytes(gzip.compress(content) if zipped else content)
    if zipped:
        message = message.replace("has 3", "declares|ends after 3").replace("has 5", "more bytes")
        message = message if "more bytes" not in message else "more bytes follow"
        message = message if "ends after" not in message else "ends after 3"
    with pytest.raises(FileFormatError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_idx_truncated_at_every_byte(tmp_path):
    plain = header(0x0B, 3, 2) + bytes(range(12))
    for whole in (plain, gzip.compress(plain, mtime=0)):
        for end in range(len(whole)):
            (tmp_path / "cut").write_bytes(whole[:end])
            with pytest.raises(FileFormatError):
                read_idx(tmp_path / "cut")


def test_idx_gz_with_flipped_bytes(tmp_path):
    array = np.arange(60, dtype=np.uint8).reshape(3, 20)
    write_idx(tmp_path / "a.gz", array)
    whole = (tmp_path / "a.gz").read_bytes()
    for at in range(len(whole)):
        (tmp_path / "b").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            back = read_idx(tmp_path / "b")
        except FileFormatError:
            continue
        assert np.array_equal(
            back, array
        )  # a byte of the gzip header that says nothing of the data


def test_idx_bombs_are_refused_before_allocation(tmp_path):  # fault 21
    small_file = tmp_path / "declares"
    small_file.write_bytes(gzip.compress(header(8, 2**29)))  # under the limit, far over the file
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(header(8, 100) + bytes(50_000_000), compresslevel=1))
    huge = tmp_path / "huge"
    huge.write_bytes(gzip.compress(header(8, 2**30, 2**20)))
    tracemalloc.start()
    started = time.perf_counter()
    for path, message in ((small_file, "can have at most"), (bomb, "more bytes"), (huge, "limit")):
        with pytest.raises(FileFormatError, match=message):
            read_idx(path)
    assert time.perf_counter() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    write_idx(tmp_path / "good", np.zeros(1000, dtype=np.uint8))
    with pytest.raises(FileFormatError, match="limit=1000"):
        read_idx(tmp_path / "good", limit=999)
    assert len(read_idx(tmp_path / "good", limit=1000)) == 1000


def test_write_idx_refuses_by_name(tmp_path):
    for array, message in (
        (np.arange(3), "no int64"),
        (np.array(["a"]), "no <U1"),
        (np.array([None]), "no object"),
        (np.zeros((0, 3), np.uint8), r"not the shape \(0, 3\)"),
        (np.uint8(3), r"not the shape \(\)"),
        (np.zeros([1] * 9, np.uint8), "1 to 8 dimensions"),
    ):
        with pytest.raises(DataError, match=message):
            write_idx(tmp_path / "a", array)
    with pytest.raises(OSError, match="nowhere"):
        write_idx(tmp_path / "nowhere" / "a", np.zeros(3, np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_idx_dataset(tmp_path):
    images = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    write_idx(tmp_path / "x.gz", images)
    write_idx(tmp_path / "y", np.array([2, 0, 1], dtype=np.uint8))
    d = read_idx_dataset(tmp_path / "x.gz", tmp_path / "y", names=("a", "b", "c"))
    assert np.array_equal(d.x, images)
    assert d.y.tolist() == [2, 0, 1]
    assert d.y.dtype == np.int64
    with pytest.raises(DataError, match="other way round"):
        read_idx_dataset(tmp_path / "y", tmp_path / "x.gz")
    write_idx(tmp_path / "y", np.array([2, 0], dtype=np.uint8))
    with pytest.raises(DataError, match=r"holds 3 images and .* holds 2 labels"):  # fault 22
        read_idx_dataset(tmp_path / "x.gz", tmp_path / "y")


# ------------------------------------------------------------------------- files that are not files


@pytest.mark.parametrize("reader", [read_idx, read_image])
@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "folder", "empty"])
def test_files_that_are_none(tmp_path, reader, kind):  # fault 26
    path = tmp_path / "thing"
    if kind == "fifo":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes here")
        os.mkfifo(path)
    elif kind == "/dev/zero":
        if not Path(kind).exists():
            pytest.skip("no devices here")
        path = kind
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
    with pytest.raises(FileFormatError, match=r"pipe or a device|is a folder|is empty"):
        reader(path)


@pytest.mark.parametrize("reader", [read_idx, read_image])
def test_missing_file_says_its_name(tmp_path, reader):
    with pytest.raises(FileNotFoundError, match="absent"):
        reader(tmp_path / "absent")


# --------------------------------------------------------------------------------------- images


@pytest.fixture
def image_module():
    return pytest.importorskip("PIL.Image")


def test_read_image(tmp_path, image_module):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image_module.fromarray(rgb).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", channels=3), rgb)
    grey = read_image(tmp_path / "a.png")
    assert grey.shape == (5, 7)
    assert grey.dtype == np.uint8
    assert abs(grey - rgb @ [0.299, 0.587, 0.114]).max() <= 1
    assert read_image(tmp_path / "a.png", channels=4)[..., 3].min() == 255
    assert read_image(tmp_path / "a.png", size=3).shape == (3, 3)
    assert read_image(tmp_path / "a.png", size=(2, 9), channels=3).shape == (2, 9, 3)
    grey[:] = 0  # writeable


def test_read_image_of_16_bits_and_palettes(tmp_path, image_module):
    deep = (np.arange(6, dtype=np.uint16).reshape(2, 3) * 13_000).astype(np.uint16)
    image_module.fromarray(deep).save(tmp_path / "deep.png")
    assert np.array_equal(read_image(tmp_path / "deep.png"), deep >> 8)
    flat = image_module.fromarray(np.array([[0, 1]], dtype=np.uint8), "L").convert("P")
    flat.save(tmp_path / "p.png", transparency=b"\x00\xff")
    assert read_image(tmp_path / "p.png").shape == (1, 2)
    image_module.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(FileFormatError, match="floating-point"):
        read_image(tmp_path / "f.tiff")


def test_read_image_refuses_what_is_none(tmp_path, image_module):
    for content in (b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", header(8, 2, 2) + b"abcd"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(FileFormatError, match="not an image"):
            read_image(tmp_path / "bad")
    whole = sample_images()[8].read_bytes()
    right = read_image(sample_images()[8])
    for end in range(1, len(whole)):
        (tmp_path / "cut").write_bytes(whole[:end])
        if end < len(whole) - 24:  # after the pixels: two sums and the last chunk, IEND
            with pytest.raises(FileFormatError):
                read_image(tmp_path / "cut")
            continue
        with suppress(FileFormatError):
            assert np.array_equal(read_image(tmp_path / "cut"), right)


def test_read_image_refuses_bombs_before_decoding(tmp_path, image_module):  # fault 21
    def png(width: int, height: int) -> bytes:
        import zlib

        def chunk(kind: bytes, body: bytes) -> bytes:
            sum_ = struct.pack(">I", zlib.crc32(kind + body))
            return struct.pack(">I", len(body)) + kind + body + sum_

        start = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        return (
            b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        )

    for width, height in ((8001, 8000), (9500, 9500), (30_000, 30_000), (2**31 - 1, 2**31 - 1)):
        (tmp_path / "bomb.png").write_bytes(png(width, height))
        tracemalloc.start()
        with pytest.raises(FileFormatError, match=r"bomb\.png"):
            read_image(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
        tracemalloc.stop()


def test_read_image_options():
    path = sample_images()[0]
    for size in (0, -3, (1, 2, 3), (5, 0), (2.5, 2), (100_000, 100_000)):
        with pytest.raises(OptionError, match="size must be"):
            read_image(path, size=size)
    with pytest.raises(OptionError, match="channels must be 1, 3 or 4"):
        read_image(path, channels=2)


def test_read_image_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r'pip install "pellucid\[images\]"') as caught:
        read_image(sample_images()[0])
    assert isinstance(caught.value, ImportError)


# --------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("kind", ["i1", "u1", "i8", "u8", ">i4", "?"])
def test_one_hot_there_and_back(kind):
    labels = np.array([1, 0, 1, 1]).astype(kind)
    rows = one_hot(labels, 3)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    back = from_one_hot(rows)
    assert back.dtype == np.int64
    assert back.tolist() == [1, 0, 1, 1]


def test_one_hot_shapes():
    assert one_hot([2, 0]).shape == (2, 3)
    assert one_hot(np.zeros((2, 5), int), 4, dtype=bool).shape == (2, 5, 4)
    assert one_hot([], 3).shape == (0, 3)
    assert from_one_hot(np.zeros((0, 3))).shape == (0,)
    assert from_one_hot(one_hot([[1, 0], [2, 2]])).tolist() == [[1, 0], [2, 2]]
    with pytest.raises(DataError, match="give `classes`"):
        one_hot([])


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0, 1, -1], 3, "row 2 has the label -1; class indices run from 0 to 2"),
        ([0, 1, -1], None, "row 2 has the label -1"),
        ([-1, -2], None, "row 0 has the label -1"),
        ([0, 3, 1], 3, "row 1 has the label 3; class indices run from 0 to 2"),  # fault 36
        ([[0, 1], [9, 0]], 3, r"row \(1, 0\) has the label 9"),
        ([0.0, 1.5], None, r"row 1 is np.float64\(1.5\)"),
        ([0.0, 1.0], None, r"row 0 is np.float64\(0.0\).*astype\(int\)"),
        ([1.0, float("nan")], None, "row 1 is np.float64.nan"),
        (["cat", "dog"], None, "row 0 is np.str_.'cat'.*encode_labels"),
        ([None, 1], None, "row 0 is None"),
        ([0, 10**12], None, "over 4,294,967,296 bytes"),
    ],
)
def test_one_hot_refuses_by_row(labels, classes, message):
    with pytest.raises(DataError, match=message):
        one_hot(labels, classes)


@pytest.mark.parametrize("classes", [0, -1, 2.5, "3", True])
def test_one_hot_classes_must_be_a_count(classes):
    with pytest.raises(OptionError, match="classes must be"):
        one_hot([0], classes)


def test_from_one_hot_refuses_by_row():
    for bad in ([0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [2, 0, 0], [float("nan"), 1, 0], [-1, 1, 1]):
        with pytest.raises(DataError, match="row 1 is not one-hot"):
            from_one_hot([[0, 1, 0], bad])
    with pytest.raises(DataError, match=r"\(N, classes\)"):
        from_one_hot(3)
    with pytest.raises(DataError, match=r"\(N, classes\)"):
        from_one_hot([["a"]])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([-5, 100, -5], [-5, 100]),
        ([True, False], [False, True]),
        ([0.5, 2.0, 0.5], [0.5, 2.0]),
        (np.array(["x", "y"], dtype=object), ["x", "y"]),
        ([], []),
    ],
)
def test_encode_labels(labels, classes):  # fault 35
    codes, found = encode_labels(labels)
    assert found.tolist() == classes
    assert codes.dtype == np.int64
    assert found[codes].tolist() == list(labels)


def test_encode_labels_refuses_by_row():
    with pytest.raises(DataError, match="row 1 has no label"):
        encode_labels([1.0, float("nan")])
    with pytest.raises(DataError, match="row 2 has no label"):
        encode_labels(np.array(["a", "b", None], dtype=object))
    with pytest.raises(DataError, match=r"several kinds \(int, str; row 1"):
        encode_labels(np.array(["a", 3], dtype=object))
    with pytest.raises(DataError, match=r"\(N,\), not \(2, 1\)"):
        encode_labels([[1], [2]])


def test_every_error_is_pellucids():
    for error in (DataError, FileFormatError, OptionError):
        assert issubclass(error, PellucidError)
        assert issubclass(error, ValueError)


# -------------------------------------------------------------------------------- image folders


@pytest.fixture
def animals(tmp_path, image_module):
    """Two classes of 4 × 5 colour images, and what is passed over."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "animals"
    for name in ("dogs/b.png", "dogs/a.PNG", "cats/inner/c.bmp", "cats/a.png", "Zebras/z.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image_module.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).save(folder / name)
    for name in (
        ".hidden/a.png",
        "cats/.b.png",
        "cats/.thumbs/a.png",
        "cats/notes.txt",
        "loose.png",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image")
    (folder / "empty").mkdir()
    return folder


def test_image_folder(animals):
    d = image_folder(animals)
    assert d.names == ("Zebras", "cats", "dogs")  # sorted, the empty one left out
    assert d.y.tolist() == [0, 1, 1, 2, 2]
    assert (d.x.shape, d.x.dtype, d.y.dtype) == ((5, 4, 5, 3), np.uint8, np.int64)
    order = ["Zebras/z.png", "cats/a.png", "cats/inner/c.bmp", "dogs/a.PNG", "dogs/b.png"]
    for row, name in zip(d.x, order, strict=True):
        assert np.array_equal(row, read_image(animals / name, channels=3))
    grey = image_folder(str(animals), channels=1)
    assert grey.x.shape == (5, 4, 5, 1)
    assert np.array_equal(grey.x[1, ..., 0], read_image(animals / "cats/a.png"))
    small = image_folder(animals, size=(2, 3), channels=4)
    assert small.x.shape == (5, 2, 3, 4)
    assert np.array_equal(small.x[4], read_image(animals / "dogs/b.png", size=(2, 3), channels=4))


def test_image_folder_of_several_sizes(animals, image_module):
    image_module.new("RGB", (7, 6)).save(animals / "dogs" / "big.png")
    with pytest.raises(
        DataError, match=r"big\.png has 6 × 7 pixels.*z\.png has 4 × 5.*size=\(4, 5\)"
    ):
        image_folder(animals)
    assert image_folder(animals, size=8).x.shape == (6, 8, 8, 3)


def test_image_folder_names_what_it_cannot_read(animals):
    (animals / "dogs" / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(FileFormatError, match=r"broken\.jpg is not an image"):
        image_folder(animals)


def test_image_folder_with_known_classes(animals):
    names = ("cats", "dogs", "mice", "Zebras")
    d = image_folder(animals, names=names)
    assert d.y.tolist() == [3, 0, 0, 1, 1]
    assert d.names == names
    with pytest.raises(DataError, match="Zebras is none of the classes cats, dogs"):
        image_folder(animals, names=("cats", "dogs"))


def test_image_folders_that_are_none(tmp_path, animals):
    for path, says in (
        (tmp_path / "none", "not there, not a folder"),
        (animals / "cats" / "a.png", "a file, not a folder"),
        (animals / "empty", "has no sub-folders with images"),
        (animals / "dogs", "has images but no sub-folders"),
    ):
        with pytest.raises(DataError, match=says):
            image_folder(path)
    for options, says in (
        ({"channels": 2}, "1, 3 or 4"),
        ({"size": 0}, "size must be"),
        ({"image_size": 8}, "Write size="),
    ):
        with pytest.raises(OptionError, match=says):
            image_folder(animals, **options)
