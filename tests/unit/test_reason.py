"""Reasons are kept as they are, and make a sentence where they are shown."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sketchmigrate.core.errors import S3Error
from sketchmigrate.core.reason import (
    _SENTENCES,
    OVERWRITTEN,
    POSSIBLY_OVERWRITTEN,
    Reason,
    ReasonKind,
    because,
    reason_from_stored,
    refused_by_store,
    stored_reason,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
reasons = st.builds(
    Reason,
    st.sampled_from(ReasonKind),
    st.dictionaries(texts, texts | st.integers()),
    texts,
    st.integers(0, 599),
    texts,
)


@given(reasons)
def test_a_reason_comes_back_from_a_ledger_as_it_was(reason: Reason) -> None:
    kind, about = stored_reason(reason)
    assert about is not None
    assert reason_from_stored(kind, about) == reason
    assert reason_from_stored(kind, json.loads(about)) == reason, "PostgreSQL gives the document, not its text"


@pytest.mark.parametrize("kind", ReasonKind)
def test_each_kind_has_a_sentence_which_its_details_complete(kind: ReasonKind) -> None:
    names = re.findall(r"{(\w+)", _SENTENCES[kind])
    sentence = str(because(kind, **{name: f"<{name}>" for name in names}))
    assert all(f"<{name}>" in sentence for name in names)
    assert not set("{}") & set(sentence)
    assert sentence.startswith(POSSIBLY_OVERWRITTEN) == (kind in OVERWRITTEN)


def test_braces_of_a_server_are_only_signs() -> None:
    assert str(refused_by_store(S3Error("it said {seconds} and {}"))) == "it said {seconds} and {}"


def test_a_missing_object_says_what_is_known_besides() -> None:
    missing = because(ReasonKind.NO_LEGACY_OBJECT)
    assert str(missing) == "there is no legacy object"
    assert str(missing.adding(taken=1, probably="it may be a.png")) == (
        "there is no legacy object; production holds an object of the new name, but nothing to compare it with"
        "; it may be a.png"
    )


def test_earlier_ledgers_have_a_sentence_or_none() -> None:
    earlier = reason_from_stored("a trigger stored another path", None)
    assert earlier is not None
    assert (earlier.kind, str(earlier)) == (ReasonKind.SENTENCE, "a trigger stored another path")
    assert reason_from_stored("", None) is None
    assert stored_reason(None) == ("", None)
