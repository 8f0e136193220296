// The adder of an accumulator: accumulator.add and accumulator.overflows.
module accumulator #(
    parameter int BITS       = 32,
    parameter int SUM_BITS   = 33,
    parameter bit SATURATING = 1'b1
) (
    input  logic signed     [BITS-1:0] acc,
    input  logic signed [SUM_BITS-1:0] x,
    output logic signed     [BITS-1:0] sum,
    output logic                       overflow
);
  localparam int W = (BITS > SUM_BITS ? BITS : SUM_BITS) + 1;
  logic signed [W-1:0] exact;
  logic signed [BITS-1:0] held;
  assign exact = W'(acc) + W'(x);
  saturate #(.WI(W), .WO(BITS)) u_saturate (.x(exact), .y(held));
  assign overflow = W'(held) != exact;
  assign sum = SATURATING ? held : exact[BITS-1:0];
endmodule
