"""What notebooks show: well-formed, escaped, without scripts, and with the right numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pellucid import (
    MSE,
    SGD,
    Adam,
    Add,
    Concatenate,
    CrossEntropy,
    Dense,
    Input,
    Network,
    ReLU,
    StepDecay,
    mlp,
)
from pellucid.insight import Diagnosis, Finding, GradientReport
from pellucid.insight.gradcheck import Comparison
from pellucid.insight.structure import _ranked, structure_svg
from pellucid.training import Record

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)
NASTY = '<script>alert("x")</script>&<b>'
SPACE = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Tags, their order checked; attributes; texts; and the cells of every row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def branched(name: str = "side") -> Network:
    x, z = Input(4), Input(2)
    h = Dense(5)(x)
    both = Concatenate()(Add()(h, ReLU()(Dense(5, name=name)(h))), z)
    outputs = {"class": Dense(3)(both), "size": Dense(1)(both)}
    return Network(inputs=[x, z], outputs=outputs, loss=[CrossEntropy(), MSE()], optimizer=SGD(0.1))


def trained(epochs: int = 3, **options: Any) -> tuple[Network, Record]:
    net = mlp([3, 4, 2], loss=CrossEntropy(), optimizer=Adam(StepDecay(0.01, 2)))
    return net, net.fit(X, Y, epochs=epochs, progress=False, **options)


def everything(name: str) -> list[Any]:
    net = Network([Dense(4, name=name), ReLU(), Dense(2)], inputs=3, loss=CrossEntropy())
    record = Record([{"epoch": 1, name: 0.5, "loss": 1.0}, {"epoch": 2, name: 0.25, "loss": 0.5}])
    record.stopped = name
    return [
        net, Network([Dense(4, name=name)]), branched(name), net.trace(X[:2], Y[:2]), record, Record(),
        trained(validation=0.2)[1], net.summary(), report(name), findings(name), net.diagnose(),
    ]  # fmt: skip


def report(name: str) -> GradientReport:
    right, kink = (Comparison(name, "entry [0]", 1.5, 1.5, 1e-9, k) for k in (False, True))
    return GradientReport([right, kink, Comparison("b", "entry [1]", 2.0, 3.0, 0.3)], 1e-6)


def findings(name: str) -> Diagnosis:
    return Diagnosis(
        (Finding("dead units", name, "4 of 10", "why <", "try &"),), ("dead units", "no gradient")
    )


@pytest.mark.parametrize("i", range(11))
@pytest.mark.parametrize("name", ["plain", NASTY])
def test_it_is_well_formed_and_escaped(i: int, name: str) -> None:
    shown = everything(name)[i]._repr_html_()
    ET.fromstring(shown)  # stricter than a browser
    page = Page(shown)
    assert not {"script", "b>", "style", "link", "iframe"} & set(page.tags)
    for key, value in page.attributes:
        assert not key.startswith("on")
        assert key in {
            "style",
            "xmlns",
            "width",
            "height",
            "viewbox",
            "fill",
            "d",
            "x",
            "y",
            "rx",
            "r",
            "cx",
            "cy",
            "role",
            "font-size",
            "font-family",
            "text-anchor",
            "opacity",
        } or key.startswith(("stroke", "fill"))
        assert "url(" not in (value or "")
    assert NASTY not in shown
    if i in (0, 1, 2, 3, 4, 7, 8, 9):
        assert name in "".join(ET.fromstring(shown).itertext())


@pytest.mark.parametrize("i", range(11))
def test_it_reads_on_light_and_on_dark_pages(i: int) -> None:
    """Texts have no colour but the page's, and nothing has a background."""
    page = Page(everything("plain")[i]._repr_html_())
    for key, value in page.attributes:
        if key == "style":
            assert not re.search(r"(^|;)\s*(color|background)", value or "")
        if key == "fill":
            assert value in {"none", "currentColor", "#808080"} or (value or "").startswith("#")
        if key == "stroke":
            assert value != "black"


