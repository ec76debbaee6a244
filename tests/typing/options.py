"""The flags of ``gdcore train`` are typed as their rows, and a row whose text becomes another type is reported."""

from typing import assert_type

from gdcore.cli.options import RUN, Options, flag

options = Options("data.csv", "y", lr=0.5)
assert_type(options.data, str)
assert_type(options.lr, float | None)
assert_type(options.hidden, tuple[int, ...])
assert_type(options.batch_size, int)
assert_type(options.dates, tuple[tuple[str, str | None], ...])
assert_type(options.resume, bool)

rows: int = flag(1, int, RUN)
wrong: int = flag("one", int, RUN)  # type: ignore[arg-type, assignment]
Options("data.csv", "y", batch_size="64")  # type: ignore[arg-type]
Options("data.csv", "y", max_value=1.0)  # type: ignore[call-arg]
