"""The figures of a confirmation as parts of a page, with the words around them."""

from __future__ import annotations

from collections.abc import Iterable

from trackers import wording
from trackers.confirmation import Confirmation
from trackers.confirmed_figures import differences, means_against_gamma, recall_by_class, recall_by_size
from trackers.confirmed_words import headline
from trackers.estimates import FEW, MANY
from trackers.figure_style import loss_styles
from trackers.plots import Plot, figure_in_page


def confirmed_plots(number: int, found: Confirmation) -> Iterable[Plot]:
    """Differences to cross-entropy, means against gamma, recall by class size and by class."""
    styles = loss_styles(arm.loss for arm in found.arms)
    metric = f"{wording.metric_name(found.objective)}, test set"
    lead = headline(found)
    if any(arm.difference is not None for arm in found.arms):
        yield figure_in_page(
            f"differences-{number}", "Differences to cross-entropy", differences(found, styles),
            "Paired over the seeds; the arm that was chosen on validation images comes first. Large marks"
            " are means, thick lines their 95% interval over the seeds, on which decisions rest; thin lines"
            " add the doubt of the test images; small marks are the seeds.",
            f"Forest plot of the differences to cross-entropy in {metric}; {lead}",
        )  # fmt: skip
    gammas = means_against_gamma(found, styles, metric)
    if gammas is not None:
        yield figure_in_page(
            f"means-{number}", "Confirmed means against gamma", gammas,
            "Means on the test set with 95% intervals, of the seeds and the test images together. The dashed"
            " line is cross-entropy, the band its interval. Whether arms differ is seen above: of paired arms"
            " intervals may overlap although they differ.",
            f"{metric} against gamma with 95% intervals, for the confirmed arms; {lead}",
        )  # fmt: skip
    sizes = recall_by_size(found, styles)
    if sizes is not None:
        yield figure_in_page(
            f"sizes-{number}", "Recall by class size", sizes,
            f"Share of right images among those of classes with many (over {MANY}), a medium number and few"
            f" (under {FEW}) training images, means over the seeds. 95% intervals: of the seeds, and Wilson's"
            " for the number of test images.",
            f"Recall of classes with many, a medium number and few training images, by arm; {lead}",
        )  # fmt: skip
    classes = recall_by_class(found, styles)
    if classes is not None:
        yield figure_in_page(
            f"recalls-{number}", "Recall by class", classes,
            "The chosen arm beside cross-entropy, the class with most training images (in brackets) first;"
            " intervals as above.",
            f"Recall of {len(found.winner.recalls)} classes, of {found.winner.arm} and cross-entropy",
        )  # fmt: skip
