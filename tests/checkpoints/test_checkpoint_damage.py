"""A checkpoint is whole or refused: cut, flipped, forged, on a full disk, in a directory of others, or killed."""

import hashlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile

import numpy as np
import pytest

import gdcore as gd

SUFFIXES = (".npz", ".safetensors")
in_both = pytest.mark.parametrize("suffix", SUFFIXES)
posix = pytest.mark.skipif(os.name != "posix", reason="limits, users and signals of POSIX")


def targets():
    params = {"w": np.zeros((2, 3), np.float32)}
    return params, gd.Momentum(params, lr=0.1), np.random.Generator(np.random.MT19937(0))


def state(params, opt, rng):
    # Every bit, as in a repr, which takes a thousand times as long.
    return pickle.dumps([params, opt.state_dict(), rng.bit_generator.state])


def assert_refused(path, given, before, match=None):
    with pytest.raises(gd.CheckpointError, match=match) as refused:
        gd.load(path, *given)
    assert str(path) in str(refused.value)
    assert state(*given) == before


def memory_of_loading(path):
    """Return how much more memory than before there was at once, in bytes."""
    tracemalloc.start()
    try:
        gd.load(path)
    except gd.CheckpointError:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    raise AssertionError("loaded")


@pytest.fixture(params=SUFFIXES)
def saved(request, tmp_path):
    """Return a path, its bytes, and targets that differ from what is in it."""
    params, opt, _ = targets()
    opt.step({"w": np.ones((2, 3), np.float32)})
    gd.save(tmp_path / f"run{request.param}", params, opt, epoch=3)
    return tmp_path / f"run{request.param}", targets()


def test_every_truncation_is_noticed(saved):
    path, given = saved
    before, whole = state(*given), path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert_refused(path, given, before)
    path.write_bytes(whole + b"\0")
    assert_refused(path, given, before)


def test_every_flipped_bit_is_noticed(saved):
    path, given = saved
    before, whole = state(*given), path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for position in range(len(whole)):
            for bit in range(8):
                file.seek(position)
                file.write(bytes([whole[position] ^ 1 << bit]))
                assert_refused(path, given, before)
            file.seek(position)
            file.write(whole[position : position + 1])
    gd.load(path, *given[:2])
    assert state(*given) != before


@in_both
def test_other_files_are_no_checkpoints(tmp_path, suffix):
    path, given = tmp_path / f"run{suffix}", targets()
    before = state(*given)
    np.savez(tmp_path / "other.npz", w=np.ones(3))
    others = [b"", b"PK\5\6" + bytes(18), bytes(1000), (tmp_path / "other.npz").read_bytes(), b'{"a": 1}' * 99]
    for other in others:
        path.write_bytes(other)
        assert_refused(path, given, before, "expected a checkpoint that gd.save wrote")


def sealed_npz(members, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, **options)
        archive.comment = b"gdcore sha256 " + b"0" * 64
    return resealed(".npz", file.getvalue())


def sealed_safetensors(header, data, length=None):
    header = json.dumps(header) if isinstance(header, dict) else header
    size = len(header) if length is None else length
    return resealed(".safetensors", struct.pack("<Q", size) + header.encode() + data)


def resealed(suffix, whole):
    """Return the bytes of a file with the seal that they should have; docs/checkpoints.md says where it is."""
    start = len(whole) - 64 if suffix == ".npz" else 37
    rest = whole[:start] + whole[start + 64 :]
    return whole[:start] + hashlib.sha256(rest).hexdigest().encode() + whole[start + 64 :]


