"""One request of a fuzz, and the odd values that it is filled with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests as http
from hypothesis import strategies as st

MODEL = "seganypet"
HANG_S = 30.0

WORDS = [
    "", "block", "study", MODEL, "final", "original", "liver", "..", "../x", "a\\b", "\0", "%00", "é", "🫀", "null",
    "true", "-1", "0", "1e400", "NaN", "[]", "{}", "{", "x" * 300, "/etc/passwd",
    "1.2.840.10008.1.2", "'; --", "<script>",
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request.

    Args:
        method: as OpenAPI writes it.
        path: with its parameters filled in.
        query: name and value, repeated names allowed.
        body: what is sent, or None.
        kind: its Content-Type; "multipart" for fields and files.
        fields: of a multipart body: name → text, or (file name, content).
        headers: besides the Content-Type.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    kind: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def send(self, url: str) -> http.Response:
        """The answer.

        Raises:
            http.RequestException: none came.
        """
        more: dict[str, Any] = {"headers": dict(self.headers)}
        if self.kind == "multipart":
            more["files"] = {name: value if isinstance(value, tuple) else (None, value)
                             for name, value in self.fields.items()}  # fmt: skip
        elif self.kind:
            more["data"] = self.body
            more["headers"]["Content-Type"] = self.kind
        return http.request(
            self.method.upper(), url + self.path, params=list(self.query), timeout=HANG_S, allow_redirects=False, **more
        )


def odd_value() -> st.SearchStrategy[str]:
    """A text that may be a name, a number or neither."""
    return st.one_of(st.sampled_from(WORDS), st.text(max_size=12), st.integers().map(str), st.floats().map(str))


def anything() -> st.SearchStrategy[Any]:
    """Anything that JSON can hold."""
    leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), odd_value())
    return st.recursive(leaf, _nested)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=4), st.dictionaries(odd_value(), inner, max_size=4))
