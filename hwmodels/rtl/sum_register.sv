// A sum and its exponent, a cycle later.
module sum_register #(
    parameter int SUM_BITS      = 48,
    parameter int EXPONENT_BITS = 10
) (
    input  logic                            clk,
    input  logic signed      [SUM_BITS-1:0] x,
    input  logic signed [EXPONENT_BITS-1:0] e,
    output logic signed      [SUM_BITS-1:0] sum,
    output logic signed [EXPONENT_BITS-1:0] exponent
);
  always_ff @(posedge clk) begin
    sum      <= x;
    exponent <= e;
  end
endmodule
