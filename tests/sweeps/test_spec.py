"""Wrong specifications are refused with every problem at once; right ones are frozen values."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from cefl.catalog import LOSSES, PARAMETERS
from sweeps.errors import InputError, SpecError
from sweeps.spec import Spec, load_spec, load_text, shipped_specs
from sweeps.spec.losses import loss_arms, undrawn
from sweeps.spec.model import Range, Study

RIGHT = """\
name: right
data: digits
depth: 8
losses: [cross_entropy, {loss: cefl, gamma: [1, 2]}]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_text(text, "s.yaml", Path())
    return str(caught.value).splitlines()


def test_shorthands_stand_for_lists() -> None:
    spec = load_text(RIGHT + "seeds: 3\n", "s.yaml", Path()).spec
    assert spec.seeds == [0, 1, 2]
    assert spec.data is not None
    assert spec.data[0].source == "digits"
    assert spec.losses is not None
    assert [entry.loss for entry in spec.losses] == ["cross_entropy", "cefl"]


def test_seeds_of_data_and_training_can_be_given_apart() -> None:
    def seeds(text: str) -> tuple[list[int], dict[str, int]]:
        spec = load_text(RIGHT + f"seeds: {text}\n", "s.yaml", Path()).spec
        return spec.trial_seeds, spec.fixed_seeds

    assert seeds("3") == ([0, 1, 2], {})
    assert seeds("{data: [4], training: 3}") == ([0, 1, 2], {"data_seed": 4})
    assert seeds("{data: [4, 5], training: [0]}") == ([4, 5], {"train_seed": 0})
    assert seeds("{data: 1, training: [9]}") == ([9], {"data_seed": 0})


def test_a_specification_is_frozen() -> None:
    spec = load_text(RIGHT, "s.yaml", Path()).spec
    with pytest.raises(pydantic.ValidationError):
        spec.name = "other"


def test_every_problem_is_told_at_once_with_line_and_path() -> None:
    text = (
        "name: s\ndata: digits\ndepth: 8\nepohcs: 3\nlosses:\n  - loss: focal\n    gamma: [x]\n"
        "study: {losses: [cefl], gamma: [5, 0], asks: 2}\nrecipe: {preset: cifr}\n"
    )
    assert problems(text) == [
        "s.yaml:4: epohcs: unknown key 'epohcs', did you mean 'recipe.epochs'?",
        "s.yaml:7: losses[0].gamma[0]: 'x' is not a number",
        "s.yaml:9: recipe.preset: 'cifr' is not one of cifar, crop-disease, mushroom, ldam, digits,"
        " did you mean 'cifar'?",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("depht: 8", "depht: unknown key 'depht', did you mean 'depth'?"),
        ("recipe: {epoch: 3}", "recipe.epoch: unknown key 'epoch', did you mean 'epochs'?"),
        ("recipe: {epochs: 1e-4}", "recipe.epochs: 0.0001 is not a whole number"),
        ("recipe: {learning_rate: 0}", "recipe.learning_rate: must be > 0, but got 0"),
        ("select: {metric: acuracy}", "did you mean 'accuracy'?"),
        ("select: {split: train}", "'train' is not one of validation, test"),
        ("seeds: [1, 1]", "seeds[1]: 1 is listed twice; keep one"),
        ("seeds: []", "seeds: must not be empty"),
        ("seeds: 0", "seeds: must be a list or a number of seeds, at least 1, but got 0"),
        ("seeds: {data: [0], training: [1, 1]}", "seeds.training[1]: 1 is listed twice; keep one"),
        ("seeds: {data: 2, training: 2}", "one of `data` and `training` has a single seed"),
        ("seeds: {data: 1, trainin: 2, training: 1}", "seeds.trainin: unknown key 'trainin', did you mean"),
        ("seeds: {data: 1}", "seeds.training: is required"),
        ("seeds: {data: 0, training: 2}", "must be a list or a number of seeds, at least 1, but got 0"),
        ("resources: {gpus: 1.5}", "must be a share of one GPU in [0, 1] or a whole number, but got 1.5"),
        ("resources: {cpus: true}", "resources.cpus: True is not a number"),
        ("validation: {unusd: 3}", "did you mean 'unused'?"),
        ("validation: {holdout: 2}", "holdout"),
        (
            "study: {losses: [cross_entropy], asks: 1}",
            "cross_entropy has no parameter to search; leave it out",
        ),
        ("study: {losses: [cefl2], asks: 1}", "cefl2 is not among the sweep's `losses`; add it there"),
        ("study: {losses: [cefl], asks: 1, gamma: [.nan, 2]}", "must be a finite number, but got nan"),
        (
            "study: {losses: [cefl], asks: 1, tau: [0, 1]}",
            "study.tau: none of cefl has tau; leave it out",
        ),
        (
            "study: {losses: [cefl], asks: 1, gamma: [3, 1]}",
            "`low < high` must hold, but got (low=3, high=1)",
        ),
        (
            "resources: {memory: 4 apples}",
            "resources.memory: must be a number of bytes, or one of MB, GB, MiB or GiB, but got '4 apples'",
        ),
        ("resources: {epoch_limit: 0}", "resources.epoch_limit: must be > 0, but got 0"),
        ("tracking: {keep: some}", "'some' is not one of best, all, none"),
    ],
)
def test_a_wrong_block_is_told_with_its_rule(change: str, expected: str) -> None:
    found = problems(RIGHT + change + "\n")
    assert any(expected in line for line in found), found
    assert len(found) == 1


