"""Numbers and dates as people write them: read where a whole column is of one form, refused where it is not."""

import re

import numpy as np
import pytest

from gdcore.tables.forms import FORMATS, PLAIN, WAYS, Dates, Numbers, dates_of, ways_of
from gdcore.tables.model import TableModel

pl = pytest.importorskip("polars")

ROWS = 48


def amounts(most=5e6):
    """Numbers from -0.5 to ``most``, of two decimals, some of them negative and many with groups of thousands."""
    values = np.geomspace(0.05, most, ROWS) * np.where(np.arange(ROWS) % 5, 1, -1)
    return [round(float(value), 2) for value in np.random.default_rng(0).permutation(values)]


def swapped(text, group, decimal):
    return text.replace(",", "\0").replace(".", decimal).replace("\0", group)


WRITERS = {
    "commas": (lambda v: f"{v:,.2f}", "commas between thousands"),
    "dollars": (
        lambda v: f"{v:,.2f}".replace("-", "-$") if v < 0 else f"${v:,.2f}",
        "'$', commas between thousands",
    ),
    "dollars inside": (lambda v: f"${v:.2f}", "'$'"),
    "euros": (lambda v: f"{swapped(f'{v:,.2f}', '.', ',')} €", "'€', points between thousands, decimal commas"),
    "francs": (lambda v: f"CHF {swapped(f'{v:,.2f}', chr(0x2019), '.')}", "'CHF', apostrophes between thousands"),
    "percent": (lambda v: f"{v:.2f} %", "'%'"),
    "spaces": (lambda v: swapped(f"{v:,.2f}", " ", "."), "spaces between thousands"),
    "no-break spaces": (lambda v: swapped(f"{v:,.2f}", "\u00a0", ","), "spaces between thousands, decimal commas"),
    "narrow spaces": (lambda v: swapped(f"{v:,.2f}", "\u202f", ","), "spaces between thousands, decimal commas"),
    "decimal commas": (lambda v: f"{v:.2f}".replace(".", ","), "decimal commas"),
    "minus signs": (lambda v: f"{v:.2f}".replace(".", ",").replace("-", "\u2212"), "decimal commas"),
    "parentheses": (lambda v: f"({-v:.2f})" if v < 0 else f"{v:.2f}", "parentheses for minus"),
    "minus behind": (lambda v: f"{-v:.2f}-" if v < 0 else f"{v:.2f}", "minus behind"),
    "all at once": (lambda v: f"(${-v:,.2f})" if v < 0 else f"${v:,.2f}", "'$', commas between thousands, paren"),
}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Write columns of texts, all in quotes, into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(columns, name="data.csv", separator=","):
        pl.DataFrame(columns).write_csv(name, quote_style="always", separator=separator)
        return name

    return write


def predictions(gdc, data, model="m.npz"):
    status, out, err = gdc("predict", model, data)
    assert status == 0, err
    return np.array(out.split()[1:], float)


def refused(result, *said, status=1):
    got, out, err = result
    assert (got, out, err.count("\n")) == (status, "", 1), err
    for part in said:
        assert part in err


# Numbers


@pytest.mark.parametrize("place", ["feature", "target"])
@pytest.mark.parametrize("form", WRITERS)
def test_numbers_with_marks_are_the_numbers_without(gdc, table, form, place):
    writer, said = WRITERS[form]
    other = [f"{value:.3f}" for value in np.random.default_rng(1).standard_normal(ROWS)]
    names = {"feature": ("x", "y"), "target": ("y", "x")}[place]
    outs = []
    for write in (lambda v: f"{v:.2f}", writer):
        data = table({names[0]: [write(value) for value in amounts()], names[1]: other})
        status, out, err = gdc("train", data, "--target", "y", "--epochs", 3, "--output", "m.npz")
        assert status == 0, err
        outs.append(predictions(gdc, data))
    np.testing.assert_array_equal(*outs)
    assert re.search(rf"{'target' if place == 'target' else ''}.*numbers with {re.escape(said)}", out)


@pytest.mark.parametrize("form", WRITERS)
def test_a_form_is_found_and_gives_back_the_numbers(form):
    writer, _ = WRITERS[form]
    texts = pl.Series([writer(value) for value in amounts()])
    (ways,) = ways_of(texts)
    for way in ways:
        np.testing.assert_array_equal(way.parsed(texts).to_numpy(), amounts())


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_of_the_form_is_no_number(way):
    numbers = Numbers("$", "", *way)
    for text in (
        "5",
        "€5",
        "$5%",
        "$",
        "$-",
        "--$5",
        "-$-5",
        "$5.5.5",
        "$5,5,5",
        "$1'23",
        "$ 1 2",
        "($5)",
        "$5-",
        "x",
        "$x",
    ):
        assert numbers.parsed(pl.Series([text])).to_list() == [None], text
    assert numbers.parsed(pl.Series(["$7", "-$7", "$-7", None])).to_list() == [7, -7, -7, None]


