"""Well-known data sets by their names: MNIST, Fashion-MNIST and EMNIST.

They are read from IDX files in a folder: the one that is given; without one, the set's folder under
`data_folder()`, or `/usr/share/datasets`, where Debian's packages put them. Files may be gzipped or
not. Nothing is fetched unless `download=True` asks for it.
"""

from __future__ import annotations

import re
import shutil
import string
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from pellucid.data.dataset import Dataset
from pellucid.data.downloads import DownloadError, RemoteFile, fetch
from pellucid.data.files import PathName, data_folder, open_regular, whole_file
from pellucid.data.idx import MAX_BYTES, read_idx_dataset
from pellucid.description import checked_options
from pellucid.errors import DataError, FileFormatError, OptionError, did_you_mean

Pair = tuple[Dataset, Dataset]
EmnistSplit = Literal["balanced", "byclass", "bymerge", "digits", "letters", "mnist"]

_SYSTEM = Path("/usr/share/datasets")
_IDX_NAMES = ("images-idx3-ubyte", "labels-idx1-ubyte")
_MNIST_PARTS = ("train", "t10k")
_REMEDIES = {
    "root": "Write folder=",
    "path": "Write folder=",
    "train": "Both parts are returned: train, test = …",
}


@dataclass(frozen=True)
class _Named:
    """A data set: what people call it, its folder, where it is to be had, and one hint more."""

    title: str
    folder: str
    page: str
    files: tuple[RemoteFile, ...]
    call: str
    hint: str = ""


def _remote(base: tuple[str, ...], *rows: tuple[str, int, str]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, tuple(address + name for address in base), size, sum_)
        for name, size, sum_ in rows
    )


