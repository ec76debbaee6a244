"""Columns: the samples of every library are trained on as those of NumPy are."""

import numpy as np
import pytest
from scipy import sparse

import gdcore as gd

from .line import X, Y, outputs, trained, value_and_grad

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")


class Exported:
    """What has nothing but DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Chunked:
    """A dataset in a file, which reads rows in the order of the file alone, as h5py does."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, (10,)
        self.reads = []

    def __getitem__(self, where):
        if not isinstance(where, slice):
            assert (np.diff(where) > 0).all()
        samples = self.array[where].copy()
        self.reads.append(len(samples))
        return samples

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("read at once")


def mapped(array, path):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


KINDS = {
    "lists": lambda array, _: array.tolist(),
    "pandas": lambda array, _: pd.DataFrame(array) if array.ndim == 2 else pd.Series(array),
    "polars": lambda array, _: pl.DataFrame(array) if array.ndim == 2 else pl.Series(array),
    "memory maps": lambda array, folder: mapped(array, folder / f"{array.ndim}.npy"),
    "DLPack": lambda array, _: Exported(array),
    "a file": lambda array, _: Chunked(array),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [{}, {"validation": 0.2}, {"prefetch": 2}, {"batch_size": None}], ids=str)
def test_every_kind_of_samples_is_trained_on_as_arrays_are(kind, changed, tmp_path):
    data = tuple(KINDS[kind](array, tmp_path) for array in (X, Y))
    changed = changed | {"metrics": {"rmse": gd.metrics.rmse(outputs), "r2": gd.metrics.r2(outputs)}}
    got, told = trained(data, **changed)
    expected, history = trained((X, Y), **changed)
    np.testing.assert_allclose(got, expected, rtol=1e-12)  # the columns of frames lie one behind the other
    for key in history.to_dict().keys() - {"seconds"}:
        np.testing.assert_allclose(told[key], history[key], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_minibatches_take_every_kind(kind, tmp_path):
    def batches(*arrays):
        return gd.minibatches(*arrays, batch_size=10, rng=np.random.default_rng(3))

    data = tuple(KINDS[kind](array, tmp_path) for array in (X, Y))
    for got, expected in zip(batches(*data), batches(X, Y), strict=True):
        for part, whole in zip(got, expected, strict=True):
            assert type(part) is np.ndarray
            np.testing.assert_array_equal(part, whole)


@pytest.mark.parametrize("make", [pd.Series, pl.Series, Exported], ids=["pandas", "polars", "DLPack"])
def test_what_numpy_can_read_is_not_copied(make):
    held = make(Y)
    own = Y if make is Exported else held.to_numpy()
    (batch,) = next(gd.minibatches(held, batch_size=200, rng=None, shuffle=False))
    assert np.shares_memory(batch, own)


@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_bools_and_missing_values_beside_numbers_are_numbers(library):
    frame = library.DataFrame({"a": [1.5, 2.5], "b": [True, False], "c": [3, 4]})
    if library is pd:
        frame["d"] = pd.array([1, None], dtype="Int64")
    (batch,) = next(gd.minibatches(frame, batch_size=2, rng=None, shuffle=False))
    np.testing.assert_array_equal(
        batch, [[1.5, 1, 3, 1], [2.5, 0, 4, np.nan]] if library is pd else [[1.5, 1, 3], [2.5, 0, 4]]
    )
    series = library.Series([True, None, False], dtype="boolean" if library is pd else pl.Boolean)
    (batch,) = next(gd.minibatches(series, batch_size=3, rng=None, shuffle=False))
    np.testing.assert_array_equal(batch, [1, np.nan, 0])


def test_of_a_file_a_batch_is_read_at_a_time():
    x, y = Chunked(X), Chunked(Y)
    trained((x, y))
    assert max(x.reads) == 10
    assert sum(x.reads) == 3 * len(X)


class Watched(np.memmap):
    """A memory map that refuses to be read in another order than its own."""

    def __getitem__(self, where):
        assert isinstance(where, slice) or (np.diff(where) > 0).all()
        return super().__getitem__(where)


def test_a_memory_map_is_read_in_its_own_order(tmp_path):
    mapped(X, tmp_path / "x.npy")
    x = Watched(
        tmp_path / "x.npy", X.dtype, "r", shape=X.shape, offset=(tmp_path / "x.npy").stat().st_size - X.nbytes
    )
    np.testing.assert_array_equal(trained((x, Y))[0], trained((X, Y))[0])


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array, sparse.csc_matrix])
@pytest.mark.parametrize("changed", [{}, {"validation": 0.2}, {"shuffle": False, "patience": 2}], ids=str)
def test_sparse_rows_are_trained_on_as_dense_ones(make, changed):
    x = np.where(abs(X) > 0.7, X, 0.0)
    changed = changed | {"metrics": {"rmse": gd.metrics.rmse(outputs), "r2": gd.metrics.r2(outputs)}}
    got, told = trained((make(x), Y), **changed)
    expected, history = trained((x, Y), **changed)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert told.best["epoch"] == history.best["epoch"]


def test_batches_of_a_sparse_matrix_are_csr():
    for x, y in gd.minibatches(sparse.coo_array(X), Y, batch_size=10, rng=np.random.default_rng(0)):
        assert x.format == "csr"
        assert x.shape == (len(y), 3)


