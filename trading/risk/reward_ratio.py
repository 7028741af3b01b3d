"""R = |target − price| / |price − stop| is at least the profile's least."""

from __future__ import annotations

from trading.risk.base import Proposal, Verdict, known, verdict

PURPOSES = ("entry",)


def check(proposal: Proposal) -> Verdict:
    """Refuse a poor or unknown ratio."""
    least, ratio = proposal.limits.min_reward_ratio, proposal.reward_ratio
    return verdict(
        __name__,
        allowed=ratio is not None and known(ratio) and ratio >= least,
        code="R_TOO_LOW",
        message=f"R {_shown(ratio)}, at least {least.normalize():f} is required",
        r=ratio,
        least=least,
    )


def _shown(ratio: object) -> str:
    return "unknown" if ratio is None else f"{ratio:.2f}"
