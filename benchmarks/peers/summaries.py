# ruff: noqa: ANN001, ANN201, ANN202, D102 - it is a program of the peers, which have no types
"""Runs in the peers' own place: TextRank and LexRank of sumy, lead, and ROUGE for all. JSON in, JSON out."""

import json
import re
import sys
from collections import defaultdict
from time import process_time

from rouge_score.rouge_scorer import RougeScorer
from sumy.models.dom import ObjectDocumentModel, Paragraph, Sentence
from sumy.summarizers.lex_rank import LexRankSummarizer
from sumy.summarizers.text_rank import TextRankSummarizer

WORD = re.compile(r"[^\W_]+")
FIGURES = ("rouge1", "rouge2", "rougeL")


class Words:
    """sumy asks for a tokenizer; the sentences are given, so words are all there is to find."""

    def to_words(self, sentence):
        return tuple(WORD.findall(sentence))


def main():
    questions = json.load(sys.stdin)
    scorer = RougeScorer(list(FIGURES), use_stemmer=True)
    totals = defaultdict(lambda: defaultdict(float))
    ranked = {"TextRank (sumy)": TextRankSummarizer(), "LexRank (sumy)": LexRankSummarizer()}
    for question in questions:
        lines, count, words = question["sentences"], question["count"], question["words"]
        answers = {"headrace": question["headrace"]}
        if words:
            answers["lead-3"] = " ".join(lines[:3])
            answers[f"lead of {words} words"] = within(lines, words)
        else:
            answers["lead-1"] = lines[0]
        for way, summarizer in ranked.items():
            begun = process_time()
            answers[way] = summed_up(summarizer, lines, count, words)
            totals[way]["seconds"] += process_time() - begun
        for way, answer in answers.items():
            scores = [scorer.score(reference, answer) for reference in question["references"]]
            best = max(scores, key=lambda score: score["rouge1"].fmeasure)
            for figure in FIGURES:
                totals[way][figure] += 100 * best[figure].fmeasure / len(questions)
    json.dump(totals, sys.stdout)


def summed_up(summarizer, lines, count, words):
    """Its best sentences in their order: `count` of them, or as many of the best as have room in `words`."""
    document = ObjectDocumentModel([Paragraph([Sentence(line, Words()) for line in lines])])

    def fitting(ranked):
        taken, room = [], words
        for each in ranked:
            room -= len(str(each.sentence).split())
            if room < 0:
                break
            taken.append(each)
        return taken or ranked[:1]

    return " ".join(str(each) for each in summarizer(document, fitting if words else count))


def within(lines, words):
    return " ".join(" ".join(lines).split()[:words])


if __name__ == "__main__":
    main()
