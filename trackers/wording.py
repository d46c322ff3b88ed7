"""Numbers and verdicts in words: the sentences that a report and a terminal print alike.

Before a confirmation no sentence says that one arm is better than another: it says which score is highest,
over how many seeds, on which split, by which rule, and what would decide it.
"""

from __future__ import annotations

from collections.abc import Mapping

from trackers.compare import ArmSummary, Objective
from trackers.report_data import CellReport

MINUS = "\N{MINUS SIGN}"

_EPOCH_RULES = {
    "last": "last epoch of each trial",
    "since_last_drop": "mean of the epochs since the learning rate last dropped",
}
_STATES = {
    "running": "The sweep is still running: this page shows what was complete when it was written.",
    "interrupted": "The sweep was interrupted: this page shows what was complete when it was written.",
    "budget": "The budget ended the sweep: planned trials beyond it were not started.",
    "failed": "The sweep failed: this page shows what was complete when it was written.",
}


def percent(share: float | None, digits: int = 1) -> str:
    """``0.8742`` as ``87.4%``; a dash for what does not exist."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def signed(difference: float | None) -> str:
    """``0.023`` as ``+2.3``: percentage points, always with a sign but where they round to zero."""
    if difference is None:
        return "–"
    text = f"{abs(100 * difference):.1f}"
    return text if text == "0.0" else ("+" if difference > 0 else MINUS) + text


def deviation(share: float | None) -> str:
    """A standard deviation in percentage points, without unit."""
    return "–" if share is None else f"{100 * share:.1f}"


def metric_name(objective: Objective) -> str:
    """``balanced_accuracy`` as ``balanced accuracy``."""
    return objective.metric.replace("_", " ").replace("f1", "F1")


def split_name(objective: Objective) -> str:
    """``validation split`` or ``test set``."""
    return "test set" if objective.split == "test" else f"{objective.split} split"


def epoch_rule(objective: Objective) -> str:
    """Which epoch of a trial counts, in words."""
    return _EPOCH_RULES.get(objective.epoch, f"epoch rule: {objective.epoch.replace('_', ' ')}")


def counted(number: int, noun: str) -> str:
    """``1 trial``, ``1,204 trials``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def states(counts: Mapping[str, int]) -> str:
    """``30 complete, 1 pruned``."""
    return ", ".join(f"{number:,} {state}" for state, number in counts.items())


def incomplete(counts: Mapping[str, int]) -> str:
    """``1 pruned``: the trials that gave no result, empty where all did."""
    return states({state: number for state, number in counts.items() if state != "complete"})


def conditions(cell: CellReport) -> str:
    """What all arms of a cell have in common, in one line."""
    info = cell.info
    parts = [f"data set {info.dataset}"]
    if cell.trials:
        trial = cell.trials[0]
        parts.append(imbalance(trial.imbalance, trial.order))
        parts.append(trial.model + (", pretrained" if trial.pretrained else ", not pretrained"))
    if info.classes:
        parts.append(f"{len(info.classes)} classes")
    for name, counts in (
        ("training", info.train_counts), ("validation", info.validation_counts), ("test", info.test_counts),
    ):  # fmt: skip
        if counts:
            parts.append(f"{sum(counts):,} {name} images")
    return " · ".join(parts)


def imbalance(ratio: float | None, order: str | None) -> str:
    """``imbalance 100:1, first class the rarest``."""
    if ratio is None:
        return "natural imbalance"
    end = {"ascending": ", first class the rarest", "descending": ", last class the rarest"}.get(
        order or "", ""
    )
    return f"imbalance {ratio:g}:1{end if ratio > 1 else ''}"


def headline(cell: CellReport) -> str:
    """The verdict in a few words."""
    if cell.winner is None:
        return "No complete trial"
    return f"{cell.winner.summary.arm}: {percent(cell.winner.mean)}"


def verdict(cell: CellReport, objective: Objective) -> str:
    """One cell in plain sentences: best arm, score, baseline, difference, and what kind of score this is."""
    winner = cell.winner
    if winner is None:
        counts = states(cell.states)
        return (
            f"No trial is complete ({counts}), so there is no best arm."
            if counts
            else "No trial has started."
        )
    arm, metric = winner.summary, metric_name(objective)
    rank = (
        f"the highest {metric} of {winner.candidates:,} arms"
        if winner.candidates > 1
        else f"the only {metric}"
    )
    seeds = f"mean of n = {arm.n} seeds" if arm.n > 1 else "n = 1 seed"
    how = f"{seeds}, {split_name(objective)}, {epoch_rule(objective)}"
    text = f"{arm.arm} has {rank}: {percent(winner.mean)} ({how}). "
    if winner.baseline is None:
        text += "Cross-entropy has no complete trial here, so there is nothing to compare it with. "
    elif arm.loss == "cross_entropy" and not arm.params:
        text += "It is the baseline itself: no other arm scored higher. "
    else:
        gap = signed(winner.difference)
        reference = f"{percent(winner.baseline)} (n = {winner.baseline_n})"
        text += f"Cross-entropy has {reference}, a difference of {gap} points. "
    if arm.n < winner.most_seeds:
        text += f"The leading arm rests on fewer seeds than others, which have up to {winner.most_seeds}. "
    return text + f"A search score on the {split_name(objective)}, not confirmed."


def caution(cells: list[CellReport], objective: Objective) -> str:
    """What the scores of a search do not say."""
    most = max((cell.winner.candidates for cell in cells if cell.winner), default=0)
    picked = f"the highest of up to {most:,} scores" if most > 1 else "a single score"
    return (
        f"These are scores of the search. Each was picked as {picked} on the same images, so it is "
        "optimistic: in simulations on imbalanced CIFAR-10 by 1.2 to 3.5 points, depending on the validation "
        "split. Whether the arm is better than cross-entropy, or than the arms next to it, is undecided: "
        "before a confirmation no two arms are called different, and no interval is given."
    )


def next_step(confirm_command: str | None) -> str:
    """What would decide it."""
    how = (
        "train the leading arms and cross-entropy again with at least five seeds that the search did not use"
    )
    return f"Next: {how}, and report their test means{':' if confirm_command else '.'}"


TEST_WARNING = (
    "The choice was made on the test set. The specification says so (select: split: test, the protocol of "
    "the paper), so no images were held back: the scores are optimistic, they are no estimate for new "
    "images, and they must not be compared with results that were chosen on a validation split."
)


def state_note(state: str, reason: str | None = None) -> str:
    """A sentence about a sweep that is not done, with its reason; empty for one that is."""
    note = _STATES.get(state, "")
    return f"{note[:-1]} ({reason})." if note and reason else note


def spread(arm: ArmSummary) -> str:
    """``86.9 – 87.8%`` over the seeds, a dash with one seed."""
    if arm.n < 2 or arm.minimum is None or arm.maximum is None:
        return "–"
    return f"{100 * arm.minimum:.1f}–{100 * arm.maximum:.1f}%"
