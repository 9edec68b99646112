"""What an invoice, a form or a table says at a glance, where hardly anything is a sentence: its title, its sums."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from headrace_documents.summarizer.candidates import Candidate
from headrace_documents.summarizer.cues import is_idle
from headrace_documents.summarizer.paragraphs import Kind
from headrace_documents.summarizer.terms import Floats

_TOTAL = re.compile(
    r"total|amount due|balance due|sum due|net payable"
    r"|gesamt|endbetrag|rechnungsbetrag|zahlbetrag|summe|à payer|montant"
    r"|importe|a pagar|totale|da pagare|bedrag|totaal|att betala|summa|razem|do zapłaty|итого|к оплате|всего"
    r"|合計|総額|請求金額|总计|合计|총액|합계|المجموع|الإجمالي|कुल|toplam",
    re.IGNORECASE,
)
_PARTIAL = re.compile(r"sub-?total|zwischensumme|sous-total|subtotale|小計|小计", re.IGNORECASE)
_SUBJECT = re.compile(
    r"(?:subject|re|regarding|about|purpose|job|project|betreff|betr|gegenstand|projekt|objet|asunto|concepto|oggetto"
    r"|assunto|onderwerp|betreft|ämne|тема|предмет|件名|事由|主题|제목|الموضوع|विषय|konu)\s?[.:：]",
    re.IGNORECASE,
)
_DUE = re.compile(
    r"due|deadline|payable|fällig|zahlbar|frist|échéance|vencimiento|scadenza|vervaldatum|срок|期限|الاستحقاق",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"[€$£¥₹₽₩₺]\s?\d|\d[\d.,  ]*\s?(?:[€$£¥₹₽₩₺]|(?:eur|usd|gbp|chf|jpy|cny|sek|nok|dkk|pln|руб|円|元|원)\b)"
    r"|\b(?:eur|usd|gbp|chf|jpy|cny|sek|nok|dkk|pln)\s?\d",
    re.IGNORECASE,
)
_FIELD = re.compile(r"[^\W\d_][^:!?]{1,40}[:：]\s?\S")
_CONTACT = re.compile(
    r"\S@\S|https?:|www\.|\b(?:tel|phone|fax|iban|bic|swift|vat|ust|tva)\b|\+?\d[\d ()/-]{8,}\d$", re.IGNORECASE
)
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")

TITLE = 1.0
SUM = 1.2
SUBJECT = 0.9
AMOUNT = 0.5
FIELD = 0.25
EARLY = 0.3
SENTENCE = 1.0
CONTACT = 0.7


def fact_weights(lines: Sequence[Candidate], *, title: str, sentence_scores: dict[int, float]) -> Floats:
    """(lines,) how much each would be missed. `sentence_scores`: by where a sentence starts, at most 1."""
    headline = next((line.start for line in lines if line.kind is Kind.HEADING and _agree(line.text, title)), None)
    if headline is None:
        headline = next((line.start for line in lines if line.kind in (Kind.HEADING, Kind.LINE)), None)
    return np.array(
        [
            _weight(line)
            + EARLY * float(np.exp(-number / 8))
            + TITLE * (line.start == headline)
            + SENTENCE * sentence_scores.get(line.start, 0.0)
            for number, line in enumerate(lines)
        ],
        dtype=np.float64,
    )


def _weight(line: Candidate) -> float:
    text = line.text
    has_amount = _AMOUNT.search(text) is not None or (line.kind is Kind.ROW and _DIGIT.search(text) is not None)
    weight = 0.0
    if _TOTAL.search(text) and _DIGIT.search(text):
        weight += SUM / 3 if _PARTIAL.search(text) else SUM
    if has_amount:
        weight += AMOUNT if line.kind is not Kind.ROW else AMOUNT / 5
    if _SUBJECT.match(text):
        weight += SUBJECT
    if _FIELD.match(text):
        weight += FIELD
    if _DUE.search(text) and _DIGIT.search(text):
        weight += FIELD
    if _CONTACT.search(text):
        weight -= CONTACT
    if is_idle(text):
        weight -= CONTACT
    return weight if _LETTER.search(text) else weight - SUM


def _agree(line: str, title: str) -> bool:
    return bool(title) and (line.casefold() in title.casefold() or title.casefold() in line.casefold())
