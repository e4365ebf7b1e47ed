"""Verifiers: each scores one reply to one task. docs/verifiers.md describes them and how to add one."""

from collector.verifiers.base import BaseVerifier, Verifier
from collector.verifiers.registry import REGISTRY, Builder, build_verifier, verifier_of

__all__ = ["REGISTRY", "BaseVerifier", "Builder", "Verifier", "build_verifier", "verifier_of"]
