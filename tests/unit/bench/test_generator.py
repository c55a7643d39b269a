"""The bare generator knows when a reply is whole, and asks for what it was ordered."""

from __future__ import annotations

import pytest
from benchmarks.generator import Order, complete, requests

COPIED = b"HTTP/1.1 200 OK\r\ncontent-Length: 4\r\n\r\n<a/>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n<a/>\r\n0\r\n\r\n"


@pytest.mark.parametrize("reply", [COPIED, CHUNKED])
def test_a_reply_is_whole_with_its_last_byte(reply: bytes) -> None:
    assert [complete(reply[:length]) for length in range(len(reply) + 1)] == [False] * len(reply) + [True]


def test_a_reply_without_a_body_is_whole_with_its_head() -> None:
    assert complete(b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n")


def test_each_object_is_copied_once() -> None:
    order = Order("copy", "http://127.0.0.1:1", "key", "secret", bucket="production", prefix="avatar/", count=3)
    heads = [request.decode() for request in requests(order)]
    assert [head.split(" ")[1] for head in heads] == [f"/production/avatar/avatar-000000{n}.png" for n in (1, 2, 3)]
    assert all("x-amz-copy-source: /sketch-legacy-s3/image/avatar-" in head for head in heads)
    assert "secret" not in repr(order)
