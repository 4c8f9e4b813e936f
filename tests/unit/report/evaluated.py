
"""The JSON object of an evaluated design, written by hand: GEMM 1024^3 on the machine of the design notes."""

RESULT = {
    "version": 1, "design": "peer16", "cycles": 4_194_304, "latency_s": 0.004194304, "energy_pj": 1.33756e9,
    "area_um2": None, "operations": 1_073_741_824, "utilization": {"MAC": 1.0}, "bound_by": "MAC",
    "proof": None, "gap": None, "repeat": 1,
    "mapping": {"Z": ["DRAM holds A, B, Z", "for m in 4", "MAC"]},
    "einsums": {
        "Z": {
            "cycles": 4_194_304, "energy_pj": 1.33756e9, "binding": "MAC", "utilization": 1.0, "bound_by": "MAC",
            "mapping": ["DRAM holds A, B, Z", "for m in 4", "MAC"],
            "memories": {
                "DRAM": {"busy_cycles": 589_824, "energy_pj": 6.0398e8, "tensors": {
                    "A": {"reads": 4_194_304, "writes": 0}, "B": {"reads": 4_194_304, "writes": 0},
                    "Z": {"reads": 0, "writes": 1_048_576}}},
                "GLB": {"busy_cycles": 3_211_264, "energy_pj": 4.11042e8, "tensors": {
                    "A": {"reads": 67_108_864, "writes": 4_194_304}, "Z": {"reads": 67_108_864, "writes": 67_108_864}}},
            },
            "computes": {"MAC": {"operations": 1_073_741_824, "busy_cycles": 4_194_304, "energy_pj": 2.14748e8,
                                 "instances": 256, "instances_used": 256}},
        }
    },
    "energy_pj_by": {"DRAM": 6.0398e8},
}  # fmt: skip
