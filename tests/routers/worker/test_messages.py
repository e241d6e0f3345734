"""Messages between the API and a job: replies in pieces."""

import itertools
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from routers.worker.client import PIECE_BYTES
from routers.worker.messages import LONGEST_LINE, Pieces


def pieces_of(reply: bytes, ends: Iterable[int]) -> Pieces:
    """*reply* as it arrives if it is cut at *ends*."""
    places = [0, *sorted(ends), len(reply)]
    return Pieces(reply[begin:end] for begin, end in itertools.pairwise(places))


@given(
    st.lists(
        st.sampled_from([b"done", b"\n", b"[1,2]", b"\xff", b"x" * 9]), max_size=9
    ),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_lines_are_taken_off_wherever_a_reply_is_cut(
    parts: list[bytes], ends: list[int]
) -> None:
    """The first line and the rest, as if the reply were one piece."""
    reply = b"".join(parts)
    head, _, rest = reply.partition(b"\n")
    pieces = pieces_of(reply, ends)
    assert len(pieces) == len(reply)
    assert pieces.take_line() == head
    assert len(pieces) == len(rest)
    assert b"".join(pieces) == rest
    assert len(pieces) == 0


@given(st.text(max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_a_text_may_be_cut_within_a_character(text: str, ends: list[int]) -> None:
    """It is decoded as a whole."""
    assert pieces_of(text.encode(), ends).take_text() == text


def test_what_is_too_long_is_cut() -> None:
    """A process in which a statement ran decides what it sends."""
    flood = Pieces([b"x" * PIECE_BYTES] * 1000)
    assert flood.take_line() == b"x" * LONGEST_LINE
    assert flood.take_text() == "x" * LONGEST_LINE
    assert len(flood) == 0
