"""Engines: the models of a bundle through torch, ONNX Runtime, OpenVINO or TensorRT, whichever is there and quickest.

An engine maps pictures `(B, V, C, H, W)` to logits `(B, M, T)` of all M models at once. The runtimes are imported when
an engine is loaded; none of them belongs to the submit path.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from rsna.errors import InputError, RsnaError
from rsna.inference.engine_spec import ENGINE_LAW, ENGINES, EngineSpec
from rsna.plain import one_line

logger = logging.getLogger(__name__)

Engine = Callable[[Tensor], Tensor]

MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}
PASSES = 2  # that are timed, after one that is not


class Models(Protocol):
    """What makes the models, only if torch is asked."""

    def __call__(self) -> Sequence[nn.Module]: ...


class Stacked(nn.Module):
    """M models as one: `(B, V, C, H, W)` to logits `(B, M, T)`. The engine that needs nothing but torch."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of all models, in their order."""
        return torch.stack([model(images) for model in self.models], dim=1)


def load_engine(folder: Path, spec: EngineSpec, device: torch.device) -> Engine:
    """Load an engine out of a verified bundle.

    Raises:
        InputError: Where the runtime is missing, or does not serve the device.
        RsnaError: Where the runtime refuses the file.
    """
    if reason := obstacle(spec, device):
        raise InputError(f"the engine {spec.kind} of {folder} cannot be used: {reason}; predict with --engine torch")
    path, module = folder / spec.main, MODULES[spec.kind]
    loader = {"onnx": _load_onnx, "openvino": _load_openvino, "tensorrt": _load_tensorrt}[spec.kind]
    try:
        return loader(path, device)
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        raise RsnaError(f"{module} cannot load {path}: {one_line(error)}; predict with --engine torch") from error


def obstacle(spec: EngineSpec, device: torch.device) -> str:
    """Why an engine cannot be used here, or nothing."""
    module = MODULES[spec.kind]
    if find_spec(module) is None:
        return f"{module} is not installed (pip install {module})"
    if spec.kind == "openvino" and device.type != "cpu":
        return f"OpenVINO is for CPUs, not for {device}"
    if spec.kind == "onnx" and device.type == "cuda":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return "this ONNX Runtime has no CUDA (pip install onnxruntime-gpu)"
    if spec.kind == "tensorrt":
        if device.type != "cuda":
            return f"TensorRT is for NVIDIA's GPUs, not for {device}"
        if (here := tensorrt_target(device)) != spec.made_for:
            return f"it was made for {spec.made_for}, this is {here}; make it here with `rsna export --to tensorrt`"
    return ""


def tensorrt_target(device: torch.device) -> str:
    """The GPU and the TensorRT that a plan made here is bound to."""
    import tensorrt

    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)}, compute capability {major}.{minor}, TensorRT {tensorrt.__version__}"


def choose_engine(
    folder: Path, specs: Sequence[EngineSpec], models: Models, shape: Sequence[int], device: torch.device, name: str
) -> tuple[Engine, str]:
    """The engine of a name, or with `auto` the fastest of those that are there and agree with torch here.

    Args:
        folder: Of the bundle.
        specs: Its engines.
        models: Makes its models.
        shape: `(B, V, C, H, W)` of a batch.
        device: Where it runs.
        name: Out of `ENGINES`, or `auto`.

    Returns:
        The engine and its name.

    Raises:
        InputError: For an unknown name, an engine that the bundle does not have, or one that cannot be used here.
        RsnaError: For a named engine whose probabilities lie more than 1e-3 from torch's.
    """
    if name not in ("auto", *ENGINES):
        raise InputError(f"there is no engine {name!r}; choose auto, {', '.join(ENGINES)}")
    stacked = Stacked(models()).eval().to(device, memory_format=_layout(device))  # type: ignore[call-overload]
    if name == "torch" or (name == "auto" and not specs):
        return stacked, "torch"
    wanted = [spec for spec in specs if name in ("auto", spec.kind)]
    if not wanted:
        raise InputError(f"{folder} has no engine {name}; make one with `rsna export {folder} --to {name}`")
    images = trial_pictures(shape).to(device)
    expected, best = measure(stacked, images)
    chosen: tuple[Engine, str] = stacked, "torch"
    for spec in wanted:
        try:
            engine = load_engine(folder, spec, device)
            found, seconds = measure(engine, images)
            check_distance(spec.kind, distance(found, expected))
        except RsnaError as error:
            if name != "auto":
                raise
            logger.warning("%s", error)
            continue
        logger.info("engine %s: %.4f s a picture, torch and its like %.4f s", spec.kind, seconds, best)
        if name != "auto" or seconds < best:
            chosen, best = (engine, spec.kind), seconds
    return chosen


