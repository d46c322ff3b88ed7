"""What a confirmation says, in words: for the report and the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence

from trackers.confirmation import Confirmation, ConfirmedArm
from trackers.estimates import Contrast, Estimate
from trackers.power import POWER, detectable_difference
from trackers.wording import counted, deviation, metric_name, percent, signed


def interval(found: Estimate) -> str:
    """``86.4 to 88.3``, in percent; a dash where there is none."""
    if found.low is None or found.high is None:
        return "–"
    return f"{100 * max(0.0, found.low):.1f} to {100 * min(1.0, found.high):.1f}"


def plus_minus(found: Estimate) -> str:
    """``87.4% ± 0.9``: mean and half-width of the 95% interval, both doubts."""
    half = "" if found.half is None else f" ± {100 * found.half:.1f}"
    return percent(found.mean) + half


def halves(found: Estimate) -> str:
    """``3.2, 1.5``: half-widths in points, of the seeds and of the images."""
    return f"{deviation(found.h_seeds)}, {deviation(found.h_images)}"


def gap(found: Contrast | None) -> str:
    """``+2.3 [1.2, 3.4]``: a paired difference in points with its interval."""
    if found is None:
        return "–"
    low, high = found.estimate.low, found.estimate.high
    limits = "" if low is None or high is None else f" [{signed(low)}, {signed(high)}]"
    return signed(found.estimate.mean) + limits


def p_value(p: float | None) -> str:
    """``0.013``, ``<0.001``; a dash where nothing may be decided."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def beats(arm: ConfirmedArm) -> str:
    """Whether it beats cross-entropy: ``yes``, ``not shown``, ``worse``, ``undecided``; a dash for itself."""
    if arm.is_baseline:
        return "–"
    if arm.beats_baseline is None:
        return "undecided"
    return "yes" if arm.beats_baseline else "worse" if arm.is_worse else "not shown"


def listed(names: Sequence[str] | None) -> str:
    """``a, b and c``; ``none`` of no names, a dash where it is not decided."""
    if names is None:
        return "–"
    if not names:
        return "none"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def chosen_by(found: Confirmation) -> str:
    """What the arm was chosen by."""
    if found.objective.split == "test":
        return "the mean on the test set"
    return "pooled validation folds" if found.pooled else "the validation mean of these seeds"


def headline(found: Confirmation) -> str:
    """``cefl(gamma=2): 87.4% ± 0.9, beats cross-entropy (n = 5)``."""
    test = found.winner.test
    return f"{found.winner.arm}: {plus_minus(test)}, {decision(found)} (n = {test.n})"


def decision(found: Confirmation) -> str:
    """Whether the chosen arm beats cross-entropy, in a few words."""
    if found.winner.is_baseline:
        return "the baseline itself"
    if found.beats_baseline is None:
        return "undecided"
    if found.winner.is_worse:
        return "worse than cross-entropy on the test set"
    return "beats cross-entropy" if found.beats_baseline else "not shown to beat cross-entropy"


def verdict(found: Confirmation) -> str:
    """One cell in plain sentences: mean and interval, n, cross-entropy, and what it cannot be told from."""
    winner, test = found.winner, found.winner.test
    limits = "" if test.low is None else f" (95% interval {interval(test)}%)"
    text = (
        f"{winner.arm} has a test {metric_name(found.objective)} of {percent(test.mean)}{limits}: mean of"
        f" n = {test.n} confirmation seeds, last epoch, chosen by {chosen_by(found)} among"
        f" {counted(len(found.arms), 'arm')}. {against_baseline(found)} "
    )
    if winner.missing:
        text += f"It failed with {counted(winner.missing, 'seed')} more. "
    if found.unique_best:
        text += "It beats every other confirmed arm. "
    elif found.ties:
        others = [name for name in found.ties if found.baseline is None or name != found.baseline.arm]
        if others and not winner.is_baseline:
            text += f"Not distinguishable from it: {listed(others)}. "
    return text.strip()


def against_baseline(found: Confirmation) -> str:
    """Whether the chosen arm beats cross-entropy, with difference, interval and p."""
    winner, baseline = found.winner, found.baseline
    if winner.is_baseline:
        text = "It is the baseline itself: no nominated arm has a higher mean where arms are chosen"
        tied = found.ties
        if found.undecided:
            return f"{text}; undecided: {found.undecided}."
        return f"{text}. Not distinguishable from it: {listed(tied)}." if tied else f"{text}."
    if baseline is None or winner.difference is None:
        return f"Undecided: {found.undecided}."
    numbers = f"{percent(baseline.test.mean)}, difference {gap(winner.difference)} points"
    if winner.beats_baseline is None:
        return f"Cross-entropy has {numbers}. Whether it is beaten is undecided: {found.undecided}."
    numbers += f", p = {p_value(winner.p)}" if winner.p is not None and winner.p >= 0.001 else ", p < 0.001"
    if winner.beats_baseline:
        return f"It beats cross-entropy ({numbers}).{images_disagree(winner)}"
    if winner.is_worse:
        return f"On the test set it is worse than cross-entropy ({numbers})."
    return f"It cannot be told from cross-entropy ({numbers}). {needed(found)}"


def images_disagree(winner: ConfirmedArm) -> str:
    """A remark where the seeds decide and the doubt of the images would not."""
    if winner.difference is None or winner.difference.excludes_zero is not False:
        return ""
    return " With the doubt of the test images the interval includes 0: other images could say otherwise."


def needed(found: Confirmation) -> str:
    """How large a difference these seeds could have shown."""
    difference = found.winner.difference
    if difference is None or not difference.estimate.std:
        return ""
    n = difference.estimate.n
    least = detectable_difference(n, found.tests) * difference.estimate.std
    points, share = f"{100 * least:.1f}", f"{100 * POWER:.0f}"
    return f"With this spread {n} seeds find a difference of {points} points in {share} of 100 cases."


def method(found: Confirmation) -> str:
    """How the numbers came about."""
    looks, again = "", ""
    if found.looks > 1:
        looks = f", times {found.looks} looks"
        again = f" {AFTER_A_LOOK}"
    return (
        f"Seeds {ranges(found.seeds)}, the same for every arm. Differences are paired; p is of the paired t"
        f" test, Holm over {counted(found.tests, 'arm')}{looks}; nothing is decided below 5 seeds."
        f" Intervals are 95%, of the seeds and the test images together; decisions rest on the seeds.{again}"
    )


AFTER_A_LOOK = (
    "Seeds were added after results had been seen: who stops at the first success errs in 6.6 of 100 cells of"
    " equal arms, not in 5 (8.7 if p did not pay for the looks)."
)


_SCOPES = {
    "recipe": "The statement is about the recipe: images drawn, split, initial weights and order varied from"
    " seed to seed.",
    "data set": "The statement is about this data set: split, initial weights and order varied from seed to"
    " seed, its images did not.",
    "one draw": "The statement is about one draw of the images: initial weights and order varied from seed to"
    " seed, subset and split did not.",
    "one training": "The statement is about one training: images and split varied from seed to seed, initial"
    " weights and order did not.",
}


def scope(found: Confirmation) -> str:
    """What the statement is about."""
    return _SCOPES[found.about]


def ranges(seeds: Sequence[int]) -> str:
    """``1000 to 1004``, or the seeds one by one where there are gaps."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
