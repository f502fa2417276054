"""Every option of every group, and every experiment, composes; its model builds and its factories take it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from rsna.config import config_dir
from rsna.config.compose import compose
from rsna.config.training import TrainConfig
from rsna.errors import InputError
from rsna.models import create_loss, create_model
from rsna.models.auxiliary import AuxiliaryHeads
from rsna.training.augmentation import create_augmentation
from rsna.training.optimizer import create_optimizer
from rsna.training.schedule import create_schedule

GROUPS = (
    "augmentation",
    "data",
    "env",
    "loss",
    "model",
    "optimizer",
    "roi",
    "sampler",
    "scheduler",
    "tracking",
    "trainer",
)


def options(group: str) -> list[str]:
    """The options of a config group, in folders too."""
    folder = config_dir() / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def build(config: TrainConfig) -> None:
    """Make everything that a config names, without memory for weights."""
    with torch.device("meta"):
        outputs = 3 if config.loss.name == "ce" else 1
        model = create_model(config.model, config.data.input, outputs, pretrained=False)
        size = (config.data.input.channels, config.data.input.height, config.data.input.width)
        images = torch.zeros(2, config.model.views.count, *size)
        assert model(images).shape == (2, outputs)
        model.prepare(config.model)
        loss = create_loss(config.loss, outputs)
        heads = AuxiliaryHeads(config.auxiliary, dict.fromkeys(config.auxiliary, 1), model.head.in_features)
        assert set(heads(model.features(images))) == set(config.auxiliary)
    create_optimizer(model, config.optimizer, loss, heads)
    create_schedule(config.scheduler, config.trainer.epochs, 1000)
    create_augmentation(config.augmentation)


@pytest.mark.parametrize("experiment", options("experiment"))
@pytest.mark.parametrize("debug", [None, *options("debug")])
def test_every_experiment_composes_and_builds(experiment: str, debug: str | None) -> None:
    extra = [f"debug={debug}"] if debug else []
    config = compose(TrainConfig, "train", [f"experiment={experiment}", *extra])
    assert config.name == experiment.rsplit("/", 1)[-1]
    build(config)


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in GROUPS for name in options(group)])
def test_every_option_composes_and_builds(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RSNA_DATA", "RSNA_PREPARED"):  # what a Kaggle kernel sets
        monkeypatch.setenv(name, "somewhere")
    build(compose(TrainConfig, "train", [choice]))


@pytest.mark.parametrize("experiment", options("experiment"))
def test_an_experiment_opens_with_the_command_that_runs_it(experiment: str) -> None:
    path = config_dir() / "experiment" / f"{experiment}.yaml"
    package, command, purpose = path.read_text(encoding="utf-8").splitlines()[:3]
    assert package == "# @package _global_"
    assert command.startswith(f"# rsna train experiment={experiment} ")
    assert purpose.startswith("# ")


@pytest.mark.parametrize("experiment", options("experiment"))
def test_an_experiment_holds_only_what_differs(experiment: str) -> None:
    path = config_dir() / "experiment" / f"{experiment}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed = compose(TrainConfig, "train", [f"experiment={experiment}"])
    choices = [f"{key.split('/')[-1]}={value}" for entry in content.pop("defaults", []) for key, value in entry.items()]
    plain = compose(TrainConfig, "train", choices)
    for key, value in leaves(content):
        assert lookup(changed, key) == value
        assert lookup(plain, key) != value, f"{key} is no difference"


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (config_dir() / "experiment/breast").glob("*")))
def test_an_experiment_stands_beside_what_its_original_scored(experiment: str) -> None:
    page = Path(__file__).parents[2] / "docs/experiments.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert any(f"`{experiment}`" in row.split("|")[1] for row in rows)


@pytest.mark.parametrize("debug", options("debug"))
def test_debugging_never_writes_where_the_experiment_does(debug: str) -> None:
    assert compose(TrainConfig, "train", [f"debug={debug}"]).env.runs != compose(TrainConfig, "train").env.runs


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("experiment=breast/no_such", "no_such"),
        ("model=no_such", "no_such"),
        ("no_such_key=1", "no_such_key"),
        ("+trainer.epoch=3", "unknown key.* epoch; valid keys: epochs"),
        ("trainer.epochs=many", "whole number"),
        ("trainer.epochs=0", "at least 1"),
        ("trainer.precision=16", "16-mixed"),
        ("model.pool=median", "avgmax"),
        ("fold=some", "fold"),
        ("fold=-1", "negative"),
        ("limit=1", "limit"),
        ("name=a/b", "name"),
        ("loss.positive_smoothing=1.0", "positive_smoothing"),
        ("sampler.negative_fraction=0.0", "negative_fraction"),
        ("augmentation.probability=2.0", "probability"),
        ("trainer.ema.decay=1.0", "decay"),
        ("scheduler=plateau +scheduler.warmup=1", "unit=epoch and warmup=0"),
        ("scheduler=onecycle scheduler.unit=epoch", "unit=step"),
        ("scheduler=cosine_epoch trainer.epochs=1", "leave nothing"),
        ("sampler=balanced sampler.positives_per_batch=16", "positives_per_batch"),
        ("model.views.mask=0.5", "missing=zero or missing=mask"),
        ("model.freeze.epochs=10", "no epoch in which"),
        ("model.init_from=a model.weights=b", "not both"),
        ("trainer.swa.start=10", "swa.start"),
        ("trainer=swa trainer.ema.decay=0.9", "swa.start"),
        ("trainer.effective_batch=32 trainer.nodes=3", "batch_size x devices x nodes"),
        ("scheduler=multistep scheduler.milestones=[3,1]", "rising order"),
        ("scheduler=cosine_epoch scheduler.cooldown=9", "leave nothing"),
        ("loss=aucpr +loss.aucpr_weight=1.0", "surrogate already"),
        ("loss.name=ce", "need each other"),
        ("+model.activation=softmax", "need each other"),
        ("loss=ce +loss.positive_weight=2.0", "no positives"),
        ("+auxiliary.age.weight=0.0", "leave out the entry"),
        ("+auxiliary.age={loss:ce,scale:2.0}", "ce head"),
    ],
)
def test_a_wrong_config_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        compose(TrainConfig, "train", override.split())
    assert "\n" not in str(caught.value)


def leaves(content: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """The dotted keys and values of a nested mapping; an empty mapping counts as a value."""
    found: list[tuple[str, object]] = []
    for key, value in content.items():
        found += leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found


def lookup(config: object, key: str) -> object:
    """The value of a dotted key of a spec."""
    for part in key.split("."):
        config = config.get(part) if isinstance(config, dict) else getattr(config, part, None)
    return config


def test_the_tree_is_where_the_package_looks() -> None:
    assert (Path(config_dir()) / "train.yaml").is_file()