MIXED = {
    "two currencies": (["$5", "€7"], "'$5' in row 1 and '€7' in row 2"),
    "one without": (["$5", "$6", "7"], "'$5' in row 1 and '7' in row 3"),
    "points and commas": (["1.5", "1,5", "2.5"], "'1.5' in row 1 and '1,5' in row 2"),
    "one that is none": (["$5", "$6", "$7", "call us"], "'$5' in row 1 and 'call us' in row 4"),
    "two ways of minus": (["(5)", "6-", "7", "8"], "written in one way"),
    "dates and a word": (["2024-01-01", "2024-01-02", "soon"], "'2024-01-01' in row 1 and 'soon' in row 3"),
    "no such day": (["2024-01-01", "2024-01-02", "2024-02-30"], "'2024-02-30' in row 3"),
}


@pytest.mark.parametrize("case", MIXED)
def test_a_column_of_several_forms_is_refused_and_named_with_its_rows(gdc, table, case):
    values, said = MIXED[case]
    data = table({"x": (values * ROWS)[:ROWS], "z": [str(i % 7) for i in range(ROWS)], "y": map(str, range(ROWS))})
    refused(gdc("train", data, "--target", "y"), "column 'x': expected ", said, "--exclude")
    assert gdc("train", data, "--target", "y", "--exclude", "x", "--epochs", 1)[0] == 0
    assert gdc("train", data, "--target", "y", "--categorical", "x", "--epochs", 1)[0] == 0


def test_numbers_that_may_mean_two_things_are_refused_unless_it_is_said(gdc, table):
    x = [f"{1 + i},{100 + i}" for i in range(ROWS)]
    data = table({"x": x, "y": [str(i) for i in range(ROWS)]}, separator=";")
    argv = ("train", data, "--target", "y", "--epochs", 1, "--output", "m.npz")
    refused(gdc(*argv), "column 'x': expected numbers of one meaning, got '1,100' in row 1", "--decimal")
    for decimal, mean in ((".", np.mean([1100 + 1001 * i for i in range(ROWS)])), (",", 24.6235)):
        status, _, err = gdc(*argv, "--decimal", decimal, "--validation", 0)
        assert status == 0, err
        np.testing.assert_allclose(TableModel.load("m.npz").columns.scaling.center, mean)


