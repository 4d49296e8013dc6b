"""The correction learns what the prior does not say; its probabilities are those of the list."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.basket.chances import CHANCES, fit_chances, logistic
from ml.basket.features import Candidates
from ml.basket.model import LISTED, BasketConfig, BasketModel, Question

PRIOR_ALONE = BasketConfig(epochs=0, shuffles=1)


def questions(luck: np.random.Generator, number: int) -> list[Question]:
    """Orders in which the candidate with the largest second feature is bought, prior or not."""
    made = []
    for _ in range(number):
        plain = luck.normal(size=(30, 5)).astype(np.float32)
        bought = np.argsort(-plain[:, 1])[:2]
        prior, owned = luck.random(30), np.zeros(30, np.bool_)
        size, orders = luck.random(2).tolist()
        made.append(Question(Candidates(np.arange(30), prior, owned, plain, size, orders), bought))
    return made


def test_the_correction_learns_what_the_prior_does_not_say():
    luck = np.random.default_rng(0)
    model = BasketModel.fit(questions(luck, 400), BasketConfig(epochs=5, learning_rate=0.05))
    assert model.weights[1] > 3 * abs(model.weights[[0, 2, 3, 4]]).max()
    hits = [
        question.bought[0] in model.best(question.candidates, 2)[0]
        for question in questions(luck, 100)
    ]
    assert np.mean(hits) > 0.8


def test_without_learning_the_order_is_the_priors_and_equal_seeds_learn_equally():
    made = questions(np.random.default_rng(0), 20)
    untaught = BasketModel.fit(made, PRIOR_ALONE)
    for question in made:
        by_prior = np.argsort(-question.candidates.prior)
        assert np.array_equal(np.argsort(-untaught.score(question.candidates)), by_prior)
    one, two = (BasketModel.fit(made) for _ in range(2))
    assert one.as_dict() == two.as_dict()


def test_the_weights_are_the_mean_over_shuffles():
    made = questions(np.random.default_rng(1), 70)
    one, four = (BasketModel.fit(made, BasketConfig(shuffles=n)) for n in (1, 4))
    others = [BasketModel.fit(made, BasketConfig(shuffles=n)).weights * n for n in (1, 2)]
    assert not np.allclose(one.weights, four.weights)
    assert np.allclose(others[0], one.weights)
    assert not np.allclose(others[1] - others[0], one.weights)  # each goes its own way


def test_the_slope_points_from_what_was_bought():
    question = questions(np.random.default_rng(3), 1)[0]
    model = BasketModel(np.zeros(5), np.ones(5), np.zeros(5), np.zeros(CHANCES))
    assert model.slope(question)[1] < 0  # more weight on it makes the ranking better


def test_of_ten_listed_items_as_many_are_bought_as_their_probabilities_say():
    luck = np.random.default_rng(4)
    model = BasketModel.fit(questions(luck, 400))
    asked = questions(luck, 400)
    lists = [model.best(question.candidates) for question in asked]
    foretold = np.mean([chances.sum() for _, chances in lists])
    bought = [np.isin(places, q.bought).sum() for (places, _), q in zip(lists, asked, strict=True)]
    assert foretold == pytest.approx(np.mean(bought), abs=0.1)
    for places, chances in lists:
        assert len(places) == LISTED
        assert (np.diff(chances) <= 0).all()
        assert ((chances > 0) & (chances < 1)).all()


@given(st.integers(0, 20))
def test_chances_follow_the_curve_that_made_the_data_and_never_fall_with_the_score(seed: int):
    luck = np.random.default_rng(seed)
    inputs = np.column_stack([luck.normal(size=4_000), np.ones(4_000), luck.random((4_000, 2))])
    truth = np.array([0.8, -1.0, 0.5, -0.5])
    bought = luck.random(4_000) < logistic(inputs @ truth)
    assert fit_chances(inputs, bought) == pytest.approx(truth, abs=0.5)
    assert fit_chances(inputs * [-1, 1, 1, 1], bought)[0] == 0


def test_a_model_goes_through_json_and_one_of_other_features_is_refused():
    model = BasketModel.fit(questions(np.random.default_rng(0), 20))
    stored = json.loads(json.dumps(model.as_dict()))
    assert BasketModel.of(stored).as_dict() == model.as_dict()
    for changed in ({"features": 0}, {"weights": [1.0]}, {"chance": [1.0]}):
        with pytest.raises(ValueError, match="other features"):
            BasketModel.of({**stored, **changed})
