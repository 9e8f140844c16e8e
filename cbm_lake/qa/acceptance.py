"""Acceptance numbers: single sampling of isolated lots by limiting quality."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, comb

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake.arguments import checked

CONSUMER_RISK = 0.10
"""ISO 2859-2 keeps the probability that a lot of limiting quality is accepted usually below 10 %, always below 13 %."""


@checked
def acceptance_number(
    lot: int, sampled: int, limiting_quality: float, consumer_risk: float = CONSUMER_RISK
) -> int | None:
    """Largest number of nonconforming parcels with which a lot is accepted; None if the sample is too small.

    This is the definition behind ISO 2859-2, procedure A (isolated lots), not a copy of its tables: the probability of
    finding c or fewer among n of N parcels of which D = N x limiting quality are nonconforming is hypergeometric,
    P(c) = sum over i <= c of C(D, i) C(N - D, n - i) / C(N, n), and the number is the greatest c with P(c) <= risk. The
    tables have preferred sample sizes, for some of which they allow a risk above 10 %: their numbers may be greater.

    Args:
        lot: number of parcels in the group.
        sampled: how many of them are in the sample.
        limiting_quality: percent of nonconforming parcels that a lot should not be accepted with.
        consumer_risk: greatest probability of accepting it all the same.

    Raises:
        InvalidInputError: an argument is outside its range.
    """
    if not 0 <= sampled <= lot or not lot:
        raise InvalidInputError(
            f"{sampled} of {lot} parcels cannot be a sample; give a lot of at least 1 and a part of it"
        )
    if not (0 < limiting_quality <= 100 and 0 < consumer_risk < 1):
        raise InvalidInputError("limiting_quality is a percentage above 0, consumer_risk a probability below 1")
    nonconforming = ceil(Fraction(str(limiting_quality)) * lot / 100)
    allowed = Fraction(consumer_risk) * comb(lot, sampled)
    ways, number = 0, -1
    while number < sampled:
        ways += comb(nonconforming, number + 1) * comb(lot - nonconforming, sampled - number - 1)
        if ways > allowed:
            break
        number += 1
    return number if number >= 0 else None
