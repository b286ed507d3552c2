"""Where something was measured: a figure without its machine says little."""

import platform
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    """The processor, its extensions that matter for 8-bit arithmetic, the system, and the runtime."""
    import onnxruntime

    details = processor()
    return f"{details}, one thread, {platform.system()} {platform.machine()}, ONNX Runtime {onnxruntime.__version__}, numpy {version('numpy')}"


def processor() -> str:
    """Name and extensions, as far as the system tells."""
    known = Path("/proc/cpuinfo")
    if not known.exists():
        return platform.processor() or platform.machine()
    lines: dict[str, str] = {}
    for line in known.read_text().splitlines():
        name, _, value = line.partition(":")
        lines[name.strip()] = value.strip()
    model = lines.get("model name", platform.machine())
    flags = lines.get("flags", lines.get("Features", "")).split()
    mattering = [
        flag for flag in flags if "vnni" in flag or flag in ("avx2", "avx512f", "amx_int8", "asimddp")
    ]
    return f"{model} ({', '.join(mattering)})" if mattering else model