def test_a_data_source_that_there_is_none_of_is_told_before_the_data_are_looked_at() -> None:
    (found,) = problems(RIGHT.replace("digits", "digitz"))
    assert found.startswith("s.yaml:2: data[0].source: unknown data source 'digitz'")
    assert "did you mean 'digits'?" in found


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ("[]", "losses: must not be empty"),
        ("[cross_entropi]", "did you mean 'cross_entropy'?"),
        ("[{loss: cefl, gamma: -1}]", "losses[0].gamma: must be >= 0, but got -1"),
        ("[{loss: cefl, gamma: .nan}]", "losses[0].gamma: must be a finite number, but got nan"),
        ("[{loss: cefl, gamma: .inf}]", "losses[0].gamma: must be a finite number, but got inf"),
        ("[{loss: cefl, gamma: []}]", "losses[0].gamma: must not be empty"),
        ("[{loss: cefl, alpha: 1}]", "losses[0].alpha: cefl has no alpha; leave it out"),
        ("[{loss: cross_entropy, gamma: 1}]", "losses[0].gamma: cross_entropy has no gamma; leave it out"),
        ("[{loss: focal, alpha: 0}]", "losses[0].alpha: must be > 0, but got 0"),
        ("[{loss: cefl, gamma: [1, 1.0]}]", "the arm cefl gamma 1 is listed twice; keep one"),
        ("[cefl, {loss: cefl, gamma: 2}]", "the arm cefl gamma 2 is listed twice; keep one"),
        ("[{gamma: 2}]", "losses[0].loss: is required"),
        ("[3]", "losses[0]: must be the name of a loss, or a mapping of loss and its parameters, but got 3"),
        ("{loss: [cefl]}", "losses.loss: ['cefl'] is not one of cross_entropy, focal"),
        ("[{loss: cefl, gama: 1}]", "losses[0].gama: unknown key 'gama', did you mean 'gamma'?"),
        (
            "[{loss: cefl, temperature: 1}]",
            "losses[0].temperature: unknown key 'temperature'; cefl has gamma",
        ),
        ("[{loss: logit_adjustment, tau: -1}]", "losses[0].tau: must be >= 0, but got -1"),
        ("[{loss: cb_focal, beta: 1}]", "losses[0].beta: must be < 1, but got 1"),
        ("[{loss: balanced_softmax, tau: 1}]", "losses[0].tau: balanced_softmax has no tau; leave it out"),
    ],
)
def test_a_wrong_loss_is_told_with_its_rule(losses: str, expected: str) -> None:
    found = problems(f"name: s\ndata: digits\ndepth: 8\nlosses: {losses}\n")
    assert any(expected in line for line in found), found
    assert len(found) == 1


def test_each_loss_has_its_own_parameters_and_their_defaults() -> None:
    text = "name: s\ndata: digits\ndepth: 8\nlosses: [ldam, {loss: cb_focal, beta: [0.9, 0.99], gamma: 1}]\n"
    spec = load_text(text, "s.yaml", Path()).spec
    ldam, focal = spec.losses or []
    assert loss_arms(ldam) == [{"max_margin": 0.5, "scale": 30.0}]
    assert loss_arms(focal) == [{"beta": 0.9, "gamma": 1.0}, {"beta": 0.99, "gamma": 1.0}]


def test_the_schema_knows_which_loss_has_which_parameter() -> None:
    entries = Spec.model_json_schema()["$defs"]
    found = {
        entry["properties"]["loss"]["const"]: set(entry["properties"]) - {"loss"}
        for entry in entries.values()
        if "const" in entry["properties"].get("loss", {})
    }
    assert found == {loss: set(params) for loss, params in LOSSES.items()}


def test_a_study_has_a_range_for_every_parameter_and_asks_for_those_that_are_searched() -> None:
    assert PARAMETERS.keys() <= Study.model_fields.keys()
    (entry,) = (
        load_text(
            RIGHT.replace("cross_entropy, {loss: cefl, gamma: [1, 2]}", "cb_focal"), "s", Path()
        ).spec.losses
        or []
    )
    study = Study(losses=["cb_focal"], asks=1)
    assert study.drawn(entry) == {"gamma": (0.0, 5.0)}
    wide = Study(losses=["cb_focal"], asks=1, beta=Range(low=0.9, high=0.999), gamma=Range(low=1, high=2))
    assert wide.drawn(entry) == {"beta": (0.9, 0.999), "gamma": (1.0, 2.0)}
    assert undrawn(entry) == {"beta": 0.9999, "gamma": 2.0}