def test_a_run_on_a_file_or_a_sparse_matrix_is_resumed_and_others_are_refused(tmp_path):
    for number, kind in enumerate((Chunked, sparse.csr_array)):
        path = tmp_path / f"{number}.npz"
        trained((kind(X), Y), checkpoint=path, epochs=2)
        got, _ = trained((kind(X), Y), checkpoint=path, resume=True)
        np.testing.assert_array_equal(got, trained((kind(X), Y))[0])
        with pytest.raises(ValueError, match="checkpoint: expected a run with data"):
            trained((kind(X + 1), Y), checkpoint=path, resume=True)


def test_memory_of_a_batch_is_used_again_once_nothing_holds_it():
    batches = gd.minibatches(np.arange(800.0).reshape(100, 8), batch_size=10, rng=np.random.default_rng(0))
    addresses = {batch.ctypes.data for (batch,) in batches}
    assert len(addresses) <= 2


def test_a_batch_that_somebody_holds_or_views_stays_as_it_is():
    x = np.arange(200.0).reshape(100, 2)
    kept, views, copies = [], [], []
    for index, (batch,) in enumerate(gd.minibatches(x, batch_size=10, rng=np.random.default_rng(0))):
        (kept if index % 2 else views).append(batch if index % 2 else batch[3:, 1])
        copies.append(batch.copy())
    for index, copy in enumerate(copies):
        held = kept[index // 2] if index % 2 else views[index // 2]
        np.testing.assert_array_equal(held, copy if index % 2 else copy[3:, 1])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", ">f4", "?", "i2", "U3", "M8[s]", object])
def test_shuffled_batches_have_the_samples_of_their_order(order, dtype):
    x = np.arange(46).reshape(23, 2).astype("i8" if dtype == "M8[s]" else dtype).astype(dtype, order=order)
    where = np.random.default_rng(5).permutation(23)
    parts = [batch for (batch,) in gd.minibatches(x, batch_size=5, rng=np.random.default_rng(5))]
    assert {part.dtype for part in parts} == {x.dtype}
    parts = [batch.copy() for (batch,) in gd.minibatches(x, batch_size=5, rng=np.random.default_rng(5))]
    np.testing.assert_array_equal(np.concatenate(parts), x[where])


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (
            pd.DataFrame({"a": [1.0, 2.0], "town": ["x", "y"]}),
            TypeError,
            "column 'town' of (str|object); encode it",
        ),
        (pl.DataFrame({"a": [1.0, 2.0], "town": ["x", "y"]}), TypeError, "column 'town' of String; encode it"),
        (pd.Series(["x", "y"]), TypeError, "expected numbers, got Series of"),
        (pd.DataFrame({"t": pd.date_range("2024", periods=2)}), TypeError, "got column 't' of datetime64"),
        (pd.Series(pd.to_timedelta([1, 2])), TypeError, "expected numbers, got Series of timedelta64"),
        (pl.Series([1, 2]).cast(pl.Datetime), TypeError, "expected numbers, got Series of Datetime"),
        ([1, None], TypeError, "expected numbers, got list of objects"),
        ((x for x in [1.0]), TypeError, r"got generator; np.array\(list\(...\)\) of it is one"),
        ([[1, 2], [3]], ValueError, "expected what NumPy can read, got list: "),
        (pl.LazyFrame({"a": [1]}), TypeError, "or what NumPy can read as one, got LazyFrame"),
        ({"a": [1]}, TypeError, "or what NumPy can read as one, got dict"),
        ("text", TypeError, "or what NumPy can read as one, got str"),
        (sparse.coo_array(np.ones(2)), ValueError, "expected a sparse matrix of samples by features"),
        ([], ValueError, r"expected at least one sample, got shape \(0,\)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_no_samples_is_refused_with_what_is_missing(value, error, said):
    with pytest.raises(error, match=rf"arrays\[0\]: .*{said}"):
        gd.minibatches(value, batch_size=2, rng=None, shuffle=False)


@pytest.mark.parametrize("part", [0.0, 1.0, -0.5, np.nan, 1, 2.5])
def test_a_part_to_hold_out_is_between_0_and_1(part):
    with pytest.raises(ValueError, match="validation: expected"):
        trained((X, Y), validation=part)


@pytest.mark.parametrize("part", [1e-9, 0.2, 0.999999])
def test_a_part_is_drawn_of_which_no_step_sees_any(part):
    seen = set()

    def watching(params, x, y):
        if seen is not None:
            seen.update(y)
        return value_and_grad(params, x, y)

    held = []
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    optimizer = gd.SGD(params, lr=0.01)
    metric = gd.metrics.Metric(lambda _, x, y: (held.append(y), y)[1])
    rng = np.random.default_rng(2)
    gd.fit(value_and_grad, params, (X, Y), optimizer, epochs=1, validation=part, rng=rng, metrics={"m": metric})
    trained_on, watched = map(set, held)
    assert trained_on | watched == set(Y)
    assert not trained_on & watched
    assert len(watched) == min(max(1, round(part * len(Y))), len(Y) - 1)


def test_a_part_needs_a_generator():
    with pytest.raises(TypeError, match=r"rng: expected .* which draws the samples of validation=0.2, got None"):
        trained((X, Y), validation=0.2, rng=None, batch_size=None)
    with pytest.raises(ValueError, match="validation: expected two samples or more to hold a part out, got 1"):
        trained((X[:1], Y[:1]), validation=0.2)
