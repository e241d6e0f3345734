"""JSON of many values, written by one call: a third of the work of one call each."""

from collections.abc import Sequence
from typing import Any

import orjson


def encode_objects(objects: Sequence[Any]) -> list[str]:
    """JSON of each, as orjson writes it. Raises TypeError if that is impossible.

    They are written as one list. In it ``},{"`` is between two of them, or within one that
    has a list of objects: then there are more than there should be.
    """
    whole = orjson.dumps(objects)
    texts = whole[1:-1].replace(b'},{"', b'}\n{"').decode().split("\n")
    if len(texts) != len(objects) or not all(objects):
        # Decoded at once: many short-lived buffers at a time are slow to allocate.
        return [orjson.dumps(each).decode() for each in objects]
    return texts


def encode_arrays(arrays: Sequence[tuple[Any, ...]]) -> tuple[bytes, list[bytes]]:
    """JSON of each, as orjson writes it: how all of them begin, and the rest of each.

    No value is an array or an object. Raises TypeError if that is impossible.

    Where all begin with a text, or all with null and a text, they are written as one list
    and divided where the next one begins. In it ``,["`` is between two of them, or at the
    end of a text that ends with ``,[``: within a text, its quote had a backslash. Then
    there are more than there should be.
    """
    firsts = [array[0] for array in arrays]
    nulls = firsts.count(None)
    if not nulls or nulls == len(arrays):
        begin = b'["' if not nulls else b'[null,"'
        # Divided here, and not joined with its begin: that would copy each once more.
        rests = orjson.dumps(arrays)[len(begin) + 1 : -1].split(b"," + begin)
        if len(rests) == len(arrays):
            return begin, rests
    return b"", list(map(orjson.dumps, arrays))
