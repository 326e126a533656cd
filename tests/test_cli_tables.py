"""What somebody new to the command line does with tables, folders and layers, and is told."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from pellucid import Network
from pellucid.cli import main

ROOMS = np.random.default_rng(3).uniform(1, 6, 200)
AREA = np.random.default_rng(4).uniform(20, 150, 200)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(name: str, header: str, *columns: np.ndarray) -> None:
    rows = [",".join(f"{value:.4f}" for value in row) for row in zip(*columns, strict=True)]
    Path(name).write_text("\n".join([header, *rows] if header else rows))


def predictions(capsys: pytest.CaptureFixture[str], words: str) -> list[float]:
    capsys.readouterr()
    assert main(split(words)) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    return [row["values"][0] for row in found]


def refused(capsys: pytest.CaptureFixture[str], words: str) -> str:
    capsys.readouterr()
    assert main(split(words)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# ---- columns by name ----------------------------------------------------------------------------


def test_columns_are_matched_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    table("flats.csv", "rooms,area,price", ROOMS, AREA, 5 * ROOMS + AREA)
    assert main(split("train flats.csv -o m.safetensors --target price --epochs 3 --quiet")) == 0
    assert Network.load("m.safetensors").features == ("rooms", "area")
    right = predictions(capsys, "predict m.safetensors flats.csv --json")
    table("turned.csv", "area,id,rooms", AREA, ROOMS, ROOMS)  # another order, and one more
    assert predictions(capsys, "predict m.safetensors turned.csv --json") == right
    table("bare.csv", "", ROOMS, AREA)
    assert predictions(capsys, "predict m.safetensors bare.csv --json") == right
    table("other.csv", "surface,number", AREA, ROOMS)
    said = refused(capsys, "predict m.safetensors other.csv")
    assert "no column 'rooms', 'area'" in said
    assert "--columns" in said
    words = "predict m.safetensors other.csv --columns number,surface --json"
    assert predictions(capsys, words) == right


def test_a_column_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    table("flats.csv", "rooms,area,price", ROOMS, AREA, 5 * ROOMS + AREA)
    assert main(split("train flats.csv -o m.safetensors --target price --epochs 1 --quiet")) == 0
    table("few.csv", "rooms,price", ROOMS, AREA)
    for command in ("predict", "evaluate"):
        said = refused(capsys, f"{command} m.safetensors few.csv")
        assert "few.csv has no column 'area', which the network learnt from" in said
    table("few.csv", "", ROOMS)
    said = refused(capsys, "predict m.safetensors few.csv")
    assert "1 column and no header" in said
    assert "takes 2: rooms, area, in this order" in said


def test_evaluation_takes_no_feature_for_the_target(capsys: pytest.CaptureFixture[str]) -> None:
    table("flats.csv", "price,rooms,area", 5 * ROOMS + AREA, ROOMS, AREA)
    assert main(split("train flats.csv -o m.safetensors --target price --epochs 1 --quiet")) == 0
    said = refused(capsys, "evaluate m.safetensors flats.csv")
    assert "'area', is one that the network learnt from" in said
    assert main(split("evaluate m.safetensors flats.csv --target price")) == 0
    table("turned.csv", "area,rooms,price", AREA, ROOMS, 5 * ROOMS + AREA)
    first = capsys.readouterr().out.split()[-1]
    assert main(split("evaluate m.safetensors turned.csv")) == 0
    assert capsys.readouterr().out.split()[-1] == first


def test_columns_without_one_name_each_stay_in_their_order() -> None:
    table("twice.csv", "a,a,price", ROOMS, AREA, ROOMS)
    assert main(split("train twice.csv -o m.safetensors --epochs 1 --quiet")) == 0
    assert Network.load("m.safetensors").features is None
    assert main(split("predict m.safetensors twice.csv")) == 0


def test_chosen_columns_and_rows_without_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"flat {n},{n % 5},{'' if n == 7 else n},{n}.5" for n in range(40)]
    Path("flats.csv").write_text("\n".join(["name,rooms,area,price", *lines]))
    words = "train flats.csv -o m.safetensors --epochs 1 --validation 0"
    assert "--columns on the command line" in refused(capsys, words)
    words += " --columns rooms,area"
    assert "--missing drop on the command line" in refused(capsys, words)
    assert main([*split(words), "--missing", "drop"]) == 0
    assert "39 rows of (2,)" in capsys.readouterr().err
    assert Network.load("m.safetensors").features == ("rooms", "area")
    assert len(predictions(capsys, "predict m.safetensors flats.csv --missing drop --json")) == 39
    assert main(split("train flats.csv -o m.safetensors --epochs 1 --quiet --columns 1,-1")) == 0


# ---- what is learnt, and what is not ------------------------------------------------------------

PRICES = 1000 + 100 * ROOMS + 4 * AREA


def test_prices_are_learnt_or_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    table("prices.csv", "rooms,area,price", ROOMS, AREA, PRICES)
    words = "train prices.csv -o m.safetensors --target price --loss mse --epochs 3"
    assert main(split(words)) == 0
    said = capsys.readouterr().err
    assert "no better than the mean" in said
    assert "Try --scale-target" in said
    assert main(split(words + " --quiet")) == 0
    assert capsys.readouterr().err == ""
    assert main(split(words + " --scale-target --epochs 30")) == 0
    assert "note:" not in capsys.readouterr().err
    found = np.array(predictions(capsys, "predict m.safetensors prices.csv --json"))
    assert np.mean((found - PRICES) ** 2) < 0.05 * PRICES.var()


def test_targets_of_several_columns_are_scaled(capsys: pytest.CaptureFixture[str]) -> None:
    table("two.csv", "rooms,area,price,tax", ROOMS, AREA, PRICES, PRICES / 1e3)
    words = "train two.csv -o m.safetensors --target price,tax --epochs 40 --scale-target --quiet"
    assert main(split(words)) == 0
    net = Network.load("m.safetensors")
    last = net.graph.nodes[-1].name
    assert net.parameters[f"{last}/b"].tolist() == pytest.approx(
        [PRICES.mean(), PRICES.mean() / 1e3], rel=1e-5
    )
    y = np.stack([PRICES, PRICES / 1e3], axis=1)
    found = net.predict(np.stack([ROOMS, AREA], axis=1))
    assert np.mean((found - y)[:, 0] ** 2) < 0.1 * y[:, 0].var()


def test_classes_have_no_scale(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "train moons:50 -o m.safetensors --scale-target")
    assert "--scale-target is for quantities" in said
    Path("mine.py").write_text("x = 3\n")
    said = refused(capsys, "train digits -o m.safetensors --layers mine.py --scale-target")
    assert "the digits are classes" in said


def test_words_are_no_quantities(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{n},{kind}" for n, kind in enumerate(["cat", "dog", "bee"] * 20)]
    Path("animals.csv").write_text("\n".join(["size,kind", *rows]))
    for loss in ("mse", "'huber 2'", "poisson"):
        said = refused(capsys, f"train animals.csv -o m.safetensors --loss {loss}")
        assert "classes (bee, cat, dog)" in said
        assert "--loss cross_entropy" in said
    assert not Path("m.safetensors").exists()


def test_a_classifier_that_learnt_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    words = "train digits_8x8 -o m.safetensors --epochs 1 --layers 'dense 10' --learning-rate "
    assert main([*split(words + "1e-9"), "--validation", "0"]) == 0
    assert "the commonest class" in capsys.readouterr().err
    assert main(split(words + "0.01")) == 0
    assert "note:" not in capsys.readouterr().err


def test_a_run_that_diverged(capsys: pytest.CaptureFixture[str]) -> None:
    words = "train digits_8x8 -o m.safetensors --optimizer sgd --learning-rate 1e6 --epochs 2"
    assert main([*split(words), "--layers", "dense 10"]) == 0
    assert "the run diverged. Try a smaller --learning-rate" in capsys.readouterr().err


def test_more_outputs_than_classes(capsys: pytest.CaptureFixture[str]) -> None:
    words = "train moons:100 -o m.safetensors --epochs 1 --layers"
    assert main([*split(words), "dense 8, relu, dense 10"]) == 0
    assert "10 outputs, and there are 2 classes" in capsys.readouterr().err
    assert main([*split(words), "dense 8, relu, dense 2"]) == 0
    assert "outputs" not in capsys.readouterr().err


# ---- layers from a file, folders ----------------------------------------------------------------


def test_a_list_of_layers_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["from pellucid import Dense, ReLU", "", "width = 8"]
    lines += ["layers = [Dense(width), ReLU(), Dense(2)]", ""]
    Path("mine.py").write_text("\n".join(lines))
    assert main(split("train moons:100 -o m.safetensors --epochs 1 --layers mine.py")) == 0
    assert "standardize, dense 8, relu, dense 2: " in capsys.readouterr().err
    assert main(split("predict m.safetensors moons:10")) == 0
    Path("mine.py").write_text("\n".join([*lines[:3], "layers = [Dense(1 // 0)]"]))
    said = refused(capsys, "train moons:100 -o m.safetensors --layers mine.py")
    assert "mine.py, line 4: ZeroDivisionError" in said
    for text in ("[]", "[Dense]", "[Add()]"):
        Path("mine.py").write_text(f"from pellucid import Add, Dense\nlayers = {text}\n")
        said = refused(capsys, "train moons:100 -o m.safetensors --layers mine.py")
        assert "layers is a list of layers" in said


def test_a_layer_that_no_file_can_name_is_refused_before_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.py").write_text(
        "from pellucid import Dense, Layer, ReLU\nclass Odd(ReLU): pass\nlayers = [Odd(), Dense(2)]\n"
    )
    said = refused(capsys, "train moons:100 -o m.safetensors --layers mine.py")
    assert "register" in said
    assert "epoch" not in said


def test_a_file_without_layers_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text("x = 3\n")
    assert main(split("train digits -o m.safetensors --layers mine.py")) == 1
    said = capsys.readouterr().err
    assert said.count("mine.py") == 1
    assert "layers = [Dense(128), ReLU(), Dense(10)]" in said


def test_a_folder_that_has_the_name_of_a_set(capsys: pytest.CaptureFixture[str]) -> None:
    words = "train moons -o m.safetensors --epochs 1"
    assert main(split(words)) == 0
    assert "./moons" not in capsys.readouterr().err
    Path("moons").mkdir()
    assert main(split(words)) == 0
    assert "note: moons is the set of that name; what lies here is ./moons" in (
        capsys.readouterr().err
    )


def test_a_folder_is_predicted_file_by_file(capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    grey = np.random.default_rng(0)
    for kind, low in (("dark", 0), ("light", 128)):
        Path("pictures", kind).mkdir(parents=True)
        for i in range(12):
            pixels = grey.integers(low, low + 100, (6, 6), dtype=np.uint8)
            Image.fromarray(pixels).save(f"pictures/{kind}/{i:02}.png")
    Path("pictures", "dark", ".thumbs").mkdir()
    Path("pictures", "dark", ".thumbs", "x.png").write_bytes(b"none")
    words = "train pictures -o m.safetensors --grey --epochs 60 --batch-size 4 --quiet"
    assert main(split(words)) == 0
    assert main(split("predict m.safetensors pictures")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    assert lines[0].startswith("pictures/dark/00.png: dark  (dark ")
    assert lines[-1].startswith("pictures/light/11.png: light  (light ")
    assert main(split("predict m.safetensors pictures/light")) == 0  # no folder for each class
    assert capsys.readouterr().out.startswith("pictures/light/00.png: light")
