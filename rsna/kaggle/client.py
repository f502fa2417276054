"""The door to Kaggle: the official client, with its refusals turned into errors that say why."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from rsna.errors import InputError, RsnaError

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi

logger = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 60.0
HINTS = {
    401: "the credentials are refused; make a new token in your Kaggle settings",
    403: "a typo in the slug, rules that were not accepted in the browser, or a data set still being made",
    404: "it does not exist (yet), or is not yours",
    429: "too many requests; wait a minute",
}


@cache
def connect() -> KaggleApi:
    """The authenticated client of the official package, made once a process.

    Raises:
        InputError: Where the package or the credentials are missing.
        RsnaError: Where Kaggle does not answer.
    """
    quiet = io.StringIO()  # importing the package authenticates, and prints a page of help where it cannot
    try:
        import requests

        with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            from kaggle import api

            if not api.config_values.get(api.CONFIG_NAME_USER):
                api.authenticate()  # once more, for the reason
    except ImportError as error:
        raise InputError(f'the Kaggle client is not installed ({error}): pip install -e ".[kaggle]"') from error
    except requests.RequestException as error:
        if status_of(error) != 401:
            raise RsnaError(f"could not reach Kaggle: {error}") from error
        raise InputError(f"Kaggle refuses the credentials: {HINTS[401]}") from error
    except (Exception, SystemExit) as error:
        raise InputError(
            "no Kaggle credentials: put a token into ~/.kaggle/access_token or KAGGLE_API_TOKEN"
            " (kaggle.com, Settings, API)"
        ) from error
    if not api.config_values.get(api.CONFIG_NAME_USER):
        raise InputError("Kaggle does not say who these credentials belong to; make a new token")
    return api


def user_name() -> str:
    """The user whom the credentials belong to."""
    api = connect()
    return str(api.config_values[api.CONFIG_NAME_USER])


def rehearsing() -> bool:
    """Whether the client speaks to a Kaggle on this machine instead of the real one."""
    return os.environ.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST"


@contextlib.contextmanager
def refusals_as_errors(what: str) -> Iterator[None]:
    """Turn what the client raises inside the block into one `RsnaError` with Kaggle's own reason.

    The client keeps only the top level of an error body; the production host nests its reasons, so they are read from
    the response itself.

    Args:
        what: What was tried, for the message: "push alice/rsna-code".
    """
    import requests

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        reason = response_reason(error) or str(error)
        hint = f" ({HINTS[status]})" if status in HINTS else ""
        raise RsnaError(f"Kaggle refused to {what}: {status} {reason}{hint}") from error
    except requests.RequestException as error:
        raise RsnaError(f"could not reach Kaggle to {what}: {error}") from error
    except (ValueError, OSError) as error:
        raise RsnaError(f"could not {what}: {error}") from error


def status_of(error: BaseException | None) -> int:
    """The HTTP status behind an error of `refusals_as_errors`; 0 where there was none."""
    response = getattr(getattr(error, "__cause__", None) or error, "response", None)
    return int(response.status_code) if response is not None else 0


def is_passing(error: RsnaError) -> bool:
    """Whether an error of `refusals_as_errors` may soon be over: no connection, too many calls, a server in trouble."""
    import requests

    status = status_of(error)
    return isinstance(error.__cause__, requests.RequestException) and (status in (0, 429) or status >= 500)


def is_too_many(error: RsnaError) -> bool:
    """Whether a call was not even looked at, because there were too many."""
    return status_of(error) == 429


def patiently(
    call: Callable[[], T], patience: float = PATIENCE_S, retry: Callable[[RsnaError], bool] = is_passing
) -> T:
    """What a call returns, tried again while the network or Kaggle has its moments.

    Args:
        call: With the default `retry` it must change nothing: a call whose answer was lost may have been heard.
        patience: Seconds after which the error is raised.
        retry: Which errors are worth another try.

    Raises:
        RsnaError: As of `call`.
    """
    deadline = time.monotonic() + patience
    pause = 0.5
    while True:
        try:
            return call()
        except RsnaError as error:
            if not retry(error) or time.monotonic() + pause > deadline:
                raise
            logger.debug("trying again in %.1f s: %s", pause, error)
        time.sleep(pause)
        pause = min(pause * 2, 30.0)


def response_reason(error: Any) -> str:
    """Kaggle's reason out of an HTTP error's body: `{"message"}` or `{"error": {"message"}}`."""
    text = error.response.text if error.response is not None else ""
    try:
        body = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:300]
    if not isinstance(body, dict):
        return str(body)[:300]
    nested = body.get("error")
    inner = nested if isinstance(nested, dict) else body
    return str(inner.get("message") or nested or body)[:300]
