"""Steps leave the same bits on every machine: those that were promised."""

from gdcore.cli import promise
from gdcore.rules import RULES


def test_this_machine_gives_the_promised_bits():
    """``python -m gdcore.cli.promise > src/gdcore/cli/promise.json`` makes another promise."""
    assert promise.hashes() == promise.promised()


def test_every_rule_has_a_promise_in_every_dtype():
    known = promise.promised()
    for rule in RULES.values():
        dtypes = {name.split()[1] for name in known if name.split()[0] == rule.name}
        assert dtypes >= {"float32", "float64"}, rule.name
        assert not rule.has_gradient or dtypes == set(promise.DTYPES), rule.name
    assert len(set(known.values())) == len(known)


def test_info_says_that_the_promise_is_kept(gdc):
    status, out, err = gdc("info", "--check")
    assert (status, err) == (0, "")
    assert f"bits: those of every other machine, by {len(promise.promised())} hashes" in out


def test_info_names_the_rule_whose_bits_differ(gdc, monkeypatch):
    known = promise.promised()
    monkeypatch.setattr(promise, "promised", lambda: {**known, "adam float32": "0" * 16, "gone float64": "1"})
    status, out, err = gdc("info", "--check")
    assert status == 1
    assert "in use: " in out
    assert err.count("\n") == 1
    assert "got others for adam float32, gone float64;" in err
