"""The page of what is differentiated is that of the table; running this file writes it anew."""

import ast
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore import scipy
from gdcore.derivatives._gate import REAL
from gdcore.derivatives.gates import registry
from gdcore.derivatives.gates.table import CONSTANTS, PLAIN, TABLE
from gdcore.derivatives.refusals import name_of

PAGE = Path(__file__).parents[2] / "docs" / "differentiated.md"
GATES = Path(registry.__file__).parent
SPECIAL = GATES.parent / "special"

HEAD = """# What is differentiated

Written from the table of gates by `tests/derivatives/test_page.py`, which fails when this page is stale.
Methods of arrays and operators follow from it: `x.cumprod()`, `x @ y`. For others, `gd.gate` makes a gate: see
[gates.md](gates.md).

```python
import numpy as np
import gdcore as gd

assert np.allclose(gd.grad(np.median)(np.array([1.0, 5.0, 2.0])), [0, 0, 1])
```
"""


def listed(functions):
    return ", ".join(f"`{name}`" for name in sorted({name_of(function) for function in functions})) + "\n"


def conventions():
    for path in [*sorted(GATES.glob("*.py")), *sorted(SPECIAL.glob("*.py"))]:
        said = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        first, _, more = said.partition("\n\n")
        if path.stem in {"__init__", "registry", "table", "rows"} or not more:
            continue
        yield f"- {' '.join(first.split())} {' '.join(more.split())}"


def scipys():
    for name in scipy.__all__:
        module = getattr(scipy, name)
        yield f"- `gd.scipy.{name}`: " + ", ".join(f"`{function}`" for function in module.__all__)
    yield ""


def page():
    functions = [row.function for row in TABLE] + list(registry.ALIASES)
    ours = [f for f in functions if name_of(f).startswith("gd.") and not name_of(f).startswith("gd.scipy.")]
    special = [f for f in functions + CONSTANTS if name_of(f).startswith("scipy.")]
    constants = [f for f in CONSTANTS if not name_of(f).startswith("scipy.")]
    linalg = [f for f in functions if name_of(f).startswith("np.linalg.")]
    fourier = [f for f in functions if name_of(f).startswith("np.fft.")]
    others = [f for f in functions if f not in ours + linalg + fourier and name_of(f).startswith("np.")]
    reals = [row.function for row in TABLE if row.domain == REAL]
    numpys = {name_of(f) for f in others + linalg + fourier}
    return "\n".join([
        HEAD, f"Of NumPy there are {len(numpys)}, and {len({*constants, *PLAIN})} that give constants.\n",
        "## NumPy\n", listed(others), "## np.linalg\n", listed(linalg), "## np.fft\n", listed(fourier),
        "## gdcore\n", listed(ours),
        "## scipy.special\n", "SciPy's own ufuncs, wherever they are called.\n",
        listed(special).replace("scipy.special.", ""),
        "## gd.scipy\n", "Under SciPy's names; [scipy.md](scipy.md) says how.\n", *scipys(),
        "## Of real numbers alone\n",
        "The others take complex numbers too. These refuse them where they would be wrong.\n", listed(reals),
        "## Constants\n", "Their derivative is 0, where there is one.\n", listed(constants),
        "## What gives no floats\n", "These take traced values and give plain ones.\n", listed(PLAIN),
        "## Conventions\n", *conventions(), "",
    ])  # fmt: skip


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="what is listed has all been there since NumPy 2.2")
def test_the_page_is_that_of_the_table():
    pytest.importorskip("scipy")
    assert PAGE.read_text("utf-8") == page(), "write it anew: python tests/derivatives/test_page.py"


def test_the_error_of_a_missing_gate_names_the_page():
    with pytest.raises(TypeError, match=r"docs/differentiated\.md"):
        gd.grad(lambda x: np.unique(x).sum())(np.ones(2))


if __name__ == "__main__":
    import conftest  # noqa: F401  # it reads SciPy's rows

    PAGE.write_text(page(), "utf-8")
