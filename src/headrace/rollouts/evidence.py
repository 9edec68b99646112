"""Statistics that may be looked at after every request: e-processes for harm and sample ratio, confidence sequences.

All of them are functions of counts, so that a judgement can be computed again from what was written down; for
simulations the counts may be arrays. All of them rest on one fact that the platform makes true itself: the salted hash
of a key is uniform and knows nothing of the answer. What a key meets is therefore independent of where it was sent as
long as both releases are equal, whatever the traffic does: bursts, trends and outages meet both alike. A key counts
once, so a busy one does not count for many.

An e-process has an expectation of at most 1 at every stopping time while its null hypothesis is true; the chance that
it ever reaches 1/alpha is at most alpha (Ville's inequality). Natural logarithms throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.domain.rollout_figures import Marks, Pairs, Stratum

Floats = npt.NDArray[np.float64]

RATIOS = (1.25, 1.6, 2.0, 2.5, 4.0, 8.0, 20.0, 100.0)
"""How many times as bad a candidate may be: what the e-process for harm bets on, with equal stakes."""

STAKES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.65, 0.9)
CENTRES = (0.0, 0.05, 0.15, 0.35, 0.6)
"""Shares of the largest safe bet, and guesses at the usual share of bad answers, that a confidence sequence mixes."""

CONCENTRATIONS = (10.0, 100.0, 1000.0)
"""How close to the planned share the priors of the sample ratio hold."""

NO_PAIRS = Pairs()

REFINEMENTS, POINTS, HALVINGS = 3, 33, 20
"""How finely the end of a confidence sequence is looked for: to less than a ten-thousandth."""


def harm(marks: Sequence[Marks], pairs: Pairs = NO_PAIRS, *, tolerance: float = 1.0) -> Floats:
    """The logarithm of the evidence that the candidate is bad more than `tolerance` times as often as the champion.

    While it is not, the next bad key is the candidate's with a chance of at most `share * tolerance / (share *
    tolerance + 1 - share)`: given that a key met something bad, where it was sent is a coin whose bias is known. Each
    of `RATIOS` gives a likelihood ratio against that coin, and their mean is an e-process. Nothing is assumed of how
    often, how regularly or together answers go bad.

    Where both releases answered a question there is no coin: a bet wins where only the candidate answered badly, and
    loses `tolerance` times as much where only the champion did. Where each did, it loses the difference, for then the
    candidate uses up what is tolerated; at a tolerance of 1 that is nothing, and this the sequential form of McNemar's
    test (1947).

    Sources: conditioning on events, Lindon and Malek (2022), "Anytime-valid inference for multinomial count data",
    NeurIPS 35; mixtures of likelihood ratios, Robbins (1970), and Howard, Ramdas, McAuliffe and Sekhon (2021),
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2).

    >>> round(float(np.exp(harm([Marks(share=0.5, candidate=30, champion=10)]))), 1)
    56.8
    """
    total: Any = 0.0
    for each in marks:
        null = _odds_share(each.share, tolerance)
        bets = np.array([_odds_share(each.share, tolerance * ratio) for ratio in RATIOS])
        candidate, champion = np.asarray(each.candidate)[..., None], np.asarray(each.champion)[..., None]
        total = total + candidate * np.log(bets / null) + champion * np.log((1 - bets) / (1 - null))
    stakes = np.array([(ratio - 1) / (tolerance * ratio + 1) for ratio in RATIOS])
    total = total + pairs.only_candidate * np.log1p(stakes) + pairs.only_champion * np.log1p(-tolerance * stakes)
    total = total + pairs.each_badly * np.log1p((1 - tolerance) * stakes)
    return _log_mean(np.broadcast_to(total, (*np.shape(total)[:-1], len(RATIOS))))


def excess(candidate: int, keys: int, *, limit: float) -> Floats:
    """The logarithm of the evidence that more than `limit` of keys are bad, where there is no other arm to look at.

    A mean of likelihood ratios of Bernoulli(p), for p between `limit` and 1, against Bernoulli(`limit`).
    """
    shares = limit + (1 - limit) * np.array([0.05, 0.1, 0.2, 0.4, 0.7, 0.95])
    bad, good = np.asarray(candidate)[..., None], np.asarray(keys)[..., None] - np.asarray(candidate)[..., None]
    return _log_mean(bad * np.log(shares / limit) + good * np.log((1 - shares) / (1 - limit)))


def sample_ratio(strata: Sequence[Stratum]) -> Floats:
    """The logarithm of the evidence that keys do not arrive in the shares that were planned.

    The likelihood of the counts under a Beta prior around the planned share, over that under the share itself.

    Source: Lindon and Malek (2022), the Dirichlet-multinomial e-process, here with two arms; a mean over the
    concentrations of the prior, for a mismatch may be slight or gross.
    """
    per_prior: Any = 0.0
    for each in strata:
        candidate, champion = np.asarray(each.candidate)[..., None], np.asarray(each.champion)[..., None]
        prior = np.array(CONCENTRATIONS) * each.share
        other = np.array(CONCENTRATIONS) * (1 - each.share)
        marginal = _log_beta(prior + candidate, other + champion) - _log_beta(prior, other)
        per_prior = per_prior + marginal - candidate * np.log(each.share) - champion * np.log1p(-each.share)
    return _log_mean(np.broadcast_to(per_prior, (*np.shape(per_prior)[:-1], len(CONCENTRATIONS))))


def worse_by(strata: Sequence[Stratum], pairs: Pairs, *, difference: Floats) -> Floats:
    """The logarithm of the evidence against "the candidate is bad for at least `difference` more of all keys".

    A key's answer, weighted by the inverse of the chance that it was sent where it was, estimates the difference
    without bias: `z = (bad - centre) * (1/share if candidate else -1/(1 - share))`. Betting against it multiplies the
    wealth by `1 + bet * (difference - z)`, which is never negative and of expectation at most 1. As answers are good
    or bad, the wealth is a function of the counts; and as the weights are known exactly, strata with different shares
    may be multiplied, and neither trends nor a share that follows the evidence do harm. For pairs `z` is seen directly.
    `difference` and the result are 1-D, and the result grows with it.

    Sources: Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B 86(1);
    with inverse probabilities, Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2024), "Anytime-valid off-policy
    inference for contextual bandits", ACM/IMS Journal of Data Science 1(3).
    """
    tested = np.asarray(difference, dtype=np.float64)[:, None, None]
    stakes, centres = np.array(STAKES)[:, None], np.array(CENTRES)
    wealth = np.zeros((len(tested), len(STAKES), len(CENTRES)))
    for each in strata:
        here, there = 1 / each.share, -1 / (1 - each.share)
        largest = np.maximum((1 - centres) * here, -centres * there)
        # Tested against less than nothing, a bet loses even where `z` is 0: it is smaller, so that it never owes.
        bets = stakes / np.maximum(largest, largest - tested)
        for count, is_bad, weight in (
            (each.candidate - each.bad_candidate, 0.0, here),
            (each.champion - each.bad_champion, 0.0, there),
            (each.bad_candidate, 1.0, here),
            (each.bad_champion, 1.0, there),
        ):
            wealth += _grown(count, bets * (tested - (is_bad - centres) * weight))
    same = pairs.both - pairs.only_candidate - pairs.only_champion
    for count, seen in ((same, 0.0), (pairs.only_candidate, 1.0), (pairs.only_champion, -1.0)):
        wealth += _grown(count, stakes / np.maximum(1, 1 - tested) * (tested - seen))
    return _log_mean(wealth.reshape(len(tested), -1))


def most_worse(strata: Sequence[Stratum], pairs: Pairs, *, level: float) -> float:
    """The upper end of a confidence sequence for how much more often the candidate is bad; from -1 to 1.

    With a chance of at least 1 - `level` it is above the true difference at all times at once.
    """
    low, high = -1.0, 1.0
    for _ in range(REFINEMENTS):
        tested = np.linspace(low, high, POINTS)
        refuted = worse_by(strata, pairs, difference=tested) >= np.log(1 / level)
        first = int(np.argmax(refuted))
        if not refuted[first]:
            return 1.0
        low, high = float(tested[max(0, first - 1)]), float(tested[first])
    return high


def difference_between(strata: Sequence[Stratum], pairs: Pairs, *, level: float) -> tuple[float, float]:
    """A confidence sequence, from below and from above, for how much more often the candidate is bad."""
    swapped = [
        Stratum(1 - each.share, each.champion, each.candidate, each.bad_champion, each.bad_candidate) for each in strata
    ]
    mirrored = Pairs(pairs.both, pairs.only_champion, pairs.only_candidate)
    return (-most_worse(swapped, mirrored, level=level / 2), most_worse(strata, pairs, level=level / 2))


def share_between(bad: int, keys: int, *, level: float) -> tuple[float, float]:
    """A confidence sequence for one share: the Beta(1/2, 1/2) mixture of Bernoulli likelihoods, inverted.

    Source: Robbins (1970); Howard and others (2021), section 3.2. (0, 1) without any keys.
    """
    if not keys:
        return (0.0, 1.0)
    mixture = float(
        _log_beta(np.array(bad + 0.5), np.array(keys - bad + 0.5)) - _log_beta(np.array(0.5), np.array(0.5))
    )

    def is_excluded(share: float) -> bool:
        log_likelihood = bad * np.log(share) + (keys - bad) * np.log1p(-share)
        return bool(mixture - log_likelihood >= np.log(1 / level))

    middle = min(1 - 1e-9, max(1e-9, bad / keys))
    return (_edge(is_excluded, 0.0, middle) if bad else 0.0, _edge(is_excluded, 1.0, middle) if bad < keys else 1.0)


def _edge(is_excluded: Any, outside: float, inside: float) -> float:
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if is_excluded(middle) else (outside, middle)
    return outside


def _odds_share(share: float, ratio: float) -> float:
    """The share of the bad keys that is the candidate's when it is bad `ratio` times as often."""
    return share * ratio / (share * ratio + 1 - share)


def _grown(count: float, gain: Floats) -> Floats:
    """The logarithm of what `count` bets make of 1."""
    return count * np.log1p(gain)


def _log_mean(logs: Any) -> Floats:
    """The logarithm of the mean over the last axis of what `logs` are the logarithms of."""
    peak = np.max(logs, axis=-1, keepdims=True)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        mean: Floats = np.log(np.mean(np.exp(logs - safe), axis=-1)) + safe[..., 0]
    return mean


def _log_beta(a: Floats, b: Floats) -> Floats:
    return _log_gamma(a) + _log_gamma(b) - _log_gamma(a + b)


def _log_gamma(x: Any) -> Floats:
    """Stirling's series at x + 8, led back by the recurrence; good to 1e-12 for x > 0. NumPy has none of its own."""
    x = np.asarray(x, dtype=np.float64)
    correction = np.log(x)
    for step in range(1, 8):
        correction = correction + np.log(x + step)
    y = x + 8
    series = 1 / (12 * y) - 1 / (360 * y**3) + 1 / (1260 * y**5) - 1 / (1680 * y**7)
    value: Floats = (y - 0.5) * np.log(y) - y + 0.5 * np.log(2 * np.pi) + series - correction
    return value
