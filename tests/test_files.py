"""Files are written whole or not at all."""

import errno
import os
import stat

import pytest

from gdcore.files import replacing


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
    link.symlink_to(path)
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
    with pytest.raises(OSError, match="expected"), replacing(tmp_path / place):
        pass