def parts(suffix, whole):
    """Return the text of a checkpoint and its arrays, in order."""
    if suffix == ".npz":
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        return json.loads(members.pop("checkpoint.json")), members
    length = struct.unpack("<Q", whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    return json.loads(header["__metadata__"]["gdcore"]), {"header": header, "data": whole[8 + length :]}


def joined(suffix, text, members):
    text = text if isinstance(text, str) else json.dumps(text)
    if suffix == ".npz":
        return sealed_npz([("checkpoint.json", text), *members.items()])
    header = members["header"] | {"__metadata__": {"sha256": "0" * 64, "gdcore": text}}
    return sealed_safetensors(header, members["data"])


def forged_texts(index):
    """Yield texts that are not those of a checkpoint, from the one that is."""
    content, table = index["content"], index["arrays"]

    def with_content(**changes):
        return index | {"content": content | changes}

    def with_entry(**changes):
        return index | {"arrays": table | {"params.w": table["params.w"] | changes}}

    yield from [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"text"',
        "{}",
        json.dumps(index)[:-1],
        "[" * 100_000,
        '{"a":' * 100_000,
    ]
    yield json.dumps(index).replace("[2, 3]", f"[{'9' * 10_000}]")
    yield index | {"format": "gdcore checkpoint 2"}
    yield index | {"format": None}
    yield from (index | {"arrays": arrays} for arrays in (None, [], {}, {"params.w": None}, {"params.w": {}}))
    yield from (with_entry(shape=shape) for shape in (
        None, 3, "23", [6], [2], [3, 2], [2, 3, 1], [2, 3.0], [2, True], [-2, -3], [2, 2**40], [2**40, 2**40, 0, 0],
        [2**62, 2**62], [1] * 70, [0, 2**70],
    ))  # fmt: skip
    yield from (with_entry(dtype=dtype) for dtype in (
        None, 3, "", "f4", ">f4", "<f8", "<i4", "|O", "<O8", "O", "|V4", "<U1", "<U0", "|S4", "<M8[s]", "<f16",
        "<c8", "<f4,<f4", "(1000000000,)f4", [["a", "<f4"]],
    ))  # fmt: skip
    yield with_entry(more=1)
    yield index | {"arrays": table | {"params.x": {"dtype": "<f4", "shape": [0]}}}
    yield {key: value for key, value in index.items() if key != "content"}
    yield index | {"content": {key: value for key, value in content.items() if key != "rng"}}
    yield from (index | {"content": other} for other in (None, [], 3, {}))
    yield with_content(more=1)
    yield from (with_content(epoch=epoch) for epoch in (-1, 1.0, "1", True, [1]))
    yield from (with_content(optimizer=optimizer) for optimizer in (3, [], "adam"))
    w = {"$array": "params.w"}
    yield from (with_content(params=params) for params in (
        None, 3, {}, {"w": 3}, {"$array": "params.x"}, {"$array": None}, {"$array": ["params.w"]}, {"$other": 1},
        {"w": w | {"a": 1}}, {"a": w, "b": w}, {"$tuple": 3}, {"$dict": {"a": 1}}, {"$dict": [[["a"], 1]]},
        {"$dict": [[True, w]]}, {"$float": "1e999"}, {"$scalar": ["float32", 1.0]},
    ))  # fmt: skip
    yield from (with_content(metadata=metadata) for metadata in (
        {"$float": "1.0"}, {"$scalar": ["object", 1]}, {"$scalar": ["int8", 1000]}, {"$scalar": 3}, w,
        {"$scalar": ["float128", "x"]}, {"$array": "optimizer.state.w.v"}, {"": {"$x": 1}},
    ))  # fmt: skip


def allowed(whole):
    """Return how many bytes the refusal of a file may take."""
    # Since Python 3.14, JSON nests as deeply as the stack of C allows: some 50,000 lists in each other.
    deep = sys.version_info >= (3, 14) and max(map(whole.count, b"[{")) >= 10**5
    return 1e6 + 5 * len(whole) + 4e6 * deep


@in_both
def test_a_right_seal_does_not_make_a_forged_text_true(tmp_path, suffix):
    path, given = tmp_path / f"run{suffix}", targets()
    gd.save(path, *given[:2], rng=given[2], epoch=3)
    index, members = parts(suffix, path.read_bytes())
    path.write_bytes(joined(suffix, index, members))
    assert gd.load(path).epoch == 3  # so the forgeries below are not refused for the way they are made
    before, forged = state(*given), list(forged_texts(index))
    for text in forged:
        path.write_bytes(joined(suffix, text, members))
        assert_refused(path, given, before)
        assert memory_of_loading(path) < allowed(path.read_bytes())
    assert len(forged) > 80


@pytest.mark.parametrize("shape", [[2, 3.0], [2, -3], [True, 6], [1] * 70, "6"])
def test_what_is_no_shape_is_refused_as_such(saved, shape):
    path, given = saved
    index, members = parts(path.suffix, path.read_bytes())
    index["arrays"]["params.w"]["shape"] = shape
    path.write_bytes(joined(path.suffix, index, members))
    assert_refused(path, given, state(*given), r"params.w: expected a shape, got")


@in_both
def test_a_forged_state_of_a_generator_is_refused(tmp_path, suffix):
    path, params = tmp_path / f"run{suffix}", [np.ones(2)]
    for bits in (np.random.MT19937, np.random.Philox, np.random.PCG64, np.random.SFC64):
        rng = np.random.Generator(bits(0))
        gd.save(path, params, rng=rng)
        index, members = parts(suffix, path.read_bytes())
        assert gd.load(path, rng=rng)
        for forged in forged_generators(index["content"]["rng"]):
            path.write_bytes(joined(suffix, index | {"content": index["content"] | {"rng": forged}}, members))
            before = repr(rng.bit_generator.state)
            with pytest.raises(gd.CheckpointError):
                gd.load(path, rng=rng)
            assert repr(rng.bit_generator.state) == before


def forged_generators(known):
    """Yield states that NumPy takes, or some of them, and then draws with memory that is not the generator's."""
    yield from [[], 3, {}, {"bit_generator": "PCG64"}, known | {"more": 1}]
    yield from (
        known | {"bit_generator": name} for name in ("RandomState", "default_rng", "__builtins__", None, ["PCG64"])
    )
    for places in (known, known["state"]):
        for name, value in places.items():
            if type(value) is int:
                for wrong in (-1, 2**128, 1.0, True, None, {"$scalar": ["int64", 1]}):
                    changed = places | {name: wrong}
                    yield changed if places is known else known | {"state": changed}
    if "pos" in known["state"]:
        yield known | {"state": known["state"] | {"pos": 625}}
    if "buffer_pos" in known:
        yield known | {"buffer_pos": 5}


def forged_npz(index, members):
    """Yield archives that are not those of a checkpoint."""
    text, good = json.dumps(index), members["params.w.npy"]
    rest = [(name, content) for name, content in members.items() if name != "params.w.npy"]

    def archive(*changed, **options):
        return sealed_npz([("checkpoint.json", text), *changed, *rest], **options)

    yield archive()
    yield archive(("params.w.npy", good), ("more.npy", good))
    yield archive(("params.x.npy", good))
    yield archive(("params.w.npy", good), compress_type=zipfile.ZIP_DEFLATED)
    yield sealed_npz(
        [("checkpoint.json", text), *members.items(), ("bomb.npy", bytes(10**8))], compress_type=zipfile.ZIP_LZMA
    )
    yield sealed_npz(members.items())
    yield archive(("params.w.npy", good[:-1]))
    yield archive(("params.w.npy", good + b"\0"))
    yield archive(("params.w.npy", b""))
    for old, new in (
        (b"<f4", b"|O4"),
        (b"<f4", b"<i4"),
        (b"(2, 3)", b"(3, 2)"),
        (b"False", b"True "),
        (b"\x01\x00", b"\x02\x00"),
    ):
        assert old in good
        yield archive(("params.w.npy", good.replace(old, new, 1)))
    pickled = io.BytesIO()
    np.save(pickled, np.array([print], object))
    yield archive(("params.w.npy", pickled.getvalue()))
    with pytest.warns(UserWarning, match="Duplicate name"):
        yield archive(("params.w.npy", good), ("params.w.npy", good))
    whole = sealed_npz([("checkpoint.json", text), *members.items()])
    for signature, field, form, values in (
        (b"PK\1\2", 8, "<H", (1, 0x20, 0x40)),  # flags
        (b"PK\1\2", 20, "<I", (0, 1, 2**31, 2**32 - 1)),  # size in the file
        (b"PK\1\2", 24, "<I", (0, 1, 2**31, 2**32 - 1)),  # size of the member
        (b"PK\1\2", 42, "<I", (1, 2**31, 2**32 - 1)),  # where it is
        (b"PK\5\6", 12, "<I", (0, 1, 2**31, 2**32 - 1)),  # size of the directory
        (b"PK\5\6", 16, "<I", (2**31, 2**32 - 1)),  # where it is
    ):  # fmt: skip
        at = whole.rindex(signature) + field
        for value in values:
            forged = bytearray(whole)
            struct.pack_into(form, forged, at, value)
            yield resealed(".npz", bytes(forged))


def forged_safetensors(index, members):
    """Yield files that are not those of a checkpoint."""
    header, data = members["header"], members["data"]
    good = header["params.w"]

    def file(**changes):
        return sealed_safetensors(header | {"params.w": good | changes}, data)

    start, end = good["data_offsets"]
    yield from (
        file(data_offsets=offsets)
        for offsets in ([start, end + 4], [start + 4, end + 4], [-24, 0], [0, 2**62], None)
    )
    yield from (file(dtype=dtype) for dtype in ("F64", "I32", "BF16", "O", None))
    yield from (file(shape=shape) for shape in ([3, 2], [2**40], [2, 3.5], None))
    yield file(more=1)
    yield sealed_safetensors(header | {"more": good}, data)
    yield sealed_safetensors({name: entry for name, entry in header.items() if name != "params.w"}, data)
    yield sealed_safetensors({"__metadata__": header["__metadata__"] | {"more": "1"}} | header, data + b"\0")
    yield sealed_safetensors(header, data[:-1])
    yield sealed_safetensors(header, data + b"\0")
    text = json.dumps(header)
    yield from (
        sealed_safetensors(header, data, length) for length in (0, 1, 300, len(text) - 1, 2**32, 2**63, 2**64 - 1)
    )
    start = '{"__metadata__": {"sha256": "' + "0" * 64 + '"'
    yield from (
        sealed_safetensors(start + rest, data)
        for rest in ("", "}", "}}", ', "gdcore": 3}}', ', "gdcore": "' + "[" * 10**5 + '"}}')
    )
    yield sealed_safetensors(start + ', "gdcore":' + "[" * 10**5, b"")


FORGERIES = {".npz": forged_npz, ".safetensors": forged_safetensors}


@in_both
def test_a_right_seal_does_not_make_forged_headers_true(tmp_path, suffix):
    path, given = tmp_path / f"run{suffix}", targets()
    gd.save(path, *given[:2], rng=given[2])
    index, members = parts(suffix, path.read_bytes())
    before = state(*given)
    forged = list(FORGERIES[suffix](index, members))
    for whole in forged:
        path.write_bytes(whole)
        assert_refused(path, given, before)
        assert memory_of_loading(path) < allowed(whole)
    assert len(forged) > 25


def test_members_that_overlap_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    gd.save(path, {name: np.zeros(10_000) for name in "abcdefgh"})
    index, members = parts(".npz", path.read_bytes())
    only = members["params.a.npy"]
    whole = bytearray(
        sealed_npz(
            [
                ("checkpoint.json", json.dumps(index)),
                *((name, only if name == "params.a.npy" else b"") for name in members),
            ]
        )
    )
    first, at = whole.index(b"PK\3\4", 4), whole.index(b"PK\1\2")
    at = whole.index(b"PK\1\2", at + 4)
    while at > 0:  # every member is made to be the first: 640 kB of arrays in a file of 80
        struct.pack_into("<I", whole, at + 20, len(only))
        struct.pack_into("<I", whole, at + 24, len(only))
        struct.pack_into("<I", whole, at + 42, first)
        at = whole.find(b"PK\1\2", at + 4)
    path.write_bytes(resealed(".npz", bytes(whole)))
    with pytest.raises(gd.CheckpointError, match="expected members that fit in the file"):
        gd.load(path)


def test_nothing_is_unpickled(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path, file = tmp_path / "run.npz", io.BytesIO()
    gd.save(path, {"w": np.ones(1)})
    index, members = parts(".npz", path.read_bytes())
    np.save(file, np.array([Evil()], object))
    index["arrays"]["params.w"] = {"dtype": "|O", "shape": [1]}
    path.write_bytes(joined(".npz", index, members | {"params.w.npy": file.getvalue()}))
    with pytest.raises(gd.CheckpointError, match=r"expected a dtype of numbers or text, got '\|O'"):
        gd.load(path)
    assert not (tmp_path / "evil").exists()


def run_python(program, *arguments, **options):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, **options)


def assert_succeeds(program, *arguments):
    process = run_python(program, *arguments, stderr=subprocess.PIPE)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@posix
@in_both
def test_a_full_disk_leaves_the_old_file_whole(tmp_path, suffix):
    program = """
        import os, resource, sys
        from pathlib import Path
        import numpy as np, gdcore as gd

        path = Path(sys.argv[1])
        gd.save(path, [np.zeros(100)], epoch=0)
        old = path.read_bytes()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for limit in range(0, len(old), 13):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                gd.save(path, [np.ones(100)], epoch=1)
            except OSError:
                pass
            else:
                raise AssertionError(f"{len(old)} bytes were written to a disk with room for {limit}")
            assert path.read_bytes() == old
            assert os.listdir(path.parent) == [path.name]
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(old), hard))
        gd.save(path, [np.ones(100)], epoch=1)
        assert gd.load(path).epoch == 1
    """
    assert_succeeds(program, tmp_path / f"run{suffix}")


@posix
@in_both
def test_a_directory_that_cannot_be_written_keeps_the_old_file(suffix):
    # A directory of its own, as those of pytest are closed to the user that root becomes here.
    program = """
        import os, sys, tempfile, traceback
        from pathlib import Path
        import numpy as np, gdcore as gd

        with tempfile.TemporaryDirectory() as folder:
            gd.save(folder + "/first.npz", [])  # imports what that user may not read
            gd.load(folder + "/first.npz")
            os.remove(folder + "/first.npz")
            child = os.fork()
            if not child:
                try:
                    if os.getuid() == 0:  # whom no permission stops
                        os.chown(folder, 65534, 65534)
                        os.setgroups([])
                        os.setgid(65534)
                        os.setuid(65534)
                    path = Path(folder, "run" + sys.argv[1])
                    gd.save(path, [np.zeros(3)], epoch=0)
                    old = path.read_bytes()
                    os.chmod(folder, 0o555)
                    try:
                        gd.save(path, [np.ones(3)], epoch=1)
                    except PermissionError as error:
                        assert "expected a directory that can be written" in str(error)
                    else:
                        raise AssertionError("saved")
                    assert path.read_bytes() == old and os.listdir(folder) == [path.name]
                    assert gd.load(path).epoch == 0
                    os.chmod(folder, 0o755)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert_succeeds(program, suffix)


@posix
@in_both
def test_a_killed_process_leaves_the_last_file_whole(tmp_path, suffix):
    program = """
        import os, signal, sys
        import numpy as np, gdcore as gd

        def write(path, epoch, said):
            while True:
                epoch += 1
                gd.save(path, {"w": np.full(30_000, epoch), "b": np.full(3, epoch)}, epoch=epoch)
                os.write(said, b"%d\\n" % epoch)

        path, rng, last = sys.argv[1], np.random.default_rng(0), 0
        for _ in range(20):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                write(path, last, writing)
            os.close(writing)
            with open(reading) as lines:
                for _ in range(rng.integers(1, 6)):
                    said = int(lines.readline())
                os.kill(child, signal.SIGKILL)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            loaded = gd.load(path)
            assert loaded.epoch >= said > last
            assert all((array == loaded.epoch).all() for array in loaded.params.values())
            last = loaded.epoch
    """
    assert_succeeds(program, tmp_path / f"run{suffix}")
