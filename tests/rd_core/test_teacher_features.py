"""Sources of features as one."""

import pytest
import torch

from rd_core.teacher_features import JoinedFeatures


class Numbered:
    """Features that are the images' own numbers."""

    def __init__(self, numbers):
        self.numbers = torch.tensor(numbers)[:, None, None, None]

    def __len__(self):
        return len(self.numbers)

    def batch(self, indices):
        return self.numbers[list(indices)], -self.numbers[list(indices)]


@pytest.mark.parametrize("indices", [[0, 2, 1], [4, 3], [3, 0, 4, 2, 0], [1]])
def test_joined_features_are_those_of_both_in_the_order_asked_for(indices):
    joined = JoinedFeatures(Numbered([10.0, 11.0, 12.0]), Numbered([20.0, 21.0]))
    assert len(joined) == 5
    found, negated = joined.batch(indices)
    assert found.flatten().tolist() == [[10, 11, 12, 20, 21][i] for i in indices]
    assert torch.equal(negated, -found)
