"""An object that says it is an array, or of another shape than it is, is taken for what it really is."""

import numpy as np
import pytest

import gdcore as gd


class Disguised:
    """Passes ``isinstance(..., np.ndarray)``, and has all that an array has but its memory."""

    __class__ = property(lambda self: np.ndarray)

    def __init__(self, array):
        self.array = array

    def __getattr__(self, name):
        return getattr(self.array, name)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


class Number(Disguised):
    __class__ = property(lambda self: np.float64)


class Liar(np.ndarray):
    """An array that lies about its shape."""

    shape = property(lambda self: (3,))
    ndim = property(lambda self: 0)
    size = property(lambda self: 3)


def new():
    return np.ones(3)


EXPECTED = r": expected .*got Disguised"


def test_a_disguised_parameter_is_refused():
    assert isinstance(Disguised(new()), np.ndarray)
    for params, name in [
        (Disguised(new()), "params"),
        ({"w": new(), "b": Disguised(new())}, r"params\['b'\]"),
        ([{"params": [new(), Disguised(new())]}], r"params\['0.1'\]"),
    ]:
        with pytest.raises(TypeError, match=name + EXPECTED):
            gd.Adam(params)


@pytest.mark.parametrize("kind", [Disguised, Number])
def test_a_disguised_gradient_is_refused(kind):
    w = new() if kind is Disguised else np.array(1.0)
    opt = gd.Adam({"w": w})
    with pytest.raises(TypeError, match=rf"grads\['w'\]: expected float64 .*, got {kind.__name__}"):
        opt.step({"w": kind(w.copy())})
    with pytest.raises(TypeError, match=rf"grad: expected float64 .*, got {kind.__name__}"):
        gd.updates.sgd(w, kind(w.copy()), lr=0.1)
    assert opt.t == 0
    assert np.all(w == 1)


@pytest.mark.parametrize("index", range(5))
def test_a_disguised_argument_of_an_update_is_refused(index):
    arrays = [new() for _ in range(5)]
    arrays[index] = Disguised(arrays[index])
    *arrays, vmax = arrays
    with pytest.raises(TypeError, match=["param", "grad", "m", "v", "vmax"][index] + EXPECTED):
        gd.updates.adam(*arrays, t=1, vmax=vmax)


def test_a_disguised_state_is_refused():
    opt = gd.Adam({"w": new()})
    state = opt.state_dict()
    state["state"]["w"]["v"] = Disguised(new())
    with pytest.raises(TypeError, match=r"state_dict\['state'\]\['w'\]\['v'\]" + EXPECTED):
        opt.load_state_dict(state)
    assert np.all(opt.state["w"]["v"] == 0)


def test_disguised_arrays_go_to_no_checkpoint_and_take_none(tmp_path):
    with pytest.raises(TypeError, match=r"params\['w'\]: expected .*, got Disguised"):
        gd.save(tmp_path / "a.npz", {"w": Disguised(new())})
    gd.save(tmp_path / "a.npz", {"w": new()})
    with pytest.raises(TypeError, match=r"params\['w'\]" + EXPECTED):
        gd.load(tmp_path / "a.npz", {"w": Disguised(new())})


def test_an_array_that_lies_about_its_shape_is_taken_as_it_is():
    w = np.ones((2, 2)).view(Liar)
    opt = gd.SGD(w, lr=1.0)
    with pytest.raises(ValueError, match=r"grads: expected float64 \(2, 2\), got float64 \(3,\)"):
        opt.step(np.ones(3))
    opt.step(np.ones((2, 2)))
    assert np.all(np.asarray(w) == 0)
    state = gd.Momentum(new(), lr=1.0)
    lying = state.state_dict()
    lying["state"]["param"]["v"] = np.zeros((2, 2)).view(Liar)
    with pytest.raises(ValueError, match=r"expected float64 \(3,\), got float64 \(2, 2\)"):
        state.load_state_dict(lying)
