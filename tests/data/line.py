"""A line through points, and a run that finds it."""

import numpy as np

import gdcore as gd

X = np.random.default_rng(0).standard_normal((101, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.3


def value_and_grad(params, x, y):
    r = x @ params["w"] + params["b"] - y
    return np.mean(r**2), {"w": 2 * (x.T @ r) / len(r), "b": np.array(2 * r.mean())}


def outputs(params, x):
    return x @ params["w"] + params["b"]


def trained(data, **changed):
    params = {"w": np.zeros(3), "b": np.array(0.0)}
    arguments = {"epochs": 3, "batch_size": 10, "rng": np.random.default_rng(1)} | changed
    history = gd.fit(value_and_grad, params, data, gd.Adam(params, lr=0.05), **arguments)
    return np.append(params["w"], params["b"]), history
