"""Draft."""

from sweeps.best_spec import best_spec
from sweeps.home import write_text
from sweeps.results import read_results
from trackers.compare import best


def report_sweep(home, plan, state, shown):
    from sweeps.driver import objective

    folder = home.sweep(plan.name) / "report"
    winners = best(read_results(home, plan), objective(plan))
    if not winners:
        return None
    write_text(folder / "best.yaml", best_spec(plan, winners))
    write_text(folder / "report.html", "x")
    return folder / "report.html"
