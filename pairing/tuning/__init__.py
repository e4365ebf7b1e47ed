"""Finds sampling settings on a pilot of prompts: successive halving over temperature and top_p, repeats by resampling.

Knows no server: `pairing.tune` puts the collector in as the sampler.
"""