def test_what_one_column_leaves_open_another_settles(gdc, table):
    """Also for numbers that look plain: with decimal commas about, 1.100 are thousands."""
    thousands = [f"{1 + i}.{100 + i}" for i in range(ROWS)]
    columns = {"x": thousands, "y": [str(i) for i in range(ROWS)]}
    argv = ("--target", "y", "--epochs", 1, "--validation", 0, "--output", "m.npz")
    for other, mean in (("1.5", 24.6235), ("1,5", 24623.5)):
        data = table({**columns, "z": [other, other.replace("1", "2")] * (ROWS // 2)}, separator=";")
        status, _, err = gdc("train", data, *argv)
        assert status == 0, err
        model = TableModel.load("m.npz")
        np.testing.assert_allclose(model.columns.scaling.center[[*model.columns.numbers].index("x")], mean)


def test_the_mark_that_is_said_holds_for_all_columns(gdc, table):
    data = table({"x": ["1.5", "2.5"] * 24, "z": ["1,5", "2,5"] * 24, "y": [str(i) for i in range(ROWS)]})
    refused(
        gdc("train", data, "--target", "y", "--decimal", ","), "column 'x': expected decimals after ','", "row 1"
    )
    refused(
        gdc("train", data, "--target", "y", "--decimal", "."), "column 'z': expected decimals after '.'", "row 1"
    )
    assert gdc("train", data, "--target", "y", "--epochs", 1)[0] == 0


def test_predict_reads_a_column_as_it_was_trained_and_names_the_row_of_another(gdc, table):
    x = [f"${1000 * i:,}" for i in range(ROWS)]
    argv = ("--target", "y", "--epochs", 1, "--output", "m.npz")
    assert gdc("train", table({"x": x, "y": [str(i) for i in range(ROWS)]}), *argv)[0] == 0
    assert len(predictions(gdc, table({"x": ["$5", "$1,234,567.8", "-$3"]}))) == 3
    for other in ("€5", "5", "$5,5", "$1.234.567", "five"):
        said = f"column 'x': expected finite numbers with '$', commas between thousands, got '{other}' in row 2"
        refused(gdc("predict", "m.npz", table({"x": ["$1,037", other]})), said)
    plain = table({"x": [str(i) for i in range(ROWS)], "y": [str(i) for i in range(ROWS)]})
    assert gdc("train", plain, *argv)[0] == 0
    refused(
        gdc("predict", "m.npz", table({"x": ["1", "1,037"]})),
        "column 'x': expected finite numbers, got '1,037' in row 2",
    )


# Dates


DAYS = pl.date_range(pl.date(2019, 12, 28), pl.date(2026, 2, 3), "47d", eager=True).head(ROWS)


@pytest.mark.parametrize("format_", [one for one in FORMATS if one and "%y" not in one])
def test_dates_of_a_format_are_year_month_day_and_weekday(format_):
    expected = [list(map(float, (d.year, d.month, d.day, d.isoweekday()))) for d in DAYS]
    (dates,) = dates_of(DAYS.dt.strftime(format_), (format_,))
    assert dates.parts == ("year", "month", "day", "weekday")
    assert dates.parsed(DAYS.dt.strftime(format_)).to_numpy().tolist() == expected
    assert dates.parsed(pl.Series(["x", None, "31.31.2031", ""])).to_series().to_list() == [None] * 4


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("10:30", 10.5),
        ("T10:30:36Z", 10.51),
        (" 10:30:00.000+02:00", 10.5),
        (" 3:15 PM", 15.25),
        (", 12:15 a.m.", 0.25),
    ],
)
def test_a_time_behind_a_date_is_in_hours(written, hours):
    between = " " if written[0] == "1" else ""
    texts = pl.Series([f"2024-02-29{between}{written}", "2024-03-01"])
    (dates,) = dates_of(texts, FORMATS)
    assert dates.parsed(texts)["time"].to_list() == pytest.approx([hours, 0])
    for wrong in ("2024-02-29 24:00", "2024-02-29 10:60", "2024-02-30 10:00", "2024-02-29 10"):
        assert Dates("%Y-%m-%d").parsed(pl.Series([wrong])).row(0) == (None,) * 5


def dated(texts):
    """A table whose target depends on the day of the week alone."""
    return {"when": texts, "x": [str(i % 7) for i in range(ROWS)], "y": [str(d.isoweekday() ** 2) for d in DAYS]}


def test_a_column_of_iso_dates_becomes_numbers_by_itself(gdc, table):
    data = table(dated([str(d) for d in DAYS]))
    status, out, _ = gdc("train", data, "--target", "y", "--task", "regression", "--epochs", 3, "--output", "m.npz")
    assert status == 0
    assert "dates: 'when' (year, month, day, weekday)" in out
    assert "5 features" in out
    frame = pl.read_csv(data).with_columns(pl.col("when").str.to_date())
    frame.write_parquet("data.parquet")
    np.testing.assert_array_equal(predictions(gdc, "data.parquet"), predictions(gdc, data))
    refused(
        gdc("predict", "m.npz", table({"when": ["2024-01-01", "1.1.2024"], "x": ["1", "2"]})), "'1.1.2024' in row 2"
    )


def test_other_dates_are_read_where_it_is_asked_for(gdc, table):
    argv = ("--target", "y", "--task", "regression", "--epochs", 3, "--output", "m.npz")
    data = table(dated([str(d) for d in DAYS]))
    assert gdc("train", data, *argv)[0] == 0
    expected = predictions(gdc, data)
    for format_, flag in (("%d.%m.%Y", "when"), ("%d/%m/%Y", "when=%d/%m/%Y"), ("%b %d, %Y", '"when=%b %d, %Y"')):
        data = table(dated(DAYS.dt.strftime(format_).to_list()))
        assert "column 'when' looks like dates: see --dates" in gdc("train", data, *argv)[2]
        status, _, err = gdc("train", data, *argv, "--dates", flag)
        assert (status, "looks like dates" in err) == (0, False)
        np.testing.assert_array_equal(predictions(gdc, data), expected)


def test_dates_that_may_mean_two_days_are_refused_unless_it_is_said(gdc, table):
    data = table(dated([f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(ROWS)]))
    argv = ("train", data, "--target", "y", "--epochs", 1)
    refused(gdc(*argv, "--dates", "when"), "column 'when'", "'when=%d/%m/%Y' or 'when=%m/%d/%Y'")
    assert gdc(*argv, "--dates", "when=%m/%d/%Y")[0] == 0
    refused(gdc(*argv, "--dates", "when=%Y"), "column 'when': expected dates %Y, got '01/01/2024' in row 1")
    refused(gdc(*argv, "--dates", "when=%Q"), "argument --dates: expected a format as %d.%m.%Y, got '%Q'", status=2)
    refused(gdc(*argv, "--dates", "where"), "expected a column 'where'")


def test_dates_are_no_target(gdc, table):
    data = table({"y": [str(d) for d in DAYS], "x": [str(i) for i in range(ROWS)]})
    refused(
        gdc("train", data, "--target", "y"), "column 'y': expected numbers or classes, got dates, as '2019-12-28'"
    )


def test_plain_numbers_are_read_by_no_form():
    texts = pl.Series(["1", "1e3", "-0.5", ".5", "1,5", "$1", ""])
    assert PLAIN.parsed(texts).to_list() == [1, 1000, -0.5, 0.5, None, None, None]


def test_a_part_of_a_date_that_is_constant_is_no_warning_and_a_whole_date_is(gdc, table):
    days = [f"2024-05-{1 + i % 28:02}" for i in range(ROWS)]
    columns = {"x": [str(i % 7) for i in range(ROWS)], "y": [f"{i % 5}.5" for i in range(ROWS)]}
    for when, said in ((days, False), (["2024-05-01"] * ROWS, True)):
        status, _, err = gdc("train", table({"when": when, **columns}), "--target", "y", "--epochs", 1)
        assert (status, "of no use: 'when'" in err, "'when:" in err) == (0, said, False)
