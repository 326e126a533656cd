"""The command line: every command, its exit status, its JSON, and how a run is stopped."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json
import os
import shutil
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
    ELU,
    GELU,
    MSE,
    Adam,
    Add,
    BatchNorm,
    BinaryCrossEntropy,
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Cosine,
    CrossEntropy,
    Cutout,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GroupNorm,
    Huber,
    Input,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    Network,
    PReLU,
    RandomFlip,
    RandomRotation,
    RandomShift,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    RMSNorm,
    SeparableConv2D,
    Softmax,
)
from pellucid.cli import main
from pellucid.cli.datasets import NAMES, SYNTHETIC, How, read_data
from pellucid.cli.inputs import layers_for, loss_for, read_image_for
from pellucid.cli.parser import commands_of
from pellucid.data import Dataset, digits_8x8, named, sample_images, write_idx
from pellucid.errors import DataError, FileFormatError, OptionError
from pellucid.losses import as_loss
from pellucid.notation import WORDS, describe, describe_words, format_layers, parse_layers
from pellucid.optimizers import as_optimizer

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
    monkeypatch.setenv("PELLUCID_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(named, "_SYSTEM", tmp_path / "system")  # whatever this machine has
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


REACHED = {  # what `fit` and `Network` take, and the option that says it; None: for generators alone
    "epochs": "--epochs", "batch_size": "--batch-size", "validation": "--validation",
    "validation_rows": "--validation-rows", "loss": "--loss", "optimizer": "--optimizer",
    "metrics": "--metrics", "sample_weight": "--weight", "class_weight": "--class-weight",
    "shuffle": "--no-shuffle", "shuffle_seed": "--shuffle-seed", "accumulate": "--accumulate",
    "steps_per_epoch": None, "callbacks": "--patience", "progress": "--quiet",
    "resume": "--resume", "layers": "--layers", "penalty": "--penalty-l2", "seed": "--seed",
    "dtype": "--dtype", "engine": "--engine",
}  # fmt: skip


def test_every_option_of_fit_is_reached() -> None:
    from pellucid.training import fit

    asked = [*inspect.signature(fit).parameters, *inspect.signature(Network).parameters]
    assert set(asked) - {"net", "x", "y", "inputs", "outputs"} == set(REACHED)
    there = {word for action in commands_of()["train"]._actions for word in action.option_strings}
    assert {option for option in REACHED.values() if option} <= there


def test_options_do_what_they_say(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    right = Network.fit

    def fit(net: Network, data: Dataset, **options: object) -> object:
        seen.update(options, net=net, data=data)
        return right(net, data, **options)

    monkeypatch.setattr(Network, "fit", fit)
    monkeypatch.setattr(
        "pellucid.engine.threads.set_threads", lambda count: seen.update(threads=count)
    )
    words = split(
        "train digits_8x8 -o d.safetensors --epochs 2 --validation 0.25 --validation-rows last "
        "--no-shuffle --shuffle-seed 5 --metrics accuracy,top_3_accuracy --penalty-l1 1e-5 "
        "--optimizer 'adamw 0.5 beta_1=0.8' --learning-rate 'cosine 0.01 100' --warm-up 10 "
        "--clip-norm 2 --weight-decay 0.03 --average 'ema 0.9' --class-weight 1,1,1,1,1,1,1,1,1,2 "
        "--plateau 3 --plateau-factor 0.5 --patience 4 --min-delta 0.01 --monitor validation_accuracy "
        "--checkpoint c.safetensors --checkpoint-every 7 --engine numpy --threads 1 --json"
    )
    result = reads(capsys, *words, *SMALL)
    net = Network.load("d.safetensors")
    assert repr(net.optimizer) == (
        "AdamW(learning_rate=WarmUp(Cosine(0.01, 100), 10), clip_norm=2.0, weight_decay=0.03, "
        "average=EMA(decay=0.9), beta_1=0.8)"
    )
    assert (repr(net.penalty), net.engine) == ("L1(1e-05)", "numpy")
    assert net.classes == tuple("0123456789")
    assert (seen["validation_rows"], seen["shuffle"], seen["shuffle_seed"]) == ("last", False, 5)
    assert seen["class_weight"] == [1] * 9 + [2]
    assert seen["threads"] == 1
    names = [type(observer).__name__ for observer in seen["callbacks"]]  # type: ignore[attr-defined]
    assert names == [
        "AveragedWeights",
        "ReduceLROnPlateau",
        "EarlyStopping",
        "Checkpoint",
        "Signals",
    ]
    _, plateau, stopping, checkpoint, _ = seen["callbacks"]  # type: ignore[misc]
    assert (plateau.patience, plateau.factor, plateau.min_delta) == (3, 0.5, 0.01)
    assert (stopping.patience, stopping.min_delta) == (4, 0.01)
    assert stopping._asked == plateau._asked == "validation_accuracy"
    assert checkpoint.every == 7
    row = result["record"][0]  # type: ignore[index]
    assert {"top_3_accuracy", "validation_top_3_accuracy", "penalty"} <= set(row)
    values = reads(capsys, *split("evaluate d.safetensors digits_8x8 --metrics f1 --json"))
    assert set(values) == {"rows", "loss", "f1"}


@pytest.mark.parametrize("name", ["curves.png", "curves.SVG", "curves.pdf"])
def test_plot_draws_the_learning_curves(name: str) -> None:
    words = ["train", "moons:200", "-o", "m.safetensors", "--quiet", "--plot", name]
    assert main([*words, "--epochs", "4"]) == 0
    drawn = Path(name).read_bytes()
    assert drawn.startswith(
        {"p": b"\x89PNG", "S": b"<?xml", "f": b"%PDF"}[name[-3] if name[-1] != "f" else "f"]
    )
    assert len(drawn) > 5000
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
    if name.endswith("png"):
        from pellucid.data import read_image

        image = read_image(name, channels=3)
        assert image.shape[0] > 400
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20  # there is something on it


def test_plot_without_epochs_or_matplotlib(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = split("train moons:200 -o m.safetensors --plot c.png")
    assert main([*words, "--epochs", "0"]) == 0
    assert "not drawn" in capsys.readouterr().err
    assert not Path("c.png").exists()
    Path("m.safetensors").unlink()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    assert 'pip install "pellucid[plot]"' in refused(capsys, *words)
    assert not Path("m.safetensors").exists()  # said before training


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


def test_several_inputs_are_no_fault_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = Input(3), Input(3)
    net = Network(inputs={"a": a, "b": b}, outputs=Dense(1)(Add()(a, b)), loss=MSE())
    net.save("two.safetensors")
    np.savez("x.npz", x=np.ones((2, 3)), y=np.ones(2))
    Path("t.csv").write_text("1,2,3\n")
    for words in ("evaluate two.safetensors x.npz", "predict two.safetensors t.csv",
                  f"predict two.safetensors {sample_images()[1]}"):  # fmt: skip
        said = refused(capsys, *split(words))
        assert "fault" not in said
        assert "a" in said


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


def test_a_table_from_training_to_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2)) + np.repeat([[0], [4], [8]], 40, axis=0)
    kinds = np.repeat(["rose", "iris", "tulip"], 40)
    rows = [f"{a:.4f},{b:.4f},{kind}" for (a, b), kind in zip(x, kinds, strict=True)]
    Path("all.csv").write_text("length,width,kind\n" + "\n".join(rows))
    words = "train all.csv -o m.safetensors --epochs 30 --optimizer 'adam 0.03' --quiet"
    assert main(split(words)) == 0
    assert Network.load("m.safetensors").classes == ("iris", "rose", "tulip")
    assert reads(capsys, *split("evaluate m.safetensors all.csv --json"))["accuracy"] > 0.95  # type: ignore[operator]
    Path("tulips.csv").write_text("length,width,kind\n8,8,tulip\n8.5,8,tulip\n")
    assert reads(capsys, *split("evaluate m.safetensors tulips.csv --json"))["accuracy"] == 1
    Path("new.csv").write_text("8.1,7.9\n0,0\n")
    for name in ("new.csv", "tulips.csv"):  # without the target, and with it
        answers = reads(capsys, "predict", "m.safetensors", name, "--json")["predictions"]
        assert answers[0]["name"] == "tulip"  # type: ignore[index]
        assert answers[0]["class"] == 2  # type: ignore[index]
    assert main(["predict", "m.safetensors", "new.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("new.csv row 1: rose  (rose ")
    assert main(["evaluate", "m.safetensors", "all.csv", "--report"]) == 0
    assert "tulip" in capsys.readouterr().out
    Path("odd.csv").write_text("length,width,kind\n8,8,daisy\n")
    assert "'daisy' is none of the classes" in refused(
        capsys, *split("evaluate m.safetensors odd.csv")
    )
    Path("odd.csv").write_text("8,8\n8,x\n")
    assert "line 2, column 2: 'x' is no finite number" in refused(
        capsys, *split("predict m.safetensors odd.csv")
    )
    for command in ("trace", "gradcheck", "diagnose"):
        assert main([command, "m.safetensors", "all.csv"]) == 0
    capsys.readouterr()


def test_columns_of_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["price;rooms;w;area"] + [f"{2 * n}.5;{n};{1 + n % 2};{n * n}" for n in range(40)]
    Path("t.csv").write_text("\n".join(lines))
    words = "train t.csv -o m.safetensors --epochs 1 --quiet --target price --weight w"
    assert main(split(words)) == 0
    net = Network.load("m.safetensors")
    assert net.graph.inputs["input"].shape == (2,)
    assert isinstance(net.loss, MSE)
    first = read_data("t.csv", how=How(target="price", weight="w"))
    assert first.sample_weight.tolist()[:3] == [1, 2, 1]
    values = reads(capsys, *split("evaluate m.safetensors t.csv --target price --weight w --json"))
    assert values["loss"] == pytest.approx(net.evaluate(first)["loss"])
    assert values["loss"] != pytest.approx(net.evaluate(first.x, first.y)["loss"])
    assert main(split("train t.csv -o m.safetensors --epochs 1 --quiet --target 0,area")) == 0
    assert Network.load("m.safetensors").graph.output_specs["dense_2"].shape == (2,)
    assert "Did you mean 'price'" in refused(capsys, *split("train t.csv -o d --target prices"))
    assert main(split("train t.csv -o m.safetensors --epochs 1 --quiet --loss mse")) == 0


def test_a_folder_of_images(capsys: pytest.CaptureFixture[str]) -> None:
    data = digits_8x8()
    from PIL import Image

    for part, rows in (("train", range(300)), ("test", range(300, 360))):
        for i in rows:
            folder = Path("numbers", part, f"n{data.y[i]}")
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.x[i] * 15).resize((12, 12)).save(folder / f"{i}.png")
    words = split(
        "train numbers -o m.safetensors --epochs 12 --batch-size 16 --size 8x8 --grey --quiet --layers"
    )
    assert main([*words, "conv 16 3, relu, pool 2, flatten, dense 10"]) == 0
    net = Network.load("m.safetensors")
    assert net.graph.inputs["input"].shape == (8, 8, 1)
    assert net.classes == tuple(f"n{k}" for k in range(10))
    assert net.graph.nodes[1].layer == Rescale(1 / 255)
    values = reads(capsys, *split("evaluate m.safetensors numbers --json"))  # size and grey known
    assert values["rows"] == 60
    assert values["accuracy"] > 0.8  # type: ignore[operator]
    some = next(iter(sorted(Path("numbers/test/n3").iterdir())))
    answer = reads(capsys, "predict", "m.safetensors", str(some), "--json")["predictions"][0]  # type: ignore[index]
    assert answer["name"] == f"n{answer['class']}"
    shutil.rmtree("numbers/test/n0")  # a class may be missing: the network knows them all
    assert reads(capsys, *split("evaluate m.safetensors numbers --json"))["accuracy"] > 0.8  # type: ignore[operator]
    assert main(split("train numbers/train -o flat.safetensors --epochs 1 --quiet")) == 0
    assert Network.load("flat.safetensors").graph.inputs["input"].shape == (12, 12, 3)
    Network([Dense(10)], inputs=64, loss=CrossEntropy()).save("old.safetensors")
    assert reads(capsys, *split("evaluate old.safetensors numbers/train --json"))["rows"] == 300
    Path("numbers/train/n1/bad.png").write_bytes(b"none")
    assert "bad.png" in refused(capsys, *split("train numbers/train -o d"))


@pytest.mark.parametrize("name", list(SYNTHETIC))
def test_synthetic_problems_by_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    train, test = read_data(f"{name}:50", "train"), read_data(f"{name}:50", "test")
    assert (len(train), len(test)) == (40, 10)
    assert main(["train", f"{name}:50", "-o", "m.safetensors", "--epochs", "1", "--quiet"]) == 0
    values = reads(capsys, "evaluate", "m.safetensors", f"{name}:50", "--json")
    assert values["rows"] == 10
    assert Network.load("m.safetensors").classes == train.names


def test_well_known_sets_by_name(
    capsys: pytest.CaptureFixture[str], in_a_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("train fashion_mnist -o m.safetensors", "train fashion-mnist -o m.safetensors"):
        assert "apt install dataset-fashion-mnist" in refused(capsys, *split(command))
    folder = in_a_folder / "cache" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, n in (("train", 40), ("t10k", 20)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", digits_8x8().x[:n] * 15)
        write_idx(folder / f"{part}-labels-idx1-ubyte", digits_8x8().y[:n].astype(np.uint8))
    assert (
        main(split("train fashion_mnist -o m.safetensors --epochs 1 --validation 0 --quiet")) == 0
    )
    assert Network.load("m.safetensors").classes[9] == "Ankle boot"
    assert reads(capsys, *split("evaluate m.safetensors fashion_mnist --json"))["rows"] == 20
    for name in ("fashion_mnist:" + str(folder), "mnist:" + str(folder), str(folder)):
        assert len(read_data(name, "train")) == 40
        assert len(read_data(name)) == 20
    gone = tuple(
        named.RemoteFile(f.name, ("http://127.0.0.1:9/",), 1, "00") for f in named._MNIST.files
    )
    monkeypatch.setattr(named, "_MNIST", dataclasses.replace(named._MNIST, files=gone))
    said = refused(capsys, *split("train mnist -o d --download --quiet"), status=1)
    assert "put it all into" in said
    assert said.startswith("pellucid: train-images")


def test_masks_have_a_network_of_their_own() -> None:
    data = read_data("shapes:20", "train")
    assert loss_for(data.y) == "cross_entropy"
    text = format_layers(layers_for(data, None, CrossEntropy()))
    assert text.startswith("rescale 0.00392157, conv2d 16 5 padding=same, batch_norm, relu, ")
    assert text.endswith("conv2d 4 1")


def test_masks_are_reported_by_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    words = "train shapes:60 -o s.safetensors --epochs 2 --engine numpy --quiet --layers"
    assert main([*split(words), "conv 4 3 padding=same, relu, conv 4 1"]) == 0
    assert main(split("evaluate s.safetensors shapes:60 --report")) == 0
    assert f"{12 * 32 * 32}" in capsys.readouterr().out
    found = reads(capsys, *split("evaluate s.safetensors shapes:60 --report --json"))
    assert np.sum(found["confusion_matrix"]) == 12 * 32 * 32  # type: ignore[arg-type]
    assert main(split("predict s.safetensors shapes:60")) == 0
    assert "row 3: background " in capsys.readouterr().out
    first = reads(capsys, *split("predict s.safetensors shapes:60 --json"))["predictions"][0]  # type: ignore[index]
    assert np.shape(first["mask"]) == (32, 32)


def test_a_report_is_refused_before_anything_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(split("train plane:50 -o p.safetensors --epochs 1 --quiet")) == 0
    assert "for classifiers" in refused(capsys, *split("evaluate p.safetensors plane:50 --report"))


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
        ("train . -o d", "sub-folder"),
        ("train t.csv -o d", "t.csv"),
        ("train moons:many -o d", "moons:1000"),
        ("train digits:3 -o d", "nothing to choose"),
        ("train emnist:letter -o d", "Did you mean 'letters'"),
        ("train mnist -o d", "--download"),
        ("train digits -o d --optimizer adam,0.1", "no optimizer"),
        ("train digits -o d --optimizer 'adam beta_3=1'", "beta_3"),
        ("train digits -o d --loss 'huber 1 2'", "each once"),
        ("train digits -o d --learning-rate 'cosin 0.1 5'", "Did you mean 'cosine'"),
        ("train digits -o d --learning-rate 'cosine 0.1'", "steps"),
        ("train digits -o d --average mean", "Known: ema, swa"),
        ("train digits -o d --metrics accuracy,f2", "no metric 'f2'"),
        ("train digits -o d --class-weight some", "balanced"),
        ("train digits -o d --class-weight 1,2", "class"),
        ("train digits -o d --monitor loss", "--patience"),
        ("train digits -o d --min-delta 1", "--patience"),
        ("train digits -o d --checkpoint-every 5", "--checkpoint"),
        ("train digits -o d --penalty-l1 1 --penalty-l2 1", "one penalty"),
        ("train digits -o d --engine gpu", "native"),
        ("train digits -o d --validation-rows first", "random"),
        ("train digits -o d --threads 0", "1 or more"),
        ("train digits -o d --plot curves.txt", ".png"),
        ("train digits -o d --plot none/curves.png", "none"),
        ("train digits -o d --size 0x4", "48x64"),
        ("train digits_8x8 -o d --clip-norm 0", "clip_norm"),
        ("completion tcsh", "bash"),
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
    [
        "train", "evaluate", "predict", "trace", "summary", "gradcheck", "diagnose", "check",
        "completion", "version",
    ],
)  # fmt: skip
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
    monkeypatch.setattr("pellucid.cli.training.read_data", lambda *a: 1 / 0)
    assert "PELLUCID_TRACEBACK" in refused(capsys, *split("train digits -o d"), status=1)
    monkeypatch.setenv("PELLUCID_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(split("train digits -o d"))


# ---- completion ---------------------------------------------------------------------------------


def completed(*words: str) -> list[str]:
    """What bash offers for the last word, from the function that the script makes."""
    line = " ".join(f"'{word}'" for word in words)
    code = (
        'source ./c.sh; [[ $(complete -p pellucid) == *"-F _pellucid pellucid" ]] || exit 1; '
        f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _pellucid; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "--norc", "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert ran.stderr == ""
    return ran.stdout.split()


def test_bash_completes(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    assert main(["completion", "bash"]) == 0
    Path("c.sh").write_text(capsys.readouterr().out)
    Path("mine.csv").touch()
    assert completed("pellucid", "tr") == ["train", "trace"]
    assert set(completed("pellucid", "")) == {*commands_of(), "--help", "--version"}
    assert completed("pellucid", "train", "fash") == ["fashion_mnist"]
    assert set(completed("pellucid", "evaluate", "m")) == {"mnist", "moons", "mine.csv"}
    assert set(completed("pellucid", "train", "")) == {*NAMES, "c.sh", "mine.csv"}
    for before in (["--engine"], ["--engine", "="]):
        assert completed("pellucid", "train", "digits", *before, "n") == ["native", "numpy"]
    assert completed("pellucid", "train", "digits", "--epochs", "") == []
    assert completed("pellucid", "train", "digits", "--output", "c") == ["c.sh"]
    assert completed("pellucid", "train", "d", "--ep") == ["--epochs"]
    assert completed("pellucid", "completion", "") == ["bash", "zsh", "fish"]
    assert completed("pellucid", "version", "m") == []
    for name, parser in commands_of().items():
        offered = set(completed("pellucid", name, "-"))
        assert offered == {word for a in parser._actions for word in a.option_strings}


def typed(keys: str, until: str) -> str:
    """What a terminal shows while keys are typed into an interactive bash that knows the script."""
    import pty
    import select

    pid, terminal = pty.fork()
    if pid == 0:  # the child becomes the shell
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "TERM": "dumb"})
    shown, end = "", time.monotonic() + 20
    try:
        os.write(terminal, b"PS1='ready> '; source ./c.sh\n")
        for waited, then in (("\nready> ", keys), (until, "")):
            while waited not in shown.replace("\r", "") and time.monotonic() < end:
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 4096).decode()
            os.write(terminal, then.encode())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


@pytest.mark.skipif(os.name != "posix" or shutil.which("bash") is None, reason="no bash here")
def test_a_tab_completes_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    Path("c.sh").write_text(capsys.readouterr().out)
    shown = typed("pellucid train fash\t --engine nu\t@@", "@@")
    assert "pellucid" in shown
    assert "fashion_mnist" in shown
    assert "--engine numpy" in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name, parser in commands_of().items():
        assert name in script
        for action in parser._actions:
            for word in action.option_strings:
                assert (
                    f"-l {word[2:]} " if shell == "fish" and word[1] == "-" else word[-1:]
                ) in script
                assert shell != "zsh" or f"'{word}[" in script
    assert "fashion_mnist" in script
    if shutil.which(shell) is not None:
        Path("script").write_text(script)
        subprocess.run([shell, "-n", "script"], check=True, timeout=30)


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
        ("dense 3 unit=4", "Did you mean 'units'"),
        ("dense 3 units=4", "dense units"),
        ("dense use_bias=false", "dense units"),
        ("dense 3 use_bias=false 4", "put it first"),
        ("dense 3 use_bias=true use_bias=true", "second time"),
        ("dense 3 =4", "no option"),
        ("dense 3 a", "'a' is no number"),
        ("conv 16 3 relu", "a comma is missing before 'relu'"),
        (
            "dense 8, relu dense 3",
            "layer 2 of 2, 'relu dense 3': a comma is missing before 'dense'",
        ),
        ("conv 16 3 padding=same pool", "a comma is missing before 'pool'"),
        ("residual [dense 3] relu", "a comma is missing before 'relu'"),
        ("conv 16 3 padding=sme", "Did you mean 'same'"),
        ("residual dense 3", r"residual \[dense 8, relu\]"),
        ("residual [dense 3", "each"),
        ("dense 3], relu", "each"),
        ("residual [dens 3]", "inside it.*Did you mean 'dense'"),
        ("residual [dense 3] 4", "shortcut=project"),
        ("residual [dense 3] short=project", "Did you mean 'shortcut'"),
    ],
)
def test_a_line_that_cannot_be_read(text: str, says: str) -> None:
    with pytest.raises(OptionError, match="(?i)" + says.replace("(", r"\(")):
        parse_layers(text)


def test_lines_are_forgiving_about_spaces() -> None:
    assert parse_layers(" dense  8 ,relu,dense 2") == [Dense(8), ReLU(), Dense(2)]
    assert format_layers([Softmax(), Dense(3, use_bias=False)]) == "softmax, dense 3 use_bias=false"


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("conv 16 3, relu, pool 2, flatten, dense 10",
         [Conv2D(16, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)]),
        ("conv 16 3x5 2 padding=same use_bias=false",
         [Conv2D(16, (3, 5), 2, padding="same", use_bias=False)]),
        ("conv1d 4 3 padding=causal dilation_rate=2",
         [Conv1D(4, 3, padding="causal", dilation_rate=2)]),
        ("depthwise_conv2d 3, separable_conv2d 8 3, conv2d_transpose 4 2 2",
         [DepthwiseConv2D(3), SeparableConv2D(8, 3), Conv2DTranspose(4, 2, 2)]),
        ("gelu approximate=tanh, leaky_relu 0.2, prelu, elu alpha=2",
         [GELU(approximate="tanh"), LeakyReLU(0.2), PReLU(), ELU(2)]),
        ("layer_norm, group_norm 4, rms_norm epsilon=1e-3, batch_norm momentum=0.5",
         [LayerNorm(), GroupNorm(4), RMSNorm(epsilon=1e-3), BatchNorm(momentum=0.5)]),
        ("random_shift 0.1 0.1, random_flip mode=vertical, random_rotation 0.05, cutout 4",
         [RandomShift(0.1, 0.1), RandomFlip(mode="vertical"), RandomRotation(0.05), Cutout(4)]),
        ("dense 3 kernel_initializer=he_normal trainable=false name=head",
         [Dense(3, kernel_initializer="he_normal", trainable=False, name="head")]),
        ("residual [conv 8 3 padding=same, relu, residual [relu]] shortcut=project, pool 2x3",
         [Residual((Conv2D(8, 3, padding="same"), ReLU(), Residual((ReLU(),))), shortcut="project"),
          MaxPool2D((2, 3))]),
        ("residual[ dense 4 ,relu ],dense 2", [Residual((Dense(4), ReLU())), Dense(2)]),
        ("rescale 1/255 offset=-0.5, reshape 4 4 1", [Rescale(1 / 255, -0.5), Reshape((4, 4, 1))]),
    ],
)  # fmt: skip
def test_any_option_can_be_written(text: str, layers: list[Layer]) -> None:
    assert parse_layers(text) == layers
    assert [type(layer) for layer in parse_layers(format_layers(layers))] == list(map(type, layers))
    if "/" not in text:  # a fraction is written with six digits
        assert parse_layers(format_layers(layers)) == layers


def test_names_and_their_options() -> None:
    assert describe("huber", as_loss) == Huber()
    assert describe("huber 2", as_loss) == Huber(2)
    assert describe("cross_entropy label_smoothing=0.1", as_loss) == CrossEntropy(
        label_smoothing=0.1
    )
    made = describe("adam 0.01 beta_1=0.8 clip_norm=1 amsgrad=true", as_optimizer)
    assert made == Adam(0.01, beta_1=0.8, clip_norm=1, amsgrad=True)
    assert describe("amsgrad lr=0.1", as_optimizer) == Adam(0.1, amsgrad=True)
    assert describe("cosine 0.1 steps=9", lambda _: Cosine) == Cosine(0.1, 9)