def trial_pictures(shape: Sequence[int]) -> Tensor:
    """Pictures `(B, V, C, H, W)` of soft clouds, always the same ones, about as bright as normalised ones."""
    batch, views, channels, height, width = shape
    random = torch.Generator().manual_seed(0)
    coarse = torch.randn(batch * views, 1, 8, 8, generator=random)
    clouds = nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    return clouds.expand(-1, channels, -1, -1).reshape(batch, views, channels, height, width).contiguous()


@torch.inference_mode()
def measure(engine: Engine, images: Tensor) -> tuple[Tensor, float]:
    """The logits `(B, M, T)` on the CPU, and the seconds per picture of the quicker of two passes."""
    logits = engine(images).float().cpu()  # the first pass is slow everywhere, and asking for its result waits for it
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        engine(images).cpu()
        seconds.append(time.perf_counter() - start)
    return logits, min(seconds) / len(images)


def distance(found: Tensor, expected: Tensor) -> float:
    """The largest possible distance of two probabilities whose logits differ so much: a quarter of that.

    The probabilities of trial pictures may lie near 0 or 1, where they hide a difference that other pictures show.
    """
    return float((found - expected).abs().max()) / 4


def check_distance(kind: str, value: float) -> None:
    """Raise `RsnaError` where an engine does not agree with torch."""
    if not value <= ENGINE_LAW:
        raise RsnaError(f"the engine {kind} lies up to {value:.2g} from torch, over {ENGINE_LAW:g}; it is not used")


def _layout(device: torch.device) -> torch.memory_format:
    return torch.channels_last if device.type == "cpu" else torch.preserve_format  # a quarter faster there


def _load_onnx(path: Path, device: torch.device) -> Engine:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    cuda = ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": "0"})
    providers: list[Any] = [cuda] if device.type == "cuda" else ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    return lambda images: torch.from_numpy(session.run(None, {"images": _numpy(images)})[0])


def _load_openvino(path: Path, device: torch.device) -> Engine:
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    model = openvino.Core().compile_model(path, "CPU", settings)  # new CPUs would compute in bfloat16 by themselves
    return lambda images: torch.from_numpy(np.array(model({"images": _numpy(images)})[0]))


def _load_tensorrt(path: Path, device: torch.device) -> Engine:
    import tensorrt

    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
    plan = runtime.deserialize_cuda_engine(path.read_bytes())
    if plan is None:
        raise RuntimeError("the plan is damaged or of another version")
    context = plan.create_execution_context()
    most = plan.get_tensor_profile_shape("images", 0)[2][0]

    def run(images: Tensor) -> Tensor:
        images = images.contiguous()
        context.set_input_shape("images", tuple(images.shape))
        logits = torch.empty(tuple(context.get_tensor_shape("logits")), device=images.device)
        context.set_tensor_address("images", images.data_ptr())
        context.set_tensor_address("logits", logits.data_ptr())
        stream = torch.cuda.current_stream(images.device)
        if not context.execute_async_v3(stream.cuda_stream):
            raise RsnaError(f"TensorRT could not run {path}; predict with --engine torch")
        stream.synchronize()
        return logits

    return lambda images: torch.cat([run(part) for part in images.split(most)])


def _numpy(images: Tensor) -> np.ndarray:
    return np.ascontiguousarray(images.float().cpu().numpy())
