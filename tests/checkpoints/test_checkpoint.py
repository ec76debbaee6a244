"""What is saved comes back: every tree, every dtype, every optimizer, in both containers; or nothing is touched."""

import copy
import json
import math
import os
import sys
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rules_table import every_make

import gdcore as gd
from gdcore.checkpoints.checkpoint import check_path

BITS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
SUFFIXES = (".npz", ".safetensors")
in_both = pytest.mark.parametrize("suffix", SUFFIXES)


def new_params():
    rng = np.random.default_rng(0)
    return {
        "layers": [
            {"w": rng.standard_normal((7, 5)), "b": rng.standard_normal(5, dtype=np.float32)},
            {"w": rng.standard_normal((5, 3), dtype=np.float32), 0: np.zeros(())},
        ],
        "scale": (np.ones(1), np.empty((0, 4), np.float32)),
    }


def like(tree, rng):
    if isinstance(tree, dict):
        return {key: like(child, rng) for key, child in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(like(child, rng) for child in tree)
    return np.asarray(rng.standard_normal(tree.shape), tree.dtype)


def train(params, opt, rng, steps):
    for _ in range(steps):
        opt.step(like(params, rng))


def same(a, b):
    """Return whether two trees are alike: in types, keys and their order, and every bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return (
            list(a) == list(b) and all(map(same, a.values(), b.values())) and list(map(type, a)) == [*map(type, b)]
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return repr(a) == repr(b)


def everything(params, opt, rng):
    return copy.deepcopy([params, opt.state_dict(), rng.bit_generator.state])


@pytest.fixture
def run():
    params = new_params()
    opt, rng = gd.Adam(params, lr=0.1), np.random.default_rng(7)
    train(params, opt, rng, 3)
    return params, opt, rng


@in_both
@every_make
@pytest.mark.parametrize("bits", BITS)
def test_resume_equals_uninterrupted(tmp_path, suffix, make, bits):
    path = tmp_path / f"run{suffix}"
    kind = getattr(np.random, bits)
    params, rng = new_params(), np.random.Generator(kind(1))
    opt = make(params)
    rng.integers(9, size=3, dtype=np.uint8)  # leaves half a word behind in those that keep one
    train(params, opt, rng, 3)
    gd.save(path, params, opt, rng=rng, epoch=3)
    train(params, opt, rng, 4)

    resumed_params, resumed_rng = like(new_params(), np.random.default_rng(5)), np.random.Generator(kind(2))
    resumed = make(resumed_params)
    resumed.lr = 0.5
    assert gd.load(path, resumed_params, resumed, resumed_rng).epoch == 3
    train(resumed_params, resumed, resumed_rng, 4)
    assert same(everything(resumed_params, resumed, resumed_rng), everything(params, opt, rng))


@in_both
def test_groups_with_their_own_settings_are_resumed(tmp_path, suffix):
    def make():
        w, b = np.ones((2, 3)), np.zeros(3, np.float32)
        return [w, b], gd.Adam([{"params": [w], "lr": 0.5}, {"params": b, "weight_decay": 0.1}], lr=0.1)

    (params, opt), (others, other) = make(), make()
    opt.step([[np.ones((2, 3))], None])
    gd.save(tmp_path / f"run{suffix}", params, opt.state_dict())
    gd.load(tmp_path / f"run{suffix}", others, other)
    assert same(others, params)
    assert same(other.state_dict(), opt.state_dict())


@in_both
def test_loading_without_targets_makes_all_anew(tmp_path, suffix, run):
    params, opt, rng = run
    path = tmp_path / f"run{suffix}"
    gd.save(path, params, opt, rng=rng, epoch=2, metadata={"names": ("a", None)})
    loaded = gd.load(path)
    assert same([loaded.params, loaded.optimizer, loaded.rng.bit_generator.state], everything(params, opt, rng))
    assert (loaded.epoch, loaded.metadata) == (2, {"names": ("a", None)})
    gd.save(path, params)
    bare = gd.load(path)
    assert (bare.optimizer, bare.rng, bare.epoch, bare.metadata) == (None, None, None, None)


@in_both
def test_loading_is_in_place(tmp_path, suffix, run):
    params, opt, rng = run
    gd.save(tmp_path / f"run{suffix}", params, opt, rng=rng)
    view, slot, draw = params["layers"][0]["w"][2:4].T, opt.state["layers.0.w"]["m"], rng.integers
    before, twin = (view.copy(), slot.copy()), copy.deepcopy(rng)
    train(params, opt, rng, 1)
    gd.load(tmp_path / f"run{suffix}", params, opt, rng)
    assert same((view.copy(), slot.copy()), before)
    assert draw(2**40) == twin.integers(2**40)


@in_both
def test_a_generator_made_anew_draws_what_the_old_one_would(tmp_path, suffix):
    rng = np.random.default_rng(3)
    gd.save(tmp_path / f"run{suffix}", [], rng=rng)
    assert same(gd.load(tmp_path / f"run{suffix}").rng.standard_normal(9), rng.standard_normal(9))


STORED = {
    ".npz": hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes(sizes=(16, 32, 64))
    | hnp.complex_number_dtypes(sizes=(64, 128))
    | hnp.unicode_string_dtypes(min_len=1),
    ".safetensors": hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="<")
    | hnp.unsigned_integer_dtypes(endianness="<")
    | hnp.floating_dtypes(sizes=(16, 32, 64), endianness="<"),
}
# Without dots and digits, so that no two arrays come to be of one name.
NAMES = st.text(st.characters(exclude_categories=("C", "Z", "N"), exclude_characters=".-"), min_size=1, max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=5)
    | st.integers(-(2**4096) + 1, 2**4096 - 1)
    | hnp.from_dtype(np.dtype(np.float32))
    | hnp.from_dtype(np.dtype(np.float16))
    | hnp.from_dtype(np.dtype(">i8"))
    | hnp.from_dtype(np.dtype(bool))
    | st.builds(np.float64, st.floats())
    | st.builds(np.str_, st.text(max_size=5))
)


def arrays(suffix):
    """Return arrays of all dtypes, of values that are any bits, with strides of both orders and of steps."""
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)

    @st.composite
    def draw(draw):
        array = draw(hnp.arrays(draw(STORED[suffix]), draw(shapes)))
        layout = draw(st.sampled_from(["C", "F", "reversed"]))
        return np.asarray(np.flip(array)) if layout == "reversed" else np.asarray(array, order=layout)

    return draw()


def trees(leaves):
    keys = NAMES | st.integers(-5, 5) | st.sampled_from(["$array", "$tuple", "a\\b", "../x"])
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(keys, inner, max_size=3)
        ),
        max_leaves=8,
    )


WHOLE = {suffix: st.tuples(trees(arrays(suffix)), trees(arrays(suffix) | SCALARS)) for suffix in SUFFIXES}


@in_both
@given(data=st.data())
def test_what_is_saved_comes_back(tmp_path_factory, suffix, data):
    path = tmp_path_factory.mktemp("run") / f"run{suffix}"
    params, metadata = data.draw(WHOLE[suffix])
    gd.save(path, params, metadata=metadata)
    loaded = gd.load(path)
    assert same(loaded.params, params)
    assert same(loaded.metadata, metadata)


@in_both
def test_no_bit_of_a_float_changes(tmp_path, suffix):
    every_half = np.arange(2**16, dtype=np.uint16).view(np.float16)  # all payloads of nan, both zeros
    words = np.random.default_rng(0).integers(2**64, size=1000, dtype=np.uint64)
    special = np.array([0x7FF0000000000001, 0xFFF8000000000123, 1 << 63], np.uint64)
    params = [every_half, words.view(np.float64), special.view(np.float64)]
    gd.save(tmp_path / f"run{suffix}", params, metadata=[-0.0, math.inf, 5e-324])
    loaded = gd.load(tmp_path / f"run{suffix}")
    assert same(loaded.params, params)
    assert same(loaded.metadata, [-0.0, math.inf, 5e-324])


@in_both
def test_arrays_come_back_in_c_order(tmp_path, suffix):
    x = np.arange(24.0).reshape(2, 3, 4)
    gd.save(tmp_path / f"run{suffix}", [x.T, x[:, ::2], np.asfortranarray(x), np.broadcast_to(1.0, (3, 2))])
    assert all(
        array.flags.c_contiguous and array.flags.writeable for array in gd.load(tmp_path / f"run{suffix}").params
    )


@in_both
def test_containers_of_other_kinds_come_back_plain(tmp_path, suffix):
    Layer = namedtuple("Layer", "w b")
    gd.save(tmp_path / f"run{suffix}", Layer(np.ones(1), np.zeros(2)), metadata=OrderedDict(a=1))
    loaded = gd.load(tmp_path / f"run{suffix}")
    assert same(loaded.params, (np.ones(1), np.zeros(2)))
    assert same(loaded.metadata, {"a": 1})


@in_both
def test_a_file_mapped_to_memory_is_saved_as_an_array(tmp_path, suffix):
    mapped = np.memmap(tmp_path / "data", np.float32, "w+", shape=(2, 3))
    mapped[:] = 3
    gd.save(tmp_path / f"run{suffix}", {"w": mapped})
    mapped[:] = 0
    gd.load(tmp_path / f"run{suffix}", {"w": mapped})
    assert (mapped == 3).all()


def test_numpy_opens_the_npz(tmp_path, run):
    params, opt, _ = run
    gd.save(tmp_path / "run.npz", params, opt, metadata={"names": np.array(["é", "x"])})
    with np.load(tmp_path / "run.npz") as archive:
        assert same(archive["params.layers.0.w"], params["layers"][0]["w"])
        assert same(archive["params.scale.1"], params["scale"][1])
        assert same(archive["optimizer.state.layers.1.w.v"], opt.state["layers.1.w"]["v"])
        assert archive["metadata.names"].tolist() == ["é", "x"]
        index = json.loads(archive["checkpoint.json"])
        assert {f"{name}.npy" for name in index["arrays"]} == set(archive.zip.namelist()) - {"checkpoint.json"}


def test_the_library_opens_the_safetensors(tmp_path, run):
    safetensors = pytest.importorskip("safetensors.numpy")
    params, opt, _ = run
    path = tmp_path / "run.safetensors"
    every = [np.ones(3, dtype) for dtype in "?bBhHiIlLefd"]
    gd.save(path, params, opt, metadata=every)
    loaded = safetensors.load_file(path)
    assert same(loaded["params.layers.0.w"], params["layers"][0]["w"])
    assert same(loaded["params.scale.1"], params["scale"][1])
    assert same(loaded["optimizer.state.layers.1.w.v"], opt.state["layers.1.w"]["v"])
    assert same([loaded[f"metadata.{index}"] for index in range(len(every))], every)
    with safetensors.safe_open(path, "np") as file:
        assert json.loads(file.metadata()["gdcore"])["arrays"].keys() == loaded.keys()
    with path.open("rb") as file:  # programs that map the file to memory count on aligned data
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    assert length % 8 == 0
    assert all(header[name]["data_offsets"][0] % array.itemsize == 0 for name, array in loaded.items())


@in_both
def test_equal_contents_make_equal_files(tmp_path, suffix, run):
    params, opt, rng = run
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        gd.save(path, params, opt, rng=rng, metadata={"a": 1})
    assert paths[0].read_bytes() == paths[1].read_bytes()


@in_both
def test_one_array_alone_is_a_tree(tmp_path, suffix):
    gd.save(tmp_path / f"run{suffix}", np.arange(3))
    target = np.zeros(3, np.int64)
    gd.load(tmp_path / f"run{suffix}", target)
    assert same(target, np.arange(3))


MATRIX = np.ones((1, 1)).view(np.matrix)
BAD = {
    "a number for an array": ({"w": 1.0}, None, TypeError, r"params\['w'\]: expected a NumPy array, got float"),
    "none for an array": ([None], None, TypeError, r"params\['0'\]: expected a NumPy array, got NoneType"),
    "a pair as key": ({"w": {(1, 2): 3}}, None, TypeError, r"params\['w'\]: expected keys .* got \(1, 2\)"),
    "a truth as key": ([], {True: 3}, TypeError, r"metadata: expected keys of type str or int, got True"),
    "two of one name": (
        {"a.b": np.ones(1), "a": {"b": np.ones(1)}},
        None,
        ValueError,
        r"params\['a.b'\]: .* twice",
    ),
    "a newline in a name": ({"a\n": np.ones(1)}, None, ValueError, r"printable"),
    "half a character": ({"\ud800": np.ones(1)}, None, ValueError, r"printable"),
    "a long name": ({"a" * 70_000: np.ones(1)}, None, ValueError, r"at most 60000"),
    "objects": ({"w": np.array([None])}, None, TypeError, r"params\['w'\]: expected a dtype .* got object \(1,\)"),
    "a mask": ([np.ma.ones(3)], None, TypeError, r"params\['0'\]: expected .* got MaskedArray"),
    "a matrix": (MATRIX, None, TypeError, r"params: expected .* got matrix"),
    "records": (np.zeros(2, "f4,f8"), None, TypeError, r"params: expected a dtype"),
    "dates": ([], {"a.b": np.zeros(2, "M8[s]")}, TypeError, r"metadata\['a.b'\]: expected a dtype"),
    "bytes": ([], {"model": {"x": b""}}, TypeError, r"metadata\['model.x'\]: expected .* got bytes"),
    "a set": ([], {1}, TypeError, r"metadata: expected .* got set"),
    "a complex number": ([], [1j], TypeError, r"metadata\['0'\]: expected .* got complex"),
    "a function": ([], {"f": len}, TypeError, r"metadata\['f'\]: expected .* got builtin_function_or_method"),
    "a huge integer": ([], {"n": 2**4096}, ValueError, r"metadata\['n'\]: expected an integer of at most 4096"),
}
if np.dtype(np.longdouble).itemsize > 8:
    BAD["long doubles"] = ([], np.zeros(1, np.longdouble), TypeError, r"metadata: expected a dtype")
    BAD["a long double"] = ([], [np.longdouble(1)], TypeError, r"metadata\['0'\]: expected .* got longdouble")


@in_both
@pytest.mark.parametrize(("params", "metadata", "kind", "match"), BAD.values(), ids=BAD)
def test_what_cannot_be_saved_is_refused_before_writing(tmp_path, suffix, params, metadata, kind, match):
    path = tmp_path / f"run{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(kind, match=match):
        gd.save(path, params, metadata=metadata)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("array", [np.zeros(1, ">f4"), np.zeros(1, complex), np.array("text")])
def test_what_only_the_npz_holds_is_refused_by_the_other(tmp_path, array):
    with pytest.raises(TypeError, match=r"metadata\['x'\]: expected a dtype that \*.safetensors holds, got"):
        gd.save(tmp_path / "run.safetensors", [], metadata={"x": array})
    gd.save(tmp_path / "run.npz", [], metadata={"x": array})
    assert same(gd.load(tmp_path / "run.npz").metadata, {"x": array})


def nested(depth):
    tree = 0
    for _ in range(depth):
        tree = [tree]
    return tree


@in_both
def test_a_tree_is_of_100_levels_at_most(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    endless = []
    endless.append(endless)
    for tree in (nested(101), endless, {"a": nested(100)}):
        with pytest.raises(ValueError, match=r"metadata.*: expected at most 100 levels"):
            gd.save(path, [], metadata=tree)
    for tree in (nested(100), {5: nested(99)}):
        gd.save(path, [], metadata=tree)
        assert same(gd.load(path).metadata, tree)


@in_both
@pytest.mark.parametrize(
    ("given", "kind", "match"),
    [
        ({"optimizer": 3}, TypeError, "optimizer: expected an optimizer or its state dict, got int"),
        ({"rng": np.random.RandomState(0)}, TypeError, "rng: expected a numpy.random.Generator, got RandomState"),
        ({"rng": 0}, TypeError, "rng: expected a numpy.random.Generator, got int"),
        ({"epoch": -1}, ValueError, "epoch: expected an int >= 0, got -1"),
        ({"epoch": True}, TypeError, "epoch: expected an int >= 0, got True"),
        ({"epoch": 1.0}, TypeError, "epoch: expected an int >= 0, got 1.0"),
    ],
)
def test_bad_arguments_are_refused_before_writing(tmp_path, suffix, given, kind, match):
    with pytest.raises(kind, match=match):
        gd.save(tmp_path / f"run{suffix}", [np.ones(1)], **given)
    assert not list(tmp_path.iterdir())


def test_bits_from_elsewhere_are_refused(tmp_path):
    class Mine(np.random.PCG64):
        pass

    with pytest.raises(TypeError, match=r"rng: expected one of PCG64, .*, got Mine"):
        gd.save(tmp_path / "run.npz", [], rng=np.random.Generator(Mine(0)))


@pytest.mark.parametrize("name", ["run", "run.pt", "run.npz.gz"])
def test_another_name_is_refused(tmp_path, name):
    for use in (gd.load, check_path, lambda path: gd.save(path, [])):
        with pytest.raises(ValueError, match=r"path: expected a file named \*.npz or \*.safetensors, got"):
            use(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_check_path_says_what_save_would(tmp_path):
    check_path(tmp_path / "run.NPZ")
    with pytest.raises(FileNotFoundError, match="expected a directory that exists"):
        check_path(tmp_path / "absent/run.npz")
    assert not list(tmp_path.iterdir())


@in_both
def test_a_file_that_is_not_there_is_no_checkpoint_error(tmp_path, suffix):
    with pytest.raises(FileNotFoundError):
        gd.load(tmp_path / f"run{suffix}")


def other_params(change):
    params = new_params()
    change(params)
    return params


def read_only(params):
    params["scale"][0].flags.writeable = False


MISFITS = {
    "dtype": (
        lambda params: params["layers"][0].update(w=np.zeros((7, 5), np.float32)),
        r"params\['layers.0.w'\]: expected float32 \(7, 5\) as in the parameters, got float64 \(7, 5\) in .*run",
    ),
    "byte order": (lambda params: params["layers"][0].update(w=np.zeros((7, 5), ">f8")), r"expected >f8 \(7, 5\)"),
    "shape": (
        lambda params: params.update(scale=(np.ones(2), np.ones(3))),
        r"params\['scale.0'\]: expected float64",
    ),
    "missing": (lambda params: params.pop("scale"), r"run.*: params\['scale'\]: expected no such key"),
    "unknown": (lambda params: params.update(more=np.ones(1)), r"run.*: params\['more'\]: expected in the tree"),
    "leaf, not branch": (lambda params: params.update(scale=np.ones(1)), r"params\['scale'\]: .* got tuple"),
    "branch, not leaf": (lambda params: params["layers"][0].update(w=[np.ones(1)]), r"expected a list or tuple"),
    "read-only": (read_only, r"params\['scale.0'\]: expected a writeable array"),
    "mask": (lambda params: params.update(scale=(np.ma.ones(1), 0)), r"params\['scale.0'\]: .* without a mask"),
}


@in_both
@pytest.mark.parametrize(("change", "match"), MISFITS.values(), ids=MISFITS)
def test_a_checkpoint_of_other_parameters_touches_nothing(tmp_path, suffix, run, change, match):
    params, opt, rng = run
    gd.save(tmp_path / f"run{suffix}", params, opt, rng=rng)
    train(params, opt, rng, 1)
    targets = other_params(change)
    before = everything(targets, opt, rng)
    with pytest.raises((TypeError, ValueError), match=match):
        gd.load(tmp_path / f"run{suffix}", targets, opt, rng)
    assert same(everything(targets, opt, rng), before)


@in_both
def test_a_checkpoint_of_another_optimizer_or_generator_touches_nothing(tmp_path, suffix, run):
    params, opt, rng = run
    path = tmp_path / f"run{suffix}"
    other_rng, other_opt = np.random.Generator(np.random.MT19937(0)), gd.SGD(params, lr=0.1)
    before = everything(params, opt, rng)
    refused = [
        (opt, other_rng, r"rng: expected MT19937 as in the generator, got PCG64 in .*run"),
        (opt, 5, r"rng: expected a numpy.random.Generator, got int"),
        (other_opt, rng, r"state_dict\['rule'\]: expected 'sgd', got 'adam'"),
        (gd.Adam(params["layers"], lr=0.1), rng, r"state_dict\['groups'\]"),
        ("adam", rng, r"optimizer: expected an optimizer, got str"),
    ]
    gd.save(path, like(params, rng), gd.AdamW(params, lr=0.01).state_dict(), rng=np.random.default_rng(1))
    before = everything(params, opt, rng)
    for wrong_opt, wrong_rng, match in refused:
        with pytest.raises((TypeError, ValueError), match=match):
            gd.load(path, params, wrong_opt, wrong_rng)
    gd.save(path, like(params, np.random.default_rng(0)))
    for name, target in (("optimizer", opt), ("rng", rng)):
        with pytest.raises(ValueError, match=f"{name}: expected its state in .*run"):
            gd.load(path, params, **{name: target})
    assert same(everything(params, opt, rng), before)


@in_both
def test_any_object_with_a_state_dict_will_do(tmp_path, suffix):
    class Mine:
        def state_dict(self):
            return {"v": np.arange(3)}

        def load_state_dict(self, state_dict):
            self.loaded = state_dict

    mine = Mine()
    gd.save(tmp_path / f"run{suffix}", [], mine)
    gd.load(tmp_path / f"run{suffix}", optimizer=mine)
    assert same(mine.loaded, {"v": np.arange(3)})


# A line is also where a "with" ends: the file is then closed only when nothing refers to it.
leaves_open = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def interrupted(use, at):
    """Return whether ``use()`` was interrupted: by Ctrl-C as it came to its ``at``-th line of gdcore."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if "gdcore" not in frame.f_globals.get("__name__", ""):
            return None
        lines += event == "line"
        if lines == at:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        use()
    except (KeyboardInterrupt, ValueError) as error:  # zipfile raises another while a member is being closed
        if not isinstance(error, KeyboardInterrupt) and not isinstance(error.__context__, KeyboardInterrupt):
            raise
        return True
    finally:
        sys.settrace(before)
    return False


@in_both
@leaves_open
def test_an_interrupt_at_any_line_of_load_leaves_all_or_nothing(tmp_path, suffix):
    params, rng = {"w": np.ones(2), "b": [np.zeros(1)]}, np.random.default_rng(0)
    opt = gd.Adam(params, lr=0.1)
    old = everything(params, opt, rng)
    train(params, opt, rng, 2)
    new = everything(params, opt, rng)
    gd.save(tmp_path / f"new{suffix}", params, opt, rng=rng)
    seen, at, again = set(), 0, True
    while again:
        opt.load_state_dict(old[1])
        rng.bit_generator.state = old[2]
        params["w"][:], params["b"][0][:] = 1, 0
        at += 1
        again = interrupted(lambda: gd.load(tmp_path / f"new{suffix}", params, opt, rng), at)
        now = everything(params, opt, rng)
        assert same(now, old) or same(now, new)
        seen.add((again, same(now, new)))
    assert {(True, False), (False, True)} <= seen
    assert at > 100


@in_both
@leaves_open
def test_an_interrupt_at_any_line_of_save_leaves_the_old_file_or_the_new(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    seen, at, again = set(), 0, True
    while again:
        gd.save(path, [np.zeros(2)], epoch=0)
        at += 1
        again = interrupted(lambda: gd.save(path, [np.ones(2)], epoch=1), at)
        loaded = gd.load(path)
        assert loaded.params[0].tolist() == [loaded.epoch] * 2
        assert list(tmp_path.iterdir()) == [path]
        seen.add((again, loaded.epoch))
    assert {(True, 0), (False, 1)} <= seen
    assert at > 50


@in_both
def test_parameters_that_are_not_the_optimizers_are_neither_saved_nor_set(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    p, q = {"w": np.zeros(2), "b": np.zeros(1)}, {"w": np.ones(2), "b": np.ones(1)}
    opt = gd.Adam(p)
    said = r"params\['w'\]: expected the array that the optimizer was made for, got another"
    with pytest.raises(ValueError, match=said):
        gd.save(path, q, opt)
    assert not path.exists()
    gd.save(path, q, opt.state_dict())  # who means it
    gd.save(path, {"model": p, "average": q}, opt)
    gd.save(path, p, opt)
    with pytest.raises(ValueError, match=said):
        gd.load(path, q, opt)
    assert q["w"].tolist() == [1, 1]
    gd.load(path, p, opt)
    frozen = gd.Adam({"w": p["w"]})
    gd.save(path, p, frozen)
    gd.load(path, p, frozen)
    p["w"] = np.ones(2)
    with pytest.raises(ValueError, match=said):
        gd.save(path, p, frozen)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@in_both
def test_what_would_be_waited_for_is_no_checkpoint(tmp_path, suffix):
    pipe, device = tmp_path / f"pipe{suffix}", tmp_path / f"device{suffix}"
    os.mkfifo(pipe)
    device.symlink_to("/dev/zero")
    for path in (pipe, device):
        with pytest.raises(OSError, match="expected a regular file, got a device or a pipe"):
            gd.load(path)
