"""Files under fire: writers killed, disks full, bytes flipped, headers forged, pickles planted.

Every save is wholly old or wholly new; every file that is not what it should be is refused by a
named error that says which file and what to do, before anything is made of it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid.formats.atomic as atomic
import pellucid.formats.safetensors as files
from pellucid import (
    MSE,
    SGD,
    Adam,
    BatchNorm,
    Checkpoint,
    Cosine,
    Dense,
    EarlyStopping,
    Layer,
    Loss,
    Network,
    Observer,
    ReLU,
    WarmUp,
)
from pellucid.errors import (
    CheckpointError,
    FileFormatError,
    Interrupted,
    PellucidError,
    ResumeError,
)
from pellucid.events import StepEnd
from pellucid.formats import load, load_state

POSIX = pytest.mark.skipif(os.name != "posix", reason="a matter of POSIX systems")
RNG = np.random.default_rng(5)
X = RNG.normal(size=(24, 3)).astype(np.float32)
Y = X[:, :1] * 2 + 1


def small(**options: Any) -> Network:
    return Network([Dense(2), BatchNorm(), ReLU(), Dense(1)], inputs=3, loss=MSE(),
                   optimizer=Adam(0.01), **options)  # fmt: skip


def trained(epochs: int = 1, **options: Any) -> Network:
    net = small()
    net.fit(X, Y, epochs=epochs, batch_size=5, progress=False, **options)
    return net


def same(a: Network, b: Network) -> bool:
    vectors = [(a.parameters.vector, b.parameters.vector), (a.state.vector, b.state.vector)]
    vectors += [(a.slots[name], b.slots[name]) for name in a.slots]
    return all(np.array_equal(one, other) for one, other in vectors) and a.updates == b.updates


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    trained().save(path)
    return path


def child(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, **options,
    )  # fmt: skip


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leftovers(folder: Path) -> list[str]:
    return [name for name in names(folder) if name.endswith(".tmp")]


def refused(path: Path, *words: str, kind: type[PellucidError] = FileFormatError) -> str:
    """Loading raises exactly this kind of error, naming the file and these words."""
    with pytest.raises(PellucidError) as caught:
        Network.load(path)
    message = str(caught.value)
    assert isinstance(caught.value, kind), caught.value
    for word in (str(path), *words):
        assert word in message, (word, message)
    return message


# ---- 1, 2, 7: writers that are killed, or compete ------------------------------------------------

KILLER = """
import os, random, signal, sys, time
import numpy as np
from pellucid import Dense, MSE, Network, SGD
from pellucid.formats import load, save_state
from pellucid.training.state import TrainingState

path, rounds, checkpoint = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "checkpoint"
net = Network([Dense(60)], inputs=60, loss=MSE(), optimizer=SGD(0.1, momentum=0.9))


def write(value):
    net.parameters.vector[...] = net.slots["velocity"][...] = value
    net.updates = value
    if checkpoint:
        save_state(net, path, TrainingState().snapshot(net))
    else:
        net.save(path)


write(0)
value, random = 0, random.Random(int(sys.argv[4]))
for _ in range(rounds):
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        while True:
            value += 1
            write(value)
            os.write(its, value.to_bytes(4, "little"))
    os.close(its)
    told = os.read(mine, 4)  # the first one is written
    time.sleep(random.random() * 0.012)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(mine, 4096):
        told = more[-4:]
    os.close(mine)
    last = int.from_bytes(told, "little")
    found = load(path)  # a warning (the older generation was needed) is an error here
    assert found.updates in (last, last + 1), (found.updates, last)
    assert (found.parameters.vector == found.updates).all()
    assert (found.slots["velocity"] == found.updates).all()
    value = found.updates
