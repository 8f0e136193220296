// A signed multiplier. A cut point of the proofs: its operands are shown to be equal, its product is free.
module multiplier #(
    parameter int WA = 8,
    parameter int WB = 8
) (
    input  logic signed [WA-1:0]    a,
    input  logic signed [WB-1:0]    b,
    output logic signed [WA+WB-1:0] p
);
  assign p = a * b;
endmodule
