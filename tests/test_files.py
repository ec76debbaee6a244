"""Files are written whole or not at all."""

import errno
import os
import stat
import subprocess
import sys
from contextlib import suppress

import pytest

from gdcore import files
from gdcore.files import remove_leftovers, replacing


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write():
        with replacing(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    with suppress(*[OSError] * (os.name == "nt")):
        link.symlink_to(path)
    if os.name == "nt" and not link.is_symlink():
        pytest.skip("needs symbolic links, which Windows lets administrators make")
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_was_written_can_be_read_back(tmp_path):
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
        file.seek(1)
        assert file.read() == b"ew"


@pytest.mark.skipif(os.name != "posix", reason="a directory can be flushed on POSIX")
def test_the_content_is_on_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor):
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        fsync(descriptor)

    def noting_replace(source, target):
        done.append("name")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    assert done == [3, "name", "directory"]


@pytest.mark.skipif(os.name != "posix", reason="a directory can be flushed on POSIX")
def test_only_a_file_system_that_cannot_flush_directories_is_excused(tmp_path, monkeypatch):
    def failing(code):
        def flush(descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(code, os.strerror(code))

        return flush

    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), replacing(tmp_path / "file") as file:
        file.write(b"newer")
    assert (tmp_path / "file").read_bytes() == b"newer"


@pytest.mark.parametrize("place", ["", "absent/file", os.devnull])
def test_a_place_for_no_file_is_refused(tmp_path, place):
    path = place if place == os.devnull else tmp_path / place
    with pytest.raises(OSError, match="expected"), replacing(path):
        pass


def test_a_file_that_is_being_written_is_no_leftover(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as file:
        file.write(b"new")
        (left,) = tmp_path.iterdir()
        remove_leftovers(path)
        assert list(tmp_path.iterdir()) == [left]
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed elsewhere")
def test_a_file_that_another_process_is_writing_is_no_leftover_until_it_is_gone(tmp_path):
    path = tmp_path / "file"
    program = "import sys; from gdcore import files\nwith files.replacing(sys.argv[1]): print(flush=True), input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    writer.stdout.readline()
    remove_leftovers(path)
    assert len(list(tmp_path.iterdir())) == 1
    writer.kill()
    writer.communicate()
    remove_leftovers(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed elsewhere")
def test_a_file_that_is_taken_for_a_leftover_before_it_is_held_is_made_again(tmp_path, monkeypatch):
    path = tmp_path / "file"
    flock, calls = files.fcntl.flock, []

    def removing_first(file, how):
        calls.append(how)
        if len(calls) == 1:
            (left,) = tmp_path.iterdir()
            left.unlink()
        flock(file, how)

    monkeypatch.setattr(files.fcntl, "flock", removing_first)
    with replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert (len(calls), list(tmp_path.iterdir())) == (2, [path])


def test_files_are_replaced_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "fcntl", None)
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
    remove_leftovers(path)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
