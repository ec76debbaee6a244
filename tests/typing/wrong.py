"""What type checkers have to report: an error that is not reported is an unused ignore, which is one itself."""

from typing import Any

import numpy as np

import gdcore as gd

params = {"w": np.ones(3)}


def loss(params: dict[str, np.ndarray[Any, Any]], x: np.ndarray[Any, Any], scale: float = 1.0) -> float:
    """Return any loss."""
    return float(np.sum(params["w"] * x)) * scale


def names() -> None:
    """Names that do not exist."""
    gd.Adm(params)  # type: ignore[attr-defined]
    gd.fitt(gd.value_and_grad(loss), params, (), gd.Adam(params))  # type: ignore[attr-defined]
    gd.schedules.cosin(0.1, 10)  # type: ignore[attr-defined]
    gd.updates.adm  # type: ignore[attr-defined]  # noqa: B018
    gd.Adam(params).stepp(params)  # type: ignore[attr-defined]


def optimizers() -> None:
    """Arguments of optimizers."""
    gd.Adam(params, lr="0.1")  # type: ignore[arg-type]
    gd.Adam(params, 1e-3, (0.9, 0.999))  # type: ignore[call-arg]
    gd.Adam(params, betas=0.9)  # type: ignore[arg-type]
    gd.AdamW(params, amsgrad="no")  # type: ignore[arg-type]
    gd.SGD(params, lr=0.1, momentum=0.9)  # type: ignore[call-arg]
    gd.SGD(params)  # type: ignore[call-arg]
    gd.Adam()  # type: ignore[call-arg]
    opt = gd.RMSProp(params)
    opt.t = 3  # type: ignore[misc]
    opt.lr = "fast"  # type: ignore[assignment]


def derivatives() -> None:
    """Derivatives have the parameters of the function."""
    x = np.ones(3)
    gd.value_and_grad(loss)(params)  # type: ignore[call-arg]
    gd.value_and_grad(loss)(params, x, "2")  # type: ignore[arg-type]
    gd.grad(loss)(params, x, scal=2.0)  # type: ignore[call-arg]
    gd.jacobian(loss)(x, x)  # type: ignore[arg-type]
    gd.hessian(loss)(params, x, 1.0, 2.0)  # type: ignore[call-arg]
    gd.hvp(loss)(params, x, x)  # type: ignore[arg-type]
    gd.hvp(loss)(params, params)  # type: ignore[call-arg]
    gd.rematerialise(loss)(params)  # type: ignore[call-arg]
    _, _, _ = gd.value_and_grad(loss)(params, x)  # type: ignore[misc]
    gd.value_and_grad(1.5)  # type: ignore[call-overload]
    gd.gate(np.spacing, 3.0)  # type: ignore[arg-type]
    gd.gate(loss, None)(params)  # type: ignore[call-arg]
    gd.grad(loss, "x")  # type: ignore[call-overload]
    gd.value_and_grad(loss, has_aux=True)  # type: ignore[call-overload]
    gd.jacobian(loss, mode="fwd")  # type: ignore[call-overload]
    gd.vjp(loss)(params)  # type: ignore[call-arg]
    gd.jvp(loss)(params, params)  # type: ignore[call-arg]


def training() -> None:
    """Training."""
    opt, rng = gd.Adam(params), np.random.default_rng(0)
    f, x = gd.value_and_grad(loss), np.ones((3, 3))
    gd.fit(f, params, (x,), opt, epochs="3", batch_size=1, rng=rng)  # type: ignore[arg-type]
    gd.fit(f, params, (x,), opt, epochs=3, batchsize=1, rng=rng)  # type: ignore[call-arg]
    gd.fit(loss, params, (x,), opt, epochs=3, batch_size=1, rng=rng)  # type: ignore[arg-type]
    gd.fit(f, params, (x,), params, epochs=3, batch_size=1, rng=rng)  # type: ignore[arg-type]
    gd.clip_by_value(params, max_value="1")  # type: ignore[arg-type]
