"""Bad input gets an error that names the argument, what was expected and what came, before anything is written."""

import contextlib
import math
import re
from functools import partial

import numpy as np
import pytest
from rules_table import KINDS, RULES, every_kind, kinds_with

import gdcore as gd
from gdcore.rules import CHECKS

PLAIN = {name: partial(kind, lr=0.1) for name, kind in KINDS.items()}
every_make = pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN)


def new_params():
    return {"w": np.ones((3, 2), np.float32), "b": [np.ones(4), np.ones(())]}


def new_grads():
    return {"w": np.ones((3, 2), np.float32), "b": [np.ones(4), np.ones(())]}


@contextlib.contextmanager
def unchanged(opt, params, error, message):
    """Expect an error with the message, and everything as it was."""
    opt.step(new_grads())
    before = [params["w"].copy(), params["b"][0].copy(), params["b"][1].copy()]
    state = opt.state_dict()
    with pytest.raises(error, match=re.escape(message)):
        yield
    for now, then in zip([params["w"], *params["b"]], before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert opt.t == state["t"] == 1
    for name, slots in state["state"].items():
        for slot, array in slots.items():
            np.testing.assert_array_equal(opt.state[name][slot], array)


# Gradients ------------------------------------------------------------------------------------------------------

BAD_GRADS = {
    "dtype": (lambda g: {**g, "w": np.ones((3, 2))}, TypeError, "grads['w']: expected float32 (3, 2), got float64"),
    "last dtype": (
        lambda g: {**g, "b": [g["b"][0], np.ones((), np.float32)]},
        TypeError,
        "grads['b.1']: expected float64 (), got float32 ()",
    ),
    "integers": (
        lambda g: {**g, "w": np.ones((3, 2), int)},
        TypeError,
        "grads['w']: expected float32 (3, 2), got int",
    ),
    "objects": (lambda g: {**g, "w": np.ones((3, 2), object)}, TypeError, "got object (3, 2)"),
    "byte order": (
        lambda g: {**g, "w": g["w"].astype(g["w"].dtype.newbyteorder())},
        TypeError,
        "grads['w']: expected float32 (3, 2), got >f4 (3, 2)" if np.little_endian else "got <f4 (3, 2)",
    ),
    "shape": (
        lambda g: {**g, "w": np.ones((3, 3), "f")},
        ValueError,
        "expected float32 (3, 2), got float32 (3, 3)",
    ),
    "shape of one size": (
        lambda g: {**g, "w": np.ones((2, 3), "f")},
        ValueError,
        "grads['w']: expected float32 (3, 2), got float32 (2, 3)",
    ),
    "flat": (lambda g: {**g, "w": np.ones(6, "f")}, ValueError, "expected float32 (3, 2), got float32 (6,)"),
    "0-d": (lambda g: {**g, "b": [np.ones(4), np.ones(1)]}, ValueError, "grads['b.1']: expected float64 (), got"),
    "list for array": (
        lambda g: {**g, "w": [[1, 1]] * 3},
        TypeError,
        "grads['w']: expected float32 (3, 2), got list",
    ),
    "number": (lambda g: {**g, "b": [g["b"][0], 1.0]}, TypeError, "grads['b.1']: expected float64 (), got float"),
    "missing key": (lambda g: {"w": g["w"]}, ValueError, "grads['b']: expected in the tree, got nothing"),
    "unknown key": (lambda g: {**g, "c": g["w"]}, ValueError, "grads['c']: expected no such key"),
    "other key": (
        lambda g: {"w": g["w"], "c": g["b"]},
        ValueError,
        "grads['b']: expected in the tree, got nothing",
    ),
    "short list": (lambda g: {**g, "b": g["b"][:1]}, ValueError, "grads['b']: expected 2 items, got 1"),
    "dict for list": (
        lambda g: {**g, "b": {0: 1, 1: 2}},
        TypeError,
        "grads['b']: expected a list or tuple, got dict",
    ),
    "list for dict": (lambda g: [g["w"], g["b"]], TypeError, "grads: expected a dict, got list"),
    "array for tree": (lambda g: {**g, "b": np.ones(2)}, TypeError, "grads['b']: expected a list or tuple, got nd"),
    "nothing": (lambda g: None, TypeError, "grads: expected a dict, got NoneType"),
}


@every_make
@pytest.mark.parametrize(("spoil", "error", "message"), BAD_GRADS.values(), ids=BAD_GRADS)
def test_bad_gradient_is_refused_before_anything_is_written(make, spoil, error, message):
    params = new_params()
    opt = make(params)
    with unchanged(opt, params, error, message):
        opt.step(spoil(new_grads()))


@every_make
def test_bad_gradient_of_a_flat_dict_and_of_a_single_array_is_refused(make):
    opt = make({"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(ValueError, match=re.escape("grads['b']: expected in the tree, got nothing")):
        opt.step({"a": np.ones(2), "c": np.ones(3)})
    with pytest.raises(ValueError, match=re.escape("grads: expected float64 (3,), got float64 (2,)")):
        make(np.ones(3)).step(np.ones(2))
    with pytest.raises(TypeError, match=re.escape("grads: expected float64 (3,), got list")):
        make(np.ones(3)).step([1.0, 2.0, 3.0])


@every_make
def test_gradient_that_overlaps_a_parameter_or_the_state_is_refused(make):
    params = new_params()
    opt = make(params)
    with unchanged(
        opt, params, ValueError, "grads['w']: expected memory of its own, got memory that overlaps params['w']"
    ):
        opt.step({**new_grads(), "w": params["w"]})
    opt = make(params)
    with unchanged(opt, params, ValueError, "grads['b.0']: expected memory of its own"):
        opt.step({**new_grads(), "b": [params["b"][0][::-1], np.ones(())]})
    opt = make(params)
    for slot, array in opt.state["b.0"].items():
        with pytest.raises(ValueError, match=re.escape(f"the optimizer's state {slot!r} of params['b.0']")):
            opt.step({**new_grads(), "b": [array, np.ones(())]})
    assert opt.t == 0


def test_gradient_that_interleaves_with_a_parameter_works():
    buffer = np.ones((5, 4))
    params, grads = buffer[:, :2], buffer[:, 2:]
    gd.SGD(params, lr=0.25).step(grads)
    np.testing.assert_array_equal(params, 0.75)
    np.testing.assert_array_equal(grads, 1.0)


GRADS_OF_OTHER_LAYOUT = {
    "reversed": lambda g: g[::-1, ::-1].copy()[::-1, ::-1],
    "every other": lambda g: np.repeat(np.repeat(g, 2, 0), 3, 1)[::2, ::3],
    "Fortran": np.asfortranarray,
    "transposed": lambda g: g.T.copy().T,
    "misaligned": lambda g: np.frombuffer(b"x" + g.tobytes(), np.uint8)[1:].view(g.dtype).reshape(g.shape),
    "read-only": lambda g: np.frombuffer(g.tobytes(), g.dtype).reshape(g.shape),
    "broadcast row": lambda g: np.broadcast_to(g[0], g.shape),
    "broadcast column": lambda g: np.broadcast_to(g[:, :1], g.shape),
    "broadcast scalar": lambda g: np.broadcast_to(g[0, 0], g.shape),
    "inserted axis": lambda g: np.lib.stride_tricks.as_strided(g, g.shape, (g.itemsize, g.itemsize)),
}


@every_make
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", GRADS_OF_OTHER_LAYOUT.values(), ids=GRADS_OF_OTHER_LAYOUT)
def test_gradient_of_any_layout_is_stepped_as_its_contiguous_copy(make, layout, dtype):
    rng = np.random.default_rng(0)
    ours = np.ones((43, 37), dtype)
    theirs = ours.copy()
    a, b = make(ours), make(theirs)
    for _ in range(3):
        grad = layout(rng.standard_normal((43, 37)).astype(dtype))
        a.step(grad)
        b.step(np.ascontiguousarray(grad))
    np.testing.assert_array_equal(ours, theirs)


# Parameters -----------------------------------------------------------------------------------------------------


def read_only():
    array = np.ones(3)
    array.flags.writeable = False
    return array


def misaligned():
    return np.zeros(25, np.uint8)[1:].view(np.float64)


LONG = ("float128", "complex256")
if np.dtype(np.longdouble) == np.float64:  # it is no longer on Windows, and some Macs
    LONG = ("longdouble", "clongdouble")

BAD_PARAMS = {
    "list of numbers": (
        [1.0, 2.0],
        TypeError,
        "params['0']: expected a NumPy array of float32 or float64, got float",
    ),
    "number": (1.0, TypeError, "params: expected a NumPy array of float32 or float64, got float"),
    "scalar": (np.float64(1), TypeError, "expected a NumPy array of float32 or float64, got float64"),
    "none": ({"w": None}, TypeError, "params['w']: expected a NumPy array of float32 or float64, got NoneType"),
    "read-only": ({"w": read_only()}, ValueError, "params['w']: expected a writeable array, got a read-only one"),
    "misaligned": ({"w": misaligned()}, ValueError, "params['w']: expected an aligned array"),
    "byte-swapped": (np.ones(3, np.dtype("f8").newbyteorder()), TypeError, "params: expected native byte order"),
    "object": (np.ones(3, object), TypeError, "params: expected float32 or float64, got object"),
    "integer": (np.ones(3, int), TypeError, "params: expected float32 or float64, got int64"),
    "bool": (np.ones(3, bool), TypeError, "params: expected float32 or float64, got bool"),
    "half": (np.ones(3, np.float16), TypeError, "params: expected float32 or float64, got float16"),
    "long double": (np.ones(3, np.longdouble), TypeError, f"params: expected float32 or float64, got {LONG[0]}"),
    "complex": (np.ones(3, np.clongdouble), TypeError, f"params: expected complex64 or complex128, got {LONG[1]}"),
    "structured": (np.ones(3, [("a", "f8")]), TypeError, "params: expected float32 or float64, got [('a', '<f8')]"),
    "no arrays": ({}, ValueError, "params: expected at least one array, got none"),
    "no arrays in a group": ([{"params": []}], ValueError, "params[0]: expected at least one array, got none"),
    "key": ({(1, 2): np.ones(1)}, TypeError, "params: expected keys of type str or int, got (1, 2)"),
    "names": (
        {"a.b": np.ones(1), "a": {"b": np.ones(1)}},
        ValueError,
        "expected names that differ, got 'a.b' 2 times",
    ),
    "group key": ([{"params": np.ones(1), "rate": 1}], ValueError, "params[0]: expected only 'params', 'lr', "),
}


@every_make
@pytest.mark.parametrize(("params", "error", "message"), BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_bad_parameter_is_refused_at_construction(make, params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make(params)


def whole():
    return np.arange(40.0)


OVERLAPPING = {
    "twice": lambda w: {"a": w, "b": w},
    "shifted": lambda w: {"a": w[:21], "b": w[20:]},
    "within": lambda w: {"a": w, "b": w[3:4]},
    "interleaved": lambda w: {"a": w[::2], "b": w[::3]},
    "reshaped": lambda w: {"a": w.reshape(8, 5)[:, :3], "b": w.reshape(8, 5)[:, 2:]},
    "other dtype": lambda w: {"a": w, "b": w.view(np.float32)[4:6]},
    "in groups": lambda w: [{"params": w[:5]}, {"params": w[4:]}],
}


@every_make
@pytest.mark.parametrize("split", OVERLAPPING.values(), ids=OVERLAPPING)
def test_overlapping_parameters_are_refused(make, split):
    with pytest.raises(ValueError, match=r"params\['.'\]: expected memory of its own, got .* params\['.'\]"):
        make(split(whole()))


DISJOINT = {
    "halves": lambda w: {"a": w[:20], "b": w[20:]},
    "interleaved": lambda w: {"a": w[::2], "b": w[1::2]},
    "columns": lambda w: {"a": w.reshape(8, 5)[:, :3], "b": w.reshape(8, 5)[:, 3:]},
    "empty": lambda w: {"a": w, "b": w[3:3]},
}


@every_make
@pytest.mark.parametrize("split", DISJOINT.values(), ids=DISJOINT)
def test_disjoint_views_of_one_buffer_are_stepped(make, split):
    w, apart = whole(), whole()
    opt, one = make(split(w)), make(apart)
    grad = np.linspace(-1, 1, 40)
    for _ in range(3):
        opt.step(split(grad))
        one.step(grad)
    np.testing.assert_array_equal(w, apart)


STRIDED = {
    "reversed": lambda w: w[::-1],
    "strided": lambda w: w[::3],
    "Fortran": lambda w: w.reshape(8, 5).T,
    "block": lambda w: w.reshape(8, 5)[1:7:2, 1:3],
    "permuted": lambda w: w.reshape(2, 4, 5).transpose(1, 2, 0)[:, ::-2],
    "0-d": lambda w: w[3:4].reshape(()),
}


@every_make
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("view", STRIDED.values(), ids=STRIDED)
def test_strided_parameter_is_stepped_and_no_neighbour_touched(make, view, dtype):
    rng = np.random.default_rng(0)
    w = np.arange(40, dtype=dtype)
    param = view(w)
    contiguous = param.copy(order="C")
    opt, other = make(param), make(contiguous)
    for _ in range(3):
        grad = np.asarray(rng.standard_normal(param.shape), dtype)
        opt.step(grad)
        other.step(grad)
    np.testing.assert_array_equal(param, contiguous)
    mask = np.ones(40, bool)
    view(mask)[...] = False
    np.testing.assert_array_equal(w[mask], np.arange(40)[mask])


@every_make
def test_parameter_whose_elements_overlap_is_refused(make):
    as_strided = np.lib.stride_tricks.as_strided
    base = np.ones(10)
    for broken in [
        as_strided(base, (3, 4), (0, 8)),
        as_strided(base, (3, 4), (8, 8)),
        as_strided(base, (5,), (0,)),
    ]:
        with pytest.raises(ValueError, match="params: expected elements that share no memory, got strides"):
            make(broken)


@every_make
def test_parameter_changed_after_construction_is_refused(make):
    params = new_params()
    opt = make(params)
    with unchanged(opt, params, ValueError, "params['w']: expected a writeable array, got a read-only one"):
        params["w"].flags.writeable = False
        opt.step(new_grads())
    grown = np.ones(4)
    opt = make(grown)
    grown.resize(5000, refcheck=False)
    with pytest.raises(ValueError, match="params: expected the array as it was when the optimizer was made"):
        opt.step(np.ones(5000))


@every_make
def test_0d_and_0_size_arrays_memory_maps_and_subclasses_work(make, tmp_path):
    class Sub(np.ndarray):
        pass

    mapped = np.memmap(tmp_path / "w.bin", np.float32, "w+", shape=(3, 2))
    mapped[...] = 1
    params = {
        "0-d": np.ones(()),
        "0-size": np.ones((3, 0)),
        "map": mapped,
        "sub": np.ones(5).view(Sub),
        "matrix": np.ones((2, 2), np.float32).view(np.recarray),
    }
    opt = make(params, lr=0.5)
    opt.step({name: np.ones_like(array) for name, array in params.items()})
    expected = np.ones(1)
    make(expected, lr=0.5).step(np.ones(1))
    for name in ["0-d", "map", "sub", "matrix"]:
        np.testing.assert_allclose(np.asarray(params[name]), expected[0], rtol=1e-6)
    mapped.flush()
    np.testing.assert_allclose(np.fromfile(tmp_path / "w.bin", np.float32), expected[0], rtol=1e-6)


@every_make
def test_state_is_that_of_the_parameters_as_they_were(make):
    params = [np.zeros(4), np.zeros(4)]
    opt = make(params)
    opt.step([np.ones(4), np.ones(4)])
    params[0].resize(16, refcheck=False)
    for slots in opt.state_dict()["state"].values():
        for array in slots.values():
            assert array.shape == (4,)
    opt.load_state_dict(opt.state_dict())


@every_make
def test_masked_arrays_are_refused(make):
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    with pytest.raises(TypeError, match="params: expected an array without a mask, got a masked one"):
        make(masked)
    with pytest.raises(TypeError, match="grads: expected an array without a mask, got a masked one"):
        make(np.ones(2)).step(masked)
    with pytest.raises(TypeError, match="grad: expected an array without a mask, got a masked one"):
        gd.updates.sgd(np.ones(2), masked, lr=1)


@every_make
def test_attributes_of_a_subclass_are_not_trusted(make):
    class Liar(np.ndarray):
        shape = (3,)
        ndim = 1

    flat = np.ones(9).reshape(3, 3).view(Liar)
    with pytest.raises((TypeError, ValueError), match="grads: expected"):
        make(np.ones(3)).step(flat)
    w = np.ones((2,) * 20).view(Liar)
    make(w).step(np.ones((2,) * 20))


def test_an_item_that_is_no_group_among_groups_is_refused():
    with pytest.raises(ValueError, match=r"params\[1\]: expected a dict with the key 'params', as other items are"):
        gd.SGD([{"params": np.ones(1)}, {"param": np.ones(1)}], lr=1)


# Hyperparameters ------------------------------------------------------------------------------------------------

NAMES = sorted({name for rule in RULES for name in rule.hyperparameters})
FLAGS = [name for name in NAMES if CHECKS[name] is CHECKS["amsgrad"]]
NUMBERS = [name for name in NAMES if name not in FLAGS and name != "betas"]
BELOW_ONE = {name for name in NAMES if CHECKS[name] is CHECKS["beta"]}


def bad_values(name):
    yield from ((bad, ValueError) for bad in (math.nan, math.inf, -math.inf, -1e-9, np.float32(-1)))
    yield from ((bad, TypeError) for bad in (True, np.True_, "0.1", 1j, [0.1], np.array(0.1), object()))
    if name in BELOW_ONE:
        yield from ((bad, ValueError) for bad in (1, 1.0, 2))
    if name == "dampening":
        yield 1.5, ValueError
    else:
        yield None, TypeError


@every_make
@pytest.mark.parametrize("name", NUMBERS)
def test_bad_number_is_refused_at_construction_and_at_assignment(make, name):
    opt = make(np.ones(1))
    if name not in opt.groups[0]:
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            make(np.ones(1), **{name: 0.5})
        return
    before = dict(opt.groups[0])
    for bad, error in bad_values(name):
        with pytest.raises(error, match=f"^{name}: expected .*, got "):
            make(np.ones(1), **{name: bad})
        with pytest.raises(error, match=f"^{name}: expected .*, got "):
            make([{"params": np.ones(1), name: bad}])
        with pytest.raises(error, match=f"^{name}: expected .*, got "):
            opt.groups[0][name] = bad
    with pytest.raises(ValueError, match=r"^lr: expected a finite number >= 0, got nan"):
        opt.lr = math.nan
    assert dict(opt.groups[0]) == before


@pytest.mark.parametrize("bad", [0.9, (0.9,), (0.9, 0.9, 0.9), "ab", None, (0.9, "x"), (True, 0.9), (0.9, None)])
@pytest.mark.parametrize("kind", kinds_with("betas"))
def test_betas_of_another_type_are_refused(kind, bad):
    opt = kind(np.ones(1))
    with pytest.raises(TypeError, match=r"^betas.*: expected "):
        kind(np.ones(1), betas=bad)
    with pytest.raises(TypeError, match=r"^betas.*: expected "):
        opt.groups[0]["betas"] = bad


@pytest.mark.parametrize("bad", [(1.0, 0.9), (0.9, 1), (-0.1, 0.9), (0.9, math.nan), (math.inf, 0.9)])
@pytest.mark.parametrize("kind", kinds_with("betas"))
def test_betas_out_of_range_are_refused(kind, bad):
    with pytest.raises(ValueError, match=r"^betas\[[01]\]: expected a number in \[0, 1\), got "):
        kind(np.ones(1), betas=bad)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for name in FLAGS for kind in kinds_with(name)])
def test_flags_must_be_flags(kind, name):
    for bad in (1, 0, "yes", None, np.ones(1)):
        with pytest.raises(TypeError, match=f"{name}: expected True or False, got"):
            kind(np.ones(1), lr=0.1, **{name: bad})


@pytest.mark.parametrize("kind", kinds_with("eps"))
def test_eps_that_rounds_to_zero_in_the_dtype_is_refused(kind):
    with pytest.raises(ValueError, match=r"eps: expected a value that does not round to 0 in float32, got 1e-46"):
        kind({"a": np.ones(1), "b": np.ones(1, np.float32)}, eps=1e-46)
    kind(np.ones(1), eps=1e-46)
    opt = kind(np.ones(1, np.float32), eps=1e-9)
    with pytest.raises(ValueError, match=r"eps: expected a value that does not round to 0 in float32"):
        opt.groups[0]["eps"] = 1e-46
    assert opt.groups[0]["eps"] == 1e-9


@pytest.mark.parametrize("kind", kinds_with("eps"))
def test_eps_may_be_zero_where_eps_root_is_not_and_neither_vanishes(kind):
    for zero in (0, 0.0, np.float32(0)):
        with pytest.raises(ValueError, match=r"^eps: expected a finite number > 0, as eps_root is 0, got 0"):
            kind(np.ones(1), eps=zero)
    opt = kind(np.ones(1), eps=0, eps_root=1e-300)
    with pytest.raises(ValueError, match=r"^eps: expected a finite number > 0, as eps_root is 0, got 0"):
        opt.groups[0]["eps_root"] = 0.0
    opt.groups[0].update(eps=1e-8, eps_root=0.0)
    with pytest.raises(
        ValueError, match=r"^eps_root: expected a value that does not round to 0 in float32, got 1e-46"
    ):
        kind(np.ones(1, np.float32), eps_root=1e-46)
    with pytest.raises(ValueError, match=r"^eps: expected a value that does not round to 0 in float32, got 1e-46"):
        kind(np.ones(1, np.float32), eps=1e-46, eps_root=1.0)
    with pytest.raises(ValueError, match=r"^eps_root: expected a value that is finite in float32, got 1e\+40"):
        kind(np.ones(1, np.float32), eps_root=1e40)


@pytest.mark.parametrize("kind", kinds_with("eps_root"))
@pytest.mark.parametrize("eps", [0.0, 1e-3])
def test_a_dead_gradient_under_eps_root_moves_nothing(kind, eps):
    w = np.ones(3)
    opt = kind(w, lr=0.1, eps=eps, eps_root=1e-3, weight_decay=0.0)
    for _ in range(3):
        opt.step(np.zeros(3))
    np.testing.assert_array_equal(w, 1)


def test_eps_of_adam_must_survive_the_bias_correction():
    eps = 2e-45  # rounds to the smallest float32, but its product with sqrt(1 - 0.999) does not
    gd.RMSProp(np.ones(1, np.float32), eps=eps)
    with pytest.raises(ValueError, match=r"eps: expected a value that does not round to 0 in float32"):
        gd.Adam(np.ones(1, np.float32), eps=eps)
    gd.Adam(np.ones(1, np.float32), eps=eps, epsilon_hat=True)  # which has none


@every_make
def test_what_is_infinite_in_the_dtype_is_refused_by_its_name(make):
    for name in ("lr", "l2"):
        with pytest.raises(ValueError, match=f"{name}: expected a value that is finite in float32, got "):
            make(np.ones(1, np.float32), **{"weight_decay": 0.0, name: 1e40})
    with pytest.raises(ValueError, match=r"lr: expected a finite number >= 0, got a larger one"):
        make(np.ones(1), lr=10**400)
    make(np.ones(1), lr=1e40, weight_decay=0.0)


PAST_ONE = [(2.0, 0.75), (0.1, 11.0), (1.0, math.nextafter(1.0, 2.0)), (1e300, 1e300), (3, np.float32(0.5))]


@every_kind
@pytest.mark.parametrize(("lr", "weight_decay"), PAST_ONE)
def test_a_decay_that_would_change_signs_is_refused(kind, lr, weight_decay):
    def refused():
        product = f"{float(lr)} * {float(weight_decay)} = {float(lr) * float(weight_decay)}"
        said = f"weight_decay: expected lr * weight_decay <= 1, as weights change sign beyond it, got {product}"
        return pytest.raises(ValueError, match=f"^{re.escape(said)}$")

    w = np.ones(2)
    with refused():
        kind(w, lr=lr, weight_decay=weight_decay)
    with refused():
        kind([{"params": w, "weight_decay": weight_decay}], lr=lr)
    opt = kind(w, lr=1e-3, weight_decay=weight_decay if weight_decay < 1e3 else 0.0)
    before = dict(opt.groups[0])
    if opt.groups[0]["weight_decay"]:
        with refused():
            opt.lr = lr
    with refused():
        opt.groups[0].update(lr=lr, weight_decay=weight_decay)
    state = opt.state_dict()
    state["groups"][0] |= {"lr": lr, "weight_decay": weight_decay}
    with refused():
        opt.load_state_dict(state)
    assert dict(opt.groups[0]) == before
    slots = [np.zeros(2) for asks in kind.rule.slots.values() if asks is None]
    t = {"t": 1} if kind.rule.corrections else {}
    for module in (gd.updates, gd.reference):
        with refused():
            getattr(module, kind.rule.name)(w, np.ones(2), *slots, lr=lr, weight_decay=weight_decay, **t)
        with refused():
            module.decay(w, lr=lr, weight_decay=weight_decay)
    np.testing.assert_array_equal(w, 1)


@every_kind
def test_a_decay_of_all_is_allowed(kind):
    for dtype in (np.float32, np.float64):
        w = np.full(3, 7, dtype)
        kind(w, lr=0.5, weight_decay=2.0).step(np.zeros(3, dtype))
        np.testing.assert_array_equal(w, 0)


@every_make
def test_hyperparameters_may_be_any_real_number(make):
    for good in (1, 0, np.float32(0.5), np.int8(1), np.float64(0.25)):
        assert make(np.ones(1), lr=good).lr == float(good)


def test_what_decides_the_state_is_fixed():
    opt = gd.RMSProp(np.ones(1))
    for name, value in {"centered": True, "momentum": 0.9}.items():
        with pytest.raises(
            ValueError, match=f"{name}: expected a value that needs the same state as .*, got {value}"
        ):
            opt.groups[0][name] = value
    opt = gd.RMSProp(np.ones(1), momentum=0.9)
    opt.groups[0]["momentum"] = 0.5
    with pytest.raises(KeyError, match="rate: expected one of lr, beta, eps"):
        opt.groups[0]["rate"] = 0.1
    with pytest.raises(KeyError, match="params"):
        opt.groups[0]["params"] = np.ones(1)
    with pytest.raises(TypeError, match="lr: a group always has"):
        del opt.groups[0]["lr"]


@every_make
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_or_infinity_in_a_gradient_affects_its_own_element_only(make, bad):
    for n in (1, 4, 9, 40):
        for i in range(n):
            w, other = np.ones(n, np.float32), np.ones(n, np.float32)
            grad = np.full(n, 0.5, np.float32)
            opt, without = make(w), make(other)
            without.step(grad)
            grad[i] = bad
            opt.step(grad)
            assert (np.delete(w, i) == np.delete(other, i)).all()


# State dicts ----------------------------------------------------------------------------------------------------

BAD_STATES = {
    "not a dict": (lambda d: [d], TypeError, "state_dict: expected a dict, got list"),
    "missing": (lambda d: {k: v for k, v in d.items() if k != "t"}, ValueError, "state_dict: expected the keys"),
    "unknown": (lambda d: {**d, "u": 1}, ValueError, "got also 'u'"),
    "rule": (lambda d: {**d, "rule": "sgd"}, ValueError, "state_dict['rule']: expected 'adam', got 'sgd'"),
    "t negative": (lambda d: {**d, "t": -1}, ValueError, "state_dict['t']: expected a number of steps"),
    "t too large": (lambda d: {**d, "t": 2**63}, ValueError, "state_dict['t']: expected a number of steps"),
    "t float": (lambda d: {**d, "t": 1.0}, TypeError, "state_dict['t']: expected an integer, got 1.0"),
    "t bool": (lambda d: {**d, "t": True}, TypeError, "state_dict['t']: expected an integer, got True"),
    "groups": (lambda d: {**d, "groups": {}}, TypeError, "state_dict['groups']: expected a list, got dict"),
    "group count": (lambda d: {**d, "groups": []}, ValueError, "state_dict['groups']: expected 1 groups, got 0"),
    "group keys": (
        lambda d: {**d, "groups": [{"params": ["w"]}]},
        ValueError,
        "state_dict['groups'][0]: expected the keys",
    ),
    "names": (
        lambda d: {**d, "groups": [{**d["groups"][0], "params": ["v"]}]},
        ValueError,
        "state_dict['groups'][0]['params']: expected ['w', 'b.0', 'b.1'], got ['v']",
    ),
    "lr": (lambda d: {**d, "groups": [{**d["groups"][0], "lr": -1.0}]}, ValueError, "lr: expected a finite number"),
    "amsgrad": (
        lambda d: {**d, "groups": [{**d["groups"][0], "amsgrad": True}]},
        ValueError,
        "amsgrad: expected a value that needs the same state as False, got True",
    ),
    "state": (lambda d: {**d, "state": None}, TypeError, "state_dict['state']: expected a dict, got NoneType"),
    "state names": (lambda d: {**d, "state": {}}, ValueError, "state_dict['state']: expected the keys"),
    "slots": (
        lambda d: {**d, "state": {**d["state"], "b.1": {"m": np.ones(())}}},
        ValueError,
        "state_dict['state']['b.1']: expected the keys 'm', 'v'; got none of 'v'",
    ),
    "slot dtype": (
        lambda d: {**d, "state": {**d["state"], "b.0": {"m": np.ones(4), "v": np.ones(4, "f")}}},
        ValueError,
        "state_dict['state']['b.0']['v']: expected float64 (4,), got float32 (4,)",
    ),
    "slot shape": (
        lambda d: {**d, "state": {**d["state"], "b.0": {"m": np.ones((2, 2)), "v": np.ones(4)}}},
        ValueError,
        "state_dict['state']['b.0']['m']: expected float64 (4,), got float64 (2, 2)",
    ),
    "slot type": (
        lambda d: {**d, "state": {**d["state"], "b.0": {"m": [0] * 4, "v": np.ones(4)}}},
        TypeError,
        "state_dict['state']['b.0']['m']: expected a NumPy array, got list",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "message"), BAD_STATES.values(), ids=BAD_STATES)
def test_bad_state_dict_is_refused_before_anything_is_replaced(spoil, error, message):
    params = new_params()
    opt = gd.Adam(params, lr=0.125)
    donor = gd.Adam(new_params(), lr=0.25)
    donor.step(new_grads())
    with unchanged(opt, params, error, message):
        opt.load_state_dict(spoil(donor.state_dict()))
    assert opt.lr == 0.125


# The functions on single arrays ---------------------------------------------------------------------------------

BAD_UPDATES = {
    "param type": (lambda: gd.updates.sgd([1.0], np.ones(1), lr=1), TypeError, "param: expected a NumPy array"),
    "grad type": (
        lambda: gd.updates.sgd(np.ones(1), None, lr=1),
        TypeError,
        "grad: expected float64 (1,), got NoneType",
    ),
    "grad dtype": (lambda: gd.updates.sgd(np.ones(1), np.ones(1, "f"), lr=1), TypeError, "got float32 (1,)"),
    "grad shape": (
        lambda: gd.updates.sgd(np.ones(1), np.ones(2), lr=1),
        ValueError,
        "grad: expected float64 (1,), got",
    ),
    "slot type": (
        lambda: gd.updates.momentum(np.ones(1), np.ones(1), None, lr=1),
        TypeError,
        "v: expected float64 (1,)",
    ),
    "slot shape": (
        lambda: gd.updates.adam(np.ones(2), np.ones(2), np.ones(2), np.ones(3), t=1),
        ValueError,
        "v: expected float64 (2,), got float64 (3,)",
    ),
    "slot read-only": (
        lambda: gd.updates.rmsprop(np.ones(3), np.ones(3), read_only()),
        ValueError,
        "s: expected a writeable array",
    ),
    "optional slot": (
        lambda: gd.updates.adam(np.ones(2), np.ones(2), np.ones(2), np.ones(2), t=1, vmax=[1, 1]),
        TypeError,
        "vmax: expected float64 (2,), got list",
    ),
    "buf": (
        lambda: gd.updates.rmsprop(np.ones(2), np.ones(2), np.ones(2), momentum=0.5),
        TypeError,
        "buf: expected an array, as momentum is 0.5, got None",
    ),
    "t": (
        lambda: gd.updates.adam(np.ones(1), np.ones(1), np.ones(1), np.ones(1), t=0),
        ValueError,
        "t: expected an int",
    ),
    "t type": (
        lambda: gd.updates.adam(np.ones(1), np.ones(1), np.ones(1), np.ones(1), t=1.0),
        TypeError,
        "t: expected an integer >= 1, got 1.0",
    ),
    "lr": (
        lambda: gd.updates.decay(np.ones(1), lr=-1, weight_decay=1),
        ValueError,
        "lr: expected a finite number >= 0",
    ),
    "eps": (
        lambda: gd.updates.rmsprop(np.ones(1, "f"), np.ones(1, "f"), np.ones(1, "f"), eps=1e-50),
        ValueError,
        "eps: expected a value that does not round to 0 in float32",
    ),
}


@pytest.mark.parametrize(("update", "error", "message"), BAD_UPDATES.values(), ids=BAD_UPDATES)
def test_bad_argument_of_an_update_is_refused(update, error, message):
    with pytest.raises(error, match=re.escape(message)):
        update()


def test_overlapping_arguments_of_an_update_are_refused():
    w, g, m, v = (np.ones(6) for _ in range(4))
    for names, arrays in {
        ("grad", "param"): (w, w, m, v),
        ("m", "param"): (w, g, w, v),
        ("v", "m"): (w, g, m, m[::-1]),
        ("v", "grad"): (w, g, m, g),
    }.items():
        with pytest.raises(ValueError, match=f"{names[0]}: expected memory of its own, got .* {names[1]}"):
            gd.updates.adam(*arrays, t=1)
    for array in (w, g, m, v):
        np.testing.assert_array_equal(array, 1)
    both = np.ones((6, 2))
    gd.updates.sgd(both[:, 0], both[:, 1], lr=0.5)
    np.testing.assert_array_equal(both, [[0.5, 1]] * 6)
