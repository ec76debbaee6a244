"""``gdcore inspect``: what a model has learned, and from what."""

import argparse
from itertools import pairwise
from typing import Final

from ..tables import PLAIN, TableModel, cut
from .aligned import Aligned
from .errors import SUCCESS
from .report import brief, counted

DESCRIPTION: Final = """\
Say what a saved model predicts, from which columns and how these are read, how it was trained, and,
of a linear model, its coefficients in the table's own units."""

MOST_OUTPUTS: Final = 8
"""Of models with more classes the coefficients are not shown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command."""
    parser.add_argument("model", metavar="MODEL", help="what gdcore train saved")


def run(args: argparse.Namespace) -> int:
    """Say what a model is."""
    model = TableModel.load(args.model)
    print("\n".join([*_head(args.model, model), "", *_columns(model), "", *_learned(model)]))
    return SUCCESS


def _head(path: str, model: TableModel) -> list[str]:
    target = model.target
    kinds = ", ".join(map(repr, target.classes[:MOST_OUTPUTS]))
    more = f" and {len(target.classes) - MOST_OUTPUTS} more" if len(target.classes) > MOST_OUTPUTS else ""
    what = f"one of {counted(len(target.classes), 'class')}: {kinds}{more}" if target.classes else "a number"
    return [
        f"{path}: predicts {target.name!r}, {what}",
        *(f"  {of}: {said}" for of, said in model.training.items()),
    ]


def _columns(model: TableModel) -> list[str]:
    """Return how each column is read."""
    columns, scaling = model.columns, model.columns.scaling
    wide = max(len("column"), *map(len, columns.names))
    table = Aligned(
        ("column", f"<{wide + 2}"), ("mean", ">14.6g"), ("deviation", ">14.6g"), ("", "<2"), ("read as", "<0")
    )
    mean = dict(zip(columns.measured, scaling.center, strict=True))
    spread = dict(zip(columns.measured, scaling.scale, strict=True))
    constant = dict(zip(columns.measured, scaling.constant, strict=True))
    lines = [table.head()]
    for name, numbers in columns.numbers.items():
        how = "a number" if numbers == PLAIN else f"a number {numbers}"
        how += ", constant in training: of no use" if constant[name] else ""
        lines.append(table.line(name, mean[name], spread[name], "", how))
    for name, dates in columns.dates.items():
        lines.append(table.line(name, "-", "-", "", f"a date {dates.format}: {', '.join(dates.parts)}"))
    for name, texts in columns.texts.items():
        lines.append(table.line(name, "-", "-", "", f"{counted(len(texts), 'kind')}: {cut(texts)}"))
    if columns.fill is not None:
        lines.append("a missing number is filled in with its mean, a missing text is none of the kinds")
    return [line.rstrip() for line in lines]


def _learned(model: TableModel) -> list[str]:
    """Return the coefficients of a linear model; the layers of a net."""
    network, target = model.network, model.target
    if len(network.sizes) > 2:
        layers = " -> ".join(map(str, network.sizes))
        count = sum(inputs * outputs + outputs for inputs, outputs in pairwise(network.sizes))
        return [f"a net of {layers} units ({network.activation}), {count} weights, {network.dtype}"]
    outputs = network.sizes[-1]
    if outputs > MOST_OUTPUTS:
        return [f"linear, {outputs} outputs: too many to show"]
    weights, intercepts = model.coefficients()
    if not target.classes:
        heads, said = ["coefficient"], f"{target.name} = intercept + the sum of coefficient * column; kinds count 1"
    elif outputs == 1:
        heads, said = (
            [f"for {target.classes[1]}"],
            f"log odds of {target.classes[1]!r} against {target.classes[0]!r}",
        )
    else:
        heads, said = [f"for {name}" for name in target.classes], "logits of the classes"
    names = model.columns.features_named
    wide = max(len("intercept"), *map(len, names))
    table = Aligned(("", f"<{wide}"), *((head, f">{max(14, len(head) + 2)}") for head in heads))
    lines = [said, table.head(), table.line("intercept", *map(brief, intercepts))]
    for index, name in enumerate(names):
        lines.append(table.line(name, *map(brief, weights[index])))
    return lines
