"""How many sessions, and how many hours with an accelerator, are left."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rsna.local_kaggle.context import Context
from rsna.local_kaggle.protocol import Call, Handler, duration, timestamp
from rsna.local_kaggle.settings import HOUR

RESET_WEEKDAY = 5  # Saturday, 0:00 UTC
TPU_HOURS = 20.0


def is_gpu(machine_shape: str, enabled: bool) -> bool:
    """Whether a session has an accelerator: by its machine shape or, without one, by the old switches."""
    return machine_shape.lower().startswith(("nvidia", "tpu")) if machine_shape else enabled


class Quota:
    """Counts sessions, scoring reruns apart, and the hours that those with an accelerator took since the reset."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def calls(self) -> dict[str, Handler]:
        """The calls by their names in the protocol."""
        return {"GetAcceleratorQuotaStatistics": self.statistics}

    def statistics(self, call: Call) -> dict[str, Any]:
        """The weekly quotas."""
        gpu = {"timeUsed": duration(self._used()), "totalTimeAllowed": duration(self.context.settings.gpu_hours * HOUR)}
        tpu = {"timeUsed": duration(0), "totalTimeAllowed": duration(TPU_HOURS * HOUR)}
        reset = _last_reset() + timedelta(days=7)
        return {"quotaRefreshTime": timestamp(reset.timestamp()), "gpuQuota": gpu, "tpuQuota": tpu}

    def refusal(self, gpu: bool) -> str:
        """Why a session cannot be started now, or ''."""
        hours = self.context.settings.gpu_hours
        if gpu and (self._used() >= hours * HOUR or self.context.faults.take("quota-exhausted")):
            return f"Maximum weekly GPU quota of {hours:.2f} hours has been reached"
        limit = self.context.settings.gpu_sessions if gpu else self.context.settings.cpu_sessions
        if self._running(gpu) >= limit or self.context.faults.take("session-limit"):
            return f"Maximum batch {'GPU' if gpu else 'CPU'} session count of {limit} reached."
        return ""

    def _running(self, gpu: bool) -> int:
        query = """SELECT count(*) FROM sessions
                   WHERE submission IS NULL AND json_extract(request, '$.gpu') = ?
                     AND status IN ('QUEUED', 'RUNNING')"""
        row = self.context.store.row(query, gpu)
        return row[0] if row else 0

    def _used(self) -> float:
        """Seconds with an accelerator since the reset."""
        query = """SELECT coalesce(sum(coalesce(ended, ?) - max(started, ?)), 0) FROM sessions
                   WHERE submission IS NULL AND json_extract(request, '$.gpu')
                     AND started IS NOT NULL AND coalesce(ended, ?) > ?"""
        reset, now = _last_reset().timestamp(), time.time()
        row = self.context.store.row(query, now, reset, now, reset)
        return float(row[0]) if row else 0.0


def _last_reset() -> datetime:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=(today.weekday() - RESET_WEEKDAY) % 7)
