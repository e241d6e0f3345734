"""Answers are compressed as the client accepts, and are the same answers."""

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
    """The encoding of `GET /` and its bytes as they travelled."""
    with client.stream("GET", "/", headers={"Accept-Encoding": encoding}) as answer:
        assert answer.status_code == 200
        assert "Accept-Encoding" in answer.headers["Vary"]
        return answer.headers.get("Content-Encoding", ""), b"".join(answer.iter_raw())


@pytest.mark.parametrize("encoding", DECODERS)
def test_an_accepted_encoding_holds_the_same_bytes(
    read_model: Path, client: TestClient, encoding: str
) -> None:
    """Smaller on the way, equal at the end."""
    assert read_model.exists()
    plain = raw(client, "identity")[1]
    used, body = raw(client, encoding)
    assert used == encoding
    assert len(body) < len(plain) / 3
    assert DECODERS[encoding](body) == plain


def test_the_best_of_the_accepted_encodings_is_taken(
    read_model: Path, client: TestClient
) -> None:
    """zstd is the fastest, and what is refused is not used."""
    assert read_model.exists()
    assert raw(client, "gzip, br, zstd")[0] == "zstd"
    assert raw(client, "gzip, br;q=0, zstd;q=0")[0] == "gzip"
