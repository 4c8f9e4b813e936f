"""Every law again, on thousands of fresh examples: `pytest -m slow tests/property`."""

from __future__ import annotations

import pytest
import test_fused_laws
import test_mapper_laws
import test_mapping_text
import test_model_laws

LAWS = [
    pytest.param(test.thorough, id=name.removeprefix("test_"))
    for module in (test_model_laws, test_mapper_laws, test_mapping_text, test_fused_laws)
    for name, test in vars(module).items()
    if hasattr(test, "thorough")
]


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_thoroughly(law):
    law()