def test_the_table_of_a_network_is_its_summary() -> None:
    net = branched()
    rows = Page(net._repr_html_()).rows
    head, _, *lines = net.summary().splitlines()
    assert rows[0] == re.split(r"  +", head)
    assert len(rows) == 1 + len(net.graph.nodes)
    for row, line in zip(rows[1:], lines, strict=False):
        assert [cell for cell in row if cell] == re.split(r"  +", line)
    assert [row[0] for row in rows[1:]] == [node.name for node in net.graph.nodes]
    shown = net._repr_html_()
    assert f"{net.parameters.vector.size:,} parameters of float32" in shown
    assert "optimizer SGD(learning_rate=0.1)" in shown
    net.parameters["side/W"][0] = np.nan
    assert "NaN or infinity in: side/W" in net._repr_html_()


def test_what_looks_inside_is_a_table() -> None:
    head, right, wrong = Page(report("W")._repr_html_()).rows
    assert head[:2] == ["array", "backpropagation"]
    assert right == ["W", "1.5", "1.5", "1.0e-09", "ok; at a kink: checked beside it"]
    assert wrong == ["b", "2", "3", "3.0e-01", "WRONG, at entry [1]"]
    assert "do not agree with central differences" in report("W")._repr_html_()
    head, row = Page(findings("relu_1")._repr_html_()).rows
    assert dict(zip(head, row, strict=True)) == {
        "what": "dead units", "where": "relu_1", "evidence": "4 of 10", "why": "why <", "try": "try &",
    }  # fmt: skip
    assert "1 finding by 2 rules" in findings("relu_1")._repr_html_()
    assert "nothing found by" in mlp([3, 4, 2]).diagnose()._repr_html_()


def test_a_prompt_shows_what_print_shows() -> None:
    net = branched()
    text = net.summary()
    assert isinstance(text, str)
    assert repr(text) == text == str(text)
    assert type(str(text)) is str
    assert "".join(ET.fromstring(text._repr_html_()).itertext()) == text
    assert repr(report("W")) == str(report("W"))
    assert repr(findings("relu_1")) == str(findings("relu_1"))
    assert "\\n" not in repr([report("W"), findings("relu_1"), text])


def test_a_graph_is_drawn_and_a_list_is_not() -> None:
    assert "<svg" not in mlp([3, 4, 2])._repr_html_()
    net = branched()
    drawing = ET.fromstring(structure_svg(net.graph))
    boxes = drawing.findall(f"{SPACE}g")
    names = [box.findall(f"{SPACE}text")[0].text for box in boxes]
    assert names == [node.name for node in net.graph.nodes]
    shapes = [box.findall(f"{SPACE}text")[1].text for box in boxes]
    assert shapes == [str(node.spec) for node in net.graph.nodes]
    places = []
    for box in boxes:
        rect = box.find(f"{SPACE}rect")
        assert rect is not None
        places.append([float(rect.get(k, 0)) for k in ("x", "y", "width", "height")])
    for i, (x, y, w, h) in enumerate(places):
        for u, v, wide, high in places[:i]:  # no two boxes touch
            assert x + w <= u or u + wide <= x or y + h <= v or v + high <= y
        assert x >= 0
        assert x + w <= float(drawing.get("width", 0))
        for source in net.graph.nodes[i].inputs:  # all that feeds a node is above it
            assert places[source.node][1] < y


def test_every_edge_is_drawn_through_the_ranks() -> None:
    net = branched()
    ranks, edges = _ranked(net.graph)
    level = {k: r for r, rank in enumerate(ranks) for k in rank}
    assert all(level[b] == level[a] + 1 for a, b in edges)
    count, onward = len(net.graph.nodes), dict[int, int]()
    onward = {a: b for a, b in edges if a >= count}
    found = set()
    for a, b in edges:
        if a < count:
            while b >= count:
                b = onward[b]
            found.add((a, b))
    assert found == {(s.node, i) for i, n in enumerate(net.graph.nodes) for s in n.inputs}
    drawing = ET.fromstring(structure_svg(net.graph))
    assert len(drawing.findall(f"{SPACE}path")) == len(edges)


def test_a_graph_of_many_nodes_says_so() -> None:
    x = Input(2)
    y = x
    for _ in range(70):
        y = ReLU()(y)
    assert (
        "72 nodes are too many for a drawing"
        in Network(inputs=x, outputs=Add()(x, y))._repr_html_()
    )