write(value + 1)
assert [n for n in os.listdir(os.path.dirname(path)) if n.endswith(".tmp")] == []
print("whole", rounds)
"""


@POSIX
@pytest.mark.parametrize("kind", ["save", "checkpoint"])
@pytest.mark.parametrize("rounds", [15, pytest.param(200, marks=pytest.mark.long)])
def test_killed_at_a_random_moment_the_file_is_old_or_new(
    kind: str, rounds: int, tmp_path: Path
) -> None:
    done = child(KILLER, tmp_path / "net.safetensors", rounds, kind, rounds)
    assert succeeded(done).split() == ["whole", str(rounds)]


def test_bytes_reach_the_disk_before_the_name_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log: list[str] = []
    true_sync, true_replace, true_link = os.fsync, os.replace, os.link

    def fsync(descriptor: int) -> None:
        is_folder = Path(f"/proc/self/fd/{descriptor}").is_dir()
        log.append("sync folder" if is_folder else "sync file")
        true_sync(descriptor)

    def replace(source: Any, target: Any) -> None:
        log.append(f"rename to {Path(target).name}")
        true_replace(source, target)

    def link(source: Any, target: Any) -> None:
        log.append("link")
        true_link(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(os, "link", link)
    for _ in range(2):
        atomic.write_atomic(tmp_path / "f", b"bytes", keep_previous=True)
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc to tell files from folders")
    once = ["sync file", "rename to f", "sync folder"]
    assert log == [*once, "sync file", "link", "rename to f.previous", *once[1:]]


def test_what_killed_writers_left_is_ignored_and_swept(saved: Path) -> None:
    dead = int(succeeded(child("import os; print(os.getpid())")))
    stale = [
        saved.with_name(f".{saved.name}.{dead}.aaaa.bbbb.tmp"),
        saved.with_name(f".{saved.name}.{os.getpid()}.earlier.bbbb.tmp"),  # our number, reused
    ]
    alive = saved.with_name(f".{saved.name}.{os.getppid()}.aaaa.bbbb.tmp")
    other = saved.with_name(f".other.{dead}.aaaa.bbbb.tmp")
    for path in (*stale, alive, other):
        path.write_bytes(b"half a file")
    net = Network.load(saved)
    net.save(saved)
    assert leftovers(saved.parent) == sorted([alive.name, other.name])
    assert same(Network.load(saved), net)


def test_names_with_pattern_characters_are_swept_too(tmp_path: Path) -> None:
    dead = int(succeeded(child("import os; print(os.getpid())")))
    path = tmp_path / "net[1]*.safetensors"
    (tmp_path / f".{path.name}.{dead}.aaaa.bbbb.tmp").write_bytes(b"")
    small().save(path)
    assert names(tmp_path) == [path.name]


WRITER = """
import sys
from pellucid import Dense, MSE, Network, SGD
net = Network([Dense(50)], inputs=50, loss=MSE(), optimizer=SGD(0.1))
net.parameters.vector[...] = float(sys.argv[2])
print("ready", flush=True)
for _ in range(120):
    net.save(sys.argv[1])
