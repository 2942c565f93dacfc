import pytest

from demo.factory import Factory


@pytest.fixture(scope="session")
def small_factory() -> Factory:
    return Factory(seed=3, size=96, normals=4, good_per_night=4, defective_per_night=8)
