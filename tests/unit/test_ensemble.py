"""Averaging probabilities: the mean comes out, anything but probabilities is refused.

Test-time augmentation is the affair of 06_final_model's reference.
"""

import numpy as np
import pytest

from digit_utils.ensemble import average_probabilities


def test_the_mean_in_double_precision_and_the_members_left_alone():
    members = [np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([[0.4, 0.6], [0.1, 0.9]])]
    members = [member.astype(np.float32) for member in members]
    copies = [member.copy() for member in members]
    mean = average_probabilities(members)
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, [[0.6, 0.4], [0.3, 0.7]], rtol=1e-6)
    np.testing.assert_array_equal(members, copies)
    np.testing.assert_array_equal(average_probabilities(members[:1]), members[0])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "expected one shape"),
        ([np.full((2, 2), 0.5), np.full((3, 2), 0.5)], r"\(2, 2\), \(3, 2\).*one shape"),
        ([np.array([0.5, 0.5])], r"\(2,\).*\(n_images, n_classes\)"),
        ([np.full((2, 2), 0.5), np.array([[2.0, 1.0], [0.0, 4.0]])], "member 1.*not logits"),
        ([np.array([[np.nan, 0.5]])], "member 0"),
    ],
)
def test_what_is_no_probabilities_is_refused(members, message):
    with pytest.raises(ValueError, match=message):
        average_probabilities(members)
