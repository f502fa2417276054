"""Where a reason becomes an error that names the file.

The pure functions of this package know values, not files: they raise `ValueError` with the reason, and the functions
that open a file put its name in front.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rsna.errors import ImageError

MAX_REASON = 160  # characters: a decoder's own message may be a page long


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Turn what makes a file unusable into an `ImageError` with its name."""
    try:
        yield
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(path, error.strerror or str(error)) from error
    except MemoryError as error:
        raise ImageError(path, "not enough memory to read it") from error
    except (ValueError, ArithmeticError) as error:
        raise ImageError(path, str(error) or type(error).__name__) from error


def one_line(error: BaseException) -> str:
    """The message of an error in one line of bounded length; its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
