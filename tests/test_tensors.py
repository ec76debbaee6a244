"""Arrays of libraries that are not here, which speak DLPack or ``__array__``: what a step makes of them."""

import numpy as np
import pytest

import gdcore as gd


class Exported:
    """An array that says where it is, and is read by DLPack."""

    def __init__(self, array, device=1):
        self.array, self.device = array, device

    def __dlpack_device__(self):
        return self.device, 0

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)


class Lent(Exported):
    """The same, read by ``__array__`` too, as what is on no other device's memory."""

    def __array__(self, dtype=None, copy=None):
        return self.array


@pytest.mark.parametrize("kind", [Exported, Lent])
def test_an_array_that_speaks_dlpack_is_the_gradient_that_its_memory_is(kind):
    w, grad = np.ones(3), np.arange(3.0)
    gd.SGD({"w": w}, lr=1.0).step({"w": kind(grad)}, zero=kind is Lent)
    assert w.tolist() == [1, 0, -1]
    assert grad.tolist() == ([0, 0, 0] if kind is Lent else [0, 1, 2])


@pytest.mark.parametrize("kind", [Exported, Lent])
def test_an_array_on_another_device_is_refused_by_name(kind):
    opt = gd.SGD({"v": np.ones(2), "w": np.ones(2)}, lr=1.0)
    with pytest.raises(TypeError, match=rf"grads\['w'\]: .* got {kind.__name__} on another device"):
        opt.step({"v": kind(np.ones(2)), "w": kind(np.ones(2), device=2)})
    assert opt.t == 0


def test_an_array_that_cannot_be_read_says_why():
    class Broken(Exported):
        def __dlpack__(self, **options):
            raise BufferError("it is elsewhere")

    with pytest.raises(TypeError, match=r"grads: .* got Broken: it is elsewhere"):
        gd.SGD(np.ones(2), lr=1.0).step(Broken(np.ones(2)))


def test_what_an_array_turns_out_to_be_is_checked_as_any_gradient():
    opt = gd.SGD(np.ones(2), lr=1.0)
    with pytest.raises(ValueError, match=r"grads: expected float64 \(2,\), got float64 \(3,\)"):
        opt.step(Lent(np.ones(3)))
    with pytest.raises(TypeError, match="grads"):
        opt.step(Lent([1.0, 2.0]))
    assert opt.t == 0


def test_python_code_that_an_array_runs_comes_before_all_checks():
    grad, w = np.ones(4), np.ones(4)

    class Hostile(Lent):
        def __array__(self, dtype=None, copy=None):
            grad.setflags(write=False)
            grads["v"] = np.ones(9)
            return self.array

    grads = {"v": grad, "w": Hostile(np.ones(4))}
    gd.SGD({"v": w, "w": np.ones(4)}, lr=1.0).step(grads)
    assert w.tolist() == [0, 0, 0, 0]