def test_a_trace_has_its_numbers() -> None:
    net = Network([Dense(2), ReLU(), Dense(1)], inputs=1, loss=MSE(), optimizer=SGD(0.01))
    net.parameters.vector[...] = 0.5
    trace = net.trace(np.array([[1.0], [3.0]]), np.array([[0.0], [1.0]]))
    shown = trace._repr_html_()
    cells = {row[0].strip(): row[1:] for row in Page(shown).rows}
    assert list(cells) == ["array", "input", "dense_1", "dense_1/W", "dense_1/b", "relu_1", "dense_2",
                           "dense_2/W", "dense_2/b"]  # fmt: skip
    for name, array in {**trace.values, **trace.parameters}.items():
        slope = {**trace.slopes, **trace.gradients}[name]
        change = trace.changes.get(name, np.zeros(0))
        assert cells[name][0] == f"{array.shape} {array.dtype}"
        for cell, expected in zip(cells[name][1:], (array, slope, change), strict=True):
            numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", cell)]
            np.testing.assert_allclose(numbers, expected.ravel(), atol=1e-6)
    assert f"loss {trace.loss:.6g}" in shown
    large = mlp([3, 40, 2], loss=CrossEntropy()).trace(X, Y)
    assert "mean" in large._repr_html_()


def test_a_record_has_its_numbers_and_curves() -> None:
    _, record = trained(epochs=4, validation=0.2)
    root = ET.fromstring(record._repr_html_())
    rows = Page(record._repr_html_()).rows
    assert rows[0] == record.columns
    assert len(rows) == 5
    np.testing.assert_allclose([float(row[2]) for row in rows[1:]], record["loss"], rtol=1e-3)
    losses, metrics = root.iter(f"{SPACE}svg")
    for chart, names in ((losses, ("loss", "validation_loss")), (metrics, ("accuracy", "validation_accuracy"))):  # fmt: skip
        drawn = [p for p in chart.findall(f"{SPACE}path") if p.get("stroke", "").startswith("#")][
            ::2
        ]
        whole = np.concatenate([record[name] for name in names])
        for path, name in zip(drawn, names, strict=True):
            points = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d", "")), float)
            y = points[:, 1]
            share = (np.array(record[name]) - whole.min()) / np.ptp(whole)
            np.testing.assert_allclose(y, 8 + 130 - 6 - share * 118, atol=0.06)
            assert (np.diff(points[:, 0]) > 0).all()
        assert [p.get("stroke-dasharray") for p in drawn] == [None, "5 3"]
        texts = [t.text for t in chart.findall(f"{SPACE}text")]
        assert f"{whole.max():.4g}" in texts
        assert f"{whole.min():.4g}" in texts
    best = int(np.argmin(record["validation_loss"]))
    assert f"best epoch, {best + 1}" in "".join(root.itertext())


def test_records_short_long_and_broken() -> None:
    long = Record([{"epoch": i + 1, "loss": 1 / (i + 1)} for i in range(100)])
    long.stopped = "diverged"
    rows = Page(long._repr_html_()).rows
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "…", *map(str, range(91, 101))]
    assert "100 epochs, stopped: diverged" in long._repr_html_()
    one = ET.fromstring(Record([{"epoch": 1, "loss": 0.5}])._repr_html_())
    assert len(list(one.iter(f"{SPACE}circle"))) == 1
    flat = Record([{"epoch": i, "loss": 0.5} for i in (1, 2)])._repr_html_()
    assert "NaN" not in flat.replace("NaN or", "")
    holes = Record(
        [{"epoch": i, "loss": v} for i, v in enumerate([1.0, float("nan"), 3.0, 2.0, float("inf")])]
    )
    (chart,) = ET.fromstring(holes._repr_html_()).iter(f"{SPACE}svg")
    for path in chart.iter(f"{SPACE}path"):
        assert not re.search(r"nan|inf", path.get("d", ""))
    assert len(list(chart.iter(f"{SPACE}circle"))) == 1
    nothing = Record([{"epoch": 1, "loss": float("nan")}, {"epoch": 2}])._repr_html_()
    ET.fromstring(nothing)


def test_showing_changes_nothing() -> None:
    net, _ = trained()
    before, updates = net.parameters.vector.copy(), net.updates
    net._repr_html_()
    assert np.array_equal(net.parameters.vector, before)
    assert net.updates == updates
