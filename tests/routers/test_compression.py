"""Compression: the encoding the client accepts, and the same bytes after decoding."""

import gzip
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from fastapi.testclient import TestClient

DECODERS = {
    "zstd": lambda body: zstandard.decompress(body, max_output_size=2**24),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}


def raw(client: TestClient, encoding: str) -> tuple[str, bytes]:
    """Content-Encoding and undecoded body of `GET /`."""
    with client.stream("GET", "/", headers={"Accept-Encoding": encoding}) as answer:
        assert answer.status_code == 200
        assert "Accept-Encoding" in answer.headers["Vary"]
        return answer.headers.get("Content-Encoding", ""), b"".join(answer.iter_raw())


@pytest.mark.parametrize("encoding", DECODERS)
def test_a_decoded_body_equals_the_uncompressed_one(
    read_model: Path, client: TestClient, encoding: str
) -> None:
    """The compressed body is less than a third of its size."""
    assert read_model.exists()
    plain = raw(client, "identity")[1]
    used, body = raw(client, encoding)
    assert used == encoding
    assert len(body) < len(plain) / 3
    assert DECODERS[encoding](body) == plain


def test_zstd_is_preferred_and_refused_encodings_are_not_used(
    read_model: Path, client: TestClient
) -> None:
    """Zstd is the fastest; q=0 refuses an encoding."""
    assert read_model.exists()
    assert raw(client, "gzip, br, zstd")[0] == "zstd"
    assert raw(client, "gzip, br;q=0, zstd;q=0")[0] == "gzip"