"""


def test_two_processes_on_one_path_leave_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(value)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for value in (1, 2)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    seen, reads = set(), 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            values = np.unique(Network.load(path).parameters.vector)
            assert len(values) == 1
            seen.add(float(values[0]))
            reads += 1
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    assert reads > 5
    assert seen <= {1.0, 2.0}
    assert leftovers(tmp_path) == []


# ---- 3, 4: no room -------------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def wide(units: int) -> Network:
    return Network([Dense(units)], inputs=200, loss=MSE(), optimizer=SGD(0.1))


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    path = tiny_disk / "net.safetensors"
    old = wide(100)  # 80 KB
    old.save(path)
    with pytest.raises(CheckpointError, match=r"No space left.*unchanged; make room") as caught:
        wide(300).save(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, OSError)
    assert names(tiny_disk) == [path.name]
    assert same(Network.load(path), old)


def test_a_checkpoint_on_a_full_disk_ends_the_run_by_name(tiny_disk: Path) -> None:
    net = wide(100)
    x = RNG.normal(size=(8, 200))
    path = tiny_disk / "run.safetensors"
    filler = tiny_disk / "filler"

    class Fill(Observer):
        every = 3

        def on_step(self, event: StepEnd) -> None:
            filler.write_bytes(bytes(40_000))

    with pytest.raises(CheckpointError, match="No space left"):
        net.fit(x, RNG.normal(size=(8, 100)), epochs=9, progress=False,
                callbacks=[Fill(), Checkpoint(path)])  # fmt: skip
    assert leftovers(tiny_disk) == []
    whole = load_state(path)
    assert 1 <= whole.epoch < net.updates
    assert np.isfinite(net.predict(x)).all()  # and the network in memory is usable
    filler.unlink()
    net.save(path, training=False)


@pytest.mark.parametrize("call", ["fsync", "replace", "link"])
def test_a_failing_system_call_leaves_the_old_file(
    call: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        if call == "link":  # copying is tried instead
            patch.setattr(shutil, "copyfile", fail)
        with pytest.raises(CheckpointError, match="No space left"):
            atomic.write_atomic(saved, b"new", keep_previous=True)
    assert saved.read_bytes() == before
    assert leftovers(saved.parent) == []


def test_a_folder_that_cannot_be_synced_is_no_failure_where_that_is_normal(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_open = os.open

    def failing(code: int) -> Callable[..., int]:
        def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            if Path(path).is_dir():
                raise OSError(code, os.strerror(code))
            return true_open(path, flags, *rest, **options)

        return opened

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(22))
        atomic.write_atomic(saved, b"new")
    assert saved.read_bytes() == b"new"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(5))
        with pytest.raises(CheckpointError, match="was written, but may not outlast"):
            atomic.write_atomic(saved, b"newer")
    assert saved.read_bytes() == b"newer"


LIMITED = """
import os, resource, sys
from pellucid import Dense, MSE, Network, SGD
from pellucid.errors import CheckpointError
path = sys.argv[1]
net = Network([Dense(20)], inputs=20, loss=MSE(), optimizer=SGD(0.1))
net.save(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Network([Dense(200)], inputs=200, loss=MSE(), optimizer=SGD(0.1)).save(path)
except CheckpointError as error:
    print(error)
assert (Network.load(path).parameters.vector == net.parameters.vector).all()
assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
"""


@POSIX
def test_a_file_size_limit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    message = succeeded(child(LIMITED, path))
    assert "File too large" in message
    assert str(path) in message


# ---- 5, 8: where a file can be written -----------------------------------------------------------


def test_a_missing_folder_is_refused_before_the_first_epoch(tmp_path: Path) -> None:
    net = small()
    for path, words in [
        (tmp_path / "no" / "net.safetensors", "does not exist; create it"),
        (tmp_path, "is a folder: give the name of a file"),
        (tmp_path / ("n" * 300), "cannot be written"),
        (tmp_path / "a\0b", "cannot be written"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            net.fit(X, Y, progress=False, callbacks=[Checkpoint(path)])
        with pytest.raises(CheckpointError, match=words):
            net.save(path)
    assert net.updates == 0
    assert names(tmp_path) == []


READ_ONLY = """
import os, sys
import safetensors.numpy
import numpy as np
from pellucid import Checkpoint, Dense, MSE, Network, SGD
from pellucid.errors import CheckpointError
import pellucid.formats, pellucid.training.fit
net = Network([Dense(1)], inputs=2, loss=MSE(), optimizer=SGD(0.1))
pellucid.formats.save(net, sys.argv[2])
os.chmod(sys.argv[2], 0)
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    net.fit(np.ones((4, 2)), np.ones((4, 1)), progress=False, callbacks=[Checkpoint(sys.argv[1])])
except CheckpointError as error:
    print(error)
assert net.updates == 0
try:
    Network.load(sys.argv[2])
except CheckpointError as error:
    print(error)
"""


@POSIX
def test_a_read_only_folder_is_refused_before_the_first_epoch() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which is closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(mode=0o555)
        closed.chmod(0o555)
        path, unreadable = closed / "net.safetensors", folder / "net.safetensors"
        lines = succeeded(child(READ_ONLY, path, unreadable)).splitlines()
        closed.chmod(0o755)
    assert f"{path} cannot be written: Permission denied. Give a place" in lines[0]
    assert f"{unreadable} cannot be read: Permission denied" in lines[1]


@POSIX
def test_links_are_written_through_and_stay_links(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "net.safetensors", tmp_path / "link"
    link.symlink_to(target)
    net = trained(callbacks=[Checkpoint(link)])  # the target does not exist yet
    net.fit(X, Y, epochs=1, progress=False, callbacks=[Checkpoint(link)])
    assert link.is_symlink()
    assert not target.is_symlink()
    assert same(Network.load(link), net)
    assert same(Network.load(target), net)
    assert names(target.parent) == [target.name, target.name + ".previous"]
    target.write_bytes(target.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="link is damaged"):
        assert Network.load(link).updates < net.updates

    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    with pytest.raises(CheckpointError, match="circle"):
        net.save(circle)
    refused(circle, kind=CheckpointError)
    to_folder = tmp_path / "to_folder"
    to_folder.symlink_to(target.parent)
    with pytest.raises(CheckpointError, match="is a folder"):
        net.save(to_folder)


@POSIX
def test_a_replaced_file_keeps_its_permissions(saved: Path) -> None:
    saved.chmod(0o600)
    small().save(saved)
    assert saved.stat().st_mode & 0o777 == 0o600


# ---- 6: stopped from outside ---------------------------------------------------------------------

SLOW = """
import sys, time
import numpy as np
from pellucid import Checkpoint, Dense, Dropout, MSE, Network, Observer, Adam, ReLU
path, pause, every = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(1)
x = rng.normal(size=(60, 3))


class Slow(Observer):
    every = 1
    def on_step(self, event):
        print(event.step, flush=True)
        time.sleep(pause)


net = Network([Dense(8), ReLU(), Dropout(0.3), Dense(1)], loss=MSE(), optimizer=Adam(0.01))
callbacks = [Checkpoint(path, every=every)] if path else []
net.fit(x, x[:, :1], epochs=3, batch_size=4, progress=False, callbacks=[Slow(), *callbacks],
        resume=sys.argv[4] if len(sys.argv) > 4 else False)
print(net.parameters.vector.tobytes().hex(), net.updates)
"""


@POSIX
@pytest.mark.parametrize(("number", "every"), [(signal.SIGINT, 1000), (signal.SIGTERM, 2)])
def test_stopped_from_outside_a_run_can_go_on(number: int, every: int, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    arguments = [sys.executable, "-c", SLOW, str(path), "0.03", str(every)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() != "20":  # in the second epoch of 15 steps
        assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode > 0
        assert "fit with resume=True goes on" in errors
    else:
        assert process.returncode == -number
    state = load_state(path)
    assert state.epoch == 1
    assert 20 - every <= state.updates < 30
    whole = succeeded(child(SLOW, "", 0, 1)).splitlines()[-1]
    resumed = succeeded(child(SLOW, "", 0, 1, path)).splitlines()
    assert resumed[0] == str(state.updates + 1)
    assert resumed[-1] == whole


@POSIX
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_in_the_middle_of_a_write_leaves_a_whole_file(
    times: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, true_sync, calls = tmp_path / "run.safetensors", os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 5:  # the bytes of the third write
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        true_sync(descriptor)

    net = small()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(KeyboardInterrupt) as caught:
        net.fit(X, Y, epochs=9, batch_size=5, progress=False, callbacks=[Checkpoint(path, every=2)])
    assert isinstance(caught.value, Interrupted) == (times == 1)  # the second one is not waited for
    assert load_state(path).updates == 6
    assert leftovers(tmp_path) == []
    monkeypatch.undo()
    twin = small()
    twin.fit(X, Y, epochs=9, batch_size=5, progress=False, resume=path)
    assert same(twin, trained(epochs=9))


# ---- 9: two generations --------------------------------------------------------------------------


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    net = trained(epochs=3, callbacks=[Checkpoint(path)])
    older = atomic.previous_of(path)
    assert load_state(path).epoch == 3
    assert load_state(older).epoch == 2
    whole = path.read_bytes()
    for damage in (whole[:-1], whole[:100], b"", whole[:300] + b"\0" + whole[301:], whole + b"x"):
        path.write_bytes(damage)
        for read in (Network.load, load, load_state):
            with pytest.warns(UserWarning, match="damaged") as caught:
                found = read(path)
            (warning,) = caught
            for words in (f"{path} is damaged", f"{older} was used instead"):
                assert words in str(warning.message)
            assert warning.filename == __file__  # it points at the caller
            assert found.updates == 10
        twin = small()
        with pytest.warns(UserWarning, match="was used instead"):
            twin.fit(X, Y, epochs=3, batch_size=5, progress=False, resume=path)
        assert same(twin, net)  # it went on from the older one, to the same end
    older.write_bytes(whole[:-1])
    refused(path, "damaged")


def test_only_damage_makes_an_older_file_stand_in(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    trained(epochs=2, callbacks=[Checkpoint(path)])
    document, _ = files.read_file(path)
    newer = rewritten(path, document | {"format": 2})
    refused(newer, "reads up to 1")
    path.write_bytes(pickle.dumps([0] * 99))
    refused(path, "a pickle")
    path.unlink()
    message = refused(path, "does not exist", kind=CheckpointError)
    assert f"or load {path}.previous" in message


# ---- 12, 13: damaged files -----------------------------------------------------------------------


def test_a_file_cut_at_any_byte_is_refused(saved: Path) -> None:
    data = saved.read_bytes()
    assert len(data) < 8_000
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        refused(saved, "damaged")


@pytest.mark.parametrize(
    ("mask", "stride"),
    [(0xFF, 7), (0x01, 7), *(pytest.param(1 << bit, 1, marks=pytest.mark.long) for bit in range(8)),
     pytest.param(0xFF, 1, marks=pytest.mark.long)],
)  # fmt: skip
def test_a_flipped_byte_is_noticed_or_harmless(mask: int, stride: int, saved: Path) -> None:
    net, data = Network.load(saved), bytearray(saved.read_bytes())
    harmless = 0
    for place in [*range(24), *range(24, len(data), stride)]:
        data[place] ^= mask
        saved.write_bytes(data)
        data[place] ^= mask
        with suppress(FileFormatError):
            found = Network.load(saved)
            harmless += 1
            assert found.parameters.shapes == net.parameters.shapes
            assert same(found, net)
    assert harmless < 40  # white space in the header


# ---- 14 to 18, 27, 28: forged files --------------------------------------------------------------


def raw(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def rewritten(path: Path, document: dict[str, Any], arrays: Any = None) -> Path:
    """The file with another document or arrays, and a checksum that is right."""
    kept = files.read_file(path)[1] if arrays is None else arrays
    path.write_bytes(files._encode(document, kept))
    if document.get("format", 1) != 1:
        header, data = parts(path)
        inner = json.loads(header["__metadata__"]["pellucid"]) | {"format": document["format"]}
        header["__metadata__"]["pellucid"] = json.dumps(inner)
        raw(path, header, data)
    return path


HEADERS = """
import resource, sys, time, warnings
from pellucid import Network
from pellucid.errors import FileFormatError
import safetensors.numpy
Network.load(sys.argv[1])
for path in sys.argv[2:]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        Network.load(path)
    except FileFormatError as error:
        assert path in str(error)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(time.process_time() - began, grown / 1024, str(error)[-60:])
"""


@POSIX
def test_monstrous_headers_are_refused_at_once(saved: Path, tmp_path: Path) -> None:
    lengths = [2**63, 2**64 - 1, 200_000_000, 10_000, 2**31]
    paths = []
    for i, length in enumerate(lengths):
        path = tmp_path / f"forged{i}"
        with path.open("wb") as file:
            file.write(length.to_bytes(8, "little") + b"{}" * 50)
            if length < 2**30 and length > 10_000:
                file.truncate(length + 1000)  # the file is long enough: a sparse one
        paths.append(path)
    lines = succeeded(child(HEADERS, saved, *paths)).splitlines()
    assert len(lines) == len(lengths)
    for line in lines:
        seconds, megabytes, *_ = line.split()
        assert float(seconds) < 1
        assert float(megabytes) < 50


def test_holes_overlaps_and_additions_are_refused(saved: Path) -> None:
    header, data = parts(saved)
    names = [name for name in header if name != "__metadata__"]
    last = max(names, key=lambda name: header[name]["data_offsets"][1])
    sizes = {name: np.subtract(*header[name]["data_offsets"][::-1]) for name in names}
    large = [name for name in names if sizes[name] == sizes["slots/m"]]

    def change(name: str, start: int, stop: int) -> dict[str, Any]:
        begin, end = header[name]["data_offsets"]
        entry = header[name] | {"data_offsets": [begin + start, end + stop]}
        return header | {name: entry}

    aliased = header | {large[0]: header[large[1]]}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a", "b")
    twice = json.dumps(header).replace(json.dumps(last), json.dumps(names[0]), 1).encode()
    forged = {
        "a hole": raw(saved.with_name("hole"), change(last, 8, 8), data + bytes(8)),
        "an overlap": raw(saved.with_name("overlap"), change(last, -4, -4), data),
        "aliasing": raw(saved.with_name("alias"), aliased, data),
        "a zip at the end": raw(saved.with_name("zip"), header, data + archive.getvalue()),
        "a zip in front": saved.with_name("front"),
        "past the end": raw(saved.with_name("past"), change(last, 0, 2**40), data),
        "backwards": raw(saved.with_name("back"), change(last, 8, -(2**40)), data),
        "a name twice": raw(saved.with_name("twice"), twice, data),
    }
    forged["a zip in front"].write_bytes(archive.getvalue() + saved.read_bytes())
    for path in forged.values():
        refused(path)


@pytest.mark.parametrize(
    "shape",
    [[2**32, 2**32], [2**64], [2**63, 2], [-1], [-3, -2], [1.5], ["3"], [None], [[3]], 3, "3", None,
     [2**70], [10**400], [0], [True, 2]],
    ids=str,
)  # fmt: skip
def test_senseless_shapes_are_refused(shape: Any, saved: Path) -> None:
    header, data = parts(saved)
    header["parameters/dense_1/W"]["shape"] = shape
    refused(raw(saved, header, data))


def test_headers_that_are_no_headers_are_refused(saved: Path) -> None:
    header, data = parts(saved)
    document = json.loads(header["__metadata__"]["pellucid"])
    tensors = {k: v for k, v in header.items() if k != "__metadata__"}
    for text in (b"[]", b"3", b"null", b"{", b"\xff\xfe", b'{"__metadata__": 3}', b"[" * 100_000,
                 b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}"):  # fmt: skip
        refused(raw(saved, text, data))
    inner_forms: list[Any] = ["", "{}", "[]", "3", "[" * 100_000, None, 3, {"format": 1}]
    inner_forms += [json.dumps(document | {"format": f}) for f in (None, "1", 0, -1, 1.0, True)]
    inner_forms += [json.dumps({k: v for k, v in document.items() if k != "checksum"})]
    for inner in inner_forms:
        refused(raw(saved, tensors | {"__metadata__": {"pellucid": inner}}, data))
    for name, entry in (("x", {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}), ("y", 3)):
        refused(raw(saved, header | {name: entry}, data))


def test_a_newer_format_says_so(saved: Path) -> None:
    document, _ = files.read_file(saved)
    path = rewritten(saved, document | {"format": 7, "version": "9.1"})
    refused(path, "format 7", "version 9.1", "up to 1", "pip install --upgrade pellucid")


def test_other_peoples_tensors_are_refused_with_advice(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "theirs.safetensors"
    save_file({"w": np.ones(3, np.float32)}, path)
    refused(path, "no network", "net.parameters[name] = values")


def test_every_missing_extra_and_misshapen_array_is_named(saved: Path) -> None:
    document, arrays = files.read_file(saved)
    del arrays["parameters/dense_1/b"]
    arrays["parameters/dense_9/W"] = np.ones((2, 7), np.float32)
    arrays["parameters/dense_2/W"] = np.ones((9, 9), np.float32)
    arrays["state/batch_norm_1/mean"] = np.ones((2, 1), np.float32)
    arrays["slots/m"] = np.ones((), np.float32)  # would broadcast
    del arrays["training/state"]
    arrays["training/slots/v"] = np.ones((1,), np.float32)
    size = arrays["slots/v"].shape
    message = refused(rewritten(saved, document, arrays), "nothing was loaded")
    for line in [
        "parameters/dense_1/b: missing, expected (2,)",
        "parameters/dense_9/W: not expected, has (2, 7)",
        "parameters/dense_2/W: has (9, 9), expected (2, 1)",
        "state/batch_norm_1/mean: has (2, 1), expected (2,)",
        f"slots/m: has (), expected {size}",
        "training/state: missing, expected (4,)",
        f"training/slots/v: has (1,), expected {size}",
    ]:
        assert line in message, message


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.bool_])
def test_arrays_of_another_dtype_are_refused(dtype: Any, saved: Path) -> None:
    document, arrays = files.read_file(saved)
    arrays["parameters/dense_1/W"] = arrays["parameters/dense_1/W"].astype(dtype)
    refused(rewritten(saved, document, arrays), f"has {np.dtype(dtype)}", "computes in float32")


def test_dtypes_numpy_does_not_know_are_refused(saved: Path) -> None:
    header, data = parts(saved)
    header["parameters/dense_1/W"] |= {"dtype": "BF16", "shape": [3, 4]}
    refused(raw(saved, header, data), "parameters/dense_1/W", "BF16", "F32")


CONFIGS: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("units", lambda n: n["graph"]["nodes"][1]["layer"].update(units=10**12)),
    ("huge units", lambda n: n["graph"]["nodes"][1]["layer"].update(units=10**400)),
    ("no units", lambda n: n["graph"]["nodes"][1]["layer"].update(units=0)),
    ("float units", lambda n: n["graph"]["nodes"][1]["layer"].update(units=1e12)),
    ("word units", lambda n: n["graph"]["nodes"][1]["layer"].update(units="2")),
    ("features", lambda n: n["graph"]["nodes"][0].update(shape=[10**12])),
    ("negative features", lambda n: n["graph"]["nodes"][0].update(shape=[-3])),
    ("shape of shapes", lambda n: n["graph"]["nodes"][0].update(shape=[[3]])),
    ("no type", lambda n: n["graph"]["nodes"][1]["layer"].pop("type")),
    ("unknown type", lambda n: n["graph"]["nodes"][1]["layer"].update(type="os.system")),
    ("a loss as layer", lambda n: n["graph"]["nodes"][1].update(layer={"type": "MSE"})),
    ("an unknown option", lambda n: n["graph"]["nodes"][1]["layer"].update(unit=3)),
    ("a number as layer", lambda n: n["graph"]["nodes"][1].update(layer=3)),
    ("a cycle", lambda n: n["graph"]["nodes"][1].update(inputs=[["dense_2", 0]])),
    ("no such output", lambda n: n["graph"]["nodes"][1].update(inputs=[["input", 5]])),
    ("a name twice", lambda n: n["graph"]["nodes"][2].update(name="dense_1")),
    ("no nodes", lambda n: n["graph"].update(nodes=[])),
    ("no outputs", lambda n: n["graph"].update(outputs=[])),
    ("no graph", lambda n: n.pop("graph")),
    ("a list as graph", lambda n: n.update(graph=[1])),
    ("float16", lambda n: n.update(dtype="float16")),
    ("object", lambda n: n.update(dtype="O")),
    ("no dtype", lambda n: n.update(dtype=[])),
    ("engine", lambda n: n.update(engine="warp")),
    ("seed", lambda n: n.update(seed=-1)),
    ("huge seed", lambda n: n.update(seed="1" * 9)),
    ("loss", lambda n: n.update(loss={"dense_2": {"type": "Adam"}})),
    ("loss of nothing", lambda n: n.update(loss={"nothing": {"type": "MSE"}})),
    ("optimizer", lambda n: n.update(optimizer={"type": "MSE"})),
    ("rate", lambda n: n["optimizer"].update(learning_rate=-1)),
    ("penalty", lambda n: n.update(penalty={"type": "MSE"})),
]


def nest(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "ConstantRate", "value": 0.1}
    for _ in range(levels):
        inner = {"type": "WarmUp", "schedule": inner, "steps": 1}
    return inner


@pytest.mark.parametrize(("what", "change"), CONFIGS, ids=[name for name, _ in CONFIGS])
def test_senseless_descriptions_are_refused_before_anything_is_made(
    what: str, change: Callable[[dict[str, Any]], Any], saved: Path
) -> None:
    document, _ = files.read_file(saved)
    change(document["network"])
    began = time.process_time()
    refused(rewritten(saved, document))
    assert time.process_time() - began < 1


def test_deep_nesting_is_refused_or_understood(saved: Path) -> None:
    document, _ = files.read_file(saved)
    document["network"]["optimizer"]["learning_rate"] = nest(40)
    assert Network.load(rewritten(saved, document)).updates == 5
    document["network"]["optimizer"]["learning_rate"] = nest(300)
    try:
        deep = json.dumps(document)
    except RecursionError:
        pytest.skip("this Python cannot write what is to be refused")
    header, data = parts(saved)
    refused(raw(saved, header | {"__metadata__": {"pellucid": deep.replace("{", "[" * 99)}}, data))


@pytest.mark.parametrize("key", ["updates", "epoch", "batch", "first_epoch"])
@pytest.mark.parametrize("value", [-1, 1.5, "3", None, True, 2**70, float("inf")], ids=str)
def test_counters_are_counts(key: str, value: Any, saved: Path) -> None:
    document, _ = files.read_file(saved)
    document["training"][key] = value
    refused(rewritten(saved, document), key)
    if key == "updates":
        document["training"][key] = 1
        document[key] = value
        refused(rewritten(saved, document), key)


@pytest.mark.parametrize(
    "change",
    [{"rows": 3}, {"rows": [3]}, {"observers": 3}, {"observers": {"a": 3}}, {"setting": 3},
     {"tally": 3}, {"tally": {"weight": "x", "losses": {}}}, {"tally": {"weight": 1, "losses": 3}},
     {"seconds": "soon"}],
    ids=str,
)  # fmt: skip
def test_a_senseless_training_state_is_refused(change: dict[str, Any], saved: Path) -> None:
    document, _ = files.read_file(saved)
    document["training"] |= change
    refused(rewritten(saved, document))


# ---- 19, 20, 26: what is no network --------------------------------------------------------------


def test_nan_weights_are_loaded_with_a_warning(tmp_path: Path) -> None:
    net, path = small(), tmp_path / "net.safetensors"
    net.parameters["dense_1/W"][0, 0] = np.nan
    net.state["batch_norm_1/mean"][1] = np.inf
    net.save(path)
    with pytest.warns(UserWarning, match="NaN") as caught:
        found = Network.load(path)
    (warning,) = caught
    for words in (str(path), "NaN or infinity in", "parameters/dense_1/W", "batch_norm_1/mean"):
        assert words in str(warning.message)
    assert warning.filename == __file__
    np.testing.assert_array_equal(found.parameters.vector, net.parameters.vector)


class Canary:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_refused_without_opening_them(tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    planted = tmp_path / "planted"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        planted.write_bytes(pickle.dumps(Canary(fired), protocol))
        refused(planted, *(["a pickle"] if protocol > 1 else []))
    with zipfile.ZipFile(planted, "w") as archive:  # as torch.save makes them
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(fired)))
    refused(planted, "zip archive (npz or .pt)", "safetensors only", "net.parameters[name]")
    objects = np.empty(1, object)
    objects[0] = Canary(fired)
    with planted.open("wb") as file:
        np.savez(file, x=objects)
    refused(planted, "zip archive (npz or .pt)")
    planted.write_bytes(gzip.compress(pickle.dumps(Canary(fired))))
    refused(planted, "gzip")
    assert not fired.exists()
    assert pickle.loads(pickle.dumps(Canary(fired))) is None
    assert fired.exists()  # the canary does sing


@POSIX
def test_pipes_devices_folders_and_empty_files_end_in_an_error(tmp_path: Path) -> None:
    pipe, folder, empty = tmp_path / "pipe", tmp_path / "folder", tmp_path / "empty"
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    began = time.process_time()
    for path in (pipe, folder, Path("/dev/zero"), Path("/dev/null")):
        refused(path, "not a regular file")
        with pytest.raises(CheckpointError, match=r"folder|not a regular file"):
            small().save(path)
    refused(empty, "ends after 0 bytes")
    refused(tmp_path / "nothing", "does not exist", kind=CheckpointError)
    refused(tmp_path / "a\0b", "cannot be read", kind=CheckpointError)
    refused(empty / "inside", kind=CheckpointError)
    assert time.process_time() - began < 1
    small().save(empty)  # an empty file may be written over
    Network.load(empty)


# ---- what goes in comes out ----------------------------------------------------------------------


class Keeper(Observer):
    """An observer with every kind of state."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        return {
            "plain": [1, 2.5, None, True, "é"],
            "nan": float("nan"),
            "nested": {10: "ten", 9: "nine"},
            "with/slash": np.arange(3),
            **{f"of {kind}": np.ones((2, 0, 1), kind) for kind in "?bBhHiIlLefd"},
            "swapped": np.arange(3, dtype=">i4"),
            "slanted": np.arange(6.0).reshape(2, 3).T,
            "number": np.float64(0.5),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.kept = state


def test_whatever_observers_keep_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    first, second = EarlyStopping("loss", patience=50), Keeper()
    trained(epochs=2, callbacks=[first, second, Checkpoint(path)])
    keeper, early = Keeper(), EarlyStopping("loss", patience=50)
    small().fit(X, Y, epochs=2, batch_size=5, progress=False, resume=path,
                callbacks=[Checkpoint(tmp_path / "other"), keeper, early])  # fmt: skip
    expected = second.state()
    assert list(keeper.kept["nested"]) == ["10", "9"]
    for name, value in expected.items():
        if name != "nested":
            np.testing.assert_array_equal(keeper.kept[name], value)
            assert np.asarray(keeper.kept[name]).shape == np.asarray(value).shape
    assert (early.best, early.best_epoch) == (first.best, first.best_epoch)


@pytest.mark.parametrize("value", [{1, 2}, object(), np.array(["a"]), np.array([None]), 1j])
def test_state_that_no_file_can_hold_is_refused_by_name(value: Any, tmp_path: Path) -> None:
    class Bad(Observer):
        def state(self) -> dict[str, Any]:
            return {"it": value}

    with pytest.raises(CheckpointError, match=r"observer's state|dtype"):
        trained(callbacks=[Bad(), Checkpoint(tmp_path / "run")])
    assert names(tmp_path) == []


def test_classes_no_file_can_name_are_refused_before_the_first_epoch(tmp_path: Path) -> None:
    import dataclasses

    @dataclasses.dataclass(frozen=True, repr=False)
    class Mine(ReLU):
        pass

    @dataclasses.dataclass(frozen=True, repr=False)
    class Rate(Cosine):
        pass

    path = tmp_path / "net.safetensors"
    assert issubclass(Mine, Layer)
    nets = [
        Network([Dense(1), Mine()], loss=MSE(), optimizer=Adam()),
        Network([Dense(1)], loss=MSE(), optimizer=Adam(WarmUp(Rate(0.1, steps=9), steps=2))),
    ]
    for net, name in zip(nets, ["Mine", "Rate"], strict=True):
        with pytest.raises(CheckpointError, match=rf"register\(.yourname.{name}"):
            net.fit(X, Y, progress=False, callbacks=[Checkpoint(path)])
        assert net.updates == 0
        with pytest.raises(CheckpointError, match=name):
            net.save(path)
    assert names(tmp_path) == []


def test_a_loss_of_two_functions_is_told_to_take_a_name(tmp_path: Path) -> None:
    def quartic(y: Any, p: Any) -> Any:
        return ((p - y) ** 4).sum(axis=1)

    loss = Loss.of(quartic, lambda y, p: 4 * (p - y) ** 3)
    net = Network([Dense(1)], loss=0.5 * loss, optimizer=Adam(), inputs=3)
    with pytest.raises(
        CheckpointError, match=r'Loss\.of\(\.\.\., name="yourname\.quartic"\)'
    ) as error:
        net.save(tmp_path / "net.safetensors")
    assert "register" not in str(error.value)


def test_the_optimizer_may_change_between_training_and_saving(tmp_path: Path) -> None:
    net, path = trained(), tmp_path / "net.safetensors"
    net.optimizer = SGD(0.1, momentum=0.9)
    net.save(path)
    found = Network.load(path)
    assert same(found, net)
    assert found.training is not None
    assert sorted(found.training.slots) == ["m", "v"]
    with pytest.raises(ResumeError, match="optimizer"):
        found.fit(X, Y, epochs=2, batch_size=5, progress=False, resume=True)


def test_a_file_without_training_says_so_when_resumed(tmp_path: Path) -> None:
    net, path = trained(), tmp_path / "net.safetensors"
    net.save(path, training=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.any(Network.load(path).slots["m"])
    with pytest.raises(FileFormatError, match="no training state to go on from: resume from"):
        small().fit(X, Y, progress=False, resume=path)