OWN = "{loss: 'mine.losses:cold', temperature: [2, 1], shift: -1}"


def test_a_loss_of_ones_own_has_the_parameters_that_it_lists() -> None:
    text = RIGHT.replace("cross_entropy, {loss: cefl, gamma: [1, 2]}", OWN)
    spec = load_text(
        text + "study: {losses: ['mine.losses:cold'], ranges: {shift: [-2, 2]}, asks: 1}\n", "s", Path()
    ).spec
    (entry,) = spec.losses or []
    assert loss_arms(entry) == [{"temperature": 2.0, "shift": -1.0}, {"temperature": 1.0, "shift": -1.0}]
    assert spec.study is not None
    assert spec.study.drawn(entry) == {"shift": (-2.0, 2.0)}
    assert undrawn(entry) == {"temperature": 2.0, "shift": -1.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("losses: [{loss: 'mine:cold', t: x}]", "losses[0].t: 'x' is not a number"),
        ("losses: [{loss: 'mine:cold', t: []}]", "losses[0].t: must not be empty"),
        ("losses: [{loss: 'mine:cold', t: .nan}]", "losses[0].t: must be a finite number, but got nan"),
        ("losses: ['mine losses:cold']", "'mine losses:cold' is not one of cross_entropy, focal"),
        (
            "losses: ['mine:cold']\nstudy: {losses: ['mine:cold'], asks: 1}",
            "study.losses[0]: mine:cold lists no parameter to search; list one with a value in `losses`",
        ),
        (
            "losses: [{loss: 'mine:cold', t: 1}]\nstudy: {losses: ['mine:cold'], asks: 1}",
            "mine:cold is searched over no range; give one, such as `ranges: {t: [LOW, HIGH]}`",
        ),
        (
            "losses: [{loss: 'mine:cold', t: 1}]\n"
            "study: {losses: ['mine:cold'], ranges: {t: [0, 1], s: [0, 1]}, asks: 1}",
            "study.ranges.s: none of mine:cold has s; leave it out",
        ),
    ],
)
def test_what_is_wrong_with_a_loss_of_ones_own_is_told(change: str, expected: str) -> None:
    found = problems(f"name: s\ndata: digits\ndepth: 8\n{change}\n")
    assert any(expected in line for line in found), found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("study", "expected"),
    [
        ("{losses: [ldam], asks: 1}", "study.losses[0]: ldam is searched over no range; give one, such as"),
        ("{losses: [ldam], asks: 1, scale: [0, 9]}", "`0 < scale < inf` must hold in the whole range"),
    ],
)
def test_a_search_without_a_range_or_out_of_it_is_told(study: str, expected: str) -> None:
    (found,) = problems(f"name: s\ndata: digits\ndepth: 8\nlosses: [ldam]\nstudy: {study}\n")
    assert expected in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a specification is a mapping"),
        ("- 1\n", "a specification is a mapping"),
        ("name: a b\ndata: digits\ndepth: 8\nlosses: cefl\n", "'a b' is not a name"),
        ("data: digits\ndepth: 8\nlosses: cefl\n", "name: is required"),
        ("name: s\ndepth: 8\nlosses: cefl\n", "data: is required"),
        ("name: s\ndata: digits\nlosses: cefl\n", "give one of `model` and `depth`"),
        ("name: s\ndata: digits\ndepth: 9\nlosses: cefl\n", "no model has depth 9; there are 8, 14, 18"),
        ("name: s\ndata: digits\nmodel: resnet21\nlosses: cefl\n", "'resnet21' is not one of"),
        (
            "name: s\ndata: [{source: digits, imbalance: 0.5}]\ndepth: 8\nlosses: cefl\n",
            "must be >= 1, but got 0.5",
        ),
        ("name: s\ndata: [{source: digits, imbalance: [2, 2]}]\ndepth: 8\nlosses: cefl\n", "listed twice"),
        ("name: s\ndata: digits\ncells: []\n", "cells: must not be empty"),
        (
            "name: s\ndata: digits\ncells: [{data: digits, depth: 8, losses: [cefl]}]\n",
            "data: cannot stand beside `cells`; move it into them",
        ),
    ],
)
def test_a_wrong_whole_is_told(text: str, expected: str) -> None:
    assert any(expected in line for line in problems(text)), problems(text)


def test_shipped_specifications_are_there_and_valid() -> None:
    shipped = shipped_specs()
    assert {"quickstart", "cifar10-lt"} <= shipped.keys()
    for name in shipped:
        loaded = load_spec(name)
        assert loaded.spec.name == name
        assert f"sweeps run {name}" in loaded.text.splitlines()[0], (
            "the file opens with the command that runs it"
        )


def test_a_missing_file_says_what_there_is() -> None:
    with pytest.raises(InputError, match="did you mean 'quickstart'.*shipped are"):
        load_spec("quickstat")
