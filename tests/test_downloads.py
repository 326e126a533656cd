"""Named data sets: found in folders, fetched from a server on loopback, whole or not at all."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from pellucid.data import (
    Dataset,
    DownloadError,
    data_folder,
    digits,
    emnist,
    fashion_mnist,
    mnist,
    named,
    write_idx,
)
from pellucid.data import downloads as module
from pellucid.data.downloads import RemoteFile, fetch
from pellucid.data.named import _EMNIST, _FASHION, _MNIST, idx_files
from pellucid.errors import DataError, FileFormatError, OptionError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


class Server(ThreadingHTTPServer):
    """Files on loopback; the first part of a path says how badly it behaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        self.over = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news here."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        _, way, name = self.path.split("/", 2)
        self.server.asked[self.path] += 1
        if way == "missing" or name not in self.server.files:
            self.send_error(404)
            return
        if way == "elsewhere":
            self.send_response(302)
            self.send_header("Location", f"/good/{name}")
            self.end_headers()
            return
        if way == "garbage":
            self.wfile.write(b"\0\1 no http\r\n\r\n")
            return
        body = self.server.files[name]
        self.send_response(200)
        if way not in ("endless", "long"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if way == "wrong":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if way == "short":
            body = body[: len(body) // 2]
        if way == "long":
            body += b"!"
        self.wfile.write(body[:1] if way in ("slow", "endless") else body)
        if way == "slow":  # says a byte, and the rest when the test is over
            self.server.over.wait(30)
        while way == "endless" and not self.server.over.wait(0.001):
            self.wfile.write(bytes(2**16))

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine is found, and nothing is left on it."""
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(named, "_SYSTEM", tmp_path / "system")
    return tmp_path / "cache"


CONTENT = np.random.default_rng(0).bytes(200_000)


@pytest.fixture
def remote(server: Server) -> RemoteFile:
    server.files["thing"] = CONTENT
    return RemoteFile(
        "thing",
        (f"{server.address}/good/thing",),
        len(CONTENT),
        hashlib.sha256(CONTENT).hexdigest(),
    )


def through(remote: RemoteFile, *ways: str) -> RemoteFile:
    base = remote.addresses[0].split("/good/", maxsplit=1)[0]
    return dataclasses.replace(remote, addresses=tuple(f"{base}/{way}/thing" for way in ways))


# ---- fetching -----------------------------------------------------------------------------------


def test_a_file_arrives_whole(remote: RemoteFile, tmp_path: Path) -> None:
    path = fetch(remote, tmp_path / "a" / "b", progress=False)
    assert path == tmp_path / "a" / "b" / "thing"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("missing", "Not Found"),
        ("wrong", "another file: its SHA-256 sum is [0-9a-f]{64}, not"),
        ("short", "ended after 100,000 of 200,000 bytes"),
        ("long", "more than the 200,000 bytes"),
        ("endless", "more than the 200,000 bytes"),
        ("garbage", "thing: "),
    ],
)
def test_what_is_not_the_file_is_refused(
    remote: RemoteFile, tmp_path: Path, way: str, says: str, server: Server
) -> None:
    with pytest.raises(DownloadError, match=says) as caught:
        fetch(through(remote, way), tmp_path, progress=False)
    assert f"{server.address}/{way}/thing: " in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert list(tmp_path.iterdir()) == []


def test_the_next_mirror_is_asked(remote: RemoteFile, tmp_path: Path, server: Server) -> None:
    ways = ["missing", "wrong", "short", "elsewhere", "good"]
    assert fetch(through(remote, *ways), tmp_path, progress=False).read_bytes() == CONTENT
    assert server.asked["/elsewhere/thing"] == 1
    assert server.asked["/good/thing"] == 1  # after the redirection, and not again
    with pytest.raises(DownloadError) as caught:
        fetch(through(remote, "missing", "wrong"), tmp_path, progress=False)
    assert str(caught.value).count("\n") == 2  # one line an address
    assert (tmp_path / "thing").read_bytes() == CONTENT  # what was there stays


def test_a_server_that_falls_silent(
    remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.2)
    began = time.perf_counter()
    with pytest.raises(DownloadError, match="timed out"):
        fetch(through(remote, "slow"), tmp_path, progress=False)
    assert time.perf_counter() - began < 5
    assert list(tmp_path.iterdir()) == []


def test_without_a_net(tmp_path: Path) -> None:
    with Server() as gone:  # nobody answers at its port once it is closed
        address = gone.address
    there = RemoteFile("thing", (f"{address}/good/thing", "file:///etc/passwd"), 3, "0" * 64)
    with pytest.raises(DownloadError, match="refused") as caught:
        fetch(there, tmp_path, progress=False)
    assert "only http" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="PELLUCID_DATA names another folder"):
        fetch(remote, tmp_path / "file" / "folder", progress=False)
    (tmp_path / "thing").mkdir()
    with pytest.raises(DownloadError, match=r"could not be fetched|cannot take"):
        fetch(remote, tmp_path, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "thing"]


def test_a_full_disk_is_told_once(
    remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DownloadError, match=r"No space left on device\. The environment variable"):
        fetch(through(remote, "good", "good"), tmp_path, progress=False)
    assert server.asked["/good/thing"] == 1  # the next mirror would not help
    assert list(tmp_path.iterdir()) == []


def fetching(remote: RemoteFile, folder: Path) -> subprocess.Popen[bytes]:
    """Another process that fetches the file, once the first byte of it has come."""
    code = (
        "from pathlib import Path; from pellucid.data.downloads import RemoteFile, fetch\n"
        f"fetch({remote!r}, Path({str(folder)!r}), progress=False)"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not list(folder.glob(".thing.*.tmp")):
        assert time.monotonic() < end, "it never began"
        time.sleep(0.01)
    return running


@pytest.mark.parametrize("which", ["SIGINT", "SIGKILL"])
def test_a_program_that_ends_midway_leaves_no_half_file(
    remote: RemoteFile, tmp_path: Path, which: str
) -> None:
    with fetching(through(remote, "slow"), tmp_path) as running:
        running.send_signal(getattr(signal, which))
        running.wait(timeout=30)
    assert running.returncode != 0
    parts = list(tmp_path.iterdir())
    assert len(parts) == (1 if which == "SIGKILL" else 0)
    assert not (tmp_path / "thing").exists()
    (tmp_path / ".thing.1.a.tmp").touch()  # of somebody who is at it now
    for part in parts:
        os.utime(part, (0, 0))
    assert fetch(remote, tmp_path, progress=False).read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.iterdir()) == [".thing.1.a.tmp", "thing"]


def test_several_fetch_at_once(remote: RemoteFile, tmp_path: Path, server: Server) -> None:
    start = threading.Barrier(8)

    def one(_: int) -> bytes:
        start.wait()
        return fetch(remote, tmp_path, progress=False).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == {CONTENT}
    assert server.asked["/good/thing"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["thing"]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_told(
    remote: RemoteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, str] = {}
    for name, stream in (("terminal", Screen()), ("pipe", io.StringIO()), ("quiet", Screen())):
        monkeypatch.setattr(sys, "stderr", stream)
        fetch(remote, tmp_path, progress=name != "quiet")
        told[name] = stream.getvalue()
    assert "thing" in told["terminal"]
    assert "200k" in told["terminal"]
    assert told["pipe"] == f"fetching {remote.addresses[0]} (0.2 MB)\n"
    assert told["quiet"] == ""


# ---- where data lies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "~/.cache/pellucid"),
        ("linux", {"XDG_CACHE_HOME": "/there"}, "/there/pellucid"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "~/.cache/pellucid"),
        ("linux", {"XDG_CACHE_HOME": "/there", "PELLUCID_DATA": "/mine"}, "/mine"),
        ("linux", {"PELLUCID_DATA": "~/mine"}, "~/mine"),
        ("darwin", {"XDG_CACHE_HOME": "/there"}, "~/Library/Caches/pellucid"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/pellucid/Cache"),
        ("win32", {}, "~/AppData/Local/pellucid/Cache"),
    ],
)
def test_data_folder(
    platform: str, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PELLUCID_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert data_folder() == Path(expected).expanduser()


def write_four(folder: Path, *, suffix: str = ".gz", separator: str = "-") -> list[np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    arrays = [
        rng.integers(0, 256, (6, 28, 28), dtype=np.uint8), np.arange(6, dtype=np.uint8),
        rng.integers(0, 256, (3, 28, 28), dtype=np.uint8), np.arange(7, 10, dtype=np.uint8),
    ]  # fmt: skip
    for name, array in zip(PARTS, arrays, strict=True):
        name = name.replace("-idx", f"{separator}idx")
        write_idx(folder / f"{name}-ubyte{suffix}", array)
    return arrays


def matches(found: tuple[Dataset, Dataset], arrays: list[np.ndarray]) -> bool:
    (a, b), (c, d) = found
    return all(np.array_equal(x, y) for x, y in zip((a, b, c, d), arrays, strict=True))


@pytest.mark.parametrize(
    ("suffix", "separator"), [(".gz", "-"), ("", "-"), ("", "."), (".gz", ".")]
)
@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_a_folder_that_is_given(load, tmp_path: Path, suffix: str, separator: str) -> None:
    arrays = write_four(tmp_path, suffix=suffix, separator=separator)
    found = load(tmp_path)
    assert matches(found, arrays)
    assert all(len(part.names) == 10 and part.y.dtype == np.int64 for part in found)
    assert (
        found[1].names[found[1].y[-1]]
        == {"mnist": "9", "fashion_mnist": "Ankle boot"}[load.__name__]
    )
    assert matches(load(str(tmp_path)), arrays)
    train = idx_files(tmp_path, "train")
    assert train is not None
    assert train[1].name.startswith("train-labels")
    assert idx_files(tmp_path.parent / "none", "test") is None


def test_folders_are_searched_in_order(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        fashion_mnist()
    said = str(caught.value)
    assert f"Fashion-MNIST is not in {cache / 'fashion-mnist'}" in said
    assert "fashion_mnist(download=True)" in said
    assert "--download" in said
    assert "apt install dataset-fashion-mnist" in said
    assert "t10k-labels-idx1-ubyte.gz" in said
    assert not cache.exists()  # looking makes nothing
    arrays = write_four(tmp_path / "system" / "fashion-mnist")
    assert matches(fashion_mnist(), arrays)
    write_idx(tmp_path / "system" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz", arrays[1][:3])
    assert not matches(fashion_mnist(), arrays)
    write_four(cache / "fashion-mnist")
    assert matches(fashion_mnist(), arrays)  # the user's own come first
    with pytest.raises(DataError, match=f"not in {tmp_path / 'other'}"):
        fashion_mnist(tmp_path / "other")


def test_files_that_are_none_of_the_set(tmp_path: Path) -> None:
    arrays = write_four(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", arrays[1] + 5)
    with pytest.raises(DataError, match="label 10 of row 5 is none of the 10 classes"):
        mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", arrays[1])
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", arrays[0].reshape(6, -1))
    with pytest.raises(DataError, match="not grey images"):
        mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b and more")
    with pytest.raises(FileFormatError, match="damaged gzip"):
        mnist(tmp_path)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: mnist(root="x"), "Write folder="),
        (lambda: fashion_mnist(train=True), "Both parts are returned"),
        (lambda: emnist("letter"), "Did you mean 'letters'"),
        (lambda: emnist("letters", downlaod=True), "Did you mean 'download'"),
    ],
)
def test_options_are_checked(call, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        call()


# ---- fetching a set -----------------------------------------------------------------------------


def on_loopback(data: object, server: Server, files: dict[str, bytes], way: str = "good") -> object:
    server.files |= files
    there = tuple(
        RemoteFile(n, (f"{server.address}/{way}/{n}",), len(b), hashlib.sha256(b).hexdigest())
        for n, b in files.items()
    )
    return dataclasses.replace(data, files=there)


def test_a_set_is_fetched_on_request(
    tmp_path: Path, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arrays = write_four(tmp_path / "origin")
    files = {p.name: p.read_bytes() for p in sorted((tmp_path / "origin").iterdir())}
    monkeypatch.setattr(named, "_MNIST", on_loopback(_MNIST, server, files))
    assert matches(mnist(download=True), arrays)
    assert capsys.readouterr().err.count("fetching http://127.0.0.1") == 4
    assert matches(mnist(), arrays)
    assert matches(mnist(download=True), arrays)
    assert sum(server.asked.values()) == 4  # what is there is not fetched again
    home = cache / "mnist"
    assert sorted(p.name for p in home.iterdir()) == sorted(files)
    (home / "t10k-images-idx3-ubyte.gz").unlink()
    assert matches(mnist(download=True, progress=False), arrays)
    assert sum(server.asked.values()) == 5
    assert capsys.readouterr().err == ""
    assert matches(mnist(tmp_path / "mine", download=True), arrays)
    assert len(list((tmp_path / "mine").iterdir())) == 4


@pytest.mark.parametrize("way", ["missing", "wrong", "short"])
def test_a_set_that_cannot_be_fetched(
    way: str, tmp_path: Path, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_four(tmp_path / "origin")
    files = {p.name: p.read_bytes() for p in sorted((tmp_path / "origin").iterdir())}
    monkeypatch.setattr(named, "_MNIST", on_loopback(_MNIST, server, files, way))
    with pytest.raises(DownloadError, match=r"by hand: get t10k-images.* and put it all into"):
        mnist(download=True, progress=False)
    assert list((cache / "mnist").iterdir()) == []


def emnist_files(split: str, images: np.ndarray, labels: np.ndarray) -> dict[str, bytes]:
    """As the makers have them: rows and columns exchanged, letters from 1."""
    made = {}
    for part, rows in (("train", slice(4, None)), ("test", slice(4))):
        for kind, array in (("images-idx3", images.swapaxes(1, 2)), ("labels-idx1", labels)):
            packed = io.BytesIO()
            body = np.ascontiguousarray(array[rows])
            with gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as stream:
                stream.write(
                    bytes([0, 0, 8, body.ndim]) + struct.pack(f">{body.ndim}I", *body.shape)
                )
                stream.write(body.tobytes())
            made[f"emnist-{split}-{part}-{kind}-ubyte.gz"] = packed.getvalue()
    return made


def archive_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"gzip/{name}", content)
    return packed.getvalue()


def test_emnist_is_unpacked_and_turned_upright(
    cache: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = digits()[1].x[:12], digits()[1].y[:12].astype(np.uint8)
    files = emnist_files("digits", images, labels) | emnist_files(
        "letters", images, labels % 3 + 24
    )
    files |= emnist_files("byclass", images, labels + 50)
    zipped = {"gzip.zip": archive_of(files)}
    monkeypatch.setattr(named, "_EMNIST", on_loopback(_EMNIST, server, zipped))
    with pytest.raises(DataError, match=r"emnist\(split, download=True\)"):
        emnist("digits")
    train, test = emnist("digits", download=True, progress=False)
    assert np.array_equal(np.concatenate([test.x, train.x]), images)  # upright
    assert np.array_equal(np.concatenate([test.y, train.y]), labels)
    assert train.names == tuple("0123456789")
    train, test = emnist("letters", progress=False)  # from the archive that is there
    assert np.concatenate([test.y, train.y]).tolist() == (labels % 3 + 23).tolist()
    assert test.names[23:] == ("X", "Y", "Z")
    assert np.array_equal(test.x, images[:4])
    train, _ = emnist("byclass")
    assert [train.names[i] for i in (9, 10, 35, 36, 61)] == ["9", "A", "Z", "a", "z"]
    assert sum(server.asked.values()) == 1
    with pytest.raises(FileFormatError, match="has no emnist-mnist-train"):
        emnist("mnist")
    assert sorted(p.suffix for p in (cache / "emnist").iterdir()) == [".gz"] * 12 + [".zip"]

    by_hand = tmp_path / "by hand"
    (by_hand / "gzip").mkdir(parents=True)  # unpacked by the user
    for name, content in files.items():
        (by_hand / "gzip" / name).write_bytes(content)
    assert np.array_equal(emnist("letters", by_hand)[1].x, images[:4])
    (tmp_path / "gzip.zip").write_bytes(zipped["gzip.zip"])
    assert np.array_equal(emnist("letters", tmp_path)[1].x, images[:4])


def test_a_damaged_archive(tmp_path: Path) -> None:
    files = emnist_files("letters", np.zeros((9, 28, 28), np.uint8), np.ones(9, np.uint8))
    whole = archive_of(files)
    for content in (whole[: len(whole) // 2], b"hello", whole.replace(b"\x1f\x8b", b"\x1f\x8c")):
        (tmp_path / "gzip.zip").write_bytes(content)
        with pytest.raises(FileFormatError, match=r"damaged archive .*remove it"):
            emnist("letters", tmp_path)
        assert [p.name for p in tmp_path.iterdir() if "labels" in p.name] == []
    files["emnist-letters-test-labels-idx1-ubyte.gz"] = emnist_files(
        "letters", np.zeros((9, 28, 28), np.uint8), np.zeros(9, np.uint8)
    )["emnist-letters-test-labels-idx1-ubyte.gz"]
    (tmp_path / "gzip.zip").write_bytes(archive_of(files))
    with pytest.raises(DataError, match="label 0 of row 0"):
        emnist("letters", tmp_path)


def test_names_of_emnist() -> None:
    assert {k: len(v) for k, v in named._EMNIST_NAMES.items()} == {
        "balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26, "mnist": 10,
    }  # fmt: skip
    for names in named._EMNIST_NAMES.values():
        assert list(names) == sorted(set(names))


# ---- the published files ------------------------------------------------------------------------

STAMPS = dict(zip(PARTS, (1504176606, 1504176606, 1504176627, 1504176627), strict=True))


@pytest.fixture
def published() -> dict[str, bytes]:
    """Fashion-MNIST as its makers published it: Debian took name and time out of the headers."""
    if not DEBIAN.is_dir():
        pytest.skip("apt install dataset-fashion-mnist")
    files = {}
    for name, stamp in STAMPS.items():
        content = (DEBIAN / f"{name}-ubyte.gz").read_bytes()
        header = b"\x1f\x8b\x08\x08" + struct.pack("<I", stamp) + b"\0\3"
        files[f"{name}-ubyte.gz"] = header + f"{name}-ubyte".encode() + b"\0" + content[10:]
    return files


def test_the_real_fashion_mnist_is_fetched(
    published: dict[str, bytes], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files |= published
    there = tuple(
        dataclasses.replace(f, addresses=(f"{server.address}/good/{f.name}",))
        for f in _FASHION.files  # sizes and sums are the real ones
    )
    monkeypatch.setattr(named, "_FASHION", dataclasses.replace(_FASHION, files=there))
    train, test = fashion_mnist(download=True, progress=False)
    assert (train.x.shape, test.x.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert np.bincount(train.y).tolist() == [6000] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
    assert train.names[train.y[0]] == "Ankle boot"
    ours = fashion_mnist(DEBIAN)
    assert np.array_equal(ours[0].x, train.x)
    assert np.array_equal(ours[1].y, test.y)


def test_the_published_sums_are_of_this_form() -> None:
    sizes = {d.title: sum(f.size for f in d.files) for d in (_MNIST, _FASHION, _EMNIST)}
    assert sizes == {"MNIST": 11_594_722, "Fashion-MNIST": 30_878_645, "EMNIST": 561_753_746}
    for data in (_MNIST, _FASHION, _EMNIST):
        for file in data.files:
            assert len(bytes.fromhex(file.sha256)) == 32
            assert all(a.startswith("http") and a.endswith(file.name) for a in file.addresses)
