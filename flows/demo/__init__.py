"""The loop, seen turning on handwritten digits: `gyre demo`."""

from flows.demo.play import run_demo

__all__ = ["run_demo"]
