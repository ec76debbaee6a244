"""The table of docs/rules.md that says which call here gives the numbers of another library's."""

import json
import re

import numpy as np
import pytest
from golden import peer_steps

import gdcore as gd

GOLDEN = json.loads(peer_steps.GOLDEN.read_text("utf-8"))
ROWS = peer_steps.rows()
HERE = peer_steps.here()


def marked(name, value):
    """Return a parameter of a test that runs a library: by default only those that the other tests want too."""
    return pytest.param(value, marks=[] if name in ("sklearn", "autograd") else [pytest.mark.peers])


LIVE = [marked(name, theirs) for theirs, _, _ in ROWS if (name := peer_steps.package(theirs)) in HERE]
PAGES = [
    marked(name, page)
    for name, page in [
        ("torch", "torch"),
        ("optax", "optax"),
        ("sklearn", "scikit-learn"),
        ("autograd", "autograd"),
    ]
    if name in HERE
]


def run_blocks(page, fence):
    """Run the blocks of a page that begin with ``fence``, one after the other, and return what they named."""
    path = peer_steps.PAGE.parent / f"{page}.md"
    blocks = re.findall(rf"^```{fence}\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    names = {}
    exec(compile(blocks[0], path.name, "exec"), names)
    return names


def walk(ours, besides):
    """Return where our call is after each step; ``besides`` says what is done when."""
    w = np.array(peer_steps.START)
    names = {"gd": gd, "w": w, **peer_steps.VALUES}
    names["opt"] = opt = eval(ours, names)
    said = re.fullmatch(r"(before the first|after the first|after each) step(?:, [\w ]+)?: `(.*)`", besides)
    when, statement = said.groups() if said else ("never", besides)
    assert bool(said) == bool(besides)
    points = []
    for t in range(1, peer_steps.STEPS + 1):
        if when == "before the first" and t == 1:
            exec(statement, names)
        opt.step(peer_steps.gradient(t))
        if when == "after each" or (when == "after the first" and t == 1):
            exec(statement, names)
        points.append(w.tolist())
    return points


@pytest.mark.parametrize(("theirs", "ours", "besides"), ROWS, ids=[row[0] for row in ROWS])
def test_the_call_of_the_table_gives_the_numbers_of_the_others(theirs, ours, besides):
    golden = GOLDEN[theirs]["points"]
    assert len(golden) == peer_steps.STEPS >= 5
    np.testing.assert_allclose(walk(ours, besides), golden, rtol=1e-12, atol=0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("theirs", LIVE)
def test_the_golden_numbers_are_those_of_what_is_installed(theirs):
    np.testing.assert_allclose(peer_steps.run(theirs), GOLDEN[theirs]["points"], rtol=1e-13, atol=0)


def test_the_table_and_the_golden_numbers_have_the_same_rows_of_six_libraries():
    page = peer_steps.PAGE.read_text("utf-8")
    assert [theirs for theirs, _, _ in ROWS] == list(GOLDEN)
    assert len(ROWS) == len(re.findall(rf"^\| `(?:{'|'.join(peer_steps.RUNNERS)})\.", page, re.MULTILINE)) > 50
    assert {peer_steps.package(theirs) for theirs in GOLDEN} == set(peer_steps.RUNNERS)


@pytest.mark.parametrize("theirs", GOLDEN)
def test_each_value_in_a_row_shows_in_its_numbers(theirs):
    """Else the row would prove nothing of it: the numbers with another value are others."""
    row = next(row for row in ROWS if row[0] == theirs)
    points = np.array(GOLDEN[theirs]["points"])
    for name, value in peer_steps.VALUES.items():
        if re.search(rf"[(= ]{name}[,)\]`]", f"{row[1]} {row[2]}"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(peer_steps.VALUES, name, value * 0.875)
                assert np.abs(np.array(walk(*row[1:])) - points).max() > 1e-7, name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES)
def test_the_program_of_the_others_and_the_one_beside_it_have_the_same_losses(page):
    page = f"coming-from-{page}"
    theirs, ours = run_blocks(page, "py")["losses"], run_blocks(page, "python")["losses"]
    assert len(theirs) >= 5
    assert theirs[-1] < 0.5 * theirs[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_the_how_to_page_of_torch_steps_its_module():
    pytest.importorskip("torch")
    names = run_blocks("howto/torch", "py")
    assert names["opt"].t == 10
    for name, tensor in names["net"].named_parameters():
        assert np.shares_memory(tensor.detach().numpy(), names["params"][name])


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_the_how_to_page_of_jax_finds_the_line():
    pytest.importorskip("jax")
    params = run_blocks("howto/jax", "py")["params"]
    np.testing.assert_allclose(params["w"], [1, -2, 3], atol=1e-3)
    np.testing.assert_allclose(params["b"], 0.5, atol=1e-3)
