"""What a block is made of is let go as soon as it is written: a file may have any number of them."""

import sys

from gonets.adapters.postgres.import_blocks import _Source


def test_what_was_read_is_not_kept():
    content = b"line\n" * 1000
    before = sys.getrefcount(content)
    source = _Source(content)
    portions = []
    while portion := source.read(1024):
        portions.append(portion)
    assert b"".join(portions) == content
    assert source.read(1024) == b""
    assert sys.getrefcount(content) == before
