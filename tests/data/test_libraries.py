"""The libraries themselves, which the extra data brings: `pytest -m libraries` trains on their samples."""

import numpy as np
import pandas  # noqa: F401  # as test_columns does, before it is asked for names
import pytest

import gdcore as gd

from .line import X, Y, outputs, trained, value_and_grad

pytestmark = pytest.mark.libraries


def of_torch(array, _):
    import torch

    return torch.from_numpy(array)


def of_jax(array, _):
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.numpy.asarray(array)


def of_h5py(array, folder):
    import h5py

    with h5py.File(folder / f"{array.ndim}.h5", "w") as file:
        file.create_dataset("a", data=array, chunks=(7, *array.shape[1:]) if array.ndim == 2 else None)
    return h5py.File(folder / f"{array.ndim}.h5")["a"]


def of_zarr(array, folder):
    import zarr

    chunks = (7, *array.shape[1:])
    place = folder / f"{array.ndim}.zarr"
    stored = zarr.open_array(str(place), mode="w", shape=array.shape, chunks=chunks, dtype=array.dtype)
    stored[:] = array
    return stored


def of_xarray(array, _):
    import xarray

    return xarray.DataArray(array)


def of_dask(array, _):
    import dask.array

    return dask.array.from_array(array, chunks=7)


def of_xarray_in_chunks(array, folder):
    import xarray

    return xarray.DataArray(of_dask(array, folder))


KINDS = {
    "torch": of_torch,
    "jax": of_jax,
    "h5py": of_h5py,
    "zarr": of_zarr,
    "xarray": of_xarray,
    "dask": of_dask,
    "xarray in chunks": of_xarray_in_chunks,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [{}, {"validation": 0.2}, {"prefetch": 2}, {"batch_size": None}], ids=str)
def test_the_samples_of_a_library_are_trained_on_as_arrays_are(kind, changed, tmp_path):
    data = tuple(KINDS[kind](array, tmp_path) for array in (X, Y))
    changed = changed | {"metrics": {"rmse": gd.metrics.rmse(outputs), "r2": gd.metrics.r2(outputs)}}
    got, told = trained(data, **changed)
    expected, history = trained((X, Y), **changed)
    np.testing.assert_array_equal(got, expected)
    assert told["loss"] == history["loss"]
    assert told["r2"] == history["r2"]


@pytest.mark.parametrize("kind", ["torch", "xarray"])
def test_what_is_in_memory_is_not_copied(kind, tmp_path):
    (batch,) = next(gd.minibatches(KINDS[kind](Y, tmp_path), batch_size=200, rng=None, shuffle=False))
    assert np.shares_memory(batch, Y)


def loader(**changed):
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(of_torch(X, None), of_torch(Y, None)), batch_size=10, **changed)


def test_a_dataloader_is_trained_on_and_watched():
    import torch

    watched = loader(generator=torch.Generator())  # each pass draws from a generator
    torch.manual_seed(0)
    metrics = {"rmse": gd.metrics.rmse(outputs)}
    got, history = trained(loader(shuffle=True), batch_size=None, validation=watched, metrics=metrics)
    torch.manual_seed(0)
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    optimizer = gd.Adam(params, lr=0.05)
    batches = loader(shuffle=True)
    for _ in range(3):
        for x, y in batches:
            optimizer.step(value_and_grad(params, x.numpy(), y.numpy())[1])
    np.testing.assert_array_equal(got, np.append(params["w"], params["b"]))
    assert history[-1]["validation_rmse"] == pytest.approx(np.sqrt(np.mean((outputs(params, X) - Y) ** 2)))


def test_what_is_no_plain_memory_of_the_cpu_is_refused_with_the_call_that_is_missing():
    import torch

    for tensor, missing in (
        (of_torch(X, None).requires_grad_(), "detach"),
        (torch.zeros(101, 3, device="meta"), "cpu"),
        (of_torch(X, None).to(torch.bfloat16), "BFloat16"),
    ):
        with pytest.raises(TypeError, match=rf"data\[0\]: expected what NumPy can read, got Tensor: .*{missing}"):
            trained((tensor, Y))


def test_a_loader_of_nested_samples_gives_nested_batches():
    from torch.utils.data import DataLoader

    def nested(params, parts, y):
        return value_and_grad(params, np.concatenate(parts, axis=1), y)

    samples = DataLoader([((x[:1], x[1:]), y) for x, y in zip(X, Y, strict=True)], batch_size=10)
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    gd.fit(nested, params, samples, gd.Adam(params, lr=0.05), epochs=3)
    np.testing.assert_array_equal(np.append(params["w"], params["b"]), trained(loader(), batch_size=None)[0])


def test_texts_in_a_file_and_what_is_closed_are_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["s"] = X, ["a"] * 101
        with pytest.raises(TypeError, match=r"data\[1\]: expected numbers, got Dataset of object; encode it"):
            trained((file["x"], file["s"]))
        x = file["x"]
    with pytest.raises(ValueError, match=r"data\[0\]: expected what NumPy can read, got Dataset: .*identifier"):
        trained((x, Y))


def test_a_dataset_is_refused_with_the_loader_that_is_missing():
    with pytest.raises(
        TypeError, match=r"data: expected a tuple of arrays, got TensorDataset; .* as a DataLoader is"
    ):
        trained(loader().dataset, batch_size=None)


def test_a_dataset_of_xarray_is_refused_with_what_is_missing():
    import xarray

    with pytest.raises(TypeError, match=r"data\[0\]: .* got Dataset: .*DataArray"):
        trained((xarray.Dataset({"x": of_xarray(X, None)}), Y))


def test_the_rate_falls_where_torchs_does():
    import torch

    losses = np.round(np.random.default_rng(8).exponential(1.0, 200), 2) / np.arange(1, 201) ** 0.2
    for larger, patience in ((False, 3), (True, 1)):
        optimizer = gd.SGD(np.zeros(1), lr=1.0)
        reduce = gd.ReduceOnPlateau(optimizer, factor=0.5, patience=patience, larger_is_better=larger, min_lr=1e-3)
        theirs = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            theirs, mode="max" if larger else "min", factor=0.5, patience=patience, min_lr=1e-3, eps=0
        )
        for epoch, loss in enumerate(losses):
            reduce({"epoch": epoch, "loss": float(loss)}, None)
            scheduler.step(float(loss))
            assert optimizer.lr == theirs.param_groups[0]["lr"]
