"""``fpga_dataflow``: tasks on an FPGA that talk through finite FIFOs."""
