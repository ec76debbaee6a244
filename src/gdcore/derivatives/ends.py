"""Where a derivative begins and ends: traced values in the places of arrays, and plain arrays out again."""

from typing import Any, Final, NoReturn

import numpy as np

from ..arguments import describe
from ..trees import BRANCHES, Structure, flatten, rebuild
from ._ends import begin, gradients_of, inputs_of
from ._tape import Node, Tape
from ._traced import Traced, real
from .choosing import Places
from .joining import joined
from .refusals import refuse_result

REAL: Final = "biuf"
"""The kinds of dtypes that an array may have for which there is a derivative, if only zero."""
NUMBERS: Final = "iuf"
"""Those of a single number: a truth value has none."""
DTYPES: Final = {np.dtype(t) for t in (np.float32, np.float64, np.complex64, np.complex128)}
LEAVES: Final = {np.ndarray, np.float32, np.float64, np.complex64, np.complex128, Traced}


def traced_inputs(tape: Tape, params: Any, leaves: list[Any], argnums: Places = 0) -> list[Traced]:
    """Return the traced values of the leaves of what is differentiated; raise TypeError for what is no float."""
    usual = inputs_of(tape, leaves)
    if usual is not None:
        return usual
    inputs = []
    for leaf in leaves:
        kind = type(leaf)
        value = leaf
        if kind is float:
            value = np.float64(leaf)
        elif kind is complex:
            value = np.complex128(leaf)
        elif kind is np.memmap:
            value = leaf.view(np.ndarray)
        elif kind not in LEAVES:
            _refuse(params, leaf, argnums)
        if value.dtype not in DTYPES:
            _refuse(params, leaf, argnums)
        if kind is np.ndarray and not value.ndim:
            value = value[()]  # arithmetic is several times faster on NumPy's scalars than on its arrays
        inputs.append(begin(tape, value))
    return inputs


def _refuse(params: Any, leaf: Any, argnums: Places) -> NoReturn:
    where = next(
        f"argument {i}{label}" if i else f"params{label}"
        for i, tree in (zip(argnums, params, strict=True) if isinstance(argnums, tuple) else [(argnums, params)])
        for label, other in zip(Structure(tree, "params").labels, flatten(tree), strict=True)
        if other is leaf
    )
    got = describe(real(leaf))
    hint = ""
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "iub":
        hint = "; convert it with .astype(np.float64)"
    raise TypeError(
        f"{where}: expected an array of float32, float64, complex64 or complex128, a float or a complex, "
        f"got {got}{hint}"
    )


def vectors_like(params: Any, v: Any, what: str, name: str) -> list[Any]:
    """Return the leaves of ``v``, each as an array of the shape and dtype of the same leaf of ``params``.

    Raises TypeError or ValueError for another structure or another shape; the errors name ``v`` as ``what`` says,
    and ``params`` by its ``name``.
    """
    if isinstance(params, BRANCHES):
        structure = Structure(params, name)
        triples = zip(structure.labels, flatten(params), structure.leaves(v, what), strict=True)
    else:
        triples = zip([""], [params], [v], strict=True)
    vectors = []
    for label, leaf, vector in triples:
        x = result(vector)
        shape, got = np.shape(leaf), np.shape(x)
        if shape != got:
            raise ValueError(f"{what}{label}: expected shape {shape}, got {describe(real(x))}")
        dtype = np.result_type(leaf.dtype if isinstance(leaf, Traced) else leaf)
        if type(x) is not Traced and np.asarray(x).dtype.kind not in REAL + ("c" if dtype.kind == "c" else ""):
            raise TypeError(f"{what}{label}: expected an array of real numbers, got {describe(x)}")
        vectors.append(x.astype(dtype) if type(x) is Traced else np.array(x, dtype)[()])
    return vectors


def result(ans: Any) -> Any:
    """Return the result of a function, joined if it is an array of traced values."""
    return joined(ans) if type(ans) is np.ndarray and ans.dtype.char == "O" else ans


