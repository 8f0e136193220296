"""The units in SystemVerilog, and what proves them equal to their specifications."""
