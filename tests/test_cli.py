"""The command line: every command, its exit status, its JSON, and how a run is stopped."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from pellucid import (
    MSE,
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    Input,
    Layer,
    Network,
    ReLU,
    Softmax,
)
from pellucid.cli import main
from pellucid.cli.inputs import layers_for, loss_for, read_data, read_image_for
from pellucid.data import Dataset, digits_8x8, sample_images, write_idx
from pellucid.errors import DataError, FileFormatError, OptionError
from pellucid.notation import WORDS, describe_words, format_layers, parse_layers

MAIN = "import sys; from pellucid.cli import main; sys.exit(main())"
SMALL = ["--layers", "dense 8, dropout 0.2, relu, dense 10"]


def process(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", MAIN, *words]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, **options
    )  # type: ignore[call-overload, no-any-return]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    assert main(["train", "digits_8x8", "-o", str(path), "--epochs", "8", "--quiet"]) == 0
    return str(path)


def reads(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, object]:
    assert main(list(words)) == status
    result = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert isinstance(result, dict)
    return result


def refused(capsys: pytest.CaptureFixture[str], *words: str, status: int = 2) -> str:
    """The message of a command that is refused: on stderr alone, without a traceback."""
    assert main(list(words)) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


# ---- the commands -------------------------------------------------------------------------------


def test_train_saves_a_network_that_can_read(
    trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", trained, "digits_8x8", "--report"]) == 0
    out = capsys.readouterr().out
    assert "359 rows" in out
    assert "precision  recall" in out
    values = reads(capsys, "evaluate", trained, "digits_8x8", "--json", "--report")
    assert values["accuracy"] > 0.8  # type: ignore[operator]
    assert np.sum(values["confusion_matrix"]) == values["rows"] == 359  # type: ignore[arg-type]


def test_train_prints_its_record_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["train", "digits_8x8", "-o", "d.safetensors", "--epochs", "2", "--json", *SMALL]) == 0
    )
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert [row["epoch"] for row in result["record"]] == [1, 2]
    assert result["updates"] == 2 * result["record"][0]["step"]
    assert said.err.count("epoch ") == 2
    assert Network.load(result["model"]).parameters.vector.size == result["parameters"]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits_8x8", "-o", "d.safetensors", "--epochs", "1", "--quiet", *SMALL]
    assert main(words) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_train_takes_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    words = split(
        "train digits_8x8 -o d.safetensors --epochs 3 --batch-size 50 --optimizer sgd --learning-rate "
        "0.05 --loss cross_entropy --validation digits_8x8 --patience 1 --seed 7 --dtype float64 "
        "--checkpoint c.safetensors --accumulate 2 --penalty-l2 1e-3 --class-weight balanced --json"
    )
    result = reads(capsys, *words, *SMALL)
    net = Network.load("d.safetensors")
    assert repr(net.optimizer) == "SGD(learning_rate=0.05)"
    assert (net.dtype, net.seed, repr(net.penalty)) == (np.float64, 7, "L2(0.001)")
    assert result["record"][0]["step"] == 15  # type: ignore[index]
    assert {"penalty", "validation_accuracy"} <= set(result["record"][0])  # type: ignore[index]
    assert Path("c.safetensors").exists()


def test_predict_reads_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(split("train digits -o d.safetensors --epochs 2 --quiet")) == 0
    images = [str(sample_images()[digit]) for digit in (0, 7)]
    assert main(["predict", "d.safetensors", *images]) == 0
    zero, seven = capsys.readouterr().out.splitlines()
    assert zero.startswith(f"{images[0]}: 0  (0 ")
    assert seven.startswith(f"{images[1]}: 7  (7 ")
    answers = reads(capsys, "predict", "d.safetensors", *images, "--json")["predictions"]
    assert [answer["class"] for answer in answers] == [0, 7]  # type: ignore[attr-defined]
    assert sum(answers[0]["probabilities"]) == pytest.approx(1, abs=1e-5)  # type: ignore[index]


def test_an_image_becomes_what_the_network_learnt_from(trained: str) -> None:
    image = sample_images()[4]
    small = read_image_for(Network.load(trained), str(image))
    assert small.shape == (8, 8)
    assert 8 < small.max() <= 16
    flat = read_image_for(Network([Dense(2)], inputs=784), str(image))
    assert flat.shape == (784,)
    assert flat.max() == 255
    colours = read_image_for(Network([Dense(2)], inputs=(20, 10, 3)), str(image), invert=True)
    assert colours.shape == (20, 10, 3)
    assert colours[0, 0].tolist() == [255, 255, 255]


def test_predict_rows(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("rows.npz", x=digits_8x8().x[:3])
    assert main(["predict", trained, "rows.npz"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("rows.npz row 2: ")


def test_predict_values_and_several_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    x = Input(3)
    y = {"price": Dense(1)(x), "sold": Dense(1)(x), "kind": Dense(4)(x)}
    losses = {"price": MSE(), "sold": BinaryCrossEntropy(), "kind": CrossEntropy()}
    Network(inputs=x, outputs=y, loss=losses).save("n.safetensors")
    Network([Dense(2)], inputs=3).save("plain.safetensors")
    np.savez("x.npz", x=np.ones((2, 3)))
    first, _ = reads(capsys, "predict", "n.safetensors", "x.npz", "--json")["predictions"]  # type: ignore[misc]
    assert set(first) == {"input", "row", "price", "sold", "kind"}
    assert len(first["price"]["values"]) == 1
    assert len(first["kind"]["probabilities"]) == 4
    assert main(["predict", "n.safetensors", "x.npz"]) == 0
    assert "x.npz row 1: kind " in capsys.readouterr().out
    assert main(["predict", "plain.safetensors", "x.npz"]) == 0


def test_look_inside(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", trained, "digits_8x8", "--rows", "3"]) == 0
    out = capsys.readouterr().out
    assert "(3, 8, 8)" in out
    assert "backward" in out
    assert main(["summary", trained]) == 0
    assert "9,610 parameters" in capsys.readouterr().out
    assert reads(capsys, "summary", trained, "--json")["parameters"] == 9610
    assert main(["diagnose", trained, "digits_8x8"]) == 0
    assert "nothing found" in capsys.readouterr().out
    assert main(["version"]) == 0
    assert "pellucid" in capsys.readouterr().out
    assert reads(capsys, "version", "--json")["numpy"] == np.__version__


def test_diagnose_finds(capsys: pytest.CaptureFixture[str]) -> None:
    data = digits_8x8()
    layers = parse_layers("dense 8, relu, dense 10, softmax")
    with pytest.warns(UserWarning, match="softmax_1"):
        net = Network(layers, inputs=64, loss=CrossEntropy(allow_squashed=True), optimizer=Adam())
    net.save("bad.safetensors")
    np.savez("bad.npz", x=data.x.reshape(-1, 64) * 100.0, y=data.y)
    found = reads(capsys, "diagnose", "bad.safetensors", "bad.npz", "--json")
    rules = [finding["rule"] for finding in found["findings"]]  # type: ignore[attr-defined]
    assert {"squashed outputs", "unscaled inputs"} <= set(rules)


def test_gradcheck(
    trained: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["gradcheck", trained, "digits_8x8", "--rows", "4"]) == 0
    assert "agree with" in capsys.readouterr().out
    assert reads(capsys, "gradcheck", trained, "digits_8x8", "--json")["passed"] is True
    right = Dense.backward
    monkeypatch.setattr(
        Dense, "backward", lambda self, dy, p, dp, c: 1.01 * right(self, dy, p, dp, c)
    )
    assert main(["gradcheck", trained, "digits_8x8"]) == 1
    assert "DIFFER" in capsys.readouterr().out
    wrong = reads(capsys, "gradcheck", trained, "digits_8x8", "--json", status=1)
    assert wrong["passed"] is False


def test_not_a_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    net = Network([Dense(1)], inputs=1, loss=MSE())
    net.parameters["dense_1/W"][...] = np.nan
    net.save("nan.safetensors")
    np.savez("x.npz", x=np.ones((2, 1)), y=np.ones(2))
    said = process("evaluate", "nan.safetensors", "x.npz", "--json")
    assert json.loads(said.stdout)["loss"] is None
    assert "warning" in said.stderr


def test_words_and_floats_for_classes(capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=(8, 5))
    np.savez("words.npz", x=x, y=np.array(["cat", "dog"] * 4))
    assert main(split("train words.npz -o m.safetensors --epochs 1")) == 2
    said = capsys.readouterr().err
    assert "encode_labels" in said
    assert "MSE" not in said
    for y, noted in [([0.0, 1.0] * 4, True), ([0, 1] * 4, False), ([0.5, 1.0] * 4, False)]:
        np.savez("d.npz", x=x, y=np.array(y))
        assert main(split("train d.npz -o m.safetensors --epochs 1 --validation 0")) == 0
        assert ("y.astype(int)" in capsys.readouterr().err) is noted


# ---- data ---------------------------------------------------------------------------------------


def test_data_from_idx_files(capsys: pytest.CaptureFixture[str]) -> None:
    data = digits_8x8()
    write_idx("images.idx.gz", data.x)
    write_idx("labels.idx.gz", data.y.astype(np.uint8))
    pair = "images.idx.gz,labels.idx.gz"
    assert main(["train", pair, "-o", "d.safetensors", "--epochs", "1", *SMALL]) == 0
    capsys.readouterr()
    assert reads(capsys, "evaluate", "d.safetensors", pair, "--json")["rows"] == 1797


def test_training_and_held_out_rows_are_apart() -> None:
    for name, sizes in (("digits", (8000, 2000)), ("digits_8x8", (1438, 359))):
        assert (len(read_data(name, "train")), len(read_data(name, "test"))) == sizes
    held = {row.tobytes() for row in read_data("digits_8x8", "test").x}
    assert not any(row.tobytes() in held for row in read_data("digits_8x8", "train").x)


@pytest.mark.parametrize(
    ("y", "loss", "last"),
    [
        (np.array([0, 1, 2, 1]), "cross_entropy", 3),
        (np.array([True, False, True, False]), "cross_entropy", 2),
        (np.array([0.5, 1.5, 2, 3]), "mse", 1),
        (np.eye(4), "cross_entropy", 4),
        (np.array([[1, 1, 0]] * 4), "binary_cross_entropy", 3),
        (np.ones((4, 2)) / 3, "mse", 2),
    ],
)
def test_the_loss_and_the_outputs_suit_the_targets(y: np.ndarray, loss: str, last: int) -> None:
    np.savez("d.npz", x=np.random.default_rng(0).normal(size=(4, 5)), y=y)
    words = split("train d.npz -o m.safetensors --epochs 1 --validation 0 --quiet")
    assert main(words) == 0
    net = Network.load("m.safetensors")
    assert loss_for(y) == loss
    assert net.graph.output_specs["dense_2"].shape == (last,)
    assert main(["evaluate", "m.safetensors", "d.npz"]) == 0


@pytest.mark.parametrize(
    ("shape", "dtype", "text", "expected"),
    [
        ((4, 28, 28), np.uint8, "dense 3", "rescale 0.1, flatten, dense 3"),
        ((4, 6), np.float32, "dense 3", "standardize, dense 3"),
        ((4, 6), np.int64, "dense 3", "standardize, dense 3"),
        ((4, 6), np.float32, "batch_norm, dense 3", "batch_norm, dense 3"),
        ((4, 8, 8), np.uint8, "conv2d 2 3, relu, dense 3",
         "rescale 0.1, reshape 8 8 1, conv2d 2 3, relu, flatten, dense 3"),
        ((4, 8, 8, 3), np.uint8, "max_pool2d, flatten, dense 3",
         "rescale 0.1, max_pool2d, flatten, dense 3"),
        ((4, 6), np.int64, "embedding 11 2, flatten, dense 3",
         "embedding 11 2, flatten, dense 3"),
        ((4, 28, 28), np.uint8, "rescale 1/5, reshape 784, dense 3",
         "rescale 0.2, reshape 784, dense 3"),
    ],
)  # fmt: skip
def test_what_is_put_before_the_layers(
    shape: tuple[int, ...], dtype: type, text: str, expected: str
) -> None:
    data = Dataset(np.full(shape, 10, dtype), np.zeros(4, int))
    layers = layers_for(data, text, CrossEntropy())
    assert format_layers(layers) == expected
    Network(layers).inputs_for(data.x)


def test_objects_in_a_file_are_never_unpickled() -> None:
    class Canary:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, ("canary",)

    np.savez("bad.npz", x=np.array([Canary()], dtype=object), y=np.zeros(1))
    with pytest.raises(FileFormatError, match="Python objects"):
        read_data("bad.npz")
    assert not Path("canary").exists()


def npz_of(shape: tuple[int, ...], descr: str, payload: bytes, **options: int) -> str:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile("made.npz", "w", **options) as archive:  # type: ignore[arg-type]
        archive.writestr("x.npy", header.getvalue() + payload)
    return "made.npz"


def test_what_a_file_declares_is_not_believed() -> None:
    good = npz_of((4,), "<f8", bytes(32))
    assert read_data(good, targets=False).x.tolist() == [0, 0, 0, 0]
    for shape in ((2**50,), (3,), (5,), (-4,), (2**33, 2**33)):
        with pytest.raises(FileFormatError, match="x "):
            read_data(npz_of(shape, "<f8", bytes(32)), targets=False)
    whole = Path(
        npz_of((4,), "<f8", bytes(range(32)), compression=zipfile.ZIP_DEFLATED)
    ).read_bytes()
    for at in range(len(whole)):  # cut short, and each byte flipped
        Path("made.npz").write_bytes(whole[:at])
        with pytest.raises(FileFormatError):
            read_data("made.npz", targets=False)
        Path("made.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read_data("made.npz", targets=False)
        except (FileFormatError, DataError):
            continue


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("trian digits", "Did you mean 'train'"),
        ("train digits -o d --epoch 3", "Did you mean '--epochs'"),
        ("train digits -o d --epochs=three", "three"),
        ("train digits -o d --optimizer adan", "Did you mean 'adam'"),
        ("train digits -o d --loss mze", "Did you mean 'mse'"),
        ("train digits", "-o"),
        ("train digtis -o d", "Did you mean 'digits'"),
        ("train none.npz -o d", "none.npz"),
        ("train a.idx,b.idx -o d", "b.idx"),
        ("train . -o d", "npz"),
        ("train digits -o none/d", "none"),
        ("train digits -o d --checkpoint none/d", "none"),
        ("train digits -o d --resume none", "none"),
        ("train digits -o d --layers relu,dens", "Did you mean 'dense'"),
        ("train digits -o d --layers dense", "dense units"),
        ("train digits_8x8 -o d --layers conv2d,3", "conv2d filters kernel_size [strides]"),
        ("train digits_8x8 -o d --learning-rate -1", "learning_rate"),
        ("train digits_8x8 -o d --learning-rate x", "x"),
        ("train digits_8x8 -o d --validation 2", "between 0 and 1"),
        ("train digits_8x8 -o d --penalty-l2 nan", "L2"),
        ("train digits_8x8 -o d --layers relu", "index|class|output"),
        ("evaluate none digits", "none"),
        ("evaluate", "MODEL"),
        ("predict MODEL none.png", "none.png"),
        ("predict MODEL digits", "(B, 8, 8)"),
        ("trace MODEL digits_8x8 --rows 0", "1 or more"),
        ("summary pyproject.png", "pyproject.png"),
    ],
)
def test_wrong_usage_is_one_message(
    words: str, says: str, trained: str, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, *split(words.replace("MODEL", trained)))
    assert any(part in message for part in says.split("|")), message
    assert "pellucid: " in message


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "from nothing to a network" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["train", "evaluate", "predict", "trace", "summary", "gradcheck", "diagnose", "version"],
)
def test_help_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert "example" in out
    assert f"pellucid {command}" in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_divergence_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    words = split(
        "train digits_8x8 -o d.safetensors --loss mse --learning-rate 1e30 --optimizer sgd"
    )
    assert "learning rate" in refused(capsys, *words, status=1)
    assert not Path("d.safetensors").exists()


def test_a_wrong_label_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("d.npz", x=np.ones((4, 2)), y=np.array([0, 1, -1, 2]))
    assert "-1" in refused(capsys, *split("train d.npz -o d"))
    np.savez("d.npz", x=np.ones((4, 2)), y=np.array([0, 1, 10**9, 2]))
    assert "--loss mse" in refused(capsys, *split("train d.npz -o d"))
    np.savez("d.npz", x=np.ones((4, 2)), y=np.array(["a", "b", "a", "b"]))
    assert "encode_labels" in refused(capsys, *split("train d.npz -o d"))


def test_resuming_with_another_batch_size(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "digits_8x8", "-o", "d.safetensors", "--epochs", "1", *SMALL]
    assert main([*words, "--checkpoint", "c.safetensors"]) == 0
    capsys.readouterr()
    message = refused(capsys, *words, "--batch-size", "7", "--resume", "c.safetensors")
    assert "batch_size was 64 and is now 7" in message


def test_a_fault_of_ours_is_one_message_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pellucid.cli.commands.read_data", lambda *a: 1 / 0)
    assert "PELLUCID_TRACEBACK" in refused(capsys, *split("train digits -o d"), status=1)
    monkeypatch.setenv("PELLUCID_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(split("train digits -o d"))


# ---- processes ----------------------------------------------------------------------------------


def test_exit_statuses_of_processes(trained: str) -> None:
    good = process("evaluate", trained, "digits_8x8", "--json")
    assert (good.returncode, good.stderr) == (0, "")
    assert json.loads(good.stdout)["rows"] == 359
    bad = process("evaluate", "none", "digits_8x8")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr.startswith("pellucid: none")
    assert len(bad.stderr.splitlines()) == 1
    failed = process("train", "digits_8x8", "-o", "d", "--loss", "mse", "--learning-rate", "1e30")
    assert failed.returncode == 1


def test_a_reader_that_stops_reading(trained: str) -> None:
    command = [sys.executable, "-c", MAIN, "predict", trained, "digits_8x8", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        running.stdout.close()
        assert running.wait(timeout=30) == 141
        assert running.stderr.read() == b""


def test_a_terminal_without_the_characters(trained: str) -> None:
    said = process("summary", trained, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert said.returncode == 0
    assert "9,610 parameters" in said.stdout


LONG = ["train", "digits_8x8", "--epochs", "60", "--patience", "100", "--batch-size", "5", *SMALL]


def interrupted(
    which: int, *words: str, ignoring: bool = False
) -> subprocess.CompletedProcess[str]:
    """A run that gets a signal in its second or third epoch."""
    before = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " if ignoring else ""
    command = [sys.executable, "-c", before + MAIN, *LONG, *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        read = []
        for line in running.stderr:
            read.append(line)
            if line.startswith("epoch  2/60"):
                running.send_signal(which)
                break
        out, rest = running.communicate(timeout=30)
    return subprocess.CompletedProcess(command, running.returncode, out, "".join(read) + rest)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = str(tmp_path_factory.mktemp("whole") / "whole.safetensors")
    assert main([*LONG, "-o", path, "--quiet"]) == 0
    return Network.load(path).parameters.vector


@pytest.mark.parametrize(
    ("which", "status", "ignoring"),
    [(signal.SIGINT, 130, False), (signal.SIGTERM, 143, False), (signal.SIGTERM, 143, True)],
)
def test_a_stopped_run_goes_on(
    which: int, status: int, ignoring: bool, uninterrupted: np.ndarray
) -> None:
    words = ["-o", "d.safetensors", "--checkpoint", "c.safetensors"]
    said = interrupted(which, *words, ignoring=ignoring)
    assert said.returncode == status, said.stderr
    assert "Traceback" not in said.stderr
    assert "--resume c.safetensors" in said.stderr
    assert not Path("d.safetensors").exists()
    state = Network.load("c.safetensors").training
    assert state is not None
    assert 2 <= state.epoch < 60
    assert main([*LONG, "-o", "d.safetensors", "--resume", "c.safetensors", "--quiet"]) == 0
    assert np.array_equal(Network.load("d.safetensors").parameters.vector, uninterrupted)


def test_a_run_without_checkpoint_can_be_resumed_too(
    uninterrupted: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    said = interrupted(signal.SIGTERM, "-o", "d.safetensors")
    assert said.returncode == 143
    command = said.stderr.splitlines()[-1].split()
    assert command[-2:] == ["--resume", "d.checkpoint.safetensors"]
    assert list(Path().iterdir()) == [Path("d.checkpoint.safetensors")]
    words = ["-o", "d.safetensors", "--resume", "d.checkpoint.safetensors"]
    assert main([*LONG, *words]) == 0
    assert np.array_equal(Network.load("d.safetensors").parameters.vector, uninterrupted)


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    main(["version"])
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_main_in_another_thread(trained: str) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(main(["summary", trained])))
    thread.start()
    thread.join()
    assert found == [0]


def test_help_is_there_at_once() -> None:
    began = time.perf_counter()
    assert process("--help").returncode == 0
    assert time.perf_counter() - began < 5


# ---- the notation -------------------------------------------------------------------------------


def test_every_layer_has_a_word() -> None:
    import pellucid.layers

    classes = [c for c in vars(pellucid.layers).values() if isinstance(c, type)]
    plain = {
        c for c in classes
        if issubclass(c, Layer) and c.arity == 1 and not getattr(c, "__abstractmethods__", None)
    }  # fmt: skip
    assert plain == {word.layer for word in WORDS.values()}


SHARES = (
    "rate",
    "momentum",
    "epsilon",
    "negative_slope",
    "factor",
    "height_factor",
    "width_factor",
)


@pytest.mark.parametrize("line", describe_words().splitlines())
def test_words_there_and_back(line: str) -> None:
    name, *options = line.split()
    numbers = ["0.25" if o.strip("[]") in SHARES else "3" for o in options]
    text = " ".join([name, *numbers])
    (layer,) = parse_layers(text)
    assert format_layers([layer]) == text
    needed = [n for o, n in zip(options, numbers, strict=True) if not o.startswith("[")]
    (short,) = parse_layers(" ".join([name, *needed]))
    assert type(short) is WORDS[name].layer


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "dense 128"),
        ("dense 3,", "layer 2 of 2"),
        ("dense 3 4", "dense units"),
        ("dense x", "'x' is no number"),
        ("dense 1/0", "'1/0' is no number"),
        ("dense 2.5", "whole number"),
        ("relu 1", "relu"),
        ("DENSE 3", "Did you mean 'dense'"),
        ("dropout 1.5", "rate"),
        ("dense 99999999999999999999999999999999", "is no number"),
    ],
)
def test_a_line_that_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(OptionError, match="(?i)" + says.replace("(", r"\(")):
        parse_layers(text)


def test_lines_are_forgiving_about_spaces() -> None:
    assert parse_layers(" dense  8 ,relu,dense 2") == [Dense(8), ReLU(), Dense(2)]
    assert format_layers([Softmax(), Dense(3, use_bias=False)]) == "softmax, dense 3 use_bias=false"
