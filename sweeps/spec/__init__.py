"""Specifications: YAML in, a checked and frozen `Spec` out."""

from sweeps.spec.loading import LoadedSpec, load_spec, load_text, shipped_specs
from sweeps.spec.model import Spec

__all__ = ["LoadedSpec", "Spec", "load_spec", "load_text", "shipped_specs"]
