"""The table of FPGA devices."""

import pytest

from einloom.arch.devices import RESOURCES, device, devices
from einloom.errors import SpecError


def test_every_device_has_logic_and_a_source():
    for name, found in devices().items():
        assert found.name == name
        assert found.source
        assert set(found.resources) <= set(RESOURCES)
        assert found.resources["lut"] > 0
        assert found.resources["dsp"] > 0


def test_the_u280_is_as_its_utilization_report_says():
    found = device("u280")
    assert dict(found.resources) == {"dsp": 9024, "lut": 1302720, "ff": 2607360, "bram": 2016, "uram": 960}
    assert found.memory_bytes_per_s == pytest.approx(32 * 14.375e9)


def test_what_the_source_lacks_is_absent_and_not_zero():
    assert "ff" not in device("d5005").resources
    assert device("vpk180").memory_bytes_per_s is None
    assert device("zcu102").resources["uram"] == 0


def test_a_device_that_nobody_has_is_named_with_those_there_are():
    with pytest.raises(SpecError, match=r"no device is named 'U 280'") as caught:
        device("U 280")
    assert "did you mean 'u280'? devices: k26, kv260, u280" in str(caught.value)
