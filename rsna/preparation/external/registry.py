"""The external sets by name. A new one is a module with a `SOURCE` and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsna.config import PrepareConfig, dump, load
from rsna.preparation.external import bmcd, cddcesm, cmmd, miniddsm, vindr
from rsna.preparation.external.base import ExternalSource
from rsna.preparation.prepare import PrepareReport, Source, prepare_source
from rsna.preparation.shards import WHOLE, Shard

SOURCES: dict[str, ExternalSource] = {
    module.SOURCE.name: module.SOURCE for module in (vindr, miniddsm, cmmd, cddcesm, bmcd)
}


def import_external(
    name: str,
    raw: Path,
    config: PrepareConfig,
    labels: Mapping[str, Any],
    shard: Shard = WHOLE,
    limit: int | None = None,
) -> PrepareReport:
    """Prepare an external set; see `rsna.preparation.prepare.prepare_source`.

    Args:
        name: One of `SOURCES`.
        raw: The set as downloaded.
        config: Where it goes and what a picture is.
        labels: Choices about its labels, by name.
        shard: The part of the patients to handle.
        limit: Only the first images.

    Raises:
        InputError: For an unknown choice, and a layout or table that is not the set's.
    """
    source = SOURCES[name]
    options: Any = load(source.options, dict(labels), f"the labels of {name}")
    table = source.table(raw, options)
    made = Source(raw, table, origin=name, labels=dump(options), reader=source.reader)
    return prepare_source(made, config, shard, limit)
