"""What is fitted on out-of-fold predictions: it finds what is there, and owns up to what is luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as peer_log_loss

from rsna.competitions import create_competition
from rsna.competitions.aggregation import per_unit
from rsna.ensembling.aggregator import compare_aggregations, fit_aggregation
from rsna.ensembling.blend import check_same_folds, compare_ways, fit_weights
from rsna.ensembling.calibration import compare_calibrations, fit_calibrator, fit_temperature, log_loss, reliability
from rsna.ensembling.scoring import nested, unit_score
from rsna.ensembling.selection import evaluate_selection, select_epochs
from rsna.errors import InputError
from rsna.inference.ensemble import combine, combine_units, to_ranks

BREAST = create_competition("breast")
FOLDS = 4
KNOWING = (("good", 2.5), ("other", 2.5), ("noise", 0.0))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def make_units(size: int, signal: float, seed: int, noise_seed: int | None = None, rate: float = 0.15) -> pd.DataFrame:
    """Units whose score is the truth times `signal`, plus noise; two breasts a patient, patients in folds."""
    truth = np.random.default_rng(seed).random(size) < rate
    noise = np.random.default_rng(seed if noise_seed is None else noise_seed).normal(size=size)
    names = [f"{i // 2}_{'LR'[i % 2]}" for i in range(size)]
    table = pd.DataFrame({"prediction_id": names, "target_cancer": truth.astype(np.float64)})
    return table.assign(pred_cancer=sigmoid(signal * truth + noise - 2), row_fold=np.arange(size) // 2 % FOLDS)


def make_images(seed: int, size: int = 400) -> pd.DataFrame:
    """Two to four images a unit, of which a positive one has a single one that shows it."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(size):
        truth, count = random.random() < 0.2, int(random.integers(2, 5))
        logits = random.normal(size=count) - 3
        logits[0] += 5 * truth
        site = "12"[i // 2 % 2]
        rows += [(f"{i}_{j}", str(i), site, i // 2 % FOLDS, float(truth), p) for j, p in enumerate(sigmoid(logits))]
    columns = ["image_id", "prediction_id", "site_id", "row_fold", "target_cancer", "pred_cancer"]
    return pd.DataFrame(rows, columns=columns)


def test_the_learned_aggregation_is_near_the_best_fixed_one_where_it_was_not_fitted() -> None:
    oof = make_images(0)
    scores = compare_aggregations(BREAST, oof)["unit/mean_auc"]
    assert scores["max"] > scores["mean"] > scores["min"]  # a single image shows it
    assert scores["learned"] > scores["mean"]
    assert scores["learned"] > scores["max"] - 0.03


def test_sites_have_their_own_coefficients_only_with_units_enough() -> None:
    oof = make_images(1, 600)
    how = fit_aggregation(oof, ["cancer"], "site_id")
    assert set(how.models) == {"", "1", "2"}
    few = oof[(oof["site_id"] == "1") | (oof["prediction_id"].astype(int) < 60)]
    assert set(fit_aggregation(few, ["cancer"], "site_id").models) == {"", "1"}
    shifted = oof.assign(site_id=oof["site_id"].replace("2", "9"))
    assert per_unit(shifted, how)["pred_cancer"].notna().all()  # a new site has the common ones


def test_a_fit_never_sees_the_fold_that_it_is_tried_on() -> None:
    oof = make_images(2, 40)

    def fit(train: pd.DataFrame):
        seen = set(train["prediction_id"])
        return lambda rows: rows.assign(leak=rows["prediction_id"].isin(seen))

    assert not nested(oof, fit)["leak"].any()
    with pytest.raises(InputError, match="one fold only"):
        nested(oof[oof["row_fold"] == 0], fit)


@given(st.floats(0.3, 4), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_temperature_undoes_a_temperature(factor: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=4000) * 2
    truth = (random.random(4000) < sigmoid(logits)).astype(np.float64)
    found = fit_temperature(truth, sigmoid(logits * factor))
    assert found == pytest.approx(factor, rel=0.15)
    assert log_loss(truth, sigmoid(logits * factor / found)) <= log_loss(truth, sigmoid(logits * factor)) + 1e-9


@pytest.mark.parametrize("method", ["none", "temperature", "isotonic"])
def test_calibration_keeps_the_order(method: str) -> None:
    units = make_units(500, 2, seed=0)
    calibrate = fit_calibrator(method, units["target_cancer"].to_numpy(), units["pred_cancer"].to_numpy())
    values = calibrate(np.linspace(0, 1, 101))
    assert (np.diff(values) >= -1e-12).all()
    assert values.min() >= 0
    assert values.max() <= 1


def test_calibration_helps_a_model_that_is_too_sure_and_is_measured_as_the_peers_do() -> None:
    units = make_units(3000, 2, seed=1)
    logits = np.log(units["pred_cancer"] / (1 - units["pred_cancer"]))
    sure = units.assign(pred_cancer=sigmoid(4 * logits))
    none, temperature, isotonic = compare_calibrations(sure, "cancer")
    assert temperature.log_loss < 0.8 * none.log_loss
    assert isotonic.error < none.error
    assert none.log_loss == pytest.approx(peer_log_loss(sure["target_cancer"], sure["pred_cancer"]), rel=1e-3)
    assert none.brier == pytest.approx(brier_score_loss(sure["target_cancer"], sure["pred_cancer"]))
    curve = reliability(sure["target_cancer"].to_numpy(), sure["pred_cancer"].to_numpy())
    assert curve["units"].sum() == 3000
    assert np.average(curve["observed"], weights=curve["units"]) == pytest.approx(sure["target_cancer"].mean())


@pytest.mark.parametrize("seed", range(3))
def test_weights_go_to_what_knows_something(seed: int) -> None:
    units = {name: make_units(1200, signal, seed, 100 + 3 * seed + i) for i, (name, signal) in enumerate(KNOWING)}
    tables = list(units.values())
    weights = fit_weights(BREAST, tables)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0
    assert weights[2] < min(weights[:2])
    fitted = combine_units(tables, "weights", weights, tables)
    assert unit_score(BREAST, fitted) >= max(unit_score(BREAST, table) for table in tables) - 1e-9  # it starts from it

    scores, chosen = compare_ways(BREAST, units, tables[0].set_index("prediction_id")["row_fold"])
    auc = scores["unit/mean_auc"]
    assert auc["weights of all"] > max(auc["good"], auc["other"])  # two errors that are not the same
    assert auc["weights of all"] > auc["noise"]
    assert list(chosen) == ["good", "other", "noise"]
    assert len(chosen) == FOLDS


def test_bundles_of_other_folds_are_never_mixed(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one = make_images(0, 20)
    check_same_folds({tmp_path / "a": one, tmp_path / "b": one.iloc[::-1]})
    with pytest.raises(InputError, match="different images"):
        check_same_folds({tmp_path / "a": one, tmp_path / "b": one[one["row_fold"] != 3]})
    with pytest.raises(InputError, match=r"is in fold 0 of .* and in fold 1 of"):
        check_same_folds({tmp_path / "a": one, tmp_path / "b": one.assign(row_fold=(one["row_fold"] + 1) % FOLDS)})


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.lists(st.floats(0, 1), min_size=2, max_size=10))
@settings(deadline=None)
def test_ranks_keep_the_order_and_do_not_depend_on_the_test(reference: list[float], values: list[float]) -> None:
    known = np.asarray(reference)
    ranks = to_ranks(np.asarray(values), known)
    assert ((ranks >= 0) & (ranks <= 1)).all()
    assert (np.diff(ranks[np.argsort(values)]) >= 0).all()
    assert to_ranks(np.asarray(values[:1]), known)[0] == ranks[0]
    levels, _ = np.unique(known, return_counts=True)
    middle = [(known < level).mean() + (known == level).mean() / 2 for level in levels]
    np.testing.assert_allclose(to_ranks(levels, known), middle)


def test_a_bundle_without_a_prediction_leaves_the_unit_to_the_others() -> None:
    values = np.array([[0.2, 0.8], [np.nan, 0.8], [np.nan, np.nan]])
    np.testing.assert_allclose(combine(values, [0.75, 0.25]), [0.35, 0.8, np.nan])
    units = [make_units(10, 1, 0), make_units(10, 1, 0, 5).iloc[::-1].reset_index(drop=True)]
    found = combine_units(units, "mean", [0.5, 0.5], units)
    other = units[1].set_index("prediction_id").loc[found["prediction_id"], "pred_cancer"].to_numpy()
    np.testing.assert_allclose(found["pred_cancer"], (units[0]["pred_cancer"] + other) / 2)


def epochs_of(signals: list[float], fold: int, seed: int = 0) -> dict[int, pd.DataFrame]:
    """Epochs of one fold; the truth is the same, the noise is each epoch's own."""
    tables = {}
    for epoch, signal in enumerate(signals):
        table = make_units(300, signal, seed=fold, noise_seed=1000 * fold + epoch + seed)
        tables[epoch] = table.assign(prediction_id=f"{fold}-" + table["prediction_id"])
    return tables


def patients(units: dict[int, dict[int, pd.DataFrame]]) -> dict[str, str]:
    names = pd.concat([epochs[0]["prediction_id"] for epochs in units.values()])
    return dict(zip(names, names.str[:-2], strict=True))


def test_a_real_difference_between_epochs_is_found_by_every_rule() -> None:
    units = {fold: epochs_of([0.5, 4.0, 0.5], fold) for fold in (0, 1)}
    for rule in ("best", "same", "joint"):
        assert select_epochs(BREAST, units, rule) == {0: 1, 1: 1}
    assert select_epochs(BREAST, units, "last") == {0: 2, 1: 2}
    found = {s.rule: s for s in evaluate_selection(BREAST, units, patients(units), repeats=4)}
    assert found["best"].agreement == 1
    assert found["best"].nested > found["last"].nested + 3 * found["last"].noise
    assert found["last"].optimism == pytest.approx(0, abs=1e-12)  # each half is once the one that chooses


def test_the_joint_choice_is_the_best_over_all_units() -> None:
    units = {fold: epochs_of([1.5, 1.5, 1.5], fold) for fold in (0, 1, 2)}
    scores = {}
    for rule in ("best", "same", "joint"):
        epochs = select_epochs(BREAST, units, rule)
        scores[rule] = unit_score(BREAST, pd.concat([units[f][e] for f, e in epochs.items()]))
    assert scores["joint"] >= max(scores["best"], scores["same"])


def test_luck_among_equal_epochs_is_called_luck() -> None:
    units = {fold: epochs_of([1.5] * 12, fold) for fold in (0, 1)}
    (best,) = evaluate_selection(BREAST, units, patients(units), ["best"], repeats=6)
    assert best.optimism > 0.02  # twelve equal epochs: the best one is so on its half alone
    assert best.score > best.nested
    assert best.agreement < 0.8
    assert best.noise > 0


def test_what_cannot_be_chosen_is_one_line() -> None:
    units = {0: {0: make_units(40, 1, 0), 1: make_units(40, 1, 0)}, 1: {2: make_units(40, 1, 0)}}
    with pytest.raises(InputError, match="no epoch in common"):
        select_epochs(BREAST, units, "same")
    with pytest.raises(InputError, match="no selection 'luck'; choose one of best, same, joint, last"):
        select_epochs(BREAST, units, "luck")