# The sums are those that the makers and TensorFlow Datasets publish. Fashion-MNIST's belong to the
# files of Debian's package once name and time are put back into the gzip headers: a test does so.
_MNIST = _Named(
    "MNIST",
    "mnist",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    _remote(
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
        ("train-images-idx3-ubyte.gz", 9_912_422,
         "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        ("train-labels-idx1-ubyte.gz", 28_881,
         "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3-ubyte.gz", 1_648_877,
         "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1-ubyte.gz", 4_542,
         "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    "mnist()",
    "digits() has 10,000 of its images without fetching anything",
)  # fmt: skip
_FASHION = _Named(
    "Fashion-MNIST",
    "fashion-mnist",
    "https://github.com/zalandoresearch/fashion-mnist",
    _remote(
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        ("train-images-idx3-ubyte.gz", 26_421_880,
         "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        ("train-labels-idx1-ubyte.gz", 29_515,
         "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        ("t10k-images-idx3-ubyte.gz", 4_422_102,
         "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        ("t10k-labels-idx1-ubyte.gz", 5_148,
         "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    "fashion_mnist()",
    "on Debian and Ubuntu: apt install dataset-fashion-mnist",
)  # fmt: skip
_EMNIST = _Named(
    "EMNIST",
    "emnist",
    "https://www.nist.gov/itl/products-and-services/emnist-dataset",
    _remote(
        (
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        ("gzip.zip", 561_753_746,
         "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),
    ),
    "emnist(split)",
)  # fmt: skip

_DIGITS = tuple(string.digits)
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_MERGED = _DIGITS + tuple(string.ascii_uppercase) + tuple("abdefghnqrt")
_EMNIST_NAMES: dict[str, tuple[str, ...]] = {
    "balanced": _MERGED,
    "byclass": _DIGITS + tuple(string.ascii_uppercase + string.ascii_lowercase),
    "bymerge": _MERGED,
    "digits": _DIGITS,
    "letters": tuple(string.ascii_uppercase),
    "mnist": _DIGITS,
}


@checked_options("fashion_mnist", **_REMEDIES)
def fashion_mnist(
    folder: PathName | None = None, *, download: bool = False, progress: bool = True
) -> Pair:
    """Fashion-MNIST: 60,000 images of clothes to train on and 10,000 to test on, ten classes.

    `x` is uint8, (N, 28, 28), 0 for the ground to 255; `y` is int64, (N,). The classes' names are
    in `names`. A drop-in for MNIST that is harder than it.

    Args:
        folder: Where the four IDX files are; without it, see `pellucid.data.named`.
        download: Fetch the files that are not there (31 MB), into the folder given or the cache.
        progress: Say on stderr what is being fetched.

    Raises
    ------
        DataError: where files are missing; the message says how to get them.
        DownloadError: where they cannot be fetched.
        FileFormatError: where one is damaged.

    Source: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for
    benchmarking machine learning algorithms", 2017 (MIT licence).

    >>> train, test = fashion_mnist(download=True)  # doctest: +SKIP
    >>> train.names[train.y[0]]  # doctest: +SKIP
    'Ankle boot'
    """
    return _mnist_like(_FASHION, _CLOTHES, folder, download=download, progress=progress)


@checked_options("mnist", **_REMEDIES)
def mnist(folder: PathName | None = None, *, download: bool = False, progress: bool = True) -> Pair:
    """MNIST: 60,000 handwritten digits to train on and 10,000 to test on.

    `x` is uint8, (N, 28, 28), 0 for paper to 255 for ink; `y` is int64, (N,), the digit. For a part
    of it that comes with the package: `digits()`.

    Args:
        folder: Where the four IDX files are; without it, see `pellucid.data.named`.
        download: Fetch the files that are not there (12 MB), into the folder given or the cache.
        progress: Say on stderr what is being fetched.

    Raises
    ------
        DataError: where files are missing; the message says how to get them.
        DownloadError: where they cannot be fetched.
        FileFormatError: where one is damaged.

    Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits"
    (CC BY-SA 3.0).

    >>> train, test = mnist(download=True)  # doctest: +SKIP
    >>> len(train), len(test)  # doctest: +SKIP
    (60000, 10000)
    """
    return _mnist_like(_MNIST, _DIGITS, folder, download=download, progress=progress)


@checked_options("emnist", **_REMEDIES)
def emnist(
    split: EmnistSplit = "balanced", folder: PathName | None = None, *, download: bool = False,
    progress: bool = True,
) -> Pair:  # fmt: skip
    """EMNIST: handwritten letters and digits, in one of six divisions, to train and to test on.

    ============  =======================================  =========  ========
    split         classes                                  train      test
    ============  =======================================  =========  ========
    `balanced`    47: digits, capitals, 11 small letters   112,800    18,800
    `byclass`     62: digits, capitals, small letters      697,932    116,323
    `bymerge`     47, as `balanced`                        697,932    116,323
    `digits`      10                                       240,000    40,000
    `letters`     26: capital and small are one            124,800    20,800
    `mnist`       10                                       60,000     10,000
    ============  =======================================  =========  ========

    `x` is uint8, (N, 28, 28), upright (the files have rows and columns exchanged); `y` is int64,
    (N,), from 0 (the files count letters from 1). The classes' names are in `names`.

    Args:
        split: Which of the six.
        folder: Where the IDX files are, or the archive `gzip.zip` with all of them; without it, see
            `pellucid.data.named`.
        download: Fetch the archive (562 MB) if it is not there, into the folder or the cache.
        progress: Say on stderr what is being fetched.

    Raises
    ------
        DataError: where files are missing; the message says how to get them.
        DownloadError: where they cannot be fetched.
        FileFormatError: where one is damaged.

    Source: G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: an extension of MNIST to
    handwritten letters", 2017.

    >>> train, test = emnist("letters", download=True)  # doctest: +SKIP
    >>> train.names[:3]  # doctest: +SKIP
    ('A', 'B', 'C')
    """
    if split not in _EMNIST_NAMES:
        known = get_args(EmnistSplit)
        raise OptionError(f"emnist has no split {split!r}. {did_you_mean(str(split), known)}")
    parts = tuple(f"emnist-{split}-{part}" for part in ("train", "test"))
    place = _place(_EMNIST, parts, folder)
    if place is None:
        where = _home(_EMNIST, folder)
        archive = where / _EMNIST.files[0].name
        if not archive.exists():
            _get(_EMNIST, _EMNIST.files, where, download=download, progress=progress)
        _unpack(archive, parts, where)
        place = where
    read = [_read(place, part, _EMNIST_NAMES[split], split == "letters") for part in parts]
    for data in read:
        for start in range(0, len(data), 4096):  # in place: a set of 550 MB is not held twice
            block = data.x[start : start + 4096]
            block[...] = block.swapaxes(1, 2).copy()
    return read[0], read[1]


def _mnist_like(
    data: _Named, names: tuple[str, ...], folder: PathName | None, *, download: bool, progress: bool
) -> Pair:
    place = _place(data, _MNIST_PARTS, folder)
    if place is None:
        place = _home(data, folder)
        missing = [f for f in data.files if _find(place, f.name.removesuffix(".gz")) is None]
        _get(data, tuple(missing), place, download=download, progress=progress)
    train, test = (_read(place, part, names) for part in _MNIST_PARTS)
    return train, test


# ---- where the files are ------------------------------------------------------------------------


def idx_files(folder: Path, part: Literal["train", "test"]) -> tuple[Path, Path] | None:
    """The images and the labels of a part among a folder's files, named as MNIST's are, or None."""
    for name in {"train": ("train",), "test": ("t10k", "test")}[part]:
        found = [_find(folder, f"{name}-{rest}") for rest in _IDX_NAMES]
        if found[0] and found[1]:
            return found[0], found[1]
    return None


def _find(folder: Path, name: str) -> Path | None:
    """A file by its name as its makers have it, gzipped or not, also as some programs unpack it."""
    for stem in (name, name.replace("-idx", ".idx")):
        for path in (folder / f"{stem}.gz", folder / stem):
            if path.is_file():
                return path
    return None


def _home(data: _Named, folder: PathName | None) -> Path:
    return data_folder() / data.folder if folder is None else Path(folder)


def _place(data: _Named, parts: tuple[str, ...], folder: PathName | None) -> Path | None:
    """The first folder that has all the files, or None."""
    home = _home(data, folder)
    places = [home, home / "gzip", *([_SYSTEM / data.folder] if folder is None else [])]
    needed = [f"{part}-{rest}" for part in parts for rest in _IDX_NAMES]
    return next((p for p in places if all(_find(p, name) for name in needed)), None)


def _get(
    data: _Named, files: tuple[RemoteFile, ...], folder: Path, *, download: bool, progress: bool
) -> None:
    """Fetches files, or says how to."""
    names = ", ".join(file.name for file in files)
    by_hand = f"by hand: get {names} from {data.page} and put it all into {folder}"
    by_hand += f" ({data.hint})" if data.hint else ""
    if not download:
        inner = data.call.removesuffix(")")
        call = f"{inner}{'' if inner.endswith('(') else ', '}download=True)"
        size = sum(file.size for file in files) / 1e6
        raise DataError(
            f"{data.title} is not in {folder}. To fetch it ({size:,.1f} MB): {call}, or on the "
            f"command line --download. Or {by_hand}"
        )
    for file in files:
        try:
            fetch(file, folder, progress=progress)
        except DownloadError as error:
            raise DownloadError(
                f"{error}\nTry again when this machine is online, or {by_hand}"
            ) from None


def _unpack(archive: Path, parts: tuple[str, ...], folder: Path) -> None:
    """The files of these parts out of EMNIST's archive, each whole or not at all."""
    file, _ = open_regular(archive)
    wanted = [f"{part}-{rest}.gz" for part in parts for rest in _IDX_NAMES]
    with file:
        try:
            with zipfile.ZipFile(file) as opened:
                members = {re.split(r"[/\\]", m.filename)[-1]: m for m in opened.infolist()}
                for name in wanted:
                    if name not in members:
                        raise FileFormatError(f"{archive} has no {name}: it is not EMNIST's")
                    if members[name].file_size > MAX_BYTES:
                        raise FileFormatError(f"{archive}: {name} would unfold to over 1 GB")
                    with opened.open(members[name]) as packed, whole_file(folder / name) as out:
                        shutil.copyfileobj(packed, out, 2**20)
        except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise FileFormatError(
                f"{archive} is a damaged archive ({error}): remove it, and get it again"
            ) from error


# ---- reading ------------------------------------------------------------------------------------


def _read(folder: Path, part: str, names: tuple[str, ...], first: int = 0) -> Dataset:
    """A part's images and labels, of which the least is `first` in the file and 0 here."""
    images, labels = (_find(folder, f"{part}-{rest}") for rest in _IDX_NAMES)
    assert images is not None
    assert labels is not None
    x, y = read_idx_dataset(images, labels)
    if x.ndim != 3 or x.dtype != np.uint8:
        raise DataError(f"{images} holds {x.shape} {x.dtype}, not grey images (N, H, W) of bytes")
    y = y - first
    wrong = np.flatnonzero((y < 0) | (y >= len(names)))
    if len(wrong):
        raise DataError(
            f"{labels}: label {y[wrong[0]] + first} of row {wrong[0]} is none of the {len(names)} "
            "classes: is it another set of that form?"
        )
    return Dataset(x, y, names=names)