def pair(name: str, ans: Any) -> tuple[Any, Any]:
    """Return the result of a function that gives a further one, ``aux``."""
    if not isinstance(ans, tuple) or len(ans) != 2:
        got = f"a tuple of {len(ans)}" if isinstance(ans, tuple) else describe(real(ans))
        raise TypeError(f"{name}: has_aux: expected a function that returns a pair, (result, aux), got {got}")
    return ans


def plain(name: str, tape: Tape, tree: Any) -> Any:
    """Return a tree without the values that ``tape`` traces: their real values, or what outer derivatives trace."""
    leaves = []
    for leaf in flatten(tree):
        x = result(leaf)
        if type(x) is Traced:
            x = x.value if x.tape is tape else x
            refuse_foreign(name, tape.level, x)
        leaves.append(x)
    return rebuild(tree, iter(leaves))


def scalar(name: str, tape: Tape, ans: Any) -> Any:
    """Return a result that is one real number, traced or not: of an array of one element, that element."""
    value = ans.value if type(ans) is Traced and ans.tape is tape else ans
    if isinstance(value, np.floating):
        return ans
    if type(ans) is Traced:
        refuse_foreign(name, tape.level, value)
        if ans.dtype.kind not in NUMBERS:
            refuse_result(name, "a scalar result, one real number", real(ans))
        size, ndim = ans.size, ans.ndim
    else:
        if not isinstance(ans, np.ndarray | np.generic | float | int) or np.asarray(ans).dtype.kind not in NUMBERS:
            refuse_result(name, "a scalar result, one real number", ans)
        size, ndim = np.size(ans), np.ndim(ans)
    if size != 1:
        raise ValueError(f"{name}: expected a scalar result, got {describe(real(ans))}; sum it, or use gd.jacobian")
    if ndim:
        ans = np.reshape(ans, ())
    return ans[()] if isinstance(ans, np.ndarray) else ans


def array_result(name: str, tape: Tape, ans: Any, *, complex_too: bool = False) -> Any:
    """Return a result that is an array of real numbers, or complex ones too; raise TypeError for any other."""
    ans = result(ans)
    if type(ans) is not Traced and not isinstance(ans, np.ndarray | np.generic | float | int | complex):
        raise TypeError(f"{name}: expected an array, got {type(ans).__name__}; np.stack makes one of several")
    if isinstance(ans, np.ndarray | np.generic | Traced) and ans.dtype.kind not in REAL + "c" * complex_too:
        refuse_result(name, "an array of real numbers", real(ans))
    refuse_foreign(name, tape.level, ans.value if type(ans) is Traced and ans.tape is tape else ans)
    return ans


def refuse_foreign(name: str, level: float, x: Any) -> None:
    """Raise ValueError for what is traced, but by no derivative in progress around that of ``level``."""
    while type(x) is Traced:
        if not x.tape.is_open or x.tape.level >= level:
            raise ValueError(
                f"{name}: expected a result that is traced by this derivative, got {describe(real(x))} that has "
                f"escaped from another; a derivative keeps nothing but what its function returns"
            )
        x = x.value


def seed(node: Node, g: Any) -> None:
    """Add ``g`` to the gradient by what came out of ``node``."""
    node.grad = g if node.grad is None else node.grad + g


def own(name: str, tape: Tape, inputs: list[Traced], level: float | None = None) -> list[Any]:
    """Return the gradients by the inputs, each in memory of its own.

    They may be traced by derivatives around that of ``level``, the tape's own if None is given.
    """
    usual = None if tape.foreign else gradients_of(inputs)
    if usual is not None:
        return usual
    grads: list[Any] = []
    seen: set[int] = set()
    for x in inputs:
        g = x.node.grad
        if g is None:
            g = np.zeros(x.shape, x.dtype)
        elif type(g) is np.ndarray:
            # What the pulls of gdcore's gates return is either new or a view: of g, which two of them may share.
            if g.base is not None or id(g) in seen or tape.foreign or not g.flags.c_contiguous:
                g = np.array(g, order="C")
            seen.add(id(g))
        elif type(g) is Traced:
            refuse_foreign(name, tape.level if level is None else level, g)
        else:
            g = np.asarray(g)
        grads.append(g)
    return grads
