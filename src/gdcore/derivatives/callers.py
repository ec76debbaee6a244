"""Who asks for a plain number or an array of a traced value: a text that is printed, or a function of SciPy's own.

Some of SciPy's functions, such as ``scipy.integrate.simpson``, compute with arrays of objects and so go through
gates; those named here end in an error of theirs that does not say why.
"""

from opcode import opmap
from typing import Any, Final

OWN: Final = {
    "special": {"logsumexp", "log_softmax", "polygamma", "multigammaln", "zeta"},
    "linalg": {
        "cho_factor", "cho_solve", "cholesky", "det", "expm", "inv", "solve", "solve_banded", "solve_sylvester",
        "solve_triangular", "sqrtm",
    },
    "signal": {"fftconvolve", "oaconvolve"},
    "integrate": {"odeint", "solve_ivp"},
    "optimize": {"fixed_point", "root", "root_scalar"},
}  # fmt: skip
"""Functions that gd.scipy has by the same name, and that take no arrays of objects."""
BINARY_OP: Final = opmap["BINARY_OP"]
REMAINDERS: Final = {6, 19}
"""What Python's own code says of ``%`` and ``%=``."""
DISTRIBUTIONS: Final = {"scipy.stats._distn_infrastructure", "scipy.stats._multivariate"}


def is_printing(frame: Any) -> bool:
    """Return whether ``frame`` is at ``text % x``: but for a text, no operand asks the other one for a number."""
    code, at = frame.f_code.co_code, frame.f_lasti
    return bool(code[at] == BINARY_OP and code[at + 1] in REMAINDERS)


def refuse_sparse(frame: Any) -> None:
    """Raise TypeError if ``frame`` is in a function of scipy.sparse that is no product: it takes numbers alone."""
    module, name = str(frame.f_globals.get("__name__")), frame.f_code.co_name
    if module.startswith("scipy.sparse") and name != "dot":
        raise TypeError(
            "scipy.sparse: expected plain values, as a gradient would be lost, got a traced one; X @ w is "
            "differentiated by w, X.toarray() is dense, and gd.gate makes a gate of another function"
        )


def refuse_scipys_own(frame: Any) -> None:
    """Raise TypeError if ``frame`` is in a function of SciPy's that gd.scipy has for traced values."""
    while frame is not None:
        module, name = str(frame.f_globals.get("__name__")), frame.f_code.co_name
        if module.startswith("scipy._lib") and callable(frame.f_locals.get("f")):  # what a decorator has wrapped
            wrapped = frame.f_locals["f"]
            module, name = str(wrapped.__module__), str(getattr(wrapped, "__name__", ""))
        parts = module.split(".")
        if parts[0] not in {"scipy", "numpy"}:
            return
        area = parts[1] if len(parts) > 1 else ""
        if module in DISTRIBUTIONS or (parts[0] == "scipy" and name in OWN.get(area, ())):
            which = "its distributions" if area == "stats" else name
            raise TypeError(
                f"scipy.{area}: expected plain values for {which}, as a gradient would be lost, got a traced one; "
                f"gd.scipy.{area} has the same, differentiated (docs/scipy.md)"
            )
        frame = frame.f_back
