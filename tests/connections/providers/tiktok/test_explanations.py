from __future__ import annotations

import pytest

from connections.providers.tiktok.errors import ERROR_CLASSES
from connections.providers.tiktok.explanations import EXPLANATIONS, FAILURES, explain

UNKNOWN = explain("a_code_of_tomorrow")


@pytest.mark.parametrize("code", sorted({*ERROR_CLASSES, *FAILURES}))
def test_every_code_has_an_explanation_of_its_own(code):
    assert explain(code) != UNKNOWN


@pytest.mark.parametrize("explanation", [*EXPLANATIONS.values(), UNKNOWN])
def test_explanations_are_whole_sentences_in_plain_words(explanation):
    text = f"{explanation.message} {explanation.next_step}"

    assert explanation.message.endswith(".")
    assert explanation.next_step.endswith(".")
    assert explanation.message[0].isupper()
    assert explanation.next_step[0].isupper()
    assert not any(word in text for word in ("_", "token", "HTTP", "API", "scope", "null"))


def test_the_unaudited_rule_says_to_make_the_account_private():
    next_step = explain("unaudited_client_can_only_post_to_private_accounts").next_step

    assert next_step.startswith("Make your TikTok account private")


@pytest.mark.parametrize("pair", [("internal", "internal_error"), ("spam_risk", "spam_risk_text")])
def test_codes_that_begin_alike_are_told_apart(pair):
    assert explain(pair[0]) != explain(pair[1])
