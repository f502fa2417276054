"""`rsna bundle`: what is in a model bundle, whether it is whole, and a bundle of weights that somebody else trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rsna.inference import Bundle

FOLDER = typer.Argument(..., metavar="BUNDLE", help="The folder that `rsna collect` wrote.")


def show(folder: Path = FOLDER) -> None:
    """Show what a bundle holds and how good its out-of-fold predictions are."""
    from rsna.inference import Bundle

    echo_bundle(Bundle.open(folder))


def echo_bundle(bundle: Bundle) -> None:
    """Print the metrics of a bundle's out-of-fold predictions, then what it holds."""
    spec, size = bundle.spec, bundle.config.data.input
    metrics = bundle.competition.evaluate(bundle.oof(), spec.rule, spec.threshold.value)
    for name, value in metrics.items():
        typer.echo(f"{name:18}{value:.4f}")
    for member in spec.members:
        reached = "undefined" if member.score is None else f"{member.score:.4f}"
        typer.echo(f"{'member':18}{member.file}: {bundle.competition.monitor} {reached} in epoch {member.epoch}")
    lines = {
        "model": f"{bundle.config.model.backbone}, input {size.height}x{size.width}, augmentation {' '.join(spec.tta)}",
        "threshold": f"{spec.threshold.value:.4f} on the {spec.aggregation} of a unit's images; as good from"
        f" {spec.threshold.low:.4f} to {spec.threshold.high:.4f}",
        "accepted skew": spec.accepted_skew or "none",
        "collected": f"{spec.created}, commit {spec.commit}{' with changes' * spec.dirty}",
        "digest": spec.digest,
    }
    for name, text in lines.items():
        typer.echo(f"{name:18}{text}")


def verify(
    folder: Path = FOLDER,
    digest: str = typer.Option("", help="The digest that the bundle must have, as `rsna bundle show` prints it."),
) -> None:
    """Check a bundle's schema, checksums, configuration and weights; exit status 2 for the first thing wrong."""
    from rsna.inference import Bundle

    typer.echo(f"{folder} is whole: {Bundle.open(folder, digest).spec.digest}")


def import_(
    weights: list[Path] = typer.Argument(..., metavar="WEIGHTS...", help="Files .pth or .safetensors, one per fold."),
    out: Path = typer.Option(..., help="The bundle's folder, such as models/<name>."),
    overrides: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Of `rsna train`: name=, model= …"),
    fold: list[int] = typer.Option([], help="The fold that the file has not seen, per file; 0, 1 … unless given."),
    rename: list[str] = typer.Option(
        [], metavar="OLD=NEW", help="Prefix of tensor names; without NEW they are left out. May be repeated."
    ),
    accept_skew: bool = typer.Option(False, "--accept-skew", help="As of `rsna collect`."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace another bundle in --out."),
) -> None:
    """Make a bundle of weights that somebody else trained, which must fit the network tensor by tensor."""
    from rsna.config.compose import compose
    from rsna.config.training import TrainConfig
    from rsna.errors import InputError
    from rsna.workflows.foreign import import_bundle

    if bad := [text for text in rename if "=" not in text]:
        raise InputError(f"--rename {bad[0]}: write OLD=NEW, such as encoder.=backbone.")
    renames = [(old, new) for old, _, new in (text.partition("=") for text in rename)]
    config = compose(TrainConfig, "train", overrides)
    echo_bundle(import_bundle(weights, fold or range(len(weights)), config, out, renames, accept_skew, overwrite))
    typer.echo(f"{'bundle':18}{out}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="bundle", help="Look into a bundle, or make one of foreign weights.", no_args_is_help=True)
    group.command("show")(show)
    group.command("verify")(verify)
    group.command("import")(import_)
    app.add_typer(group)
