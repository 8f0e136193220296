"""The hardware, bit by bit: formats, units, kernels, machines and costs. Knows nothing of graphs."""
