"""Agreement of two series of measurements, such as fluid volumes by a model and by a grader: ICC and Bland-Altman."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lite_medsam.errors import MissingExtraError

# pingouin's rows, in its order; older releases call them ICC1, ICC2, ICC3, ICC1k, ...
_FORMS = ("1,1", "A,1", "C,1", "1,k", "A,k", "C,k")


class IntraclassCorrelation(NamedTuple):
    """An ICC with its 95 % confidence interval.

    Attributes:
        value: At most 1; NaN where the values do not differ.
        low: Lower bound, rounded to two digits by pingouin.
        high: Upper bound, likewise.
        pairs: Pairs that were used.
    """

    value: float
    low: float
    high: float
    pairs: int


class BlandAltman(NamedTuple):
    """Bias and limits of agreement (Bland and Altman 1986), in the unit of the measurements.

    Attributes:
        bias: Mean of second - first.
        sd: Standard deviation of the differences (n - 1).
        low: bias - 1.96 sd.
        high: bias + 1.96 sd.
        bias_low: Lower bound of the bias, 95 %, from Student's t.
        bias_high: Its upper bound.
        pairs: Pairs that were used.
    """

    bias: float
    sd: float
    low: float
    high: float
    bias_low: float
    bias_high: float
    pairs: int


def icc(first: Sequence[float], second: Sequence[float], form: str = "A,1") -> IntraclassCorrelation:
    """Intraclass correlation of two raters, by pingouin.

    Args:
        first: (N,) measurements of one rater.
        second: (N,) those of the other, of the same objects. Pairs with a NaN are left out.
        form: McGraw and Wong 1996: "A,1" absolute agreement of single measurements, ICC(2,1) of Shrout and Fleiss 1979;
            "C,1" consistency, ICC(3,1); "1,1" one-way; the same with k for the mean of both raters.

    Returns:
        NaN for fewer than three pairs, or where no measurement differs from another.

    Raises:
        ValueError: If the lengths differ, a value is infinite, or there is no such form.
        MissingExtraError: If pingouin is not installed.
    """
    if form not in _FORMS:
        raise ValueError(f"form must be one of {'; '.join(_FORMS)}, got {form!r}")
    x, y = _pairs(first, second)
    if len(x) < 3 or np.ptp(np.concatenate([x, y])) == 0:
        return IntraclassCorrelation(float("nan"), float("nan"), float("nan"), len(x))
    try:
        import pandas
        import pingouin
    except ImportError as error:
        raise MissingExtraError("the intraclass correlation", "metrics", error.name) from None
    count = np.arange(len(x))
    table = pandas.DataFrame(
        {"object": np.tile(count, 2), "rater": np.repeat([0, 1], len(x)), "value": np.concatenate([x, y])}
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found = pingouin.intraclass_corr(table, targets="object", raters="rater", ratings="value")
    row = found.iloc[_FORMS.index(form)]
    low, high = next(row[name] for name in found.columns if name.startswith("CI95"))
    return IntraclassCorrelation(float(row["ICC"]), float(low), float(high), len(x))


def bland_altman(first: Sequence[float], second: Sequence[float]) -> BlandAltman:
    """Bias and limits of agreement of two raters.

    Args:
        first: (N,) measurements of one rater, the reference.
        second: (N,) those of the other, of the same objects. Pairs with a NaN are left out.

    Returns:
        All NaN for no pair; the spread is NaN for one.

    Raises:
        ValueError: If the lengths differ or a value is infinite.
    """
    from scipy import stats

    x, y = _pairs(first, second)
    differences = y - x
    count = len(differences)
    bias = float(differences.mean()) if count else float("nan")
    sd = float(differences.std(ddof=1)) if count > 1 else float("nan")
    half = float(stats.t.ppf(0.975, count - 1)) * sd / count**0.5 if count > 1 else float("nan")
    return BlandAltman(bias, sd, bias - 1.96 * sd, bias + 1.96 * sd, bias - half, bias + half, count)


def _pairs(first: Sequence[float], second: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"measurements must be two series (N,) of one length, got {x.shape} and {y.shape}")
    if np.isinf(x).any() or np.isinf(y).any():
        raise ValueError("measurements must be finite, got infinity; leave such pairs out or make them NaN")
    known = ~(np.isnan(x) | np.isnan(y))
    return x[known], y[known]
